//! A small world of two workers that can be copied, compared, and led astray at every step.

mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use tidewire::lease::keeper::Effect;
use tidewire::lease::row::{self, Entry};
use tidewire::lease::talk::{Event, Say};
use tidewire::lease::{
    Answer, Author, Change, Input, Item, Keeper, Listed, Options, Row, invariant,
};
use tidewire::model::{EpochMillis, LeaseCounter, Millis, Shard, ShardId, WorkerId};

/// Then everything must be read within a lease, two scans, and a call given up; and be shared out.
const CALM_MS: u64 = 32_000;
/// One way of a call.
const WAY_MS: u64 = 20;
/// The second worker begins so much later.
const SECOND_MS: u64 = 700;

pub(crate) use wrong::Wrong;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Scan,
    List,
    Read(ShardId),
    Write(String),
}

#[derive(Clone, Debug)]
enum Next {
    Wake,
    Arrive(Call, Option<Change>, bool),
    Answer(Input),
    Drained(ShardId, LeaseCounter),
}

#[derive(Clone, Debug)]
struct Worker {
    keeper: Keeper,
    paused_until: u64,
    leaving: bool,
    reading: BTreeMap<ShardId, LeaseCounter>,
}

#[derive(Clone, Debug)]
pub(crate) struct Small {
    now: u64,
    seq: u64,
    /// Things go wrong until then.
    storm_ms: u64,
    leases: u64,
    workers: BTreeMap<usize, Worker>,
    rows: BTreeMap<ShardId, Item>,
    events: BTreeMap<(u64, u64), (usize, Next)>,
    java_took: BTreeSet<ShardId>,
}

/// Text that is hashed as it is written, and kept nowhere.
struct Hashed(DefaultHasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn shard(number: u64) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

fn parse(item: &Item) -> Row {
    match row::read(item) {
        Ok(Entry::Lease(row)) => row,
        other => panic!("{other:?}"),
    }
}

impl Small {
    pub(crate) fn new(leases: u64, storm_ms: u64) -> Self {
        let mut world = Self {
            now: 0,
            seq: 0,
            storm_ms,
            leases,
            workers: BTreeMap::new(),
            rows: BTreeMap::new(),
            events: BTreeMap::new(),
            java_took: BTreeSet::new(),
        };
        // Slower scans than in life: fewer steps, the same decisions.
        let options = Options {
            scan_every: Duration::from_millis(2_400),
            shard_sync_every: Duration::from_secs(3_600),
            ..Options::default()
        };
        for id in 0..2 {
            let author = Author {
                me: WorkerId::from(format!("w{id}")),
                writer: format!("process-{id}"),
            };
            let worker = Worker {
                keeper: Keeper::new(author, options.clone(), Millis(0)),
                paused_until: 0,
                leaving: false,
                reading: BTreeMap::new(),
            };
            world.workers.insert(id, worker);
            let begin = SECOND_MS * u64::try_from(id).unwrap();
            world.push(begin, id, Next::Wake);
        }
        world
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn in_storm(&self) -> bool {
        self.next_at() < self.storm_ms
    }

    pub(crate) fn next_at(&self) -> u64 {
        self.events.keys().next().map_or(u64::MAX, |(at, _)| *at)
    }

    /// All that decides what happens from here on.
    pub(crate) fn state(&self) -> u64 {
        let mut text = Hashed(DefaultHasher::new());
        write!(
            text,
            "{:?}{:?}{:?}",
            self.workers, self.rows, self.java_took
        )
        .unwrap();
        for ((at, _), next) in &self.events {
            write!(text, "{at}{next:?}").unwrap();
        }
        text.0.finish()
    }

    fn push(&mut self, at: u64, worker: usize, next: Next) {
        self.seq += 1;
        self.events.insert((at, self.seq), (worker, next));
    }

    /// The next event; `false` once it is all over.
    pub(crate) fn step(&mut self) -> Result<bool, String> {
        if self.next_at() >= self.storm_ms + CALM_MS || self.workers.is_empty() {
            return self.at_the_end().map(|()| false);
        }
        let ((at, _), (id, next)) = self.events.pop_first().unwrap();
        self.now = at;
        if let Next::Arrive(call, change, answered) = next {
            self.arrive(id, call, change, answered)?;
            return Ok(true);
        }
        let Some(worker) = self.workers.get_mut(&id) else {
            return Ok(true);
        };
        if worker.paused_until > at {
            let until = worker.paused_until;
            self.push(until, id, next);
            return Ok(true);
        }
        match next {
            Next::Wake => self.tell(id, Input::Tick)?,
            Next::Answer(input) => self.tell(id, input)?,
            Next::Drained(shard, epoch) => {
                if worker.reading.get(&shard) == Some(&epoch) {
                    worker.reading.remove(&shard);
                    let checkpoint = None;
                    let say = Say::Drained {
                        shard,
                        epoch,
                        checkpoint,
                    };
                    self.tell(id, Input::Said(say))?;
                }
            }
            Next::Arrive(..) => {}
        }
        Ok(true)
    }

    fn tell(&mut self, id: usize, input: Input) -> Result<(), String> {
        let now = Millis(self.now);
        let effects = self.workers.get_mut(&id).unwrap().keeper.step(now, input);
        for effect in effects {
            let there = self.now + WAY_MS;
            let call = match effect {
                Effect::Scan => (Call::Scan, None),
                Effect::List => (Call::List, None),
                Effect::Read(shard) => (Call::Read(shard), None),
                Effect::Write(change) => (Call::Write(format!("{change:?}")), Some(change)),
                Effect::Tell(event) => {
                    self.told(id, event);
                    continue;
                }
                Effect::Note(_) => continue,
                Effect::Refuse(error) => return Err(error.to_string()),
                Effect::Gone => {
                    self.workers.remove(&id);
                    return Ok(());
                }
            };
            self.push(there, id, Next::Arrive(call.0, call.1, true));
        }
        let wake = self.workers[&id].keeper.wake(now).0.max(self.now + 1);
        self.events
            .retain(|_, (of, next)| *of != id || !matches!(next, Next::Wake));
        self.push(wake, id, Next::Wake);
        self.one_reader()
    }

    fn told(&mut self, id: usize, event: Event) {
        let drained = self.now + 5 * WAY_MS;
        let reading = &mut self.workers.get_mut(&id).unwrap().reading;
        match event {
            Event::Granted { shard, epoch, .. } => {
                reading.insert(shard, epoch);
            }
            Event::Drain { shard, epoch, .. } => {
                self.push(drained, id, Next::Drained(shard, epoch));
            }
            Event::Revoked { shard, .. } => {
                reading.remove(&shard);
            }
        }
    }

    fn arrive(
        &mut self,
        id: usize,
        call: Call,
        change: Option<Change>,
        answered: bool,
    ) -> Result<(), String> {
        let input = match (call, change) {
            (Call::Scan, _) => Input::Scanned(Ok(self.rows.values().cloned().collect())),
            (Call::List, _) => Input::Listed(Ok(self.listed())),
            (Call::Read(shard), _) => Input::Read {
                answer: Ok(self.rows.get(&shard).cloned()),
                shard,
            },
            (Call::Write(_), change) => {
                let change = change.unwrap();
                let before = self.rows.get(&change.shard).cloned();
                let answer = change.apply(before.as_ref());
                if let Answer::Applied(Some(after)) = &answer {
                    invariant::parses_in_java(after).map_err(|broken| broken.to_string())?;
                    if let Some(before) = &before {
                        let me = WorkerId::from(format!("w{id}"));
                        invariant::write(&parse(before), &parse(after), &me)
                            .map_err(|broken| broken.to_string())?;
                    }
                    self.rows.insert(change.shard.clone(), after.clone());
                }
                Input::Wrote {
                    shard: change.shard,
                    answer: Ok(answer),
                }
            }
        };
        if answered {
            self.push(self.now + WAY_MS, id, Next::Answer(input));
        }
        Ok(())
    }

    fn listed(&self) -> Listed {
        let width = u128::MAX / u128::from(self.leases);
        let shards = (0..self.leases).map(|number| Shard {
            id: shard(number),
            parent: None,
            adjacent_parent: None,
            starting_hash_key: (u128::from(number) * width).to_string(),
            ending_hash_key: ((u128::from(number) + 1) * width - 1).to_string(),
            starting_seq: "1".parse().unwrap(),
            ending_seq: None,
        });
        Listed {
            shards: shards.collect(),
            server_time: EpochMillis(1_000_000),
        }
    }

    /// L1, whoever Java robbed apart.
    fn one_reader(&self) -> Result<(), String> {
        for number in 0..self.leases {
            let shard = shard(number);
            let reads = |worker: &&Worker| {
                let may = worker.keeper.reads_at(&shard, Millis(self.now)).is_some();
                worker.reading.contains_key(&shard) && (worker.paused_until < self.now || may)
            };
            let readers: Vec<_> = self.workers.values().filter(reads).collect();
            if !self.java_took.contains(&shard) {
                let readers: Vec<_> = readers.iter().map(|worker| worker.keeper.me()).collect();
                invariant::one_reader(&shard, &readers).map_err(|broken| broken.to_string())?;
            }
        }
        Ok(())
    }

    /// Who is left reads everything, and each his share.
    fn at_the_end(&self) -> Result<(), String> {
        let left: Vec<_> = self.workers.values().filter(|w| !w.leaving).collect();
        if left.is_empty() {
            return Ok(());
        }
        let loads = left
            .iter()
            .map(|worker| (worker.keeper.me().clone(), worker.reading.len()))
            .collect();
        invariant::balanced(&loads).map_err(|broken| broken.to_string())?;
        let read: usize = loads.values().sum();
        match u64::try_from(read).unwrap() == self.leases {
            true => Ok(()),
            false => Err(format!(
                "{read} of {} leases are read: {loads:?}",
                self.leases
            )),
        }
    }
}
