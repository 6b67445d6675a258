//! The hub with a table, viewers and an API Gateway of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;

use super::*;
use crate::model::{Connection, EpochNanos, Posted, Value, Wanted};
use crate::push::{Farewell, Form, Mode, Outcome};

mod crowd;
mod endpoint;
mod gone;
mod properties;
mod shares;
mod showing;
mod trouble;

const WALL: i64 = 1_800_000_000_000;

/// A row that was connected this many milliseconds before the test began.
fn row(id: &str, age_ms: i64, wanted: Wanted) -> Connection {
    Connection {
        id: id.into(),
        connected_at: Some(StoredTime::Number((WALL - age_ms).to_string())),
        wanted,
        allowed: None,
        expires_at: None,
        principal: None,
    }
}

fn devices(ids: &[&str]) -> Wanted {
    Wanted::Devices(ids.iter().map(|id| (*id).to_owned()).collect())
}

/// A reading of measure `value` at second `at`, with a sequence number.
fn reading(device: &str, at: i64, seq: u64) -> WireReading {
    measured(device, at, seq, &["value"])
}

/// Each measure's value is the sequence number, so that a test sees where it came from.
fn measured(device: &str, at: i64, seq: u64, measures: &[&str]) -> WireReading {
    let value = Value::Int(i64::try_from(seq).unwrap());
    WireReading {
        device_id: device.into(),
        time_ns: EpochNanos(at * 1_000_000_000),
        measures: measures
            .iter()
            .map(|name| ((*name).into(), value.clone()))
            .collect(),
        dimensions: BTreeMap::new(),
        shard: "shardId-000000000000".into(),
        seq: seq.to_string().parse().unwrap(),
        sub: 0,
        i: 0,
        trace: None,
        arrival_ms: EpochMillis(WALL),
    }
}

/// A hub, its time, and what it has ordered and not been told the end of.
struct Stand {
    core: Core,
    now: Now,
    posts: BTreeMap<ConnectionId, String>,
    hang_ups: BTreeSet<ConnectionId>,
    forgotten: Vec<(ConnectionId, Farewell)>,
    read: Vec<ConnectionId>,
    opened: Vec<Why>,
}

impl Stand {
    fn new(options: Options) -> Self {
        let now = Now {
            mono: Millis(1_000_000_000),
            wall: EpochMillis(WALL),
        };
        Self {
            core: Core::new(options, now),
            now,
            posts: BTreeMap::new(),
            hang_ups: BTreeSet::new(),
            forgotten: Vec::new(),
            read: Vec::new(),
            opened: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        for effect in self.core.step(self.now, input) {
            match effect {
                Effect::Post { id, frame } => {
                    assert!(!self.hang_ups.contains(&id), "two calls for {id}");
                    let before = self.posts.insert(id.clone(), frame);
                    assert_eq!(before, None, "two posts under way for {id}");
                }
                Effect::HangUp(id) => {
                    assert!(!self.posts.contains_key(&id), "two calls for {id}");
                    assert!(self.hang_ups.insert(id));
                }
                Effect::Forget { id, why, .. } => self.forgotten.push((id, why)),
                Effect::ReadRow(id) => self.read.push(id),
                Effect::Opened(why) => self.opened.push(why),
                Effect::Shown { .. } | Effect::Closed => {}
            }
        }
        assert!(self.posts.len() + self.hang_ups.len() <= self.core.options.posts_max);
        assert_eq!(
            self.posts.len() + self.hang_ups.len(),
            self.core.in_flight()
        );
    }

    /// Lets time pass, waking the hub whenever it asked to be woken.
    fn wait(&mut self, wait: Duration) {
        let until = self.now.mono + wait;
        while self.core.next_wake() <= until {
            let at = self
                .core
                .next_wake()
                .max(self.now.mono + Duration::from_millis(1));
            self.set(at.min(until));
            self.step(Input::Tick);
            if at >= until {
                break;
            }
        }
        self.set(until);
        self.step(Input::Tick);
    }

    fn set(&mut self, at: Millis) {
        let passed = i64::try_from(at.since(self.now.mono).as_millis()).unwrap();
        self.now.wall.0 += passed;
        self.now.mono = at;
    }

    fn rows(&mut self, rows: &[Connection]) {
        self.step(Input::Rows {
            asked: self.now.mono,
            rows: rows.to_vec(),
        });
    }

    fn readings(&mut self, readings: &[WireReading]) {
        let mut readings = readings.to_vec();
        for reading in &mut readings {
            reading.arrival_ms = self.now.wall;
        }
        self.step(Input::Readings(readings));
    }

    /// Ends a viewer's call; the frame that was under way.
    fn end(&mut self, id: &str, outcome: Outcome) -> String {
        let id = ConnectionId::from(id);
        let frame = self.posts.remove(&id);
        let hung_up = self.hang_ups.remove(&id);
        assert!(frame.is_some() || hung_up, "no call under way for {id}");
        self.step(Input::Done { id, outcome });
        frame.unwrap_or_default()
    }

    fn answer(&mut self, id: &str, posted: Posted) -> String {
        self.end(id, Outcome::Answered(posted))
    }

    fn accept(&mut self, id: &str) -> String {
        self.answer(id, Posted::Accepted)
    }

    fn is_posting_to(&self, id: &str) -> bool {
        self.posts.contains_key(&ConnectionId::from(id))
    }

    /// Answers every call under way alike, and those that follow, until nothing is under way.
    fn answer_all(&mut self, posted: &Posted) {
        while let Some(id) = self.posts.keys().next().cloned() {
            self.answer(id.as_str(), posted.clone());
        }
    }
}

/// Device and sequence number of a frame's readings, in their order.
fn told(frame: &str) -> Vec<(String, String)> {
    let frame: Json = serde_json::from_str(frame).unwrap();
    frame["readings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reading| {
            let text = |name: &str| reading[name].as_str().unwrap().to_owned();
            (text("device_id"), text("seq"))
        })
        .collect()
}

fn pair(device: &str, seq: u64) -> (String, String) {
    (device.to_owned(), seq.to_string())
}
