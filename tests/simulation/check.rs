//! What must hold: the numbered invariants after every event, liveness once all is well.

use std::collections::BTreeMap;

use tidewire::lease::invariant;
use tidewire::lease::keeper::Note;
use tidewire::lease::row::{self, Entry};
use tidewire::lease::{Item, Row};
use tidewire::model::{Checkpoint, ShardId, WorkerId};

use super::faults::STORM_MS;
use super::stream::World as Stream;
use super::table::Store;
use super::world::{CALM_MS, Process};

/// L2's bound: a lease, two scans, and a call that was given up after two seconds when the storm
/// ended, with clocks that are one per cent wrong.
const OWNED_WITHIN_MS: u64 = 10_000 + 2 * 800 + 2_000 + 400;
/// A row deleted by hand frees a lease whose holder cannot know for so long.
const HAND_DELETED_MS: u64 = 25_000;
/// No lease moves in the last part of a calm run.
const QUIET_MS: u64 = 15_000;

/// What a run saw; over all runs each must have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sometimes {
    pub(crate) taken: u64,
    pub(crate) expired: u64,
    pub(crate) handed_over: u64,
    pub(crate) reverted: u64,
    pub(crate) conflicts: u64,
    pub(crate) fenced: u64,
    pub(crate) lost: u64,
    pub(crate) row_gone: u64,
    pub(crate) ended: u64,
    pub(crate) released: u64,
    pub(crate) deleted: u64,
    pub(crate) crashes: u64,
    pub(crate) stops: u64,
    pub(crate) children: u64,
}

impl Sometimes {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.fields().into_iter().zip(other.clone().fields()) {
            *mine += *theirs;
        }
    }

    fn fields(&mut self) -> [&mut u64; 14] {
        [
            &mut self.taken,
            &mut self.expired,
            &mut self.handed_over,
            &mut self.reverted,
            &mut self.conflicts,
            &mut self.fenced,
            &mut self.lost,
            &mut self.row_gone,
            &mut self.ended,
            &mut self.released,
            &mut self.deleted,
            &mut self.crashes,
            &mut self.stops,
            &mut self.children,
        ]
    }

    pub(crate) fn all_seen(&self) -> bool {
        self.clone().fields().into_iter().all(|seen| *seen > 0)
    }
}

pub(crate) struct Moment<'a> {
    pub(crate) now: u64,
    pub(crate) processes: &'a BTreeMap<usize, Process>,
    pub(crate) store: &'a Store,
    pub(crate) stream: &'a Stream,
}

#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) sometimes: Sometimes,
    pub(crate) tracing: bool,
    hand_deleted: BTreeMap<ShardId, u64>,
    /// Since when a shard that may be read has no reader, in calm weather.
    waiting: BTreeMap<ShardId, u64>,
    last_move: u64,
}

pub(crate) fn row_of(store: &Store, shard: &ShardId) -> Option<Row> {
    match row::read(store.read(shard)?) {
        Ok(Entry::Lease(row)) => Some(row),
        _ => None,
    }
}

impl Checks {
    pub(crate) fn note(&mut self, now: u64, note: &Note) {
        let seen = &mut self.sometimes;
        match note {
            Note::Taken { how, .. } => {
                seen.taken += 1;
                seen.expired += u64::from(*how == "expired");
                seen.handed_over += u64::from(*how == "handed_over");
            }
            Note::Lost { why, .. } => match *why {
                "fenced" => seen.fenced += 1,
                "taken" => seen.lost += 1,
                _ => seen.row_gone += 1,
            },
            Note::Released { why, .. } => {
                seen.released += u64::from(*why == "shutdown");
                seen.ended += u64::from(*why == "ended");
            }
            Note::Asked { .. } => self.last_move = now,
            Note::Reverted(_) => seen.reverted += 1,
            Note::Deleted(_) => seen.deleted += 1,
            Note::Created(_) | Note::Conflict(_) => {}
            Note::Unreadable(row) => panic!("we wrote a row that we cannot read: {row}"),
        }
    }

    /// The last worker left in the calm: a new one has all the time there is.
    pub(crate) fn wait_anew(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn deleted_by_hand(&mut self, now: u64, shard: &ShardId) {
        self.hand_deleted
            .insert(shard.clone(), now + HAND_DELETED_MS);
    }

    /// L3, L4, L5, L9, L10 of a write that was applied.
    pub(crate) fn written(
        &mut self,
        writer: &WorkerId,
        before: Option<&Item>,
        after: Option<&Item>,
        stream: &Stream,
    ) -> Result<(), String> {
        let parse = |item: &Item| match row::read(item) {
            Ok(Entry::Lease(row)) => Ok(row),
            other => Err(format!("{other:?}")),
        };
        let Some(after) = after else {
            return Ok(());
        };
        invariant::parses_in_java(after).map_err(|broken| broken.to_string())?;
        let after = parse(after)?;
        if let Some(before) = before {
            let before = parse(before)?;
            invariant::write(&before, &after, writer).map_err(|broken| broken.to_string())?;
        }
        let index = stream.index(&after.shard);
        let done = if stream.finished(index) {
            Checkpoint::ShardEnd
        } else {
            Stream::checkpoint(index, stream.shards[index].done).unwrap_or(Checkpoint::TrimHorizon)
        };
        invariant::within_done(&after.shard, &after.checkpoint, &done)
            .map_err(|broken| broken.to_string())
    }

    /// L6, and that nothing is skipped (L8).
    pub(crate) fn granted(
        &mut self,
        stream: &Stream,
        index: usize,
        pos: u64,
    ) -> Result<(), String> {
        let shard = &stream.shards[index];
        self.sometimes.children += u64::from(!shard.parents.is_empty());
        let parents = shard
            .parents
            .iter()
            .map(|parent| (&stream.shards[*parent].id, stream.finished(*parent)));
        invariant::parents_first(&shard.id, parents).map_err(|broken| broken.to_string())?;
        if pos > shard.done {
            return Err(format!(
                "L8: {} skips from {} to {pos}",
                shard.id, shard.done
            ));
        }
        Ok(())
    }

    pub(crate) fn delivered(
        &mut self,
        stream: &mut Stream,
        index: usize,
        pos: u64,
    ) -> Result<(), String> {
        let shard = &mut stream.shards[index];
        shard.done = shard.done.max(pos);
        Ok(())
    }

    pub(crate) fn after_every_event(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        for shard in moment.stream.shards.iter().map(|shard| &shard.id) {
            let readers: Vec<_> = moment
                .processes
                .values()
                .filter(|process| {
                    let local = process.local(moment.now);
                    process.keeper.reads_at(shard, local).is_some()
                })
                .map(|process| process.keeper.me())
                .collect();
            let exempt = self
                .hand_deleted
                .get(shard)
                .is_some_and(|until| *until > moment.now);
            if !exempt {
                invariant::one_reader(shard, &readers).map_err(|broken| broken.to_string())?;
            }
            if moment.now >= STORM_MS {
                self.in_calm(moment, shard, readers.is_empty())?;
            }
        }
        Ok(())
    }

    /// L2.
    fn in_calm(
        &mut self,
        moment: &Moment<'_>,
        shard: &ShardId,
        unread: bool,
    ) -> Result<(), String> {
        if !unread {
            self.waiting.remove(shard);
            return Ok(());
        }
        let index = moment.stream.index(shard);
        let parents = &moment.stream.shards[index].parents;
        let row = row_of(moment.store, shard);
        // A parent's row that a person deleted comes back first.
        let begun = row.as_ref().is_some_and(|row| !row.unstarted());
        let ready = row.as_ref().is_some_and(|row| !row.ended())
            && parents.iter().all(|parent| {
                let parent = row_of(moment.store, &moment.stream.shards[*parent].id);
                parent.map_or(begun, |parent| parent.ended())
            });
        if !ready {
            self.waiting.remove(shard);
            return Ok(());
        }
        let since = *self.waiting.entry(shard.clone()).or_insert(moment.now);
        invariant::read_in_time(shard, moment.now - since, OWNED_WITHIN_MS)
            .map_err(|broken| format!("{broken}; {row:?}"))
    }

    /// Everything delivered, every shard finished or read, spread evenly, and still.
    pub(crate) fn at_the_end(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let mut loads: BTreeMap<WorkerId, usize> = moment
            .processes
            .values()
            .map(|process| (process.keeper.me().clone(), 0))
            .collect();
        for (index, shard) in moment.stream.shards.iter().enumerate() {
            if shard.done != shard.len {
                let row = row_of(moment.store, &shard.id);
                return Err(format!(
                    "L8: {} of {} records of {} delivered; {row:?}",
                    shard.done, shard.len, shard.id
                ));
            }
            match row_of(moment.store, &shard.id) {
                Some(row) if row.ended() && moment.stream.finished(index) => {}
                Some(row) if shard.open => {
                    let owner = row
                        .owner
                        .clone()
                        .ok_or(format!("{} is nobody's", shard.id))?;
                    *loads.entry(owner).or_default() += 1;
                }
                None if moment.stream.finished(index) => {}
                row => return Err(format!("{} at the end: {row:?}", shard.id)),
            }
        }
        invariant::balanced(&loads).map_err(|broken| broken.to_string())?;
        let quiet_from = STORM_MS + CALM_MS - QUIET_MS;
        if self.last_move > quiet_from {
            return Err(format!(
                "L7: a lease was asked for at {} ms",
                self.last_move
            ));
        }
        Ok(())
    }
}
