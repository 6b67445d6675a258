//! The pipeline's state, and the steps that move between its parts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::books::Books;
use super::budget::Budget;
use super::lane::{Lane, LaneStatus, Limits};
use super::letters::{self, Letters};
use super::message::{Format, PACKED_ENVELOPE};
use super::progress::Progress;
use super::unit::{FlightId, Slot};
use super::{Effect, Input, Options, SinkId};
use crate::lease::talk::Say;
use crate::model::{Checkpoint, ChildShard, LeaseCounter, Millis, SequenceNumber, ShardId, Start};

/// A shard's checkpoint is reported at most this often: it is written with the next heartbeat
/// of its lease, seconds apart, and what is reported last is what a hand-over starts from.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(200);

/// SQS: entries of one request.
const QUEUE_ENTRIES_MAX: usize = 10;

/// SQS: bytes of one request, all entries together.
const QUEUE_REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Everything between reading and the sinks, all shards together.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) options: Options,
    pub(super) slots: BTreeMap<Slot, Shard>,
    pub(super) owned: BTreeMap<ShardId, Slot>,
    pub(super) lanes: Vec<Lane>,
    pub(super) letters: Letters,
    pub(super) budget: Budget,
    pub(super) books: Books,
    /// Whose request it is.
    flights: BTreeMap<FlightId, Place>,
    /// Readers that wait for the budget, in the order they asked.
    ready: VecDeque<Slot>,
    /// Shards whose checkpoint moved and was not reported.
    pub(super) dirty: BTreeSet<Slot>,
    /// Shards that end when everything read of them is done.
    pub(super) closing: BTreeSet<Slot>,
    ids: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Sink(SinkId),
    Letters,
}

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
    said_at: Option<Millis>,
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

    fn say_at(&self) -> Option<Millis> {
        self.said_at.map(|said| said + CHECKPOINT_EVERY)
    }
}

impl Pipeline {
    /// Nothing read yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let store = Lane::new(Limits {
            items_max: options.store_batch_max,
            bytes_max: usize::MAX,
            window: options.store_window,
            requests_max: options.store_requests_max,
            keyed: true,
        });
        let (items_max, bytes_max) = match options.queue_format {
            Format::Packed => (usize::MAX, options.message_bytes_max - PACKED_ENVELOPE),
            Format::Single => (QUEUE_ENTRIES_MAX, QUEUE_REQUEST_BYTES_MAX),
        };
        let queues = (0..options.queues).map(|_| {
            Lane::new(Limits {
                items_max,
                bytes_max,
                window: options.queue_window,
                requests_max: options.queue_requests_max,
                keyed: false,
            })
        });
        let lanes: Vec<Lane> = std::iter::once(store).chain(queues).collect();
        Self {
            books: Books::new(lanes.len()),
            budget: Budget::new(options.budget_bytes, options.reads_max, options.records_max),
            options,
            slots: BTreeMap::new(),
            owned: BTreeMap::new(),
            lanes,
            letters: Letters::default(),
            flights: BTreeMap::new(),
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            closing: BTreeSet::new(),
            ids: 0,
        }
    }

    /// Takes in what happened; answers what to do.
    pub fn step(&mut self, now: Millis, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Granted {
                shard,
                epoch,
                start,
            } => self.granted(now, shard, epoch, start, &mut effects),
            Input::Drain { shard, epoch } => self.drain(shard, epoch, &mut effects),
            Input::Revoked { shard, epoch } => {
                if let Some(slot) = self.slot(&shard, epoch) {
                    self.abandon(slot, &mut effects);
                }
            }
            Input::Closed => {
                let slots: Vec<Slot> = self.slots.keys().copied().collect();
                for slot in slots {
                    self.close(slot, &mut effects);
                }
            }
            Input::Ready(slot) => {
                let reads = |shard: &Shard| !shard.draining && shard.ended.is_none();
                if self.slots.get(&slot).is_some_and(reads) {
                    self.ready.push_back(slot);
                }
            }
            Input::Page { slot, page } => self.page(now, slot, page),
            Input::NoPage(slot) => self.budget.settle(slot, 0, 0),
            Input::Answered { flight, answer } => self.answered(now, flight, answer, &mut effects),
            Input::Tick => self.expire(now, &mut effects),
        }
        self.pump(now, &mut effects);
        effects
    }

    /// When [`Input::Tick`] is wanted next, if nothing happens before.
    #[must_use]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        let requests = self.lanes.iter().filter_map(|lane| lane.due(now));
        let says = self
            .dirty
            .iter()
            .filter_map(|slot| self.slots.get(slot)?.say_at());
        requests.chain(says).min()
    }

    /// Whether nothing is owned and nothing under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.flights.is_empty()
    }

    /// The books.
    #[must_use]
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Bytes read and not yet done, with what reads under way have reserved.
    #[must_use]
    pub fn budget_used(&self) -> u64 {
        self.budget.used()
    }

    /// Dead letters not yet filed.
    #[must_use]
    pub fn letters_waiting(&self) -> u64 {
        self.letters.len()
    }

    /// The shards owned now.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.slots.values()
    }

    /// A sink's lane.
    #[must_use]
    pub fn lane(&self, sink: SinkId) -> Option<LaneStatus> {
        self.lanes.get(sink.0).map(Lane::status)
    }

    /// The sinks that get readings.
    pub(super) fn sinks(&self) -> impl Iterator<Item = SinkId> + Clone + use<> {
        let first = usize::from(!self.options.has_store);
        (first..self.lanes.len()).map(SinkId)
    }

    pub(super) fn slot(&self, shard: &ShardId, epoch: LeaseCounter) -> Option<Slot> {
        let slot = *self.owned.get(shard)?;
        (self.slots.get(&slot)?.epoch == epoch).then_some(slot)
    }

    fn granted(
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

    fn drain(&mut self, shard: ShardId, epoch: LeaseCounter, effects: &mut Vec<Effect>) {
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

    fn close(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        if let Some(shard) = self.slots.get_mut(&slot) {
            shard.draining = true;
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
    fn abandon(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let Some(shard) = self.slots.get(&slot) else {
            return;
        };
        for (book, open) in self.books.sinks.iter_mut().zip(&shard.open) {
            book.abandoned += open;
            book.in_flight -= open;
        }
        self.books.records.abandoned += shard.progress.len();
        self.books.records.in_flight -= shard.progress.len();
        effects.push(Effect::StopReading(slot));
        self.forget(slot, effects);
    }

    fn forget(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        let mut deserted = self.letters.abandon(slot);
        for lane in &mut self.lanes {
            deserted.extend(lane.abandon(slot));
        }
        for flight in deserted {
            self.flights.remove(&flight);
            effects.push(Effect::Cancel(flight));
        }
        self.budget.remove(slot);
        self.ready.retain(|ready| *ready != slot);
        self.dirty.remove(&slot);
        self.closing.remove(&slot);
        if let Some(shard) = self.slots.remove(&slot) {
            self.owned.remove(&shard.shard);
        }
    }

    fn answered(
        &mut self,
        now: Millis,
        flight: FlightId,
        answer: super::Answer,
        effects: &mut Vec<Effect>,
    ) {
        match self.flights.get(&flight).copied() {
            None => {}
            Some(Place::Sink(sink)) => {
                let settled = self.lanes[sink.0].answered(flight, answer);
                match settled.next {
                    Some(batch) => effects.push(request(sink, flight, batch)),
                    None => drop(self.flights.remove(&flight)),
                }
                for (unit, fate) in settled.fates {
                    self.settle(now, sink, unit, fate);
                }
            }
            Some(Place::Letters) => {
                let (filed, next) = self.letters.answered(flight, &answer);
                match next {
                    Some(next) => self.file(flight, &next, effects),
                    None => drop(self.flights.remove(&flight)),
                }
                for letter in filed {
                    self.filed(now, &letter);
                }
            }
        }
    }

    fn expire(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        for index in 0..self.lanes.len() {
            if index == SinkId::STORE.0 {
                continue;
            }
            let (fates, flights) = self.lanes[index].expire(now);
            for flight in flights {
                self.flights.remove(&flight);
                effects.push(Effect::Cancel(flight));
            }
            for (unit, fate) in fates {
                self.settle(now, SinkId(index), unit, fate);
            }
        }
    }

    /// Starts whatever can be started now.
    fn pump(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        for index in 0..self.lanes.len() {
            let mut id = FlightId(self.next_id());
            while let Some(batch) = self.lanes[index].take(id, now) {
                self.flights.insert(id, Place::Sink(SinkId(index)));
                effects.push(request(SinkId(index), id, batch));
                id = FlightId(self.next_id());
            }
        }
        let mut id = FlightId(self.next_id());
        while let Some(next) = self.letters.take(id) {
            self.flights.insert(id, Place::Letters);
            self.file(id, &next, effects);
            id = FlightId(self.next_id());
        }
        self.say_what_closed(effects);
        self.say_checkpoints(now, effects);
        for _ in 0..self.ready.len() {
            if self.budget.is_full() {
                break;
            }
            if let Some(slot) = self.ready.pop_front() {
                match self.budget.reserve(slot) {
                    Some(limit) => effects.push(Effect::Read { slot, limit }),
                    None => self.ready.push_back(slot),
                }
            }
        }
    }

    fn file(&self, flight: FlightId, request: &letters::Request, effects: &mut Vec<Effect>) {
        let letters = request.letters.iter().filter_map(|letter| {
            let shard = self.slots.get(&letter.unit.slot)?;
            let entry = shard.progress.entry(letter.unit.record)?;
            let stream = &self.options.stream;
            Some(letters::write(
                letter,
                stream,
                &shard.shard,
                entry,
                request.bare,
            ))
        });
        effects.push(Effect::File {
            flight,
            letters: letters.collect(),
        });
    }

    fn say_what_closed(&mut self, effects: &mut Vec<Effect>) {
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

    fn say_checkpoints(&mut self, now: Millis, effects: &mut Vec<Effect>) {
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

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}

fn request(sink: SinkId, flight: FlightId, batch: Vec<std::sync::Arc<super::Prepared>>) -> Effect {
    match sink.0.checked_sub(1) {
        None => Effect::Write { flight, batch },
        Some(queue) => Effect::Send {
            flight,
            queue,
            batch,
        },
    }
}
