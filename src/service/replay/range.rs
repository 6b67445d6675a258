//! In the place of the keeper of leases: grants the shards of a range, parents before children.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::bounded::{Bounded, Place, Range};
use crate::door::stream::Stream;
use crate::lease::talk::{DrainReason, Event, Say};
use crate::model::{
    Checkpoint, EpochMillis, LeaseCounter, Millis, SequenceNumber, Shard, ShardId, Start,
};

/// There is one ownership of each shard, and nobody to fence it against.
const EPOCH: LeaseCounter = LeaseCounter(1);

/// Why a range cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The stream has no such shard.
    #[error("the stream has no shard `{0}`: it is past the stream's retention, or never was there")]
    NoShard(ShardId),
    /// Sequence numbers are compared within a shard only.
    #[error("a sequence number names a record of one shard: name the shard, too")]
    WhichShard,
    /// The number is not of this shard.
    #[error("record {seq} is not of shard `{shard}`, which begins with {first}")]
    NotOfShard {
        /// The shard.
        shard: ShardId,
        /// What was asked for.
        seq: SequenceNumber,
        /// The shard's first.
        first: SequenceNumber,
    },
    /// It ends before it begins.
    #[error("the range ends before it begins")]
    Backwards,
    /// What has not arrived yet cannot be read again.
    #[error("the range ends in the future: end it at the latest now, or leave its end out")]
    Future,
}

/// Checks a range, and answers the shards that it is in.
///
/// # Errors
/// What is wrong with it.
pub fn plan(
    shards: Vec<Shard>,
    only: Option<&ShardId>,
    range: &Range,
    now: EpochMillis,
) -> Result<Vec<Shard>, Error> {
    let shards: Vec<Shard> = match only {
        None => shards,
        Some(only) => shards
            .into_iter()
            .filter(|shard| shard.id == *only)
            .collect(),
    };
    if let Some(only) = only.filter(|_| shards.is_empty()) {
        return Err(Error::NoShard(only.clone()));
    }
    for place in range.from.iter().chain([&range.to]) {
        let Place::Record(seq) = place else {
            continue;
        };
        let shard = only.and(shards.first()).ok_or(Error::WhichShard)?;
        let ended_before = shard.ending_seq.as_ref().is_some_and(|last| last < seq);
        if *seq < shard.starting_seq || ended_before {
            return Err(Error::NotOfShard {
                shard: shard.id.clone(),
                seq: seq.clone(),
                first: shard.starting_seq.clone(),
            });
        }
    }
    match (&range.from, &range.to) {
        (Some(Place::Record(from)), Place::Record(to)) if to < from => Err(Error::Backwards),
        (Some(Place::Time(from)), Place::Time(to)) if to < from => Err(Error::Backwards),
        (_, Place::Time(to)) if *to > now => Err(Error::Future),
        _ => Ok(shards),
    }
}

/// How far a replay is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Shards of the range.
    pub shards: usize,
    /// Those of which all of the range is done.
    pub shards_done: usize,
    /// Where to go on, if not all of it is done.
    pub go_on: Option<GoOn>,
}

/// Where to go on: what lies before is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// Where the range began.
    Anew,
    /// At this time, in every shard.
    Time(EpochMillis),
    /// At this record of the range's one shard, which is done itself.
    Record(ShardId, SequenceNumber),
}

/// A shard of the range.
#[derive(Debug)]
enum State {
    Waiting,
    Granted,
    Done,
}

/// Grants shards and hears how far they are, until all are done or `stop` fires and what was read is
/// done. `reached` always says where to go on, also for one that is ended at once.
pub async fn keep<S: Stream>(
    plan: Vec<Shard>,
    stream: Arc<Bounded<S>>,
    events: mpsc::Sender<Event>,
    mut says: mpsc::Receiver<Say>,
    stop: CancellationToken,
    reached: watch::Sender<Reached>,
) {
    let mut keeper = Keeper::new(plan, stream);
    let mut stopping = false;
    loop {
        reached.send_replace(keeper.reached());
        let grants = if stopping {
            Vec::new()
        } else {
            keeper.grants()
        };
        for shard in grants {
            let event = Event::Granted {
                shard,
                epoch: EPOCH,
                start: Start::TrimHorizon,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
        if keeper.granted().next().is_none() {
            return;
        }
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                let granted: Vec<ShardId> = keeper.granted().cloned().collect();
                for shard in granted {
                    let drain = Event::Drain {
                        shard,
                        epoch: EPOCH,
                        reason: DrainReason::Shutdown,
                        deadline: Millis(u64::MAX),
                    };
                    if events.send(drain).await.is_err() {
                        return;
                    }
                }
            }
            say = says.recv() => match say {
                Some(say) => keeper.hear(say),
                None => return,
            },
        }
    }
}

/// The keeper's books.
struct Keeper<S> {
    shards: BTreeMap<ShardId, (Shard, State)>,
    stream: Arc<Bounded<S>>,
    checkpoints: BTreeMap<ShardId, SequenceNumber>,
}

impl<S: Stream> Keeper<S> {
    fn new(plan: Vec<Shard>, stream: Arc<Bounded<S>>) -> Self {
        let shards = plan.into_iter();
        Self {
            shards: shards
                .map(|shard| (shard.id.clone(), (shard, State::Waiting)))
                .collect(),
            stream,
            checkpoints: BTreeMap::new(),
        }
    }

    fn granted(&self) -> impl Iterator<Item = &ShardId> {
        let here = |(id, (_, state)): (_, &(Shard, State))| match state {
            State::Granted => Some(id),
            State::Waiting | State::Done => None,
        };
        self.shards.iter().filter_map(here)
    }

    /// The shards whose turn it is: a key's records are in order across a reshard, too.
    fn grants(&mut self) -> Vec<ShardId> {
        let is_done = |parent: &ShardId| match self.shards.get(parent) {
            Some((_, state)) => matches!(state, State::Done),
            None => true,
        };
        let ready = self.shards.values().filter(|(shard, state)| {
            let mut parents = shard.parent.iter().chain(&shard.adjacent_parent);
            matches!(state, State::Waiting) && parents.all(is_done)
        });
        let ready: Vec<ShardId> = ready.map(|(shard, _)| shard.id.clone()).collect();
        for id in &ready {
            self.set(id, State::Granted);
        }
        ready
    }

    fn set(&mut self, id: &ShardId, to: State) {
        if let Some((_, state)) = self.shards.get_mut(id) {
            *state = to;
        }
    }

    fn hear(&mut self, say: Say) {
        match say {
            Say::Checkpoint {
                shard, checkpoint, ..
            } => self.passed(&shard, checkpoint),
            // Only the keeper of leases spreads work.
            Say::Rate { .. } => {}
            Say::Ended { shard, .. } => self.set(&shard, State::Done),
            Say::Drained {
                shard, checkpoint, ..
            } => {
                if let Some(checkpoint) = checkpoint {
                    self.passed(&shard, checkpoint);
                }
                // Done in the moment it was told to drain, it has said so before.
                let granted = self.granted().any(|id| *id == shard);
                if granted {
                    self.set(&shard, State::Waiting);
                }
            }
        }
    }

    fn passed(&mut self, shard: &ShardId, checkpoint: Checkpoint) {
        if let Checkpoint::At { seq, .. } = checkpoint {
            self.stream.done(shard, &seq);
            self.checkpoints.insert(shard.clone(), seq);
        }
    }

    fn reached(&self) -> Reached {
        let is_done = |(_, state): &&(Shard, State)| matches!(state, State::Done);
        let shards_done = self.shards.values().filter(is_done).count();
        let left = self
            .shards
            .iter()
            .filter(|(_, (_, state))| !matches!(state, State::Done));
        let left: Vec<&ShardId> = left.map(|(id, _)| id).collect();
        Reached {
            shards: self.shards.len(),
            shards_done,
            go_on: (!left.is_empty()).then(|| self.go_on(&left)),
        }
    }

    /// One place for all shards that are left: the earliest of theirs. What others have beyond it is
    /// written once more, which changes nothing.
    fn go_on(&self, left: &[&ShardId]) -> GoOn {
        if self.shards.len() == 1 {
            let reached = left.first().and_then(|id| {
                let seq = self.checkpoints.get(*id)?;
                Some(GoOn::Record((*id).clone(), seq.clone()))
            });
            return reached.unwrap_or(GoOn::Anew);
        }
        // One that waits for its parents begins where they end.
        let begun = left.iter().filter(|id| !self.has_waiting_parent(id));
        let known: Vec<Option<EpochMillis>> = begun.map(|id| self.stream.done_before(id)).collect();
        let earliest = known.iter().copied().min().flatten();
        earliest.map_or(GoOn::Anew, GoOn::Time)
    }

    fn has_waiting_parent(&self, id: &ShardId) -> bool {
        let Some((shard, _)) = self.shards.get(id) else {
            return false;
        };
        let mut parents = shard.parent.iter().chain(&shard.adjacent_parent);
        parents.any(|parent| {
            self.shards
                .get(parent)
                .is_some_and(|(_, state)| !matches!(state, State::Done))
        })
    }
}

#[cfg(test)]
mod tests;
