//! How leases are spread over workers: fair within one, and still once they are.

use std::collections::BTreeMap;

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

/// Few leases are asked for all at once: splitting eight in thirds only costs rounds.
const ASKED_AT_ONCE_MIN: usize = 8;

/// A worker's own order of shards, so that several workers that want any of them seldom collide
/// (FNV-1a, which is stable over builds and platforms).
#[must_use]
pub fn order(me: &WorkerId, shard: &ShardId) -> u64 {
    let bytes = me.as_str().bytes().chain([0]).chain(shard.as_str().bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
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
        fn nobody_asks_beyond_its_limit(start in proptest::collection::vec(0_usize..40, 2..6), max in 0_usize..10) {
            let me = WorkerId::from("w0");
            let asked = askings(&loads(&start), &me, max).len();
            prop_assert!(asked == 0 || start[0] + asked <= max);
        }
    }
}
