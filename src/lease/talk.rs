//! What leasing and reading say to each other. The keeper of leases grants, drains and revokes
//! shards; the worker reports how far it got. Neither waits for the other.

use crate::model::{Checkpoint, ChildShard, LeaseCounter, Millis, ShardId, Start};

/// Why a shard is to be handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrainReason {
    /// This process is shutting down.
    Shutdown,
    /// Another worker asked for it.
    Handoff,
}

/// The keeper of leases to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Read this shard. Everything said about it later carries this epoch.
    Granted {
        /// The shard.
        shard: ShardId,
        /// The counter at acquisition: the fencing token of this ownership.
        epoch: LeaseCounter,
        /// Where to begin.
        start: Start,
    },
    /// Read no more of it, finish what is in flight, then say [`Say::Drained`].
    Drain {
        /// The shard.
        shard: ShardId,
        /// The ownership meant.
        epoch: LeaseCounter,
        /// Why.
        reason: DrainReason,
        /// When the keeper stops waiting.
        deadline: Millis,
    },
    /// The lease is gone (lost, fenced, or handed on): abandon whatever is in flight now.
    Revoked {
        /// The shard.
        shard: ShardId,
        /// The ownership meant.
        epoch: LeaseCounter,
    },
}

/// The worker to the keeper of leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// Everything up to here is done; written with the next heartbeat.
    Checkpoint {
        /// The shard.
        shard: ShardId,
        /// The ownership under which it was done.
        epoch: LeaseCounter,
        /// How far.
        checkpoint: Checkpoint,
    },
    /// How much was read lately; where leases are spread by that, it is written beside the heartbeat.
    Rate {
        /// The shard.
        shard: ShardId,
        /// The ownership under which it was read.
        epoch: LeaseCounter,
        /// How much.
        bytes_per_s: u64,
    },
    /// The shard is closed and everything in it is done.
    Ended {
        /// The shard.
        shard: ShardId,
        /// The ownership under which it was done.
        epoch: LeaseCounter,
        /// Its children as Kinesis named them; none where the server leaves them out.
        children: Vec<ChildShard>,
    },
    /// Nothing of this shard is in flight any more; the answer to [`Event::Drain`].
    Drained {
        /// The shard.
        shard: ShardId,
        /// The ownership that ends.
        epoch: LeaseCounter,
        /// How far it got, if it got anywhere since the last checkpoint it reported.
        checkpoint: Option<Checkpoint>,
    },
}
