//! The one place that rolls dice: ids of processes, jitter, shuffles.

/// A fresh random UUID, as text.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that rolls dice"
)]
pub fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A number in `0.0..1.0`, for jitter.
#[must_use]
pub fn fraction() -> f64 {
    fastrand::f64()
}

/// A seed for a generator that a decision is handed.
#[must_use]
pub fn seed() -> u64 {
    fastrand::u64(..)
}
