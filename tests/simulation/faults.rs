//! What goes wrong, as data: a schedule that can be printed, replayed and shortened.

#[path = "dice.rs"]
mod dice;

pub(crate) use dice::Dice;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is gone; its requests under way may still be applied.
    Crash { worker: usize },
    /// A crashed or finished worker's place is taken by a new process.
    Start { worker: usize },
    /// A process is gone, and one of the same worker id begins.
    Restart { worker: usize },
    /// A second process runs with a living one's worker id.
    Twin { worker: usize },
    /// The process stands still.
    Pause { worker: usize, ms: u64 },
    /// SIGTERM.
    Stop { worker: usize },
    /// Its clock runs this much wrong, far beyond what leases allow for.
    BadClock { worker: usize, ppm: i64 },
    /// No call to the table succeeds.
    Outage { ms: u64 },
    /// This many in a thousand calls are throttled.
    Throttle { per_mille: u64, ms: u64 },
    /// This many in a thousand rows of a scan are shown as they were up to `lag_ms` ago.
    StaleScans {
        per_mille: u64,
        lag_ms: u64,
        ms: u64,
    },
    /// Requests lost, answers lost, and writes applied long after their caller gave up, each in a thousand.
    Network {
        lost: u64,
        unanswered: u64,
        late: u64,
        ms: u64,
    },
    /// A shard is split; `shard` chooses one of those open.
    Split { shard: usize },
    /// Two open shards are merged.
    Merge { shard: usize },
    /// No listing of the stream succeeds.
    ListOutage { ms: u64 },
    /// This many in a thousand reports of the reading side reach the keeper up to `late_ms` later.
    LateReports {
        per_mille: u64,
        late_ms: u64,
        ms: u64,
    },
    /// Draining takes this long.
    SlowDrains { ms: u64 },
    /// Somebody deletes a row.
    DeleteRow { shard: usize },
    /// A worker of KCL 2.x joins, and is gone after this.
    Java { ms: u64 },
    /// A leader of KCL 3.x assigns leases for so long.
    Assigner { ms: u64 },
}

/// Who else writes to the table. KCL 2.x takers and 3.x leaders do not work at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Nobody,
    Java,
    Assigner,
}

/// Where shards without history begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Oldest,
    Latest,
    /// This long after the world's beginning.
    At(u64),
}

/// A whole run: a world, and what happens to it until it heals.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    /// Of each stream.
    pub(crate) shards: usize,
    pub(crate) streams: usize,
    /// `GetRecords` names children at a shard's end.
    pub(crate) children_named: bool,
    pub(crate) begin: Begin,
    pub(crate) faults: Vec<(u64, Fault)>,
}

/// Faults happen in this time; then all heals.
pub(crate) const STORM_MS: u64 = 50_000;

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let workers = 1 + dice.below(4);
        let streams = if dice.chance(200) { 2 } else { 1 };
        let shards = 1 + dice.below(8 / streams);
        let others = match dice.between(0, 9) {
            0..=5 => Others::Nobody,
            6 | 7 => Others::Java,
            _ => Others::Assigner,
        };
        let begin = match dice.between(0, 9) {
            0..=5 => Begin::Oldest,
            6 | 7 => Begin::Latest,
            _ => Begin::At(dice.between(0, 20_000)),
        };
        let count = dice.between(0, 14);
        let mut faults: Vec<_> = (0..count)
            .map(|_| {
                let at = dice.between(200, STORM_MS);
                (at, Fault::of(&mut dice, workers, others))
            })
            .collect();
        for (at, fault) in faults.clone() {
            if matches!(fault, Fault::ListOutage { .. }) {
                let shard = dice.below(1000);
                // A newcomer asks for a shard whose children nobody can name.
                faults.push((at, Fault::Split { shard }));
                let later = at + dice.between(2_000, 8_000);
                faults.push((later.min(STORM_MS), Fault::Start { worker: workers }));
            }
        }
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            workers,
            shards,
            streams,
            children_named: dice.chance(500),
            begin,
            faults,
        }
    }

    pub(crate) fn without(&self, index: usize) -> Self {
        let mut shorter = self.clone();
        shorter.faults.remove(index);
        shorter
    }
}

impl Fault {
    fn of(dice: &mut Dice, workers: usize, others: Others) -> Self {
        if others != Others::Nobody && dice.chance(250) {
            let ms = dice.between(2_000, 40_000);
            return match others {
                Others::Java => Self::Java { ms },
                _ => Self::Assigner { ms },
            };
        }
        let worker = dice.below(workers);
        let shard = dice.below(1000);
        match dice.between(0, 38) {
            0..=3 => Self::Crash { worker },
            4..=7 => Self::Start { worker },
            8 => Self::Restart { worker },
            9 => Self::Twin { worker },
            10 | 11 => Self::Pause {
                worker,
                ms: dice.between(500, 31_000),
            },
            12 | 13 => Self::Stop { worker },
            14 => Self::BadClock {
                worker,
                ppm: i64::try_from(dice.between(0, 800_000)).unwrap() - 400_000,
            },
            15 | 16 => Self::Outage {
                ms: dice.between(500, 15_000),
            },
            17 | 18 => Self::Throttle {
                per_mille: dice.between(100, 900),
                ms: dice.between(1_000, 10_000),
            },
            19 | 20 => Self::StaleScans {
                per_mille: dice.between(50, 900),
                lag_ms: dice.between(1_000, 6_000),
                ms: dice.between(2_000, 20_000),
            },
            21..=24 => Self::Network {
                lost: dice.between(0, 80),
                unanswered: dice.between(0, 80),
                late: dice.between(0, 80),
                ms: dice.between(2_000, 30_000),
            },
            25..=27 => Self::Split { shard },
            28..=30 => Self::Merge { shard },
            31 | 32 => Self::SlowDrains {
                ms: dice.between(100, 25_000),
            },
            33 | 34 => Self::DeleteRow { shard },
            35 | 36 => Self::ListOutage {
                ms: dice.between(10_000, 45_000),
            },
            _ => Self::LateReports {
                per_mille: dice.between(50, 700),
                late_ms: dice.between(1_000, 15_000),
                ms: dice.between(5_000, 30_000),
            },
        }
    }
}
