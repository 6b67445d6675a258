//! Whose turn it is to be called, and when there is one.

use super::{Core, Effect, Now, Place, TROUBLED_SHARE};
use crate::model::{ConnectionId, Millis};
use crate::push::breaker::{GONE_MIN, PROBE_EVERY};

/// Viewers whose 410 was not believed and who are tried again on each accepted post: as many as
/// can be believed together. All at once would answer 410 once more for nothing, and a crowd of
/// dead viewers would cost its square in posts.
const RELEASED_MAX: usize = GONE_MIN as usize - 1;

impl Core {
    /// When [`Input::Tick`](super::Input::Tick) is due.
    #[must_use]
    pub fn next_wake(&self) -> Millis {
        let mut at = self.housekeeping_at;
        if let Some((timer, _)) = self.timers.first() {
            at = at.min(*timer);
        }
        if let Some(read) = self.asked.next() {
            at = at.min(read);
        }
        // Where every call is taken, it is the end of one that wakes.
        if self.calls.len() < self.options.posts_max {
            let waiting = self.ready.len() + self.ready_troubled.len() + self.held.len();
            let probe = match self.breaker.paused_until().max(self.rate.next()) {
                Some(until) => (waiting > 0).then_some(until),
                None => (!self.held.is_empty()).then_some(self.held_probe_at),
            };
            at = probe.map_or(at, |probe| at.min(probe));
        }
        at
    }

    pub(super) fn dispatch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while self.calls.len() < self.options.posts_max {
            let paused = self.breaker.paused_until();
            if paused.is_some_and(|until| until > now.mono) {
                return;
            }
            if !self.rate.has_room(now.mono) {
                return;
            }
            let Some(id) = self.next_in_turn(now, paused.is_some()) else {
                return;
            };
            let Some((call, effect)) = self.prepare(now, &id) else {
                continue;
            };
            let admitted = self.breaker.admit(now.mono);
            debug_assert!(admitted, "looked at above");
            self.rate.take();
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.place = Place::Busy;
                viewer.window_until = now.mono + self.options.window;
            }
            self.calls_troubled += usize::from(call.troubled);
            self.calls.insert(id, call);
            effects.push(effect);
        }
    }

    /// Takes the next viewer out of its queue; it stands at `Idle` then. Those held are tried one
    /// a second, whether the breaker is open or not.
    fn next_in_turn(&mut self, now: Now, paused: bool) -> Option<ConnectionId> {
        let troubled_max = (self.options.posts_max / TROUBLED_SHARE).max(1);
        let mut next = self.ready.pop_first();
        if next.is_none() && (paused || self.calls_troubled < troubled_max) {
            next = self.ready_troubled.pop_first();
        }
        if next.is_none() && (paused || self.held_probe_at <= now.mono) {
            next = self.held.pop_first();
            if next.is_some() {
                self.held_probe_at = now.mono + PROBE_EVERY;
            }
        }
        let (_, id) = next?;
        if let Some(viewer) = self.viewers.get_mut(&id) {
            viewer.place = Place::Idle;
        }
        Some(id)
    }

    /// A 410 that is not believed: the viewer is left alone until a post is accepted, or its turn
    /// comes to be tried.
    pub(super) fn hold(&mut self, now: Now, id: &ConnectionId) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        if self.held.is_empty() {
            self.held_probe_at = now.mono + PROBE_EVERY;
        }
        self.counter += 1;
        viewer.place = Place::Held(self.counter);
        self.held.insert(self.counter, id.clone());
    }

    /// A post was accepted, so that the next 410s are believed again.
    pub(super) fn release(&mut self, now: Now) {
        for _ in 0..RELEASED_MAX {
            let Some((_, id)) = self.held.pop_first() else {
                return;
            };
            if let Some(viewer) = self.viewers.get_mut(&id) {
                viewer.place = Place::Idle;
            }
            self.arm(now, &id);
        }
    }
}
