//! The lease service in paused time, on an in-memory table with latency.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

#[path = "support/lease_table.rs"]
#[expect(dead_code, reason = "the simulation needs more of it")]
mod table;

#[path = "lease_service/ends.rs"]
mod ends;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidewire::door::fault::CallFailed;
use tidewire::door::lease_table::{Error, LeaseTable};
use tidewire::door::stream::{self, NoSubscription, Page, ShardIterator, Stream};
use tidewire::lease::talk::{Event, Say};
use tidewire::lease::{Answer, Change, Item, Options, Value};
use tidewire::model::{
    Checkpoint, EpochMillis, Fault, LeaseCounter, Shard, ShardId, Start, WorkerId,
};
use tidewire::service::clock::Clock;
use tidewire::service::http::beat::Beats;
use tidewire::service::leases::{self, Parts, Status};
use tidewire::service::tasks::Tasks;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The in-memory table, ten milliseconds away.
#[derive(Debug, Default)]
struct Far(
    table::MemoryTable,
    Mutex<Option<Item>>,
    Mutex<Option<Error>>,
);

impl Far {
    /// Everything fails so from now on.
    fn fail(&self, error: Error) {
        *self.2.lock().unwrap() = Some(error);
    }

    fn failing(&self) -> Result<(), Error> {
        self.2.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

const WAY: Duration = Duration::from_millis(5);

impl LeaseTable for Far {
    async fn scan(&self) -> Result<Vec<Item>, Error> {
        tokio::time::sleep(WAY * 2).await;
        self.failing()?;
        self.0.scan().await
    }

    async fn read(&self, shard: &ShardId) -> Result<Option<Item>, Error> {
        tokio::time::sleep(WAY * 2).await;
        self.failing()?;
        self.0.read(shard).await
    }

    async fn change(&self, change: &Change) -> Result<Answer, Error> {
        tokio::time::sleep(WAY).await;
        self.failing()?;
        let answer = self.0.change(change).await;
        tokio::time::sleep(WAY).await;
        answer
    }

    async fn prepare(&self, _create: bool) -> Result<(), Error> {
        Ok(())
    }

    async fn coordinator_row(&self, _key: &str) -> Result<Option<Item>, Error> {
        Ok(self.1.lock().unwrap().clone())
    }
}

/// Open shards that never change.
#[derive(Debug)]
struct Still(u64);

impl Stream for Still {
    type Subscription = NoSubscription;

    async fn shards(&self) -> Result<Vec<Shard>, stream::Error> {
        let shard = |number: u64| Shard {
            id: shard(number),
            parent: None,
            adjacent_parent: None,
            starting_hash_key: (number * 100).to_string(),
            ending_hash_key: (number * 100 + 99).to_string(),
            starting_seq: "1".parse().unwrap(),
            ending_seq: None,
        };
        Ok((0..self.0).map(shard).collect())
    }

    async fn server_time(&self) -> Result<EpochMillis, stream::Error> {
        Ok(EpochMillis(1_700_000_000_000))
    }

    async fn iterator(&self, _: &ShardId, _: &Start) -> Result<ShardIterator, stream::Error> {
        Ok(ShardIterator(String::new()))
    }

    async fn records(&self, _: &ShardIterator, _: u32) -> Result<Page, stream::Error> {
        std::future::pending().await
    }
}

fn shard(number: u64) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

type Reading = Arc<Mutex<BTreeMap<ShardId, LeaseCounter>>>;

struct Worker {
    reading: Reading,
    status: watch::Receiver<Status>,
    shutdown: CancellationToken,
    service: JoinHandle<Result<(), leases::Error>>,
    reader: JoinHandle<()>,
}

/// A worker whose reading side is empty: it drains at once, having got to sequence number 7.
fn start(name: &str, table: &Arc<Far>, shards: u64) -> Worker {
    start_with(name, table, shards, Options::default(), true)
}

/// A worker that never gets done with what it read, and whose lease outlives its patience.
fn start_slow(name: &str, table: &Arc<Far>, shards: u64) -> Worker {
    let options = Options {
        lease_duration: Duration::from_secs(60),
        ..Options::default()
    };
    start_with(name, table, shards, options, false)
}

fn parts(name: &str, table: &Arc<Far>, shards: u64) -> Parts<Far, Still> {
    Parts {
        table: Arc::clone(table),
        stream: Arc::new(Still(shards)),
        worker: WorkerId::from(name),
        writer: format!("process-of-{name}"),
        create_table: false,
        tasks: Tasks::new(),
        beats: Beats::new(Clock::of_the_runtime()),
    }
}

fn start_with(name: &str, table: &Arc<Far>, shards: u64, options: Options, drains: bool) -> Worker {
    let (events, mut heard) = mpsc::channel(4);
    let (says, said) = mpsc::channel(4);
    let (shown, status) = watch::channel(Status::default());
    let shutdown = CancellationToken::new();
    let parts = parts(name, table, shards);
    let service = leases::run(
        parts,
        options,
        Clock::of_the_runtime(),
        events,
        said,
        shown,
        shutdown.clone(),
    );
    let reading = Reading::default();
    let mine = Arc::clone(&reading);
    let reader = async move {
        while let Some(event) = heard.recv().await {
            match event {
                Event::Granted { shard, epoch, .. } => {
                    mine.lock().unwrap().insert(shard, epoch);
                }
                Event::Drain { .. } if !drains => {}
                Event::Drain { shard, epoch, .. } => {
                    mine.lock().unwrap().remove(&shard);
                    let seq = "7".parse().unwrap();
                    let checkpoint = Some(Checkpoint::At { seq, sub: 0 });
                    let drained = Say::Drained {
                        shard,
                        epoch,
                        checkpoint,
                    };
                    if says.send(drained).await.is_err() {
                        return;
                    }
                }
                Event::Revoked { shard, .. } => {
                    mine.lock().unwrap().remove(&shard);
                }
            }
        }
    };
    Worker {
        reading,
        status,
        shutdown,
        service: spawn(service),
        reader: spawn(reader),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test aborts these to kill a worker"
)]
fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(work)
}

impl Worker {
    fn count(&self) -> usize {
        self.reading.lock().unwrap().len()
    }

    /// As `kill -9` does.
    fn kill(self) {
        self.service.abort();
        self.reader.abort();
    }
}

/// Waits until `done`, and says how long that took.
async fn until(what: &str, most: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < most, "{what}: not within {most:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

fn all_but_once(workers: &[&Worker], shards: u64) -> bool {
    let mut all = BTreeSet::new();
    let mut count = 0;
    for worker in workers {
        let reading = worker.reading.lock().unwrap();
        count += reading.len();
        all.extend(reading.keys().cloned());
    }
    assert_eq!(all.len(), count, "a shard is read twice");
    u64::try_from(count).unwrap() == shards
}

#[tokio::test(start_paused = true)]
async fn an_empty_table_of_64_shards_is_owned_within_two_seconds() {
    let table = Arc::new(Far::default());
    let worker = start("a", &table, 64);
    until("64 shards", Duration::from_secs(2), || worker.count() == 64).await;
    let status = worker.status.borrow().clone();
    assert!(status.ready);
    assert_eq!(status.held, 64);
}

#[tokio::test(start_paused = true)]
async fn two_workers_of_64_shards_are_even_five_seconds_after_the_second_began_and_then_still() {
    let table = Arc::new(Far::default());
    let a = start("a", &table, 64);
    until("64 shards", Duration::from_secs(2), || a.count() == 64).await;
    let b = start("b", &table, 64);
    until("even", Duration::from_secs(5), || {
        a.count() == 32 && b.count() == 32
    })
    .await;
    let before = (
        a.reading.lock().unwrap().clone(),
        b.reading.lock().unwrap().clone(),
    );
    tokio::time::sleep(Duration::from_secs(120)).await;
    let after = (
        a.reading.lock().unwrap().clone(),
        b.reading.lock().unwrap().clone(),
    );
    assert_eq!(before, after, "nothing moves in quiet times");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_hands_its_checkpoints_on_within_a_second() {
    let table = Arc::new(Far::default());
    let a = start("a", &table, 16);
    until("16 shards", Duration::from_secs(2), || a.count() == 16).await;
    let b = start("b", &table, 16);
    until("even", Duration::from_secs(5), || {
        b.count() == 8 && a.count() == 8
    })
    .await;
    a.shutdown.cancel();
    until("all with b", Duration::from_secs(1), || b.count() == 16).await;
    let ended = tokio::time::timeout(Duration::from_secs(5), a.service).await;
    ended.unwrap().unwrap().unwrap();
    for item in table.scan().await.unwrap() {
        assert_eq!(item["checkpoint"], Value::S("7".to_owned()), "{item:?}");
        assert_eq!(item["leaseOwner"], Value::S("b".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_workers_shards_are_read_again_within_a_lease_and_a_second() {
    let table = Arc::new(Far::default());
    let a = start("a", &table, 16);
    let b = start("b", &table, 16);
    until("even", Duration::from_secs(8), || {
        all_but_once(&[&a, &b], 16) && a.count() == 8
    })
    .await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    a.kill();
    let lease = Options::default().lease_duration;
    let most = lease + Duration::from_secs(1);
    let took = until("all with b", most, || b.count() == 16).await;
    assert!(
        took > lease / 2,
        "leases of a live worker were taken: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_table_ruled_by_kcl_3_is_left_alone() {
    let table = Arc::new(Far::default());
    let version = Value::S("CLIENT_VERSION_3X".to_owned());
    *table.1.lock().unwrap() = Some(Item::from([("cv".to_owned(), version)]));
    let worker = start("a", &table, 4);
    let error = worker.service.await.unwrap().unwrap_err();
    assert!(matches!(error, leases::Error::Refused(_)), "{error}");
    assert!(error.to_string().contains("KclMigrationTool"), "{error}");
    assert!(table.scan().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_table_of_another_stream_is_refused_with_the_remedy() {
    let table = Arc::new(Far::default());
    let first = start("a", &table, 4);
    until("4 shards", Duration::from_secs(2), || first.count() == 4).await;
    first.kill();
    for number in 0..4 {
        let mut item = table.read(&shard(number)).await.unwrap().unwrap();
        item.insert("endingHashKey".to_owned(), Value::S("12345".to_owned()));
        table.0.0.lock().unwrap().put_by_hand(&shard(number), item);
    }
    let second = start("b", &table, 4);
    let error = second.service.await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("belongs to another stream"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn when_the_table_is_gone_for_good_nothing_is_read_any_more() {
    let table = Arc::new(Far::default());
    let worker = start("a", &table, 16);
    until("16 shards", Duration::from_secs(2), || worker.count() == 16).await;
    table.fail(Error::TableMissing {
        table: "leases".to_owned(),
    });
    worker.service.await.unwrap().unwrap_err();
    worker.reader.await.unwrap();
    assert_eq!(*worker.reading.lock().unwrap(), BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_the_table_is_silent_leaves_nothing_being_read() {
    let table = Arc::new(Far::default());
    let worker = start_slow("a", &table, 16);
    until("16 shards", Duration::from_secs(2), || worker.count() == 16).await;
    table.fail(Error::Call(CallFailed {
        operation: "UpdateItem",
        fault: Fault::Transient,
        message: "silence".to_owned(),
    }));
    tokio::time::sleep(Duration::from_secs(3)).await;
    worker.shutdown.cancel();
    worker.service.await.unwrap().unwrap();
    worker.reader.await.unwrap();
    assert_eq!(*worker.reading.lock().unwrap(), BTreeMap::new());
}
