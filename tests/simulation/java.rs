//! Others that write to the table: a worker of KCL 2.x, and a leader of KCL 3.x. They keep to what
//! KCL's sources do (`DynamoDBLeaseTaker`, `DynamoDBLeaseRenewer`, `LeaseAssignmentManager`), sign
//! nothing, and know nothing of ours. Their calls arrive at once and are always answered: what goes
//! wrong here is they themselves.

use std::collections::{BTreeMap, BTreeSet};

use tidewire::lease::change::{Clause, Edit, Then};
use tidewire::lease::item::name;
use tidewire::lease::{Answer, Change, Row, Value};
use tidewire::model::{Checkpoint, LeaseCounter, ShardId, WorkerId};

use super::check::row_of;
use super::faults::Dice;
use super::stream::World as Stream;
use super::table::Store;

/// KCL's `failoverTimeMillis`.
const FAILOVER_MS: u64 = 10_000;
/// KCL renews each third of that.
const RENEW_MS: u64 = 3_308;

/// What a worker of Java did to a lease, for the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Took it, whoever read it.
    Took(ShardId),
    /// Renewed it: nobody else may read it any more.
    Renewed(ShardId),
    /// Wrote this checkpoint.
    Checkpointed(ShardId, Checkpoint),
    /// Assigned it to a worker, or began a handover to one.
    Assigned(ShardId),
}

#[derive(Clone, Debug)]
struct Watch {
    counter: LeaseCounter,
    /// `None`: never seen owned, which KCL takes for expired long ago.
    since: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Java {
    pub(crate) me: WorkerId,
    pub(crate) until: u64,
    leader: bool,
    seen: BTreeMap<ShardId, Watch>,
    held: BTreeMap<ShardId, (LeaseCounter, u64)>,
    take_at: u64,
    take_every: u64,
    renew_at: u64,
}

impl Java {
    pub(crate) fn new(me: WorkerId, leader: bool, now: u64, until: u64, dice: &mut Dice) -> Self {
        Self {
            me,
            until,
            leader,
            seen: BTreeMap::new(),
            held: BTreeMap::new(),
            take_at: now,
            // 20 s in life; here more often, to be in the way more often.
            take_every: dice.between(2_000, 9_000),
            renew_at: now + RENEW_MS,
        }
    }

    /// When it acts next.
    pub(crate) fn wake(&self) -> u64 {
        match self.leader {
            true => self.take_at,
            false => self.take_at.min(self.renew_at),
        }
    }

    pub(crate) fn act(
        &mut self,
        now: u64,
        store: &mut Store,
        stream: &mut Stream,
        alive: &[WorkerId],
        dice: &mut Dice,
    ) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if now >= self.renew_at && !self.leader {
            self.renew_at = now + RENEW_MS;
            for shard in self.held.keys().cloned().collect::<Vec<_>>() {
                self.renew(now, &shard, store, stream, dice, &mut deeds);
            }
        }
        if now >= self.take_at {
            self.take_at = now + self.take_every;
            let rows = self.look(now, store, stream);
            if self.leader {
                self.assign(now, &rows, store, alive, dice, &mut deeds);
            } else {
                self.take(now, &rows, store, stream, dice, &mut deeds);
            }
        }
        deeds
    }

    /// Scans, and remembers when each counter was first seen.
    fn look(&mut self, now: u64, store: &Store, stream: &Stream) -> Vec<Row> {
        let ids = stream.shards.iter().map(|shard| &shard.id);
        let rows: Vec<_> = ids.filter_map(|id| row_of(store, id)).collect();
        for row in &rows {
            let known = self.seen.get(&row.shard);
            let since = match known {
                Some(watch) if watch.counter == row.counter => watch.since,
                None if row.owner.is_none() => None,
                _ => Some(now),
            };
            let counter = row.counter;
            self.seen
                .insert(row.shard.clone(), Watch { counter, since });
        }
        rows
    }

    fn available(&self, now: u64, row: &Row) -> bool {
        let since = self.seen.get(&row.shard).and_then(|watch| watch.since);
        row.owner.is_none() || since.is_none_or(|since| now > since + FAILOVER_MS)
    }

    /// KCL 2.x: what is available up to the target; if nothing is, one from the most loaded.
    fn take(
        &mut self,
        now: u64,
        rows: &[Row],
        store: &mut Store,
        stream: &mut Stream,
        dice: &mut Dice,
        deeds: &mut Vec<Deed>,
    ) {
        let mut loads = BTreeMap::from([(self.me.clone(), 0_usize)]);
        let (mut free, mut owned) = (Vec::new(), Vec::new());
        for row in rows {
            match &row.owner {
                Some(owner) if !self.available(now, row) => {
                    *loads.entry(owner.clone()).or_default() += 1;
                    owned.push(row);
                }
                _ => free.push(row),
            }
        }
        let target = rows.len().div_ceil(loads.len());
        let mine = loads[&self.me];
        let mut want = target.saturating_sub(mine);
        // The priority pass takes leases never seen owned whatever the target.
        if free.iter().any(|row| self.seen[&row.shard].since.is_none()) {
            want = free.len();
        }
        let mut chosen: Vec<&Row> = Vec::new();
        for _ in 0..want.min(free.len()) {
            chosen.push(free.swap_remove(dice.below(free.len())));
        }
        if chosen.is_empty() && want > 0 {
            let most = loads.iter().max_by_key(|(_, load)| **load).unwrap();
            let spare = *most.1 > target || (*most.1 == target && want > 1);
            owned.retain(|row| spare && row.owner.as_ref() == Some(most.0) && *most.0 != self.me);
            if !owned.is_empty() {
                chosen.push(owned[dice.below(owned.len())]);
            }
        }
        for row in chosen {
            let mut edits = bumped(row.counter);
            edits.push(set_owner(&self.me));
            if row.owner.as_ref() != Some(&self.me) {
                edits.push(Edit::Add(name::SWITCHES, 1));
            }
            if let Some(after) = write(now, store, row, vec![counter_is(row.counter)], edits) {
                let index = stream.index(&row.shard);
                let pos = after
                    .start()
                    .map_or(0, |start| stream.skipped(index, &start));
                self.held.insert(row.shard.clone(), (after.counter, pos));
                deeds.push(Deed::Took(row.shard.clone()));
            }
        }
    }

    /// Heartbeat, and what was processed since with it. 2.x looks at the counter alone.
    fn renew(
        &mut self,
        now: u64,
        shard: &ShardId,
        store: &mut Store,
        stream: &mut Stream,
        dice: &mut Dice,
        deeds: &mut Vec<Deed>,
    ) {
        let (counter, pos) = self.held[shard];
        let index = stream.index(shard);
        let Some(row) = row_of(store, shard).filter(|row| row.counter == counter) else {
            self.held.remove(shard);
            return;
        };
        let ready = stream.shards[index]
            .parents
            .iter()
            .all(|parent| stream.finished(*parent));
        let mut edits = bumped(counter);
        let mut reached = pos;
        if ready && !row.ended() {
            reached = (pos + dice.between(0, 6)).min(stream.shards[index].len());
            stream.shards[index].done = stream.shards[index].done.max(reached);
        }
        let end = ready && !stream.shards[index].open && reached == stream.shards[index].len();
        let checkpoint = if end && !row.ended() {
            bear(now, shard, store, stream);
            Some(Checkpoint::ShardEnd)
        } else {
            Stream::checkpoint(index, reached).filter(|_| reached > pos)
        };
        if let Some(checkpoint) = &checkpoint {
            let text = Value::text(checkpoint.as_kcl());
            edits.push(Edit::Set(name::CHECKPOINT, text));
            edits.push(Edit::Set(name::SWITCHES, Value::number(0)));
            deeds.push(Deed::Checkpointed(shard.clone(), checkpoint.clone()));
        }
        write(now, store, &row, vec![counter_is(counter)], edits);
        self.held.insert(shard.clone(), (counter.next(), reached));
        deeds.push(Deed::Renewed(shard.clone()));
    }

    /// KCL 3.x: the free are assigned; of the others one is handed to another worker, who may be
    /// one that does not exist any more.
    fn assign(
        &mut self,
        now: u64,
        rows: &[Row],
        store: &mut Store,
        alive: &[WorkerId],
        dice: &mut Dice,
        deeds: &mut Vec<Deed>,
    ) {
        let mut workers: Vec<_> = alive.to_vec();
        workers.push(self.me.clone());
        for row in rows.iter().filter(|row| !row.ended()) {
            let to = &workers[dice.below(workers.len())];
            let same = |attribute, id: &Option<WorkerId>| match id {
                Some(id) => Clause::Is(attribute, Value::text(id.as_str())),
                None => Clause::Lacks(attribute),
            };
            let owner = same(name::OWNER, &row.owner);
            let (only_if, edits) = if self.available(now, row) {
                let known = same(name::CHECKPOINT_OWNER, &row.checkpoint_owner);
                let edits = vec![
                    set_owner(to),
                    Edit::Remove(name::CHECKPOINT_OWNER),
                    Edit::Add(name::COUNTER, 1),
                    Edit::Add(name::SWITCHES, 1),
                ];
                (vec![owner, known], edits)
            } else if dice.chance(300) && row.owner.as_ref() != Some(to) {
                let from = row.owner.as_ref().map_or("", WorkerId::as_str);
                let edits = vec![
                    set_owner(to),
                    Edit::Set(name::CHECKPOINT_OWNER, Value::text(from)),
                ];
                (vec![owner, Clause::Lacks(name::CHECKPOINT_OWNER)], edits)
            } else {
                continue;
            };
            if write(now, store, row, only_if, edits).is_some() {
                deeds.push(Deed::Assigned(row.shard.clone()));
            }
        }
    }
}

fn bumped(counter: LeaseCounter) -> Vec<Edit> {
    vec![Edit::Set(name::COUNTER, Value::number(counter.next().0))]
}

fn set_owner(to: &WorkerId) -> Edit {
    Edit::Set(name::OWNER, Value::text(to.as_str()))
}

fn counter_is(counter: LeaseCounter) -> Clause {
    Clause::Is(name::COUNTER, Value::number(counter.0))
}

fn write(
    now: u64,
    store: &mut Store,
    row: &Row,
    only_if: Vec<Clause>,
    edits: Vec<Edit>,
) -> Option<Row> {
    let change = Change {
        shard: row.shard.clone(),
        only_if,
        then: Then::Update(edits),
    };
    match store.change(now, &change) {
        Answer::Applied(_) => row_of(store, &row.shard),
        Answer::Refused(_) => None,
    }
}

/// The children's leases, then their names in the parent's row.
fn bear(now: u64, shard: &ShardId, store: &mut Store, stream: &mut Stream) {
    let index = stream.index(shard);
    let mut names = BTreeSet::new();
    for child in stream.children(index) {
        let parents = child.parents.iter().map(|id| id.bare().to_owned());
        let mut edits = vec![
            Edit::Set(name::COUNTER, Value::number(0)),
            Edit::Set(name::SWITCHES, Value::number(0)),
            Edit::Set(name::CHECKPOINT, Value::text("TRIM_HORIZON")),
            Edit::Set(name::CHECKPOINT_SUB, Value::number(0)),
            Edit::Set(name::PARENTS, Value::Ss(parents.collect())),
            Edit::Set(name::HASH_FIRST, Value::text(&child.starting_hash_key)),
            Edit::Set(name::HASH_LAST, Value::text(&child.ending_hash_key)),
        ];
        if let Some(stream) = child.id.stream() {
            edits.push(Edit::Set(name::STREAM, Value::text(stream.as_str())));
            edits.push(Edit::Set(name::SHARD, Value::text(child.id.bare())));
        }
        let create = Change {
            shard: child.id.clone(),
            only_if: vec![Clause::Lacks(name::KEY)],
            then: Then::Update(edits),
        };
        store.change(now, &create);
        let child_index = stream.index(&child.id);
        stream.shards[child_index].leased = true;
        stream.shards[child_index].born = true;
        names.insert(child.id.bare().to_owned());
    }
    if names.is_empty() {
        return;
    }
    let name_them = Change {
        shard: shard.clone(),
        only_if: vec![Clause::Is(name::KEY, Value::text(shard.as_str()))],
        then: Then::Update(vec![Edit::Set(name::CHILDREN, Value::Ss(names))]),
    };
    store.change(now, &name_them);
}
