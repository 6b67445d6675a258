//! The broadcaster: live readings off the queue, onto screens.
//!
//! ```text
//! queue --receivers--> batches --+                       +--> posts (a task each, bounded)
//! table --lister, row readers----+--> main loop: Core ---+--> row readers
//! posts --outcomes---------------+                       +--> forgetter
//! ```
//!
//! The main loop waits for one thing, asks [`crate::push::Core`] what it means, and carries that
//! out; it never waits for AWS. A message is deleted once its readings are with the core, whoever
//! can or cannot be shown them: a failing viewer brings no message back for the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::receive::Batch;
use self::report::Report;
use super::clock::{self, Clock};
use super::http::beat::{self, Beat, Beats};
use super::tasks::Tasks;
use super::traces::{Following, Tracer};
use crate::door::connections::{Connections, Screens};
use crate::door::queue::QueueReceiver;
use crate::push::{self, Core, Effect, Input, Now, Outcome};

pub mod parse;
mod post;
mod receive;
mod report;
pub mod seat;
mod table;

pub use report::Status;

/// Row reads and deletions waiting for the table. Over it they are dropped, which the next list of
/// the whole table makes good.
const TABLE_BACKLOG: usize = 1_024;

/// Of the drain's time, the share that posts get; the rest is for the last deletions of messages.
const POSTS_SHARE: f64 = 0.8;

/// Between two lists of the whole connection table where the gateway tells of each change: they only
/// make good what was missed.
pub const REFRESH_TOLD: Duration = Duration::from_secs(30);

/// The same where nobody tells: as long as a new viewer may have to wait for its first reading.
pub const REFRESH_UNTOLD: Duration = Duration::from_secs(2);

/// The doors.
#[derive(Clone, Debug)]
pub struct Parts<Q, C, S> {
    /// The live queue.
    pub queue: Q,
    /// The connection table.
    pub connections: C,
    /// The way to the screens.
    pub screens: S,
    /// Who watches that the loop turns.
    pub beats: Beats,
}

/// How the service behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the core may use, and how it behaves.
    pub push: push::Options,
    /// Long polls under way at once. One keeps the order of `every` best; one takes ten messages
    /// (of hundreds of readings, packed) in some 20 ms.
    pub receivers: usize,
    /// How long one long poll waits: at most 20 s (AWS).
    pub receive_wait: Duration,
    /// Between two lists of the whole connection table: [`REFRESH_TOLD`] where the gateway sends
    /// control messages, [`REFRESH_UNTOLD`] where it does not.
    pub refresh: Duration,
    /// How long the end may take once shutdown is asked for.
    pub drain: Duration,
    /// Whether the traces of followed readings are carried on.
    pub tracer: Tracer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            push: push::Options::default(),
            receivers: 2,
            receive_wait: Duration::from_secs(20),
            refresh: REFRESH_TOLD,
            drain: Duration::from_millis(17_500),
            tracer: Tracer::off(),
        }
    }
}

impl From<push::Options> for Options {
    fn from(push: push::Options) -> Self {
        Self {
            push,
            ..Self::default()
        }
    }
}

/// A task of the broadcaster panicked; the log says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task of the broadcaster panicked")]
pub struct Broken;

/// What the main loop waits for, besides time.
#[derive(Debug)]
enum Event {
    Batch(Batch),
    Table(Input),
    Posted(post::Ended),
    Tick,
}

/// Runs until shutdown, then drains: no new messages, posts under way and due are finished.
///
/// # Errors
///
/// [`Broken`] where a task panicked, which is a defect.
pub async fn run<Q: QueueReceiver, C: Connections, S: Screens>(
    parts: Parts<Q, C, S>,
    options: impl Into<Options>,
    clock: Clock,
    status: watch::Sender<Status>,
    shutdown: CancellationToken,
) -> Result<(), Broken> {
    let options = options.into();
    let tasks = Tasks::new();
    let stop = shutdown.child_token();
    // Where this is dropped in the middle of its work, because the queue is somebody else's.
    let _ends_the_rest = stop.clone().drop_guard();
    let (batches_in, batches) = mpsc::channel(options.receivers.max(1));
    let (table_in, table) = mpsc::channel(table::LANES);
    let (posted_in, posted) = mpsc::channel(options.push.posts_max.max(1));
    let relist = Arc::new(Notify::new());

    let queue = Arc::new(parts.queue);
    for _ in 0..options.receivers.max(1) {
        let wait = options.receive_wait;
        let receiver = receive::Receiver::new(queue.clone(), wait, batches_in.clone());
        tasks.spawn("receive", receiver.run(stop.clone(), status.clone()));
    }
    drop(batches_in);
    let table_door = table::Table::start(
        Arc::new(parts.connections),
        &tasks,
        &clock,
        options.refresh,
        relist,
        table_in,
        &stop,
    );

    let now = now(&clock);
    let broadcaster = Broadcaster {
        core: Core::new(options.push.clone(), now),
        report: Report::new(status, options.push.place, now.mono),
        clock,
        tasks,
        table_door,
        poster: post::Poster::new(Arc::new(parts.screens), posted_in),
        batches,
        table,
        posted,
        beat: parts.beats.watch("broadcaster"),
        single_count: 0,
        following: Following::new(options.tracer),
    };
    let result = broadcaster.run(&shutdown, options.drain).await;
    stop.cancel();
    result
}

struct Broadcaster<S: Screens> {
    core: Core,
    report: Report,
    clock: Clock,
    tasks: Tasks,
    table_door: table::Table,
    poster: post::Poster<S>,
    batches: mpsc::Receiver<Batch>,
    table: mpsc::Receiver<Input>,
    posted: mpsc::Receiver<post::Ended>,
    beat: Beat,
    single_count: u64,
    following: Following,
}

impl<S: Screens> Broadcaster<S> {
    async fn run(mut self, shutdown: &CancellationToken, drain: Duration) -> Result<(), Broken> {
        let failed = self.tasks.failed().clone();
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = failed.cancelled() => return Err(Broken),
                event = self.next() => event,
            };
            self.on(event);
        }
        let until = tokio::time::Instant::now() + drain;
        let posts_until = tokio::time::Instant::now() + drain.mul_f64(POSTS_SHARE);
        self.step(Input::Drain);
        while !(self.core.is_drained() && self.batches.is_closed() && self.batches.is_empty()) {
            let event = tokio::select! {
                biased;
                () = tokio::time::sleep_until(posts_until) => break,
                () = failed.cancelled() => return Err(Broken),
                event = self.next() => event,
            };
            self.on(event);
        }
        let unfinished = self.core.in_flight();
        self.report.publish(&self.core, now(&self.clock));
        let Self { tasks, beat, .. } = self;
        drop(beat);
        if tokio::time::timeout_at(until, tasks.ended()).await.is_err() || unfinished > 0 {
            tracing::info!(unfinished, "broadcaster ended with calls under way");
        }
        if failed.is_cancelled() {
            return Err(Broken);
        }
        Ok(())
    }

    /// Waits for one thing. Batches come first, since each receiver waits for its batch to be
    /// handled and deleted before it asks for more, so that they cannot starve the rest.
    async fn next(&mut self) -> Event {
        self.beat.touch();
        let turn = self.clock.now() + beat::TURN_EVERY;
        let wake = self.clock.timer(self.core.next_wake().min(turn));
        tokio::select! {
            biased;
            Some(batch) = self.batches.recv() => Event::Batch(batch),
            Some(input) = self.table.recv() => Event::Table(input),
            Some(ended) = self.posted.recv() => Event::Posted(ended),
            () = tokio::time::sleep_until(wake) => Event::Tick,
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Batch(batch) => self.batch(batch),
            Event::Table(input) => self.step(input),
            Event::Posted(ended) => {
                let outcome = self.report.posted(&ended, &self.clock);
                let id = ended.id;
                self.following.posted(&id, outcome.as_str());
                self.step(Input::Done { id, outcome });
            }
            Event::Tick => self.step(Input::Tick),
        }
        self.report.publish_if_due(&self.core, now(&self.clock));
    }

    /// Hands a batch's readings to the core, all in one step; then its messages may be deleted.
    fn batch(&mut self, batch: Batch) {
        let wall = clock::wall();
        let mut readings = Vec::new();
        let mut changed = Vec::new();
        for (body, trace) in &batch.messages {
            match parse::parse(body, wall, &mut self.single_count) {
                Ok(parse::Parsed::Changed(id)) => {
                    self.report.handled();
                    changed.push(id);
                }
                Ok(parse::Parsed::Readings {
                    mut taken,
                    unreadable,
                }) => {
                    if let Some(context) = trace {
                        self.following.received(*context, &mut taken, batch.at);
                    }
                    self.report.handled();
                    self.report.unreadable(unreadable);
                    readings.extend(taken);
                }
                Err(rubbish) => self.report.rubbish(&rubbish),
            }
        }
        self.report.lag(wall, &readings);
        for id in changed {
            self.step(Input::Changed(id));
        }
        if !readings.is_empty() {
            self.step(Input::Readings(readings));
        }
        batch.handled();
    }

    fn step(&mut self, input: Input) {
        let now = now(&self.clock);
        for effect in self.core.step(now, input) {
            self.carry_out(effect, now);
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Post { id, frame } => {
                self.report.posting(&frame);
                self.following.posting(&id, self.core.followed(&id));
                self.poster.post(&self.tasks, id, frame, now.mono);
            }
            Effect::HangUp(id) => self.poster.hang_up(&self.tasks, id, now.mono),
            Effect::Forget {
                id,
                connected_at,
                why,
            } => {
                self.report.forgetting(why);
                self.table_door.forget(id, connected_at);
            }
            Effect::ReadRow(id) => self.table_door.read(id),
            Effect::Shown { oldest } => self.report.shown(oldest, now.wall),
            Effect::Opened(why) => self.report.opened(why),
            Effect::Closed => self.report.closed(),
        }
    }
}

fn now(clock: &Clock) -> Now {
    Now {
        mono: clock.now(),
        wall: clock::wall(),
    }
}

/// How a call's result counts for the core.
fn outcome_of(result: &Result<crate::model::Posted, crate::door::fault::CallFailed>) -> Outcome {
    use crate::model::{Fault, Posted};

    match result {
        Ok(posted) => Outcome::Answered(posted.clone()),
        Err(failed) => match failed.fault {
            Fault::Throttled => Outcome::Answered(Posted::Slow),
            // Credentials, permissions, endpoint: nothing will work until a person has looked.
            Fault::Fatal => Outcome::Answered(Posted::Forbidden(failed.message.clone())),
            Fault::Transient | Fault::Conflict | Fault::Rejected => Outcome::Failed,
        },
    }
}

#[cfg(test)]
mod tests;
