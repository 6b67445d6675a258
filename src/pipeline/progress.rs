//! Acknowledgements in any order become a contiguous done prefix (invariant L9).

use std::collections::VecDeque;

use crate::model::{Checkpoint, Record};

/// The records of one ownership that are read and not yet passed by its checkpoint.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

/// One such record.
#[derive(Debug)]
pub(super) struct Entry {
    /// The record, kept for a dead letter.
    pub(super) record: Record,
    /// The user record within an aggregate.
    pub(super) sub: u64,
    /// Units not yet closed.
    open: u32,
    /// What the budget was charged.
    bytes: u64,
}

/// What an advance brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advance {
    /// Records passed.
    pub(super) records: u64,
    /// What the budget gets back.
    pub(super) bytes: u64,
    /// Where the checkpoint stands now, if it moved.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Progress {
    /// Takes the next record with its number of units; answers its number.
    pub(super) fn push(&mut self, record: Record, sub: u64, open: u32, bytes: u64) -> u64 {
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry {
            record,
            sub,
            open,
            bytes,
        });
        number
    }

    /// A record that is not yet passed.
    pub(super) fn entry(&self, number: u64) -> Option<&Entry> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.entries.get(index)
    }

    /// Closes one unit of a record; false where there is none to close, which is a defect.
    pub(super) fn close(&mut self, number: u64) -> bool {
        let entry = number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.entries.get_mut(index));
        match entry {
            Some(entry) if entry.open > 0 => {
                entry.open -= 1;
                true
            }
            _ => false,
        }
    }

    /// Passes every record at the front that is done.
    pub(super) fn advance(&mut self) -> Advance {
        let mut advance = Advance::default();
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.open == 0) {
            self.first += 1;
            advance.records += 1;
            advance.bytes += entry.bytes;
            advance.checkpoint = Some(Checkpoint::At {
                seq: entry.record.seq,
                sub: entry.sub,
            });
        }
        advance
    }

    /// Whether everything read is done.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records read and not yet passed.
    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Units not yet closed, counted one by one.
    #[cfg(test)]
    pub(super) fn open_units(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.open)).sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::model::EpochMillis;

    fn record(number: usize) -> Record {
        Record {
            sub: 0,
            seq: (number + 100).to_string().parse().unwrap(),
            partition_key: None,
            arrival: EpochMillis(0),
            data: Bytes::new(),
        }
    }

    proptest! {
        #[test]
        fn the_checkpoint_is_the_last_record_of_the_done_prefix(
            units in prop::collection::vec(0_u32..4, 1..30),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..90),
        ) {
            let mut progress = Progress::default();
            let mut open = units.clone();
            for (number, units) in units.iter().enumerate() {
                prop_assert_eq!(progress.push(record(number), 0, *units, 10), number as u64);
            }
            let mut passed = 0_usize;
            let mut steps: Vec<usize> = order.iter().map(|index| index.index(units.len())).collect();
            // In the end everything is closed.
            steps.extend((0..units.len()).flat_map(|number| std::iter::repeat_n(number, 4)));
            for number in steps {
                let closed = progress.close(number as u64);
                prop_assert_eq!(closed, number >= passed && open[number] > 0);
                open[number] -= u32::from(closed);
                let prefix = open.iter().take_while(|open| **open == 0).count();
                let advance = progress.advance();
                prop_assert_eq!(advance.records, (prefix - passed) as u64);
                prop_assert_eq!(advance.bytes, 10 * advance.records);
                let expected = (prefix > passed).then(|| Checkpoint::At {
                    seq: record(prefix - 1).seq,
                    sub: 0,
                });
                prop_assert_eq!(advance.checkpoint, expected);
                passed = prefix;
            }
            prop_assert!(progress.is_empty());
        }
    }
}
