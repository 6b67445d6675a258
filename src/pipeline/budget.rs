//! One byte budget for all shards (invariant B1, promise P9).

use std::collections::BTreeMap;

use super::unit::Slot;

/// A record's size before any was read: a typical sensor message with what decoding adds.
const ESTIMATE_AT_FIRST: u64 = 2_048;

/// Each shard is kept this part of an even share, however much the others hold.
const SHARE_KEPT: u64 = 2;

/// Who holds how much of it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    reads_max: usize,
    records_max: u32,
    /// Held and reserved, all shards.
    used: u64,
    /// Reads under way.
    reads: usize,
    shards: BTreeMap<Slot, Account>,
}

#[derive(Debug)]
struct Account {
    /// Bytes read and not yet done.
    held: u64,
    /// Reserved for the read under way.
    reserved: Option<u64>,
    /// What a record of this shard takes.
    estimate: u64,
}

impl Account {
    fn total(&self) -> u64 {
        self.held + self.reserved.unwrap_or(0)
    }
}

impl Budget {
    pub(super) fn new(limit: u64, reads_max: usize, records_max: u32) -> Self {
        Self {
            limit,
            reads_max,
            records_max,
            used: 0,
            reads: 0,
            shards: BTreeMap::new(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Whether no read could start, whoever asked.
    pub(super) fn is_full(&self) -> bool {
        self.reads >= self.reads_max || self.used >= self.limit
    }

    pub(super) fn add(&mut self, slot: Slot) {
        self.shards.insert(
            slot,
            Account {
                held: 0,
                reserved: None,
                estimate: ESTIMATE_AT_FIRST,
            },
        );
    }

    /// Takes a shard out with all it holds.
    pub(super) fn remove(&mut self, slot: Slot) {
        if let Some(account) = self.shards.remove(&slot) {
            self.used -= account.total();
            self.reads -= usize::from(account.reserved.is_some());
        }
    }

    /// Reserves for a read and says how many records it may ask for; `None`: not now.
    pub(super) fn reserve(&mut self, slot: Slot) -> Option<u32> {
        let account = self.shards.get(&slot)?;
        if self.reads >= self.reads_max || account.reserved.is_some() {
            return None;
        }
        let kept = self.limit / (SHARE_KEPT * self.shards.len() as u64);
        let mine = account.held;
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
        let fitting = u32::try_from(available / estimate).unwrap_or(u32::MAX);
        let records = match fitting.min(self.records_max) {
            // A record larger than its share must get through all the same.
            0 if mine == 0 && free > 0 => 1,
            0 => return None,
            records => records,
        };
        let reserved = u64::from(records) * estimate;
        let account = self.shards.get_mut(&slot)?;
        account.reserved = Some(reserved);
        self.used += reserved;
        self.reads += 1;
        Some(records)
    }

    /// The read is over: what it really brought takes the reservation's place.
    pub(super) fn settle(&mut self, slot: Slot, records: u64, bytes: u64) {
        let Some(account) = self.shards.get_mut(&slot) else {
            return;
        };
        if let Some(reserved) = account.reserved.take() {
            self.used -= reserved;
            self.reads -= 1;
        }
        account.held += bytes;
        self.used += bytes;
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
            self.used -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_shard_cannot_starve_the_others() {
        let mut budget = Budget::new(1_000_000, 8, 10_000);
        let (slow, other) = (Slot(0), Slot(1));
        budget.add(slow);
        budget.add(other);
        while let Some(records) = budget.reserve(slow) {
            budget.settle(slow, u64::from(records), u64::from(records) * 2_048);
        }
        assert!(budget.reserve(other).is_some_and(|records| records > 100));
    }

    #[test]
    fn a_record_larger_than_the_budget_gets_through_alone() {
        let mut budget = Budget::new(1_000, 8, 10_000);
        budget.add(Slot(0));
        assert_eq!(budget.reserve(Slot(0)), Some(1));
        budget.settle(Slot(0), 1, 9_000);
        assert_eq!(budget.reserve(Slot(0)), None);
        budget.release(Slot(0), 9_000);
        assert_eq!(budget.reserve(Slot(0)), Some(1));
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
                } else if let Some(records) = budget.reserve(Slot(slot)) {
                    let bytes = (u64::from(records) * size).min(ANSWER_MAX);
                    budget.settle(Slot(slot), u64::from(records), bytes);
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
