//! A shard that is subscribed to: events as the stream sends them, polled while there is no
//! subscription. When to do what is decided in [`crate::pipeline::subscribing`].

use std::time::Duration;

use super::polled::Polled;
use super::{Fetched, Reader};
use crate::door::Faulty as _;
use crate::door::stream::{Error, Event, Stream, Subscription as _};
use crate::door::time_series::TimeSeries;
use crate::model::{Fault, Millis, SequenceNumber, Start};
use crate::pipeline::Input;
use crate::pipeline::subscribing::{Step, Subscribing, Tell, Why};
use crate::service::worker::{Note, ReadBy};
use crate::service::{entropy, metric};

/// How long an event may take from its first byte to its last; as long as an answer of
/// `GetRecords`, and as large.
const EVENT_MAX: Duration = Duration::from_secs(15);

/// A subscription goes on after its predecessor's last event if that came so short a time ago that
/// retention (AWS: a day at least) can have dropped nothing since. Else it begins at the last record
/// read, which proves by being there that nothing is missing.
const GOES_ON_FOR: Duration = Duration::from_secs(300);

/// Where a subscription was when it last said so.
pub(in crate::service::worker) struct Continuation {
    /// It goes on after this, at or behind the last record read.
    seq: SequenceNumber,
    at: Millis,
}

/// A shard as it is subscribed to.
pub(super) struct Pushed<P> {
    plan: Subscribing,
    subscription: Option<P>,
    /// Whether it was said that nothing is read.
    blocked: bool,
}

/// What a reader does next.
pub(super) enum Next {
    /// Ask for records.
    Poll,
    /// Take in an event that has begun to arrive.
    Event {
        /// Its size on the wire.
        bytes: u64,
    },
    /// Nothing: the stream does not list the shard any more.
    Gone,
}

impl<S: Stream, T: TimeSeries, Q: Send + Sync + 'static, D: Send + Sync + 'static>
    Reader<S, T, Q, D>
{
    /// How the shard is subscribed to, where it is.
    pub(super) fn pushed(&self) -> Option<Pushed<S::Subscription>> {
        let is_so = self.parts.stream.has_consumer(&self.shard);
        is_so.then(|| Pushed {
            plan: Subscribing::new(self.clock.now(), self.options.falls_back),
            subscription: None,
            blocked: false,
        })
    }

    /// Waits until there is something to read.
    pub(super) async fn next(
        &mut self,
        pushed: &mut Pushed<S::Subscription>,
        polled: &mut Polled,
    ) -> Next {
        loop {
            let now = self.clock.now();
            let Some(subscription) = &mut pushed.subscription else {
                let until = match pushed.plan.step(now) {
                    Step::Call => {
                        if self.subscribe(pushed).await {
                            return Next::Gone;
                        }
                        // A subscription soon leaves its place behind. And where none was opened,
                        // reading goes on *at* the last record, which proves that none is missing.
                        polled.iterator = None;
                        continue;
                    }
                    Step::Wait { until } => until,
                    Step::PollOnly => return self.next_poll(polled).await,
                    Step::Poll { .. } if polled.pace.next <= now => {
                        self.is_read_by(ReadBy::Polling).await;
                        return Next::Poll;
                    }
                    Step::Poll { until } => until.min(polled.pace.next),
                };
                tokio::time::sleep_until(self.clock.timer(until)).await;
                continue;
            };
            let alarm = self.clock.timer(pushed.plan.alarm());
            let outcome = tokio::select! {
                biased;
                () = tokio::time::sleep_until(alarm) => Ok(None),
                arrived = subscription.arrived() => arrived,
            };
            if let Ok(Some(bytes)) = outcome {
                return Next::Event { bytes };
            }
            self.ended(pushed, outcome.err()).await;
        }
    }

    /// Takes in an event; none where the subscription is over.
    pub(super) async fn event(&mut self, pushed: &mut Pushed<S::Subscription>) -> Option<Fetched> {
        let subscription = pushed.subscription.as_mut()?;
        let outcome = tokio::time::timeout(EVENT_MAX, subscription.event()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(stuck()));
        let error = match outcome {
            Ok(Some(event)) => {
                let mut fetched = self.heard(pushed, event).await;
                let goes_on = self.take_back_end(&mut fetched).await;
                if !self.leads_on(&fetched) || goes_on {
                    self.continuation = None;
                    self.ended(pushed, None).await;
                }
                return Some(fetched);
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        self.tell(Note::Input(Input::NoPage(self.slot))).await;
        self.ended(pushed, error).await;
        None
    }

    async fn heard(&mut self, pushed: &mut Pushed<S::Subscription>, event: Event) -> Fetched {
        let at = self.clock.now();
        pushed.plan.heard(at);
        if let Some(seq) = event.continuation.clone() {
            self.continuation = Some(Continuation { seq, at });
        }
        if std::mem::take(&mut pushed.blocked) {
            self.tell(Note::Well(self.part())).await;
        }
        let is_empty = event.records.is_empty();
        let result = if is_empty { "empty" } else { "ok" };
        metrics::counter!(metric::EVENTS, "result" => result).increment(1);
        event.into()
    }

    /// Asks for a subscription; whether the shard turned out to be gone.
    async fn subscribe(&mut self, pushed: &mut Pushed<S::Subscription>) -> bool {
        let now = self.clock.now();
        let recent = |one: &&Continuation| now.since(one.at) < GOES_ON_FOR;
        let start = match self.continuation.as_ref().filter(recent) {
            Some(continuation) => Start::After(continuation.seq.clone()),
            None => {
                if let Some(done) = self.resume.again() {
                    self.backlog.go_on(done);
                }
                self.resume.start().clone()
            }
        };
        pushed.plan.called(now);
        let error = match self.parts.stream.subscribe(&self.shard, &start).await {
            Ok(subscription) => {
                pushed.plan.opened(self.clock.now(), entropy::fraction());
                pushed.subscription = Some(subscription);
                count("opened");
                self.is_read_by(ReadBy::FanOut).await;
                return false;
            }
            Err(error) => error,
        };
        if self.is_gone(&error).await {
            return true;
        }
        self.refused(pushed, &error).await;
        false
    }

    /// An open subscription is over, by an error or in due time.
    async fn ended(&mut self, pushed: &mut Pushed<S::Subscription>, error: Option<Error>) {
        pushed.subscription = None;
        match error {
            None => pushed.plan.over(self.clock.now()),
            Some(error) => self.refused(pushed, &error).await,
        }
    }

    async fn refused(&mut self, pushed: &mut Pushed<S::Subscription>, error: &Error) {
        let why = match error {
            Error::Held { .. } => Why::Held,
            // Perhaps the continuation is not understood; else the oldest record left may do.
            Error::PlaceGone { .. } if self.continuation.take().is_some() => Why::Passing,
            Error::PlaceGone { .. } if self.resume.gone() => Why::Passing,
            // The shard is there, so it is the consumer that is not: it is registered again.
            Error::NotFound { .. } => Why::Passing,
            error => match error.fault() {
                Fault::Rejected if self.continuation.take().is_some() => Why::Passing,
                Fault::Fatal | Fault::Rejected => Why::Fatal,
                Fault::Conflict | Fault::Throttled | Fault::Transient => Why::Passing,
            },
        };
        count(match (why, error.fault()) {
            (Why::Held, _) => "held",
            (_, Fault::Throttled) => "throttled",
            (Why::Fatal, _) => "refused",
            (Why::Passing, _) => "failed",
        });
        let dice = entropy::fraction();
        match pushed.plan.failed(self.clock.now(), why, dice) {
            Tell::Nothing => {}
            Tell::StillFails => tracing::warn!(
                shard_id = self.shard.as_str(),
                error = %error,
                "this shard cannot be subscribed to for a while now, and is polled; where it is \
                 held by another subscription, another application may use the same consumer"
            ),
            Tell::FellBack => {
                self.is_read_by(ReadBy::Polling).await;
                let note = Note::FellBack(self.shard.clone(), error.to_string());
                self.tell(note).await;
            }
            Tell::Blocked => {
                pushed.blocked = true;
                self.failed(error).await;
            }
        }
    }

    async fn is_read_by(&mut self, by: ReadBy) {
        if self.by != by {
            self.by = by;
            self.tell(Note::ReadBy(self.slot, by)).await;
        }
    }
}

fn stuck() -> Error {
    Error::Call(crate::door::fault::CallFailed {
        operation: "SubscribeToShard",
        fault: Fault::Transient,
        message: "an event did not come to its end in time".to_owned(),
    })
}

fn count(result: &'static str) {
    metrics::counter!(metric::SUBSCRIPTIONS, "result" => result).increment(1);
}
