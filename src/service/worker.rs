//! The worker: reads the shards it is granted and drives what they say into the sinks.
//!
//! One core task owns the pipeline and decides; a reader for each shard and a task for each
//! request to a sink only wait and report. Nothing in here knows of leases but what
//! [`crate::lease::talk`] says, and a sink that is down stops reading, never leasing (promise P4).

mod backlog;
mod flights;
mod prepare;
mod reader;
mod readers;
mod status;
mod trouble;

pub use status::{ReadBy, ShardStatus, SinkStatus, Status};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::decode;
use crate::door::dead_letters::DeadLetters;
use crate::door::queue::QueueSender;
use crate::door::stream::Stream;
use crate::door::time_series::TimeSeries;
use crate::lease::talk::{Event, Say};
use crate::model::{Fault, Millis, ShardId, StreamId};
use crate::pipeline::{self, Effect, FlightId, Input, Pipeline, Slot};
use crate::service::clock::Clock;
use crate::service::http::beat::Beats;
use crate::service::tasks::Tasks;
use crate::service::traces::Tracer;

use readers::ReaderHandle;
use status::Publisher;
use trouble::{Origin, Part, Troubles};

/// Reports from readers and requests that the core has not looked at yet. Each reader and request
/// has at most two under way and waits for room, so this bounds memory and nothing else.
const NOTES_MAX: usize = 256;

/// How often readings are looked at for their age, and the status is published.
const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(500);

/// What the worker works on.
#[derive(Debug)]
pub struct Parts<S, T, Q, D> {
    /// The stream.
    pub stream: Arc<S>,
    /// The time-series stores, in the order of the pipeline's options; every one gets every
    /// reading. None: readings only go live.
    pub stores: Vec<Arc<T>>,
    /// The live queues; every one gets every reading. None: nothing is sent live.
    pub queues: Vec<Arc<Q>>,
    /// Where dead letters go.
    pub dead_letters: Arc<D>,
    /// Where its tasks are counted.
    pub tasks: Tasks,
    /// Who watches that the loop turns.
    pub beats: Beats,
}

/// How the worker behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How payloads are read.
    pub decode: decode::Options,
    /// How readings travel. Which sinks there are, [`run`] sees by its parts.
    pub pipeline: pipeline::Options,
    /// Least time between the starts of two reads of a shard (Kinesis: five reads a second a
    /// shard, all consumers together).
    pub poll_every: Duration,
    /// Where the stream has a consumer but will not let it subscribe, poll instead of waiting for a
    /// person (`source.mode = "auto"`).
    pub falls_back: bool,
    /// Older readings skip the live queues, counted (`queue.max_age_s`); none: none does.
    pub queue_max_age: Option<Duration>,
    /// Older records are skipped, counted (`source.maximum_record_age_s`); none: none is.
    pub record_max_age: Option<Duration>,
    /// Which readings are followed.
    pub tracer: Tracer,
}

impl Options {
    /// The defaults around a pipeline's options.
    #[must_use]
    pub fn new(pipeline: pipeline::Options) -> Self {
        Self {
            decode: decode::Options::default(),
            pipeline,
            poll_every: Duration::from_millis(200),
            falls_back: false,
            queue_max_age: None,
            record_max_age: None,
            tracer: Tracer::off(),
        }
    }
}

/// What readers and requests tell the core.
#[derive(Debug)]
enum Note {
    /// For the pipeline.
    Input(Input),
    /// Something failed and will be tried again.
    Failed(trouble::Failure),
    /// A part that may have failed before works.
    Well(Part),
    /// A shard is read in another way from now on.
    ReadBy(Slot, ReadBy),
    /// A shard is polled for good, since it cannot be subscribed to.
    FellBack(ShardId, String),
}

/// Runs until `events` is closed and nothing is in flight. Dropping the future ends it at once;
/// what was in flight is then read again by whoever owns the shards next.
pub async fn run<S, T, Q, D>(
    parts: Parts<S, T, Q, D>,
    options: Options,
    clock: Clock,
    mut events: mpsc::Receiver<Event>,
    says: mpsc::Sender<Say>,
    status: watch::Sender<Status>,
) where
    S: Stream,
    T: TimeSeries,
    Q: QueueSender,
    D: DeadLetters,
{
    let (notes, mut inbox) = mpsc::channel(NOTES_MAX);
    let mut core = Core::new(parts, options, clock, notes, status);
    // Whatever ends this future ends its tasks.
    let _stop = core.stop.clone().drop_guard();
    let beat = core.parts.beats.watch("worker");
    let mut open = true;
    let mut housekeeping = core.clock.now();
    while open || !core.pipeline.is_idle() || !core.outbox.is_empty() {
        beat.touch();
        let now = core.clock.now();
        let due = core.pipeline.due(now).unwrap_or(housekeeping);
        let timer = core.clock.timer(due.min(housekeeping));
        let input = tokio::select! {
            biased;
            event = events.recv(), if open => {
                open = event.is_some();
                Some(event.map_or(Input::Closed, Input::from))
            }
            permit = says.reserve(), if !core.outbox.is_empty() => {
                core.say(permit.ok());
                None
            }
            Some(note) = inbox.recv() => core.note(note),
            () = tokio::time::sleep_until(timer) => Some(Input::Tick),
        };
        let now = core.clock.now();
        if let Some(input) = input {
            let effects = core.pipeline.step(now, input);
            core.carry_out(effects);
        }
        if housekeeping <= now {
            housekeeping = now + HOUSEKEEPING_EVERY;
            // However busy the inbox is, readings grow old.
            let effects = core.pipeline.step(now, Input::Tick);
            core.carry_out(effects);
            core.publish(now);
        }
    }
    let now = core.clock.now();
    core.publish(now);
}

/// The core task's state.
struct Core<S, T, Q, D> {
    parts: Arc<Parts<S, T, Q, D>>,
    options: Arc<Options>,
    decode: Arc<decode::Options>,
    clock: Clock,
    pipeline: Pipeline,
    notes: mpsc::Sender<Note>,
    stop: CancellationToken,
    readers: BTreeMap<Slot, ReaderHandle>,
    flights: BTreeMap<FlightId, Request>,
    /// What the keeper of leases has not taken yet: for each shard at most one checkpoint and
    /// one ending.
    outbox: VecDeque<Say>,
    troubles: Troubles,
    /// Streams that are polled though they have a consumer, told once each; `None`: the only one.
    fallen: BTreeSet<Option<StreamId>>,
    publisher: Publisher,
}

struct Request {
    stop: CancellationToken,
    recalled: CancellationToken,
    part: Part,
}

impl<S: Stream, T: TimeSeries, Q: QueueSender, D: DeadLetters> Core<S, T, Q, D> {
    fn new(
        parts: Parts<S, T, Q, D>,
        mut options: Options,
        clock: Clock,
        notes: mpsc::Sender<Note>,
        status: watch::Sender<Status>,
    ) -> Self {
        options.pipeline.queues = parts.queues.len();
        options.pipeline.stores.truncate(parts.stores.len());
        for (known, store) in options.pipeline.stores.iter_mut().zip(&parts.stores) {
            known.batch_max = known.batch_max.min(store.batch_max());
        }
        Self {
            decode: Arc::new(options.decode.clone()),
            pipeline: Pipeline::new(options.pipeline.clone()),
            publisher: Publisher::new(status, &options.pipeline),
            parts: Arc::new(parts),
            options: Arc::new(options),
            clock,
            notes,
            stop: CancellationToken::new(),
            readers: BTreeMap::new(),
            flights: BTreeMap::new(),
            outbox: VecDeque::new(),
            troubles: Troubles::default(),
            fallen: BTreeSet::new(),
        }
    }

    fn note(&mut self, note: Note) -> Option<Input> {
        let now = self.clock.now();
        match note {
            Note::Input(input) => {
                if let Input::Answered { flight, answer } = &input {
                    let request = self.flights.remove(flight);
                    if let (Some(request), pipeline::Answer::Recalled) = (request, answer) {
                        self.troubles.forget(&request.part);
                    }
                }
                return Some(input);
            }
            Note::Failed(failure) => {
                let wanted = match failure.origin {
                    Origin::Reader(slot) => self.readers.contains_key(&slot),
                    Origin::Request(flight) => self.flights.contains_key(&flight),
                };
                if !wanted {
                    return None;
                }
                let throttled = match failure.origin {
                    Origin::Request(flight) if failure.fault == Fault::Throttled => Some(flight),
                    _ => None,
                };
                self.troubles.failed(now, failure);
                return throttled.map(Input::Throttled);
            }
            Note::Well(part) => self.troubles.well(now, &part),
            Note::ReadBy(slot, by) => {
                if let Some(reader) = self.readers.get_mut(&slot) {
                    reader.by = by;
                }
            }
            Note::FellBack(shard, why) => self.fell_back(&shard, &why),
        }
        None
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::StartReading {
                    slot, shard, start, ..
                } => self.start_reading(slot, shard, start),
                Effect::StopReading(slot) => {
                    if let Some(reader) = self.readers.remove(&slot) {
                        reader.stop.cancel();
                        self.troubles.forget(&reader.part);
                    }
                }
                Effect::Read { slot, limit } => self.permit(slot, limit),
                Effect::Write {
                    flight,
                    store,
                    batch,
                } => {
                    let part = flights::store_part(&self.options.pipeline.stores[store]);
                    let crew = self.crew(part, flight);
                    let store = Arc::clone(&self.parts.stores[store]);
                    self.start(crew.stop.clone(), flights::write(crew, store, batch));
                }
                Effect::Send {
                    flight,
                    queue,
                    batch,
                } => {
                    let part = flights::queue_part(queue);
                    let crew = self.crew(part, flight);
                    let stop = crew.stop.clone();
                    let pipeline = &self.options.pipeline;
                    let (format, grouped) = (pipeline.queue_format, pipeline.is_grouped(queue));
                    let queue = Arc::clone(&self.parts.queues[queue]);
                    self.start(stop, flights::send(crew, queue, format, grouped, batch));
                }
                Effect::File { flight, letters } => {
                    let part = flights::letters_part();
                    let crew = self.crew(part, flight);
                    let queue = Arc::clone(&self.parts.dead_letters);
                    self.start(crew.stop.clone(), flights::file(crew, queue, letters));
                }
                Effect::Cancel(flight) => {
                    if let Some(request) = self.flights.remove(&flight) {
                        request.stop.cancel();
                        self.troubles.forget(&request.part);
                    }
                }
                Effect::Recall(flight) => {
                    if let Some(request) = self.flights.get(&flight) {
                        request.recalled.cancel();
                    }
                }
                Effect::Say(say) => self.queue_say(say),
            }
        }
    }

    fn crew(&mut self, part: Part, flight: FlightId) -> flights::Crew {
        let request = Request {
            stop: self.stop.child_token(),
            recalled: CancellationToken::new(),
            part: part.clone(),
        };
        let crew = flights::Crew {
            part,
            flight,
            stop: request.stop.clone(),
            recalled: request.recalled.clone(),
            clock: self.clock.clone(),
            notes: self.notes.clone(),
            tracer: self.options.tracer.clone(),
        };
        self.flights.insert(flight, request);
        crew
    }

    fn start(&self, stop: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        self.parts.tasks.spawn("request", async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// A newer checkpoint of a shard takes an unsaid one's place.
    fn queue_say(&mut self, say: Say) {
        if let Say::Checkpoint { shard, epoch, .. } = &say {
            let same = |said: &&mut Say| matches!(said, Say::Checkpoint { shard: s, epoch: e, .. } if s == shard && e == epoch);
            if let Some(unsaid) = self.outbox.iter_mut().find(same) {
                *unsaid = say;
                return;
            }
        }
        self.outbox.push_back(say);
    }

    fn say(&mut self, permit: Option<mpsc::Permit<'_, Say>>) {
        match permit {
            Some(permit) => {
                if let Some(say) = self.outbox.pop_front() {
                    permit.send(say);
                }
            }
            // The keeper of leases is gone: nobody is left to hear it.
            None => self.outbox.clear(),
        }
    }

    fn publish(&mut self, now: Millis) {
        self.troubles.remind(now);
        let readers = &self.readers;
        let by = |slot| {
            readers
                .get(&slot)
                .map_or(ReadBy::Polling, |reader| reader.by)
        };
        self.publisher
            .publish(now, &self.pipeline, &self.troubles, by);
    }
}
