//! A shard's end: its children get leases before the parent says `SHARD_END`.
//!
//! Creating is idempotent and the end is one write, so a crash between any two steps is mended by
//! whoever reads the parent again from its checkpoint.

use std::time::Duration;

use super::{Held, Keeper, Phase};
use crate::lease::lineage::{self, Rows};
use crate::model::{Millis, ShardId};

/// A closed shard has children; where a listing does not show them yet, it is asked for again
/// after this.
const NO_CHILDREN_YET: Duration = Duration::from_secs(1);

impl Keeper {
    /// Finds the children of ended shards, and wants leases for them.
    pub(super) fn bear(&mut self, now: Millis) {
        let ending: Vec<ShardId> = self
            .held
            .iter()
            .filter(|(_, held)| matches!(held.phase, Phase::Ending(_)))
            .map(|(shard, _)| shard.clone())
            .collect();
        for shard in ending {
            self.name_children(now, &shard);
            let Some(held) = self.held.get(&shard) else {
                continue;
            };
            let Phase::Ending(ending) = &held.phase else {
                continue;
            };
            for child in ending.children.iter().flatten() {
                if self.seen.row(&child.id).is_none() {
                    let new = lineage::child(child, &held.as_reached());
                    self.wanted.entry(child.id.clone()).or_insert(new);
                }
            }
        }
        if self.leaving.is_some() {
            self.create(now);
        }
    }

    /// Where the server left the children out, a listing asked for after the end names them.
    fn name_children(&mut self, now: Millis, shard: &ShardId) {
        let Some(held) = self.held.get_mut(shard) else {
            return;
        };
        let (Phase::Ending(ending), Some(listing)) = (&mut held.phase, &self.listing) else {
            return;
        };
        if ending.children.is_some() || listing.sent < ending.since {
            return;
        }
        let children = lineage::children(&listing.shards, shard);
        if children.is_empty() && listing.shards.contains_key(shard) {
            ending.since = now;
            self.list.due_at = now + NO_CHILDREN_YET;
        } else {
            ending.children = Some(children);
        }
    }

    /// Whether an ended shard's children are still to be named, by a listing.
    pub(super) fn wants_children(&self) -> bool {
        self.held
            .values()
            .any(|held| matches!(&held.phase, Phase::Ending(ending) if ending.children.is_none()))
    }

    /// Whether every child of an ended shard has its lease.
    pub(super) fn all_born(&self, held: &Held) -> bool {
        let Phase::Ending(ending) = &held.phase else {
            return false;
        };
        ending.children.as_ref().is_some_and(|children| {
            children
                .iter()
                .all(|child| self.seen.row(&child.id).is_some())
        })
    }

    /// Creates the rows that are wanted.
    pub(super) fn create(&mut self, now: Millis) {
        let mut due = Vec::new();
        for (shard, new) in &self.wanted {
            let exists = self.seen.row(shard).is_some();
            if !exists
                && !self.flights.contains_key(shard)
                && self.resting.get(shard).is_none_or(|until| *until <= now)
            {
                due.push(new.clone());
            }
        }
        for new in due {
            let change = self.author.create(&new);
            self.send(
                now,
                super::Op::Create,
                change,
                crate::model::LeaseCounter(0),
            );
        }
    }

    /// Whether a row is ours to delete: no other live worker owns it.
    fn nobodys(&self, seen: &super::Seen) -> bool {
        let held = self.held.get(&seen.row.shard);
        match &seen.row.owner {
            None => true,
            Some(_) => seen.expired || held.is_some_and(|held| held.phase == Phase::Ended),
        }
    }

    /// Deletes rows of ended shards that nobody needs any more.
    pub(super) fn clean(&mut self, now: Millis) {
        if !self.options.cleanup {
            return;
        }
        let due: Vec<_> = self
            .seen
            .0
            .values()
            .filter(|seen| seen.again_at <= now && !self.flights.contains_key(&seen.row.shard))
            .filter(|seen| self.nobodys(seen) && lineage::may_go(&seen.row, &self.seen))
            .map(|seen| seen.row.clone())
            .collect();
        for row in due {
            let counter = row.counter;
            let change = self.author.delete(&row);
            self.send(now, super::Op::Delete, change, counter);
        }
    }
}

impl Held {
    /// The row, with what is reached and not yet written in it.
    fn as_reached(&self) -> crate::lease::row::Row {
        let mut row = self.row.clone();
        if let Some(reached) = &self.reached {
            row.checkpoint = reached.clone();
        }
        row
    }
}
