//! Every write to the lease table as data: a condition and what then changes.
//!
//! One place says what we write. The adapter turns it into DynamoDB's expressions, the in-memory
//! table of the tests calls [`Change::apply`]; the contract suite holds that both agree.

use std::collections::BTreeSet;

use super::item::{Item, Value, name};
use super::row::Row;
use crate::model::{Checkpoint, EpochMillis, LeaseCounter, ShardId, WorkerId};

/// One conditional write to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row.
    pub shard: ShardId,
    /// All of these must hold.
    pub only_if: Vec<Clause>,
    /// What then happens.
    pub then: Then,
}

/// A condition on the row as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clause {
    /// The attribute has this value.
    Is(&'static str, Value),
    /// The attribute is absent (`leaseKey`: the row is).
    Lacks(&'static str),
}

/// What a change does once its condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Edits attributes, all at once; creates the row where there is none.
    Update(Vec<Edit>),
    /// Deletes the row.
    Delete,
}

/// An edit of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Sets it.
    Set(&'static str, Value),
    /// Removes it, present or not.
    Remove(&'static str),
    /// Adds to a number, from 0 where absent.
    Add(&'static str, u64),
}

/// What the table answered to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the row as it is now (`None` after a deletion).
    Applied(Option<Item>),
    /// The condition did not hold; the row as it was (`None`: there is none).
    Refused(Option<Item>),
}

/// A lease to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLease {
    /// The shard.
    pub shard: ShardId,
    /// Its parents.
    pub parents: BTreeSet<ShardId>,
    /// Its first and last hash key.
    pub hash_range: Option<(String, String)>,
    /// Where it begins: a sentinel.
    pub checkpoint: Checkpoint,
    /// The time that pins `LATEST` and `AT_TIMESTAMP`.
    pub start_ms: Option<EpochMillis>,
}

/// Who writes: makes the changes of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The worker, as `leaseOwner` names it.
    pub me: WorkerId,
    /// The process's UUID, stored with every write as `tw_writer`.
    pub writer: String,
}

impl Author {
    /// Creates the row if there is none (`createLeaseIfNotExists`).
    #[must_use]
    pub fn create(&self, new: &NewLease) -> Change {
        let mut edits = vec![
            Edit::Set(name::COUNTER, Value::number(0)),
            Edit::Set(name::SWITCHES, Value::number(0)),
            Edit::Set(name::CHECKPOINT, Value::text(new.checkpoint.as_kcl())),
            Edit::Set(name::CHECKPOINT_SUB, Value::number(0)),
            self.signed(),
        ];
        edits.extend(ids(name::PARENTS, &new.parents));
        if let Some((first, last)) = &new.hash_range {
            edits.push(Edit::Set(name::HASH_FIRST, Value::text(first)));
            edits.push(Edit::Set(name::HASH_LAST, Value::text(last)));
        }
        edits.extend(pin(new.start_ms));
        edits.extend(stream(&new.shard));
        update(&new.shard, vec![Clause::Lacks(name::KEY)], edits)
    }

    /// Takes a lease that is free, expired, or handed over to us. `pinned` is stored where the
    /// row begins at a sentinel that nobody pinned to a time.
    #[must_use]
    pub fn take(&self, seen: &Row, pinned: Option<EpochMillis>) -> Change {
        let mut edits = self.bumped(seen);
        edits.extend(self.owned());
        if seen.owner.as_ref() != Some(&self.me) {
            edits.push(Edit::Add(name::SWITCHES, 1));
        }
        edits.extend(pin(pinned));
        update(&seen.shard, as_seen(seen), edits)
    }

    /// Heartbeat and checkpoint in one write. While a handover is asked for, it stays asked for.
    #[must_use]
    pub fn renew(&self, held: &Row, reached: Option<&Checkpoint>) -> Change {
        let mut edits = self.bumped(held);
        if held.asked_of(&self.me).is_none() {
            edits.extend(self.owned());
        }
        edits.extend(checkpoint(reached));
        update(&held.shard, self.still_mine(held, reached), edits)
    }

    /// Gives the lease up: nobody owns it (KCL's `evictLease`, with the last checkpoint in it).
    #[must_use]
    pub fn release(&self, held: &Row, reached: Option<&Checkpoint>) -> Change {
        let mut edits = self.bumped(held);
        edits.extend(unowned());
        edits.extend(checkpoint(reached));
        update(&held.shard, self.still_mine(held, reached), edits)
    }

    /// Asks the owner for its lease. The counter stays (KCL 3: `initiateGracefulLeaseHandoff`), and
    /// so does the owner's signature, by which it tells what became of its own last write.
    #[must_use]
    pub fn begin(&self, seen: &Row) -> Change {
        let me = Value::text(self.me.as_str());
        let mut edits = vec![
            Edit::Set(name::OWNER, me.clone()),
            Edit::Set(name::TW_OWNER, me.clone()),
            Edit::Set(name::RECEIVER, me),
        ];
        if let Some(owner) = &seen.owner {
            let from = Value::text(owner.as_str());
            edits.push(Edit::Set(name::CHECKPOINT_OWNER, from));
        }
        update(&seen.shard, as_seen(seen), edits)
    }

    /// Hands the lease over to the one who asked, with the last checkpoint. `tw_receiver` stays
    /// until that one takes it: it says that the lease is free for it at once.
    #[must_use]
    pub fn finish(&self, held: &Row, reached: Option<&Checkpoint>) -> Change {
        let mut edits = self.bumped(held);
        edits.push(Edit::Remove(name::CHECKPOINT_OWNER));
        edits.extend(checkpoint(reached));
        if reached.is_none() {
            edits.push(Edit::Add(name::SWITCHES, 1));
        }
        update(&held.shard, self.still_mine(held, reached), edits)
    }

    /// Keeps a lease that was asked for: we could not drain it in time.
    #[must_use]
    pub fn revert(&self, held: &Row, reached: Option<&Checkpoint>) -> Change {
        let mut edits = self.bumped(held);
        edits.extend(self.owned());
        edits.extend(checkpoint(reached));
        update(&held.shard, self.still_mine(held, reached), edits)
    }

    /// Takes back our asking: the owner did not react, or we are leaving. The counter stays, since
    /// it is the owner's heartbeat, and with it the owner's signature.
    #[must_use]
    pub fn give_back(&self, seen: &Row) -> Change {
        let mut edits = vec![
            Edit::Remove(name::CHECKPOINT_OWNER),
            Edit::Remove(name::RECEIVER),
        ];
        if let Some(from) = &seen.checkpoint_owner {
            edits.push(Edit::Set(name::OWNER, Value::text(from.as_str())));
            edits.push(Edit::Set(name::TW_OWNER, Value::text(from.as_str())));
        }
        update(&seen.shard, as_seen(seen), edits)
    }

    /// The shard is done: `SHARD_END`, its children named, and nobody's any more; or, as KCL has
    /// it, still ours if `kept`.
    #[must_use]
    pub fn end(&self, held: &Row, children: &BTreeSet<ShardId>, kept: bool) -> Change {
        let mut edits = self.bumped(held);
        edits.extend(if kept { self.owned() } else { unowned() });
        edits.extend(checkpoint(Some(&Checkpoint::ShardEnd)));
        edits.extend(ids(name::CHILDREN, children));
        update(
            &held.shard,
            self.still_mine(held, Some(&Checkpoint::ShardEnd)),
            edits,
        )
    }

    /// Deletes the row of an ended shard, if nobody touched it since.
    #[must_use]
    pub fn delete(&self, seen: &Row) -> Change {
        Change {
            shard: seen.shard.clone(),
            only_if: vec![
                Clause::Is(name::COUNTER, Value::number(seen.counter.0)),
                Clause::Is(name::CHECKPOINT, Value::text(Checkpoint::ShardEnd.as_kcl())),
            ],
            then: Then::Delete,
        }
    }

    fn signed(&self) -> Edit {
        Edit::Set(name::WRITER, Value::text(&self.writer))
    }

    pub(super) fn bumped(&self, row: &Row) -> Vec<Edit> {
        let next = Value::number(row.counter.next().0);
        vec![Edit::Set(name::COUNTER, next), self.signed()]
    }

    fn owned(&self) -> Vec<Edit> {
        let me = Value::text(self.me.as_str());
        vec![
            Edit::Set(name::OWNER, me.clone()),
            Edit::Set(name::TW_OWNER, me),
            Edit::Remove(name::CHECKPOINT_OWNER),
            Edit::Remove(name::RECEIVER),
        ]
    }

    /// The counter we wrote or read last, and us as the one who may write. A checkpoint is written
    /// only over the one it leads on from: should the row be deleted and made anew, its counter
    /// counts through the same numbers again, and a write of long ago must not come to rest then.
    fn still_mine(&self, held: &Row, reached: Option<&Checkpoint>) -> Vec<Clause> {
        let owner = match held.asked_of(&self.me) {
            Some(_) => name::CHECKPOINT_OWNER,
            None => name::OWNER,
        };
        let mut clauses = vec![
            counter_is(held.counter),
            Clause::Is(owner, Value::text(self.me.as_str())),
        ];
        if reached.is_some() {
            let known = Value::text(held.checkpoint.as_kcl());
            clauses.push(Clause::Is(name::CHECKPOINT, known));
        }
        clauses
    }
}

pub(super) fn update(shard: &ShardId, only_if: Vec<Clause>, edits: Vec<Edit>) -> Change {
    Change {
        shard: shard.clone(),
        only_if,
        then: Then::Update(edits),
    }
}

pub(super) fn counter_is(counter: LeaseCounter) -> Clause {
    Clause::Is(name::COUNTER, Value::number(counter.0))
}

pub(super) fn as_seen(row: &Row) -> Vec<Clause> {
    let same = |attribute, owner: &Option<WorkerId>| match owner {
        Some(owner) => Clause::Is(attribute, Value::text(owner.as_str())),
        None => Clause::Lacks(attribute),
    };
    vec![
        counter_is(row.counter),
        same(name::OWNER, &row.owner),
        same(name::CHECKPOINT_OWNER, &row.checkpoint_owner),
    ]
}

pub(super) fn unowned() -> Vec<Edit> {
    let attributes = [
        name::OWNER,
        name::TW_OWNER,
        name::CHECKPOINT_OWNER,
        name::RECEIVER,
    ];
    attributes.map(Edit::Remove).to_vec()
}

pub(super) fn checkpoint(reached: Option<&Checkpoint>) -> Vec<Edit> {
    let Some(reached) = reached else {
        return Vec::new();
    };
    let mut edits = vec![
        Edit::Set(name::CHECKPOINT, Value::text(reached.as_kcl())),
        Edit::Set(name::CHECKPOINT_SUB, Value::number(reached.sub())),
        Edit::Set(name::SWITCHES, Value::number(0)),
    ];
    edits.extend(name::PENDING.map(Edit::Remove));
    edits
}

/// Among several streams, too, KCL writes parents and children by their bare ids.
pub(super) fn ids(attribute: &'static str, shards: &BTreeSet<ShardId>) -> Option<Edit> {
    let ids: BTreeSet<_> = shards.iter().map(|id| id.bare().to_owned()).collect();
    (!ids.is_empty()).then_some(Edit::Set(attribute, Value::Ss(ids)))
}

/// What rows have besides in fleets over several streams (`DynamoDBMultiStreamLeaseSerializer`).
fn stream(shard: &ShardId) -> Vec<Edit> {
    let Some(stream) = shard.stream() else {
        return Vec::new();
    };
    vec![
        Edit::Set(name::STREAM, Value::text(stream.as_str())),
        Edit::Set(name::SHARD, Value::text(shard.bare())),
    ]
}

pub(super) fn pin(start: Option<EpochMillis>) -> Option<Edit> {
    let ms = u64::try_from(start?.0).ok()?;
    Some(Edit::Set(name::START_MS, Value::number(ms)))
}

impl Change {
    /// What this change means: the reference that every table is held to.
    #[must_use]
    pub fn apply(&self, row: Option<&Item>) -> Answer {
        let holds = |clause: &Clause| match clause {
            Clause::Is(attribute, value) => row.and_then(|row| row.get(*attribute)) == Some(value),
            Clause::Lacks(attribute) => row.is_none_or(|row| !row.contains_key(*attribute)),
        };
        if !self.only_if.iter().all(holds) {
            return Answer::Refused(row.cloned());
        }
        let Then::Update(edits) = &self.then else {
            return Answer::Applied(None);
        };
        let mut item = row.cloned().unwrap_or_default();
        item.insert(name::KEY.to_owned(), Value::text(self.shard.as_str()));
        for edit in edits {
            match edit {
                Edit::Set(attribute, value) => {
                    item.insert((*attribute).to_owned(), value.clone());
                }
                Edit::Remove(attribute) => {
                    item.remove(*attribute);
                }
                Edit::Add(attribute, by) => {
                    let old = match item.get(*attribute) {
                        Some(Value::N(digits)) => digits.parse().unwrap_or(0),
                        _ => 0,
                    };
                    item.insert((*attribute).to_owned(), Value::number(old + by));
                }
            }
        }
        Answer::Applied(Some(item))
    }
}
