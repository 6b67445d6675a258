//! A page on its way into readings, in parts.
//!
//! Readings take many times the memory of the payloads they come from: a page of ten megabytes of
//! the smallest objects makes hundreds. So a page is decoded in parts, each of which has its place
//! in the byte budget; what is not yet decoded is counted as the bytes it is.

use std::collections::VecDeque;

use crate::decode::DecodeError;
use crate::decode::aggregate::{Aggregate, UserRecords};
use crate::model::{ChildShard, HashKey, Record, SequenceNumber};

/// What is left of a page.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    records: VecDeque<Record>,
    /// The aggregate whose user records are being passed on.
    within: Option<UserRecords>,
    /// Payload bytes of both.
    bytes: u64,
    /// Records of the page, until its first part is handed on.
    pub(super) fetched: u64,
    /// Set where the shard is closed and this is the last of it.
    pub(super) ended: Option<Vec<ChildShard>>,
    pub(super) behind_ms: u64,
    /// The record at which reading went on, and what was done of it.
    done: Option<(SequenceNumber, u64)>,
}

/// A record, or a user record of an aggregate.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) record: Record,
    pub(super) sub: u64,
    /// The key of a user record.
    pub(super) hash_key: Option<HashKey>,
    /// Why it cannot be opened.
    pub(super) broken: Option<DecodeError>,
}

impl Backlog {
    /// What comes next begins at or before this record, of which the user records up to this one
    /// are done. Only while all that came before is handed on.
    pub(super) fn go_on(&mut self, done: (SequenceNumber, u64)) {
        self.done = Some(done);
    }

    /// Takes the next page in; the one before is used up.
    pub(super) fn fill(&mut self, records: Vec<Record>) {
        self.fetched = records.len() as u64;
        self.bytes = records.iter().map(|record| record.data.len() as u64).sum();
        self.records = records.into();
    }

    /// Whether all of it is handed on.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.within.is_none()
    }

    /// Payload bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        if self.is_empty() { 0 } else { self.bytes }
    }

    /// Whether any record begins as an aggregate.
    pub(super) fn has_aggregates(&self) -> bool {
        self.records.iter().any(Aggregate::is_begun_by)
    }

    fn is_done(&self, seq: &SequenceNumber, sub: u64) -> bool {
        let done = self.done.as_ref();
        done.is_some_and(|(done, upto)| seq < done || (seq == done && sub <= *upto))
    }

    fn pop(&mut self) -> Option<Next> {
        loop {
            if let Some(within) = &mut self.within {
                if let Some(one) = within.next() {
                    return Some(Next {
                        record: one.record,
                        sub: one.sub,
                        hash_key: Some(one.hash_key),
                        broken: None,
                    });
                }
                self.bytes = self.bytes.saturating_sub(within.data().len() as u64);
                self.within = None;
            }
            let record = self.records.pop_front()?;
            let plain = |record: Record, broken| Next {
                sub: record.sub,
                record,
                hash_key: None,
                broken,
            };
            let bytes = record.data.len() as u64;
            match Aggregate::open(&record) {
                Ok(Some(aggregate)) => self.within = Some(aggregate.user_records()),
                Ok(None) => {
                    self.bytes = self.bytes.saturating_sub(bytes);
                    return Some(plain(record, None));
                }
                Err(error) => {
                    self.bytes = self.bytes.saturating_sub(bytes);
                    return Some(plain(record, Some(error)));
                }
            }
        }
    }
}

impl Iterator for Backlog {
    type Item = Next;

    fn next(&mut self) -> Option<Next> {
        loop {
            let next = self.pop()?;
            if !self.is_done(&next.record.seq, next.sub) {
                return Some(next);
            }
        }
    }
}
