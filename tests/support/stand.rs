//! A worker on in-memory doors in paused time, and a keeper of leases that only takes notes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidewire::lease::talk::{DrainReason, Event, Say};
use tidewire::model::{Checkpoint, LeaseCounter, Millis, Start, StreamName};
use tidewire::pipeline;
use tidewire::service::clock::Clock;
use tidewire::service::http::beat::Beats;
use tidewire::service::tasks::Tasks;
use tidewire::service::worker::{self, Options, Parts, Status};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::doors::{MemoryLetters, MemoryQueue, MemoryStore, MemoryStream, shard};

/// Simulated time: nothing in these tests takes longer unless it is stuck.
const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) struct Stand {
    pub(crate) stream: Arc<MemoryStream>,
    pub(crate) store: Arc<MemoryStore>,
    /// A second store, written to where the options name it.
    pub(crate) influx: Arc<MemoryStore>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) letters: Arc<MemoryLetters>,
    pub(crate) status: watch::Receiver<Status>,
    says: Arc<Mutex<Vec<Say>>>,
    events: Option<mpsc::Sender<Event>>,
    kill: CancellationToken,
    tasks: Tasks,
    ended: watch::Receiver<bool>,
    epochs: BTreeMap<u32, u64>,
}

impl Stand {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let stream = Arc::new(MemoryStream::default());
        let store = Arc::new(MemoryStore::default());
        let influx = Arc::new(MemoryStore::default());
        let queue = Arc::new(MemoryQueue::default());
        let letters = Arc::new(MemoryLetters::default());
        let tasks = Tasks::new();
        let parts = Parts {
            stream: Arc::clone(&stream),
            stores: vec![Arc::clone(&store), Arc::clone(&influx)],
            queues: vec![Arc::clone(&queue)],
            dead_letters: Arc::clone(&letters),
            tasks: tasks.clone(),
            beats: Beats::new(Clock::of_the_runtime()),
        };
        let mut options = Options::new(pipeline::Options::new(StreamName::from("toys"), 1));
        change(&mut options);
        let clock = Clock::of_the_runtime();
        let (events, granted) = mpsc::channel(16);
        let (say, mut said) = mpsc::channel(16);
        let (to_status, status) = watch::channel(Status::default());
        let (end, ended) = watch::channel(false);
        let kill = CancellationToken::new();
        let killed = kill.clone();
        tasks.spawn("worker", async move {
            let work = worker::run(parts, options, clock, granted, say, to_status);
            killed.run_until_cancelled(work).await;
            end.send_replace(true);
        });
        let says = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&says);
        tasks.spawn("keeper", async move {
            while let Some(say) = said.recv().await {
                notes.lock().unwrap().push(say);
            }
        });
        Self {
            stream,
            store,
            influx,
            queue,
            letters,
            status,
            says,
            events: Some(events),
            kill,
            tasks,
            ended,
            epochs: BTreeMap::new(),
        }
    }

    async fn event(&self, event: Event) {
        self.events.as_ref().unwrap().send(event).await.unwrap();
    }

    pub(crate) async fn grant(&mut self, number: u32, start: Start) {
        let epoch = self.epochs.entry(number).or_default();
        *epoch += 1;
        let epoch = LeaseCounter(*epoch);
        let shard = shard(number);
        self.event(Event::Granted {
            shard,
            epoch,
            start,
        })
        .await;
    }

    pub(crate) async fn revoke(&self, number: u32) {
        let epoch = LeaseCounter(self.epochs[&number]);
        let shard = shard(number);
        self.event(Event::Revoked { shard, epoch }).await;
    }

    pub(crate) async fn drain(&self, number: u32) {
        self.event(Event::Drain {
            shard: shard(number),
            epoch: LeaseCounter(self.epochs[&number]),
            reason: DrainReason::Handoff,
            deadline: Millis(u64::MAX),
        })
        .await;
    }

    /// Closes the keeper's side and waits for the worker to end.
    pub(crate) async fn stop(&mut self) {
        self.events = None;
        let ended = self.ended.wait_for(|ended| *ended);
        tokio::time::timeout(DEADLINE, ended)
            .await
            .unwrap()
            .unwrap();
    }

    /// Drops the worker; answers when none of its tasks is left.
    pub(crate) async fn kill(&self) {
        self.kill.cancel();
        self.tasks.ended().await;
    }

    pub(crate) fn says(&self) -> Vec<Say> {
        self.says.lock().unwrap().clone()
    }

    /// The sequence number up to which a shard is done, as the keeper was told.
    pub(crate) fn checkpoint(&self, number: u32) -> Option<String> {
        let of = shard(number);
        let told = self.says().into_iter().rev().find_map(|say| match say {
            Say::Checkpoint {
                shard, checkpoint, ..
            }
            | Say::Drained {
                shard,
                checkpoint: Some(checkpoint),
                ..
            } if shard == of => Some(checkpoint),
            _ => None,
        });
        told.map(|checkpoint| match checkpoint {
            Checkpoint::At { seq, .. } => seq.as_str().to_owned(),
            other => panic!("{other}"),
        })
    }

    /// Waits, in simulated time, until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "never: {what}; {:?}",
                self.says()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The status once the books show that nothing is in flight.
    pub(crate) async fn books(&mut self) -> Status {
        let at_rest = |status: &Status| {
            let sinks = status.sinks.values();
            status.records.in_flight == 0 && sinks.clone().all(|sink| sink.book.in_flight == 0)
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = tokio::time::timeout(DEADLINE, self.status.wait_for(at_rest)).await;
        let status = status.expect("the books come to rest").unwrap().clone();
        assert!(status.sinks.values().all(|sink| sink.book.balances()));
        assert!(status.records.balances());
        status
    }
}
