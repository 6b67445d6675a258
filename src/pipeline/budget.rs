//! One byte budget for all shards (invariant B1, promise P9).

use std::collections::BTreeMap;

use super::PART_BYTES;
use super::unit::Slot;

/// A record's size before any was read: a typical sensor message with what decoding adds.
const ESTIMATE_AT_FIRST: u64 = 2_048;

/// Each shard is kept this part of an even share, however much the others hold.
const SHARE_KEPT: u64 = 2;

/// A small budget must not be taken by one part of one answer.
const PARTS_MIN: u64 = 8;

/// Who holds how much of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    reads_max: usize,
    records_max: u32,
    /// Held, waiting and reserved, all shards.
    used: u64,
    /// Held alone: what becomes free by itself.
    held: u64,
    /// Reads under way.
    reads: usize,
    shards: BTreeMap<Slot, Account>,
}

#[derive(Debug)]
struct Account {
    /// Bytes of records decoded and not yet done.
    held: u64,
    /// Bytes of the last answer that are not decoded yet.
    waiting: u64,
    /// Records of the last answer, and the bytes that they take so far.
    answer: (u64, u64),
    /// Reserved for the read under way.
    reserved: Option<u64>,
    /// What a record of this shard takes.
    estimate: u64,
}

impl Account {
    fn total(&self) -> u64 {
        self.held + self.waiting + self.reserved.unwrap_or(0)
    }
}

/// What a read brought, or one part of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brought {
    /// Records of the stream that the answer holds; 0 for parts after the first.
    pub(super) fetched: u64,
    /// Bytes decoded now.
    pub(super) bytes: u64,
    /// Bytes of the answer that are still to be decoded.
    pub(super) waiting: u64,
}

impl Budget {
    pub(super) fn new(limit: u64, reads_max: usize, records_max: u32) -> Self {
        Self {
            limit,
            reads_max,
            records_max,
            used: 0,
            held: 0,
            reads: 0,
            shards: BTreeMap::new(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Without what is reserved: a read under way holds room for all that it may bring.
    pub(super) fn unfinished(&self) -> u64 {
        let accounts = self.shards.values();
        accounts.map(|account| account.held + account.waiting).sum()
    }

    /// Whether no read could start, whoever asked. Where nothing is held, nothing becomes free by
    /// itself: what is used up is answers that wait to be decoded, and one of them must go on.
    pub(super) fn is_full(&self) -> bool {
        self.reads >= self.reads_max || (self.used >= self.limit && self.held > 0)
    }

    pub(super) fn add(&mut self, slot: Slot) {
        self.shards.insert(
            slot,
            Account {
                held: 0,
                waiting: 0,
                answer: (0, 0),
                reserved: None,
                estimate: ESTIMATE_AT_FIRST,
            },
        );
    }

    /// Takes a shard out with all it holds.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(account) = self.shards.remove(&slot) {
            self.used -= account.total();
            self.held -= account.held;
            self.reads -= usize::from(account.reserved.is_some());
        }
    }

    /// Reserves for a read and says how many records it may ask for; `None`: not now. Of an event
    /// that the stream sends, the size is known beforehand.
    pub(super) fn reserve(&mut self, slot: Slot, event_bytes: Option<u64>) -> Option<u32> {
        let account = self.shards.get(&slot)?;
        if self.reads >= self.reads_max || account.reserved.is_some() {
            return None;
        }
        let kept = self.limit / (SHARE_KEPT * self.shards.len() as u64);
        let mine = account.held + account.waiting;
        let (held, waits) = (account.held, account.waiting > 0);
        let estimate = account.estimate;
        let owed_to_others: u64 = self
            .shards
            .iter()
            .filter(|(other, _)| **other != slot)
            .map(|(_, other)| kept.saturating_sub(other.total()))
            .sum();
        let free = self.limit.saturating_sub(self.used);
        let own = free.min(kept.saturating_sub(mine));
        let available = own.max(free.saturating_sub(owed_to_others));
        if waits {
            let part = PART_BYTES.min(self.limit / PARTS_MIN);
            let goes_on =
                available >= part || held == 0 && free > 0 || self.held == 0 && self.reads == 0;
            return goes_on.then(|| self.take(slot, part, self.records_max));
        }
        if let Some(bytes) = event_bytes {
            // One larger than the shard's share must get through all the same.
            let fits = available >= bytes || mine == 0 && free > 0;
            return fits.then(|| self.take(slot, bytes, self.records_max));
        }
        let fitting = u32::try_from(available / estimate).unwrap_or(u32::MAX);
        let records = match fitting.min(self.records_max) {
            // A record larger than its share must get through all the same.
            0 if mine == 0 && free > 0 => 1,
            0 => return None,
            records => records,
        };
        Some(self.take(slot, u64::from(records) * estimate, records))
    }

    fn take(&mut self, slot: Slot, bytes: u64, records: u32) -> u32 {
        if let Some(account) = self.shards.get_mut(&slot) {
            account.reserved = Some(bytes);
            self.used += bytes;
            self.reads += 1;
        }
        records
    }

    /// The read is over, or a part of its answer is decoded: what it really brought takes the
    /// reservation's place.
    pub(super) fn settle(&mut self, slot: Slot, brought: Brought) {
        let Some(account) = self.shards.get_mut(&slot) else {
            return;
        };
        if let Some(reserved) = account.reserved.take() {
            self.used -= reserved;
            self.reads -= 1;
        }
        self.used -= account.waiting;
        account.waiting = brought.waiting;
        account.held += brought.bytes;
        self.held += brought.bytes;
        self.used += brought.bytes + brought.waiting;
        if brought.fetched > 0 {
            account.answer = (brought.fetched, 0);
        }
        account.answer.1 += brought.bytes;
        if brought.waiting > 0 {
            return;
        }
        let (records, bytes) = std::mem::take(&mut account.answer);
        if let Some(mean) = bytes.checked_div(records) {
            // Up at once, down slowly: too low an estimate overshoots.
            let slowly = (3 * account.estimate + mean) / 4;
            account.estimate = mean.max(slowly).max(1);
        }
    }

    /// Records are done.
    pub(super) fn release(&mut self, slot: Slot, bytes: u64) {
        if let Some(account) = self.shards.get_mut(&slot) {
            account.held -= bytes;
            self.held -= bytes;
            self.used -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn brought(fetched: u64, bytes: u64) -> Brought {
        Brought {
            fetched,
            bytes,
            waiting: 0,
        }
    }

    #[test]
    fn answers_that_wait_to_be_decoded_count_and_go_on_part_by_part() {
        let mut budget = Budget::new(1_000_000, 8, 10_000);
        for slot in [Slot(0), Slot(1)] {
            budget.add(slot);
            assert!(budget.reserve(slot, None).is_some());
        }
        // Two answers that take more than the budget though nothing of them is decoded.
        for slot in [Slot(0), Slot(1)] {
            let waiting = 900_000;
            budget.settle(
                slot,
                Brought {
                    fetched: 500,
                    bytes: 0,
                    waiting,
                },
            );
        }
        assert_eq!(budget.used(), 1_800_000);
        assert!(!budget.is_full(), "or nothing would ever go on");
        assert!(budget.reserve(Slot(0), None).is_some());
        assert_eq!(budget.reserve(Slot(1), None), None, "one at a time");
        let part = Brought {
            fetched: 0,
            bytes: 300_000,
            waiting: 600_000,
        };
        budget.settle(Slot(0), part);
        assert!(budget.is_full());
        budget.release(Slot(0), 300_000);
        assert!(budget.reserve(Slot(1), None).is_some());
        budget.settle(Slot(1), brought(0, 200_000));
        budget.release(Slot(1), 200_000);
        assert!(budget.reserve(Slot(0), None).is_some());
        budget.settle(Slot(0), brought(0, 300_000));
        budget.release(Slot(0), 300_000);
        assert_eq!(budget.used(), 0);
        // The mean of the whole answer, not of its last part.
        assert_eq!(budget.shards[&Slot(0)].estimate, (3 * 2_048 + 1_200) / 4);
    }

    #[test]
    fn a_slow_shard_cannot_starve_the_others() {
        let mut budget = Budget::new(1_000_000, 8, 10_000);
        let (slow, other) = (Slot(0), Slot(1));
        budget.add(slow);
        budget.add(other);
        while let Some(records) = budget.reserve(slow, None) {
            budget.settle(
                slow,
                brought(u64::from(records), u64::from(records) * 2_048),
            );
        }
        assert!(
            budget
                .reserve(other, None)
                .is_some_and(|records| records > 100)
        );
    }

    #[test]
    fn a_record_larger_than_the_budget_gets_through_alone() {
        let mut budget = Budget::new(1_000, 8, 10_000);
        budget.add(Slot(0));
        assert_eq!(budget.reserve(Slot(0), None), Some(1));
        budget.settle(Slot(0), brought(1, 9_000));
        assert_eq!(budget.reserve(Slot(0), None), None);
        budget.release(Slot(0), 9_000);
        assert_eq!(budget.reserve(Slot(0), None), Some(1));
    }

    #[test]
    fn an_event_reserves_its_size_and_the_largest_gets_through_alone() {
        let mut budget = Budget::new(1_000_000, 8, 10_000);
        let (one, other) = (Slot(0), Slot(1));
        budget.add(one);
        budget.add(other);
        assert!(budget.reserve(one, Some(300_000)).is_some());
        assert_eq!(budget.used(), 300_000);
        budget.settle(one, brought(10, 200_000));
        assert_eq!(
            budget.reserve(one, Some(600_000)),
            None,
            "the other's share"
        );
        assert!(budget.reserve(one, Some(500_000)).is_some());
        budget.settle(one, Brought::default());
        assert_eq!(budget.used(), 200_000);
        assert!(budget.reserve(other, Some(5_000_000)).is_some());
        assert_eq!(budget.reserve(one, Some(1)), None);
        budget.settle(other, brought(1, 4_000_000));
        assert_eq!(budget.reserve(other, Some(1)), None);
        budget.release(other, 4_000_000);
        assert!(budget.reserve(one, Some(1)).is_some());
    }

    proptest! {
        #[test]
        fn bytes_stay_within_the_budget_but_for_one_answer_a_read(
            sizes in prop::collection::vec((0_u64..6, 1_u64..3_000, any::<bool>()), 1..200),
        ) {
            const ANSWER_MAX: u64 = 30_000;
            let mut budget = Budget::new(100_000, 3, 50);
            (0..6).for_each(|slot| budget.add(Slot(slot)));
            let mut held = [0_u64; 6];
            for (slot, size, release) in sizes {
                if release {
                    budget.release(Slot(slot), std::mem::take(&mut held[slot as usize]));
                } else if let Some(records) = budget.reserve(Slot(slot), None) {
                    let bytes = (u64::from(records) * size).min(ANSWER_MAX);
                    budget.settle(Slot(slot), brought(u64::from(records), bytes));
                    held[slot as usize] += bytes;
                }
                prop_assert_eq!(budget.used(), held.iter().sum::<u64>());
                prop_assert!(budget.used() <= 100_000 + 3 * ANSWER_MAX);
            }
            (0..6).for_each(|slot| budget.remove(Slot(slot)));
            prop_assert_eq!((budget.used(), budget.reads), (0, 0));
        }
    }
}
