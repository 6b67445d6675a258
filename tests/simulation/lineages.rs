//! Which leases are made, over shard graphs by hand and by chance: every family of cases that
//! KCL's `HierarchicalShardSyncer` and `PeriodicShardSyncManager` are tested with, from the rules.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

extern crate tidewire_simulation as tidewire;

#[path = "lineages/graph.rs"]
mod graph;

use std::collections::{BTreeMap, BTreeSet};

use graph::{Graph, id, number, row};
use proptest::prelude::*;
use tidewire::lease::audit;
use tidewire::lease::lineage::{self, Gate, Shards};
use tidewire::lease::{Row, options::Initial};
use tidewire::model::{EpochMillis, ShardId};

const NOW: EpochMillis = EpochMillis(5_000);
const THEN: EpochMillis = EpochMillis(9);
const INITIALS: [Initial; 3] = [
    Initial::TrimHorizon,
    Initial::Latest,
    Initial::AtTimestamp(THEN),
];

type Leases = BTreeMap<ShardId, Row>;

/// Four quarters; 0 was split into 4 and 5, 1 and 2 merged into 6, that split into 7 and 8, and 5
/// and 7 merged into 9. Open: 3, 4, 8, 9.
fn resharded() -> Shards {
    let mut graph = Graph::new(4);
    graph.split(0);
    graph.merge(1, 2);
    graph.split(6);
    graph.merge(5, 7);
    graph.listed()
}

/// What is wanted, as `number:sentinel`: `T`rim horizon, `L`atest, `A`t timestamp.
fn wanted(listing: &Shards, leases: &Leases, initial: Initial) -> String {
    let new = lineage::missing(listing, leases, initial, NOW);
    let mut new: Vec<_> = new
        .iter()
        .map(|new| (number(&new.shard), new.checkpoint.to_string()))
        .collect();
    new.sort();
    let new: Vec<_> = new
        .iter()
        .map(|(number, checkpoint)| format!("{number}:{}", &checkpoint[..1]))
        .collect();
    new.join(" ")
}

/// (family; leases, those that ended with an `e`; wanted at the horizon, at LATEST, at a time.)
const TABLE: &[(&str, &str, &str, &str, &str)] = &[
    (
        "empty table",
        "",
        "0:T 1:T 2:T 3:T",
        "3:L 4:L 8:L 9:L",
        "0:A 1:A 2:A 3:A",
    ),
    ("complete hash range, first epoch", "0 1 2 3", "", "", ""),
    ("complete hash range, last epoch", "3 4 8 9", "", "", ""),
    ("complete hash range, across epochs", "0 3 6", "", "", ""),
    (
        "complete, nothing collected",
        "0e 1e 2e 3 4 5e 6e 7e 8 9",
        "",
        "",
        "",
    ),
    (
        "complete, a child not made yet",
        "0e 1e 2e 3 5 6",
        "4:T",
        "4:T",
        "4:A",
    ),
    (
        "partial 1: one quarter is missing",
        "0 1 2",
        "3:T",
        "3:L",
        "3:A",
    ),
    (
        "partial 2: a parent of a merge is missing",
        "0 1 3",
        "2:T",
        "2:T",
        "2:A",
    ),
    (
        "partial 3: only the merged one is there",
        "6",
        "0:T 3:T",
        "0:T 3:L 4:L",
        "0:A 3:A",
    ),
    (
        "partial 4: a child of a split is missing",
        "3 5 6",
        "0:T",
        "4:L",
        "0:A",
    ),
    (
        "partial 5: an open one below ended ones is missing",
        "0e 3 4 5e 6e 7e 8",
        "9:T",
        "9:T",
        "9:A",
    ),
    (
        "without the collected, an open one is missing",
        "3 4 8",
        "0:T 1:T 2:T",
        "9:L",
        "0:A 1:A 2:A",
    ),
];

fn leases(listing: &Shards, text: &str) -> Leases {
    let one = |text: &str| {
        let ended = text.ends_with('e');
        let shard = &listing[&id(text.trim_end_matches('e').parse().unwrap())];
        (shard.id.clone(), row(shard, ended))
    };
    text.split_whitespace().map(one).collect()
}

#[test]
fn each_family_of_graph_and_leases_wants_what_the_rules_say() {
    let listing = resharded();
    for (family, present, horizon, latest, at) in TABLE {
        let leases = leases(&listing, present);
        for (initial, expected) in INITIALS.iter().zip([horizon, latest, at]) {
            let wants = wanted(&listing, &leases, *initial);
            assert_eq!(&wants, expected, "{family}, {initial:?}");
        }
    }
}

fn hashes(leases: &Leases) -> Vec<(u128, u128)> {
    let open = leases.values().filter(|row| !row.ended());
    audit::holes(open.filter_map(audit::range_of))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// From an empty table, reading through a thousand shards: at every moment the hash space is
    /// covered, nothing more is wanted, and children wait for their parents.
    #[test]
    fn a_thousand_shards_are_read_through_without_a_hole(
        choices in proptest::collection::vec(any::<u32>(), 700),
        ends in proptest::collection::vec(any::<u32>(), 300),
        initial in proptest::sample::select(INITIALS.to_vec()),
    ) {
        let listing = Graph::random(&choices).listed();
        prop_assert!(listing.len() >= 1_000, "{} shards", listing.len());
        let mut leases = Leases::new();
        let first = lineage::missing(&listing, &leases, initial, NOW);
        let order: Vec<_> = first.iter().map(|new| &listing[&new.shard].starting_seq).collect();
        prop_assert!(order.is_sorted(), "in the order of the stream");
        for new in first {
            leases.insert(new.shard.clone(), graph::created(&new));
        }
        for end in ends {
            prop_assert_eq!(hashes(&leases), vec![]);
            prop_assert!(lineage::missing(&listing, &leases, initial, NOW).is_empty());
            let readable: Vec<_> = leases
                .values()
                .filter(|row| !row.ended() && listing[&row.shard].ending_seq.is_some())
                .filter(|row| lineage::gate(row, &leases, Some(&listing)) == Gate::Open)
                .map(|row| row.shard.clone())
                .collect();
            let Some(shard) = readable.get(usize::try_from(end).unwrap() % readable.len().max(1)) else {
                break;
            };
            let parent = leases[shard].clone();
            for child in lineage::children(&listing, shard) {
                let new = lineage::child(&child, &parent);
                leases.entry(new.shard.clone()).or_insert_with(|| graph::created(&new));
            }
            leases.insert(shard.clone(), row(&listing[shard], true));
        }
    }

    /// A row deleted by hand, wherever reading stands: found as a hole unless another lease covers
    /// it, and made anew; nothing is wanted that an unended ancestor leads to.
    #[test]
    fn a_deleted_row_is_a_hole_and_comes_back(
        choices in proptest::collection::vec(any::<u32>(), 200),
        ends in proptest::collection::vec(any::<u32>(), 0..150),
        victim in any::<u32>(),
    ) {
        let listing = Graph::random(&choices).listed();
        let mut leases = graph::read_through(&listing, &ends);
        let active: Vec<_> = leases.values().filter(|row| !row.ended()).cloned().collect();
        let victim = &active[usize::try_from(victim).unwrap() % active.len()];
        leases.remove(&victim.shard);
        let missing = lineage::missing(&listing, &leases, Initial::TrimHorizon, NOW);
        let wanted: BTreeSet<_> = missing.iter().map(|new| new.shard.clone()).collect();
        let waits = graph::ancestors(&listing, &victim.shard)
            .iter()
            .any(|above| leases.get(above).is_some_and(|above| !above.ended()));
        // What it waits for makes it, when that ends.
        prop_assert!(waits || wanted == BTreeSet::from([victim.shard.clone()]), "{wanted:?}");
        let range = audit::range_of(victim).unwrap();
        for hole in hashes(&leases) {
            prop_assert!(hole.0 >= range.0 && hole.1 <= range.1);
        }
        let other = |row: &Row| {
            let (first, last) = audit::range_of(row).unwrap();
            !row.ended() && first <= range.1 && last >= range.0
        };
        prop_assert!(leases.values().any(other) || !hashes(&leases).is_empty());
        for new in missing {
            leases.insert(new.shard.clone(), graph::created(&new));
        }
        prop_assert!(waits || hashes(&leases).is_empty());
    }
}
