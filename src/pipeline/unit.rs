//! What moves through the pipeline.

use std::sync::Arc;

use super::books::Rule;
use crate::decode::DecodeError;
use crate::model::{Followed, Millis, Reading, Record, RowKey};

/// One ownership of one shard, from grant to end; never used twice, so that what belongs to a
/// lost ownership finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(super) u64);

/// One request to a sink, with everything that it is split into; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub(super) u64);

/// A reading, ready for its sinks.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The reading.
    pub reading: Reading,
    /// What each store makes of it, in the stores' order; none where it is not meant for it.
    pub stores: Box<[Option<ForStore>]>,
    /// Its form in a queue's message; empty where there are no queues.
    pub live: Box<str>,
    /// When it is too old for the queues, by `queue.max_age_s`.
    pub expires: Option<Millis>,
    /// Its trace, where it is followed.
    pub trace: Option<Arc<Followed>>,
}

/// A reading, as one store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForStore {
    /// The row it lands on.
    pub row: RowKey,
    /// Why the store will not take it, where that is known beforehand.
    pub refused: Option<String>,
}

impl Prepared {
    /// What a store makes of it.
    #[must_use]
    pub fn for_store(&self, store: usize) -> Option<&ForStore> {
        self.stores.get(store)?.as_ref()
    }

    /// Whether both would write the same values to their row.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.reading.measures == other.reading.measures
    }

    /// Memory it takes, roughly; the budget counts this.
    pub(super) fn bytes(&self) -> usize {
        /// The structs themselves and what the lanes keep for them.
        const FIXED: usize = 312;
        /// A measure's entry and its value.
        const MEASURE: usize = 48;
        let measures: usize = self
            .reading
            .measures
            .iter()
            // A short name is shared, but which ones are is not known here.
            .map(|(name, value)| MEASURE + name.len() + value.metered_bytes())
            .sum();
        /// A store's row and what its lane keeps for it.
        const STORE: usize = 96;
        let stores: usize = self
            .stores
            .iter()
            .flatten()
            // The device and the dimensions stand in the row's key, and once more by themselves.
            .map(|store| {
                STORE + 2 * store.row.0.len() + store.refused.as_ref().map_or(0, String::len)
            })
            .sum();
        FIXED + measures + stores + self.live.len()
    }
}

/// A record, decoded.
#[derive(Clone, Debug)]
pub struct PreparedRecord {
    /// The record as it came.
    pub record: Record,
    /// The user record within an aggregate; 0 for an ordinary one.
    pub sub: u64,
    /// Its readings, or why it has none.
    pub readings: Result<Vec<Arc<Prepared>>, DecodeError>,
    /// Objects in it without anything measured.
    pub no_measures: u32,
    /// The rule by which it was not looked into, if any: it then has no readings.
    pub skipped: Option<Rule>,
}

impl PreparedRecord {
    /// Memory it takes until it is done, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        /// The entry in the books of its shard.
        const FIXED: usize = 256;
        let readings: usize = match &self.readings {
            Ok(readings) => readings.iter().map(|reading| reading.bytes()).sum(),
            Err(_) => 0,
        };
        u64::try_from(FIXED + self.record.data.len() + readings).unwrap_or(u64::MAX)
    }
}

/// One reading at one sink, or one record that waits for its dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit {
    pub(super) slot: Slot,
    /// The record's number within the slot.
    pub(super) record: u64,
    /// The reading within the record.
    pub(super) index: u32,
}
