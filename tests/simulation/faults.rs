//! What goes wrong, as data: a schedule that can be printed, replayed and shortened.

/// A small generator (splitmix64): the same numbers on every platform and for ever.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is gone; its requests under way may still be applied.
    Crash { worker: usize },
    /// A crashed or finished worker's place is taken by a new process.
    Start { worker: usize },
    /// The process stands still.
    Pause { worker: usize, ms: u64 },
    /// SIGTERM.
    Stop { worker: usize },
    /// No call to the table succeeds.
    Outage { ms: u64 },
    /// This many in a thousand calls are throttled.
    Throttle { per_mille: u64, ms: u64 },
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
    /// Draining takes this long.
    SlowDrains { ms: u64 },
    /// Somebody deletes a row.
    DeleteRow { shard: usize },
}

/// A whole run: a world, and what happens to it until it heals.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    pub(crate) workers: usize,
    pub(crate) shards: usize,
    /// `GetRecords` names children at a shard's end.
    pub(crate) children_named: bool,
    pub(crate) faults: Vec<(u64, Fault)>,
}

/// Faults happen in this time; then all heals.
pub(crate) const STORM_MS: u64 = 60_000;

impl Schedule {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let workers = usize::try_from(dice.between(1, 4)).unwrap();
        let shards = usize::try_from(dice.between(1, 8)).unwrap();
        let count = dice.between(0, 14);
        let mut faults: Vec<_> = (0..count)
            .map(|_| (dice.between(200, STORM_MS), Fault::of(&mut dice, workers)))
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            workers,
            shards,
            children_named: dice.chance(500),
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
    fn of(dice: &mut Dice, workers: usize) -> Self {
        let worker = usize::try_from(dice.next()).unwrap_or(0) % workers;
        let shard = usize::try_from(dice.between(0, 1000)).unwrap();
        match dice.between(0, 13) {
            0 | 1 => Self::Crash { worker },
            2 | 3 => Self::Start { worker },
            4 => Self::Pause {
                worker,
                ms: dice.between(500, 31_000),
            },
            5 => Self::Stop { worker },
            6 => Self::Outage {
                ms: dice.between(500, 15_000),
            },
            7 => Self::Throttle {
                per_mille: dice.between(100, 900),
                ms: dice.between(1_000, 10_000),
            },
            8 | 9 => Self::Network {
                lost: dice.between(0, 80),
                unanswered: dice.between(0, 80),
                late: dice.between(0, 80),
                ms: dice.between(2_000, 30_000),
            },
            10 => Self::Split { shard },
            11 => Self::Merge { shard },
            12 => Self::SlowDrains {
                ms: dice.between(100, 25_000),
            },
            _ => Self::DeleteRow { shard },
        }
    }
}
