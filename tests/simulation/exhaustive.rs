//! Every way in which up to so many things go wrong, at every step of a short life of two workers:
//! a search over the real keepers, with the states already met left out. The bounds are small and
//! said below; within them nothing is left to chance.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

extern crate tidewire_simulation as tidewire;

#[path = "exhaustive/small.rs"]
mod small;

use std::collections::BTreeSet;

use small::{Small, Wrong};

/// What a search saw.
#[derive(Debug, Default)]
struct Seen {
    states: usize,
    lives: usize,
    steps: usize,
}

/// Lives each choice to its end, depth first.
fn search(leases: u64, faults: usize, storm_ms: u64) -> Seen {
    let mut seen = Seen::default();
    let mut met = BTreeSet::new();
    let mut open = vec![(Small::new(leases, storm_ms), faults, Vec::<Wrong>::new())];
    while let Some((mut world, left, history)) = open.pop() {
        loop {
            if world.in_storm() {
                if !met.insert((world.state(), left)) {
                    break;
                }
                seen.states += 1;
                let wrong = if left > 0 {
                    world.may_go_wrong()
                } else {
                    Vec::new()
                };
                for wrong in wrong {
                    let mut history = history.clone();
                    history.push(wrong.clone());
                    let mut other = world.clone();
                    let struck = other.strike(&wrong);
                    struck.unwrap_or_else(|why| panic!("{why}; after {history:?}"));
                    open.push((other, left - 1, history));
                }
            }
            seen.steps += 1;
            match world.step() {
                Ok(true) => {}
                Ok(false) => {
                    seen.lives += 1;
                    break;
                }
                Err(why) => panic!("{why}; after {history:?}, at {} ms", world.now()),
            }
        }
    }
    seen
}

/// By then the lease was taken, the other worker saw it, and it was renewed.
#[test]
fn one_lease_whatever_two_things_go_wrong() {
    let seen = search(1, 2, 3_500);
    println!("one lease, two faults: {seen:?}");
    assert!(seen.lives > 1_000, "{seen:?}");
}

/// By then both were taken by the first worker, the second asked for one of them, and got it; and
/// both were renewed.
#[test]
fn two_leases_whatever_goes_wrong() {
    let seen = search(2, 1, 4_500);
    println!("two leases, one fault: {seen:?}");
    assert!(seen.lives > 100, "{seen:?}");
}
