//! One queue's seat: wait for it, serve while it is held, let it go at the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::report::{Seldom, Status};
use super::{Broken, Options, Parts, run};
use crate::door::connections::{Claimed, Connections, Screens, Seats};
use crate::door::queue::QueueReceiver;
use crate::model::{HolderId, Millis, SeatRow, Wish};
use crate::push::seat::{Claim, Held, LOOK_EVERY, Spread, Verdict, Watch};
use crate::service::clock::Clock;
use crate::service::metric;

/// A call of the table is given up after this: three fit between a renewal and the seat's end.
const CALL_MAX: Duration = Duration::from_millis(1_300);

/// After a renewal that failed.
const AGAIN: Duration = Duration::from_millis(300);

/// Letting go is tried so long; then the seat runs out by itself.
const RELEASE_MAX: Duration = Duration::from_millis(1_300);

/// This process among the broadcasters; clones share what it knows of the seats.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its id, new at each start.
    pub id: HolderId,
    spread: Arc<Mutex<Spread>>,
    /// Its seats look one after the other, each knowing what the others got.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Holder {
    /// A process that holds no seat.
    #[must_use]
    pub fn new(id: HolderId) -> Self {
        Self {
            id,
            spread: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Seats that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.spread().held()
    }

    fn spread(&self) -> MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A seat that is held, and its work.
struct Served {
    held: Held,
    /// Ends the work in order.
    leaving: CancellationToken,
    /// Who asked for the seat and gets it.
    next: Option<HolderId>,
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
            let held = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                held = self.wait() => held,
            };
            status.send_replace(Status {
                serving: 1,
                ..Status::default()
            });
            tracing::info!(queue = self.queue, "this broadcaster serves the queue");
            let mut served = Served {
                held,
                leaving: shutdown.child_token(),
                next: None,
            };
            let work = run(
                parts.clone(),
                options.clone(),
                self.clock.clone(),
                status.clone(),
                served.leaving.clone(),
            );
            // Renewing comes first: work that never rests would use up the task's turn each time.
            let end = tokio::select! {
                biased;
                () = self.renew(&mut served) => End::Lost,
                done = work => End::Done(done),
            };
            status.send_replace(Status::default());
            let goes_on = self.ended(&end, &served).await && !shutdown.is_cancelled();
            match end {
                End::Done(done) if !goes_on => return done,
                End::Done(_) | End::Lost => {}
            }
        }
    }

    /// A seat is no longer served: lets it go, if it is still ours. Whether to wait for it again.
    async fn ended(&self, end: &End, served: &Served) -> bool {
        let given = served.next.is_some();
        if let End::Done(_) = end {
            self.release(&served.held, served.next.clone()).await;
        } else {
            tracing::warn!(
                queue = self.queue,
                "the seat was lost: another broadcaster may serve the queue; waiting for it"
            );
        }
        let mut spread = self.holder.spread();
        spread.lost();
        if given {
            spread.let_go(self.clock.now());
        }
        matches!(end, End::Lost) || given && matches!(end, End::Done(Ok(())))
    }

    /// Looks until the seat is ours.
    async fn wait(&self) -> Held {
        let mut watch = Watch::default();
        let mut warned = Seldom::default();
        loop {
            let turn = self.holder.turn.lock().await;
            match self.call(self.table.seat(&self.queue)).await {
                Ok(row) => {
                    if let Some(held) = self.saw(&mut watch, row).await {
                        self.holder.spread().took(&self.queue);
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

    /// A look showed this row: claims the seat if it is free, or asks its holder for it.
    async fn saw(&self, watch: &mut Watch, row: Option<SeatRow>) -> Option<Held> {
        let (now, me) = (self.clock.now(), &self.holder.id);
        let holder = row.as_ref().and_then(|row| row.holder.clone());
        let holder = holder.filter(|holder| holder != me);
        let (held, asks) = {
            let mut spread = self.holder.spread();
            (spread.held(), spread.saw(now, &self.queue, holder.as_ref()))
        };
        if let Some(claim) = watch.saw(now, row, me, held) {
            return self.claim(&claim).await;
        }
        if asks && let Some(wish) = watch.wish(me, held) {
            // The holder may have renewed meanwhile; then the wish is not written, and told again.
            let told = self.call(self.table.claim(&self.queue, &wish)).await;
            tracing::debug!(queue = self.queue, ?told, "asked for the seat");
        }
        None
    }

    async fn claim(&self, claim: &Claim) -> Option<Held> {
        let sent = self.clock.now();
        match self.call(self.table.claim(&self.queue, claim)).await {
            Ok(Claimed::Written(_)) => Some(Held::by(claim, self.holder.id.clone(), sent)),
            // Somebody was faster, or the answer was lost: the next look shows which.
            Ok(Claimed::Refused) => None,
            Err(why) => {
                tracing::debug!(queue = self.queue, why, "the seat was not claimed");
                None
            }
        }
    }

    /// Renews until the seat is lost or its time has run out.
    async fn renew(&self, served: &mut Served) {
        let mut next = served.held.renew_at();
        loop {
            let ends = self.clock.timer(served.held.ends());
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(ends) => return,
                () = tokio::time::sleep_until(self.clock.timer(next)) => {}
            }
            // The sleep knows nothing of a suspension.
            if self.clock.now() >= served.held.ends() {
                return;
            }
            let renewed = tokio::select! {
                biased;
                () = tokio::time::sleep_until(ends) => return,
                renewed = self.renew_once(served) => renewed,
            };
            match renewed {
                Some(at) => next = at,
                None => return,
            }
        }
    }

    /// When to renew next; none where the seat is lost.
    async fn renew_once(&self, served: &mut Served) -> Option<Millis> {
        let sent = self.clock.now();
        let again = sent + AGAIN;
        let renewal = served.held.renewal();
        match self.call(self.table.claim(&self.queue, &renewal)).await {
            Ok(Claimed::Written(wish)) => {
                served.held.renewed(sent);
                if let Some(wish) = wish {
                    self.wished(served, wish);
                }
                Some(served.held.renew_at())
            }
            Ok(Claimed::Refused) => match self.call(self.table.seat(&self.queue)).await {
                Ok(row) if served.held.refused(row.as_ref()) == Verdict::Lost => None,
                _ => Some(again),
            },
            Err(why) => {
                tracing::debug!(queue = self.queue, why, "the seat was not renewed");
                Some(again)
            }
        }
    }

    /// Somebody with fewer seats asks for this one: where it is granted, the work ends in order, the
    /// seat being renewed meanwhile.
    fn wished(&self, served: &mut Served, wish: Wish) {
        let ends_anyway = served.leaving.is_cancelled();
        if ends_anyway || !self.holder.spread().grants(self.clock.now(), &wish) {
            return;
        }
        tracing::info!(
            queue = self.queue,
            "another broadcaster has fewer queues: this one goes to it"
        );
        served.next = Some(wish.by);
        served.leaving.cancel();
    }

    async fn release(&self, held: &Held, next: Option<HolderId>) {
        let release = held.release(next);
        let let_go = self.table.claim(&self.queue, &release);
        match tokio::time::timeout(RELEASE_MAX, let_go).await {
            Ok(Ok(Claimed::Written(_))) => {
                tracing::info!(queue = self.queue, "the seat was let go")
            }
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
