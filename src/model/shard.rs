//! Shards and records as Kinesis has them.

use bytes::Bytes;

use super::id::{PartitionKey, ShardId};
use super::position::SequenceNumber;
use super::time::EpochMillis;

/// A shard as Kinesis lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: ShardId,
    /// The shard it was split or merged from; absent, too, once that one is past retention.
    pub parent: Option<ShardId>,
    /// The second parent of a merge.
    pub adjacent_parent: Option<ShardId>,
    /// The first partition-key hash it takes, a decimal of 0 to 2^128 - 1.
    pub starting_hash_key: String,
    /// The last partition-key hash it takes.
    pub ending_hash_key: String,
    /// The first sequence number it can hold.
    pub starting_seq: SequenceNumber,
    /// Set once the shard is closed.
    pub ending_seq: Option<SequenceNumber>,
}

impl Shard {
    /// Both parents that Kinesis still names.
    pub fn parents(&self) -> impl Iterator<Item = &ShardId> {
        self.parent.iter().chain(self.adjacent_parent.iter())
    }
}

/// A child as `GetRecords` names it at a closed shard's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildShard {
    /// Its id.
    pub id: ShardId,
    /// Its parents: one after a split, two after a merge.
    pub parents: Vec<ShardId>,
    /// The first partition-key hash it takes.
    pub starting_hash_key: String,
    /// The last partition-key hash it takes.
    pub ending_hash_key: String,
}

/// Where reading a shard begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record kept.
    TrimHorizon,
    /// At the first record that arrived at or after this time.
    AtTimestamp(EpochMillis),
    /// At this record, once more: only some of what it holds is done.
    At(SequenceNumber),
    /// After this record.
    After(SequenceNumber),
}

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub seq: SequenceNumber,
    /// Its partition key; absent where the stream spreads records by itself.
    pub partition_key: Option<PartitionKey>,
    /// When Kinesis took it.
    pub arrival: EpochMillis,
    /// Its payload.
    pub data: Bytes,
}
