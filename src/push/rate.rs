//! How many posts a second: this broadcaster's share of what the account may send.

use std::time::Duration;

use crate::model::Millis;

/// A bucket of posts that fills at a steady rate. It holds a tenth of a second's worth, so that the
/// account's budget is kept within any second, and viewers who fall due together need not wait for
/// each other's millisecond.
#[derive(Clone, Debug)]
pub struct Rate {
    /// None: no bound.
    per_second: Option<u32>,
    /// Posts that may leave, in thousandths.
    room: u64,
    filled_at: Millis,
}

/// One post.
const POST: u64 = 1_000;

impl Rate {
    /// So many a second, at least one; a full bucket.
    #[must_use]
    pub fn new(per_second: Option<u32>, now: Millis) -> Self {
        let mut rate = Self {
            per_second: per_second.map(|rate| rate.max(1)),
            room: 0,
            filled_at: now,
        };
        rate.room = rate.size();
        rate
    }

    fn size(&self) -> u64 {
        let rate = u64::from(self.per_second.unwrap_or(0));
        (rate * POST / 10).max(POST)
    }

    /// Whether a post may leave now.
    pub fn has_room(&mut self, now: Millis) -> bool {
        let Some(rate) = self.per_second else {
            return true;
        };
        // Thousandths of a post in a millisecond are posts in a second.
        let passed = now.0.saturating_sub(self.filled_at.0);
        let more = passed.saturating_mul(u64::from(rate));
        self.room = self.room.saturating_add(more).min(self.size());
        self.filled_at = self.filled_at.max(now);
        self.room >= POST
    }

    /// One leaves.
    pub fn take(&mut self) {
        self.room = self.room.saturating_sub(POST);
    }

    /// When the next may leave, as far as was seen at the last look; none where it need not wait.
    #[must_use]
    pub fn next(&self) -> Option<Millis> {
        let rate = u64::from(self.per_second?);
        let lacking = POST.checked_sub(self.room).filter(|lacking| *lacking > 0)?;
        Some(self.filled_at + Duration::from_millis(lacking.div_ceil(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Posts taken in each of `seconds`, tried whenever the bucket says that there is one.
    fn taken(rate: &mut Rate, seconds: u64) -> Vec<u32> {
        let mut counts = Vec::new();
        let mut now = Millis(1_000_000);
        for second in 1..=seconds {
            let end = Millis(1_000_000 + second * 1_000);
            let mut count = 0;
            while now < end {
                if rate.has_room(now) {
                    rate.take();
                    count += 1;
                } else {
                    now = rate.next().expect("it was empty");
                }
            }
            counts.push(count);
        }
        counts
    }

    #[test]
    fn any_second_has_its_budget_and_at_first_a_tenth_more() {
        for per_second in [1_u32, 3, 100, 10_000] {
            let mut rate = Rate::new(Some(per_second), Millis(1_000_000));
            let counts = taken(&mut rate, 5);
            let burst = (per_second / 10).max(1);
            for (second, count) in counts.iter().enumerate() {
                let most = per_second + if second == 0 { burst } else { 1 };
                assert!(
                    *count <= most && count + 1 >= per_second,
                    "{per_second}: {counts:?}"
                );
            }
        }
    }

    #[test]
    fn without_a_budget_nobody_waits() {
        let mut rate = Rate::new(None, Millis(0));
        for _ in 0..100_000 {
            assert!(rate.has_room(Millis(0)));
            rate.take();
        }
        assert_eq!(rate.next(), None);
    }
}
