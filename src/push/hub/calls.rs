//! Calls to API Gateway: what goes out, and what an answer means.

use std::sync::Arc;

use super::{Call, Core, Effect, Now, Place, What};
use crate::model::{ConnectionId, Followed, Posted};
use crate::push::breaker::FORBIDDEN_MIN;
use crate::push::frame::{Filling, Form};
use crate::push::viewer::{
    FAILED_TRIES_MAX, FAILED_WAIT, FORBIDDEN_WAIT, FRAME_BYTES_MIN, SLOW_WAIT, YOUNG_WAIT, backoff,
};
use crate::push::{Farewell, Mode, Outcome, age};

/// Between our start and a claim to know everything: the time in which devices are expected
/// to have spoken at least once.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(60);

/// Posts accepted within this say that the account is not throttled as a whole.
const OTHERS_HEAR: std::time::Duration = std::time::Duration::from_secs(30);

impl Core {
    /// Makes a viewer's next call; none where, looked at closely, nothing is to be sent.
    pub(super) fn prepare(&mut self, now: Now, id: &ConnectionId) -> Option<(Call, Effect)> {
        let viewer = self.viewers.get_mut(id)?;
        let (incarnation, troubled) = (viewer.incarnation, viewer.is_troubled());
        let call = |what| Call {
            incarnation,
            what,
            troubled,
        };
        // Where nobody's posts are accepted, it is the account that is throttled.
        let others_hear = self
            .accepted_at
            .is_some_and(|at| now.mono.since(at) < OTHERS_HEAR);
        let farewell = match viewer.is_expired(now.wall) {
            true => Some(Farewell::Expired),
            false => (viewer.is_deaf(now.mono) && others_hear).then_some(Farewell::Slow),
        };
        if let Some(why) = farewell {
            return Some((call(What::HangUp(why)), Effect::HangUp(id.clone())));
        }
        if viewer.snapshot.is_some()
            && let Some((what, frame)) = self.snapshot_frame(now, id)
        {
            let id = id.clone();
            return Some((call(what), Effect::Post { id, frame }));
        }
        let viewer = self.viewers.get_mut(id)?;
        self.counts.dropped_overflow +=
            viewer
                .window
                .trim(&self.stock, self.options.every_readings_max, 0);
        let mut filling = Filling::new(self.options.form, viewer.frame_bytes_max);
        let reach = viewer.window.fill(&self.stock, &viewer.sight, &mut filling);
        if filling.is_empty() {
            viewer.window.shown(reach, &self.stock);
            self.arm(now, id);
            return None;
        }
        match self.options.mode {
            Mode::Latest => filling.newest_last(),
            Mode::Every => filling.in_stream_order(),
        }
        let what = What::Readings {
            reach,
            parts: filling.len(),
            oldest: filling.oldest(),
            followed: filling.followed(),
        };
        let (id, frame) = (id.clone(), filling.readings());
        Some((call(what), Effect::Post { id, frame }))
    }

    /// The next frame of a viewer's snapshot; none where it has ended without one.
    fn snapshot_frame(&mut self, now: Now, id: &ConnectionId) -> Option<(What, String)> {
        let settled = now.mono.since(self.started) >= SETTLED && self.stock.latest.evicted() == 0;
        let viewer = self.viewers.get_mut(id)?;
        let snapshot = viewer.snapshot.as_mut()?;
        let mut filling = Filling::new(self.options.form, viewer.frame_bytes_max);
        let up_to = snapshot.fill(&self.stock, &viewer.sight, &mut filling);
        let needless = snapshot.optional || self.options.form == Form::Single;
        if filling.is_empty() && needless {
            viewer.snapshot = None;
            return None;
        }
        filling.newest_last();
        let last = snapshot.is_last(up_to);
        let known = match viewer.sight.exact() {
            None => settled,
            Some(mut ids) => {
                ids.all(|id| !self.stock.latest.numbers(&id.as_str().into()).is_empty())
            }
        };
        let frame = filling.snapshot(last && known && !snapshot.capped, !last);
        let what = What::Snapshot {
            number: snapshot.number,
            up_to,
            parts: filling.len(),
        };
        Some((what, frame))
    }

    /// The traces of followed readings that the post under way to a viewer shows.
    #[must_use]
    pub fn followed(&self, id: &ConnectionId) -> &[Arc<Followed>] {
        match self.calls.get(id).map(|call| &call.what) {
            Some(What::Readings { followed, .. }) => followed,
            _ => &[],
        }
    }

    pub(super) fn done(
        &mut self,
        now: Now,
        id: &ConnectionId,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(call) = self.calls.remove(id) else {
            return;
        };
        self.calls_troubled -= usize::from(call.troubled);
        self.count(&call.what, &outcome);
        let mine = self.viewers.get_mut(id).is_some_and(|viewer| {
            viewer.place = Place::Idle;
            viewer.incarnation == call.incarnation
        });
        match outcome {
            Outcome::Answered(Posted::Accepted) => self.accepted(now, id, call, mine, effects),
            _ if !mine => {}
            Outcome::Answered(Posted::Gone) => self.gone(now, id, &call, effects),
            Outcome::Answered(Posted::Slow) => {
                self.breaker.slow();
                self.retry_later(now, id, SLOW_WAIT, |viewer| {
                    viewer.slow_since.get_or_insert(now.mono);
                    viewer.slow += 1;
                    viewer.slow
                });
            }
            Outcome::Answered(Posted::TooLarge) => self.too_large(id, call),
            Outcome::Answered(Posted::Forbidden(_)) => {
                // Ending connections is a permission of its own: a role without it may still post.
                if !matches!(call.what, What::HangUp(_)) && self.is_the_endpoints(id) {
                    self.trip(now, effects, super::Breaker::forbidden);
                }
                self.retry_later(now, id, FORBIDDEN_WAIT, |viewer| {
                    viewer.failed += 1;
                    viewer.failed
                });
            }
            Outcome::Failed => {
                self.trip(now, effects, super::Breaker::failed);
                self.retry_later(now, id, FAILED_WAIT, |viewer| {
                    viewer.failed += 1;
                    viewer.failed
                });
                self.skip_after_failures(id);
            }
        }
        self.arm(now, id);
    }

    fn count(&mut self, what: &What, outcome: &Outcome) {
        let counts = &mut self.counts;
        *match (what, outcome) {
            (What::HangUp(_), Outcome::Answered(Posted::Accepted)) => &mut counts.hung_up,
            (_, Outcome::Answered(Posted::Accepted)) => &mut counts.accepted,
            (_, Outcome::Answered(Posted::Gone)) => &mut counts.gone,
            (_, Outcome::Answered(Posted::Slow)) => &mut counts.slow,
            (_, Outcome::Answered(Posted::TooLarge)) => &mut counts.too_large,
            (_, Outcome::Answered(Posted::Forbidden(_))) => &mut counts.forbidden,
            (_, Outcome::Failed) => &mut counts.failed,
        } += 1;
    }

    fn accepted(
        &mut self,
        now: Now,
        id: &ConnectionId,
        call: Call,
        mine: bool,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(call.what, What::HangUp(_)) {
            self.accepted_at = Some(now.mono);
        }
        if self.breaker.accepted() {
            effects.push(Effect::Closed);
        }
        self.release(now);
        let Some(viewer) = self.viewers.get_mut(id).filter(|_| mine) else {
            return;
        };
        viewer.recover();
        match call.what {
            What::HangUp(why) => self.forget(now, id, why, effects),
            What::Snapshot { number, up_to, .. } => {
                viewer.told(number, up_to, &self.stock);
                if viewer.snapshot.is_some() {
                    viewer.window_until = now.mono;
                }
            }
            What::Readings { reach, oldest, .. } => {
                if reach.more {
                    viewer.window_until = now.mono;
                }
                viewer.window.shown(reach, &self.stock);
                if let Some(oldest) = oldest {
                    effects.push(Effect::Shown { oldest });
                }
            }
        }
    }

    fn gone(&mut self, now: Now, id: &ConnectionId, call: &Call, effects: &mut Vec<Effect>) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let (first_seen, connected_at) = (viewer.first_seen, viewer.connected_at.clone());
        if age::is_too_old(first_seen, connected_at.as_ref(), now) {
            self.forget(now, id, Farewell::TooOld, effects);
            return;
        }
        if age::is_young(first_seen, connected_at.as_ref(), now) {
            viewer.not_before = now.mono + YOUNG_WAIT;
            return;
        }
        let was_open = self.breaker.open();
        let believed = self.breaker.gone(now.mono);
        self.say_if_opened(was_open, effects);
        if believed {
            let why = match call.what {
                What::HangUp(why) => why,
                _ => Farewell::Gone,
            };
            self.forget(now, id, why, effects);
            return;
        }
        self.hold(now, id);
    }

    /// Whether a 403 tells of the endpoint: not where one strange viewer is answered so again and
    /// again while others were not asked yet. Where posting is paused already, each probe counts.
    fn is_the_endpoints(&self, id: &ConnectionId) -> bool {
        let viewer = self.viewers.get(id);
        viewer.is_some_and(|viewer| viewer.failed == 0)
            || self.viewers.len() < FORBIDDEN_MIN as usize
            || self.breaker.paused_until().is_some()
    }

    fn trip(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
        how: fn(&mut super::Breaker, crate::model::Millis),
    ) {
        let was_open = self.breaker.open();
        how(&mut self.breaker, now.mono);
        self.say_if_opened(was_open, effects);
    }

    fn say_if_opened(&self, was_open: Option<super::Why>, effects: &mut Vec<Effect>) {
        if let Some(why) = self.breaker.open()
            && was_open != Some(why)
        {
            effects.push(Effect::Opened(why));
        }
    }

    fn retry_later(
        &mut self,
        now: Now,
        id: &ConnectionId,
        waits: (std::time::Duration, std::time::Duration),
        count: impl FnOnce(&mut super::Viewer) -> u32,
    ) {
        if let Some(viewer) = self.viewers.get_mut(id) {
            let tries = count(viewer);
            viewer.not_before = viewer.not_before.max(now.mono + backoff(waits, tries));
        }
    }

    fn skip_after_failures(&mut self, id: &ConnectionId) {
        if let Some(viewer) = self.viewers.get_mut(id)
            && viewer.failed >= FAILED_TRIES_MAX
        {
            self.counts.dropped_failed += viewer.window.skip_to_newest(&self.stock);
        }
    }

    /// Half the size next time; what is too large as small as it gets is dropped.
    fn too_large(&mut self, id: &ConnectionId, call: Call) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let parts = match &call.what {
            What::Readings { parts, .. } | What::Snapshot { parts, .. } => *parts,
            What::HangUp(_) => return,
        };
        if parts > 1 && viewer.frame_bytes_max > FRAME_BYTES_MIN {
            viewer.frame_bytes_max = (viewer.frame_bytes_max / 2).max(FRAME_BYTES_MIN);
            return;
        }
        self.counts.dropped_failed += parts as u64;
        match call.what {
            What::Readings { reach, .. } => viewer.window.shown(reach, &self.stock),
            What::Snapshot { number, up_to, .. } => viewer.told(number, up_to, &self.stock),
            What::HangUp(_) => {}
        }
    }
}
