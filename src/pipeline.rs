//! Floor 1: from records read to records done.
//!
//! [`Pipeline::step`] takes one [`Input`] and answers with [`Effect`]s; a service carries those
//! out and comes back with what happened. The way of a record:
//!
//! ```text
//!  Ready -> [budget] -> Read -> Page -> one unit per reading and sink
//!                                         |            |
//!                              [lane: each store]   [lane: each queue]  -> Write / Send -> Answered
//!                                         |            |
//!                                  acknowledged, skipped, or [letters] -> File -> Answered
//!                                         |
//!                     [progress]: all units of a record closed, and of all before it
//!                                         -> Say(Checkpoint)
//! ```
//!
//! What it holds, each by a test: a checkpoint never passes a record that is not done (L9);
//! per sink, read = acknowledged + dead-lettered + skipped + abandoned + in flight (D1); bytes
//! stay within one budget (B1); per shard a sink sees stream order, and two readings of one row
//! are never under way together (P3).

mod books;
mod budget;
pub mod feeding;
mod intake;
mod lane;
mod letters;
pub mod message;
mod ownership;
mod progress;
mod state;
pub mod subscribing;
mod unit;

pub use books::{Book, Books, RecordBook, Rule};
pub use lane::LaneStatus;
pub use ownership::Shard;
pub use state::Pipeline;
pub use unit::{FlightId, ForStore, Prepared, PreparedRecord, Slot};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::lease::talk::{Event, Say};
use crate::model::{
    ChildShard, DeadLetter, LeaseCounter, RejectionKind, ShardId, Stage, Start, StreamName,
};

/// How the pipeline behaves. Times are upper bounds on waiting for company, never on work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The stream, for dead letters.
    pub stream: StreamName,
    /// The time-series stores; every one gets the readings that are meant for it.
    pub stores: Vec<StoreOptions>,
    /// How many queues there are; every one gets every reading.
    pub queues: usize,
    /// What a queue's messages look like.
    pub queue_format: message::Format,
    /// How long a reading waits for others before its message is sent.
    pub queue_window: Duration,
    /// Requests to one queue under way at once, each of other shards.
    pub queue_requests_max: usize,
    /// Which of them are FIFO queues.
    pub fifo_queues: BTreeSet<usize>,
    /// Whether messages say to which device they belong, for standard queues that deal fairly
    /// with groups. FIFO queues are always told.
    pub fair_queues: bool,
    /// Readings share a message up to this size. SQS bills each 64 KB of a request, so larger
    /// saves nothing.
    pub message_bytes_max: usize,
    /// What a queue takes as a message: one reading may be so large, alone.
    pub message_bytes_limit: usize,
    /// Bytes read and not yet done, all shards together (invariant B1).
    pub budget_bytes: u64,
    /// Reads under way at once; the budget is overshot by at most one answer for each.
    pub reads_max: usize,
    /// Records asked for in one read at most (Kinesis: 10,000).
    pub records_max: u32,
}

/// How readings travel to one time-series store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// What it is called in dead letters.
    pub name: Stage,
    /// What it is called in metrics and `/state`; no two stores the same.
    pub label: String,
    /// Readings in a request (Timestream: 100).
    pub batch_max: usize,
    /// Bytes that the readings of a request take in memory, which is more than on the wire.
    pub bytes_max: usize,
    /// How long a reading waits for others before its request is sent.
    pub window: Duration,
    /// Requests under way at once, each of other shards.
    pub requests_max: usize,
}

impl StoreOptions {
    /// The defaults for a store of that name.
    #[must_use]
    pub fn new(name: Stage) -> Self {
        Self {
            name,
            label: name.as_str().to_owned(),
            batch_max: 100,
            bytes_max: usize::MAX,
            window: Duration::from_millis(200),
            requests_max: 8,
        }
    }
}

impl Options {
    /// The defaults for a store, a stream and a number of queues.
    #[must_use]
    pub fn new(stream: StreamName, queues: usize) -> Self {
        Self {
            stream,
            stores: vec![StoreOptions::new(Stage::Timestream)],
            queues,
            queue_format: message::Format::Packed,
            queue_window: Duration::from_millis(50),
            queue_requests_max: 8,
            fifo_queues: BTreeSet::new(),
            fair_queues: false,
            message_bytes_max: 62 * 1024,
            message_bytes_limit: 1024 * 1024,
            budget_bytes: 32 * 1024 * 1024,
            reads_max: 8,
            records_max: 10_000,
        }
    }
}

/// A sink: the stores are the first, the queues follow, each in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkId(pub usize);

/// What a sink is, and its place among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkKind {
    Store(usize),
    Queue(usize),
}

impl Options {
    /// What a sink is.
    pub(crate) fn kind(&self, sink: SinkId) -> SinkKind {
        match sink.0.checked_sub(self.stores.len()) {
            None => SinkKind::Store(sink.0),
            Some(queue) => SinkKind::Queue(queue),
        }
    }

    /// Whether a queue is told whose each message is.
    pub(crate) fn is_grouped(&self, queue: usize) -> bool {
        self.fair_queues || self.fifo_queues.contains(&queue)
    }

    /// Whether a sink gets this reading: a queue every one, a store those meant for it.
    pub(crate) fn is_meant(&self, sink: SinkId, prepared: &Prepared) -> bool {
        match self.kind(sink) {
            SinkKind::Store(store) => prepared.for_store(store).is_some(),
            SinkKind::Queue(_) => true,
        }
    }

    /// How many of these readings a sink gets.
    pub(crate) fn meant(&self, sink: SinkId, readings: &[Arc<Prepared>]) -> usize {
        let meant = readings.iter().filter(|one| self.is_meant(sink, one));
        meant.count()
    }

    /// What a sink's dead letters give as their stage.
    pub(crate) fn stage(&self, sink: SinkId) -> Stage {
        self.stores
            .get(sink.0)
            .map_or(Stage::Queue, |store| store.name)
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The shard is ours.
    Granted {
        /// The shard.
        shard: ShardId,
        /// The ownership.
        epoch: LeaseCounter,
        /// Where to begin.
        start: Start,
    },
    /// Read no more of it and finish.
    Drain {
        /// The shard.
        shard: ShardId,
        /// The ownership.
        epoch: LeaseCounter,
    },
    /// The shard is not ours any more.
    Revoked {
        /// The shard.
        shard: ShardId,
        /// The ownership.
        epoch: LeaseCounter,
    },
    /// Nobody grants shards any more: drain all.
    Closed,
    /// A reader would read, or go on with what it has.
    Ready {
        /// Whose.
        slot: Slot,
        /// The size of the event that the stream has begun to send, where it sends.
        event_bytes: Option<u64>,
    },
    /// A reader has read.
    Page {
        /// Whose.
        slot: Slot,
        /// What.
        page: PreparedPage,
    },
    /// A read failed; the reader will be ready again.
    NoPage(Slot),
    /// A request has its final answer.
    Answered {
        /// Which.
        flight: FlightId,
        /// What it is.
        answer: Answer,
    },
    /// A request was asked to come more slowly, and will be repeated.
    Throttled(FlightId),
    /// Time has passed.
    Tick,
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        match event {
            Event::Granted {
                shard,
                epoch,
                start,
            } => Self::Granted {
                shard,
                epoch,
                start,
            },
            Event::Drain { shard, epoch, .. } => Self::Drain { shard, epoch },
            Event::Revoked { shard, epoch } => Self::Revoked { shard, epoch },
        }
    }
}

/// Memory of readings and payloads that one part of a page takes, but for the last record in it:
/// as much as is decoded before the budget is asked again. A page of a thousand ordinary records is
/// a few parts.
pub const PART_BYTES: u64 = 256 * 1024;

/// One answer of the stream, decoded, or a part of it.
#[derive(Clone, Debug, Default)]
pub struct PreparedPage {
    /// Its records, in order.
    pub records: Vec<PreparedRecord>,
    /// Records that the stream answered with; 0 for parts after the first.
    pub fetched: u64,
    /// Bytes of the answer that are not decoded yet; 0 for the last part. Their reader asks for its
    /// next read when it would decode more of them.
    pub waiting_bytes: u64,
    /// Set where the shard is closed and this was the last of it, and its last part.
    pub ended: Option<Vec<ChildShard>>,
    /// How far behind the tip it is, milliseconds.
    pub behind_ms: u64,
}

/// The final answer to a request; failures that pass are repeated before it comes to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, but for these.
    Taken(Vec<Refusal>),
    /// Refused as a whole, nothing taken: smaller parts may be right.
    Rejected(String),
    /// It failed, and was recalled before it was repeated.
    Recalled,
}

/// One item of a request that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the request.
    pub index: usize,
    /// What kind of refusal.
    pub kind: RejectionKind,
    /// The sink's words.
    pub reason: String,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Start a reader.
    StartReading {
        /// Its name from now on.
        slot: Slot,
        /// The shard.
        shard: ShardId,
        /// The ownership.
        epoch: LeaseCounter,
        /// Where to begin.
        start: Start,
    },
    /// A ready reader may read this many records.
    Read {
        /// Whose.
        slot: Slot,
        /// How many at most.
        limit: u32,
    },
    /// End a reader; a page it still brings is ignored.
    StopReading(Slot),
    /// Write these to a store; all their rows there differ.
    Write {
        /// Names the request.
        flight: FlightId,
        /// Which store.
        store: usize,
        /// What to write.
        batch: Vec<Arc<Prepared>>,
    },
    /// Send these to a queue: packed in one message, or each as its own.
    Send {
        /// Names the request.
        flight: FlightId,
        /// Which queue.
        queue: usize,
        /// What to send.
        batch: Vec<Arc<Prepared>>,
    },
    /// File these dead letters.
    File {
        /// Names the request.
        flight: FlightId,
        /// What to file.
        letters: Vec<DeadLetter>,
    },
    /// Nobody waits for this request any more: repeat it no further.
    Cancel(FlightId),
    /// Part of this request is of a shard that is lost: instead of repeating it, answer
    /// [`Answer::Recalled`], and what is still wanted of it comes as a request of its own.
    Recall(FlightId),
    /// Tell the keeper of leases.
    Say(Say),
}

#[cfg(test)]
mod tests;
