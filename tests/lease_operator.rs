//! An operator beside running workers, in paused time: what is released, reset or handed over
//! leaves its owner in time, and what the operator was not sure of is said as it is.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

#[path = "support/lease_table.rs"]
#[expect(dead_code, reason = "the simulation needs more of it")]
mod table;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidewire::door::fault::CallFailed;
use tidewire::door::lease_table::{Error, LeaseTable};
use tidewire::door::stream::{self, NoSubscription, Page, ShardIterator, Stream};
use tidewire::lease::operate::{self, Plan, Target};
use tidewire::lease::talk::{Event, Say};
use tidewire::lease::{Answer, Author, Change, Item, Options, Row};
use tidewire::model::{Checkpoint, EpochMillis, Fault, Shard, ShardId, Start, WorkerId};
use tidewire::service::clock::Clock;
use tidewire::service::http::beat::Beats;
use tidewire::service::leases::{self, Parts, Status};
use tidewire::service::operator::{Done, Operator, Watched};
use tidewire::service::tasks::Tasks;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The in-memory table; a number of answers to changes get lost on the way back.
#[derive(Debug, Default)]
struct Lossy {
    table: table::MemoryTable,
    losing: AtomicU32,
}

impl LeaseTable for Lossy {
    async fn scan(&self) -> Result<Vec<Item>, Error> {
        self.table.scan().await
    }

    async fn read(&self, shard: &ShardId) -> Result<Option<Item>, Error> {
        self.table.read(shard).await
    }

    async fn change(&self, change: &Change) -> Result<Answer, Error> {
        let answer = self.table.change(change).await;
        let lost = self
            .losing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match lost {
            Ok(_) => Err(Error::Call(CallFailed {
                operation: "UpdateItem",
                fault: Fault::Transient,
                message: "no answer".to_owned(),
            })),
            Err(_) => answer,
        }
    }

    async fn prepare(&self, create: bool) -> Result<(), Error> {
        self.table.prepare(create).await
    }

    async fn coordinator_row(&self, key: &str) -> Result<Option<Item>, Error> {
        self.table.coordinator_row(key).await
    }
}

/// Four open shards that never change.
#[derive(Debug)]
struct Still;

const SHARDS: u64 = 4;

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
        Ok((0..SHARDS).map(shard).collect())
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

/// What a worker's reading side was told, and when.
type Heard = Arc<Mutex<Vec<(Instant, Event)>>>;

struct Worker {
    heard: Heard,
    status: watch::Receiver<Status>,
    _tasks: Tasks,
}

impl Worker {
    /// A worker that checkpoints 7 as soon as it reads, and drains at once.
    fn start(name: &str, table: &Arc<Lossy>) -> Self {
        let (events, mut hears) = mpsc::channel(16);
        let (says, said) = mpsc::channel(16);
        let (shown, status) = watch::channel(Status::default());
        let tasks = Tasks::new();
        let parts = Parts {
            table: Arc::clone(table),
            stream: Arc::new(Still),
            worker: WorkerId::from(name),
            writer: format!("process-of-{name}"),
            create_table: false,
            beats: Beats::new(Clock::of_the_runtime()),
            tasks: tasks.clone(),
        };
        let service = leases::run(
            parts,
            Options::default(),
            Clock::of_the_runtime(),
            events,
            said,
            shown,
            CancellationToken::new(),
        );
        tasks.spawn("leases", async move { service.await.unwrap() });
        let heard = Heard::default();
        let log = Arc::clone(&heard);
        tasks.spawn("reading", async move {
            let seven = || Checkpoint::At {
                seq: "7".parse().unwrap(),
                sub: 0,
            };
            while let Some(event) = hears.recv().await {
                log.lock().unwrap().push((Instant::now(), event.clone()));
                let say = match event {
                    Event::Granted { shard, epoch, .. } => Say::Checkpoint {
                        shard,
                        epoch,
                        checkpoint: seven(),
                    },
                    Event::Drain { shard, epoch, .. } => Say::Drained {
                        shard,
                        epoch,
                        checkpoint: Some(seven()),
                    },
                    Event::Revoked { .. } => continue,
                };
                says.send(say).await.unwrap();
            }
        });
        Self {
            heard,
            status,
            _tasks: tasks,
        }
    }

    fn held(&self) -> usize {
        self.status.borrow().held
    }

    /// The first event from `since` on that `is` it, and how long after.
    fn after(&self, since: Instant, is: impl Fn(&Event) -> bool) -> Option<(Duration, Event)> {
        let heard = self.heard.lock().unwrap();
        let found = heard.iter().find(|(at, event)| *at >= since && is(event));
        found.map(|(at, event)| (*at - since, event.clone()))
    }
}

async fn until<T>(what: &str, most: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < most, "{what}: not within {most:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn operator(table: &Arc<Lossy>) -> Operator<Lossy> {
    let author = Author {
        me: WorkerId::from("operator"),
        writer: "this-run".to_owned(),
    };
    Operator::new(Arc::clone(table), author, Clock::of_the_runtime())
}

async fn row_of(operator: &Operator<Lossy>, number: u64) -> Row {
    operator.look().await.unwrap().leases[&shard(number)].clone()
}

/// A fleet of one that holds everything and has checkpointed it.
async fn fleet() -> (Arc<Lossy>, Worker, Operator<Lossy>) {
    let table = Arc::new(Lossy::default());
    let worker = Worker::start("a", &table);
    until("all held", Duration::from_secs(5), || {
        (worker.held() == 4).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let operator = operator(&table);
    (table, worker, operator)
}

/// Where a lease with the checkpoint 7 begins: at that record, whose done part is dropped.
fn at_seven() -> Start {
    let seq = "7".parse().unwrap();
    Start::At { seq, sub: 0 }
}

fn is_revoked(event: &Event) -> bool {
    matches!(event, Event::Revoked { .. })
}

fn is_granted(event: &Event) -> bool {
    matches!(event, Event::Granted { .. })
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_leaves_its_owner_by_the_next_renewal_and_is_read_again() {
    let (_table, worker, operator) = fleet().await;
    let seen = row_of(&operator, 2).await;
    let since = Instant::now();
    let done = operator
        .carry_out(&seen, |row| operate::release(&operator.author, row))
        .await;
    assert_eq!(done, Done::Did("released from `a`".to_owned()));
    let limit = Options::default().renew_every + Duration::from_millis(100);
    let (took, event) = until("revoked", limit, || worker.after(since, is_revoked)).await;
    assert!(took <= limit, "{took:?}");
    assert!(matches!(event, Event::Revoked { shard: gone, .. } if gone == shard(2)));
    let (_, event) = until("granted", Duration::from_secs(2), || {
        worker.after(since, is_granted)
    })
    .await;
    let Event::Granted { start, epoch, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!(start, at_seven());
    assert!(epoch > seen.counter, "the counter only rises");
}

#[tokio::test(start_paused = true)]
async fn a_reset_lease_is_read_from_there_and_the_old_owner_writes_nothing_over_it() {
    let (table, worker, operator) = fleet().await;
    let seen = row_of(&operator, 1).await;
    assert_eq!(seen.checkpoint.to_string(), "7");
    // The owner beats on meanwhile: what was seen is old, and only by heartbeats.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let since = Instant::now();
    let at = EpochMillis(1_600_000_000_000);
    let target = Target::Since(at);
    let done = operator
        .carry_out(&seen, |row| operate::reset(&operator.author, row, &target))
        .await;
    assert!(
        matches!(&done, Done::Did(what) if what.contains("from 7 to AT_TIMESTAMP")),
        "{done:?}"
    );
    let row = row_of(&operator, 1).await;
    assert_eq!(
        (row.checkpoint, row.start_ms),
        (Checkpoint::AtTimestamp, Some(at))
    );
    let (_, event) = until("granted", Duration::from_secs(6), || {
        worker.after(since, is_granted)
    })
    .await;
    assert!(
        matches!(&event, Event::Granted { shard: again, start, .. }
            if *again == shard(1) && *start == Start::AtTimestamp(at)),
        "{event:?}"
    );
    drop(table);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_handed_to_the_named_worker_drained_and_without_a_loss() {
    let (table, a, operator) = fleet().await;
    let b = Worker::start("b", &table);
    until("even", Duration::from_secs(10), || {
        (a.held() == 2 && b.held() == 2).then_some(())
    })
    .await;
    let to = WorkerId::from("b");
    let both = BTreeSet::from([WorkerId::from("a"), to.clone()]);
    let enough = |seen: &Watched| seen.alive() == both;
    let watched = operator.watch(Duration::from_secs(10), enough).await;
    let watched = watched.unwrap();
    assert_eq!(watched.alive(), both, "both are seen to live");
    let rows = watched.contents.leases.values();
    let row = rows.into_iter().find(|row| row.owner != Some(to.clone()));
    let row = row.unwrap().clone();
    let since = Instant::now();
    let begun = operator
        .carry_out(&row, |row| {
            operate::hand_over(&operator.author, row, &to, &both)
        })
        .await;
    assert!(matches!(begun, Done::Did(_)), "{begun:?}");
    let done = operator
        .handed_over(&row, &to, Duration::from_secs(20))
        .await;
    assert!(
        matches!(&done, Done::Did(what) if what.contains("to `b`")),
        "{done:?}"
    );
    let (took, event) = until("granted", Duration::from_secs(2), || {
        b.after(since, is_granted)
    })
    .await;
    assert!(took <= Duration::from_secs(5), "{took:?}");
    assert!(
        matches!(&event, Event::Granted { shard, start, .. }
            if *shard == row.shard && *start == at_seven()),
        "{event:?}"
    );
    assert_eq!(a.after(since, is_revoked), None, "nothing was torn away");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up_and_a_changed_owner_ends_the_attempt() {
    let (table, _worker, operator) = fleet().await;
    let seen = row_of(&operator, 0).await;
    table.losing.store(1, Ordering::SeqCst);
    let done = operator
        .carry_out(&seen, |row| operate::release(&operator.author, row))
        .await;
    assert_eq!(done, Done::Did("released from `a`".to_owned()));
    assert_eq!(
        row_of(&operator, 0).await.writer.as_deref(),
        Some("this-run")
    );

    // What was agreed to was to take the lease from another worker than the one that has it.
    let mut seen = row_of(&operator, 3).await;
    seen.owner = Some(WorkerId::from("z"));
    let done = operator
        .carry_out(&seen, |row| operate::release(&operator.author, row))
        .await;
    assert_eq!(
        done,
        Done::Not("it changed meanwhile: `a` owns it now".to_owned())
    );
    assert_eq!(row_of(&operator, 3).await.owner, Some(WorkerId::from("a")));
    let done = operator
        .carry_out(&row_of(&operator, 3).await, |_| Plan::Refused("no".into()))
        .await;
    assert_eq!(done, Done::Not("no".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn watching_tells_the_living_from_the_silent() {
    let (table, _worker, operator) = fleet().await;
    let mut silent = table.read(&shard(0)).await.unwrap().unwrap();
    let key = "shardId-000000000009";
    for (name, value) in [("leaseKey", key), ("leaseOwner", "dead")] {
        silent.insert(name.to_owned(), tidewire::lease::Value::text(value));
    }
    let quiet = ShardId::from(key);
    table.table.0.lock().unwrap().put_by_hand(&quiet, silent);
    let seen = operator
        .watch(Duration::from_secs(8), |_| false)
        .await
        .unwrap();
    assert!(seen.beats(&shard(0)) && !seen.beats(&quiet));
    let age = seen.beats[shard(0).as_str()];
    assert!(
        age <= Options::default().renew_every + Duration::from_millis(600),
        "{age:?}"
    );
    assert_eq!(seen.watched, Duration::from_secs(8));
}
