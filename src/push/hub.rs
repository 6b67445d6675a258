//! The hub: readings in, rows in, answers in; posts, deletions and reads out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::asked::Asked;
use super::breaker::{Breaker, Why};
use super::index::Index;
use super::part::Part;
use super::rate::Rate;
use super::viewer::{Place, Viewer};
use super::window::{Reach, Stock};
use super::{Effect, Input, Now, Options};
use crate::model::message::WireReading;
use crate::model::{ConnectionId, EpochMillis, Followed, Millis, StoredTime};

mod asked;
mod calls;
mod rows;
mod turns;

/// Between looks through all viewers for tokens that ran out and rows that are too old.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Posts out of so many that viewers in trouble may take together, so that calls which hang until
/// their time-out do not use up all.
const TROUBLED_SHARE: usize = 4;

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings taken in.
    pub taken: u64,
    /// Readings that said nothing newer than what was known.
    pub stale: u64,
    /// Readings older than `max_age`.
    pub too_old: u64,
    /// Posts accepted.
    pub accepted: u64,
    /// Posts answered 410.
    pub gone: u64,
    /// Posts answered 429.
    pub slow: u64,
    /// Posts answered 413.
    pub too_large: u64,
    /// Posts answered 403.
    pub forbidden: u64,
    /// Posts without a usable answer.
    pub failed: u64,
    /// Connections ended because their token had run out.
    pub hung_up: u64,
    /// Readings dropped because a viewer's bound was reached.
    pub dropped_overflow: u64,
    /// Readings (or measures of one) dropped because no frame could carry them, or because a viewer
    /// was brought to the newest after failures.
    pub dropped_failed: u64,
    /// Times that a row found no room among the viewers or subscriptions.
    pub refused: u64,
    /// Rows ordered to be deleted.
    pub forgotten: u64,
}

/// A call under way.
#[derive(Clone, Debug)]
struct Call {
    incarnation: u64,
    what: What,
    troubled: bool,
}

#[derive(Clone, Debug)]
enum What {
    Readings {
        reach: Reach,
        parts: usize,
        oldest: Option<EpochMillis>,
        followed: Vec<Arc<Followed>>,
    },
    Snapshot {
        number: u64,
        up_to: u64,
        parts: usize,
    },
    HangUp(super::Farewell),
}

/// All decisions of the broadcaster.
#[derive(Debug)]
pub struct Core {
    options: Options,
    stock: Stock,
    index: Index,
    viewers: BTreeMap<ConnectionId, Viewer>,
    breaker: Breaker,
    rate: Rate,
    /// One call a viewer at most, whatever happened to its row since.
    calls: BTreeMap<ConnectionId, Call>,
    calls_troubled: usize,
    /// First come, first served.
    ready: BTreeMap<u64, ConnectionId>,
    ready_troubled: BTreeMap<u64, ConnectionId>,
    held: BTreeMap<u64, ConnectionId>,
    held_probe_at: Millis,
    asked: Asked,
    timers: BTreeSet<(Millis, ConnectionId)>,
    /// When a post was last accepted, by anybody.
    accepted_at: Option<Millis>,
    /// Viewers of everything who are owed nothing: the next reading wakes them.
    resting: BTreeSet<ConnectionId>,
    /// Rows whose deletion was ordered: a list read before does not bring them back.
    tombs: BTreeMap<ConnectionId, (Option<StoredTime>, Millis)>,
    counter: u64,
    listed: bool,
    started: Millis,
    housekeeping_at: Millis,
    draining: bool,
    counts: Counts,
}

impl Core {
    /// Nobody there yet.
    #[must_use]
    pub fn new(options: Options, now: Now) -> Self {
        Self {
            stock: Stock::new(&options),
            rate: Rate::new(options.posts_per_second, now.mono),
            options,
            index: Index::default(),
            viewers: BTreeMap::new(),
            breaker: Breaker::default(),
            calls: BTreeMap::new(),
            calls_troubled: 0,
            ready: BTreeMap::new(),
            ready_troubled: BTreeMap::new(),
            held: BTreeMap::new(),
            held_probe_at: now.mono,
            asked: Asked::default(),
            timers: BTreeSet::new(),
            accepted_at: None,
            resting: BTreeSet::new(),
            tombs: BTreeMap::new(),
            counter: 0,
            listed: false,
            started: now.mono,
            housekeeping_at: now.mono + HOUSEKEEPING,
            draining: false,
            counts: Counts::default(),
        }
    }

    /// Takes one thing that happened and answers what to do. Each [`Effect::Post`] and
    /// [`Effect::HangUp`] must be answered by one [`Input::Done`].
    #[must_use]
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Readings(readings) => self.readings(now, readings),
            Input::Rows { asked, rows } => self.rows(now, asked, rows, &mut effects),
            Input::Changed(id) if !self.options.place.serves(&id) => {}
            Input::Changed(id) if self.asked.now(&id, now.mono) => {
                effects.push(Effect::ReadRow(id));
            }
            Input::Row { id, row } => self.row(now, &id, row, &mut effects),
            Input::Done { id, outcome } => self.done(now, &id, outcome, &mut effects),
            Input::NotForgotten(id) => {
                self.tombs.remove(&id);
                effects.push(Effect::ReadRow(id));
            }
            Input::Changed(_) | Input::Tick => {}
            Input::Drain => self.drain(now),
        }
        while let Some(id) = self.asked.due(now.mono) {
            effects.push(Effect::ReadRow(id));
        }
        if self.housekeeping_at <= now.mono {
            self.housekeeping_at = now.mono + HOUSEKEEPING;
            self.housekeeping(now, &mut effects);
        }
        self.fire_timers(now);
        self.dispatch(now, &mut effects);
        effects
    }

    /// Totals.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Viewers served.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// Devices whose latest values are known.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.stock.latest.devices()
    }

    /// Bytes of readings kept, as estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.stock.latest.bytes() + self.stock.recent.bytes()
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Why nobody is posted to, while that is so.
    #[must_use]
    pub fn breaker(&self) -> Option<Why> {
        self.breaker.open()
    }

    /// After [`Input::Drain`]: whether everything that could leave has left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let waiting = self.breaker.paused_until().is_none()
            && !(self.ready.is_empty() && self.ready_troubled.is_empty());
        self.calls.is_empty() && !waiting
    }

    fn readings(&mut self, now: Now, readings: Vec<WireReading>) {
        let part_bytes_max = self.options.frame_bytes_max
            - super::frame::ENVELOPE_BYTES_MAX.min(self.options.frame_bytes_max)
            - 1;
        let mut new = false;
        for reading in readings {
            let age = now.wall.0.saturating_sub(reading.arrival_ms.0);
            let too_old = self.options.max_age.is_some_and(|max| {
                i128::from(age) > i128::try_from(max.as_millis()).unwrap_or(i128::MAX)
            });
            if too_old {
                self.counts.too_old += 1;
                continue;
            }
            let (parts, left_out) = Part::fitting(reading, self.options.form, part_bytes_max);
            self.counts.dropped_failed += left_out as u64;
            let mut shown = false;
            for part in parts {
                shown |= self.reading(now, part);
            }
            new |= shown;
            if shown {
                self.counts.taken += 1;
            } else {
                self.counts.stale += 1;
            }
        }
        if new {
            for id in std::mem::take(&mut self.resting) {
                self.arm(now, &id);
            }
        }
    }

    /// Whether viewers are to be shown it.
    fn reading(&mut self, now: Now, part: Part) -> bool {
        let device = part.device().clone();
        let Some(number) = self.stock.apply(part) else {
            return false;
        };
        let viewers: Vec<ConnectionId> = self.index.of(&device).cloned().collect();
        for id in viewers {
            let Some(viewer) = self.viewers.get_mut(&id) else {
                continue;
            };
            viewer.window.owe(&device, number);
            let under_way = match self.calls.get(&id).map(|call| &call.what) {
                Some(What::Readings { parts, .. }) => *parts,
                _ => 0,
            };
            self.counts.dropped_overflow +=
                viewer
                    .window
                    .trim(&self.stock, self.options.every_readings_max, under_way);
            self.arm(now, &id);
        }
        true
    }

    /// Puts a viewer who is owed something where it will be served; does nothing for one who is
    /// there already.
    fn arm(&mut self, now: Now, id: &ConnectionId) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        if viewer.place != Place::Idle {
            return;
        }
        if !viewer.wants_call(&self.stock, now) {
            if viewer.sight.is_everything() {
                self.resting.insert(id.clone());
            }
            return;
        }
        let due = match self.draining {
            true => viewer.not_before,
            false => viewer.not_before.max(viewer.window_until),
        };
        if now.mono < due {
            viewer.place = Place::Timed(due);
            self.timers.insert((due, id.clone()));
            return;
        }
        self.counter += 1;
        viewer.place = Place::Ready(self.counter);
        let queue = if viewer.is_troubled() {
            &mut self.ready_troubled
        } else {
            &mut self.ready
        };
        queue.insert(self.counter, id.clone());
    }

    fn fire_timers(&mut self, now: Now) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now.mono
            && let Some((_, id)) = self.timers.pop_first()
        {
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.place = Place::Idle;
            }
            self.arm(now, &id);
        }
    }

    /// Takes a viewer out of whatever collection its place names.
    fn displace(&mut self, id: &ConnectionId) {
        self.resting.remove(id);
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        match viewer.place {
            Place::Idle | Place::Busy => {}
            Place::Timed(at) => {
                self.timers.remove(&(at, id.clone()));
            }
            Place::Ready(number) => {
                self.ready.remove(&number);
                self.ready_troubled.remove(&number);
            }
            Place::Held(number) => {
                self.held.remove(&number);
            }
        }
        viewer.place = Place::Idle;
    }

    fn drain(&mut self, now: Now) {
        self.draining = true;
        let waiting: Vec<ConnectionId> = self.timers.iter().map(|(_, id)| id.clone()).collect();
        for id in waiting {
            self.displace(&id);
            self.arm(now, &id);
        }
    }

    fn housekeeping(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.tombs.retain(|_, (_, until)| *until > now.mono);
        self.asked.forget(now.mono);
        let aged: Vec<ConnectionId> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| {
                super::age::is_too_old(viewer.first_seen, viewer.connected_at.as_ref(), now)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in aged {
            self.forget(now, &id, super::Farewell::TooOld, effects);
        }
        let expired: Vec<ConnectionId> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| viewer.place == Place::Idle && viewer.is_expired(now.wall))
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            self.arm(now, &id);
        }
    }
}

#[cfg(test)]
mod tests;
