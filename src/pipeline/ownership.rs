//! Shards come and go, and what the keeper of leases is told of them.

use std::time::Duration;

use super::Effect;
use super::budget::Brought;
use super::progress::Progress;
use super::state::Pipeline;
use super::unit::Slot;
use crate::lease::talk::Say;
use crate::model::{Checkpoint, ChildShard, LeaseCounter, Millis, SequenceNumber, ShardId, Start};

/// A shard's checkpoint is reported at most this often: it is written with the next heartbeat
/// of its lease, seconds apart, and what is reported last is what a hand-over starts from.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(200);

/// One ownership of one shard.
#[derive(Debug)]
pub struct Shard {
    /// The shard.
    pub shard: ShardId,
    /// The ownership.
    pub epoch: LeaseCounter,
    /// Records read.
    pub records_read: u64,
    /// Payload bytes read.
    pub bytes_read: u64,
    /// Readings decoded.
    pub readings_read: u64,
    /// Records passed by the checkpoint.
    pub records_done: u64,
    /// How far behind the tip the last read was, milliseconds.
    pub behind_ms: u64,
    /// The last record read.
    pub last_read: Option<SequenceNumber>,
    /// How far everything is done, if anything is.
    pub checkpoint: Option<Checkpoint>,
    /// Being handed back.
    pub draining: bool,
    /// Closed and read to its end.
    pub ended: Option<Vec<ChildShard>>,
    /// When the checkpoint last moved, or had something to move over again.
    pub(super) moved_at: Millis,
    /// When it was last reported.
    pub(super) said_at: Option<Millis>,
    pub(super) progress: Progress,
    /// Units not closed, by sink.
    pub(super) open: Vec<u64>,
}

impl Shard {
    /// Records read and not yet passed.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.progress.len()
    }

    /// How long the checkpoint has stood still though there is something to move over.
    #[must_use]
    pub fn checkpoint_age(&self, now: Millis) -> Duration {
        if self.progress.is_empty() {
            Duration::ZERO
        } else {
            now.since(self.moved_at)
        }
    }

    pub(super) fn say_at(&self) -> Option<Millis> {
        self.said_at.map(|said| said + CHECKPOINT_EVERY)
    }
}

impl Pipeline {
    pub(super) fn slot(&self, shard: &ShardId, epoch: LeaseCounter) -> Option<Slot> {
        let slot = *self.owned.get(shard)?;
        (self.slots.get(&slot)?.epoch == epoch).then_some(slot)
    }

    pub(super) fn granted(
        &mut self,
        now: Millis,
        shard: ShardId,
        epoch: LeaseCounter,
        start: Start,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(old) = self.owned.get(&shard).copied() {
            if self.slot(&shard, epoch).is_some() {
                return;
            }
            self.abandon(old, effects);
        }
        let slot = Slot(self.next_id());
        self.budget.add(slot);
        self.owned.insert(shard.clone(), slot);
        self.slots.insert(
            slot,
            Shard {
                shard: shard.clone(),
                epoch,
                records_read: 0,
                bytes_read: 0,
                readings_read: 0,
                records_done: 0,
                behind_ms: 0,
                last_read: None,
                checkpoint: None,
                draining: false,
                ended: None,
                moved_at: now,
                said_at: None,
                progress: Progress::default(),
                open: vec![0; self.lanes.len()],
            },
        );
        effects.push(Effect::StartReading {
            slot,
            shard,
            epoch,
            start,
        });
    }

    pub(super) fn drain(&mut self, shard: ShardId, epoch: LeaseCounter, effects: &mut Vec<Effect>) {
        match self.slot(&shard, epoch) {
            Some(slot) => self.close(slot, effects),
            // It has ended, or was never here: nothing of it is in flight, which is the answer.
            None => effects.push(Effect::Say(Say::Drained {
                shard,
                epoch,
                checkpoint: None,
            })),
        }
    }

    pub(super) fn close(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        if let Some(shard) = self.slots.get_mut(&slot) {
            shard.draining = true;
            // A read under way brings nothing any more: its reservation is free for others.
            self.budget.settle(slot, Brought::default());
            self.hurry(slot);
            effects.push(Effect::StopReading(slot));
        }
    }

    pub(super) fn hurry(&mut self, slot: Slot) {
        self.closing.insert(slot);
        for lane in &mut self.lanes {
            lane.hurry(slot);
        }
    }

    /// Gives up everything of a slot that is not done.
    pub(super) fn abandon(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let Some(shard) = self.slots.get(&slot) else {
            return;
        };
        for (book, open) in self.books.sinks.iter_mut().zip(&shard.open) {
            book.abandoned += open;
            book.in_flight -= open;
        }
        self.books.records.abandoned += shard.progress.len();
        self.books.records.in_flight -= shard.progress.len();
        self.forget(slot, effects);
    }

    pub(super) fn forget(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let mut deserted = self.letters.abandon(slot);
        for lane in &mut self.lanes {
            let lost = lane.abandon(slot);
            deserted.extend(lost.deserted);
            // Or a sink that is down would get them when the next owner has long gone on.
            effects.extend(lost.shared.into_iter().map(Effect::Recall));
        }
        for flight in deserted {
            self.flights.remove(&flight);
            effects.push(Effect::Cancel(flight));
        }
        self.budget.remove(slot);
        self.ready.retain(|(ready, _)| *ready != slot);
        self.dirty.remove(&slot);
        self.closing.remove(&slot);
        if let Some(shard) = self.slots.remove(&slot) {
            self.owned.remove(&shard.shard);
        }
        effects.push(Effect::StopReading(slot));
    }

    pub(super) fn say_what_closed(&mut self, effects: &mut Vec<Effect>) {
        let is_done = |slot: &Slot| {
            let shard = self.slots.get(slot);
            shard.is_none_or(|shard| shard.progress.is_empty())
        };
        let done: Vec<Slot> = self.closing.iter().copied().filter(is_done).collect();
        for slot in done {
            let unsaid = self.dirty.contains(&slot);
            if let Some(shard) = self.slots.get(&slot) {
                let (name, epoch) = (&shard.shard, shard.epoch);
                if let Some(children) = &shard.ended {
                    effects.push(Effect::Say(Say::Ended {
                        shard: name.clone(),
                        epoch,
                        children: children.clone(),
                    }));
                }
                if shard.draining {
                    effects.push(Effect::Say(Say::Drained {
                        shard: name.clone(),
                        epoch,
                        checkpoint: shard.checkpoint.clone().filter(|_| unsaid),
                    }));
                }
            }
            self.forget(slot, effects);
        }
    }

    pub(super) fn say_checkpoints(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.dirty.retain(|slot| {
            let Some(shard) = self.slots.get_mut(slot) else {
                return false;
            };
            if shard.say_at().is_some_and(|at| at > now) {
                return true;
            }
            shard.said_at = Some(now);
            if let Some(checkpoint) = &shard.checkpoint {
                effects.push(Effect::Say(Say::Checkpoint {
                    shard: shard.shard.clone(),
                    epoch: shard.epoch,
                    checkpoint: checkpoint.clone(),
                }));
            }
            false
        });
    }
}
