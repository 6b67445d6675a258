//! Every way in which up to so many things go wrong, at every step of a short life of two workers:
//! a search over the real keepers, with the states already met left out. The bounds are small; within
//! them nothing is left to chance.
//!
//! | leases | faults | within | until then |
//! |---|---|---|---|
//! | 1 | 2 | 3.5 s | taken, seen by the other worker, renewed |
//! | 2 | 1 | 4.5 s | both taken by the first worker, one asked for and had by the second, both renewed |
//! | 2 | 2 | 2.5 s | the same but for the second's renewals |
//!
//! After that nothing goes wrong any more, and everything must be read, and each worker have its
//! share. What may go wrong says [`Wrong`]; a call takes 20 ms each way, every order of events that
//! this leads to is what is searched, and no other. How many states were met each test prints. Three
//! faults, longer storms, splits and other timings are what the random worlds are for.

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
    /// Lives that came to a state past the storm that another had come to.
    merged: usize,
    steps: usize,
}

/// How often lives are compared past the storm.
const LOOK_EVERY_MS: u64 = 1_000;

/// Lives each choice to its end, depth first.
fn search(leases: u64, faults: usize, storm_ms: u64) -> Seen {
    let mut seen = Seen::default();
    let (mut met, mut calm) = (BTreeSet::new(), BTreeSet::new());
    let mut open = vec![(Small::new(leases, storm_ms), faults, Vec::<Wrong>::new())];
    while let Some((mut world, left, history)) = open.pop() {
        let mut look_at = 0;
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
            // Past the storm, what led to a state matters no more.
            if !world.in_storm() && world.next_at() >= look_at {
                look_at = world.next_at() + LOOK_EVERY_MS;
                if !calm.insert(world.state()) {
                    seen.merged += 1;
                    break;
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

/// Two leases again; the handover between the two workers is in the middle of it.
#[test]
fn two_leases_whatever_two_things_go_wrong() {
    let seen = search(2, 2, 2_500);
    println!("two leases, two faults: {seen:?}");
    assert!(seen.states > 50_000, "{seen:?}");
}
