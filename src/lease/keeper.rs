//! The keeper: decides what one worker does about leases. Synchronous and deterministic; whoever
//! drives it tells it the time and what happened, and carries out what it answers.

mod claim;
mod end;
mod hold;
mod mixed;
mod observe;
mod settle;
mod status;
mod sync;
mod weight;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::audit::Audit;
use super::change::{Author, Change, NewLease};
use super::options::Options;
use super::row::Row;
use super::talk::{DrainReason, Event};
use crate::model::{ChildShard, LeaseCounter, Millis, ShardId, WorkerId};

pub use status::{LeaseStatus, State, Status};
pub use words::{Effect, Input, Listed, Note};

use sync::{Listing, Poll};

/// The decisions of one worker about all leases. See [`crate::lease`] for the argument.
#[derive(Clone, Debug)]
pub struct Keeper {
    author: Author,
    options: Options,
    seen: Table,
    held: BTreeMap<ShardId, Held>,
    flights: BTreeMap<ShardId, Flight>,
    /// Reads under way, by when they were sent.
    reads: BTreeMap<ShardId, Millis>,
    /// Reads under way that the answer to a write overtook: they may show the row before it.
    overtaken: BTreeSet<ShardId>,
    receiving: BTreeMap<ShardId, Receiving>,
    /// Shards that we do not ask for before this time: asking failed.
    resting: BTreeMap<ShardId, Millis>,
    wanted: BTreeMap<ShardId, NewLease>,
    scan: Poll,
    list: Poll,
    listing: Option<Listing>,
    /// Shards whose rows seem to be missing, since when, and the leases to make: as they were found
    /// first, since what is put on the stream meanwhile is not to be passed over.
    doubted: BTreeMap<ShardId, (Millis, NewLease)>,
    audit: Audit,
    scans: u64,
    /// When the last scan that was answered was sent.
    scan_sent: Millis,
    /// When a row was last found to be gone.
    forgot_at: Option<Millis>,
    /// A scan has come that nobody acted on yet.
    fresh: bool,
    /// The deadline of our shutdown.
    leaving: Option<Millis>,
    /// In a mixed fleet: what of ours is released at shutdown, and what is left to expire.
    parting: mixed::Parting,
    over: bool,
    out: Vec<Effect>,
}

/// Rows as last seen, each with what we noticed about it.
#[derive(Clone, Debug, Default)]
struct Table(BTreeMap<ShardId, Seen>);

#[derive(Clone, Debug)]
struct Seen {
    row: Row,
    /// When the row was first seen at all.
    first: Millis,
    /// When this counter was first seen: the lease expires a lease duration later.
    at: Millis,
    /// Expired, and read again to be sure.
    expired: bool,
    /// Since when we could have taken it.
    free_since: Option<Millis>,
    /// Nothing is tried with it before this time.
    again_at: Millis,
    /// In how many scans in a row it was missing.
    missed: u8,
    /// When the first write of ours conditional on this counter was sent that would make, or
    /// keep, the lease ours; such a write may come to rest late, and count from when it was sent.
    first_sent: Option<Millis>,
}

/// A lease that is ours.
#[derive(Clone, Debug)]
struct Held {
    epoch: LeaseCounter,
    /// The row as our last write or consistent read left it.
    row: Row,
    /// When our right to it ends on our own clock.
    fence_at: Millis,
    renew_at: Millis,
    /// Nothing is written before this time: the last write was throttled.
    again_at: Millis,
    /// When the first write conditional on this counter was sent, if one was.
    first_sent: Option<Millis>,
    /// How far the worker got, where the row does not say so yet.
    reached: Option<crate::model::Checkpoint>,
    /// Bytes a second that it carried lately, by the worker.
    rate: Option<u64>,
    phase: Phase,
}

/// What is being done with a lease of ours:
/// `Reading -> Draining -> Drained -> (released, handed over, or Reading anew)`, and
/// `Reading | Draining -> Ending -> (ended, or Ended in a mixed fleet)`. A fence or a loss ends it
/// from anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    Draining {
        reason: DrainReason,
        deadline: Millis,
    },
    /// Nothing is in flight; the write that gives it up, or grants it anew, is due.
    Drained,
    Ending(Ending),
    /// All of the shard is done, and its row stays ours until it is deleted, as KCL has it.
    Ended,
}

impl Phase {
    /// Whether the worker may be at work on the shard.
    fn works(&self) -> bool {
        !matches!(self, Self::Drained | Self::Ended)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ending {
    /// A listing must be younger than this to name the children.
    since: Millis,
    /// The children, once known.
    children: Option<Vec<ChildShard>>,
}

/// A write under way.
#[derive(Clone, Debug)]
struct Flight {
    op: Op,
    counter: LeaseCounter,
    owner_after: Option<WorkerId>,
    sent: Millis,
    /// When the first write conditional on the same counter was sent.
    first_sent: Millis,
    /// Set once the answer was lost: a read sent after this tells the outcome.
    unsettled: Option<Millis>,
    read_again_at: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Create,
    Take(&'static str),
    Renew,
    Release,
    Begin,
    Finish,
    Revert,
    GiveBack,
    End,
    Delete,
}

/// A lease that we asked for.
#[derive(Clone, Debug)]
struct Receiving {
    give_up_at: Millis,
    poll_at: Millis,
}

/// How often a receiver reads the row it waits for; a handover takes a fraction of a second.
const RECEIVER_POLL: Duration = Duration::from_millis(300);

impl Keeper {
    /// A keeper that knows nothing yet; its first step asks for a scan.
    #[must_use]
    pub fn new(author: Author, options: Options, now: Millis) -> Self {
        let poll = Poll {
            under_way: None,
            due_at: now,
        };
        Self {
            author,
            options,
            seen: Table::default(),
            held: BTreeMap::new(),
            flights: BTreeMap::new(),
            reads: BTreeMap::new(),
            overtaken: BTreeSet::new(),
            receiving: BTreeMap::new(),
            resting: BTreeMap::new(),
            wanted: BTreeMap::new(),
            scan: poll.clone(),
            list: poll,
            listing: None,
            doubted: BTreeMap::new(),
            audit: Audit::default(),
            scans: 0,
            scan_sent: now,
            forgot_at: None,
            fresh: false,
            leaving: None,
            parting: mixed::Parting::default(),
            over: false,
            out: Vec::new(),
        }
    }

    /// Takes note of `input` and answers with everything that is to be done now.
    pub fn step(&mut self, now: Millis, input: Input) -> Vec<Effect> {
        if self.over {
            return Vec::new();
        }
        // Before anything else: after a pause our rights may have ended long ago.
        self.fence(now);
        match input {
            Input::Tick => {}
            Input::Scanned(answer) => self.scanned(now, answer),
            Input::Listed(answer) => self.listed(now, answer),
            Input::Read { shard, answer } => self.was_read(now, &shard, answer),
            Input::Wrote { shard, answer } => self.wrote(now, &shard, answer),
            Input::Said(say) => self.said(now, say),
            Input::Shutdown => self.leave(now),
        }
        self.turn(now);
        std::mem::take(&mut self.out)
    }

    /// Everything that time makes due.
    fn turn(&mut self, now: Millis) {
        if self.over {
            return;
        }
        self.poll(now);
        self.bear(now);
        self.tend(now);
        self.watch(now);
        if self.leaving.is_some() {
            self.clear_out(now);
        } else if self.scans > 0 {
            self.create(now);
            self.claim(now);
            self.balance(now);
        }
    }

    fn poll(&mut self, now: Millis) {
        let leaving = self.leaving.is_some();
        if leaving && !self.wants_children() {
            return;
        }
        if !leaving && self.scan.under_way.is_none() && self.scan.due_at <= now {
            self.scan.under_way = Some(now);
            self.out.push(Effect::Scan);
        }
        // The first listing is compared with the first scan.
        if self.scans > 0 && self.list.under_way.is_none() && self.list.due_at <= now {
            self.list.under_way = Some(now);
            self.out.push(Effect::List);
        }
    }

    /// The next time at which [`Input::Tick`] would do something.
    #[must_use]
    pub fn wake(&self, now: Millis) -> Millis {
        let mut wake = Millis(u64::MAX);
        let mut at = |time: Millis| wake = wake.min(time);
        if self.leaving.is_none() && self.scan.under_way.is_none() {
            at(self.scan.due_at);
        }
        let listing = self.leaving.is_none() || self.wants_children();
        if listing && self.list.under_way.is_none() && self.scans > 0 {
            at(self.list.due_at);
        }
        if let Some(deadline) = self.leaving {
            at(deadline + self.options.last_writes);
        }
        for (shard, held) in &self.held {
            at(held.fence_at);
            if !self.flights.contains_key(shard) {
                at(self.tend_at(held));
            }
        }
        for (shard, flight) in &self.flights {
            if flight.unsettled.is_some() && !self.reads.contains_key(shard) {
                at(flight.read_again_at);
            }
        }
        for (shard, receiving) in &self.receiving {
            if !self.reads.contains_key(shard) {
                at(receiving.poll_at);
            }
            at(receiving.give_up_at);
        }
        for (shard, seen) in &self.seen.0 {
            if let Some(time) = self.watch_at(shard, seen, now) {
                at(time);
            }
        }
        for shard in self.wanted.keys() {
            if let Some(until) = self.resting.get(shard).filter(|until| **until > now) {
                at(*until);
            }
        }
        wake
    }

    fn send(&mut self, now: Millis, op: Op, change: Change, counter: LeaseCounter) {
        let shard = change.shard.clone();
        let seen = self.seen.0.get_mut(&shard);
        let first_sent = match (self.held.get_mut(&shard), seen, op) {
            (Some(held), _, _) => *held.first_sent.get_or_insert(now),
            (None, Some(seen), Op::Take(_)) => *seen.first_sent.get_or_insert(now),
            _ => now,
        };
        let owner_after = match op {
            Op::Take(_) | Op::Renew | Op::Begin | Op::Revert => Some(self.author.me.clone()),
            Op::Finish => self
                .held
                .get(&shard)
                .and_then(|held| held.row.owner.clone()),
            Op::End if self.options.mixed() => Some(self.author.me.clone()),
            Op::Create | Op::Release | Op::GiveBack | Op::End | Op::Delete => None,
        };
        self.flights.insert(
            shard,
            Flight {
                op,
                counter,
                owner_after,
                sent: now,
                first_sent,
                unsettled: None,
                read_again_at: now,
            },
        );
        self.out.push(Effect::Write(change));
    }

    fn read(&mut self, now: Millis, shard: &ShardId) {
        if !self.reads.contains_key(shard) {
            self.reads.insert(shard.clone(), now);
            self.out.push(Effect::Read(shard.clone()));
        }
    }

    fn tell(&mut self, event: Event) {
        self.out.push(Effect::Tell(event));
    }

    fn note(&mut self, note: Note) {
        self.out.push(Effect::Note(note));
    }

    fn refuse(&mut self, error: super::Error) {
        self.over = true;
        self.out.push(Effect::Refuse(error));
    }

    /// The keeper ends, whatever for: nobody watches the fences of what it still holds any more,
    /// so reading that must end with it.
    #[must_use]
    pub fn desert(&mut self) -> Vec<Event> {
        self.over = true;
        let held = std::mem::take(&mut self.held).into_iter();
        held.filter(|(_, held)| held.phase.works())
            .map(|(shard, held)| Event::Revoked {
                shard,
                epoch: held.epoch,
            })
            .collect()
    }

    /// Who we are.
    #[must_use]
    pub fn me(&self) -> &WorkerId {
        &self.author.me
    }

    /// Whether this worker's reader may be at work on a shard at `now`, and under which epoch:
    /// granted, not drained, not past the fence.
    #[must_use]
    pub fn reads_at(&self, shard: &ShardId, now: Millis) -> Option<LeaseCounter> {
        let held = self.held.get(shard)?;
        (held.phase.works() && now < held.fence_at).then_some(held.epoch)
    }
}

#[cfg(test)]
mod tests;
