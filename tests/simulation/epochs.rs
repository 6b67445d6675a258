//! L5 by a book of its own: every checkpoint that a process writes was reported by a reader of the
//! ownership under which it writes.

use std::collections::{BTreeMap, BTreeSet};

use tidewire::lease::Change;
use tidewire::lease::Value;
use tidewire::lease::change::{Edit, Then};
use tidewire::lease::invariant::{Broken, Id};
use tidewire::lease::item::name;
use tidewire::lease::keeper::Note;
use tidewire::lease::talk::{Event, Say};
use tidewire::model::{Checkpoint, LeaseCounter, ShardId};

/// What the readers of one ownership reported. A lease that is read anew after a handover was taken
/// back was not given up in between.
#[derive(Debug)]
struct Ownership {
    epoch: LeaseCounter,
    reached: Option<Checkpoint>,
}

#[derive(Debug, Default)]
pub(crate) struct Epochs {
    of: BTreeMap<(usize, ShardId), Ownership>,
    /// Rows that were deleted: made anew, their counters count through the same numbers again, so an epoch
    /// no longer names one ownership.
    deleted: BTreeSet<ShardId>,
}

impl Epochs {
    pub(crate) fn told(&mut self, id: usize, event: &Event) {
        if let Event::Granted { shard, epoch, .. } = event {
            let new = Ownership {
                epoch: *epoch,
                reached: None,
            };
            let ownership = self.of.entry((id, shard.clone())).or_insert(new);
            ownership.epoch = *epoch;
        }
    }

    pub(crate) fn noted(&mut self, id: usize, note: &Note) {
        if let Note::Lost { shard, .. } | Note::Released { shard, .. } = note {
            self.of.remove(&(id, shard.clone()));
        }
    }

    pub(crate) fn gone(&mut self, shard: &ShardId) {
        self.deleted.insert(shard.clone());
    }

    /// Whether a process has a lease, as far as it knows.
    pub(crate) fn owned(&self, id: usize, shard: &ShardId) -> bool {
        self.of.contains_key(&(id, shard.clone()))
    }

    pub(crate) fn said(&mut self, id: usize, say: &Say) {
        let (shard, epoch, reached) = match say {
            Say::Checkpoint {
                shard,
                epoch,
                checkpoint,
            } => (shard, epoch, Some(checkpoint.clone())),
            Say::Drained {
                shard,
                epoch,
                checkpoint,
            } => (shard, epoch, checkpoint.clone()),
            Say::Ended { shard, epoch, .. } => (shard, epoch, Some(Checkpoint::ShardEnd)),
            Say::Rate { .. } => return,
        };
        let ownership = self.of.get_mut(&(id, shard.clone()));
        if let Some(ownership) = ownership.filter(|it| it.epoch == *epoch) {
            ownership.reached = reached.max(ownership.reached.take());
        }
    }

    /// A process sends a write.
    pub(crate) fn sends(&self, id: usize, change: &Change) -> Result<(), String> {
        let Then::Update(edits) = &change.then else {
            return Ok(());
        };
        let written = edits.iter().find_map(|edit| match edit {
            Edit::Set(name::CHECKPOINT, Value::S(text)) => Checkpoint::from_kcl(text, 0).ok(),
            _ => None,
        });
        let Some(written @ (Checkpoint::At { .. } | Checkpoint::ShardEnd)) = written else {
            return Ok(());
        };
        let ownership = self.of.get(&(id, change.shard.clone()));
        let covered = ownership.is_some_and(|it| it.reached.as_ref() >= Some(&written));
        if covered || self.deleted.contains(&change.shard) {
            return Ok(());
        }
        let what = format!(
            "{}: process {id} writes {written} under {ownership:?}",
            change.shard
        );
        Err(Broken { id: Id::L5, what }.to_string())
    }
}
