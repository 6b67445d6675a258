//! What the keeper hears and what it answers.

use crate::lease::change::{Answer, Change};
use crate::lease::invariant::Broken;
use crate::lease::item::Item;
use crate::lease::row::Unreadable;
use crate::lease::talk::{Event, Say};
use crate::model::{EpochMillis, Fault, LeaseCounter, Shard, ShardId, WorkerId};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time passed: [`Keeper::wake`](super::Keeper::wake) has come.
    Tick,
    /// The answer to [`Effect::Scan`].
    Scanned(Result<Vec<Item>, Fault>),
    /// The answer to [`Effect::List`].
    Listed(Result<Listed, Fault>),
    /// The answer to [`Effect::Read`].
    Read {
        /// The shard whose row was read.
        shard: ShardId,
        /// Its row, if there is one.
        answer: Result<Option<Item>, Fault>,
    },
    /// The answer to [`Effect::Write`]. An error other than throttling leaves the outcome unknown.
    Wrote {
        /// The shard whose row was written.
        shard: ShardId,
        /// What became of it.
        answer: Result<Answer, Fault>,
    },
    /// The worker reports.
    Said(Say),
    /// This process is to stop: drain, checkpoint, release.
    Shutdown,
}

/// The stream as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// All shards.
    pub shards: Vec<Shard>,
    /// The stream service's clock, asked *after* the shards were listed, so that a shard split in
    /// between is read from its parent.
    pub server_time: EpochMillis,
}

/// Something to do. Each of the first four is answered exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the whole table; one at a time.
    Scan,
    /// List the stream's shards, then ask its clock; one at a time.
    List,
    /// Read one row, consistently; one at a time for each shard.
    Read(ShardId),
    /// Write; one at a time for each shard.
    Write(Change),
    /// Tell the worker.
    Tell(Event),
    /// For metrics and logs.
    Note(Note),
    /// Stop with this error: nothing was taken.
    Refuse(crate::lease::Error),
    /// After [`Input::Shutdown`]: everything is released, or the deadline has passed.
    Gone,
}

/// What is worth counting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A lease was taken.
    Taken {
        /// The shard.
        shard: ShardId,
        /// The ownership that begins.
        epoch: LeaseCounter,
        /// `unowned`, `expired`, `handed_over` or (mixed fleets) `stolen`.
        how: &'static str,
    },
    /// A lease was lost.
    Lost {
        /// The shard.
        shard: ShardId,
        /// The ownership that ends.
        epoch: LeaseCounter,
        /// `taken`, `fenced` or `row_gone`.
        why: &'static str,
    },
    /// A lease was given up on purpose.
    Released {
        /// The shard.
        shard: ShardId,
        /// `shutdown`, `handoff`, `ended` or (mixed fleets) `left_to_expire`.
        why: &'static str,
    },
    /// We asked another worker for a lease.
    Asked {
        /// The shard.
        shard: ShardId,
        /// Whom.
        from: WorkerId,
    },
    /// A handover was not done in time and taken back.
    Reverted(ShardId),
    /// Another worker's write came before ours.
    Conflict(ShardId),
    /// No lease covers these hash keys: their records are not read. The stream is listed, and what
    /// is missing made anew.
    Hole {
        /// The first of them.
        first: u128,
        /// The last of them.
        last: u128,
    },
    /// A row was created for a shard.
    Created(ShardId),
    /// The row of an ended shard was deleted.
    Deleted(ShardId),
    /// A write of ours broke an invariant: a defect.
    Broken(Broken),
    /// A row that we cannot read; it is left alone.
    Unreadable(Unreadable),
}
