//! A row of the lease table as DynamoDB has it: attributes by name.
//!
//! The adapter does nothing but translate to and from this; what the attributes mean is decided in
//! [`super::row`], and what is written in [`super::change`], where it can be tested without AWS.

use std::collections::{BTreeMap, BTreeSet};

/// A row: attributes by name.
pub type Item = BTreeMap<String, Value>;

/// An attribute's value, as far as leases use DynamoDB's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string (`S`).
    S(String),
    /// A number (`N`) in DynamoDB's text form.
    N(String),
    /// A string set (`SS`), never empty: DynamoDB refuses empty sets.
    Ss(BTreeSet<String>),
    /// Any other type. We never write one, and an update leaves it as it is.
    Other,
}

impl Value {
    /// A string.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::S(text.as_ref().to_owned())
    }

    /// A whole number.
    #[must_use]
    pub fn number(number: u64) -> Self {
        Self::N(number.to_string())
    }
}

/// About how many bytes DynamoDB counts for a row when it is read: names and values.
#[must_use]
pub fn size_bytes(item: &Item) -> usize {
    let of = |value: &Value| match value {
        Value::S(text) => text.len(),
        // Two digits a byte, and one more.
        Value::N(digits) => digits.len().div_ceil(2) + 1,
        Value::Ss(set) => set.iter().map(|text| text.len() + 1).sum::<usize>() + 3,
        Value::Other => 0,
    };
    item.iter()
        .map(|(name, value)| name.len() + of(value))
        .sum()
}

/// Names of attributes: KCL's (`DynamoDBLeaseSerializer`), then ours.
pub mod name {
    /// Hash key: the shard's id, in fleets over several streams with the stream before it.
    pub const KEY: &str = "leaseKey";
    /// Who owns the lease; absent: nobody. During a handover the *next* owner.
    pub const OWNER: &str = "leaseOwner";
    /// Heartbeat, lock and fencing token.
    pub const COUNTER: &str = "leaseCounter";
    /// How often the owner changed since the last checkpoint; KCL fails on rows without it.
    pub const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
    /// How far the shard has been done.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The user record within the aggregate that `checkpoint` names.
    pub const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
    /// KCL's two-phase checkpoint; a checkpoint clears all three.
    pub const PENDING: [&str; 3] = [
        "pendingCheckpoint",
        "pendingCheckpointSubSequenceNumber",
        "pendingCheckpointState",
    ];
    /// Parents, a set although its name is singular.
    pub const PARENTS: &str = "parentShardId";
    /// Children, written at the shard's end.
    pub const CHILDREN: &str = "childShardIds";
    /// The stream, in fleets over several (KCL: `StreamIdentifier.serialize`).
    pub const STREAM: &str = "streamName";
    /// The shard's bare id, in fleets over several streams.
    pub const SHARD: &str = "shardId";
    /// First hash key of the shard.
    pub const HASH_FIRST: &str = "startingHashKey";
    /// Last hash key of the shard.
    pub const HASH_LAST: &str = "endingHashKey";
    /// During a handover the owner that may still checkpoint.
    pub const CHECKPOINT_OWNER: &str = "checkpointOwner";
    /// What kind of row this is (KCL 3.5); absent means a lease.
    pub const ENTITY: &str = "entityType";
    /// The UUID of the process that wrote last.
    pub const WRITER: &str = "tw_writer";
    /// The owner, as tidewire wrote it: equal to `leaseOwner` only while a tidewire worker owns
    /// the lease, since KCL changes `leaseOwner` and leaves this alone.
    pub const TW_OWNER: &str = "tw_owner";
    /// Who asked for the handover that is under way.
    pub const RECEIVER: &str = "tw_receiver";
    /// Where `LATEST` or `AT_TIMESTAMP` begins, milliseconds since the epoch.
    pub const START_MS: &str = "tw_start_ms";
    /// Bytes a second that the shard carried lately; written where leases are spread by that.
    pub const RATE: &str = "tw_rate";
}
