//! Shard graphs: by hand, and by chance.

use std::collections::{BTreeMap, BTreeSet};

use tidewire::lease::lineage::{self, Gate, Shards};
use tidewire::lease::options::Initial;
use tidewire::lease::{NewLease, Row};
use tidewire::model::{Checkpoint, EpochMillis, LeaseCounter, Shard, ShardId, WorkerId};

#[derive(Debug)]
struct Node {
    parents: Vec<usize>,
    range: (u128, u128),
    open: bool,
}

#[derive(Debug)]
pub(crate) struct Graph(Vec<Node>);

pub(crate) fn id(number: usize) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

pub(crate) fn number(id: &ShardId) -> usize {
    id.as_str().trim_start_matches("shardId-").parse().unwrap()
}

impl Graph {
    /// So many shards of equal width, 0 to 2^128 - 1.
    pub(crate) fn new(count: usize) -> Self {
        let count = u128::try_from(count).unwrap();
        let width = u128::MAX / count + 1;
        let node = |index: u128| Node {
            parents: Vec::new(),
            range: (
                index * width,
                (index * width).wrapping_add(width).wrapping_sub(1),
            ),
            open: true,
        };
        Self((0..count).map(node).collect())
    }

    pub(crate) fn split(&mut self, parent: usize) {
        let (first, last) = self.0[parent].range;
        let middle = first + (last - first) / 2;
        self.0[parent].open = false;
        for range in [(first, middle), (middle + 1, last)] {
            self.0.push(Node {
                parents: vec![parent],
                range,
                open: true,
            });
        }
    }

    pub(crate) fn merge(&mut self, left: usize, right: usize) {
        let range = (self.0[left].range.0, self.0[right].range.1);
        assert_eq!(self.0[left].range.1 + 1, self.0[right].range.0);
        self.0[left].open = false;
        self.0[right].open = false;
        self.0.push(Node {
            parents: vec![left, right],
            range,
            open: true,
        });
    }

    /// Splits and merges as the choices say.
    pub(crate) fn random(choices: &[u32]) -> Self {
        let mut graph = Self::new(4);
        for choice in choices {
            let mut open: Vec<_> = (0..graph.0.len())
                .filter(|index| graph.0[*index].open)
                .collect();
            open.sort_by_key(|index| graph.0[*index].range);
            let at = usize::try_from(choice / 2).unwrap() % open.len();
            let (first, last) = graph.0[open[at]].range;
            if (choice % 2 == 0 || at + 1 == open.len() || open.len() < 4) && last > first {
                graph.split(open[at]);
            } else if at + 1 < open.len() {
                graph.merge(open[at], open[at + 1]);
            }
        }
        graph
    }

    pub(crate) fn listed(&self) -> Shards {
        let shard = |(index, node): (usize, &Node)| Shard {
            id: id(index),
            parent: node.parents.first().map(|parent| id(*parent)),
            adjacent_parent: node.parents.get(1).map(|parent| id(*parent)),
            starting_hash_key: node.range.0.to_string(),
            ending_hash_key: node.range.1.to_string(),
            starting_seq: (index * 100 + 1).to_string().parse().unwrap(),
            ending_seq: (!node.open).then(|| (index * 100 + 50).to_string().parse().unwrap()),
        };
        let shards = self.0.iter().enumerate().map(shard);
        shards.map(|shard| (shard.id.clone(), shard)).collect()
    }
}

/// The lease of a shard, half read or ended.
pub(crate) fn row(shard: &Shard, ended: bool) -> Row {
    let checkpoint = match ended {
        true => "SHARD_END".to_owned(),
        false => shard.starting_seq.to_string(),
    };
    let mut row = created(&NewLease {
        shard: shard.id.clone(),
        parents: shard.parents().cloned().collect(),
        hash_range: Some((
            shard.starting_hash_key.clone(),
            shard.ending_hash_key.clone(),
        )),
        checkpoint: Checkpoint::from_kcl(&checkpoint, 0).unwrap(),
        start_ms: None,
    });
    row.owner = Some(WorkerId::from("w")).filter(|_| !ended);
    row
}

/// The row that a creation makes.
pub(crate) fn created(new: &NewLease) -> Row {
    Row {
        shard: new.shard.clone(),
        owner: None,
        counter: LeaseCounter(0),
        switches: 0,
        checkpoint: new.checkpoint.clone(),
        parents: new.parents.clone(),
        children: BTreeSet::new(),
        hash_range: new.hash_range.clone(),
        checkpoint_owner: None,
        writer: None,
        tw_owner: None,
        receiver: None,
        start_ms: new.start_ms,
        rate: None,
    }
}

/// Leases after so many shards were read to their ends, in an order of chance.
pub(crate) fn read_through(listing: &Shards, ends: &[u32]) -> BTreeMap<ShardId, Row> {
    let mut leases = BTreeMap::new();
    for new in lineage::missing(listing, &leases, Initial::TrimHorizon, EpochMillis(0)) {
        leases.insert(new.shard.clone(), created(&new));
    }
    for end in ends {
        let readable: Vec<_> = leases
            .values()
            .filter(|row| !row.ended() && listing[&row.shard].ending_seq.is_some())
            .filter(|row| lineage::gate(row, &leases, Some(listing)) == Gate::Open)
            .map(|row| row.shard.clone())
            .collect();
        if readable.is_empty() {
            break;
        }
        let shard = &readable[usize::try_from(*end).unwrap() % readable.len()];
        for child in lineage::children(listing, shard) {
            let new = lineage::child(&child, &leases[shard]);
            leases
                .entry(new.shard.clone())
                .or_insert_with(|| created(&new));
        }
        leases.insert(shard.clone(), row(&listing[shard], true));
    }
    leases
}

/// All shards that lead on to this one.
pub(crate) fn ancestors(listing: &Shards, shard: &ShardId) -> BTreeSet<ShardId> {
    let mut found = BTreeSet::new();
    let mut next: Vec<_> = listing[shard].parents().cloned().collect();
    while let Some(above) = next.pop() {
        next.extend(listing[&above].parents().cloned());
        found.insert(above);
    }
    found
}
