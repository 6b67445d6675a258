//! A token bucket. Pure: the time is an argument, in milliseconds.

/// A bucket that refills evenly. Levels are in thousandths, so that a millisecond's refill is a whole
/// number.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: i128,
    size: i128,
    level: i128,
    at_ms: u64,
}

impl Bucket {
    /// A full one that holds one second's worth.
    #[must_use]
    pub fn full(rate: u64, now_ms: u64) -> Self {
        Self::of_size(rate, rate, now_ms)
    }

    /// A full one that holds `size`.
    #[must_use]
    pub fn of_size(rate: u64, size: u64, now_ms: u64) -> Self {
        let size = i128::from(size) * 1000;
        Self {
            rate: i128::from(rate),
            size,
            level: size,
            at_ms: now_ms,
        }
    }

    /// Lets time pass.
    pub fn refill(&mut self, now_ms: u64) {
        let passed = i128::from(now_ms.saturating_sub(self.at_ms));
        self.level = (self.level + passed * self.rate).min(self.size);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Whether `amount` is there; more than the bucket holds needs a full one.
    #[must_use]
    pub fn holds(&self, amount: u64) -> bool {
        self.level >= (i128::from(amount) * 1000).min(self.size)
    }

    /// Whether more is there than nothing.
    #[must_use]
    pub fn is_above_zero(&self) -> bool {
        self.level > 0
    }

    /// Takes `amount`, below zero if need be.
    pub fn take(&mut self, amount: u64) {
        self.level -= i128::from(amount) * 1000;
    }

    /// Takes what is left, so that the next `take` counts from zero.
    pub fn empty(&mut self) {
        self.level = self.level.min(0);
    }
}
