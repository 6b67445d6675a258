//! The clock door: the only place that asks what time it is.
//!
//! Leases must count time that passes while the host is suspended, which tokio's (and the standard
//! library's) `Instant` does not on Linux; its boot-time clock does. In tests the runtime's paused
//! clock rules.

use std::time::Duration;

use crate::model::{EpochMillis, EpochNanos, Millis};

/// A monotonic clock that counts suspension. Cheap to clone; clones agree.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
    suspended: Suspended,
}

#[derive(Clone, Debug)]
enum Suspended {
    /// Add what the boot-time clock ran ahead of the monotonic one.
    Counted { origin: Duration },
    /// There is no boot-time clock to ask, or time is paused by a test.
    Ignored,
}

impl Clock {
    /// The process's clock. Where time is paused (tests), only that time counts.
    #[must_use]
    pub fn start() -> Self {
        let origin = tokio::time::Instant::now();
        match uptime() {
            Some(uptime) => Self {
                origin,
                suspended: Suspended::Counted { origin: uptime },
            },
            None => Self {
                origin,
                suspended: Suspended::Ignored,
            },
        }
    }

    /// A clock for paused-time tests, which knows of no suspension.
    #[must_use]
    pub fn of_the_runtime() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            suspended: Suspended::Ignored,
        }
    }

    /// Now. The later of the two clocks: the boot-time one runs ahead after a suspension.
    #[must_use]
    pub fn now(&self) -> Millis {
        let running = self.origin.elapsed();
        let elapsed = match &self.suspended {
            Suspended::Counted { origin } => uptime().map_or(running, |uptime| {
                running.max(uptime.saturating_sub(*origin))
            }),
            Suspended::Ignored => running,
        };
        // Begin well above zero so that "an hour ago" is representable.
        Millis(ORIGIN_MS) + elapsed
    }

    /// The tokio instant at which this clock will show `at`, for timers.
    #[must_use]
    pub fn timer(&self, at: Millis) -> tokio::time::Instant {
        tokio::time::Instant::now() + at.since(self.now())
    }
}

/// A day: no duration that we subtract from an instant is longer.
const ORIGIN_MS: u64 = 86_400_000;

/// Time since boot, suspension included (Linux `CLOCK_BOOTTIME`).
#[cfg(target_os = "linux")]
fn uptime() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanos))
}

/// Elsewhere the monotonic clock is all there is; tidewire is deployed on Linux.
#[cfg(not(target_os = "linux"))]
fn uptime() -> Option<Duration> {
    None
}

/// Wall time, for display, logs and the age of readings; never compared with another host's to
/// decide who may do what.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks the wall clock"
)]
pub fn wall() -> EpochMillis {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    EpochMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The same to the nanosecond, for when the steps of a trace began and ended.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks the wall clock"
)]
pub fn wall_nanos() -> EpochNanos {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    EpochNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_moves_the_clock() {
        let clock = Clock::of_the_runtime();
        let before = clock.now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now().since(before), Duration::from_millis(1500));
        let at = clock.now() + Duration::from_secs(2);
        assert_eq!(
            clock.timer(at) - tokio::time::Instant::now(),
            Duration::from_secs(2)
        );
    }
}
