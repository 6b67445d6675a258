//! The core's side of readers: starting them, and giving them leave to read.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::trouble::{self, Part};
use super::{Core, ReadBy, backlog, reader};
use crate::door::dead_letters::DeadLetters;
use crate::door::queue::QueueSender;
use crate::door::stream::Stream;
use crate::door::time_series::TimeSeries;
use crate::model::{ShardId, Start};
use crate::pipeline::{Input, Slot};
use crate::service::traces::ReadStamp;

/// A reader at work.
pub(super) struct ReaderHandle {
    pub(super) permits: mpsc::Sender<u32>,
    pub(super) stop: CancellationToken,
    pub(super) part: Part,
    pub(super) by: ReadBy,
}

impl<S: Stream, T: TimeSeries, Q: QueueSender, D: DeadLetters> Core<S, T, Q, D> {
    pub(super) fn start_reading(&mut self, slot: Slot, shard: ShardId, start: Start) {
        let (permits, permitted) = mpsc::channel(1);
        let stop = self.stop.child_token();
        let handle = ReaderHandle {
            permits,
            stop: stop.clone(),
            part: trouble::reading(&shard),
            by: ReadBy::Polling,
        };
        let reader = reader::Reader {
            slot,
            shard,
            backlog: backlog::Backlog::default(),
            range: reader::Asked::default(),
            read: ReadStamp::default(),
            resume: reader::Resume::begin(start),
            continuation: None,
            by: ReadBy::Polling,
            parts: Arc::clone(&self.parts),
            options: Arc::clone(&self.options),
            decode: Arc::clone(&self.decode),
            clock: self.clock.clone(),
            notes: self.notes.clone(),
        };
        self.parts.tasks.spawn("reader", async move {
            stop.run_until_cancelled(reader.run(permitted)).await;
        });
        self.readers.insert(slot, handle);
    }

    /// A reader asks only when its last permit is used up, so there is always room for one.
    pub(super) fn permit(&mut self, slot: Slot, limit: u32) {
        let sent = self
            .readers
            .get(&slot)
            .is_some_and(|reader| reader.permits.try_send(limit).is_ok());
        if !sent {
            let effects = self.pipeline.step(self.clock.now(), Input::NoPage(slot));
            self.carry_out(effects);
        }
    }

    pub(super) fn fell_back(&mut self, shard: &ShardId, why: &str) {
        if self.fallen.insert(shard.stream()) {
            tracing::warn!(
                shard_id = shard.as_str(),
                error = why,
                "shards of this stream are polled: they cannot be subscribed to; allow \
                 kinesis:SubscribeToShard on the consumer and restart the worker, or set \
                 `source.mode = \"polling\"`"
            );
        }
    }
}
