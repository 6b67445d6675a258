//! Shards and records as Kinesis has them.

use std::str::FromStr;

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
    /// The hash keys it takes; none where Kinesis's two decimals are none.
    #[must_use]
    pub fn hash_range(&self) -> Option<HashRange> {
        Some(HashRange {
            first: self.starting_hash_key.parse().ok()?,
            last: self.ending_hash_key.parse().ok()?,
        })
    }

    /// Both parents that Kinesis still names.
    pub fn parents(&self) -> impl Iterator<Item = &ShardId> {
        self.parent.iter().chain(self.adjacent_parent.iter())
    }
}

/// What decides which shard a record belongs to: a number of 128 bits, the MD5 of its partition key
/// or what its producer gave in that one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl FromStr for HashKey {
    type Err = &'static str;

    /// Kinesis writes hash keys as decimals of 0 to 2^128 - 1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number
            .map(Self)
            .ok_or("is no decimal number of 0 to 2^128 - 1")
    }
}

/// The hash keys that a shard takes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    /// The first.
    pub first: HashKey,
    /// The last.
    pub last: HashKey,
}

impl HashRange {
    /// Whether a record with this key belongs to the shard.
    #[must_use]
    pub fn takes(&self, key: HashKey) -> bool {
        (self.first..=self.last).contains(&key)
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
    /// At this record, once more: of the user records it holds, those up to this one are done. One
    /// that is no aggregate is then done itself, as its own number 0.
    At {
        /// The record.
        seq: SequenceNumber,
        /// The last user record done.
        sub: u64,
    },
    /// After this record.
    After(SequenceNumber),
}

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub seq: SequenceNumber,
    /// The user record that it is, where it was taken out of its aggregate before; 0 else.
    pub sub: u64,
    /// Its partition key; absent where the stream spreads records by itself.
    pub partition_key: Option<PartitionKey>,
    /// When Kinesis took it.
    pub arrival: EpochMillis,
    /// Its payload.
    pub data: Bytes,
}
