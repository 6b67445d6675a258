//! A seeded simulation of the world around leases: real keepers, an in-memory table, and
//! everything that goes wrong. `TIDEWIRE_SIMULATION_SEEDS=200000` runs more worlds,
//! `TIDEWIRE_SIMULATION_SEED=7` one of them alone, and tells what it does.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

extern crate tidewire_simulation as tidewire;

mod check;
mod epochs;
mod faults;
mod java;
mod late;
mod sometimes;
mod stream;
#[expect(dead_code, reason = "the doors of other tests need more of it")]
mod table;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};

use faults::Schedule;
use sometimes::Sometimes;
use world::Telling;

/// Worlds in a run of the default test command: a minute and a half of two quiet cores.
const SEEDS: u64 = 20_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The shortest schedule that still fails, by leaving out one fault after the other.
fn shortest(schedule: &Schedule) -> Schedule {
    let mut shortest = schedule.clone();
    let mut index = 0;
    while index < shortest.faults.len() {
        let shorter = shortest.without(index);
        if world::run(&shorter, Telling::Nothing).is_err() {
            shortest = shorter;
        } else {
            index += 1;
        }
    }
    shortest
}

fn fails(schedule: &Schedule, why: &str) -> ! {
    let shortest = shortest(schedule);
    let again = world::run(&shortest, Telling::Nothing)
        .err()
        .unwrap_or_default();
    panic!(
        "seed {}: {why}\nalone: TIDEWIRE_SIMULATION_SEED={} cargo test --test lease_simulation\n\
         shortest schedule: {shortest:?}\nwhich fails with: {again}",
        schedule.seed, schedule.seed
    );
}

/// Every `step`th world from `first` on, until one fails.
fn lane(seeds: std::ops::Range<u64>, step: u64, failed: &AtomicBool) -> Sometimes {
    let mut seen = Sometimes::default();
    for seed in seeds.step_by(usize::try_from(step).unwrap()) {
        if failed.load(Ordering::Relaxed) {
            break;
        }
        let schedule = Schedule::of(seed);
        match world::run(&schedule, Telling::Nothing) {
            Ok((sometimes, _)) => seen.add(&sometimes),
            Err(why) => {
                failed.store(true, Ordering::Relaxed);
                fails(&schedule, &why);
            }
        }
    }
    seen
}

fn alone(seed: u64) {
    let schedule = Schedule::of(seed);
    let Err(why) = world::run(&schedule, Telling::Nothing) else {
        return;
    };
    let shortest = shortest(&schedule);
    println!("{shortest:#?}");
    let told = world::run(&shortest, Telling::All);
    panic!("seed {seed}: {why}; the shortest schedule: {told:?}");
}

#[test]
fn every_world_keeps_the_invariants_and_recovers() {
    if let Some(seed) = variable("TIDEWIRE_SIMULATION_SEED") {
        return alone(seed);
    }
    let first = variable("TIDEWIRE_SIMULATION_FIRST").unwrap_or(0);
    let count = variable("TIDEWIRE_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let lanes = u64::try_from(std::thread::available_parallelism().map_or(1, usize::from));
    let lanes = lanes.unwrap_or(1).min(count);
    let failed = AtomicBool::new(false);
    let mut seen = Sometimes::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lanes)
            .map(|start| first + start..first + count)
            .map(|seeds| scope.spawn(|| lane(seeds, lanes, &failed)))
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(theirs) => seen.add(&theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{count} worlds: {seen:?}");
    assert!(
        seen.all_seen(),
        "something never happened, so nothing is proved: {seen:#?}"
    );
}

#[test]
fn the_same_seed_twice_is_the_same_world() {
    for seed in 0..50 {
        let schedule = Schedule::of(seed);
        let trace = || world::run(&schedule, Telling::Hash).map(|(_, trace)| trace);
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}
