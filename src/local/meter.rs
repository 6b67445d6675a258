//! Counts what AWS would bill for the calls that an embedded server answers.
//!
//! A served call becomes [`Fact`]s ([`wire`]), which [`Books`] add up; [`estimate`] makes a month of
//! them and sets the well-known blog's architecture beside it. What a switch refuses is not counted,
//! nor what a limit refuses: AWS bills neither.
//!
//! Not counted: control-plane calls and time to live, which cost nothing; storage, data out to the
//! internet, logs and the IoT rule, which are the same for both architectures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::model::bill::Unit;

pub mod estimate;
pub mod price;
pub mod wire;

/// Something whose time is billed, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Open shards.
    Shards,
    /// Registered consumers of enhanced fan-out.
    Consumers,
    /// Connections of viewers.
    Connections,
}

/// What one call adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact {
    /// So many units.
    Units(Unit, f64),
    /// So many more, or fewer, of something from now on.
    Change(Level, f64),
    /// So many of something from now on.
    Set(Level, f64),
    /// Bytes put on the stream: every consumer of enhanced fan-out is sent them.
    Put {
        /// Bytes of data.
        bytes: u64,
    },
    /// Readings written to the store, and what they would count one by one.
    Written {
        /// Readings.
        readings: u64,
        /// Write units of as many requests of one reading.
        single_units: u64,
    },
    /// Readings posted to viewers, each as often as there were viewers for it.
    Shown {
        /// Readings.
        readings: u64,
    },
    /// A page of a Query, and whether it was the last.
    Page {
        /// Read request units.
        units: f64,
        /// Whether no page follows.
        last: bool,
    },
}

/// What the calls were for: what the blog's architecture would have had to carry.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Readings written to the store.
    pub readings_written: u64,
    /// Write units if each had been a request of its own.
    pub single_write_units: u64,
    /// Readings posted, for each viewer.
    pub readings_shown: u64,
    /// Read request units of the last whole Query of the connection table.
    pub table_read_units: f64,
}

/// The sums of one server. Pure: seconds since the start are an argument.
#[derive(Clone, Debug, Default)]
pub struct Books {
    counts: BTreeMap<Unit, f64>,
    levels: BTreeMap<Level, f64>,
    at_s: f64,
    load: Load,
    pages: f64,
}

impl Books {
    /// Adds what a call at `now_s` did.
    pub fn step(&mut self, now_s: f64, fact: Fact) {
        self.pass(now_s);
        match fact {
            Fact::Units(unit, units) => self.add(unit, units),
            Fact::Change(level, by) => {
                let now = self.level(level) + by;
                self.levels.insert(level, now.max(0.0));
            }
            Fact::Set(level, to) => {
                self.levels.insert(level, to);
            }
            Fact::Put { bytes } => {
                let gigabytes = count(bytes) / 1e9;
                self.add(
                    Unit::KinesisFanOutGb,
                    gigabytes * self.level(Level::Consumers),
                );
            }
            Fact::Written {
                readings,
                single_units,
            } => {
                self.load.readings_written += readings;
                self.load.single_write_units += single_units;
            }
            Fact::Shown { readings } => self.load.readings_shown += readings,
            Fact::Page { units, last } => {
                self.pages += units;
                if last {
                    self.load.table_read_units = self.pages;
                    self.pages = 0.0;
                }
            }
        }
    }

    /// Lets time pass for what is billed by it.
    fn pass(&mut self, now_s: f64) {
        let passed_s = (now_s - self.at_s).max(0.0);
        self.at_s = self.at_s.max(now_s);
        let shards = self.level(Level::Shards);
        let consumers = self.level(Level::Consumers);
        let connections = self.level(Level::Connections);
        self.add(Unit::KinesisShardHour, shards * passed_s / 3600.0);
        self.add(
            Unit::KinesisConsumerShardHour,
            shards * consumers * passed_s / 3600.0,
        );
        self.add(Unit::WebSocketMinute, connections * passed_s / 60.0);
    }

    fn add(&mut self, unit: Unit, units: f64) {
        if units > 0.0 {
            *self.counts.entry(unit).or_default() += units;
        }
    }

    fn level(&self, level: Level) -> f64 {
        self.levels.get(&level).copied().unwrap_or(0.0)
    }
}

/// What was counted up to a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Seconds since the start.
    pub since_s: f64,
    /// Units; those of which there were none are absent.
    pub counts: BTreeMap<Unit, f64>,
    /// What they were for.
    pub load: Load,
}

impl Tally {
    /// The sum over several servers that began together.
    #[must_use]
    pub fn joined(tallies: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for tally in tallies {
            all.since_s = all.since_s.max(tally.since_s);
            for (unit, units) in tally.counts {
                *all.counts.entry(unit).or_default() += units;
            }
            all.load.readings_written += tally.load.readings_written;
            all.load.single_write_units += tally.load.single_write_units;
            all.load.readings_shown += tally.load.readings_shown;
            all.load.table_read_units += tally.load.table_read_units;
        }
        all
    }

    /// Units of one kind.
    #[must_use]
    pub fn of(&self, unit: Unit) -> f64 {
        self.counts.get(&unit).copied().unwrap_or(0.0)
    }
}

/// The books of one server and their clock; clones share them.
#[derive(Clone, Debug)]
pub struct Meter {
    started: Instant,
    books: Arc<Mutex<Books>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            books: Arc::default(),
        }
    }
}

impl Meter {
    /// Adds these facts, now.
    pub fn record(&self, facts: impl IntoIterator<Item = Fact>) {
        let now_s = self.started.elapsed().as_secs_f64();
        let mut books = self.lock();
        for fact in facts {
            books.step(now_s, fact);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let since_s = self.started.elapsed().as_secs_f64();
        let mut books = self.lock();
        books.pass(since_s);
        Tally {
            since_s,
            counts: books.counts.clone(),
            load: books.load,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count as it is multiplied with prices: exact far beyond what a stand can count.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, which no stand counts to"
)]
pub fn count(units: u64) -> f64 {
    units as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_counted_as_long_as_it_is() {
        let mut books = Books::default();
        books.step(0.0, Fact::Set(Level::Shards, 4.0));
        books.step(0.0, Fact::Change(Level::Connections, 1.0));
        books.step(1800.0, Fact::Change(Level::Shards, 1.0));
        books.step(1800.0, Fact::Change(Level::Consumers, 1.0));
        books.step(3600.0, Fact::Change(Level::Connections, -1.0));
        books.step(
            3600.0,
            Fact::Put {
                bytes: 2_000_000_000,
            },
        );
        books.pass(7200.0);
        let near = |unit, wanted: f64| {
            let counted = books.counts[&unit];
            assert!((counted - wanted).abs() < 1e-9, "{unit:?}: {counted}");
        };
        near(Unit::KinesisShardHour, 2.0 + 2.5 + 5.0);
        near(Unit::KinesisConsumerShardHour, 7.5);
        near(Unit::WebSocketMinute, 60.0);
        near(Unit::KinesisFanOutGb, 2.0);
    }

    #[test]
    fn the_table_costs_what_its_pages_cost_together() {
        let mut books = Books::default();
        for (units, last) in [(128.0, false), (3.5, true), (128.0, false)] {
            books.step(0.0, Fact::Page { units, last });
        }
        assert!((books.load.table_read_units - 131.5).abs() < 1e-9);
    }
}
