//! A seeded simulation of the world around leases: real keepers, an in-memory table, and
//! everything that goes wrong. `TIDEWIRE_SIMULATION_SEEDS=20000` runs more worlds,
//! `TIDEWIRE_SIMULATION_SEED=7` one of them alone.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/stream.rs"]
mod stream;
#[path = "simulation/table.rs"]
#[expect(dead_code, reason = "only the rows are needed here, not the door")]
mod table;
#[path = "simulation/world.rs"]
mod world;

use check::Sometimes;
use faults::Schedule;

/// Worlds in a run of the default test command: about forty seconds of two cores in a debug build.
const SEEDS: u64 = 2_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The shortest schedule that still fails, by leaving out one fault after the other.
fn shortest(schedule: &Schedule) -> Schedule {
    let mut shortest = schedule.clone();
    let mut index = 0;
    while index < shortest.faults.len() {
        let shorter = shortest.without(index);
        if world::run(&shorter, false).is_err() {
            shortest = shorter;
        } else {
            index += 1;
        }
    }
    shortest
}

fn fails(schedule: &Schedule, why: &str) -> ! {
    let shortest = shortest(schedule);
    let again = world::run(&shortest, false).err().unwrap_or_default();
    panic!(
        "seed {}: {why}\nalone: TIDEWIRE_SIMULATION_SEED={} cargo test --test lease_simulation\n\
         shortest schedule: {shortest:#?}\nwhich fails with: {again}",
        schedule.seed, schedule.seed
    );
}

#[test]
fn every_world_keeps_the_invariants_and_recovers() {
    let one = variable("TIDEWIRE_SIMULATION_SEED");
    let (first, count) = match one {
        Some(seed) => (seed, 1),
        None => (0, variable("TIDEWIRE_SIMULATION_SEEDS").unwrap_or(SEEDS)),
    };
    let threads = u64::try_from(std::thread::available_parallelism().map_or(1, usize::from));
    let threads = threads.unwrap_or(1).min(count);
    let mut seen = Sometimes::default();
    let runs = |lane: u64| {
        let mut seen = Sometimes::default();
        for seed in (first + lane..first + count).step_by(usize::try_from(threads).unwrap()) {
            let schedule = Schedule::of(seed);
            match world::run(&schedule, false) {
                Ok((sometimes, _)) => seen.add(&sometimes),
                Err(why) => fails(&schedule, &why),
            }
        }
        seen
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..threads)
            .map(|lane| scope.spawn(move || runs(lane)))
            .collect();
        for lane in lanes {
            match lane.join() {
                Ok(theirs) => seen.add(&theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{seen:?}");
    assert!(
        one.is_some() || seen.all_seen(),
        "something never happened, so nothing is proved: {seen:#?}"
    );
}

#[test]
fn the_same_seed_twice_is_the_same_world() {
    for seed in 0..20 {
        let schedule = Schedule::of(seed);
        let trace = || world::run(&schedule, true).map(|(_, trace)| trace);
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}
