//! From records to what the pipeline takes in: decoding, row keys, checks and message forms are
//! done by the shard's reader, so that many shards use many cores.

use std::sync::Arc;
use std::time::Duration;

use super::backlog::{Backlog, Next};
use crate::decode::Decoder;
use crate::door::time_series::TimeSeries;
use crate::model::{EpochMillis, HashRange, Millis, Reading, ShardId};
use crate::pipeline::message::Format;
use crate::pipeline::{ForStore, PART_BYTES, Prepared, PreparedRecord, Rule};
use crate::service::traces::Tracer;

/// Other tasks get their turn after this many records: some milliseconds of work.
const RECORDS_A_TURN: usize = 256;

/// What preparing needs besides the records.
pub(super) struct Preparing<'a, T> {
    pub(super) stores: &'a [Arc<T>],
    /// None where there are no queues.
    pub(super) format: Option<Format>,
    /// Of readings in the live queues.
    pub(super) max_age: Option<Duration>,
    /// Of records that are read at all.
    pub(super) record_max_age: Option<Duration>,
    /// What the shard takes, where user records of others are to be skipped.
    pub(super) range: Option<HashRange>,
    pub(super) now: Millis,
    pub(super) wall: EpochMillis,
    pub(super) tracer: &'a Tracer,
}

impl<T: TimeSeries> Preparing<'_, T> {
    /// Prepares the next part of a page, its records in their order.
    pub(super) async fn part(
        &self,
        decoder: &mut Decoder,
        shard: &ShardId,
        backlog: &mut Backlog,
    ) -> Vec<PreparedRecord> {
        let mut prepared = Vec::new();
        let mut bytes = 0;
        while bytes < PART_BYTES
            && let Some(next) = backlog.next()
        {
            if prepared.len() % RECORDS_A_TURN == RECORDS_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            let record = self.record(decoder, shard, next);
            bytes += record.bytes();
            prepared.push(record);
        }
        prepared
    }

    fn record(&self, decoder: &mut Decoder, shard: &ShardId, next: Next) -> PreparedRecord {
        let skipped = self.skipped(&next);
        let decoded = match (skipped, next.broken) {
            (Some(_), _) => Ok(crate::decode::Decoded::default()),
            (None, Some(broken)) => Err(broken),
            (None, None) => decoder.decode(shard, &next.record, next.sub),
        };
        let (readings, no_measures) = match decoded {
            Ok(decoded) => {
                let readings = decoded.readings.into_iter();
                let prepared = readings.map(|reading| Arc::new(self.reading(reading)));
                (Ok(prepared.collect()), decoded.no_measures)
            }
            Err(error) => (Err(error), 0),
        };
        PreparedRecord {
            record: next.record,
            sub: next.sub,
            readings,
            no_measures,
            skipped,
        }
    }

    /// The rule by which a record is not even looked into.
    fn skipped(&self, next: &Next) -> Option<Rule> {
        let outside = |range: HashRange| next.hash_key.is_some_and(|key| !range.takes(key));
        if self.range.is_some_and(outside) {
            return Some(Rule::HashRange);
        }
        let too_old = |max: Duration| self.age(next.record.arrival) > max;
        let old = self.record_max_age.is_some_and(too_old);
        old.then_some(Rule::MaximumRecordAge)
    }

    fn age(&self, arrival: EpochMillis) -> Duration {
        let age = self.wall.0.saturating_sub(arrival.0);
        Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }

    fn reading(&self, reading: Reading) -> Prepared {
        Prepared {
            trace: self.tracer.follow(&reading),
            stores: self
                .stores
                .iter()
                .map(|store| {
                    store.takes(&reading).then(|| ForStore {
                        row: store.key(&reading),
                        refused: store.check(&reading).err(),
                    })
                })
                .collect(),
            live: self
                .format
                .map_or_else(Box::default, |format| format.write(&reading)),
            expires: self
                .max_age
                .map(|max_age| self.now + max_age.saturating_sub(self.age(reading.arrival))),
            reading,
        }
    }
}
