//! Fleets in fair weather, in simulated time: how soon work is spread, that it then rests, and what
//! the lease table costs. `TIDEWIRE_FLEET=1000x50` (`just fleet`) takes a larger one than the
//! ordinary run does, and prints its figures.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

extern crate tidewire_simulation as tidewire;

#[expect(dead_code, reason = "the worlds need more of it")]
mod dice;
#[path = "fleet/meter.rs"]
mod meter;
#[path = "fleet/shards.rs"]
mod shards;
#[path = "fleet/town.rs"]
mod town;

use shards::stream;
use tidewire::lease::{Options, Weight, invariant};
use town::Town;

/// How long a fleet must rest to be called at rest.
const REST_MS: u64 = 60_000;

/// A fleet that started within a second and came to rest.
fn at_rest(shards: u64, workers: u64) -> Town {
    let mut town = Town::new(stream(shards), Options::default());
    for number in 0..workers {
        town.start(number * 1_000 / workers);
    }
    let settled = town.until(60_000, Town::settled);
    settled.unwrap_or_else(|| panic!("not settled within a minute: {:?}", town.loads()));
    town.run(town.now + 5_000);
    town
}

/// Nothing changes, so nothing moves.
fn rests(town: &mut Town) {
    let grants = town.grants;
    town.run(town.now + REST_MS);
    assert_eq!(
        town.grants, grants,
        "a lease moved at {} ms",
        town.last_move
    );
    assert!(town.settled(), "{:?}", town.loads());
}

#[test]
fn an_empty_tables_shards_are_all_owned_within_two_seconds() {
    for workers in [1, 2, 4] {
        let mut town = Town::new(stream(64), Options::default());
        for _ in 0..workers {
            town.start(0);
        }
        let all = town.until(2_000, Town::all_read).unwrap();
        println!("64 shards of an empty table, {workers} workers: all owned after {all} ms");
    }
}

#[test]
fn a_second_worker_has_its_half_within_five_seconds_and_nothing_moves_after() {
    for shards in [32, 64] {
        for late_ms in [0, 250, 500, 750] {
            let mut town = Town::new(stream(shards), Options::default());
            town.start(0);
            let second_at = 20_000 + late_ms;
            town.run(second_at);
            town.gaps_ms.clear();
            town.start(second_at);
            let settled = town.until(second_at + 5_000, Town::settled).unwrap();
            let gap = town.gaps_ms.iter().max().unwrap();
            println!(
                "{shards} shards, a second worker: half each after {} ms; a shard was not read for {gap} ms at most",
                settled - second_at
            );
            town.run(settled + 5_000);
            rests(&mut town);
        }
    }
}

#[test]
fn a_leaving_workers_leases_are_read_by_the_others_within_a_second() {
    for workers in [2, 3, 5] {
        for late_ms in [0, 200, 400, 600] {
            let mut town = at_rest(64, workers);
            town.run(town.now + late_ms);
            town.gaps_ms.clear();
            town.stop(0);
            let left_at = town.now;
            let others = |town: &Town| town.all_read() && !town.running().contains(&0);
            let all = town.until(left_at + 2_000, others).unwrap();
            let gap = *town.gaps_ms.iter().max().unwrap();
            println!(
                "one of {workers} leaves: all read after {} ms, a shard was not read for {gap} ms at most",
                all - left_at
            );
            assert!(gap <= 1_000, "a shard was not read for {gap} ms");
            let settled = town.until(left_at + 10_000, Town::settled);
            settled.unwrap_or_else(|| panic!("{:?}", town.loads()));
        }
    }
}

#[test]
fn a_killed_workers_leases_are_read_within_a_lease_and_a_second() {
    for workers in [2, 5] {
        let mut town = at_rest(64, workers);
        town.gaps_ms.clear();
        town.kill(0);
        let killed_at = town.now;
        town.until(killed_at + 11_000, Town::all_read).unwrap();
        let gap = town.gaps_ms.iter().max().unwrap();
        println!("one of {workers} is killed: a shard was not read for {gap} ms at most");
    }
}

/// Some shards carry far more than others: the first the most, the next half of that, a third, ...
fn skewed(town: &mut Town, shards: u64, turn: u64) {
    let rates = stream(shards).into_iter().zip(0..).map(|(shard, number)| {
        let rank = (number + turn) % shards + 1;
        (shard.id, 500_000 / rank)
    });
    town.rates = rates.collect();
}

/// Runs for so long, and then nothing moves any more for a minute, and nobody wants anything.
fn weighed_rests(town: &mut Town, settle_ms: u64) {
    let (begun, grants) = (town.now, town.grants);
    town.run(begun + settle_ms);
    let moved = town.grants - grants;
    let last = town.last_move.saturating_sub(begun);
    let grants = town.grants;
    town.run(town.now + REST_MS);
    assert_eq!(
        town.grants, grants,
        "a lease moved at {} ms",
        town.last_move
    );
    let workers = town.loads();
    let owned = town.owned();
    invariant::balanced_by_weight(&owned, workers.keys()).unwrap();
    let carried = town.carried();
    let least = carried.values().min().unwrap();
    let most = carried.values().max().unwrap();
    println!(
        "  {} workers: {moved} leases moved, the last was asked for after {last} ms; a worker carries {least} to {most} bytes a second, of {} leases {:?}",
        workers.len(),
        owned.len(),
        workers.values().collect::<Vec<_>>()
    );
    // No worker has twice what another has, the one with a single shard that does apart.
    let alone = workers.values().any(|leases| *leases == 1);
    assert!(alone || *most <= least * 2, "{carried:?}");
}

#[test]
fn by_throughput_hot_shards_are_parted_and_then_rest() {
    for (shards, workers) in [(16, 2), (64, 4), (100, 7)] {
        let options = Options {
            weight: Weight::Throughput,
            ..Options::default()
        };
        println!("{shards} shards, of which some carry far more, by throughput:");
        let mut town = Town::new(stream(shards), options);
        skewed(&mut town, shards, 0);
        for number in 0..workers {
            town.start(number * 100);
        }
        weighed_rests(&mut town, 60_000);
        // Others become the hot ones.
        skewed(&mut town, shards, shards / 2);
        weighed_rests(&mut town, 60_000);
        town.start(town.now);
        weighed_rests(&mut town, 60_000);
        town.kill(0);
        weighed_rests(&mut town, 60_000);
    }
}

/// `SHARDSxWORKERS`.
fn size() -> (u64, u64) {
    let given = std::env::var("TIDEWIRE_FLEET").ok();
    let size = given.as_deref().unwrap_or("200x10");
    let (shards, workers) = size.split_once('x').expect("SHARDSxWORKERS");
    (shards.parse().unwrap(), workers.parse().unwrap())
}

#[test]
fn a_large_fleet_settles_rests_and_costs_what_is_said() {
    let (shards, workers) = size();
    let mut town = Town::new(stream(shards), Options::default());
    for number in 0..workers {
        town.start(number * 1_000 / workers);
    }
    let owned = town.until(60_000, Town::all_read).expect("all owned");
    let settled = town.until(120_000, Town::settled);
    let settled = settled.unwrap_or_else(|| panic!("{:?}", town.loads()));
    println!("{shards} shards x {workers} workers, all started within a second on an empty table:");
    println!(
        "  all owned after {owned} ms, even after {settled} ms, {} grants",
        town.grants
    );
    println!("  until then {}", town.meter.totals());
    town.run(town.now + 10_000);
    let before = town.meter.clone();
    rests(&mut town);
    let units = town.meter.since(&before, REST_MS / 1_000);
    println!("  at rest, a second: {units}");
    println!(
        "  KCL 2.x on these rows: {}",
        meter::kcl_2(town.rows(), shards, workers)
    );
    println!(
        "  KCL 3.x on these rows: {}",
        meter::kcl_3(town.rows(), shards, workers)
    );
    for (what, change) in CHANGES {
        town.gaps_ms.clear();
        let (begun, grants) = (town.now, town.grants);
        change(&mut town);
        // Until all who can notice have.
        town.run(begun + 100);
        let settled = town.until(begun + 120_000, Town::settled);
        let settled = settled.unwrap_or_else(|| panic!("{what}: {:?}", town.loads()));
        let gap = town.gaps_ms.iter().max().copied().unwrap_or(0);
        let moved = town.grants - grants;
        println!(
            "  {what}: even after {} ms, {moved} grants, a shard was not read for {gap} ms at most",
            settled - begun
        );
        town.run(town.now + 10_000);
        rests(&mut town);
    }
}

type Happening = fn(&mut Town);

/// What happens to a fleet at rest.
const CHANGES: [(&str, Happening); 3] = [
    ("a worker joins", |town| {
        town.start(town.now);
    }),
    ("a worker leaves", |town| town.stop(1)),
    ("a worker is killed", |town| town.kill(2)),
];
