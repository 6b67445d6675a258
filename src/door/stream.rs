//! The stream: its shards, and the records of a shard after a place in it, asked for or sent.

use std::future::Future;

use super::fault::{CallFailed, Fault, Faulty};
use crate::model::{ChildShard, EpochMillis, Record, SequenceNumber, Shard, ShardId, Start};

/// An opaque place in a shard, good for five minutes (AWS: `GetShardIterator`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator(pub String);

/// One answer of `GetRecords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Records in sequence order; none is normal.
    pub records: Vec<Record>,
    /// Where to go on; `None`: the shard is closed and read to its end.
    pub next: Option<ShardIterator>,
    /// How far behind the tip this answer is, milliseconds.
    pub behind_ms: u64,
    /// The children of a shard that has ended; some servers leave them out.
    pub children: Vec<ChildShard>,
}

/// One event of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Records in sequence order; none is normal.
    pub records: Vec<Record>,
    /// Where the next subscription goes on, after it. It moves though no record comes; none at
    /// the shard's end.
    pub continuation: Option<SequenceNumber>,
    /// How far behind the tip this event is, milliseconds.
    pub behind_ms: u64,
    /// Set where the shard is closed and this is the last of it.
    pub ended: Option<Vec<ChildShard>>,
}

/// A failed call to the stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The iterator is over five minutes old, or the server no longer knows it.
    #[error("the shard iterator has expired")]
    IteratorExpired,
    /// No such stream, or no such shard any more.
    #[error("{operation}: not found: {message}")]
    NotFound {
        /// The operation as AWS names it.
        operation: &'static str,
        /// AWS's message.
        message: String,
    },
    /// The shard does not have the record any more at which reading was to begin. Servers need not
    /// say so: most begin at the oldest record left.
    #[error("{operation}: the place to begin at is gone: {message}")]
    PlaceGone {
        /// The operation as AWS names it.
        operation: &'static str,
        /// AWS's message.
        message: String,
    },
    /// Another subscription of this consumer to the shard is open, or was opened within the last
    /// five seconds (AWS: `ResourceInUseException`).
    #[error("{operation}: another subscription of this consumer holds the shard: {message}")]
    Held {
        /// The operation as AWS names it.
        operation: &'static str,
        /// AWS's message.
        message: String,
    },
    /// Anything else.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Faulty for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::IteratorExpired => Fault::Transient,
            Self::NotFound { .. } | Self::PlaceGone { .. } => Fault::Fatal,
            Self::Held { .. } => Fault::Conflict,
            Self::Call(call) => call.fault,
        }
    }
}

/// Records of one shard, sent as they are written, for five minutes at most. Dropping it ends it.
pub trait Subscription: Send + 'static {
    /// Waits until an event begins to arrive, without taking it in: its bytes on the wire. `None`:
    /// the subscription is over. May be dropped and called again.
    fn arrived(&mut self) -> impl Future<Output = Result<Option<u64>, Error>> + Send;

    /// Takes in the event that has begun to arrive, or waits for one. `None`: the subscription is
    /// over. Until this is called no more than a fixed part of an event is held, so that whoever
    /// has no room need not make any.
    fn event(&mut self) -> impl Future<Output = Result<Option<Event>, Error>> + Send;
}

/// The subscription of a stream that is only polled: there is none.
#[derive(Clone, Copy, Debug)]
pub enum NoSubscription {}

impl Subscription for NoSubscription {
    async fn arrived(&mut self) -> Result<Option<u64>, Error> {
        match *self {}
    }

    async fn event(&mut self) -> Result<Option<Event>, Error> {
        match *self {}
    }
}

/// A Kinesis data stream, polled or subscribed to.
pub trait Stream: Send + Sync + 'static {
    /// What sends a shard's records.
    type Subscription: Subscription;

    /// All shards that are still listed, open and closed, with paging followed to its end.
    fn shards(&self) -> impl Future<Output = Result<Vec<Shard>, Error>> + Send;

    /// The stream service's own clock (its `Date` header), by which `LATEST` is pinned.
    fn server_time(&self) -> impl Future<Output = Result<EpochMillis, Error>> + Send;

    /// An iterator at a place of a shard.
    fn iterator(
        &self,
        shard: &ShardId,
        start: &Start,
    ) -> impl Future<Output = Result<ShardIterator, Error>> + Send;

    /// Up to `limit` (1 to 10,000) records and 10 MiB after an iterator.
    fn records(
        &self,
        iterator: &ShardIterator,
        limit: u32,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// Whether there is a consumer to subscribe with to this shard; by default there is none.
    fn has_consumer(&self, _shard: &ShardId) -> bool {
        false
    }

    /// Subscribes to a shard's records from a place on. It takes over from an older subscription of
    /// the same consumer.
    fn subscribe(
        &self,
        shard: &ShardId,
        _start: &Start,
    ) -> impl Future<Output = Result<Self::Subscription, Error>> + Send {
        let message = format!("there is no consumer for {shard}");
        std::future::ready(Err(Error::Call(CallFailed {
            operation: "SubscribeToShard",
            fault: Fault::Fatal,
            message,
        })))
    }
}
