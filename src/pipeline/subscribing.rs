//! When a shard's records are subscribed to, when again, and what is done meanwhile.
//!
//! A subscription lasts five minutes, and a consumer has one for each shard. AWS takes one call a
//! second for a consumer and shard, refuses one within five seconds of the last that succeeded,
//! whoever made it, and lets a later one take over (API reference of `SubscribeToShard`). So a
//! shard that has just changed hands is refused to its new owner for some seconds: it is polled
//! meanwhile, as it is whenever a subscription cannot be had just now.

use std::time::Duration;

use crate::model::Millis;

/// Least time between two calls for one shard.
const CALL_EVERY: Duration = Duration::from_secs(1);

/// For so long after a call that succeeded the next one is refused.
const HELD_FOR: Duration = Duration::from_secs(5);

/// A subscription is renewed when it is this old, and up to [`RENEW_WITHIN`] sooner, so that shards
/// subscribed to at once are not renewed at once. AWS ends it after 300 s.
const RENEW_AFTER: Duration = Duration::from_secs(280);
const RENEW_WITHIN: Duration = Duration::from_secs(20);

/// A subscription of which nothing is heard for so long is dead: events come every few seconds
/// even without records. KCL's watchdog has the same value.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// The longest pause between two calls that fail.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What passes within this time is not worth a line.
const WORTH_A_WARNING: Duration = Duration::from_secs(30);

/// What a reader without a subscription does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Subscribe.
    Call,
    /// Poll until it is time to subscribe.
    Poll {
        /// Then.
        until: Millis,
    },
    /// Poll for good.
    PollOnly,
    /// Neither works until a person has looked: wait to subscribe.
    Wait {
        /// So long.
        until: Millis,
    },
}

/// Why a call to subscribe failed, or a subscription broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another subscription of this consumer holds the shard.
    Held,
    /// It passes by itself.
    Passing,
    /// It does not, until a person mends something.
    Fatal,
}

/// What to tell of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing: it is expected to pass, and records come by polling.
    Nothing,
    /// It has not passed for a while; said once until it does.
    StillFails,
    /// The shard is polled from now on.
    FellBack,
    /// Nothing is read until it is mended.
    Blocked,
}

/// One shard's subscription, as far as decisions go.
#[derive(Clone, Debug)]
pub struct Subscribing {
    /// Whether what does not pass by itself makes the shard be polled.
    falls_back: bool,
    fell_back: bool,
    blocked: bool,
    /// The next call may be made then.
    next: Millis,
    called: Option<Millis>,
    opened: Option<Millis>,
    renew_at: Millis,
    silent_at: Millis,
    pause: Duration,
    failing_since: Option<Millis>,
    told: bool,
}

impl Subscribing {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(now: Millis, falls_back: bool) -> Self {
        Self {
            falls_back,
            fell_back: false,
            blocked: false,
            next: now,
            called: None,
            opened: None,
            renew_at: now,
            silent_at: now,
            pause: CALL_EVERY,
            failing_since: None,
            told: false,
        }
    }

    /// What to do without a subscription.
    #[must_use]
    pub fn step(&self, now: Millis) -> Step {
        let until = self.next;
        if self.fell_back {
            Step::PollOnly
        } else if now >= until {
            Step::Call
        } else if self.blocked {
            Step::Wait { until }
        } else {
            Step::Poll { until }
        }
    }

    /// A call goes out.
    pub fn called(&mut self, now: Millis) {
        self.called = Some(now);
    }

    /// It succeeded. `dice` is from 0 to 1.
    pub fn opened(&mut self, now: Millis, dice: f64) {
        self.opened = Some(now);
        self.renew_at = now + (RENEW_AFTER - RENEW_WITHIN.mul_f64(dice));
        self.silent_at = now + SILENT_FOR;
        self.blocked = false;
    }

    /// An event came: what failed before has passed.
    pub fn heard(&mut self, now: Millis) {
        self.silent_at = now + SILENT_FOR;
        self.pause = CALL_EVERY;
        self.failing_since = None;
        self.told = false;
    }

    /// When an open subscription is to be given up for a new one, unless something is heard.
    #[must_use]
    pub fn alarm(&self) -> Millis {
        self.renew_at.min(self.silent_at)
    }

    /// The subscription is over: its time has come, by our clock or AWS's.
    pub fn over(&mut self, now: Millis) {
        self.next = self.soonest(now);
    }

    /// The call failed, or the subscription broke off. `dice` is from 0 to 1.
    pub fn failed(&mut self, now: Millis, why: Why, dice: f64) -> Tell {
        if why == Why::Fatal && self.falls_back {
            self.fell_back = true;
            return Tell::FellBack;
        }
        let pause = match why {
            // What holds it lets go within seconds: no reason to come later and later.
            Why::Held => CALL_EVERY,
            Why::Passing | Why::Fatal => self.pause,
        };
        if why != Why::Held {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        self.next = self.soonest(now).max(now + pause.mul_f64(1.0 + dice / 4.0));
        self.blocked = why == Why::Fatal;
        if self.blocked {
            return Tell::Blocked;
        }
        let since = *self.failing_since.get_or_insert(now);
        if self.told || now.since(since) < WORTH_A_WARNING {
            return Tell::Nothing;
        }
        self.told = true;
        Tell::StillFails
    }

    /// The soonest call that AWS takes.
    fn soonest(&self, now: Millis) -> Millis {
        let paced = self.called.map_or(now, |called| called + CALL_EVERY);
        let held = self.opened.map_or(now, |opened| opened + HELD_FOR);
        now.max(paced).max(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_000_000);

    fn after(seconds: u64) -> Millis {
        START + Duration::from_secs(seconds)
    }

    fn opened(dice: f64) -> Subscribing {
        let mut plan = Subscribing::new(START, false);
        assert_eq!(plan.step(START), Step::Call);
        plan.called(START);
        plan.opened(START, dice);
        plan
    }

    #[test]
    fn a_subscription_is_renewed_before_its_five_minutes_end() {
        for (dice, seconds) in [(0.0, 280), (0.5, 270), (1.0, 260)] {
            let mut plan = opened(dice);
            for second in 0..seconds {
                plan.heard(after(second));
                assert!(plan.alarm() > after(second));
            }
            assert_eq!(plan.alarm(), after(seconds));
            plan.over(after(seconds));
            assert_eq!(plan.step(after(seconds)), Step::Call);
        }
    }

    #[test]
    fn one_of_which_nothing_is_heard_is_given_up() {
        let mut plan = opened(0.0);
        plan.heard(after(40));
        assert_eq!(plan.alarm(), after(100));
    }

    #[test]
    fn one_that_ends_at_once_is_not_asked_for_where_aws_would_refuse() {
        let mut plan = opened(0.0);
        plan.over(after(2));
        assert_eq!(plan.step(after(2)), Step::Poll { until: after(5) });
        assert_eq!(plan.step(after(5)), Step::Call);
    }

    #[test]
    fn a_shard_held_by_its_last_owner_is_polled_and_asked_for_each_second() {
        let mut plan = Subscribing::new(START, false);
        let mut calls = 0;
        let mut now = START;
        while now < after(5) {
            match plan.step(now) {
                Step::Call => {
                    calls += 1;
                    plan.called(now);
                    assert_eq!(plan.failed(now, Why::Held, 0.5), Tell::Nothing);
                }
                Step::Poll { until } => now = until,
                other => panic!("{other:?}"),
            }
        }
        assert!((4..=5).contains(&calls), "{calls} calls in five seconds");
    }

    #[test]
    fn what_fails_for_long_is_told_once() {
        let mut plan = Subscribing::new(START, true);
        let mut told = Vec::new();
        let mut calls = 0;
        let mut now = START;
        while now < after(300) {
            match plan.step(now) {
                Step::Call => {
                    calls += 1;
                    plan.called(now);
                    if plan.failed(now, Why::Passing, 0.0) == Tell::StillFails {
                        told.push(now);
                    }
                }
                Step::Poll { until } => now = until,
                other => panic!("{other:?}"),
            }
        }
        assert!((58..=65).contains(&calls), "{calls} calls in five minutes");
        assert_eq!(told.len(), 1, "{told:?}");
        plan.called(now);
        plan.opened(now, 0.0);
        plan.heard(now);
        plan.over(now + SILENT_FOR);
        assert_eq!(plan.step(now + SILENT_FOR), Step::Call);
        assert_eq!(
            plan.failed(now + SILENT_FOR, Why::Passing, 0.0),
            Tell::Nothing
        );
    }

    #[test]
    fn what_a_person_must_mend_falls_back_only_where_that_is_wanted() {
        let mut auto = Subscribing::new(START, true);
        auto.called(START);
        assert_eq!(auto.failed(START, Why::Fatal, 0.0), Tell::FellBack);
        assert_eq!(auto.step(after(3_600)), Step::PollOnly);

        let mut strict = Subscribing::new(START, false);
        strict.called(START);
        assert_eq!(strict.failed(START, Why::Fatal, 0.0), Tell::Blocked);
        assert_eq!(strict.step(START), Step::Wait { until: after(1) });
        assert_eq!(strict.step(after(1)), Step::Call);
        strict.called(after(1));
        strict.opened(after(1), 0.0);
        strict.over(after(2));
        assert_eq!(strict.step(after(2)), Step::Poll { until: after(6) });
    }
}
