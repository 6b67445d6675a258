//! One queue's seat: wait for it, serve while it is held, let it go at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::report::{Seldom, Status};
use super::{Broken, Options, Parts, run};
use crate::door::connections::{Connections, Screens, Seats};
use crate::door::queue::QueueReceiver;
use crate::model::{HolderId, Millis};
use crate::push::seat::{Claim, Held, LOOK_EVERY, Verdict, Watch};
use crate::service::clock::Clock;
use crate::service::metric;

/// A call of the table is given up after this: three fit between a renewal and the seat's end.
const CALL_MAX: Duration = Duration::from_millis(1_300);

/// After a renewal that failed.
const AGAIN: Duration = Duration::from_millis(300);

/// Letting go is tried so long; then the seat runs out by itself.
const RELEASE_MAX: Duration = Duration::from_millis(1_300);

/// This process among the broadcasters; clones share how many seats it holds.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its id, new at each start.
    pub id: HolderId,
    held: Arc<AtomicUsize>,
    /// Its seats look one after the other, each knowing what the others got.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Holder {
    /// A process that holds no seat.
    #[must_use]
    pub fn new(id: HolderId) -> Self {
        Self {
            id,
            held: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Seats that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// One of the seats that a process holds or waits for.
#[derive(Debug)]
pub struct Seat<T> {
    /// The queue's name for all broadcasters: its URL.
    pub queue: String,
    /// The table of seats.
    pub table: T,
    /// Who we are.
    pub holder: Holder,
    /// The clock.
    pub clock: Clock,
}

/// Why a seat is no longer served.
enum End {
    /// The work ended in order, or broke.
    Done(Result<(), Broken>),
    /// Somebody else may serve the queue from now on.
    Lost,
}

impl<T: Seats> Seat<T> {
    /// Waits for the seat, serves its queue while it is held, and waits again, until shutdown: then
    /// the work drains, and the seat is let go.
    ///
    /// # Errors
    /// [`Broken`] as [`run`].
    pub async fn keep<Q, C, S>(
        self,
        parts: Parts<Q, C, S>,
        options: Options,
        status: watch::Sender<Status>,
        shutdown: CancellationToken,
    ) -> Result<(), Broken>
    where
        Q: QueueReceiver + Clone,
        C: Connections + Clone,
        S: Screens + Clone,
    {
        let place = options.push.place.index.to_string();
        metrics::gauge!(metric::QUEUE_SERVED, "queue" => place).set(0.0);
        loop {
            let mut held = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                held = self.wait() => held,
            };
            status.send_replace(Status {
                serving: 1,
                ..Status::default()
            });
            tracing::info!(queue = self.queue, "this broadcaster serves the queue");
            let work = run(
                parts.clone(),
                options.clone(),
                self.clock.clone(),
                status.clone(),
                shutdown.clone(),
            );
            // Renewing comes first: work that never rests would use up the task's turn each time.
            let end = tokio::select! {
                biased;
                () = self.renew(&mut held) => End::Lost,
                done = work => End::Done(done),
            };
            self.holder.held.fetch_sub(1, Ordering::Relaxed);
            status.send_replace(Status::default());
            match end {
                End::Done(done) => {
                    self.release(&held).await;
                    return done;
                }
                End::Lost => tracing::warn!(
                    queue = self.queue,
                    "the seat was lost: another broadcaster may serve the queue; waiting for it"
                ),
            }
        }
    }

    /// Looks until the seat is ours.
    async fn wait(&self) -> Held {
        let mut watch = Watch::default();
        let mut warned = Seldom::default();
        loop {
            let turn = self.holder.turn.lock().await;
            match self.call(self.table.seat(&self.queue)).await {
                Ok(row) => {
                    let now = self.clock.now();
                    let claim = watch.saw(now, row, &self.holder.id, self.holder.held());
                    if let Some(claim) = claim
                        && let Some(held) = self.claim(&claim).await
                    {
                        self.holder.held.fetch_add(1, Ordering::Relaxed);
                        return held;
                    }
                }
                Err(why) if warned.may(tokio::time::Instant::now()) => {
                    tracing::warn!(queue = self.queue, why, "the seat cannot be looked at");
                }
                Err(_) => {}
            }
            drop(turn);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn claim(&self, claim: &Claim) -> Option<Held> {
        let sent = self.clock.now();
        match self.call(self.table.claim(&self.queue, claim)).await {
            Ok(true) => Some(Held::by(claim, self.holder.id.clone(), sent)),
            // Somebody was faster, or the answer was lost: the next look shows which.
            Ok(false) => None,
            Err(why) => {
                tracing::debug!(queue = self.queue, why, "the seat was not claimed");
                None
            }
        }
    }

    /// Renews until the seat is lost or its time has run out.
    async fn renew(&self, held: &mut Held) {
        let mut next = held.renew_at();
        loop {
            let ends = self.clock.timer(held.ends());
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(ends) => return,
                () = tokio::time::sleep_until(self.clock.timer(next)) => {}
            }
            // The sleep knows nothing of a suspension.
            if self.clock.now() >= held.ends() {
                return;
            }
            let renewed = tokio::select! {
                biased;
                () = tokio::time::sleep_until(ends) => return,
                renewed = self.renew_once(held) => renewed,
            };
            match renewed {
                Some(at) => next = at,
                None => return,
            }
        }
    }

    /// When to renew next; none where the seat is lost.
    async fn renew_once(&self, held: &mut Held) -> Option<Millis> {
        let sent = self.clock.now();
        let again = sent + AGAIN;
        match self
            .call(self.table.claim(&self.queue, &held.renewal()))
            .await
        {
            Ok(true) => {
                held.renewed(sent);
                Some(held.renew_at())
            }
            Ok(false) => match self.call(self.table.seat(&self.queue)).await {
                Ok(row) if held.refused(row.as_ref()) == Verdict::Lost => None,
                _ => Some(again),
            },
            Err(why) => {
                tracing::debug!(queue = self.queue, why, "the seat was not renewed");
                Some(again)
            }
        }
    }

    async fn release(&self, held: &Held) {
        let release = held.release();
        let let_go = self.table.claim(&self.queue, &release);
        match tokio::time::timeout(RELEASE_MAX, let_go).await {
            Ok(Ok(true)) => tracing::info!(queue = self.queue, "the seat was let go"),
            _ => tracing::info!(queue = self.queue, "the seat was not let go and runs out"),
        }
    }

    async fn call<V>(
        &self,
        call: impl Future<Output = Result<V, crate::door::fault::CallFailed>>,
    ) -> Result<V, String> {
        match tokio::time::timeout(CALL_MAX, call).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {CALL_MAX:?}")),
        }
    }
}
