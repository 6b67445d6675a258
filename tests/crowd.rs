//! Ten thousand viewers of ten thousand devices in one broadcaster: what its decisions take, in
//! bytes counted by the allocator and in posts, not in seconds.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cap::Cap;
use tidewire::model::message::WireReading;
use tidewire::model::{
    Connection, EpochMillis, EpochNanos, Millis, Posted, StoredTime, Value, Wanted,
};
use tidewire::push::{Core, Effect, Input, Now, Options, Outcome};

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

const WALL: i64 = 1_800_000_000_000;

/// Devices of each viewer.
const WANTED: usize = 20;

/// Readings a step, about what one SQS answer brings.
const BATCH: usize = 500;

struct Crowd {
    core: Core,
    now: Now,
    devices: usize,
    seq: u64,
    names: Vec<Arc<str>>,
    /// Frames, and readings in them.
    frames: u64,
    shown: u64,
}

/// What a round of one reading of each device took.
#[derive(Debug)]
struct Round {
    /// Bytes asked of the allocator, given back or not.
    allocated: u64,
    frames: u64,
    shown: u64,
}

impl Crowd {
    fn new(viewers: usize, devices: usize, everything: usize) -> Self {
        let now = Now {
            mono: Millis(1_000_000_000),
            wall: EpochMillis(WALL),
        };
        let mut crowd = Self {
            core: Core::new(Options::default(), now),
            now,
            devices,
            seq: 0,
            names: ["battery", "humidity", "temperature"].map(Arc::from).into(),
            frames: 0,
            shown: 0,
        };
        let rows = (0..viewers).map(|viewer| {
            // A prime step, so that every device has as many viewers as any other.
            let wanted = (0..WANTED).map(|n| device((viewer * WANTED + n * 7) % devices));
            Connection {
                id: format!("connection-{viewer:05}").into(),
                connected_at: Some(StoredTime::Number((WALL - 600_000).to_string())),
                wanted: match viewer < everything {
                    true => Wanted::All,
                    false => Wanted::Devices(wanted.collect()),
                },
                allowed: None,
                expires_at: None,
                principal: None,
            }
        });
        let rows = rows.collect();
        let asked = now.mono;
        crowd.step(Input::Rows { asked, rows });
        crowd
    }

    /// Takes one thing in, and accepts whatever is posted.
    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.core.step(self.now, input) {
                if let Effect::Post { id, frame } = effect {
                    self.frames += 1;
                    self.shown += frame.matches("\"device_id\":").count() as u64;
                    let outcome = Outcome::Answered(Posted::Accepted);
                    inputs.push(Input::Done { id, outcome });
                }
            }
        }
    }

    /// Every device says something, within a second; then all that is owed goes out.
    fn round(&mut self) -> Round {
        let allocated = ALLOCATED.total_allocated();
        let (frames, shown) = (self.frames, self.shown);
        let batches = self.devices.div_ceil(BATCH);
        for batch in 0..batches {
            let from = batch * BATCH;
            let readings = (from..self.devices.min(from + BATCH)).map(|n| self.reading(n));
            let readings = readings.collect::<Vec<_>>();
            self.seq += readings.len() as u64;
            self.step(Input::Readings(readings));
            let pause = 1_000 / u64::try_from(batches).unwrap();
            self.wait(Duration::from_millis(pause));
        }
        self.wait(Duration::from_secs(1));
        Round {
            allocated: (ALLOCATED.total_allocated() - allocated) as u64,
            frames: self.frames - frames,
            shown: self.shown - shown,
        }
    }

    fn wait(&mut self, wait: Duration) {
        let until = self.now.mono + wait;
        while self.now.mono < until {
            let next = self.core.next_wake().min(until);
            let next = next.max(self.now.mono + Duration::from_millis(1));
            let passed = i64::try_from(next.since(self.now.mono).as_millis()).unwrap();
            self.now.mono = next;
            self.now.wall.0 += passed;
            self.step(Input::Tick);
        }
    }

    fn reading(&self, number: usize) -> WireReading {
        let seq = self.seq + number as u64 + 1;
        let value = Value::Double(20.25);
        WireReading {
            device_id: device(number).as_str().into(),
            time_ns: EpochNanos(self.now.wall.0 * 1_000_000),
            measures: self
                .names
                .iter()
                .map(|name| (name.clone(), value.clone()))
                .collect(),
            dimensions: BTreeMap::new(),
            shard: "shardId-000000000000".into(),
            seq: seq.to_string().parse().unwrap(),
            sub: 0,
            i: 0,
            trace: None,
            arrival_ms: self.now.wall,
        }
    }
}

fn device(number: usize) -> String {
    format!("hall-7/device-{number:05}")
}

/// Bytes that a crowd holds after some rounds, and what the last of them took.
fn settled(viewers: usize, devices: usize, everything: usize) -> (usize, Round) {
    let before = ALLOCATED.allocated();
    let mut crowd = Crowd::new(viewers, devices, everything);
    crowd.round();
    let early = ALLOCATED.allocated();
    crowd.round();
    let last = crowd.round();
    let held = ALLOCATED.allocated();
    assert!(
        held <= early + early / 10,
        "it grows: {early} bytes, then {held}"
    );
    assert_eq!(crowd.core.viewers(), viewers);
    assert_eq!(crowd.core.devices(), devices);
    (held - before, last)
}

/// One test: the allocator counts for the whole process.
#[test]
#[expect(clippy::cast_precision_loss, reason = "counts, far below 2^53")]
fn ten_thousand_viewers_of_ten_thousand_devices_take_bounded_memory_and_work() {
    let (small_bytes, small) = settled(1_000, 1_000, 0);
    let (bytes, round) = settled(10_000, 10_000, 0);
    println!("1,000 x 1,000: {small_bytes} bytes, {small:?}");
    println!("10,000 x 10,000: {bytes} bytes, {round:?}");
    // Each viewer is shown each of its devices once, whatever else is said.
    assert_eq!(small.shown, 1_000 * WANTED as u64);
    assert_eq!(round.shown, 10_000 * WANTED as u64);
    // What falls due within a window goes together.
    assert!(round.frames * 5 <= round.shown);
    // Ten times the viewers and devices, a hundred times the pairs: ten times the work and memory.
    let work = round.allocated as f64 / small.allocated as f64;
    assert!(work < 13.0, "{work:.1} times the work");
    let memory = bytes as f64 / small_bytes as f64;
    assert!(memory < 13.0, "{memory:.1} times the memory");
    assert!(bytes < 128 << 20, "{bytes} bytes");

    // Some of them want everything: they cost what they are shown.
    let (bytes, round) = settled(10_000, 10_000, 20);
    println!("20 of them of everything: {bytes} bytes, {round:?}");
    assert_eq!(round.shown, 9_980 * WANTED as u64 + 20 * 10_000);
    assert!(bytes < 128 << 20, "{bytes} bytes");
}
