//! Many workers over one table in fair weather: what they do, and what it costs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidewire::lease::keeper::{Effect, Note};
use tidewire::lease::row::{self, Entry};
use tidewire::lease::talk::{Event, Say};
use tidewire::lease::weigh::Owned;
use tidewire::lease::{Answer, Author, Change, Input, Item, Keeper, Listed, Options};
use tidewire::model::{EpochMillis, LeaseCounter, Millis, Shard, ShardId, WorkerId};

#[path = "looks.rs"]
mod looks;

use super::meter::Meter;
use super::shards::sequence;
use crate::dice::Dice;

/// One way of a call, in milliseconds: half of what DynamoDB takes within a region.
const WAY_MS: (u64, u64) = (2, 8);
/// How many calls to rows a worker has under way at once (`ROW_CALLS_MAX` of the service).
const ROW_CALLS_MAX: usize = 64;
/// What is in flight is done so soon.
const DRAIN_MS: (u64, u64) = (10, 60);
/// Each shard reports how far it is so often.
const REPORT_MS: u64 = 3_000;

#[derive(Debug)]
enum Call {
    Scan,
    List,
    Read(ShardId),
    Write(Change),
}

#[derive(Debug)]
enum What {
    Wake,
    Arrive(Call),
    Answer(Input),
    Drained(ShardId, LeaseCounter),
    Report(ShardId, LeaseCounter),
}

#[derive(Debug)]
struct Worker {
    keeper: Keeper,
    wake_at: u64,
    reading: BTreeMap<ShardId, LeaseCounter>,
    /// Calls to rows that wait for one of those under way.
    waiting: VecDeque<Call>,
    under_way: usize,
    leaving: bool,
}

pub(crate) struct Town {
    pub(crate) now: u64,
    seq: u64,
    dice: Dice,
    queue: BTreeMap<(u64, u64), (usize, What)>,
    workers: BTreeMap<usize, Worker>,
    started: usize,
    rows: BTreeMap<ShardId, Item>,
    shards: Vec<Shard>,
    options: Options,
    readers: BTreeMap<ShardId, usize>,
    /// Since when a shard is not read.
    unread: BTreeMap<ShardId, u64>,
    /// How long each shard was not read, where it was read before.
    pub(crate) gaps_ms: Vec<u64>,
    /// How often a shard was granted.
    pub(crate) grants: u64,
    pub(crate) last_move: u64,
    pub(crate) meter: Meter,
    /// What each shard carries, bytes a second; empty: nobody measures.
    pub(crate) rates: BTreeMap<ShardId, u64>,
}

impl Town {
    pub(crate) fn new(shards: Vec<Shard>, options: Options) -> Self {
        let unread = shards.iter().map(|shard| (shard.id.clone(), 0));
        Self {
            now: 0,
            seq: 0,
            dice: Dice::new(7),
            queue: BTreeMap::new(),
            workers: BTreeMap::new(),
            started: 0,
            rows: BTreeMap::new(),
            unread: unread.collect(),
            shards,
            options,
            readers: BTreeMap::new(),
            gaps_ms: Vec::new(),
            grants: 0,
            last_move: 0,
            meter: Meter::default(),
            rates: BTreeMap::new(),
        }
    }

    fn push(&mut self, at: u64, worker: usize, what: What) {
        self.seq += 1;
        self.queue.insert((at, self.seq), (worker, what));
    }

    /// A worker starts at `at`.
    pub(crate) fn start(&mut self, at: u64) -> usize {
        let id = self.started;
        self.started += 1;
        let author = Author {
            me: WorkerId::from(format!(
                "tidewire-7d4b9c6f58-{id:05}-{:08x}",
                self.dice.next() >> 32
            )),
            writer: format!(
                "0190{id:04x}-7c1a-7000-8000-{:012x}",
                self.dice.next() >> 16
            ),
        };
        let worker = Worker {
            keeper: Keeper::new(author, self.options.clone(), Millis(at)),
            wake_at: at,
            reading: BTreeMap::new(),
            waiting: VecDeque::new(),
            under_way: 0,
            leaving: false,
        };
        self.workers.insert(id, worker);
        self.push(at, id, What::Wake);
        id
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self, id: usize) {
        self.workers.get_mut(&id).expect("it runs").leaving = true;
        self.push(self.now, id, What::Answer(Input::Shutdown));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, id: usize) {
        let worker = self.workers.remove(&id).expect("it runs");
        for shard in worker.reading.keys() {
            self.readers.remove(shard);
            self.unread.insert(shard.clone(), self.now);
        }
    }

    /// Runs until `done`; answers with when that was, or `None` if it was not by `deadline`.
    pub(crate) fn until(&mut self, deadline: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        while !done(self) {
            if !self.next(deadline) {
                return None;
            }
        }
        Some(self.now)
    }

    pub(crate) fn run(&mut self, until: u64) {
        while self.next(until) {}
        self.now = until;
    }

    fn next(&mut self, until: u64) -> bool {
        let due = self
            .queue
            .first_entry()
            .filter(|next| next.key().0 <= until);
        let Some(((at, _), (id, what))) = due.map(|next| next.remove_entry()) else {
            return false;
        };
        self.now = at;
        match what {
            What::Arrive(call) => self.arrive(id, call),
            What::Wake => {
                if self
                    .workers
                    .get(&id)
                    .is_some_and(|worker| worker.wake_at == at)
                {
                    self.step(id, Input::Tick);
                }
            }
            What::Answer(input) => {
                if matches!(input, Input::Read { .. } | Input::Wrote { .. }) {
                    self.next_call(id);
                }
                self.step(id, input);
            }
            What::Drained(shard, epoch) => self.drained(id, shard, epoch),
            What::Report(shard, epoch) => self.report(id, shard, epoch),
        }
        true
    }

    fn step(&mut self, id: usize, input: Input) {
        let now = Millis(self.now);
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        for effect in worker.keeper.step(now, input) {
            self.carry_out(id, effect);
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            let wake = worker.keeper.wake(now).0;
            let at = wake.max(self.now + 5);
            if wake != u64::MAX && at != worker.wake_at {
                worker.wake_at = at;
                self.push(at, id, What::Wake);
            }
        }
    }

    fn carry_out(&mut self, id: usize, effect: Effect) {
        let call = match effect {
            Effect::Scan => return self.send(id, Call::Scan),
            Effect::List => return self.send(id, Call::List),
            Effect::Read(shard) => Call::Read(shard),
            Effect::Write(change) => Call::Write(change),
            Effect::Tell(event) => return self.told(id, event),
            Effect::Note(Note::Broken(broken)) => panic!("{broken}"),
            Effect::Note(Note::Asked { .. }) => {
                self.last_move = self.now;
                return;
            }
            Effect::Note(_) => return,
            Effect::Refuse(error) => panic!("{error}"),
            Effect::Gone => {
                self.workers.remove(&id);
                return;
            }
        };
        let worker = self.workers.get_mut(&id).expect("it acts");
        if worker.under_way < ROW_CALLS_MAX {
            worker.under_way += 1;
            self.send(id, call);
        } else {
            worker.waiting.push_back(call);
        }
    }

    fn send(&mut self, id: usize, call: Call) {
        let at = self.now + self.dice.between(WAY_MS.0, WAY_MS.1);
        self.push(at, id, What::Arrive(call));
    }

    fn next_call(&mut self, id: usize) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        match worker.waiting.pop_front() {
            Some(call) => self.send(id, call),
            None => worker.under_way -= 1,
        }
    }

    fn arrive(&mut self, id: usize, call: Call) {
        let input = match call {
            Call::Scan => {
                self.meter.scanned(self.rows.values());
                Input::Scanned(Ok(self.rows.values().cloned().collect()))
            }
            Call::List => Input::Listed(Ok(Listed {
                shards: self.shards.clone(),
                server_time: EpochMillis(i64::try_from(self.now).expect("a short life")),
            })),
            Call::Read(shard) => {
                let item = self.rows.get(&shard).cloned();
                self.meter.read(item.as_ref());
                Input::Read {
                    shard,
                    answer: Ok(item),
                }
            }
            Call::Write(change) => {
                let before = self.rows.get(&change.shard);
                let answer = change.apply(before);
                self.meter.wrote(before, &answer);
                match &answer {
                    Answer::Applied(Some(after)) => {
                        self.rows.insert(change.shard.clone(), after.clone());
                    }
                    Answer::Applied(None) => {
                        self.rows.remove(&change.shard);
                    }
                    Answer::Refused(_) => {}
                }
                Input::Wrote {
                    shard: change.shard,
                    answer: Ok(answer),
                }
            }
        };
        let at = self.now + self.dice.between(WAY_MS.0, WAY_MS.1);
        self.push(at, id, What::Answer(input));
    }

    fn told(&mut self, id: usize, event: Event) {
        let worker = self.workers.get_mut(&id).expect("it acts");
        match event {
            Event::Granted { shard, epoch, .. } => {
                worker.reading.insert(shard.clone(), epoch);
                let other = self.readers.insert(shard.clone(), id);
                assert!(
                    other.is_none_or(|other| other == id),
                    "L1: {shard} is read by {other:?} and {id}"
                );
                let since = self.unread.remove(&shard).unwrap_or(self.now);
                self.gaps_ms.push(self.now - since);
                self.grants += 1;
                let at = self.now + self.dice.between(1, REPORT_MS);
                self.push(at, id, What::Report(shard, epoch));
            }
            Event::Drain { shard, epoch, .. } => {
                let at = self.now + self.dice.between(DRAIN_MS.0, DRAIN_MS.1);
                self.push(at, id, What::Drained(shard, epoch));
            }
            Event::Revoked { shard, .. } => self.stops(id, &shard),
        }
    }

    fn stops(&mut self, id: usize, shard: &ShardId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.reading.remove(shard);
        }
        if self.readers.get(shard) == Some(&id) {
            self.readers.remove(shard);
            self.unread.insert(shard.clone(), self.now);
        }
    }

    fn reads(&self, id: usize, shard: &ShardId, epoch: LeaseCounter) -> bool {
        let worker = self.workers.get(&id);
        worker.is_some_and(|worker| worker.reading.get(shard) == Some(&epoch))
    }

    fn drained(&mut self, id: usize, shard: ShardId, epoch: LeaseCounter) {
        if self.reads(id, &shard, epoch) {
            self.stops(id, &shard);
            let checkpoint = Some(sequence(self.now));
            let say = Say::Drained {
                shard,
                epoch,
                checkpoint,
            };
            self.step(id, Input::Said(say));
        }
    }

    fn report(&mut self, id: usize, shard: ShardId, epoch: LeaseCounter) {
        if self.reads(id, &shard, epoch) {
            let again = What::Report(shard.clone(), epoch);
            self.push(self.now + REPORT_MS, id, again);
            self.measure(id, &shard, epoch);
            let checkpoint = sequence(self.now);
            let say = Say::Checkpoint {
                shard,
                epoch,
                checkpoint,
            };
            self.step(id, Input::Said(say));
        }
    }

    /// A mean of the last minute still differs by a tenth now and then.
    fn measure(&mut self, id: usize, shard: &ShardId, epoch: LeaseCounter) {
        if let Some(rate) = self.rates.get(shard) {
            let bytes_per_s = rate * self.dice.between(900, 1_100) / 1_000;
            let shard = shard.clone();
            let say = Say::Rate {
                shard,
                epoch,
                bytes_per_s,
            };
            self.step(id, Input::Said(say));
        }
    }
}
