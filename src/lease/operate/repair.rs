//! What is wrong with a lease table, compared with the stream, and what mends it.
//!
//! Running workers create missing leases by themselves; this is for tables at rest, for rows that
//! people or other programs wrote, and for whoever wants to know.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plan, beside};
use crate::lease::audit;
use crate::lease::change::{self, Author, Clause, Edit, NewLease};
use crate::lease::item::{Value, name};
use crate::lease::lineage::{self, Shards};
use crate::lease::options::Initial;
use crate::lease::row::Row;
use crate::model::{EpochMillis, Shard, ShardId, StreamId};

/// Leases by shard.
pub type Leases = BTreeMap<ShardId, Row>;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A shard that needs a lease has none.
    Missing(NewLease),
    /// `parentShardId` is not what the stream says: a child could be read before its parent, or
    /// wait for a stranger for ever.
    Parents {
        /// The lease.
        row: Row,
        /// As the stream has it.
        parents: BTreeSet<ShardId>,
    },
    /// The hash range is missing, or not what the stream says.
    HashRange {
        /// The lease.
        row: Row,
        /// As the stream has it.
        range: (String, String),
    },
    /// An ended shard's children are not named: its row would never be deleted.
    Children {
        /// The lease.
        row: Row,
        /// As the stream has it.
        children: BTreeSet<ShardId>,
    },
    /// A lease that has not ended, of a shard that the stream no longer has: what was unread in it
    /// is lost, and its children wait for it.
    Orphan(Row),
}

impl Flaw {
    /// The lease meant.
    #[must_use]
    pub fn shard(&self) -> &ShardId {
        match self {
            Self::Missing(new) => &new.shard,
            Self::Parents { row, .. }
            | Self::HashRange { row, .. }
            | Self::Children { row, .. }
            | Self::Orphan(row) => &row.shard,
        }
    }
}

/// Everything wrong with the leases of a stream, missing ones first. `initial` and `latest_from`
/// are where shards without history begin, as for a worker.
#[must_use]
pub fn flaws(
    listing: &Shards,
    leases: &Leases,
    initial: Initial,
    latest_from: EpochMillis,
) -> Vec<Flaw> {
    let missing = lineage::missing(listing, leases, initial, latest_from);
    let mut flaws: Vec<_> = missing.into_iter().map(Flaw::Missing).collect();
    // Rows of a stream that is not looked at are another fleet's, or of a stream taken off the list.
    let streams: BTreeSet<_> = listing.keys().map(ShardId::stream).collect();
    for row in leases.values() {
        match listing.get(&row.shard) {
            Some(shard) => flaws.extend(compared(row, shard, listing)),
            None if !row.ended() && streams.contains(&row.shard.stream()) => {
                flaws.push(Flaw::Orphan(row.clone()));
            }
            None => {}
        }
    }
    flaws
}

fn compared(row: &Row, shard: &Shard, listing: &Shards) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let parents: BTreeSet<_> = shard.parents().cloned().collect();
    // A stream that names no parents any more knows less than the row.
    if !parents.is_empty() && parents != row.parents {
        let row = row.clone();
        flaws.push(Flaw::Parents { row, parents });
    }
    let range = (
        shard.starting_hash_key.clone(),
        shard.ending_hash_key.clone(),
    );
    if row.hash_range.as_ref() != Some(&range) {
        let row = row.clone();
        flaws.push(Flaw::HashRange { row, range });
    }
    if row.ended() && row.children.is_empty() {
        let children = lineage::children(listing, &row.shard);
        let children: BTreeSet<_> = children.into_iter().map(|child| child.id).collect();
        if !children.is_empty() {
            let row = row.clone();
            flaws.push(Flaw::Children { row, children });
        }
    }
    flaws
}

/// What mends a flaw. None of these writes touches owner or counter, so no worker loses a lease.
#[must_use]
pub fn mend(author: &Author, flaw: &Flaw) -> Plan {
    match flaw {
        Flaw::Missing(new) => Plan::Write {
            change: author.create(new),
            does: format!("created, to be read from {}", new.checkpoint),
        },
        Flaw::Parents { row, parents } => Plan::Write {
            change: beside(
                &row.shard,
                vec![exists(row), set_is(name::PARENTS, &row.parents)],
                change::ids(name::PARENTS, parents).into_iter().collect(),
            ),
            does: format!(
                "given the parents {}, in place of {}",
                named(parents),
                named(&row.parents)
            ),
        },
        Flaw::HashRange { row, range } => Plan::Write {
            change: beside(
                &row.shard,
                vec![exists(row)],
                vec![
                    Edit::Set(name::HASH_FIRST, Value::text(&range.0)),
                    Edit::Set(name::HASH_LAST, Value::text(&range.1)),
                ],
            ),
            does: format!("given the hash range {} to {}", range.0, range.1),
        },
        Flaw::Children { row, children } => Plan::Write {
            change: beside(
                &row.shard,
                vec![exists(row), set_is(name::CHILDREN, &row.children)],
                change::ids(name::CHILDREN, children).into_iter().collect(),
            ),
            does: format!("given the children {}", named(children)),
        },
        Flaw::Orphan(row) => Plan::Refused(format!(
            "it stands at {}, but the stream no longer has this shard: whatever was unread in it is past \
             retention and lost; a running worker ends such a lease by itself and says so",
            row.checkpoint
        )),
    }
}

fn exists(row: &Row) -> Clause {
    Clause::Is(name::KEY, Value::text(row.shard.as_str()))
}

fn set_is(attribute: &'static str, ids: &BTreeSet<ShardId>) -> Clause {
    match change::ids(attribute, ids) {
        Some(Edit::Set(attribute, value)) => Clause::Is(attribute, value),
        _ => Clause::Lacks(attribute),
    }
}

fn named(ids: &BTreeSet<ShardId>) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    match ids.is_empty() {
        true => "none".to_owned(),
        false => ids.join(", "),
    }
}

/// The parts of the hash space 0 to 2^128 - 1 that no lease covers whose shard is still to be read
/// or leads on to ones that are; stream (among several), first and last each. `beside` are leases
/// about to be made.
#[must_use]
pub fn holes(
    listing: &Shards,
    leases: &Leases,
    beside: &[Flaw],
) -> Vec<(Option<StreamId>, u128, u128)> {
    let streams: BTreeSet<_> = listing.keys().map(ShardId::stream).collect();
    let mut holes = Vec::new();
    for stream in streams {
        let found = holes_of(&stream, listing, leases, beside).into_iter();
        holes.extend(found.map(|(first, last)| (stream.clone(), first, last)));
    }
    holes
}

fn holes_of(
    stream: &Option<StreamId>,
    listing: &Shards,
    leases: &Leases,
    beside: &[Flaw],
) -> Vec<(u128, u128)> {
    let of_row = |row: &Row| {
        let listed = listing.get(&row.shard);
        let listed = listed.map(|shard| (&shard.starting_hash_key, &shard.ending_hash_key));
        let own = row.hash_range.as_ref().map(|(first, last)| (first, last));
        listed.or(own).and_then(|(first, last)| range(first, last))
    };
    let made = beside.iter().filter_map(|flaw| match flaw {
        Flaw::Missing(new) if new.shard.stream() == *stream => new.hash_range.as_ref(),
        _ => None,
    });
    let open = leases
        .values()
        .filter(|row| !row.ended() && row.shard.stream() == *stream);
    let made = made.filter_map(|(first, last)| range(first, last));
    audit::holes(open.filter_map(of_row).chain(made))
}

fn range(first: &str, last: &str) -> Option<(u128, u128)> {
    Some((first.parse().ok()?, last.parse().ok()?))
}
