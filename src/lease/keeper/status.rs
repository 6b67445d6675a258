//! What the keeper believes, for `/state` and metrics.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Keeper, Phase};
use crate::model::{LeaseCounter, ShardId, WorkerId};

/// What one worker believes about all leases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The worker.
    pub worker: String,
    /// Whether the table was scanned and the stream listed at least once.
    pub ready: bool,
    /// Leases this worker holds.
    pub held: usize,
    /// Workers that own a lease that has not expired, this one included.
    pub workers: BTreeSet<WorkerId>,
    /// Whether this worker says what is said once for the whole fleet. Of the workers of ours, the one
    /// that holds the first lease does, as the table has it; for a moment two may, or none.
    pub speaks_for_fleet: bool,
    /// Every lease known.
    pub leases: Vec<LeaseStatus>,
}

/// What one worker believes about one lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaseStatus {
    /// The shard.
    pub shard: ShardId,
    /// Its owner; during a handover the next one.
    pub owner: Option<WorkerId>,
    /// Whether this worker holds it.
    pub mine: bool,
    /// How far it has been done, as KCL writes it.
    pub checkpoint: String,
    /// The ownership, where it is this worker's.
    pub epoch: Option<LeaseCounter>,
    /// The row's counter.
    pub counter: LeaseCounter,
    /// What is being done with it.
    pub state: State,
}

/// The state of a lease as one worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody owns it, or its owner's heartbeat has stopped.
    Free,
    /// Another worker owns it.
    Others,
    /// Asked for by this worker, which waits for it.
    Receiving,
    /// Read by this worker.
    Reading,
    /// Being drained by this worker, or drained and about to be given up.
    Draining,
    /// Read to its end by this worker; its children's leases are being made.
    Ending,
    /// The whole shard is done.
    Ended,
}

impl Keeper {
    /// Nobody is chosen, nothing is written: all see the same table. While none of ours holds a lease,
    /// each of them says it.
    fn speaks_for_fleet(&self) -> bool {
        for (shard, seen) in &self.seen.0 {
            let mine = self.held.get(shard);
            if mine.is_some_and(|held| !matches!(held.phase, Phase::Ended)) {
                return true;
            }
            // Of an owner that knows nothing of us nothing is to be expected.
            let another = mine.is_none() && !seen.row.ended() && !self.free(seen);
            if another && seen.row.owned_by_tidewire() {
                return false;
            }
        }
        self.scans > 0
    }

    /// What this worker believes.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut workers = BTreeSet::from([self.author.me.clone()]);
        let mut leases = Vec::with_capacity(self.seen.0.len());
        for (shard, seen) in &self.seen.0 {
            let held = self.held.get(shard);
            let state = match held.map(|held| &held.phase) {
                Some(Phase::Reading) => State::Reading,
                Some(Phase::Draining { .. } | Phase::Drained) => State::Draining,
                Some(Phase::Ending(_)) => State::Ending,
                Some(Phase::Ended) => State::Ended,
                None if seen.row.ended() => State::Ended,
                None if self.free(seen) => State::Free,
                None if self.receiving.contains_key(shard) => State::Receiving,
                None => State::Others,
            };
            let row = held.map_or(&seen.row, |held| &held.row);
            let lives = state != State::Free && (held.is_some() || !seen.expired);
            if let (Some(owner), true) = (&row.owner, lives) {
                workers.insert(owner.clone());
            }
            leases.push(LeaseStatus {
                shard: shard.clone(),
                owner: row.owner.clone(),
                mine: held.is_some(),
                checkpoint: row.checkpoint.to_string(),
                epoch: held.map(|held| held.epoch),
                counter: row.counter,
                state,
            });
        }
        Status {
            worker: self.author.me.to_string(),
            ready: self.scans > 0 && self.listing.is_some(),
            held: self.held.len(),
            speaks_for_fleet: self.speaks_for_fleet(),
            workers,
            leases,
        }
    }
}
