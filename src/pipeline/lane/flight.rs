//! A request to a sink: while it is filled, and while it is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Refusal;
use super::super::unit::{FlightId, Prepared, Slot, Unit};
use super::Fate;
use super::rows::Rows;

/// A reading under way, with those that are equal to it.
#[derive(Debug)]
pub(super) struct Load {
    /// None once its ownership is lost.
    pub(super) lead: Option<Unit>,
    pub(super) prepared: Arc<Prepared>,
    pub(super) followers: Vec<Unit>,
}

#[derive(Debug)]
pub(super) struct Flight {
    /// What is still to be answered; the last part is the request under way.
    pub(super) parts: Vec<Vec<Load>>,
    /// The shards that wait for it.
    pub(super) slots: BTreeSet<Slot>,
}

/// A request being filled.
pub(super) struct Request {
    pub(super) id: FlightId,
    pub(super) loads: Vec<Load>,
    pub(super) bytes: usize,
    pub(super) slots: BTreeSet<Slot>,
}

impl Request {
    pub(super) fn load(&mut self, rows: &Rows, like: &Prepared) -> Option<&mut Load> {
        let mut loads = self.loads.iter_mut();
        loads.find(|load| rows.are_one(&load.prepared, like))
    }
}

impl Flight {
    /// Leaves out, between requests, what nobody waits for any more.
    pub(super) fn prune(&mut self, rows: &mut Rows) {
        for part in &mut self.parts {
            part.retain(|load| {
                let wanted = load.units().next().is_some();
                if !wanted {
                    rows.release(&load.prepared);
                }
                wanted
            });
        }
        self.parts.retain(|part| !part.is_empty());
    }

    /// The shards of which nothing is left in this request, however long the rest of it takes.
    pub(super) fn done(&mut self) -> Vec<Slot> {
        let units = self.parts.iter().flatten().flat_map(Load::units);
        let left: BTreeSet<Slot> = units.map(|unit| unit.slot).collect();
        let done = self.slots.difference(&left).copied().collect();
        self.slots = left;
        done
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = &Load> {
        self.parts.iter().flatten()
    }

    pub(super) fn load(&mut self, rows: &Rows, like: &Prepared) -> Option<&mut Load> {
        let mut loads = self.parts.iter_mut().flatten();
        loads.find(|load| rows.are_one(&load.prepared, like))
    }
}

impl Load {
    pub(super) fn units(&self) -> impl Iterator<Item = Unit> {
        self.lead.into_iter().chain(self.followers.iter().copied())
    }
}

/// Where a part is split: between two shards where it holds several, so that a shard need not wait
/// until another one's bad readings are found; else in the middle.
pub(super) fn middle(part: &[Load]) -> usize {
    let half = part.len() / 2;
    let slot = |index: usize| part[index].lead.map(|unit| unit.slot);
    (1..part.len())
        .filter(|index| slot(index - 1) != slot(*index))
        .min_by_key(|index| index.abs_diff(half))
        .unwrap_or(half)
}

pub(super) fn finish(
    rows: &mut Rows,
    part: Vec<Load>,
    refusals: &[Refusal],
    fates: &mut Vec<(Unit, Fate)>,
) {
    let refusals: BTreeMap<usize, &Refusal> = refusals
        .iter()
        .map(|refusal| (refusal.index, refusal))
        .collect();
    for (index, load) in part.into_iter().enumerate() {
        rows.release(&load.prepared);
        let fate = match refusals.get(&index) {
            None => Fate::Acknowledged,
            Some(refusal) => Fate::Refused {
                kind: refusal.kind,
                reason: refusal.reason.clone(),
            },
        };
        fates.extend(load.units().map(|unit| (unit, fate.clone())));
    }
}
