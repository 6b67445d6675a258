//! What the broadcaster says about itself: `/state`, metrics, and seldom a warning.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::parse::Rubbish;
use super::post::Ended;
use super::{Clock, outcome_of};
use crate::model::message::WireReading;
use crate::model::{EpochMillis, Millis, Posted};
use crate::push::{Core, Counts, Farewell, Now, Outcome, QueuePlace, Why};
use crate::service::metric;

/// Between two warnings about one thing.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Between two publications of state and counters.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// What the broadcaster believes, for `/state`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Queues served; 0 while this broadcaster stands by.
    pub serving: usize,
    /// Viewers served.
    pub viewers: usize,
    /// Devices whose latest values are known.
    pub devices: usize,
    /// Bytes of readings kept, as estimated.
    pub bytes: usize,
    /// Calls to API Gateway under way.
    pub in_flight: usize,
    /// Messages handled.
    pub messages: u64,
    /// Messages that said nothing to us.
    pub rubbish: u64,
    /// Readings taken in.
    pub readings: u64,
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
    /// Posts answered 403.
    pub forbidden: u64,
    /// Posts without a usable answer.
    pub failed: u64,
    /// Rows ordered to be deleted.
    pub forgotten: u64,
    /// Times that a row found no room.
    pub refused: u64,
    /// Why nobody is posted to (`gone`, `forbidden`, `unreachable`), while that is so.
    pub breaker: Option<Why>,
    /// Age of the newest reading of the last batch when it came off the queue, milliseconds by two
    /// clocks.
    pub queue_lag_ms: Option<i64>,
    /// The last failed receive.
    pub last_queue_error: Option<String>,
    /// The last failed post.
    pub last_post_error: Option<String>,
}

impl Status {
    /// Of two queues together: sums, and of words the later queue's.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            serving: self.serving + other.serving,
            viewers: self.viewers + other.viewers,
            // Every queue carries every reading: the devices are the same.
            devices: self.devices.max(other.devices),
            bytes: self.bytes + other.bytes,
            in_flight: self.in_flight + other.in_flight,
            messages: self.messages + other.messages,
            rubbish: self.rubbish + other.rubbish,
            readings: self.readings + other.readings,
            stale: self.stale + other.stale,
            too_old: self.too_old + other.too_old,
            accepted: self.accepted + other.accepted,
            gone: self.gone + other.gone,
            slow: self.slow + other.slow,
            forbidden: self.forbidden + other.forbidden,
            failed: self.failed + other.failed,
            forgotten: self.forgotten + other.forgotten,
            refused: self.refused + other.refused,
            breaker: other.breaker.or(self.breaker),
            queue_lag_ms: self.queue_lag_ms.max(other.queue_lag_ms),
            last_queue_error: other.last_queue_error.or(self.last_queue_error),
            last_post_error: other.last_post_error.or(self.last_post_error),
        }
    }
}

/// Lets one warning a minute through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    pub(super) fn may(&mut self, now: Instant) -> bool {
        let may = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= WARN_EVERY);
        if may {
            self.last = Some(now);
        }
        may
    }
}

/// Counts, publishes, warns.
#[derive(Debug)]
pub(super) struct Report {
    status: watch::Sender<Status>,
    /// The queue's place, as a label.
    queue: String,
    published: Counts,
    published_at: Millis,
    messages: u64,
    rubbish: u64,
    unreadable: u64,
    lag: Option<i64>,
    post_error: Option<String>,
    warned_rubbish: Seldom,
    warned_forbidden: Seldom,
}

impl Report {
    pub(super) fn new(status: watch::Sender<Status>, place: QueuePlace, now: Millis) -> Self {
        // There at 0 from the start: of a series that begins with its first event, `increase` would
        // not see that event.
        for result in ["handled", "rubbish"] {
            counter!(metric::MESSAGES, "result" => result).increment(0);
        }
        for why in Farewell::ALL {
            counter!(metric::CONNECTIONS_FORGOTTEN, "reason" => why.as_str()).increment(0);
        }
        Self {
            status,
            queue: place.index.to_string(),
            published: Counts::default(),
            published_at: now,
            messages: 0,
            rubbish: 0,
            unreadable: 0,
            lag: None,
            post_error: None,
            warned_rubbish: Seldom::default(),
            warned_forbidden: Seldom::default(),
        }
    }

    pub(super) fn handled(&mut self) {
        self.messages += 1;
        counter!(metric::MESSAGES, "result" => "handled").increment(1);
    }

    pub(super) fn rubbish(&mut self, why: &Rubbish) {
        self.rubbish += 1;
        counter!(metric::MESSAGES, "result" => "rubbish").increment(1);
        if self.warned_rubbish.may(Instant::now()) {
            tracing::warn!(
                total = self.rubbish,
                %why,
                "message on the live queue is not understood and is deleted"
            );
        }
    }

    pub(super) fn unreadable(&mut self, readings: u64) {
        if readings == 0 {
            return;
        }
        self.unreadable += readings;
        counter!(metric::LIVE_DROPPED, "reason" => "failed").increment(readings);
        if self.warned_rubbish.may(Instant::now()) {
            tracing::warn!(
                total = self.unreadable,
                "readings on the live queue are not understood"
            );
        }
    }

    pub(super) fn lag(&mut self, wall: EpochMillis, readings: &[WireReading]) {
        if let Some(newest) = readings.iter().map(|reading| reading.arrival_ms).max() {
            self.lag = Some(wall.0.saturating_sub(newest.0));
        }
    }

    pub(super) fn posting(&self, frame: &str) {
        histogram!(metric::FRAME_BYTES).record(frame.len() as f64);
    }

    pub(super) fn posted(&mut self, ended: &Ended, clock: &Clock) -> Outcome {
        let took = clock.now().since(ended.began);
        histogram!(metric::POST_SECONDS).record(took.as_secs_f64());
        let outcome = outcome_of(&ended.result);
        match (&ended.result, &outcome) {
            (_, Outcome::Answered(Posted::Forbidden(words))) => {
                if self.warned_forbidden.may(Instant::now()) {
                    tracing::warn!(
                        answer = words,
                        "posting to viewers is forbidden: check the management endpoint and \
                         the permission execute-api:ManageConnections; no connection is deleted"
                    );
                }
                self.post_error = Some(words.clone());
            }
            (Err(failed), _) => self.post_error = Some(failed.to_string()),
            (Ok(_), _) => {}
        }
        outcome
    }

    pub(super) fn forgetting(&self, why: Farewell) {
        counter!(metric::CONNECTIONS_FORGOTTEN, "reason" => why.as_str()).increment(1);
    }

    /// The one use of Kinesis's clock beside ours: display.
    pub(super) fn shown(&self, oldest: EpochMillis, wall: EpochMillis) {
        let took = wall.0.saturating_sub(oldest.0).max(0);
        histogram!(metric::ARRIVAL_TO_POST_SECONDS).record(took as f64 / 1000.0);
    }

    pub(super) fn opened(&self, why: Why) {
        match why {
            Why::Gone => tracing::warn!(
                "nearly every viewer answers as gone and none accepts: the management endpoint is \
                 suspected; no connection is deleted, one is tried a second"
            ),
            Why::Forbidden => tracing::warn!("posting to viewers is paused: it is forbidden"),
            Why::Unreachable => tracing::warn!(
                last_error = self.post_error,
                "posting to viewers is paused: the management endpoint does not answer"
            ),
        }
    }

    pub(super) fn closed(&self) {
        tracing::info!("posting to viewers goes on: a post was accepted");
    }

    pub(super) fn publish_if_due(&mut self, core: &Core, now: Now) {
        if now.mono.since(self.published_at) >= PUBLISH_EVERY {
            self.publish(core, now);
        }
    }

    pub(super) fn publish(&mut self, core: &Core, now: Now) {
        self.published_at = now.mono;
        let counts = *core.counts();
        self.count(&counts);
        let open = core.breaker();
        self.gauges(1.0, core.viewers(), core.in_flight(), open);
        self.status.send_modify(|status| {
            *status = Status {
                serving: 1,
                viewers: core.viewers(),
                devices: core.devices(),
                bytes: core.bytes(),
                in_flight: core.in_flight(),
                messages: self.messages,
                rubbish: self.rubbish,
                readings: counts.taken,
                stale: counts.stale,
                too_old: counts.too_old,
                accepted: counts.accepted,
                gone: counts.gone,
                slow: counts.slow,
                forbidden: counts.forbidden,
                failed: counts.failed,
                forgotten: counts.forgotten,
                refused: counts.refused,
                breaker: open,
                queue_lag_ms: self.lag,
                last_queue_error: status.last_queue_error.take(),
                last_post_error: self.post_error.clone(),
            };
        });
    }

    fn gauges(&self, serving: f64, viewers: usize, in_flight: usize, open: Option<Why>) {
        let queue = &self.queue;
        gauge!(metric::QUEUE_SERVED, "queue" => queue.clone()).set(serving);
        gauge!(metric::VIEWERS, "queue" => queue.clone()).set(viewers as f64);
        gauge!(metric::POSTS_IN_FLIGHT, "queue" => queue.clone()).set(in_flight as f64);
        for why in Why::ALL {
            let is_open = f64::from(u8::from(open == Some(why)));
            let open =
                gauge!(metric::BREAKER_OPEN, "queue" => queue.clone(), "why" => why.as_str());
            open.set(is_open);
        }
    }

    /// Adds what came since the last time to the counters.
    fn count(&mut self, counts: &Counts) {
        let old = std::mem::replace(&mut self.published, *counts);
        let readings = [
            ("taken", counts.taken - old.taken),
            ("stale", counts.stale - old.stale),
            ("too_old", counts.too_old - old.too_old),
        ];
        for (fate, more) in readings {
            counter!(metric::LIVE_READINGS, "fate" => fate).increment(more);
        }
        let posts = [
            ("accepted", counts.accepted - old.accepted),
            ("gone", counts.gone - old.gone),
            ("slow", counts.slow - old.slow),
            ("too_large", counts.too_large - old.too_large),
            ("forbidden", counts.forbidden - old.forbidden),
            ("failed", counts.failed - old.failed),
        ];
        for (result, more) in posts {
            counter!(metric::POSTS, "result" => result).increment(more);
        }
        let dropped = [
            ("overflow", counts.dropped_overflow - old.dropped_overflow),
            ("failed", counts.dropped_failed - old.dropped_failed),
        ];
        for (reason, more) in dropped {
            counter!(metric::LIVE_DROPPED, "reason" => reason).increment(more);
        }
    }
}

/// The queue is somebody else's from now on.
impl Drop for Report {
    fn drop(&mut self) {
        self.gauges(0.0, 0, 0, None);
    }
}
