//! The stream's shards compared with the leases.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Keeper, Listed, Note};
use crate::lease::audit;
use crate::lease::lineage::{self, Rows, Shards};
use crate::lease::options::Initial;
use crate::lease::row::Row;
use crate::model::{Checkpoint, EpochMillis, Fault, Millis};

/// `LATEST` begins this much before the stream's own clock says "now": its `Date` header counts
/// whole seconds, and a record may be stamped by another of its hosts.
const LATEST_SLACK: Duration = Duration::from_secs(2);

/// `ListShards` is not asked for more often than this, whatever asks for it.
const LIST_PAUSE: Duration = Duration::from_secs(1);

/// A lease that a table with others in it lacks is made once it was missing for so long. The row of a
/// shard that is all done goes when its children have begun; to a worker that stood still, or that
/// saw a stale scan, these have not, and it would have the shard read again from its beginning. Scans
/// lag by a second at most on most days.
const MISSING_FOR: Duration = Duration::from_secs(7);

/// Something that is asked for now and then.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    pub(super) under_way: Option<Millis>,
    pub(super) due_at: Millis,
}

/// The stream as last listed.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) shards: Shards,
    server_time: EpochMillis,
    /// When it was asked for.
    pub(super) sent: Millis,
}

impl Keeper {
    pub(super) fn listed(&mut self, now: Millis, answer: Result<Listed, Fault>) {
        let sent = self.list.under_way.take().unwrap_or(now);
        let Ok(listed) = answer else {
            self.list.due_at = now + LIST_PAUSE;
            return;
        };
        // A shard that ended while this listing was under way needs a younger one.
        let waiting = self.list.due_at > sent && self.list.due_at <= now;
        self.list.due_at = if waiting {
            now
        } else {
            now + self.options.shard_sync_every
        };
        let first = self.listing.is_none();
        let shards = listed.shards.into_iter();
        self.listing = Some(Listing {
            shards: shards.map(|shard| (shard.id.clone(), shard)).collect(),
            server_time: listed.server_time,
            sent,
        });
        if first && !self.belongs() {
            let known = self.seen.0.keys().next().map(ToString::to_string);
            self.refuse(crate::lease::Error::ForeignTable {
                example: known.unwrap_or_default(),
            });
            return;
        }
        if self.leaving.is_none() {
            self.compare(now);
            self.clean(now);
        }
    }

    fn belongs(&self) -> bool {
        let listing = self.listing.as_ref();
        listing.is_none_or(|listing| lineage::belongs(&self.seen, &listing.shards))
    }

    /// Wants a lease for every shard that should have one.
    fn compare(&mut self, now: Millis) {
        let Some(from) = self.latest_from() else {
            return;
        };
        let Some(listing) = &self.listing else {
            return;
        };
        let initial = self.options.initial_position;
        let missing = lineage::missing(&listing.shards, &self.seen, initial, from);
        let looked_since = self.forgot_at.is_none_or(|at| at < self.scan_sent);
        let fresh_table = self.seen.0.is_empty() && looked_since;
        let mut doubted = std::mem::take(&mut self.doubted);
        for new in missing {
            let (since, new) = doubted.remove(&new.shard).unwrap_or((now, new));
            if fresh_table || self.scan_sent >= since + MISSING_FOR {
                self.wanted.entry(new.shard.clone()).or_insert(new);
            } else {
                self.doubted.insert(new.shard.clone(), (since, new));
            }
        }
    }

    /// A scan that is young enough to believe what it lacks: the stream is compared once more.
    pub(super) fn missing_still(&mut self, now: Millis) {
        let sent = self.scan_sent;
        if self
            .doubted
            .values()
            .any(|(since, _)| sent >= *since + MISSING_FOR)
        {
            self.list_soon(now);
        }
    }

    /// The audit of each scan. A hole that stays is checked against the stream, which names what is
    /// missing; a table at its beginning has none but that.
    pub(super) fn look_for_holes(&mut self, now: Millis) {
        if self.listing.is_none() || self.seen.0.is_empty() {
            return;
        }
        // Each stream has a hash space of its own. Where a row does not say its part, nothing can
        // be told.
        let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in self.seen.rows().filter(|row| !row.ended()) {
            let ranges = streams.entry(row.shard.stream()).or_default();
            ranges.push(audit::range_of(row));
        }
        let hole = streams.into_values().find_map(|ranges| {
            let known: Option<Vec<_>> = ranges.into_iter().collect();
            audit::holes(known?.into_iter()).first().copied()
        });
        if let Some((first, last)) = self.audit.look(hole) {
            self.note(Note::Hole { first, last });
            self.list_soon(now);
        }
    }

    /// The time that `LATEST` means, by the last listing: a little early repeats, losing nothing.
    fn latest_from(&self) -> Option<EpochMillis> {
        let slack = i64::try_from(LATEST_SLACK.as_millis()).unwrap_or(i64::MAX);
        let listing = self.listing.as_ref()?;
        Some(EpochMillis(listing.server_time.0.saturating_sub(slack)))
    }

    /// The time to pin a row to that begins at a sentinel and is not pinned yet, as rows of KCL
    /// are not; `Err` while it cannot be known.
    pub(super) fn pin_for(&self, row: &Row) -> Result<Option<EpochMillis>, Unlisted> {
        if row.start_ms.is_some() {
            return Ok(None);
        }
        match (&row.checkpoint, self.options.initial_position) {
            (Checkpoint::Latest, _) => self.latest_from().map(Some).ok_or(Unlisted),
            (Checkpoint::AtTimestamp, Initial::AtTimestamp(at)) => Ok(Some(at)),
            _ => Ok(None),
        }
    }

    /// Asks for a listing soon: one younger than a row whose parents are in doubt.
    pub(super) fn list_soon(&mut self, now: Millis) {
        let last = self.listing.as_ref().map_or(Millis(0), |last| last.sent);
        let soon = (last + LIST_PAUSE).max(now);
        self.list.due_at = self.list.due_at.min(soon);
    }
}

/// The stream was not listed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unlisted;
