//! The lease service: waits, asks the [`Keeper`] what that means, and carries it out.
//!
//! Calls run as tasks of their own, so that a slow one delays neither heartbeats nor fences, and
//! events to the reading side are queued here when its channel is full: leasing never waits for
//! the data path.

mod calls;
mod report;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::http::beat::{self, Beat, Beats};
use super::tasks::Tasks;
use crate::door::lease_table::{self, LeaseTable};
use crate::door::stream::{self, Stream};
use crate::lease::change::Author;
use crate::lease::keeper::{Effect, Input, Keeper};
use crate::lease::row::{self, FORBIDDING_ROWS};
use crate::lease::talk::{Event, Say};
use crate::model::{Millis, WorkerId};

pub use crate::lease::keeper::{LeaseStatus, State, Status};

use calls::{Callers, Outcome};

/// What the service works with; tests put in-memory doors here.
#[derive(Debug)]
pub struct Parts<T, S> {
    /// The lease table.
    pub table: Arc<T>,
    /// The stream whose shards are leased.
    pub stream: Arc<S>,
    /// This worker, unique for each incarnation of the process.
    pub worker: WorkerId,
    /// The process's UUID, stored with every write as `tw_writer`.
    pub writer: String,
    /// Whether a missing table is created.
    pub create_table: bool,
    /// Where calls run.
    pub tasks: Tasks,
    /// Who watches that the loop turns.
    pub beats: Beats,
}

/// Why leasing stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease table cannot be used.
    #[error(transparent)]
    Table(#[from] lease_table::Error),
    /// The stream cannot be listed.
    #[error(transparent)]
    Stream(#[from] stream::Error),
    /// The table is not ours to take leases from.
    #[error(transparent)]
    Refused(#[from] crate::lease::Error),
    /// The settings contradict each other.
    #[error("lease settings: {}", .0.join("; "))]
    Options(Vec<String>),
    /// The reading side is gone without a shutdown: a defect.
    #[error("the reading side stopped listening to leases")]
    Deaf,
}

/// Answers of calls waiting to be taken note of. A call sends one answer and ends; with this many
/// waiting, the others wait in their tasks.
const ANSWERS_MAX: usize = 64;

/// The keeper is asked at most this often without news, whatever it wishes.
const TICK_MIN: Duration = Duration::from_millis(5);

/// The lowest and highest wait between tries of a start-up call.
const START_RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Keeps this worker's leases until `shutdown`, then drains, checkpoints and releases them.
///
/// Events leave in order and none is lost: those that find the channel full wait here.
///
/// # Errors
/// What no retry mends: a missing table, missing permission, a table that is another stream's or
/// that KCL 3 rules. What is held then is revoked: nobody would watch its fences.
pub async fn run<T: LeaseTable, S: Stream>(
    parts: Parts<T, S>,
    options: crate::lease::Options,
    clock: Clock,
    events: mpsc::Sender<Event>,
    mut says: mpsc::Receiver<Say>,
    status: watch::Sender<Status>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let problems = options.problems();
    if !problems.is_empty() {
        return Err(Error::Options(problems));
    }
    let started = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        started = start(&parts) => started,
    };
    started?;
    report::begin();
    let author = Author {
        me: parts.worker.clone(),
        writer: parts.writer.clone(),
    };
    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    let beat = parts.beats.watch("leases");
    let mut service = Service {
        keeper: Keeper::new(author, options, clock.now()),
        callers: Callers::new(parts, answers, clock.clone()),
        waiting: VecDeque::new(),
        events,
        status,
        gone: false,
    };
    let ended = service
        .turn(&mut answered, &mut says, &shutdown, &clock, &beat)
        .await;
    drop(beat);
    // Whoever waits to say something must not keep us from telling.
    drop(says);
    service.close().await;
    ended
}

/// Hands one waiting event on. Nobody listens any more: fine while leaving, else a defect.
fn deliver(
    permit: Result<mpsc::Permit<'_, Event>, mpsc::error::SendError<()>>,
    waiting: &mut VecDeque<Event>,
    leaving: bool,
) -> Result<(), Error> {
    match permit {
        Ok(permit) => {
            if let Some(event) = waiting.pop_front() {
                permit.send(event);
            }
            Ok(())
        }
        Err(_) if leaving => {
            waiting.clear();
            Ok(())
        }
        Err(_) => Err(Error::Deaf),
    }
}

/// Before the first lease: the table is there, and no leader of KCL 3 rules it.
async fn start<T: LeaseTable, S: Stream>(parts: &Parts<T, S>) -> Result<(), Error> {
    calls::until_done("prepare", || parts.table.prepare(parts.create_table)).await?;
    for key in FORBIDDING_ROWS {
        let row = calls::until_done("coordinator_row", || parts.table.coordinator_row(key)).await?;
        if let Some(why) = row.as_ref().and_then(|row| row::why_not(key, row)) {
            return Err(crate::lease::Error::ManagedByKcl3 { why }.into());
        }
    }
    Ok(())
}

struct Service<T, S> {
    keeper: Keeper,
    callers: Callers<T, S>,
    /// Events that the channel had no room for, in order. Bounded by the number of shards: the
    /// keeper says at most a few things about a shard before it hears of it again.
    waiting: VecDeque<Event>,
    events: mpsc::Sender<Event>,
    status: watch::Sender<Status>,
    gone: bool,
}

impl<T: LeaseTable, S: Stream> Service<T, S> {
    /// Waits and works until everything is given up, or something fails for good.
    async fn turn(
        &mut self,
        answered: &mut mpsc::Receiver<Outcome>,
        says: &mut mpsc::Receiver<Say>,
        shutdown: &CancellationToken,
        clock: &Clock,
        beat: &Beat,
    ) -> Result<(), Error> {
        let mut leaving = false;
        let mut listening = true;
        self.step(clock.now(), Input::Tick)?;
        while !self.gone {
            beat.touch();
            let now = clock.now();
            let wake = self.keeper.wake(now).max(now + TICK_MIN);
            let wake = wake.min(now + beat::TURN_EVERY);
            let input = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !leaving => {
                    leaving = true;
                    Input::Shutdown
                }
                Some(outcome) = answered.recv() => outcome.into_input()?,
                said = says.recv(), if listening => match said {
                    Some(say) => Input::Said(say),
                    None => {
                        listening = false;
                        Input::Tick
                    }
                },
                permit = self.events.reserve(), if !self.waiting.is_empty() => {
                    deliver(permit, &mut self.waiting, leaving)?;
                    continue;
                }
                () = tokio::time::sleep_until(clock.timer(wake)) => Input::Tick,
            };
            self.step(clock.now(), input)?;
        }
        Ok(())
    }

    /// Revokes what is still held, and hands on every event that waits.
    async fn close(mut self) {
        self.waiting.extend(self.keeper.desert());
        for event in self.waiting {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// One input, and everything that follows from it.
    fn step(&mut self, now: Millis, input: Input) -> Result<(), Error> {
        let tick = matches!(input, Input::Tick);
        let effects = self.keeper.step(now, input);
        let quiet = tick && effects.is_empty();
        for effect in effects {
            self.carry_out(effect)?;
        }
        if !quiet {
            let status = self.keeper.status();
            report::gauges(&status);
            self.status.send_replace(status);
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Scan => self.callers.scan(),
            Effect::List => self.callers.list(),
            Effect::Read(shard) => self.callers.read(shard),
            Effect::Write(change) => self.callers.write(change),
            Effect::Tell(event) => self.tell(event),
            Effect::Note(note) => report::note(self.keeper.me(), &note),
            Effect::Refuse(error) => return Err(error.into()),
            Effect::Gone => self.gone = true,
        }
        Ok(())
    }

    /// In order, and at once where there is room.
    fn tell(&mut self, event: Event) {
        if self.waiting.is_empty() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(
                    mpsc::error::TrySendError::Full(event)
                    | mpsc::error::TrySendError::Closed(event),
                ) => self.waiting.push_back(event),
            }
        } else {
            self.waiting.push_back(event);
        }
    }
}
