//! Parents and children of shards: which need a lease, which may be read, which row may go.

use std::collections::{BTreeMap, BTreeSet};

use super::change::NewLease;
use super::options::Initial;
use super::row::Row;
use crate::model::{Checkpoint, ChildShard, EpochMillis, Shard, ShardId};

/// The stream's shards as listed.
pub type Shards = BTreeMap<ShardId, Shard>;

/// The leases as last seen.
pub trait Rows {
    /// The lease of a shard.
    fn row(&self, shard: &ShardId) -> Option<&Row>;
    /// All of them.
    fn rows(&self) -> impl Iterator<Item = &Row>;
}

impl Rows for BTreeMap<ShardId, Row> {
    fn row(&self, shard: &ShardId) -> Option<&Row> {
        self.get(shard)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.values()
    }
}

/// Whether a shard may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Open,
    /// Not before its parents have ended.
    Shut,
    /// A parent has no row; only a listing younger than this row can tell whether it is past
    /// retention (then the shard may be read) or was never done (then not).
    Unlisted,
}

/// Whether a shard may be read: once every parent's row says `SHARD_END`, or the parent is gone
/// from the table and from the stream. A shard that was begun once was allowed to.
///
/// `LATEST` rows are made for shards that were open at the start of all; their parents need no row.
#[must_use]
pub fn gate(row: &Row, rows: &impl Rows, listing: Option<&Shards>) -> Gate {
    if !row.unstarted() {
        return Gate::Open;
    }
    let mut answer = Gate::Open;
    for parent in parents(row, listing) {
        match rows.row(parent) {
            Some(parent) if parent.ended() => {}
            Some(_) => return Gate::Shut,
            None if row.checkpoint == Checkpoint::Latest => {}
            None => match listing {
                Some(listing) if listing.contains_key(parent) => return Gate::Shut,
                Some(_) => {}
                None => answer = Gate::Unlisted,
            },
        }
    }
    answer
}

fn parents<'a>(row: &'a Row, listing: Option<&'a Shards>) -> BTreeSet<&'a ShardId> {
    let listed = listing.and_then(|listing| listing.get(&row.shard));
    row.parents
        .iter()
        .chain(listed.into_iter().flat_map(Shard::parents))
        .collect()
}

/// The leases that should exist and do not.
///
/// As KCL's `HierarchicalShardSyncer`: an open shard needs one, unless an ancestor has a lease that
/// is still to end (its end creates it). Where no ancestor has one, the oldest listed ancestors get
/// the initial position and everything below follows by their ends; under `LATEST` the open shard
/// itself begins, now. Beyond KCL: a parent that is listed but has no row, of a shard not begun or
/// not made yet, gets one too, since that shard waits for it.
#[must_use]
pub fn missing(
    listing: &Shards,
    rows: &impl Rows,
    initial: Initial,
    latest_from: EpochMillis,
) -> Vec<NewLease> {
    let mut search = Search {
        listing,
        rows,
        initial,
        latest_from,
        visited: BTreeSet::new(),
        found: Vec::new(),
    };
    for shard in listing.values().filter(|shard| shard.ending_seq.is_none()) {
        search.visit(shard);
    }
    let waiting = rows
        .rows()
        .filter(|row| row.unstarted() && row.checkpoint != Checkpoint::Latest);
    for row in waiting {
        for parent in parents(row, Some(listing)) {
            if let Some(parent) = listing.get(parent) {
                search.visit(parent);
            }
        }
    }
    // In the order of the stream, so that parents come before children.
    search.found.sort_by(|a, b| {
        let seq = |lease: &NewLease| listing.get(&lease.shard).map(|shard| &shard.starting_seq);
        seq(a).cmp(&seq(b)).then_with(|| a.shard.cmp(&b.shard))
    });
    search.found
}

struct Search<'a, R> {
    listing: &'a Shards,
    rows: &'a R,
    initial: Initial,
    latest_from: EpochMillis,
    visited: BTreeSet<&'a ShardId>,
    found: Vec<NewLease>,
}

impl<'a, R: Rows> Search<'a, R> {
    fn visit(&mut self, first: &'a Shard) {
        let mut next = vec![first];
        while let Some(shard) = next.pop() {
            if self.rows.row(&shard.id).is_some() || !self.visited.insert(&shard.id) {
                continue;
            }
            let open = shard.ending_seq.is_none();
            if open && self.initial == Initial::Latest && !self.has_history(shard) {
                let lease = new_lease(shard, Checkpoint::Latest, Some(self.latest_from));
                self.found.push(lease);
                continue;
            }
            let kept: Vec<_> = shard
                .parents()
                .filter_map(|parent| self.rows.row(parent))
                .collect();
            let awaited = kept.iter().any(|parent| !parent.ended());
            let unknown: Vec<_> = shard
                .parents()
                .filter(|parent| self.rows.row(parent).is_none())
                .filter_map(|parent| self.listing.get(parent))
                .collect();
            if unknown.is_empty() && !awaited {
                self.found.push(self.root(shard));
            }
            next.extend(unknown);
        }
    }

    /// Whether any ancestor has a lease.
    fn has_history(&self, shard: &'a Shard) -> bool {
        let mut next: Vec<_> = shard.parents().collect();
        let mut seen = BTreeSet::new();
        while let Some(parent) = next.pop() {
            if self.rows.row(parent).is_some() {
                return true;
            }
            if seen.insert(parent) {
                let above = self.listing.get(parent);
                next.extend(above.into_iter().flat_map(Shard::parents));
            }
        }
        false
    }

    /// A shard above which all is done or gone: its oldest record is the next to read. Under
    /// `AT_TIMESTAMP` the time holds for every shard: what lies before it is skipped, nothing else.
    fn root(&self, shard: &Shard) -> NewLease {
        match self.initial {
            Initial::AtTimestamp(at) => new_lease(shard, Checkpoint::AtTimestamp, Some(at)),
            Initial::TrimHorizon | Initial::Latest => {
                new_lease(shard, Checkpoint::TrimHorizon, None)
            }
        }
    }
}

fn new_lease(shard: &Shard, checkpoint: Checkpoint, start_ms: Option<EpochMillis>) -> NewLease {
    NewLease {
        shard: shard.id.clone(),
        parents: shard.parents().cloned().collect(),
        hash_range: Some((
            shard.starting_hash_key.clone(),
            shard.ending_hash_key.clone(),
        )),
        checkpoint,
        start_ms,
    }
}

/// The lease of a child, when `parent` has ended: at its oldest record. A parent that saw nothing
/// since the time it was to begin at hands that time on.
#[must_use]
pub fn child(child: &ChildShard, parent: &Row) -> NewLease {
    let inherits = parent.checkpoint == Checkpoint::AtTimestamp && parent.start_ms.is_some();
    NewLease {
        shard: child.id.clone(),
        parents: child.parents.iter().cloned().collect(),
        hash_range: Some((
            child.starting_hash_key.clone(),
            child.ending_hash_key.clone(),
        )),
        checkpoint: if inherits {
            Checkpoint::AtTimestamp
        } else {
            Checkpoint::TrimHorizon
        },
        start_ms: parent.start_ms.filter(|_| inherits),
    }
}

/// The children of a shard, by the listing.
#[must_use]
pub fn children(listing: &Shards, parent: &ShardId) -> Vec<ChildShard> {
    let born = listing
        .values()
        .filter(|shard| shard.parents().any(|id| id == parent));
    born.map(|shard| ChildShard {
        id: shard.id.clone(),
        parents: shard.parents().cloned().collect(),
        starting_hash_key: shard.starting_hash_key.clone(),
        ending_hash_key: shard.ending_hash_key.clone(),
    })
    .collect()
}

/// Whether the row of an ended shard may go (KCL's `LeaseCleanupManager`): all its children have
/// begun, and its parents' rows have gone before. A missing row then always means "done".
#[must_use]
pub fn may_go(row: &Row, rows: &impl Rows) -> bool {
    let begun = |child: &ShardId| {
        rows.row(child).is_some_and(|child| {
            !matches!(
                child.checkpoint,
                Checkpoint::TrimHorizon | Checkpoint::AtTimestamp
            )
        })
    };
    row.ended()
        && !row.children.is_empty()
        && row.children.iter().all(begun)
        && row.parents.iter().all(|parent| rows.row(parent).is_none())
}

/// Whether these leases are this stream's: at least one names a listed shard, and no contradicting
/// hash range. Shard ids alone prove little, every stream counts from zero.
#[must_use]
pub fn belongs(rows: &impl Rows, listing: &Shards) -> bool {
    let mut any = false;
    for row in rows.rows() {
        any = true;
        let Some(shard) = listing.get(&row.shard) else {
            continue;
        };
        match &row.hash_range {
            None => return true,
            Some((first, last)) => {
                if *first == shard.starting_hash_key && *last == shard.ending_hash_key {
                    return true;
                }
            }
        }
    }
    !any
}

#[cfg(test)]
mod tests;
