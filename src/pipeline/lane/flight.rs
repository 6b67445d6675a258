//! A request to a sink: while it is filled, and while it is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Refusal;
use super::super::unit::{FlightId, Prepared, Slot, Unit};
use super::Fate;
use crate::model::RowKey;

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
    pub(super) fn load(&mut self, row: &RowKey) -> Option<&mut Load> {
        self.loads.iter_mut().find(|load| load.prepared.row == *row)
    }
}

impl Flight {
    /// Leaves out, between requests, what nobody waits for any more.
    pub(super) fn prune(&mut self, rows: &mut BTreeMap<RowKey, FlightId>) {
        for part in &mut self.parts {
            part.retain(|load| {
                let wanted = load.units().next().is_some();
                if !wanted {
                    rows.remove(&load.prepared.row);
                }
                wanted
            });
        }
        self.parts.retain(|part| !part.is_empty());
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = &Load> {
        self.parts.iter().flatten()
    }

    pub(super) fn load(&mut self, row: &RowKey) -> Option<&mut Load> {
        let mut loads = self.parts.iter_mut().flatten();
        loads.find(|load| load.prepared.row == *row)
    }
}

impl Load {
    pub(super) fn units(&self) -> impl Iterator<Item = Unit> {
        self.lead.into_iter().chain(self.followers.iter().copied())
    }
}

pub(super) fn finish(
    rows: &mut BTreeMap<RowKey, FlightId>,
    part: Vec<Load>,
    refusals: &[Refusal],
    fates: &mut Vec<(Unit, Fate)>,
) {
    let refusals: BTreeMap<usize, &Refusal> = refusals
        .iter()
        .map(|refusal| (refusal.index, refusal))
        .collect();
    for (index, load) in part.into_iter().enumerate() {
        rows.remove(&load.prepared.row);
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
