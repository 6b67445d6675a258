//! The stream: its shards, and the records of a shard after a place in it.

use std::future::Future;

use super::fault::{Fault, Faulty};
use crate::model::{ChildShard, EpochMillis, Record, Shard, ShardId, Start};

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
    /// Anything else.
    #[error(transparent)]
    Call(#[from] super::fault::CallFailed),
}

impl Faulty for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::IteratorExpired => Fault::Transient,
            Self::NotFound { .. } | Self::PlaceGone { .. } => Fault::Fatal,
            Self::Call(call) => call.fault,
        }
    }
}

/// A Kinesis data stream, polled.
pub trait Stream: Send + Sync + 'static {
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
}
