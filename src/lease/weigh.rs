//! Leases spread by what their shards carry rather than by their number, where `lease.weight` says
//! so: who should ask whom for which.
//!
//! A holder writes how much its shard carried lately beside its heartbeat (`tw_rate`), and only once
//! that has changed by a quarter, so that all workers count with the same numbers and these stay as
//! they are while traffic does. Two more things keep leases still: nobody asks a worker that has
//! little more than itself, and a lease moves only if it weighs at most three quarters of what lies
//! between the two. Each move then lowers the sum of squares by a good part, so moving ends.

use std::collections::BTreeMap;

use super::share;
use crate::model::{ShardId, WorkerId};

/// What is little: a quarter of a worker's fair share.
const LITTLE_PART: u64 = 4;
/// A shard without traffic weighs this part of the mean: polling it is work, too.
const IDLE_PART: u64 = 4;
/// So many leases are asked for at once: with the next look the others' askings show.
const ASKED_AT_ONCE_MAX: usize = 8;
/// A rate is news once it differs by this part of what is known.
const NEWS_PART: u64 = 4;

/// A lease that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The shard.
    pub shard: ShardId,
    /// Who has it.
    pub owner: WorkerId,
    /// Bytes a second, where known.
    pub rate: Option<u64>,
    /// Whether its owner may be asked for it.
    pub may_ask: bool,
}

/// Whether a rate measured anew is to be written.
#[must_use]
pub fn is_news(known: Option<u64>, measured: u64) -> bool {
    known.is_none_or(|known| known.abs_diff(measured) > known / NEWS_PART)
}

/// What each of these leases weighs. One whose rate is not known weighs the mean of the others.
#[must_use]
pub fn weights(leases: &[Owned]) -> Vec<u64> {
    let known: Vec<u64> = leases.iter().filter_map(|lease| lease.rate).collect();
    let count = u64::try_from(known.len()).unwrap_or(u64::MAX).max(1);
    let mean = known
        .iter()
        .fold(0, |sum: u64, rate| sum.saturating_add(*rate))
        / count;
    let idle = mean / IDLE_PART + 1;
    let weight = |lease: &Owned| lease.rate.unwrap_or(mean).saturating_add(idle);
    leases.iter().map(weight).collect()
}

/// Which leases `me` should ask for, of those that others have, and of whom: `workers` are all there
/// are. Empty while all carry about the same, or no lease would make them more equal.
#[must_use]
pub fn askings<'a>(
    leases: &'a [Owned],
    workers: impl Iterator<Item = &'a WorkerId>,
    me: &'a WorkerId,
    leases_max: usize,
) -> Vec<&'a Owned> {
    let weights = weights(leases);
    let mut loads: BTreeMap<&WorkerId, u64> = workers.map(|worker| (worker, 0)).collect();
    for (lease, weight) in leases.iter().zip(&weights) {
        *loads.entry(&lease.owner).or_default() += weight;
    }
    let held = leases.iter().filter(|lease| lease.owner == *me).count();
    let room = leases_max.saturating_sub(held).min(ASKED_AT_ONCE_MAX);
    let mut mine = loads.remove(me).unwrap_or(0);
    let total = loads.values().sum::<u64>() + mine;
    let fair = total / u64::try_from(loads.len() + 1).unwrap_or(u64::MAX);
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < room {
        let most_first = sorted(&loads);
        let next = most_first.into_iter().find_map(|(owner, load)| {
            let gap = load.saturating_sub(mine);
            if gap <= fair / LITTLE_PART {
                return None;
            }
            let fits = |index: &usize| {
                let lease = &leases[*index];
                let theirs = lease.owner == *owner && lease.may_ask;
                theirs && !chosen.contains(index) && weights[*index] <= gap / 4 * 3
            };
            let order = |index: &usize| (weights[*index], share::order(me, &leases[*index].shard));
            (0..leases.len()).filter(fits).max_by_key(order)
        });
        let Some(index) = next else { break };
        if let Some(load) = loads.get_mut(&leases[index].owner) {
            *load -= weights[index];
        }
        mine += weights[index];
        chosen.push(index);
    }
    chosen.into_iter().map(|index| &leases[index]).collect()
}

/// The most loaded first.
fn sorted<'a>(loads: &BTreeMap<&'a WorkerId, u64>) -> Vec<(&'a WorkerId, u64)> {
    let mut sorted: Vec<_> = loads.iter().map(|(owner, load)| (*owner, *load)).collect();
    sorted.sort_by_key(|(_, load)| std::cmp::Reverse(*load));
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(number: usize) -> WorkerId {
        WorkerId::from(format!("w{number}"))
    }

    fn owned(number: usize, owner: usize, rate: u64) -> Owned {
        Owned {
            shard: ShardId::from(format!("shardId-{number:012}")),
            owner: worker(owner),
            rate: Some(rate),
            may_ask: true,
        }
    }

    fn asked(leases: &[Owned], workers: usize, me: usize) -> Vec<ShardId> {
        let workers: Vec<_> = (0..workers).map(worker).collect();
        let me = worker(me);
        let asked = askings(leases, workers.iter(), &me, usize::MAX);
        asked.into_iter().map(|lease| lease.shard.clone()).collect()
    }

    #[test]
    fn a_rate_is_news_once_it_differs_by_more_than_a_quarter() {
        assert!(is_news(None, 0));
        assert!(!is_news(Some(100), 125));
        assert!(!is_news(Some(100), 75));
        assert!(is_news(Some(100), 126));
        assert!(is_news(Some(0), 1));
    }

    #[test]
    fn the_hot_shards_are_parted_and_the_idle_ones_too() {
        // One worker has both hot shards, the other as many leases.
        let rates = [1_000, 1_000, 0, 0, 0, 0, 0, 0];
        let of = |(number, rate)| owned(number, number / 4, rate);
        let leases: Vec<_> = rates.into_iter().enumerate().map(of).collect();
        assert_eq!(asked(&leases, 2, 1).len(), 1);
        assert!(asked(&leases, 2, 0).is_empty());
    }

    #[test]
    fn a_shard_that_carries_all_stays_where_it_is_and_the_rest_goes() {
        let rates = [9_000, 10, 10, 10];
        let of = |(number, rate)| owned(number, 0, rate);
        let leases: Vec<_> = rates.into_iter().enumerate().map(of).collect();
        let asked = asked(&leases, 2, 1);
        assert_eq!(asked.len(), 3, "{asked:?}");
        assert!(!asked.contains(&leases[0].shard));
    }

    proptest! {
        #[test]
        fn asking_ends_and_then_rests(
            start in proptest::collection::vec((0_usize..5, 0_u64..1_000_000), 1..60),
        ) {
            let of = |(number, (owner, rate)): (usize, (usize, u64))| owned(number, owner, rate);
            let mut leases: Vec<_> = start.into_iter().enumerate().map(of).collect();
            let mut quiet = false;
            for _ in 0..400 {
                quiet = true;
                for me in 0..5 {
                    for shard in asked(&leases, 5, me) {
                        let lease = leases.iter_mut().find(|lease| lease.shard == shard);
                        lease.expect("it was there").owner = worker(me);
                        quiet = false;
                    }
                }
                if quiet {
                    break;
                }
            }
            prop_assert!(quiet, "it goes on for ever");
        }
    }
}
