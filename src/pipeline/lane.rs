//! The way to one sink: who waits, who is under way, and what goes next.
//!
//! Order (promise P3): a shard has at most one request under way, and its readings leave in stream
//! order. A row has at most one reading under way: an equal one rides along and shares its fate,
//! a different one waits, and its shard's later readings wait with it.

mod flight;
mod pace;
mod rows;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::unit::{FlightId, Prepared, Slot, Unit};
use super::{Answer, Refusal};
use crate::model::{Millis, RejectionKind};
use flight::{Flight, Load, Request, finish, middle};
use pace::Pace;
pub(super) use rows::Keyed;
use rows::Rows;
pub(super) use waiting::Limits;
use waiting::{Item, Waiting};

#[derive(Debug)]
pub(super) struct Lane {
    limits: Limits,
    waiting: BTreeMap<Slot, Waiting>,
    flights: BTreeMap<FlightId, Flight>,
    rows: Rows,
    pace: Pace,
}

/// What became of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Acknowledged,
    Refused {
        kind: RejectionKind,
        reason: String,
    },
    /// Too old by now.
    Expired,
}

/// What an answer settles, and what is to be sent next of the same request.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) fates: Vec<(Unit, Fate)>,
    pub(super) next: Option<Vec<Arc<Prepared>>>,
}

/// Requests that held readings of a shard that is lost.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Nobody waits for these any more.
    pub(super) deserted: Vec<FlightId>,
    /// Others wait for these.
    pub(super) shared: Vec<FlightId>,
}

/// A lane as `/state` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// Readings that have not left yet.
    pub waiting: u64,
    /// Requests under way.
    pub requests: u64,
    /// Requests that may be under way by now: fewer than configured after throttling.
    pub requests_allowed: u64,
}

impl Lane {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            waiting: BTreeMap::new(),
            flights: BTreeMap::new(),
            rows: Rows::new(limits.keyed),
            pace: Pace::new(limits.requests_max),
            limits,
        }
    }

    pub(super) fn status(&self) -> LaneStatus {
        LaneStatus {
            waiting: self
                .waiting
                .values()
                .map(|shard| shard.items.len() as u64)
                .sum(),
            requests: self.flights.len() as u64,
            requests_allowed: self.pace.allowed() as u64,
        }
    }

    pub(super) fn push(&mut self, unit: Unit, prepared: Arc<Prepared>, now: Millis) {
        let bytes = self.limits.weight(&prepared);
        let waiting = self.waiting.entry(unit.slot).or_default();
        waiting.push(Item {
            unit,
            since: now,
            prepared,
            bytes,
        });
    }

    /// From now on this shard's readings wait for no company.
    pub(super) fn hurry(&mut self, slot: Slot) {
        self.waiting.entry(slot).or_default().urgent = true;
    }

    /// The next request, if one is due.
    pub(super) fn take(&mut self, id: FlightId, now: Millis) -> Option<Vec<Arc<Prepared>>> {
        self.ride_along();
        if self.is_full() || !self.is_due(now) {
            return None;
        }
        let mut idle: Vec<(Millis, Slot)> = self
            .idle()
            .map(|(slot, _, front)| (front.since, slot))
            .collect();
        idle.sort_unstable();
        let mut request = Request {
            id,
            loads: Vec::new(),
            bytes: 0,
            slots: BTreeSet::new(),
        };
        for (_, slot) in idle {
            if request.loads.len() >= self.limits.items_max {
                break;
            }
            self.fill(slot, &mut request);
        }
        if request.loads.is_empty() {
            return None;
        }
        let batch = request.loads.iter().map(|load| Arc::clone(&load.prepared));
        let batch = batch.collect();
        self.flights.insert(
            id,
            Flight {
                parts: vec![request.loads],
                slots: request.slots,
            },
        );
        Some(batch)
    }

    /// When a request will be due that is not due yet.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        let full = self.is_full();
        self.idle()
            .map(|(_, _, front)| front.since + self.limits.window)
            .filter(|due| *due > now && !full)
            .min()
    }

    fn is_full(&self) -> bool {
        self.flights.len() >= self.pace.allowed()
    }

    /// A request was throttled and will be repeated.
    pub(super) fn throttled(&mut self, now: Millis) {
        self.pace.throttled(now);
    }

    fn idle(&self) -> impl Iterator<Item = (Slot, &Waiting, &Item)> {
        self.waiting.iter().filter_map(|(slot, waiting)| {
            let front = waiting.items.front().filter(|_| !waiting.busy)?;
            Some((*slot, waiting, front))
        })
    }

    fn is_due(&self, now: Millis) -> bool {
        let (mut items, mut bytes) = (0_usize, 0_usize);
        for (_, waiting, front) in self.idle() {
            if waiting.urgent || front.since + self.limits.window <= now {
                return true;
            }
            items += waiting.items.len();
            bytes = bytes.saturating_add(waiting.bytes);
            if items >= self.limits.items_max || bytes >= self.limits.bytes_max {
                return true;
            }
        }
        false
    }

    /// Readings equal to one that is under way join it instead of being sent again.
    fn ride_along(&mut self) {
        if !self.rows.are_shared() {
            return;
        }
        for (slot, waiting) in &mut self.waiting {
            let mut joined: Option<FlightId> = None;
            while !waiting.busy
                && let Some(front) = waiting.items.front()
                && let Some(id) = self.rows.holder(&front.prepared)
                && joined.is_none_or(|joined| joined == id)
                && let Some(flight) = self.flights.get_mut(&id)
                && let Some(load) = flight.load(&self.rows, &front.prepared)
                && load.prepared.says_the_same(&front.prepared)
            {
                load.followers.push(front.unit);
                waiting.pop();
                flight.slots.insert(*slot);
                joined = Some(id);
            }
            waiting.busy |= joined.is_some();
        }
    }

    /// Moves readings of one shard into a request, as far as order and limits let it.
    fn fill(&mut self, slot: Slot, request: &mut Request) {
        let Some(waiting) = self.waiting.get_mut(&slot) else {
            return;
        };
        while let Some(front) = waiting.items.front() {
            match self.rows.holder(&front.prepared) {
                Some(id) if id == request.id && self.rows.are_shared() => {
                    let load = request.load(&self.rows, &front.prepared);
                    match load.filter(|load| load.prepared.says_the_same(&front.prepared)) {
                        Some(load) => load.followers.push(front.unit),
                        None => break,
                    }
                }
                Some(_) => break,
                None => {
                    let bytes = front.bytes;
                    let fits = request.loads.len() < self.limits.items_max
                        && (request.loads.is_empty()
                            || request.bytes.saturating_add(bytes) <= self.limits.bytes_max);
                    if !fits {
                        break;
                    }
                    request.bytes += bytes;
                    self.rows.claim(&front.prepared, request.id);
                    request.loads.push(Load {
                        lead: Some(front.unit),
                        prepared: Arc::clone(&front.prepared),
                        followers: Vec::new(),
                    });
                }
            }
            waiting.pop();
            waiting.busy = true;
            request.slots.insert(slot);
        }
    }

    /// Takes a request's answer in.
    pub(super) fn answered(&mut self, id: FlightId, answer: Answer) -> Settled {
        let mut settled = Settled::default();
        let Some(flight) = self.flights.get_mut(&id) else {
            return settled;
        };
        let mut part = flight.parts.pop().unwrap_or_default();
        match answer {
            Answer::Taken(refusals) => {
                self.pace.answered();
                finish(&mut self.rows, part, &refusals, &mut settled.fates);
            }
            Answer::Rejected(_) if part.len() > 1 => {
                // Halves, the first one first: which of them is bad shows in at most
                // 2 log2(n) requests, and order holds.
                let second = part.split_off(middle(&part));
                flight.parts.push(second);
                flight.parts.push(part);
            }
            Answer::Recalled => flight.parts.push(part),
            Answer::Rejected(reason) => {
                let whole = Refusal {
                    index: 0,
                    kind: RejectionKind::Other,
                    reason,
                };
                finish(&mut self.rows, part, &[whole], &mut settled.fates);
            }
        }
        flight.prune(&mut self.rows);
        match flight.parts.last() {
            Some(part) => {
                let batch = part.iter().map(|load| Arc::clone(&load.prepared));
                settled.next = Some(batch.collect());
                for slot in flight.done() {
                    if let Some(waiting) = self.waiting.get_mut(&slot) {
                        waiting.busy = false;
                    }
                }
            }
            None => self.land(id),
        }
        settled
    }

    /// Ends a request: its shards may send again.
    fn land(&mut self, id: FlightId) {
        let Some(flight) = self.flights.remove(&id) else {
            return;
        };
        for load in flight.parts.iter().flatten() {
            self.rows.release(&load.prepared);
        }
        for slot in flight.slots {
            if let Some(waiting) = self.waiting.get_mut(&slot) {
                waiting.busy = false;
            }
        }
    }

    /// Forgets a shard; answers the requests that it had a part in.
    pub(super) fn abandon(&mut self, slot: Slot) -> Lost {
        self.waiting.remove(&slot);
        let mut lost = Lost::default();
        for (id, flight) in &mut self.flights {
            for load in flight.parts.iter_mut().flatten() {
                load.lead = load.lead.filter(|unit| unit.slot != slot);
                load.followers.retain(|unit| unit.slot != slot);
            }
            match flight.slots.remove(&slot) {
                true if flight.slots.is_empty() => lost.deserted.push(*id),
                true => lost.shared.push(*id),
                false => {}
            }
        }
        for id in &lost.deserted {
            self.land(*id);
        }
        lost
    }

    /// Readings too old by now leave, waiting ones and those of requests that hold no younger
    /// one; answers those requests, too.
    pub(super) fn expire(&mut self, now: Millis) -> (Vec<(Unit, Fate)>, Vec<FlightId>) {
        let is_old = |prepared: &Prepared| prepared.expires.is_some_and(|at| at <= now);
        let mut fates = Vec::new();
        for waiting in self.waiting.values_mut() {
            while let Some(front) = waiting.items.front().filter(|item| is_old(&item.prepared)) {
                fates.push((front.unit, Fate::Expired));
                waiting.pop();
            }
        }
        let old: Vec<FlightId> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.loads().all(|load| is_old(&load.prepared)))
            .map(|(id, _)| *id)
            .collect();
        for id in &old {
            if let Some(flight) = self.flights.get(id) {
                let units = flight.loads().flat_map(Load::units);
                fates.extend(units.map(|unit| (unit, Fate::Expired)));
            }
            self.land(*id);
        }
        (fates, old)
    }

    /// Every unit in this lane, counted one by one.
    #[cfg(test)]
    pub(super) fn units(&self) -> Vec<Unit> {
        let waiting = self.waiting.values().flat_map(|waiting| &waiting.items);
        let flying = self.flights.values().flat_map(Flight::loads);
        waiting
            .map(|item| item.unit)
            .chain(flying.flat_map(Load::units))
            .collect()
    }
}
