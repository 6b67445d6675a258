//! What must hold: the numbered invariants after every event, liveness once all is well.

use std::collections::{BTreeMap, BTreeSet};

use tidewire::lease::invariant;
use tidewire::lease::item::name;
use tidewire::lease::keeper::Note;
use tidewire::lease::row::{self, Entry};
use tidewire::lease::{Item, Row, Value, lineage};
use tidewire::model::{Checkpoint, ShardId, WorkerId};

use super::epochs::Epochs;
use super::faults::STORM_MS;
use super::java::Deed;
use super::late::Late;
use super::sometimes::Sometimes;
use super::stream::{Growing, World as Stream};
use super::table::Store;
use super::world::{CALM_MS, Process};

/// L2's bound: a lease, two scans, and a call that was given up after two seconds when the storm
/// ended, with clocks that are some per cent wrong.
const OWNED_WITHIN_MS: u64 = 10_000 + 2 * 800 + 2_000 + 1_000;
/// A row deleted by hand frees a lease whose holder cannot know for so long.
const HAND_DELETED_MS: u64 = 25_000;
/// No lease moves in the last part of a calm run.
const QUIET_MS: u64 = 10_000;
/// The longest right there is: whoever lost a lease without being told stops by then.
const RIGHT_MS: u64 = 10_000;
/// Where every call is answered a Java worker's victim hears of it with its next heartbeat.
const HEARTBEAT_MS: u64 = 3_300 + 300;
/// How often the calm is looked at.
const LOOK_EVERY_MS: u64 = 400;

pub(crate) struct Moment<'a> {
    pub(crate) now: u64,
    pub(crate) processes: &'a BTreeMap<usize, Process>,
    pub(crate) store: &'a Store,
    pub(crate) stream: &'a Stream,
}

#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) sometimes: Sometimes,
    pub(crate) late: Late,
    pub(crate) epochs: Epochs,
    /// Shards that may have two readers, and until when.
    exempt: BTreeMap<ShardId, u64>,
    /// When a Java worker took a shard.
    java_took: BTreeMap<ShardId, u64>,
    /// Until when clocks are so wrong that nothing is promised about two readers.
    pub(crate) lawless_until: u64,
    /// Rows that somebody deleted.
    deleted: BTreeSet<ShardId>,
    /// When calls last failed, or a process stood still.
    pub(crate) rough_until: u64,
    /// Since when a shard that may be read has no reader, in calm weather.
    waiting: BTreeMap<ShardId, u64>,
    look_at: u64,
    last_move: u64,
}

pub(crate) fn row_of(store: &Store, shard: &ShardId) -> Option<Row> {
    match row::read(store.read(shard)?) {
        Ok(Entry::Lease(row)) => Some(row),
        _ => None,
    }
}

fn done(stream: &Stream, index: usize) -> Checkpoint {
    if stream.finished(index) {
        Checkpoint::ShardEnd
    } else {
        Stream::checkpoint(index, stream.shards[index].done).unwrap_or(Checkpoint::TrimHorizon)
    }
}

impl Checks {
    pub(crate) fn note(&mut self, now: u64, id: usize, note: &Note) {
        self.epochs.noted(id, note);
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
            Note::Asked { shard, .. } => {
                self.last_move = now;
                self.late.asked(now, id, shard);
            }
            Note::Reverted(shard) => match self.late.reverted(id, shard) {
                true => seen.given_back += 1,
                false => seen.reverted += 1,
            },
            Note::Deleted(_) => seen.deleted += 1,
            Note::Created(_) | Note::Conflict(_) | Note::Hole { .. } => {}
            Note::Broken(broken) => panic!("the keeper says of its own write: {broken}"),
            Note::Unreadable(row) => panic!("we wrote a row that we cannot read: {row}"),
        }
    }

    /// The last worker left in the calm: a new one has all the time there is.
    pub(crate) fn wait_anew(&mut self) {
        self.waiting.clear();
    }

    /// Its holder, or another process of its holder's name, may stand still until `awake`.
    pub(crate) fn deleted_by_hand(&mut self, awake: u64, shard: &ShardId) {
        self.exempt.insert(shard.clone(), awake + HAND_DELETED_MS);
        self.deleted.insert(shard.clone());
        self.gone(shard);
    }

    /// A process stands still until then, and may not have noticed yet what was deleted.
    pub(crate) fn stands_still(&mut self, now: u64, until: u64) {
        for shard in &self.deleted {
            let exempt = self.exempt.entry(shard.clone()).or_default();
            if *exempt > now {
                *exempt = (*exempt).max(until + HAND_DELETED_MS);
            }
        }
    }

    pub(crate) fn gone(&mut self, shard: &ShardId) {
        self.late.gone(shard);
        self.epochs.gone(shard);
    }

    /// A row was created. One that was deleted because all of its shard was done never is, unless
    /// somebody deleted what showed that.
    pub(crate) fn born(&self, shard: &Growing) -> Result<(), String> {
        if shard.cleaned && self.deleted.is_empty() {
            return Err(format!("{} is made anew although it was done", shard.id));
        }
        Ok(())
    }

    /// A row was deleted by KCL's rule. A worker of KCL keeps the rows of what it ended, and of one
    /// that is gone they would stay for ever.
    pub(crate) fn cleaned(&mut self, row: Option<&Item>) {
        let owner = row.and_then(|row| row.get(name::OWNER));
        let java = matches!(owner, Some(Value::S(owner)) if owner.starts_with("java"));
        self.sometimes.cleaned_of_java += u64::from(java);
    }

    /// What a worker of KCL did. Its own checkpoints keep to the books, too, or the world is wrong.
    pub(crate) fn done_by_java(
        &mut self,
        moment: &Moment<'_>,
        java: &WorkerId,
        deed: &Deed,
    ) -> Result<(), String> {
        match deed {
            Deed::Took(shard) => {
                self.sometimes.java_took += 1;
                self.java_took.insert(shard.clone(), moment.now);
                let until = self.exempt.entry(shard.clone()).or_default();
                *until = (*until).max(moment.now + RIGHT_MS);
            }
            Deed::Assigned(_) => self.sometimes.assigned += 1,
            Deed::Checkpointed(shard, checkpoint) => {
                self.sometimes.java_ended += u64::from(*checkpoint == Checkpoint::ShardEnd);
                let done = done(moment.stream, moment.stream.index(shard));
                invariant::within_done(shard, checkpoint, &done)
                    .map_err(|broken| broken.to_string())?;
            }
            Deed::Renewed(shard) => {
                let mut readers = readers(moment, shard);
                readers.push(java);
                if !self.excused(moment.now, shard) {
                    invariant::one_reader(shard, &readers).map_err(|broken| broken.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Whether two readers of a shard break nothing: clocks are beyond all measure, a row was
    /// deleted by hand, or Java took the lease and its holder cannot know yet.
    fn excused(&self, now: u64, shard: &ShardId) -> bool {
        if now < self.lawless_until {
            return true;
        }
        let Some(until) = self.exempt.get(shard).filter(|until| now < **until) else {
            return false;
        };
        match self.java_took.get(shard) {
            // In fair weather, the exemption is one heartbeat.
            Some(took) if took + RIGHT_MS == *until && self.rough_until < *took => {
                now < took + HEARTBEAT_MS
            }
            _ => true,
        }
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
        let mut ended_before = false;
        if let Some(before) = before {
            let before = parse(before)?;
            ended_before = before.ended();
            invariant::write(&before, &after, writer).map_err(|broken| broken.to_string())?;
        }
        if after.unstarted() {
            return Ok(());
        }
        if after.ended() && !ended_before {
            born_before_the_end(stream, &after.shard)?;
        }
        let done = done(stream, stream.index(&after.shard));
        invariant::within_done(&after.shard, &after.checkpoint, &done)
            .map_err(|broken| broken.to_string())
    }

    /// L6, and that nothing is skipped (L8) but what came before the beginning.
    pub(crate) fn granted(
        &mut self,
        stream: &mut Stream,
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
        if pos > shard.done.max(shard.before(shard.may_skip_before)) {
            return Err(format!(
                "L8: {} skips from {} to {pos}",
                shard.id, shard.done
            ));
        }
        let shard = &mut stream.shards[index];
        self.sometimes.pinned += u64::from(pos > shard.done);
        shard.done = shard.done.max(pos);
        Ok(())
    }

    /// After an event of `actor`: L1 of what it reads, and in the calm L2.
    pub(crate) fn after_every_event(
        &mut self,
        moment: &Moment<'_>,
        actor: Option<usize>,
    ) -> Result<(), String> {
        let actor = actor.and_then(|id| moment.processes.get(&id));
        for shard in actor.iter().flat_map(|process| process.reading()) {
            let readers = readers(moment, shard);
            if readers.len() > 1 && !self.excused(moment.now, shard) {
                invariant::one_reader(shard, &readers).map_err(|broken| broken.to_string())?;
            }
        }
        if moment.now < self.look_at {
            return Ok(());
        }
        self.look_at = moment.now + LOOK_EVERY_MS;
        self.late
            .look(moment, self.rough_until.max(self.lawless_until))?;
        if moment.now >= STORM_MS {
            for shard in moment.stream.shards.iter().map(|shard| &shard.id) {
                self.in_calm(moment, shard)?;
            }
        }
        Ok(())
    }

    /// L2.
    fn in_calm(&mut self, moment: &Moment<'_>, shard: &ShardId) -> Result<(), String> {
        let row = row_of(moment.store, shard);
        let index = moment.stream.index(shard);
        let parents = &moment.stream.shards[index].parents;
        // A parent's row that a person deleted comes back first.
        let begun = row.as_ref().is_some_and(|row| !row.unstarted());
        let ready = row.as_ref().is_some_and(|row| !row.ended())
            && parents.iter().all(|parent| {
                let parent = row_of(moment.store, &moment.stream.shards[*parent].id);
                parent.map_or(begun, |parent| parent.ended())
            });
        if !ready || !readers(moment, shard).is_empty() {
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
            let row = row_of(moment.store, &shard.id);
            if shard.done != shard.len() && !moment.stream.nobodys(index) {
                return Err(format!(
                    "L8: {} of {} records of {} delivered; {row:?}",
                    shard.done,
                    shard.len(),
                    shard.id
                ));
            }
            match row {
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
        let ids = moment.stream.shards.iter().map(|shard| &shard.id);
        let rows: BTreeMap<_, _> = ids
            .filter_map(|id| Some((id.clone(), row_of(moment.store, id)?)))
            .collect();
        if let Some(left) = rows.values().find(|row| lineage::may_go(row, &rows)) {
            return Err(format!("a row that nobody needs stays: {left:?}"));
        }
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

/// Whoever reads the children looks for their rows: a parent that has ended creates none any more.
fn born_before_the_end(stream: &Stream, parent: &ShardId) -> Result<(), String> {
    let children = stream.children(stream.index(parent));
    let unborn = children
        .iter()
        .find(|child| !stream.shards[stream.index(&child.id)].born);
    match unborn {
        None => Ok(()),
        Some(child) => Err(format!("{parent} ends before {} has a lease", child.id)),
    }
}

/// Who reads a shard: whose reading side has not been told to stop, or has not stopped yet. One that
/// stands still reads as long as its lease would let it if it woke now.
fn readers<'a>(moment: &Moment<'a>, shard: &ShardId) -> Vec<&'a WorkerId> {
    moment
        .processes
        .values()
        .filter(|process| process.reads(shard, moment.now))
        .map(|process| process.keeper.me())
        .collect()
}
