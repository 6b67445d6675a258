//! The world: an event heap over real keepers, an in-memory table, a stream, and bad luck.

#[path = "network.rs"]
mod network;
#[path = "reading.rs"]
mod reading;
#[path = "weather.rs"]
mod weather;

use std::collections::BTreeMap;
use std::time::Duration;

use tidewire::lease::keeper::Effect;
use tidewire::lease::options::Initial;
use tidewire::lease::talk::Say;
use tidewire::lease::{Author, Change, Input, Keeper, Options};
use tidewire::model::{EpochMillis, LeaseCounter, Millis, ShardId, WorkerId};

use super::check::{Checks, Moment};
use super::faults::{Begin, Dice, STORM_MS, Schedule};
use super::java::Java;
use super::sometimes::Sometimes;
use super::stream::{EPOCH_MS, World as Stream};
use super::table::Store;

/// Time after the storm in which all must come to rest.
pub(crate) const CALM_MS: u64 = 60_000;
/// Records are put until so long after the storm.
const PRODUCE_AFTER_MS: u64 = 20_000;
/// The stream is listed more often than in life, so that what was deleted is found in time.
const SYNC_EVERY: Duration = Duration::from_secs(15);
/// How wrong clocks are on any day, in millionths: within what leases allow for.
const CLOCKS_PPM: u64 = 20_000;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) slot: usize,
    pub(crate) keeper: Keeper,
    /// What its clock showed at a true time, and how wrong it runs since.
    clock: (Millis, u64, i64),
    ppm: i64,
    paused_until: u64,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// When the last report of its reading side that is under way arrives.
    reports_until: u64,
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
    Java(usize),
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
    stale: (u64, u64, u64),
    network: (u64, u64, u64, u64),
    unlisted_until: u64,
    late_reports: (u64, u64, u64),
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
    javas: Vec<Java>,
    pub(crate) store: Store,
    pub(crate) stream: Stream,
    weather: Weather,
    checks: Checks,
    telling: Telling,
    trace: u64,
}

/// What a run tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Nothing,
    /// A hash over everything that was decided.
    Hash,
    /// Every decision, and every fault.
    All,
}

/// Runs a schedule to its end.
pub(crate) fn run(schedule: &Schedule, telling: Telling) -> Result<(Sometimes, u64), String> {
    let mut sim = Sim::new(schedule.clone());
    sim.telling = telling;
    while let Some(((at, _), happening)) = sim.queue.pop_first() {
        if at > STORM_MS + CALM_MS {
            break;
        }
        sim.now = at;
        let actor = match &happening {
            Happening::To(id, _) => Some(*id),
            _ => None,
        };
        sim.happen(happening)?;
        sim.check(|checks, moment| checks.after_every_event(moment, actor))?;
    }
    sim.check(Checks::at_the_end)?;
    Ok((sim.checks.sometimes.clone(), sim.trace))
}

impl Process {
    pub(crate) fn local(&self, at: u64) -> Millis {
        let (shown, then, ppm) = self.clock;
        let since = i64::try_from(at - then).unwrap() * (1_000_000 + ppm) / 1_000_000;
        Millis(shown.0 + u64::try_from(since).unwrap())
    }

    fn true_time(&self, local: Millis) -> u64 {
        let (shown, then, ppm) = self.clock;
        let since = local.0.saturating_sub(shown.0) * 1_000_000;
        then + since / u64::try_from(1_000_000 + ppm).unwrap() + 1
    }

    /// From now on it runs this much more wrong than on any day.
    fn turn_clock(&mut self, at: u64, more: i64) {
        self.clock = (self.local(at), at, self.ppm + more);
    }

    pub(crate) fn reads(&self, shard: &ShardId, now: u64) -> bool {
        let awake = self.paused_until < now;
        let may = || self.keeper.reads_at(shard, self.local(now)).is_some();
        self.readers.contains_key(shard) && (awake || may())
    }

    /// The shards that its reading side is at work on.
    pub(crate) fn reading(&self) -> impl Iterator<Item = &ShardId> {
        self.readers.keys()
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
            javas: Vec::new(),
            store: Store::default(),
            stream: Stream::new(schedule.shards, schedule.streams),
            weather: Weather {
                slow_drain_ms: 300,
                ..Weather::default()
            },
            checks: Checks::default(),
            telling: Telling::Nothing,
            trace: 0xcbf2_9ce4_8422_2325,
            schedule,
        };
        sim.stream.begins(sim.schedule.begin);
        sim.checks.sometimes.several_streams += u64::from(sim.schedule.streams > 1);
        for slot in 0..sim.schedule.workers {
            sim.start(slot, None);
        }
        for (index, (at, _)) in sim.schedule.faults.clone().iter().enumerate() {
            sim.push(*at, Happening::Fault(index));
        }
        sim.push(0, Happening::Produce);
        sim.push(STORM_MS, Happening::Heal);
        sim
    }

    fn check(
        &mut self,
        check: impl FnOnce(&mut Checks, &Moment<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let moment = Moment {
            now: self.now,
            processes: &self.processes,
            store: &self.store,
            stream: &self.stream,
        };
        check(&mut self.checks, &moment)
    }

    fn options(&self) -> Options {
        Options {
            shard_sync_every: SYNC_EVERY,
            streams: self.stream.ids(),
            initial_position: match self.schedule.begin {
                Begin::Oldest => Initial::TrimHorizon,
                Begin::Latest => Initial::Latest,
                Begin::At(ms) => {
                    Initial::AtTimestamp(EpochMillis(i64::try_from(EPOCH_MS + ms).unwrap()))
                }
            },
            ..Options::default()
        }
    }

    fn push(&mut self, at: u64, happening: Happening) {
        self.seq += 1;
        self.queue.insert((at.max(self.now), self.seq), happening);
    }

    /// A new process in a slot, under a name of its own, or one that another has or had.
    fn start(&mut self, slot: usize, name: Option<WorkerId>) {
        let id = self.started;
        self.started += 1;
        // What clocks show differs by hours, how fast they run by per cents.
        let shows = Millis(self.dice.between(0, 10_000_000));
        let wrong = i64::try_from(self.dice.between(0, 2 * CLOCKS_PPM)).unwrap();
        let ppm = wrong - i64::try_from(CLOCKS_PPM).unwrap();
        let author = Author {
            me: name.unwrap_or_else(|| WorkerId::from(format!("w{slot}-{id}"))),
            writer: format!("process-{id}"),
        };
        let at = self.now + self.dice.between(0, 300);
        let process = Process {
            slot,
            keeper: Keeper::new(author, self.options(), shows),
            clock: (shows, self.now, ppm),
            ppm,
            paused_until: 0,
            stopping: false,
            reports_until: 0,
            readers: BTreeMap::new(),
            wake_at: at,
        };
        self.processes.insert(id, process);
        self.push(at, Happening::To(id, What::Wake));
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::To(id, what) => self.to(id, what),
            Happening::Arrive(id, call, answered) => self.arrive(id, call, answered),
            Happening::Produce => {
                self.stream.produce(self.now);
                if self.now < STORM_MS + PRODUCE_AFTER_MS {
                    self.push(self.now + 500, Happening::Produce);
                }
                Ok(())
            }
            Happening::Fault(index) => {
                let fault = self.schedule.faults[index].1.clone();
                if self.telling == Telling::All {
                    println!("{} {fault:?}", self.now);
                }
                self.fault(&fault);
                Ok(())
            }
            Happening::Java(index) => self.java(index),
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
            What::Deliver(input) => {
                self.hear(id, &input);
                self.step(id, input)
            }
            What::Read(shard, epoch) => self.reader_turn(id, &shard, epoch),
            What::Drained(shard, epoch) => self.drained(id, &shard, epoch),
        }
    }

    /// What a process is told, for the checks.
    fn hear(&mut self, id: usize, input: &Input) {
        let checks = &mut self.checks;
        checks.late.heard(self.now, id, input, &checks.epochs);
        let Input::Said(
            Say::Checkpoint { shard, epoch, .. }
            | Say::Drained { shard, epoch, .. }
            | Say::Rate { shard, epoch, .. }
            | Say::Ended { shard, epoch, .. },
        ) = input
        else {
            return;
        };
        let process = &self.processes[&id];
        let now = process.local(self.now);
        let other = process
            .keeper
            .reads_at(shard, now)
            .filter(|now| now != epoch);
        self.checks.sometimes.outdated += u64::from(other.is_some());
    }

    fn step(&mut self, id: usize, input: Input) -> Result<(), String> {
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        let now = process.local(self.now);
        let effects = process.keeper.step(now, input);
        for effect in effects {
            match self.telling {
                Telling::Nothing => {}
                Telling::Hash => self.mix(&format!("{id}{effect:?}")),
                Telling::All => println!("{} process {id}: {effect:?}", self.now),
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
                self.checks.epochs.sends(id, &change)?;
                let me = self.processes[&id].keeper.me().clone();
                self.call(id, Call::Write(me, change));
            }
            Effect::Tell(event) => self.told(id, event)?,
            Effect::Note(note) => self.checks.note(self.now, id, &note),
            Effect::Refuse(error) => return Err(format!("refused: {error}")),
            Effect::Gone => {
                self.processes.remove(&id);
                self.checks.sometimes.stops += 1;
                if self.processes.is_empty() && self.now >= STORM_MS {
                    self.checks.wait_anew();
                    self.start(0, None);
                }
            }
        }
        Ok(())
    }
}
