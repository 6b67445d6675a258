//! The world: an event heap over real keepers, an in-memory table, a stream, and bad luck.

#[path = "network.rs"]
mod network;
#[path = "reading.rs"]
mod reading;
#[path = "weather.rs"]
mod weather;

use std::collections::BTreeMap;

use tidewire::lease::keeper::Effect;
use tidewire::lease::{Author, Change, Input, Keeper, Options};
use tidewire::model::{LeaseCounter, Millis, ShardId, WorkerId};

use super::check::{Checks, Sometimes};
use super::faults::{Dice, STORM_MS, Schedule};
use super::stream::World as Stream;
use super::table::Store;

/// Time after the storm in which all must come to rest.
pub(crate) const CALM_MS: u64 = 75_000;
/// Records are put until so long after the storm.
const PRODUCE_AFTER_MS: u64 = 25_000;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) slot: usize,
    pub(crate) keeper: Keeper,
    offset: u64,
    ppm: i64,
    paused_until: u64,
    /// It was told to stop.
    stopping: bool,
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
            stopping: false,
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
}
