//! Promises about time that hold in a storm too, as long as calls are answered: what lies still is
//! taken a lease duration after it was first seen so, and no asking stands for ever.

use std::collections::{BTreeMap, BTreeSet};

use tidewire::lease::item::name;
use tidewire::lease::{Answer, Input, Item, Value};
use tidewire::model::ShardId;

use super::check::{Moment, row_of};
use super::epochs::Epochs;

/// A lease, on a clock that runs 2 % slow.
const LEASE_MS: u64 = 10_200;
/// A handover's deadline and a lease, on such a clock.
const ASKING_MS: u64 = 20_400;
/// The second more in which it is to be done: reading again, the spill, the write.
const AND_MS: u64 = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Late {
    /// The highest counter that a process was ever shown, and when first.
    seen: BTreeMap<(usize, ShardId), (u64, u64)>,
    /// Who asked for a lease last, and when.
    asked: BTreeMap<ShardId, (usize, u64)>,
    /// Rows that were deleted: their counters tell nothing any more.
    deleted: BTreeSet<ShardId>,
}

fn counter_of(item: &Item) -> Option<(ShardId, u64)> {
    match (item.get(name::KEY), item.get(name::COUNTER)) {
        (Some(Value::S(key)), Some(Value::N(digits))) => {
            Some((ShardId::from(key.as_str()), digits.parse().ok()?))
        }
        _ => None,
    }
}

impl Late {
    /// What a process is told of rows that are not its own: those it knows better.
    pub(crate) fn heard(&mut self, now: u64, id: usize, input: &Input, epochs: &Epochs) {
        let one = |item: &Option<Item>| item.iter().filter_map(counter_of).collect();
        let told: Vec<_> = match input {
            Input::Scanned(Ok(items)) => items.iter().filter_map(counter_of).collect(),
            Input::Read {
                answer: Ok(item), ..
            } => one(item),
            Input::Wrote { answer, .. } => match answer {
                Ok(Answer::Applied(item) | Answer::Refused(item)) => one(item),
                Err(_) => return,
            },
            _ => return,
        };
        for (shard, counter) in told {
            if epochs.owned(id, &shard) {
                continue;
            }
            let known = self.seen.entry((id, shard)).or_insert((counter, now));
            if counter > known.0 {
                *known = (counter, now);
            }
        }
    }

    pub(crate) fn asked(&mut self, now: u64, id: usize, shard: &ShardId) {
        self.asked.insert(shard.clone(), (id, now));
    }

    /// A handover was taken back by `id`; whether it was the one who had asked.
    pub(crate) fn reverted(&self, id: usize, shard: &ShardId) -> bool {
        self.asked.get(shard).is_some_and(|(asker, _)| *asker == id)
    }

    pub(crate) fn gone(&mut self, shard: &ShardId) {
        self.deleted.insert(shard.clone());
    }

    /// Nothing is late. Calls were answered since `fair_from`.
    pub(crate) fn look(&mut self, moment: &Moment<'_>, fair_from: u64) -> Result<(), String> {
        let late = |since: u64, patience: u64| {
            let due = (since + patience).max(fair_from) + AND_MS;
            moment.now > due
        };
        let works = |id: &usize| {
            let process = moment.processes.get(id);
            process.is_some_and(|process| !process.stopping)
        };
        for ((id, shard), (counter, at)) in &self.seen {
            if !late(*at, LEASE_MS) || !works(id) || self.deleted.contains(shard) {
                continue;
            }
            let row = row_of(moment.store, shard);
            let still = row.filter(|row| row.counter.0 == *counter);
            if still.is_some_and(|row| !row.ended() && !row.unstarted()) {
                return Err(format!(
                    "P6: process {id} has seen {shard} lie still at {counter} since {at} ms"
                ));
            }
        }
        self.asked.retain(|shard, (id, _)| {
            let me = moment.processes.get(id).map(|asker| asker.keeper.me());
            let row = row_of(moment.store, shard);
            row.is_some_and(|row| {
                row.receiver.as_ref() == me && row.handover().is_some_and(|it| Some(it.to) == me)
            })
        });
        let mut asked = self.asked.iter();
        match asked.find(|(_, (id, at))| late(*at, ASKING_MS) && works(id)) {
            Some((shard, (id, at))) => Err(format!("process {id} asks for {shard} since {at} ms")),
            None => Ok(()),
        }
    }
}
