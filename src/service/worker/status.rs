//! What the worker believes: for `/state`, readiness and metrics.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::sync::watch;

use super::flights::{queue_part, store_part};
use super::trouble::{self, Part, Troubles};
use crate::model::{
    Checkpoint, LeaseCounter, Millis, RejectionKind, SequenceNumber, ShardId, Stage,
};
use crate::pipeline::{Book, Books, Options, Pipeline, RecordBook, Rule, SinkId, Slot};
use crate::service::metric;

/// The worker as `/state` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// When this was so, by the process's own clock: two of these make a rate.
    pub as_of_ms: u64,
    /// The shards it reads.
    pub shards: BTreeMap<ShardId, ShardStatus>,
    /// Its sinks, by their names in metrics.
    pub sinks: BTreeMap<String, SinkStatus>,
    /// The book of records.
    pub records: RecordBook,
    /// Dead letters filed, by the stage at which the record died.
    pub dead_letters: BTreeMap<Stage, u64>,
    /// Dead letters not yet filed.
    pub dead_letters_waiting: u64,
    /// Why filing dead letters fails, while it does.
    pub dead_letters_error: Option<String>,
    /// Bytes read and not yet done.
    pub budget_used_bytes: u64,
    /// The byte budget.
    pub budget_limit_bytes: u64,
    /// What will not work until a person mends configuration or permissions: not ready.
    pub fatal: Option<String>,
}

/// How a shard's records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ReadBy {
    /// They are asked for (`GetRecords`).
    #[serde(rename = "polling")]
    Polling,
    /// The stream sends them (`SubscribeToShard`).
    #[serde(rename = "fan-out")]
    FanOut,
}

/// One shard.
#[derive(Clone, Debug, Serialize)]
pub struct ShardStatus {
    /// The counter at acquisition.
    pub epoch: LeaseCounter,
    /// How its records come just now.
    pub read_by: ReadBy,
    /// How far behind the tip the last read was.
    pub behind_ms: u64,
    /// Records read.
    pub records_read: u64,
    /// Payload bytes read.
    pub bytes_read: u64,
    /// Readings decoded.
    pub readings_read: u64,
    /// Records done, and all before them.
    pub records_done: u64,
    /// Records read and not yet done.
    pub records_in_flight: u64,
    /// The last record read.
    pub last_read: Option<SequenceNumber>,
    /// Everything up to here is done.
    pub checkpoint: Option<String>,
    /// How long the checkpoint has stood still though records wait to be passed.
    pub checkpoint_age_ms: u64,
    /// Being handed back.
    pub draining: bool,
    /// Closed and read to its end.
    pub ended: bool,
    /// Why reading it fails, while it does.
    pub error: Option<String>,
}

/// One sink.
#[derive(Clone, Debug, Serialize)]
pub struct SinkStatus {
    /// What became of the readings.
    pub book: Book,
    /// Readings done a second since the last status.
    pub readings_per_second: f64,
    /// Readings that have not left yet.
    pub waiting: u64,
    /// Requests under way.
    pub requests_in_flight: u64,
    /// Requests that may be under way by now: fewer than configured after throttling.
    pub requests_allowed: u64,
    /// Why it fails, while it does.
    pub error: Option<String>,
}

/// Publishes the status and counts what changed since the last time.
#[derive(Debug)]
pub(super) struct Publisher {
    to: watch::Sender<Status>,
    sinks: Vec<Part>,
    budget: u64,
    last: Books,
    last_at: Option<Millis>,
    shards: Vec<ShardId>,
}

impl Publisher {
    pub(super) fn new(to: watch::Sender<Status>, options: &Options) -> Self {
        let queues = (0..options.queues).map(queue_part);
        let sinks: Vec<Part> = options
            .stores
            .iter()
            .map(store_part)
            .chain(queues)
            .collect();
        Self {
            to,
            last: Books {
                sinks: vec![Book::default(); sinks.len()],
                ..Books::default()
            },
            sinks,
            budget: options.budget_bytes,
            last_at: None,
            shards: Vec::new(),
        }
    }

    pub(super) fn publish(
        &mut self,
        now: Millis,
        pipeline: &Pipeline,
        troubles: &Troubles,
        read_by: impl Fn(Slot) -> ReadBy,
    ) {
        let books = pipeline.books();
        let shards = pipeline.shards().map(|(slot, shard)| {
            let status = shard_status(now, shard, read_by(slot), troubles);
            (shard.shard.clone(), status)
        });
        let status = Status {
            as_of_ms: now.0,
            shards: shards.collect(),
            sinks: self.sink_statuses(now, pipeline, troubles),
            records: books.records.clone(),
            dead_letters: books.letters.clone(),
            dead_letters_waiting: pipeline.letters_waiting(),
            dead_letters_error: troubles.of(&super::flights::letters_part()),
            // Reads under way reserve most of a budget that nothing else needs: that would look full.
            budget_used_bytes: pipeline.bytes_unfinished(),
            budget_limit_bytes: self.budget,
            fatal: troubles.fatal(),
        };
        self.gauges(&status);
        self.count(books);
        self.last = books.clone();
        self.last_at = Some(now);
        self.to.send_replace(status);
    }

    fn sink_statuses(
        &self,
        now: Millis,
        pipeline: &Pipeline,
        troubles: &Troubles,
    ) -> BTreeMap<String, SinkStatus> {
        let elapsed = self
            .last_at
            .map_or(0.0, |last| now.since(last).as_secs_f64());
        let books = pipeline.books().sinks.iter().zip(&self.last.sinks);
        let statuses = self.sinks.iter().zip(books).enumerate();
        statuses
            .map(|(index, (part, (book, last)))| {
                let lane = pipeline.lane(SinkId(index)).unwrap_or_default();
                let done = book.done() - last.done();
                #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                let rate = if elapsed > 0.0 {
                    done as f64 / elapsed
                } else {
                    0.0
                };
                let status = SinkStatus {
                    book: book.clone(),
                    readings_per_second: rate,
                    waiting: lane.waiting,
                    requests_in_flight: lane.requests,
                    requests_allowed: lane.requests_allowed,
                    error: troubles.of(part),
                };
                (part.0.clone(), status)
            })
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
    fn gauges(&mut self, status: &Status) {
        // A gauge cannot be taken back: one of a shard that left is set to nothing.
        for gone in self
            .shards
            .iter()
            .filter(|shard| !status.shards.contains_key(*shard))
        {
            let shard = || gone.as_str().to_owned();
            metrics::gauge!(metric::SHARD_BEHIND, "shard" => shard()).set(0.0);
            metrics::gauge!(metric::SHARD_CHECKPOINT_AGE, "shard" => shard()).set(0.0);
        }
        self.shards = status.shards.keys().cloned().collect();
        for (shard, state) in &status.shards {
            let shard = || shard.as_str().to_owned();
            metrics::gauge!(metric::SHARD_BEHIND, "shard" => shard())
                .set(state.behind_ms as f64 / 1e3);
            metrics::gauge!(metric::SHARD_CHECKPOINT_AGE, "shard" => shard())
                .set(state.checkpoint_age_ms as f64 / 1e3);
        }
        for (mode, by) in [("polling", ReadBy::Polling), ("fan-out", ReadBy::FanOut)] {
            let so = status.shards.values().filter(|state| state.read_by == by);
            metrics::gauge!(metric::SHARDS_READ, "mode" => mode).set(so.count() as f64);
        }
        for (sink, state) in &status.sinks {
            metrics::gauge!(metric::SINK_IN_FLIGHT, "sink" => sink.clone())
                .set(state.requests_in_flight as f64);
        }
        metrics::gauge!(metric::BUDGET_BYTES).set(status.budget_used_bytes as f64);
        metrics::gauge!(metric::BUDGET_LIMIT_BYTES).set(status.budget_limit_bytes as f64);
    }

    /// What happens seldom is counted from the start, by 0: of a series that begins with its first
    /// event, `increase` would not see that event.
    fn count(&self, books: &Books) {
        let sinks = self
            .sinks
            .iter()
            .zip(books.sinks.iter().zip(&self.last.sinks));
        for (Part(sink), (book, last)) in sinks {
            let fates = [
                ("acknowledged", book.acknowledged - last.acknowledged),
                ("dead_lettered", book.dead_lettered - last.dead_lettered),
                ("abandoned", book.abandoned - last.abandoned),
            ];
            for (fate, count) in fates {
                metrics::counter!(metric::SINK_READINGS, "sink" => sink.clone(), "fate" => fate)
                    .increment(count);
            }
            for rule in Rule::ALL {
                let of = |book: &Book| book.skipped.get(&rule).copied().unwrap_or(0);
                metrics::counter!(metric::SKIPPED, "sink" => sink.clone(), "rule" => rule.as_str())
                    .increment(of(book) - of(last));
            }
        }
        for (index, Part(sink)) in self.sinks.iter().enumerate() {
            for kind in RejectionKind::ALL {
                let of = |books: &Books| books.rejections.get(&(SinkId(index), kind)).copied();
                let more = of(books).unwrap_or(0) - of(&self.last).unwrap_or(0);
                metrics::counter!(metric::REJECTIONS, "sink" => sink.clone(), "kind" => kind.as_str())
                    .increment(more);
            }
        }
        for stage in Stage::ALL {
            let of = |books: &Books| books.letters.get(&stage).copied().unwrap_or(0);
            metrics::counter!(metric::DEAD_LETTERS, "stage" => stage.as_str())
                .increment(of(books) - of(&self.last));
        }
        metrics::counter!(metric::DECODE_FAILURES)
            .increment(books.records.undecodable - self.last.records.undecodable);
        let broken = books.broken - self.last.broken;
        metrics::counter!(metric::INVARIANTS_BROKEN, "invariant" => "L9").increment(broken);
        let unbalanced = u64::from(!books.balance() && self.last.balance());
        metrics::counter!(metric::INVARIANTS_BROKEN, "invariant" => "D1").increment(unbalanced);
        if broken + unbalanced > 0 {
            tracing::error!("the books contradict themselves: this is a defect, please report it");
        }
    }
}

fn shard_status(
    now: Millis,
    shard: &crate::pipeline::Shard,
    read_by: ReadBy,
    troubles: &Troubles,
) -> ShardStatus {
    let age = shard.checkpoint_age(now).as_millis();
    ShardStatus {
        epoch: shard.epoch,
        read_by,
        behind_ms: shard.behind_ms,
        records_read: shard.records_read,
        bytes_read: shard.bytes_read,
        readings_read: shard.readings_read,
        records_done: shard.records_done,
        records_in_flight: shard.in_flight(),
        last_read: shard.last_read.clone(),
        checkpoint: shard.checkpoint.as_ref().map(Checkpoint::to_string),
        checkpoint_age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        draining: shard.draining,
        ended: shard.ended.is_some(),
        error: troubles.of(&trouble::reading(&shard.shard)),
    }
}
