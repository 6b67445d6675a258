//! The books: what became of every reading at every sink (promise P1, invariant D1).

use std::collections::BTreeMap;

use serde::Serialize;

use super::SinkId;
use crate::model::{RejectionKind, Stage};

/// A named rule by which a reading is kept from a sink without being lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Nothing in it was measured.
    NoMeasures,
    /// Older than `queue.max_age_s`.
    MaxAge,
    /// The store holds a higher version of it.
    Superseded,
    /// A user record of an aggregate that belongs to another shard (KCL's rule); counted once for
    /// each sink, since it is not looked into.
    HashRange,
    /// A record older than `source.maximum_record_age_s`; counted once for each sink, since it is
    /// not looked into.
    MaximumRecordAge,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NoMeasures,
        Self::MaxAge,
        Self::Superseded,
        Self::HashRange,
        Self::MaximumRecordAge,
    ];

    /// A label for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMeasures => "no_measures",
            Self::MaxAge => "max_age",
            Self::Superseded => "superseded",
            Self::HashRange => "hash_range",
            Self::MaximumRecordAge => "maximum_record_age",
        }
    }
}

/// One sink's book. Its unit is the reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Book {
    /// Read for this sink.
    pub read: u64,
    /// The sink has it.
    pub acknowledged: u64,
    /// Its dead letter is filed.
    pub dead_lettered: u64,
    /// Kept from the sink by a rule.
    pub skipped: BTreeMap<Rule, u64>,
    /// Given up with a lost ownership; the next owner reads it again.
    pub abandoned: u64,
    /// Not yet any of these.
    pub in_flight: u64,
}

impl Book {
    /// Invariant D1.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.done() + self.abandoned + self.in_flight
    }

    /// Acknowledged, dead-lettered or skipped.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.acknowledged + self.dead_lettered + self.skipped.values().sum::<u64>()
    }

    pub(super) fn skip(&mut self, rule: Rule) {
        *self.skipped.entry(rule).or_default() += 1;
    }
}

/// The book of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordBook {
    /// Read.
    pub read: u64,
    /// Passed by a checkpoint: done, and all before them.
    pub done: u64,
    /// Given up with a lost ownership.
    pub abandoned: u64,
    /// Read and not yet passed.
    pub in_flight: u64,
    /// Those that did not decode; each is one dead letter.
    pub undecodable: u64,
}

impl RecordBook {
    /// Invariant D1, for records.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.done + self.abandoned + self.in_flight
    }
}

/// All books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Of records.
    pub records: RecordBook,
    /// By sink: the store, then the queues.
    pub sinks: Vec<Book>,
    /// Letters filed, by the stage at which the record died.
    pub letters: BTreeMap<Stage, u64>,
    /// Readings that a sink refused, by sink and kind.
    #[serde(skip)]
    pub rejections: BTreeMap<(SinkId, RejectionKind), u64>,
    /// Steps that contradict an invariant: a defect wherever it is not 0.
    pub broken: u64,
}

impl Books {
    pub(super) fn new(sinks: usize) -> Self {
        Self {
            sinks: vec![Book::default(); sinks],
            ..Self::default()
        }
    }

    /// Invariant D1, for every book.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.records.balances() && self.sinks.iter().all(Book::balances)
    }
}
