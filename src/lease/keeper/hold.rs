//! Leases that are ours: heartbeats with checkpoints, fences, draining, giving up.

use super::{Ending, Held, Keeper, Note, Op, Phase};
use crate::lease::row::Row;
use crate::lease::share;
use crate::lease::talk::{DrainReason, Event, Say};
use crate::model::{Checkpoint, Millis, ShardId};

impl Keeper {
    /// Ends what our own clock says is no longer ours.
    pub(super) fn fence(&mut self, now: Millis) {
        let passed: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.fence_at <= now)
            .map(|(shard, _)| shard.clone())
            .collect();
        for shard in passed {
            self.lose(now, &shard, "fenced");
        }
    }

    /// A lease is no longer ours, against our will.
    pub(super) fn lose(&mut self, now: Millis, shard: &ShardId, why: &'static str) {
        let Some(held) = self.held.remove(shard) else {
            return;
        };
        if held.phase.works() {
            self.tell(Event::Revoked {
                shard: shard.clone(),
                epoch: held.epoch,
            });
        }
        self.note(Note::Lost {
            shard: shard.clone(),
            epoch: held.epoch,
            why,
        });
        // Still in our name perhaps: then it is free for us to take anew.
        self.observe(now, held.row);
        if let Some(seen) = self.seen.0.get_mut(shard) {
            seen.first_sent = held.first_sent;
        }
    }

    /// A write of ours made `row` ours.
    pub(super) fn grant(&mut self, now: Millis, row: Row, sent: Millis, how: &'static str) {
        let shard = row.shard.clone();
        let fence_at = sent + self.options.right();
        self.receiving.remove(&shard);
        self.resting.remove(&shard);
        let start = match row.start() {
            Some(start) if fence_at > now => start,
            None if fence_at > now && self.options.mixed() => {
                return self.keep_ended(now, row, sent);
            }
            _ => return self.observe(now, row),
        };
        let epoch = row.counter;
        let leaving = self.leaving.is_some();
        self.held.insert(
            shard.clone(),
            Held {
                epoch,
                row: row.clone(),
                fence_at,
                renew_at: sent + self.first_renewal(&shard),
                again_at: now,
                first_sent: None,
                reached: None,
                rate: None,
                phase: if leaving {
                    Phase::Drained
                } else {
                    Phase::Reading
                },
            },
        );
        self.observe(now, row);
        if !leaving {
            self.note(Note::Taken {
                shard: shard.clone(),
                epoch,
                how,
            });
            self.tell(Event::Granted {
                shard: shard.clone(),
                epoch,
                start,
            });
            self.answer_asking(now, &shard);
        }
    }

    /// Between half and all of the interval, so that leases taken together do not beat together.
    fn first_renewal(&self, shard: &ShardId) -> std::time::Duration {
        let spread = share::order(&self.author.me, shard) % 512;
        let spread = u32::try_from(512 + spread).unwrap_or(1024);
        self.options.renew_every * spread / 1024
    }

    /// The row as our write, or a consistent read, shows it: ours.
    pub(super) fn adopt(&mut self, now: Millis, row: Row) {
        let Some(held) = self.held.get_mut(&row.shard) else {
            return self.observe(now, row);
        };
        if held.row.counter != row.counter {
            held.first_sent = None;
        }
        if held
            .reached
            .as_ref()
            .is_some_and(|reached| *reached <= row.checkpoint)
        {
            held.reached = None;
        }
        held.row = row.clone();
        let shard = row.shard.clone();
        self.observe(now, row);
        self.answer_asking(now, &shard);
    }

    /// Another worker asks for a lease we read: drain it.
    fn answer_asking(&mut self, now: Millis, shard: &ShardId) {
        let deadline = now + self.options.handoff_deadline;
        let Some(held) = self.held.get_mut(shard) else {
            return;
        };
        if held.phase == Phase::Reading && held.row.asked_of(&self.author.me).is_some() {
            let reason = DrainReason::Handoff;
            held.phase = Phase::Draining { reason, deadline };
            let event = Event::Drain {
                shard: shard.clone(),
                epoch: held.epoch,
                reason,
                deadline,
            };
            self.tell(event);
        }
    }

    /// A heartbeat sent at `sent` is in the table.
    pub(super) fn beaten(&mut self, now: Millis, row: Row, sent: Millis) {
        let shard = row.shard.clone();
        if let Some(held) = self.held.get_mut(&shard) {
            held.fence_at = held.fence_at.max(sent + self.options.right());
            held.renew_at = sent + self.options.renew_every;
        }
        self.adopt(now, row);
        self.read_anew(&shard);
    }

    /// A lease that was drained for a handover which was taken back is read again, under a new
    /// epoch: the counter of the heartbeat just written.
    fn read_anew(&mut self, shard: &ShardId) {
        let leaving = self.leaving.is_some();
        let Some(held) = self.held.get_mut(shard) else {
            return;
        };
        let wanted = held.row.asked_of(&self.author.me).is_some() || leaving;
        if held.phase != Phase::Drained || wanted || held.row.counter <= held.epoch {
            return;
        }
        let Some(start) = held.row.start() else {
            return;
        };
        held.phase = Phase::Reading;
        held.epoch = held.row.counter;
        let epoch = held.epoch;
        self.tell(Event::Granted {
            shard: shard.clone(),
            epoch,
            start,
        });
    }

    /// What the worker reports. Reports of an earlier ownership are not listened to.
    pub(super) fn said(&mut self, now: Millis, say: Say) {
        let (Say::Checkpoint { shard, epoch, .. }
        | Say::Rate { shard, epoch, .. }
        | Say::Ended { shard, epoch, .. }
        | Say::Drained { shard, epoch, .. }) = &say;
        let Some(held) = self.held.get_mut(shard) else {
            return;
        };
        if held.epoch != *epoch || !held.phase.works() {
            return;
        }
        match say {
            Say::Checkpoint { checkpoint, .. } => held.reach(checkpoint),
            Say::Rate { bytes_per_s, .. } => held.rate = Some(bytes_per_s),
            Say::Drained { checkpoint, .. } => {
                if let Some(checkpoint) = checkpoint {
                    held.reach(checkpoint);
                }
                if !matches!(held.phase, Phase::Ending(_)) {
                    held.phase = Phase::Drained;
                }
            }
            Say::Ended { children, .. } => {
                let children = (!children.is_empty()).then_some(children);
                if children.is_none() {
                    self.list.due_at = now;
                }
                let since = now;
                held.phase = Phase::Ending(Ending { since, children });
            }
        }
    }

    /// Shutdown begins: drain everything, take nothing more.
    pub(super) fn leave(&mut self, now: Millis) {
        if self.leaving.is_some() {
            return;
        }
        let deadline = now + self.options.drain_deadline;
        self.leaving = Some(deadline);
        self.wanted.clear();
        self.part();
        let mut drains = Vec::new();
        for (shard, held) in &mut self.held {
            let reason = DrainReason::Shutdown;
            if held.phase == Phase::Reading {
                held.phase = Phase::Draining { reason, deadline };
                drains.push(Event::Drain {
                    shard: shard.clone(),
                    epoch: held.epoch,
                    reason,
                    deadline,
                });
            }
        }
        for event in drains {
            self.tell(event);
        }
    }

    /// Writes what is due for each lease of ours.
    pub(super) fn tend(&mut self, now: Millis) {
        let shards: Vec<_> = self.held.keys().cloned().collect();
        for shard in shards {
            if self.flights.contains_key(&shard) {
                continue;
            }
            self.force_out(now, &shard);
            if self.leave_behind(&shard) {
                continue;
            }
            let Some(held) = self.held.get(&shard) else {
                continue;
            };
            if self.tend_at(held) > now {
                continue;
            }
            let op = self.due(held, now);
            let counter = held.row.counter;
            let reached = held.reached.as_ref();
            let change = match op {
                Op::Finish => self.author.finish(&held.row, reached),
                Op::Release => self.author.release(&held.row, reached),
                Op::Revert => self.author.revert(&held.row, reached),
                Op::End => {
                    let kept = self.options.mixed();
                    self.author.end(&held.row, &held.children(), kept)
                }
                _ => held.weighed(self.author.renew(&held.row, reached), &self.options),
            };
            if op == Op::Release {
                self.parting.released.insert(shard);
            }
            self.send(now, op, change, counter);
        }
    }

    /// At the deadline of a shutdown what is in flight is abandoned; the successor repeats it.
    fn force_out(&mut self, now: Millis, shard: &ShardId) {
        let late = self.leaving.is_some_and(|deadline| deadline <= now);
        let Some(held) = self.held.get_mut(shard) else {
            return;
        };
        if late && held.phase.works() {
            held.phase = Phase::Drained;
            let epoch = held.epoch;
            self.tell(Event::Revoked {
                shard: shard.clone(),
                epoch,
            });
        }
    }

    /// Which write is next for a lease of ours.
    fn due(&self, held: &Held, now: Millis) -> Op {
        let asked = held.row.asked_of(&self.author.me).is_some();
        match &held.phase {
            Phase::Drained if asked => Op::Finish,
            Phase::Drained if self.leaving.is_some() && self.may_release(&held.row.shard) => {
                Op::Release
            }
            Phase::Ending(_) if self.all_born(held) => Op::End,
            Phase::Draining { deadline, .. }
                if asked && self.leaving.is_none() && *deadline <= now =>
            {
                Op::Revert
            }
            _ => Op::Renew,
        }
    }

    /// When the next write for a lease of ours is due.
    pub(super) fn tend_at(&self, held: &Held) -> Millis {
        let asked = held.row.asked_of(&self.author.me).is_some();
        let at = match (&held.phase, self.leaving) {
            (Phase::Drained, _) => held.again_at,
            (Phase::Ending(_), _) if self.all_born(held) => held.again_at,
            (Phase::Ended, _) => held.renew_at,
            (_, Some(deadline)) => held.renew_at.min(deadline),
            (Phase::Draining { deadline, .. }, None) if asked => held.renew_at.min(*deadline),
            _ => held.renew_at,
        };
        at.max(held.again_at)
    }
}

impl Held {
    /// Takes note of a checkpoint, if it leads on. `SHARD_END` comes only by way of `Ended`.
    fn reach(&mut self, checkpoint: Checkpoint) {
        let known = self.reached.as_ref().unwrap_or(&self.row.checkpoint);
        if checkpoint > *known && checkpoint != Checkpoint::ShardEnd {
            self.reached = Some(checkpoint);
        }
    }
}
