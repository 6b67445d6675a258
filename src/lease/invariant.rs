//! The invariants of leasing, each written once: the simulation checks them after every event, the
//! service counts violations of the cheap ones in production: L3 to L5 and L10 of each write of
//! ours, L9 by the pipeline's books.

use std::collections::BTreeMap;

use super::item::{Item, Value, name};
use super::row::Row;
use super::weigh::{self, Owned};
use crate::model::{Checkpoint, ShardId, WorkerId};

/// A numbered invariant of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// At most one unfenced holder of a lease.
    L1,
    /// Healed implies all owned within a lease duration and two scans.
    L2,
    /// The counter only rises; asking for a lease, and taking that back, leave it.
    L3,
    /// No write of ours moves a checkpoint back; `SHARD_END` absorbs.
    L4,
    /// Only the current owner checkpoints.
    L5,
    /// No child is read before its parents end.
    L6,
    /// Shares are within one of each other after quiet.
    L7,
    /// A checkpoint does not pass what is done.
    L9,
    /// Every row we write parses in Java KCL.
    L10,
}

impl Id {
    /// As the design and the metric's label name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::L5 => "L5",
            Self::L6 => "L6",
            Self::L7 => "L7",
            Self::L9 => "L9",
            Self::L10 => "L10",
        }
    }
}

/// A violation: a defect, whatever the weather.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is broken: {what}", .id.as_str())]
pub struct Broken {
    /// Which invariant.
    pub id: Id,
    /// What was seen.
    pub what: String,
}

fn hold(holds: bool, id: Id, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds {
        Ok(())
    } else {
        Err(Broken { id, what: what() })
    }
}

/// L1: who reads a shard by its own clock.
///
/// # Errors
/// More than one worker does.
pub fn one_reader(shard: &ShardId, readers: &[&WorkerId]) -> Result<(), Broken> {
    hold(readers.len() <= 1, Id::L1, || {
        format!("{shard} is read by {readers:?}")
    })
}

/// L2: a lease that may be read has waited this long for a reader since all was well.
///
/// # Errors
/// It waited longer than `max_ms`.
pub fn read_in_time(shard: &ShardId, waited_ms: u64, max_ms: u64) -> Result<(), Broken> {
    hold(waited_ms <= max_ms, Id::L2, || {
        format!("{shard} has waited {waited_ms} ms for a reader")
    })
}

/// L3, L4 and L5 of one write by `writer`.
///
/// # Errors
/// The write breaks one of them.
pub fn write(before: &Row, after: &Row, writer: &WorkerId) -> Result<(), Broken> {
    let shard = &before.shard;
    let asking = before.handover() != after.handover() && before.checkpoint == after.checkpoint;
    let rises = after.counter > before.counter || (after.counter == before.counter && asking);
    hold(rises, Id::L3, || {
        format!("{shard}: {} after {}", after.counter, before.counter)
    })?;
    hold(after.checkpoint >= before.checkpoint, Id::L4, || {
        format!("{shard}: {} after {}", after.checkpoint, before.checkpoint)
    })?;
    let moved = after.checkpoint != before.checkpoint;
    hold(
        !moved || before.actual_owner() == Some(writer),
        Id::L5,
        || format!("{shard}: {writer} moved the checkpoint of another's lease"),
    )
}

/// L6: the parents of a shard that is granted.
///
/// # Errors
/// One of them is not done.
pub fn parents_first<'a>(
    shard: &ShardId,
    mut parents: impl Iterator<Item = (&'a ShardId, bool)>,
) -> Result<(), Broken> {
    let unfinished = parents.find(|(_, done)| !done);
    hold(unfinished.is_none(), Id::L6, || {
        format!("{shard} is read before its parent {unfinished:?} is done")
    })
}

/// L7: how many leases each live worker holds.
///
/// # Errors
/// Two of them differ by more than one.
pub fn balanced(loads: &BTreeMap<WorkerId, usize>) -> Result<(), Broken> {
    let most = loads.values().max().copied().unwrap_or(0);
    let least = loads.values().min().copied().unwrap_or(0);
    hold(most - least <= 1, Id::L7, || {
        format!("leases are spread {loads:?}")
    })
}

/// L7 where leases are spread by what their shards carry: no worker lacks so much that one of these
/// leases would make it, and the one who has it, more equal.
///
/// # Errors
/// One does.
pub fn balanced_by_weight<'a>(
    leases: &'a [Owned],
    workers: impl Iterator<Item = &'a WorkerId> + Clone,
) -> Result<(), Broken> {
    for me in workers.clone() {
        let asked = weigh::askings(leases, workers.clone(), me, usize::MAX);
        hold(asked.is_empty(), Id::L7, || {
            format!("{me} carries too little, {asked:?} would help")
        })?;
    }
    Ok(())
}

/// L9: a checkpoint against how far the shard is done without a gap.
///
/// # Errors
/// It is beyond that.
pub fn within_done(shard: &ShardId, written: &Checkpoint, done: &Checkpoint) -> Result<(), Broken> {
    hold(written <= done, Id::L9, || {
        format!("{shard}: checkpoint {written}, but done is {done}")
    })
}

/// L10: KCL fails on a row without these, and on an empty set; DynamoDB refuses the latter.
///
/// # Errors
/// The row lacks something, or has it in another type.
pub fn parses_in_java(item: &Item) -> Result<(), Broken> {
    let number = |name| matches!(item.get(name), Some(Value::N(n)) if n.parse::<i64>().is_ok());
    let text = |name| matches!(item.get(name), Some(Value::S(text)) if !text.is_empty());
    let optional_text = |name| !item.contains_key(name) || text(name);
    let optional_set = |name| match item.get(name) {
        None => true,
        Some(Value::Ss(set)) => !set.is_empty(),
        Some(_) => false,
    };
    let holds = [name::COUNTER, name::SWITCHES, name::CHECKPOINT_SUB]
        .into_iter()
        .all(number)
        && [name::KEY, name::CHECKPOINT].into_iter().all(text)
        && [name::OWNER, name::CHECKPOINT_OWNER, name::HASH_FIRST]
            .into_iter()
            .all(optional_text)
        && [name::PARENTS, name::CHILDREN]
            .into_iter()
            .all(optional_set);
    hold(holds, Id::L10, || format!("{item:?}"))
}
