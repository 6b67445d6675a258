//! Instants as plain numbers, handed in by the caller: nothing on floors 0 and 1 asks for the time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds on this process's monotonic clock, which goes on while the host is suspended.
/// Its origin means nothing: only differences do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Millis {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Millis {
    type Output = Self;

    fn sub(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// Wall-clock milliseconds since the Unix epoch, as stamped by Kinesis, a device or a server.
/// For display and for data; no decision of ours compares those of two hosts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EpochMillis(pub i64);

impl fmt::Display for EpochMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nanoseconds since the Unix epoch: a reading's event time (1677 to 2262).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EpochNanos(pub i64);

impl EpochNanos {
    /// From milliseconds since the epoch; `None` outside the representable years.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000_000).map(Self)
    }
}

impl fmt::Display for EpochNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
