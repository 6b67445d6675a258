//! Receivers: long polls, and the deletion of what was handled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::report::{Seldom, Status};
use crate::door::queue::{QueueReceiver, Received};
use crate::model::{EpochNanos, TraceContext};
use crate::push::viewer::backoff;
use crate::service::clock;

/// SQS deletes ten messages a call at most.
const DELETE_MAX: usize = 10;

/// Tries to delete; what is left then comes back and is shown again at worst.
const DELETE_TRIES_MAX: u32 = 5;

/// First and longest wait between tries to delete.
const DELETE_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// First and longest wait after a failed receive.
const RECEIVE_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Beyond its long poll, a receive that has not answered hangs: field reports of the SDK know that.
const HUNG: Duration = Duration::from_secs(15);

/// After an empty answer that came at once (a queue set to short polls), so as not to spin.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

/// Failed receives in a row before a person is told.
const FAILURES_BEFORE_WARNING: u32 = 3;

/// Messages of one receive, and the way to say that they were handled.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<(String, Option<TraceContext>)>,
    /// When they came, for traces.
    pub(super) at: EpochNanos,
    handled: oneshot::Sender<()>,
}

impl Batch {
    /// Their messages may be deleted.
    pub(super) fn handled(self) {
        if self.handled.send(()).is_err() {
            tracing::debug!("receiver has ended: its messages will come again");
        }
    }
}

/// One long poll after another.
#[derive(Debug)]
pub(super) struct Receiver<Q> {
    queue: Arc<Q>,
    wait: Duration,
    batches: mpsc::Sender<Batch>,
    warned: Seldom,
}

impl<Q: QueueReceiver> Receiver<Q> {
    pub(super) fn new(queue: Arc<Q>, wait: Duration, batches: mpsc::Sender<Batch>) -> Self {
        Self {
            queue,
            wait,
            batches,
            warned: Seldom::default(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken, status: watch::Sender<Status>) {
        let mut failures = 0;
        loop {
            let began = tokio::time::Instant::now();
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = tokio::time::timeout(self.wait + HUNG, self.queue.receive(self.wait)) => received,
            };
            let pause = match received {
                Ok(Ok(messages)) if messages.is_empty() => {
                    failures = 0;
                    EMPTY_PAUSE.saturating_sub(began.elapsed())
                }
                Ok(Ok(messages)) => {
                    failures = 0;
                    if !self.hand_on(messages).await {
                        return;
                    }
                    continue;
                }
                Ok(Err(error)) => {
                    failures += 1;
                    self.failed(failures, &error.to_string(), &status);
                    backoff(RECEIVE_WAIT, failures)
                }
                Err(_) => {
                    failures += 1;
                    self.failed(failures, "no answer in time", &status);
                    Duration::ZERO
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn failed(&mut self, failures: u32, error: &str, status: &watch::Sender<Status>) {
        status.send_modify(|status| status.last_queue_error = Some(error.to_owned()));
        if failures >= FAILURES_BEFORE_WARNING && self.warned.may(tokio::time::Instant::now()) {
            tracing::warn!(failures, error, "live queue cannot be received from");
        }
    }

    /// Hands messages to the main loop and deletes them once they are handled; false where the main
    /// loop has ended.
    async fn hand_on(&self, messages: Vec<Received>) -> bool {
        let (handled, done) = oneshot::channel();
        let at = clock::wall_nanos();
        let (receipts, messages): (Vec<String>, Vec<_>) = messages
            .into_iter()
            .map(|message| (message.receipt, (message.body, message.trace)))
            .unzip();
        let batch = Batch {
            messages,
            at,
            handled,
        };
        if self.batches.send(batch).await.is_err() || done.await.is_err() {
            return false;
        }
        for chunk in receipts.chunks(DELETE_MAX) {
            self.delete(chunk.to_vec()).await;
        }
        true
    }

    async fn delete(&self, mut receipts: Vec<String>) {
        for tried in 1..=DELETE_TRIES_MAX {
            match self.queue.delete(&receipts).await {
                Ok(left) => receipts = left,
                Err(error) => tracing::debug!(%error, tried, "messages were not deleted"),
            }
            if receipts.is_empty() {
                return;
            }
            if tried < DELETE_TRIES_MAX {
                tokio::time::sleep(backoff(DELETE_WAIT, tried)).await;
            }
        }
        tracing::info!(
            messages = receipts.len(),
            "handled messages could not be deleted and will come again"
        );
    }
}
