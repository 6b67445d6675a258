//! How leases are spread over workers: fair within one, and still once they are.

use std::collections::BTreeMap;

use crate::model::hash::fnv1a;
use crate::model::{ShardId, WorkerId};

/// How many leases a worker takes by itself when `total` are spread over `workers`.
#[must_use]
pub fn fair(total: usize, workers: usize) -> usize {
    total.div_ceil(workers.max(1))
}

/// From whom `me` should ask for a lease each: always the most loaded, as long as it has at least
/// two more than we. Every such move lowers the sum of squares, so asking ends, and it does not
/// begin while all are within one of each other.
///
/// Only two thirds (at least eight) of what is wanted is asked for at once: another new worker may
/// be asking the same owner this very moment.
#[must_use]
pub fn askings(
    loads: &BTreeMap<WorkerId, usize>,
    me: &WorkerId,
    leases_max: usize,
) -> Vec<WorkerId> {
    let mut loads = loads.clone();
    let mut mine = loads.remove(me).unwrap_or(0);
    let mut from = Vec::new();
    while mine < leases_max {
        let Some((owner, load)) = loads.iter_mut().max_by_key(|(_, load)| **load) else {
            break;
        };
        if *load < mine + 2 {
            break;
        }
        *load -= 1;
        mine += 1;
        from.push(owner.clone());
    }
    from.truncate((from.len() * 2).div_ceil(3).max(ASKED_AT_ONCE_MIN));
    from
}

/// How many leases each worker should have by KCL 2.x (`DynamoDBLeaseTaker.computeLeasesToTake`):
/// all rows count, also those of ended shards, and a worker without any still has a share of one.
#[must_use]
pub fn target(total: usize, workers: usize, leases_max: usize) -> usize {
    fair(total, workers).max(1).min(leases_max)
}

/// From whom KCL 2.x steals one lease (`chooseLeasesToSteal`, `maxLeasesToStealAtOneTime` = 1): from
/// the most loaded, if it has more than `target`, or exactly that while `me` lacks two.
///
/// The one who loses has at least two more than `me`, so this too lowers the sum of squares and
/// ends.
#[must_use]
pub fn stealing(
    loads: &BTreeMap<WorkerId, usize>,
    me: &WorkerId,
    target: usize,
) -> Option<WorkerId> {
    let mine = loads.get(me).copied().unwrap_or(0);
    let needed = target.saturating_sub(mine);
    let others = loads.iter().filter(|(worker, _)| *worker != me);
    let (owner, load) = others.max_by_key(|(_, load)| **load)?;
    let over = load.saturating_sub(target).min(needed);
    let due = over > 0 || (*load == target && needed > 1);
    due.then(|| owner.clone())
}

/// Few leases are asked for all at once: splitting eight in thirds only costs rounds.
const ASKED_AT_ONCE_MIN: usize = 8;

/// A worker's own order of shards, so that several workers that want any of them seldom collide
/// (by a hash that is stable over builds and platforms).
#[must_use]
pub fn order(me: &WorkerId, shard: &ShardId) -> u64 {
    let bytes = me.as_str().bytes().chain([0]).chain(shard.as_str().bytes());
    fnv1a(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loads(of: &[usize]) -> BTreeMap<WorkerId, usize> {
        let names = of.iter().enumerate();
        names
            .map(|(index, load)| (WorkerId::from(format!("w{index}")), *load))
            .collect()
    }

    /// The rule of `DynamoDBLeaseTaker.chooseLeasesToSteal` as its documentation words it, with one
    /// lease at a time.
    fn kcl_steals(loads: &BTreeMap<WorkerId, usize>, me: &WorkerId, target: usize) -> bool {
        let needed = target.saturating_sub(loads[me]);
        let most = *loads.values().max().unwrap();
        (most > target && needed >= 1) || (most == target && needed > 1)
    }

    #[test]
    fn the_share_is_kcls() {
        assert_eq!(target(7, 2, usize::MAX), 4);
        assert_eq!(target(6, 2, usize::MAX), 3);
        assert_eq!(target(2, 5, usize::MAX), 1);
        assert_eq!(target(0, 1, usize::MAX), 1);
        assert_eq!(target(100, 2, 10), 10);
    }

    #[test]
    fn a_second_worker_asks_for_half_in_two_rounds() {
        let me = WorkerId::from("w1");
        assert_eq!(askings(&loads(&[32, 0]), &me, usize::MAX).len(), 11);
        assert_eq!(askings(&loads(&[21, 11]), &me, usize::MAX).len(), 5);
        assert!(askings(&loads(&[16, 16]), &me, usize::MAX).is_empty());
    }

    proptest! {
        #[test]
        fn asking_ends_within_one_of_each_other_and_then_rests(
            start in proptest::collection::vec(0_usize..40, 1..6),
        ) {
            let mut state = loads(&start);
            let total: usize = start.iter().sum();
            for _ in 0..200 {
                let mut quiet = true;
                for me in state.keys().cloned().collect::<Vec<_>>() {
                    for owner in askings(&state, &me, usize::MAX) {
                        *state.get_mut(&owner).unwrap() -= 1;
                        *state.get_mut(&me).unwrap() += 1;
                        quiet = false;
                    }
                }
                if quiet {
                    break;
                }
            }
            prop_assert_eq!(state.values().sum::<usize>(), total);
            let most = state.values().max().unwrap();
            let least = state.values().min().unwrap();
            prop_assert!(most - least <= 1, "{:?}", state);
            for me in state.keys() {
                prop_assert!(askings(&state, me, usize::MAX).is_empty());
            }
        }

        #[test]
        fn stealing_is_kcls_and_ends(start in proptest::collection::vec(0_usize..30, 2..6)) {
            let mut state = loads(&start);
            let total: usize = start.iter().sum();
            // Each takes its turn, as every worker of a mixed fleet does.
            for _ in 0..total + 1 {
                for me in state.keys().cloned().collect::<Vec<_>>() {
                    // A worker without leases is not seen by others, only by itself.
                    let seen = |worker: &WorkerId, load: usize| *worker == me || load > 0;
                    let view: BTreeMap<_, _> = state
                        .iter()
                        .filter(|(worker, load)| seen(worker, **load))
                        .map(|(worker, load)| (worker.clone(), *load))
                        .collect();
                    let target = target(total, view.len(), usize::MAX);
                    let from = stealing(&view, &me, target);
                    prop_assert_eq!(from.is_some(), kcl_steals(&view, &me, target));
                    if let Some(from) = from {
                        *state.get_mut(&from).unwrap() -= 1;
                        *state.get_mut(&me).unwrap() += 1;
                    }
                }
            }
            let most = *state.values().max().unwrap();
            let least = *state.values().min().unwrap();
            prop_assert!(most - least <= 1 || total < state.len(), "{:?}", state);
        }

        #[test]
        fn nobody_asks_beyond_its_limit(start in proptest::collection::vec(0_usize..40, 2..6), max in 0_usize..10) {
            let me = WorkerId::from("w0");
            let asked = askings(&loads(&start), &me, max).len();
            prop_assert!(asked == 0 || start[0] + asked <= max);
        }
    }
}
