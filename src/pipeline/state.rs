//! The pipeline's state, and the steps that move between its parts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::books::Books;
use super::budget::{Brought, Budget};
use super::lane::{Keyed, Lane, LaneStatus, Limits};
use super::letters::{self, Letters};
use super::message::{Format, PACKED_ENVELOPE};
use super::ownership::Shard;
use super::unit::{FlightId, Prepared, Slot};
use super::{Effect, Input, Options, SinkId, SinkKind};
use crate::model::{Millis, ShardId};

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
    pub(super) flights: BTreeMap<FlightId, Place>,
    /// Readers that wait for the budget, in the order they asked, with the size of what is there.
    pub(super) ready: VecDeque<(Slot, Option<u64>)>,
    /// Shards whose checkpoint moved and was not reported.
    pub(super) dirty: BTreeSet<Slot>,
    /// Shards that end when everything read of them is done.
    pub(super) closing: BTreeSet<Slot>,
    ids: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Sink(SinkId),
    Letters,
}

impl Pipeline {
    /// Nothing read yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let stores = options.stores.iter().enumerate().map(|(index, store)| {
            Lane::new(Limits {
                items_max: store.batch_max,
                bytes_max: store.bytes_max,
                window: store.window,
                requests_max: store.requests_max,
                keyed: Keyed::Rows(index),
            })
        });
        let request_bytes_max = options.message_bytes_limit.min(QUEUE_REQUEST_BYTES_MAX);
        let (items_max, bytes_max) = match options.queue_format {
            Format::Packed => (
                usize::MAX,
                options.message_bytes_max.saturating_sub(PACKED_ENVELOPE),
            ),
            Format::Single => (QUEUE_ENTRIES_MAX, request_bytes_max),
        };
        let queues = (0..options.queues).map(|queue| {
            Lane::new(Limits {
                items_max,
                bytes_max,
                window: options.queue_window,
                requests_max: options.queue_requests_max,
                keyed: match options.fifo_queues.contains(&queue) {
                    true => Keyed::Devices,
                    false => Keyed::Nothing,
                },
            })
        });
        let lanes: Vec<Lane> = stores.chain(queues).collect();
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
            Input::Ready { slot, event_bytes } => {
                let reads = |shard: &Shard| !shard.draining && shard.ended.is_none();
                if self.slots.get(&slot).is_some_and(reads) {
                    self.ready.push_back((slot, event_bytes));
                }
            }
            Input::Page { slot, page } => self.page(now, slot, page),
            Input::NoPage(slot) => self.budget.settle(slot, Brought::default()),
            Input::Answered { flight, answer } => self.answered(now, flight, answer, &mut effects),
            Input::Throttled(flight) => {
                if let Some(Place::Sink(sink)) = self.flights.get(&flight) {
                    self.lanes[sink.0].throttled(now);
                }
            }
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

    /// Bytes read and not yet done.
    #[must_use]
    pub fn bytes_unfinished(&self) -> u64 {
        self.budget.unfinished()
    }

    /// Dead letters not yet filed.
    #[must_use]
    pub fn letters_waiting(&self) -> u64 {
        self.letters.len()
    }

    /// The shards owned now.
    pub fn shards(&self) -> impl Iterator<Item = (Slot, &Shard)> {
        self.slots.iter().map(|(slot, shard)| (*slot, shard))
    }

    /// A sink's lane.
    #[must_use]
    pub fn lane(&self, sink: SinkId) -> Option<LaneStatus> {
        self.lanes.get(sink.0).map(Lane::status)
    }

    /// The sinks, each of which gets every reading.
    pub(super) fn sinks(&self) -> impl Iterator<Item = SinkId> + Clone + use<> {
        (0..self.lanes.len()).map(SinkId)
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
                    Some(batch) => effects.push(self.request(sink, flight, batch)),
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
            if let SinkKind::Store(_) = self.options.kind(SinkId(index)) {
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
                effects.push(self.request(SinkId(index), id, batch));
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
            if let Some((slot, event_bytes)) = self.ready.pop_front() {
                match self.budget.reserve(slot, event_bytes) {
                    Some(limit) => effects.push(Effect::Read { slot, limit }),
                    None => self.ready.push_back((slot, event_bytes)),
                }
            }
        }
    }

    fn request(&self, sink: SinkId, flight: FlightId, batch: Vec<Arc<Prepared>>) -> Effect {
        match self.options.kind(sink) {
            SinkKind::Store(store) => Effect::Write {
                flight,
                store,
                batch,
            },
            SinkKind::Queue(queue) => Effect::Send {
                flight,
                queue,
                batch,
            },
        }
    }

    fn file(&self, flight: FlightId, request: &letters::Request, effects: &mut Vec<Effect>) {
        let letters = request.letters.iter().filter_map(|letter| {
            let shard = self.slots.get(&letter.unit.slot)?;
            let entry = shard.progress.entry(letter.unit.record)?;
            let among = shard.shard.stream();
            let among = among.map(|stream| stream.name().into());
            Some(letters::write(
                letter,
                among.as_ref().unwrap_or(&self.options.stream),
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

    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}
