//! The reading side of each worker: delivers, reports, drains.

use tidewire::lease::Input;
use tidewire::lease::talk::{Event, Say};
use tidewire::model::{LeaseCounter, ShardId};

use super::{Happening, Reader, Sim, What};
use crate::faults::STORM_MS;
use crate::stream::World as Stream;

impl Sim {
    /// What the keeper says reaches the reading side at once.
    pub(super) fn told(&mut self, id: usize, event: Event) -> Result<(), String> {
        self.checks.epochs.told(id, &event);
        match event {
            Event::Granted {
                shard,
                epoch,
                start,
            } => {
                let index = self.stream.index(&shard);
                let pos = self.stream.skipped(index, &start);
                self.checks.granted(&mut self.stream, index, pos)?;
                let process = self.processes.get_mut(&id).unwrap();
                let reader = Reader {
                    epoch,
                    pos,
                    draining: false,
                };
                process.readers.insert(shard.clone(), reader);
                let at = self.now + self.dice.between(1, 100);
                self.push(at, Happening::To(id, What::Read(shard, epoch)));
            }
            Event::Drain { shard, epoch, .. } => {
                let longest = self.weather.slow_drain_ms;
                let at = self.now + self.dice.between(1, longest);
                if let Some(reader) = self.reader(id, &shard, epoch) {
                    reader.draining = true;
                }
                self.push(at, Happening::To(id, What::Drained(shard, epoch)));
            }
            Event::Revoked { shard, epoch } => {
                if self.reader(id, &shard, epoch).is_some() {
                    self.processes.get_mut(&id).unwrap().readers.remove(&shard);
                }
            }
        }
        Ok(())
    }

    pub(super) fn reader(
        &mut self,
        id: usize,
        shard: &ShardId,
        epoch: LeaseCounter,
    ) -> Option<&mut Reader> {
        let reader = self.processes.get_mut(&id)?.readers.get_mut(shard)?;
        (reader.epoch == epoch).then_some(reader)
    }

    pub(super) fn reader_turn(
        &mut self,
        id: usize,
        shard: &ShardId,
        epoch: LeaseCounter,
    ) -> Result<(), String> {
        let index = self.stream.index(shard);
        // In the calm what the storm held up is read fast.
        let most = if self.now < STORM_MS { 4 } else { 30 };
        let some = self.dice.between(0, most);
        let len = self.stream.shards[index].len();
        let open = self.stream.shards[index].open;
        let Some(reader) = self.reader(id, shard, epoch) else {
            return Ok(());
        };
        if reader.draining {
            return Ok(());
        }
        let before = reader.pos;
        reader.pos = (reader.pos + some).min(len);
        let pos = reader.pos;
        let done = &mut self.stream.shards[index].done;
        *done = (*done).max(pos);
        if !open && pos == len {
            self.processes.get_mut(&id).unwrap().readers.remove(shard);
            let named = self.schedule.children_named;
            let say = Say::Ended {
                shard: shard.clone(),
                epoch,
                children: if named {
                    self.stream.children(index)
                } else {
                    Vec::new()
                },
            };
            return self.report(id, say);
        }
        let at = self.now + self.dice.between(100, 900);
        self.push(at, Happening::To(id, What::Read(shard.clone(), epoch)));
        match Stream::checkpoint(index, pos) {
            Some(checkpoint) if pos > before => {
                let shard = shard.clone();
                let say = Say::Checkpoint {
                    shard,
                    epoch,
                    checkpoint,
                };
                self.report(id, say)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn drained(
        &mut self,
        id: usize,
        shard: &ShardId,
        epoch: LeaseCounter,
    ) -> Result<(), String> {
        let index = self.stream.index(shard);
        let Some(reader) = self.reader(id, shard, epoch) else {
            return Ok(());
        };
        let pos = reader.pos;
        self.processes.get_mut(&id).unwrap().readers.remove(shard);
        let say = Say::Drained {
            shard: shard.clone(),
            epoch,
            checkpoint: Stream::checkpoint(index, pos),
        };
        self.report(id, say)
    }

    /// Reports reach the keeper in order: at once, or, in some weather, when the lease that they
    /// speak of may long be another ownership's.
    fn report(&mut self, id: usize, say: Say) -> Result<(), String> {
        self.checks.epochs.said(id, &say);
        let (some, most, until) = self.weather.late_reports;
        let late = self.now < until && self.dice.chance(some);
        let delay = if late { self.dice.between(1, most) } else { 0 };
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        let waits = process.reports_until >= self.now;
        // What is under way when the storm ends arrives then.
        let arrives = (self.now + delay).min(STORM_MS.max(self.now));
        process.reports_until = process.reports_until.max(arrives);
        if delay == 0 && !waits {
            return self.step(id, Input::Said(say));
        }
        let at = process.reports_until;
        self.push(at, Happening::To(id, What::Deliver(Input::Said(say))));
        Ok(())
    }
}
