//! The breaker: tells viewers that are gone from an endpoint that is wrong.
//!
//! ```text
//!           20 Gone, more than all else, without a success
//!           3 viewers forbidden / 20 failures in a row without a success
//!  Closed ----------------------------------------------------> Open: one probe a second
//!    ^                                                            |   (403: ever rarer)
//!    +------------------ any accepted post ----------------------+
//! ```
//!
//! Open for 403 or silence, nobody is posted to but by the probes. Open for 410, those who
//! answered so are held and probed, while the others are served as ever: in a crowd that died at
//! once the few who live must not wait for a probe to find them.
//!
//! While it is open, and already from the 20th Gone without a success on, no row is deleted on the
//! strength of a 410 (promise V1: a row is deleted only for a connection that is gone). So a wrong
//! endpoint costs at most [`GONE_MIN`] - 1 rows however long it stays wrong, and however slowly the
//! answers come; the window of 30 s in which a busy fleet would count is the special case.

use std::time::Duration;

use crate::model::Millis;

/// So many Gone without a success are not believed.
pub const GONE_MIN: u32 = 20;

/// So many viewers answered 403 without a success say that the endpoint or the permission is wrong.
/// More than one, since a single strange row may meet a 403 of its own; fewer viewers than these
/// are counted by their posts.
pub const FORBIDDEN_MIN: u32 = 3;

/// So many failed calls without a success say that the endpoint is out of reach.
pub const FAILED_MIN: u32 = 20;

/// Between probes while open.
pub const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The longest wait between probes at an endpoint that forbids: a person has to mend it.
pub const FORBIDDEN_WAIT_MAX: Duration = Duration::from_secs(30);

/// Why the breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Too many 410.
    Gone,
    /// 403.
    Forbidden,
    /// No answer.
    Unreachable,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gone, Self::Forbidden, Self::Unreachable];

    /// A word for logs and `/state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Forbidden => "forbidden",
            Self::Unreachable => "unreachable",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        why: Why,
        probe_at: Millis,
        wait: Duration,
    },
}

/// Answers since the last accepted post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    gone: u32,
    forbidden: u32,
    failed: u32,
    slow: u32,
}

/// Whether anybody may be posted to, and whether a 410 is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    run: Run,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            run: Run::default(),
        }
    }
}

impl Breaker {
    /// Why it is open, if it is.
    #[must_use]
    pub fn open(&self) -> Option<Why> {
        match self.state {
            State::Closed => None,
            State::Open { why, .. } => Some(why),
        }
    }

    /// When the next probe may go out, where nobody is posted to meanwhile: a 410 is one viewer's
    /// answer and holds up no other, while 403 and silence are the endpoint's.
    #[must_use]
    pub fn paused_until(&self) -> Option<Millis> {
        match self.state {
            State::Closed | State::Open { why: Why::Gone, .. } => None,
            State::Open { probe_at, .. } => Some(probe_at),
        }
    }

    /// Whether a call may go out now; where posting is paused, this takes the probe.
    pub fn admit(&mut self, now: Millis) -> bool {
        match &mut self.state {
            State::Closed | State::Open { why: Why::Gone, .. } => true,
            State::Open { probe_at, wait, .. } => {
                let due = *probe_at <= now;
                if due {
                    *probe_at = now + *wait;
                }
                due
            }
        }
    }

    /// A post was accepted; true where this closed it.
    pub fn accepted(&mut self) -> bool {
        let was_open = self.open().is_some();
        *self = Self::default();
        was_open
    }

    /// A 429: says nothing about the endpoint.
    pub fn slow(&mut self) {
        self.run.slow = self.run.slow.saturating_add(1);
    }

    /// A 410 that would have a row deleted; true where it is to be believed.
    pub fn gone(&mut self, now: Millis) -> bool {
        self.run.gone = self.run.gone.saturating_add(1);
        let Run {
            gone,
            forbidden,
            failed,
            slow,
        } = self.run;
        if gone >= GONE_MIN && gone > forbidden.saturating_add(failed).saturating_add(slow) {
            self.open_for(Why::Gone, now);
        }
        gone < GONE_MIN && self.open().is_none()
    }

    /// A 403 that may be the endpoint's: the first of its viewer, or a probe's.
    pub fn forbidden(&mut self, now: Millis) {
        self.run.forbidden = self.run.forbidden.saturating_add(1);
        if self.run.forbidden >= FORBIDDEN_MIN {
            self.open_for(Why::Forbidden, now);
        }
    }

    /// No usable answer.
    pub fn failed(&mut self, now: Millis) {
        self.run.failed = self.run.failed.saturating_add(1);
        if self.run.failed >= FAILED_MIN {
            self.open_for(Why::Unreachable, now);
        }
    }

    fn open_for(&mut self, why: Why, now: Millis) {
        match &mut self.state {
            State::Closed => {
                self.state = State::Open {
                    why,
                    probe_at: now + PROBE_EVERY,
                    wait: PROBE_EVERY,
                };
            }
            State::Open {
                why: reason,
                wait,
                probe_at,
            } => {
                *reason = why;
                if why == Why::Forbidden {
                    // Answers to posts that were under way as it opened come within one wait.
                    *wait = (*wait * 2).min(FORBIDDEN_WAIT_MAX);
                    *probe_at = (*probe_at).max(now + *wait);
                } else {
                    *wait = PROBE_EVERY;
                }
            }
        }
    }
}
