//! Requests to sinks. Each task repeats its request until there is a final answer; what that
//! means is the pipeline's business.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Note;
use super::trouble::{Failure, Origin, Part};
use crate::door::dead_letters::DeadLetters;
use crate::door::fault::CallFailed;
use crate::door::queue::QueueSender;
use crate::door::time_series::TimeSeries;
use crate::model::{DeadLetter, Fault, Outgoing, Reading, RejectionKind, Sent};
use crate::pipeline::message::Format;
use crate::pipeline::{Answer, FlightId, Input, Prepared, Refusal, StoreOptions};
use crate::service::clock::Clock;
use crate::service::traces::{Tracer, UnderWay};
use crate::service::{entropy, metric};

/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause: a sink that is back is noticed within this. Timestream wants throttled
/// writers to keep at it, since it grows by their pressure.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A store's name in metrics and `/state`.
pub(super) fn store_part(store: &StoreOptions) -> Part {
    Part(store.label.clone())
}

/// A queue's name in metrics and `/state`.
pub(super) fn queue_part(queue: usize) -> Part {
    Part(match queue {
        0 => "queue".to_owned(),
        later => format!("queue_{}", later + 1),
    })
}

/// The dead-letter queue's name in metrics and `/state`.
pub(super) fn letters_part() -> Part {
    Part("dead_letters".to_owned())
}

/// What every request needs.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) part: Part,
    pub(super) flight: FlightId,
    /// Fires when nobody waits for it.
    pub(super) stop: CancellationToken,
    /// Fires when it is not to be repeated as it is.
    pub(super) recalled: CancellationToken,
    pub(super) clock: Clock,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) tracer: Tracer,
}

/// One request under way.
struct Attempts {
    crew: Crew,
    pauses: ExponentialBackoff,
    failed: bool,
    trace: UnderWay,
}

impl Attempts {
    fn new(crew: Crew, readings: usize, trace: UnderWay) -> Self {
        let part = crew.part.0.clone();
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!(metric::SINK_BATCH_READINGS, "sink" => part).record(readings as f64);
        let pauses = ExponentialBuilder::new()
            .with_min_delay(PAUSE_MIN)
            // Jitter adds up to as much again.
            .with_max_delay(PAUSE_MAX / 2)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(entropy::seed())
            .build();
        Self {
            crew,
            pauses,
            failed: false,
            trace,
        }
    }

    /// Calls once and counts it.
    async fn call<A>(
        &mut self,
        call: impl Future<Output = Result<A, CallFailed>>,
        is_partial: impl Fn(&A) -> bool,
    ) -> Result<A, CallFailed> {
        let sent = self.crew.clock.now();
        self.trace.attempt();
        let outcome = call.await;
        let part = self.crew.part.0.clone();
        let took = self.crew.clock.now().since(sent);
        metrics::histogram!(metric::SINK_REQUEST_SECONDS, "sink" => part.clone()).record(took);
        let result = match &outcome {
            Ok(answer) if is_partial(answer) => "partial",
            Ok(_) => "ok",
            Err(error) => match error.fault {
                Fault::Throttled => "throttled",
                Fault::Rejected => "rejected",
                Fault::Fatal => "fatal",
                Fault::Transient | Fault::Conflict => "transient",
            },
        };
        metrics::counter!(metric::SINK_REQUESTS, "sink" => part, "result" => result).increment(1);
        outcome
    }

    /// Reports a failure and waits before the next attempt.
    async fn pause(&mut self, fault: Fault, message: String) {
        self.failed = true;
        self.trace.failed(fault);
        let part = self.crew.part.clone();
        let failure = Failure {
            origin: Origin::Request(self.crew.flight),
            part,
            fault,
            message,
        };
        self.tell(Note::Failed(failure)).await;
        let pause = self.pauses.next().unwrap_or(PAUSE_MAX);
        tokio::time::sleep(pause).await;
    }

    /// As [`Attempts::pause`], of a request of which nothing is taken: `true` where it was
    /// recalled and answered so.
    async fn pause_or_recall(&mut self, fault: Fault, message: String) -> bool {
        let recalled = self.crew.recalled.clone();
        let paused = recalled.run_until_cancelled(self.pause(fault, message));
        if paused.await.is_some() {
            return false;
        }
        let (flight, answer) = (self.crew.flight, Answer::Recalled);
        self.tell(Note::Input(Input::Answered { flight, answer }))
            .await;
        true
    }

    /// Leaves the sink alone for as long as it asked: `true` where the request was recalled
    /// meanwhile and answered so.
    async fn wait_or_recall(&mut self, pause: Duration) -> bool {
        if pause.is_zero() {
            return false;
        }
        let recalled = &self.crew.recalled;
        let waited = recalled.run_until_cancelled(tokio::time::sleep(pause));
        if waited.await.is_some() {
            return false;
        }
        self.answer(Answer::Recalled).await;
        true
    }

    async fn answer(&mut self, answer: Answer) {
        self.trace.end(|place| told(&answer, place));
        if self.failed {
            self.tell(Note::Well(self.crew.part.clone())).await;
        }
        let flight = self.crew.flight;
        self.tell(Note::Input(Input::Answered { flight, answer }))
            .await;
    }

    async fn tell(&self, note: Note) {
        if self.crew.notes.send(note).await.is_err() {
            tracing::debug!("a request ended after its worker");
        }
    }
}

/// What an answer says of the reading at a place.
fn told(answer: &Answer, place: usize) -> (&'static str, bool) {
    match answer {
        Answer::Taken(refusals) => match refusals.iter().find(|one| one.index == place) {
            Some(refusal) => (refusal.kind.as_str(), false),
            None => ("taken", true),
        },
        // Smaller parts follow, each a request of its own.
        Answer::Rejected(_) => ("rejected", false),
        Answer::Recalled => ("recalled", false),
    }
}

/// Writes a batch to the store.
pub(super) async fn write<T: TimeSeries>(crew: Crew, store: Arc<T>, batch: Vec<Arc<Prepared>>) {
    let readings: Vec<Reading> = batch.iter().map(|one| one.reading.clone()).collect();
    let trace = UnderWay::write(&crew.tracer, &crew.part.0, &batch);
    let mut attempts = Attempts::new(crew, readings.len(), trace);
    loop {
        if attempts.wait_or_recall(store.asked_pause()).await {
            return;
        }
        let call = store.write(&readings);
        match attempts
            .call(call, |rejections| !rejections.is_empty())
            .await
        {
            Ok(rejections) => {
                let refusals = rejections.into_iter().map(|rejection| Refusal {
                    index: rejection.index,
                    kind: rejection.kind,
                    reason: rejection.reason,
                });
                return attempts.answer(Answer::Taken(refusals.collect())).await;
            }
            Err(error) if error.fault == Fault::Rejected => {
                return attempts.answer(Answer::Rejected(error.message)).await;
            }
            Err(error) => {
                let message = error.to_string();
                if attempts.pause_or_recall(error.fault, message).await {
                    return;
                }
            }
        }
    }
}

/// The largest body that a trace goes along with: beyond, its few bytes could cost another unit of
/// 64 KB, or the message its place in the queue.
const TRACED_BODY_MAX: usize = 64 * 1024 - 256;

/// Has each message say which reading in it is followed: of several the first, since a message's
/// attribute names one.
fn tell(messages: &mut [Outgoing], trace: &UnderWay) {
    let alone = messages.len() == 1;
    for (place, context) in trace.contexts() {
        let message = messages.get_mut(if alone { 0 } else { place });
        if let Some(message) = message.filter(|one| one.body.len() <= TRACED_BODY_MAX) {
            message.trace.get_or_insert(context);
        }
    }
}

/// Sends a batch to a queue; only what failed is sent again.
pub(super) async fn send<Q: QueueSender>(
    crew: Crew,
    queue: Arc<Q>,
    format: Format,
    grouped: bool,
    batch: Vec<Arc<Prepared>>,
) {
    let trace = UnderWay::send(&crew.tracer, &crew.part.0, &batch);
    let mut messages = format.messages(&batch, grouped);
    tell(&mut messages, &trace);
    let mut attempts = Attempts::new(crew, batch.len(), trace);
    drop(batch);
    let all = messages.len();
    // Where each body that is left stood at first.
    let mut places: Vec<usize> = (0..messages.len()).collect();
    let mut refusals = Vec::new();
    loop {
        let partial = |sent: &Vec<Sent>| sent.iter().any(|one| *one != Sent::Accepted);
        let sent = match attempts.call(queue.send_grouped(&messages), partial).await {
            Ok(sent) => sent,
            Err(error) if error.fault == Fault::Rejected => {
                return attempts.answer(Answer::Rejected(error.message)).await;
            }
            Err(error) if messages.len() == all => {
                let message = error.to_string();
                if attempts.pause_or_recall(error.fault, message).await {
                    return;
                }
                continue;
            }
            Err(error) => {
                attempts.pause(error.fault, error.to_string()).await;
                continue;
            }
        };
        let mut again = Vec::new();
        let mut message = None;
        for (index, place) in places.iter().enumerate() {
            match sent.get(index) {
                Some(Sent::Accepted) => {}
                Some(Sent::Refused(reason)) if format == Format::Packed => {
                    return attempts.answer(Answer::Rejected(reason.clone())).await;
                }
                Some(Sent::Refused(reason)) => refusals.push(Refusal {
                    index: *place,
                    kind: RejectionKind::Other,
                    reason: reason.clone(),
                }),
                Some(Sent::Again(reason)) => {
                    message = Some(reason.clone());
                    again.push(index);
                }
                None => again.push(index),
            }
        }
        if again.is_empty() {
            return attempts.answer(Answer::Taken(refusals)).await;
        }
        messages = again
            .iter()
            .map(|index| std::mem::take(&mut messages[*index]))
            .collect();
        places = again.iter().map(|index| places[*index]).collect();
        let message = message.unwrap_or_else(|| "the answer leaves entries out".to_owned());
        attempts.pause(Fault::Transient, message).await;
    }
}

/// Files dead letters.
pub(super) async fn file<D: DeadLetters>(crew: Crew, queue: Arc<D>, letters: Vec<DeadLetter>) {
    let mut attempts = Attempts::new(crew, letters.len(), UnderWay::unseen());
    // Smaller than one letter without its payload it cannot be made: a person must look.
    let is_smallest = letters.len() == 1 && letters[0].data_base64.is_none();
    loop {
        match attempts.call(queue.file(&letters), |()| false).await {
            Ok(()) => return attempts.answer(Answer::Taken(Vec::new())).await,
            Err(error) if error.fault == Fault::Rejected && !is_smallest => {
                return attempts.answer(Answer::Rejected(error.message)).await;
            }
            Err(error) if error.fault == Fault::Rejected => {
                attempts.pause(Fault::Fatal, error.to_string()).await;
            }
            Err(error) => attempts.pause(error.fault, error.to_string()).await,
        }
    }
}
