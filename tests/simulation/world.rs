//! The world: an event heap over real keepers, an in-memory table, a stream, and bad luck.

use std::collections::{BTreeMap, BTreeSet};

use tidewire::lease::keeper::Effect;
use tidewire::lease::talk::{Event, Say};
use tidewire::lease::{Answer, Author, Change, Input, Keeper, Options};
use tidewire::model::{self, LeaseCounter, Millis, ShardId, WorkerId};

use super::check::{Checks, Sometimes};
use super::faults::{Dice, Fault, STORM_MS, Schedule};
use super::stream::World as Stream;
use super::table::Store;

/// Time after the storm in which all must come to rest.
pub(crate) const CALM_MS: u64 = 75_000;
/// Records are put until so long after the storm.
const PRODUCE_AFTER_MS: u64 = 25_000;
/// A call's caller gives up after this, as the service does.
const CALL_TIMEOUT_MS: u64 = 2_000;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) slot: usize,
    pub(crate) keeper: Keeper,
    offset: u64,
    ppm: i64,
    paused_until: u64,
    readers: BTreeMap<ShardId, Reader>,
    wake_at: u64,
}

#[derive(Clone, Debug)]
struct Reader {
    epoch: LeaseCounter,
    pos: u64,
    draining: bool,
}

#[derive(Clone, Debug)]
enum What {
    Wake,
    Deliver(Input),
    Read(ShardId, LeaseCounter),
    Drained(ShardId, LeaseCounter),
}

#[derive(Clone, Debug)]
enum Happening {
    To(usize, What),
    Arrive(usize, Call, bool),
    Produce,
    Fault(usize),
    Heal,
}

#[derive(Clone, Debug)]
enum Call {
    Scan,
    List,
    Read(ShardId),
    Write(WorkerId, Change),
}

#[derive(Clone, Debug, Default)]
struct Weather {
    outage_until: u64,
    throttle: (u64, u64),
    network: (u64, u64, u64, u64),
    slow_drain_ms: u64,
}

pub(crate) struct Sim {
    pub(crate) now: u64,
    schedule: Schedule,
    dice: Dice,
    queue: BTreeMap<(u64, u64), Happening>,
    seq: u64,
    pub(crate) processes: BTreeMap<usize, Process>,
    started: usize,
    pub(crate) store: Store,
    pub(crate) stream: Stream,
    weather: Weather,
    checks: Checks,
    pub(crate) trace: u64,
}

/// Runs a schedule to its end.
pub(crate) fn run(schedule: &Schedule, tracing: bool) -> Result<(Sometimes, u64), String> {
    let mut sim = Sim::new(schedule.clone());
    sim.checks.tracing = tracing;
    while let Some(((at, _), happening)) = sim.queue.pop_first() {
        if at > STORM_MS + CALM_MS {
            break;
        }
        sim.now = at;
        sim.happen(happening)?;
        let moment = super::check::Moment {
            now: sim.now,
            processes: &sim.processes,
            store: &sim.store,
            stream: &sim.stream,
        };
        sim.checks.after_every_event(&moment)?;
    }
    let moment = super::check::Moment {
        now: sim.now,
        processes: &sim.processes,
        store: &sim.store,
        stream: &sim.stream,
    };
    sim.checks.at_the_end(&moment)?;
    Ok((sim.checks.sometimes.clone(), sim.trace))
}

impl Process {
    pub(crate) fn local(&self, at: u64) -> Millis {
        let at = i128::from(at) * i128::from(1_000_000 + self.ppm) / 1_000_000;
        Millis(self.offset + u64::try_from(at).unwrap())
    }

    fn true_time(&self, local: Millis) -> u64 {
        let since = i128::from(local.0.saturating_sub(self.offset)) * 1_000_000;
        u64::try_from(since / i128::from(1_000_000 + self.ppm) + 1).unwrap()
    }
}

impl Sim {
    fn new(schedule: Schedule) -> Self {
        let mut sim = Self {
            now: 0,
            dice: Dice::new(schedule.seed ^ 0xABCD),
            queue: BTreeMap::new(),
            seq: 0,
            processes: BTreeMap::new(),
            started: 0,
            store: Store::default(),
            stream: Stream::new(schedule.shards),
            weather: Weather {
                slow_drain_ms: 300,
                ..Weather::default()
            },
            checks: Checks::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            schedule,
        };
        for slot in 0..sim.schedule.workers {
            sim.start(slot);
        }
        for (index, (at, _)) in sim.schedule.faults.clone().iter().enumerate() {
            sim.push(*at, Happening::Fault(index));
        }
        sim.push(0, Happening::Produce);
        sim.push(STORM_MS, Happening::Heal);
        sim
    }

    fn push(&mut self, at: u64, happening: Happening) {
        self.seq += 1;
        self.queue.insert((at.max(self.now), self.seq), happening);
    }

    fn start(&mut self, slot: usize) {
        let id = self.started;
        self.started += 1;
        let offset = self.dice.between(0, 10_000_000);
        let ppm = i64::try_from(self.dice.between(0, 20_000)).unwrap() - 10_000;
        let author = Author {
            me: WorkerId::from(format!("w{slot}-{id}")),
            writer: format!("process-{id}"),
        };
        let mut process = Process {
            slot,
            keeper: Keeper::new(author, Options::default(), Millis(0)),
            offset,
            ppm,
            paused_until: 0,
            readers: BTreeMap::new(),
            wake_at: self.now,
        };
        let now = process.local(self.now);
        process.keeper = Keeper::new(
            Author {
                me: process.keeper.me().clone(),
                writer: format!("process-{id}"),
            },
            Options::default(),
            now,
        );
        self.processes.insert(id, process);
        let at = self.now + self.dice.between(0, 300);
        self.processes.get_mut(&id).unwrap().wake_at = at;
        self.push(at, Happening::To(id, What::Wake));
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::To(id, what) => self.to(id, what),
            Happening::Arrive(id, call, answered) => self.arrive(id, call, answered),
            Happening::Produce => {
                self.stream.produce();
                if self.now < STORM_MS + PRODUCE_AFTER_MS {
                    self.push(self.now + 500, Happening::Produce);
                }
                Ok(())
            }
            Happening::Fault(index) => {
                let fault = self.schedule.faults[index].1.clone();
                self.fault(&fault)
            }
            Happening::Heal => {
                self.heal();
                Ok(())
            }
        }
    }

    fn to(&mut self, id: usize, what: What) -> Result<(), String> {
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        if process.paused_until > self.now {
            if matches!(what, What::Wake) {
                process.wake_at = process.paused_until;
            }
            let at = process.paused_until;
            self.push(at, Happening::To(id, what));
            return Ok(());
        }
        match what {
            What::Wake if process.wake_at == self.now => self.step(id, Input::Tick),
            What::Wake => Ok(()),
            What::Deliver(input) => self.step(id, input),
            What::Read(shard, epoch) => self.reader_turn(id, &shard, epoch),
            What::Drained(shard, epoch) => self.drained(id, &shard, epoch),
        }
    }

    fn step(&mut self, id: usize, input: Input) -> Result<(), String> {
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        let now = process.local(self.now);
        let effects = process.keeper.step(now, input);
        for effect in effects {
            if self.checks.tracing {
                self.mix(&format!("{id}{effect:?}"));
            }
            self.carry_out(id, effect)?;
        }
        if let Some(process) = self.processes.get_mut(&id) {
            let wake = process.keeper.wake(now);
            let at = if wake.0 == u64::MAX {
                u64::MAX
            } else {
                process.true_time(wake).max(self.now + 1)
            };
            if at != process.wake_at {
                process.wake_at = at;
                self.push(at, Happening::To(id, What::Wake));
            }
        }
        Ok(())
    }

    fn mix(&mut self, text: &str) {
        for byte in text.bytes().chain(self.now.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn carry_out(&mut self, id: usize, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Scan => self.call(id, Call::Scan),
            Effect::List => self.call(id, Call::List),
            Effect::Read(shard) => self.call(id, Call::Read(shard)),
            Effect::Write(change) => {
                let me = self.processes[&id].keeper.me().clone();
                self.call(id, Call::Write(me, change));
            }
            Effect::Tell(event) => self.told(id, event)?,
            Effect::Note(note) => self.checks.note(self.now, &note),
            Effect::Refuse(error) => return Err(format!("refused: {error}")),
            Effect::Gone => {
                self.processes.remove(&id);
                self.checks.sometimes.stops += 1;
                if self.processes.is_empty() && self.now >= STORM_MS {
                    self.checks.wait_anew();
                    self.start(0);
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, id: usize, call: Call) {
        let there = self.now + self.dice.between(2, 40);
        let (lost, unanswered, late, until) = self.weather.network;
        let stormy = self.now < until;
        let write = matches!(call, Call::Write(..));
        let timeout = self.now + CALL_TIMEOUT_MS;
        if stormy && self.dice.chance(lost) {
            let failed = failure(&call, model::Fault::Transient);
            return self.push(timeout, Happening::To(id, What::Deliver(failed)));
        }
        let silent = stormy && self.dice.chance(unanswered);
        let straggles = stormy && write && self.dice.chance(late);
        if silent || straggles {
            let failed = failure(&call, model::Fault::Transient);
            self.push(timeout, Happening::To(id, What::Deliver(failed)));
            let at = if straggles {
                // What still travels when the storm ends comes to rest then.
                (self.now + self.dice.between(2_500, 15_000)).min(STORM_MS)
            } else {
                there
            };
            return self.push(at, Happening::Arrive(id, call, false));
        }
        self.push(there, Happening::Arrive(id, call, true));
    }

    fn arrive(&mut self, id: usize, call: Call, answered: bool) -> Result<(), String> {
        let back = self.now + self.dice.between(2, 40);
        let (throttled, until) = self.weather.throttle;
        let listing = matches!(call, Call::List);
        let refusal = if self.now < self.weather.outage_until && !listing {
            Some(model::Fault::Transient)
        } else if self.now < until && self.dice.chance(throttled) {
            Some(model::Fault::Throttled)
        } else {
            None
        };
        let input = match (refusal, call) {
            (Some(fault), call) => failure(&call, fault),
            (None, Call::Scan) => {
                let (dice, store, now) = (&mut self.dice, &self.store, self.now);
                let lag = || {
                    if dice.chance(100) {
                        dice.between(0, 1_500)
                    } else {
                        0
                    }
                };
                Input::Scanned(Ok(store.stale_scan(now, lag)))
            }
            (None, Call::List) => Input::Listed(Ok(self.stream.listed(self.now))),
            (None, Call::Read(shard)) => Input::Read {
                answer: Ok(self.store.read(&shard).cloned()),
                shard,
            },
            (None, Call::Write(writer, change)) => {
                let answer = self.write(&writer, &change)?;
                Input::Wrote {
                    shard: change.shard,
                    answer: Ok(answer),
                }
            }
        };
        if answered {
            self.push(back, Happening::To(id, What::Deliver(input)));
        }
        Ok(())
    }

    fn write(&mut self, writer: &WorkerId, change: &Change) -> Result<Answer, String> {
        let before = self.store.read(&change.shard).cloned();
        let answer = self.store.change(self.now, change);
        match &answer {
            Answer::Applied(after) => {
                self.checks
                    .written(writer, before.as_ref(), after.as_ref(), &self.stream)?;
            }
            Answer::Refused(_) => self.checks.sometimes.conflicts += 1,
        }
        Ok(answer)
    }

    /// What the keeper says reaches the reading side at once.
    fn told(&mut self, id: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Granted {
                shard,
                epoch,
                start,
            } => {
                let index = self.stream.index(&shard);
                let pos = Stream::skipped(index, &start);
                self.checks.granted(&self.stream, index, pos)?;
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

    fn reader(&mut self, id: usize, shard: &ShardId, epoch: LeaseCounter) -> Option<&mut Reader> {
        let reader = self.processes.get_mut(&id)?.readers.get_mut(shard)?;
        (reader.epoch == epoch).then_some(reader)
    }

    fn reader_turn(
        &mut self,
        id: usize,
        shard: &ShardId,
        epoch: LeaseCounter,
    ) -> Result<(), String> {
        let index = self.stream.index(shard);
        // In the calm what the storm held up is read fast.
        let most = if self.now < STORM_MS { 4 } else { 30 };
        let some = self.dice.between(0, most);
        let len = self.stream.shards[index].len;
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
        self.checks.delivered(&mut self.stream, index, pos)?;
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
            return self.step(id, Input::Said(say));
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
                self.step(id, Input::Said(say))
            }
            _ => Ok(()),
        }
    }

    fn drained(&mut self, id: usize, shard: &ShardId, epoch: LeaseCounter) -> Result<(), String> {
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
        self.step(id, Input::Said(say))
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), String> {
        let now = self.now;
        let ids = |slot: usize, sim: &Self| {
            let of = sim
                .processes
                .iter()
                .filter(|(_, process)| process.slot == slot);
            of.map(|(id, _)| *id).collect::<BTreeSet<_>>()
        };
        match fault {
            Fault::Crash { worker } => {
                for id in ids(*worker, self) {
                    self.processes.remove(&id);
                    self.checks.sometimes.crashes += 1;
                }
            }
            Fault::Start { worker } => {
                if ids(*worker, self).is_empty() {
                    self.start(*worker);
                }
            }
            Fault::Pause { worker, ms } => {
                for id in ids(*worker, self) {
                    self.processes.get_mut(&id).unwrap().paused_until = (now + ms).min(STORM_MS);
                }
            }
            Fault::Stop { worker } => {
                for id in ids(*worker, self) {
                    self.push(now, Happening::To(id, What::Deliver(Input::Shutdown)));
                }
            }
            Fault::Outage { ms } => self.weather.outage_until = now + ms,
            Fault::Throttle { per_mille, ms } => self.weather.throttle = (*per_mille, now + ms),
            Fault::Network {
                lost,
                unanswered,
                late,
                ms,
            } => {
                self.weather.network = (*lost, *unanswered, *late, now + ms);
            }
            Fault::Split { shard } => self.stream.split(*shard),
            Fault::Merge { shard } => self.stream.merge(*shard),
            Fault::SlowDrains { ms } => self.weather.slow_drain_ms = *ms,
            Fault::DeleteRow { shard } => {
                let index = shard % self.stream.shards.len();
                let shard = self.stream.shards[index].id.clone();
                if self.store.read(&shard).is_some() {
                    self.store.delete_by_hand(now, &shard);
                    self.checks.deleted_by_hand(now, &shard);
                }
            }
        }
        Ok(())
    }

    /// The storm is over: what was lost stays lost, nothing more goes wrong.
    fn heal(&mut self) {
        self.weather = Weather {
            slow_drain_ms: 300,
            ..Weather::default()
        };
        for process in self.processes.values_mut() {
            process.paused_until = process.paused_until.min(self.now);
        }
        for id in self.processes.keys().copied().collect::<Vec<_>>() {
            let at = self.now + 1;
            self.processes.get_mut(&id).unwrap().wake_at = at;
            self.push(at, Happening::To(id, What::Wake));
        }
        if self.processes.is_empty() {
            self.start(0);
        }
    }
}

fn failure(call: &Call, fault: model::Fault) -> Input {
    match call {
        Call::Scan => Input::Scanned(Err(fault)),
        Call::List => Input::Listed(Err(fault)),
        Call::Read(shard) => Input::Read {
            shard: shard.clone(),
            answer: Err(fault),
        },
        Call::Write(_, change) => Input::Wrote {
            shard: change.shard.clone(),
            answer: Err(fault),
        },
    }
}
