//! From a page of records to what the pipeline takes in: decoding, row keys, checks and message
//! forms are done by the shard's reader, so that many shards use many cores.

use std::sync::Arc;
use std::time::Duration;

use crate::decode::Decoder;
use crate::door::time_series::TimeSeries;
use crate::model::{EpochMillis, Millis, Reading, Record, ShardId};
use crate::pipeline::message::Format;
use crate::pipeline::{ForStore, Prepared, PreparedRecord};

/// Other tasks get their turn after this many records: some milliseconds of work.
const RECORDS_A_TURN: usize = 256;

/// What preparing needs besides the records.
pub(super) struct Preparing<'a, T> {
    pub(super) stores: &'a [Arc<T>],
    /// None where there are no queues.
    pub(super) format: Option<Format>,
    pub(super) max_age: Option<Duration>,
    pub(super) now: Millis,
    pub(super) wall: EpochMillis,
}

impl<T: TimeSeries> Preparing<'_, T> {
    /// Prepares a page's records in their order.
    pub(super) async fn all(
        &self,
        decoder: &mut Decoder,
        shard: &ShardId,
        records: Vec<Record>,
    ) -> Vec<PreparedRecord> {
        let mut prepared = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            if index % RECORDS_A_TURN == RECORDS_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            prepared.push(self.record(decoder, shard, record));
        }
        prepared
    }

    fn record(&self, decoder: &mut Decoder, shard: &ShardId, record: Record) -> PreparedRecord {
        let (readings, no_measures) = match decoder.decode(shard, &record) {
            Ok(decoded) => {
                let readings = decoded.readings.into_iter();
                let prepared = readings.map(|reading| Arc::new(self.reading(reading)));
                (Ok(prepared.collect()), decoded.no_measures)
            }
            Err(error) => (Err(error), 0),
        };
        PreparedRecord {
            record,
            sub: 0,
            readings,
            no_measures,
        }
    }

    fn reading(&self, reading: Reading) -> Prepared {
        Prepared {
            stores: self
                .stores
                .iter()
                .map(|store| ForStore {
                    row: store.key(&reading),
                    refused: store.check(&reading).err(),
                })
                .collect(),
            live: self
                .format
                .map_or_else(Box::default, |format| format.write(&reading)),
            expires: self.max_age.map(|max_age| {
                let age = self.wall.0.saturating_sub(reading.arrival.0);
                let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
                self.now + max_age.saturating_sub(age)
            }),
            reading,
        }
    }
}
