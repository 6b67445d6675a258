//! How many requests of a lane may be under way at once: fewer after throttling, more again as
//! requests succeed, and never so few that the sink would see no pressure.

use std::time::Duration;

use crate::model::Millis;

/// Requests that are throttled together count once: they say the same.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// What is left after a cut, of eight parts.
const LEFT_OF_EIGHT: usize = 6;

/// Fractions of a request are counted in this unit.
const UNIT: usize = 1_000;

/// However hard it throttles, a sink is offered half of what it may have: Timestream grows by the
/// pressure of those who write (AWS, troubleshooting of throttled writes: keep sending at the same
/// or a higher rate).
const LEAST_OF_MOST: usize = 2;

#[derive(Debug)]
pub(super) struct Pace {
    /// In [`UNIT`]s.
    allowed: usize,
    least: usize,
    most: usize,
    cut_at: Option<Millis>,
}

impl Pace {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            allowed: most * UNIT,
            least: most.div_ceil(LEAST_OF_MOST) * UNIT,
            most: most * UNIT,
            cut_at: None,
        }
    }

    /// Requests that may be under way.
    pub(super) fn allowed(&self) -> usize {
        self.allowed / UNIT
    }

    pub(super) fn throttled(&mut self, now: Millis) {
        if self.cut_at.is_none_or(|cut| now.since(cut) >= CUT_EVERY) {
            self.cut_at = Some(now);
            self.allowed = (self.allowed * LEFT_OF_EIGHT / 8).max(self.least);
        }
    }

    /// A request was taken: one more may go when all that are allowed were.
    pub(super) fn answered(&mut self) {
        let share = UNIT * UNIT / self.allowed;
        self.allowed = (self.allowed + share).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_halves_it_at_most_and_some_rounds_bring_it_back() {
        let mut pace = Pace::new(8);
        for second in 0..3_600 {
            pace.throttled(Millis(second * 1_000));
            pace.throttled(Millis(second * 1_000 + 500));
        }
        assert_eq!(pace.allowed(), 4);
        let mut requests = 0;
        while pace.allowed() < 8 {
            pace.answered();
            requests += 1;
        }
        assert!(requests <= 8 * 5, "{requests}");
        for _ in 0..100 {
            pace.answered();
        }
        assert_eq!(pace.allowed(), 8);
    }

    #[test]
    fn what_is_throttled_together_counts_once() {
        let mut pace = Pace::new(16);
        for _ in 0..16 {
            pace.throttled(Millis(5_000));
        }
        assert_eq!(pace.allowed(), 12);
        assert_eq!(Pace::new(1).allowed(), 1);
    }
}
