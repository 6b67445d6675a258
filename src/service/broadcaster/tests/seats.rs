//! Several broadcasters for one queue, and several queues.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::door::connections::{Claimed, Seats};
use crate::door::fault::CallFailed;
use crate::model::{HolderId, SeatRow};
use crate::push::QueuePlace;
use crate::push::seat::{Claim, LEASE, LOOK_EVERY, MODESTY, RENEW_EVERY};
use crate::service::broadcaster::seat::{Holder, Seat};

/// The table of seats; clones are the same. Some processes may not reach it.
#[derive(Clone, Debug, Default)]
struct SeatTable(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<String, SeatRow>,
    cut_off: BTreeSet<HolderId>,
}

/// The table as one process reaches it.
#[derive(Clone, Debug)]
struct Reach(SeatTable, HolderId);

impl Reach {
    async fn meet(&self) -> Result<(), CallFailed> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if self.0.0.lock().unwrap().cut_off.contains(&self.1) {
            return Err(CallFailed {
                operation: "PutItem",
                fault: Fault::Transient,
                message: "nobody there".to_owned(),
            });
        }
        Ok(())
    }
}

impl Seats for Reach {
    async fn seat(&self, queue: &str) -> Result<Option<SeatRow>, CallFailed> {
        self.meet().await?;
        Ok(self.0.0.lock().unwrap().rows.get(queue).cloned())
    }

    async fn claim(&self, queue: &str, claim: &Claim) -> Result<Claimed, CallFailed> {
        self.meet().await?;
        let mut state = self.0.0.lock().unwrap();
        if state.rows.get(queue).map(|row| row.counter) != claim.expect {
            return Ok(Claimed::Refused);
        }
        let old = state.rows.insert(queue.to_owned(), claim.row.clone());
        Ok(Claimed::Written(old.and_then(|old| old.wish)))
    }
}

/// A broadcaster process with its seats.
struct Process {
    holder: Holder,
    status: Vec<watch::Receiver<Status>>,
    shutdown: CancellationToken,
    killed: CancellationToken,
    tasks: Tasks,
}

impl Process {
    fn start(name: &str, table: &SeatTable, queues: &[World]) -> Self {
        let holder = Holder::new(HolderId(name.to_owned()));
        let (shutdown, killed) = (CancellationToken::new(), CancellationToken::new());
        let tasks = Tasks::new();
        let mut seen = Vec::new();
        for (index, world) in queues.iter().enumerate() {
            let (status_in, status) = watch::channel(Status::default());
            seen.push(status);
            let clock = Clock::of_the_runtime();
            let parts = Parts {
                queue: world.clone(),
                // One table of viewers and one way to them, whatever the queue.
                connections: queues[0].clone(),
                screens: queues[0].clone(),
                beats: Beats::new(clock.clone()),
            };
            let mut options = Options::default();
            options.push.place = QueuePlace {
                index,
                of: queues.len(),
            };
            let seat = Seat {
                queue: format!("queue-{index}"),
                table: Reach(table.clone(), holder.id.clone()),
                holder: holder.clone(),
                clock,
            };
            let keep = seat.keep(parts, options, status_in, shutdown.clone());
            let killed = killed.clone();
            tasks.spawn("seat", async move {
                tokio::select! {
                    biased;
                    () = killed.cancelled() => {}
                    ended = keep => assert_eq!(ended, Ok(())),
                }
            });
        }
        Self {
            holder,
            status: seen,
            shutdown,
            killed,
            tasks,
        }
    }

    fn serves(&self) -> Vec<usize> {
        let served = self.status.iter().map(|status| status.borrow().serving);
        let served = served.enumerate();
        served.filter(|(_, n)| *n > 0).map(|(n, _)| n).collect()
    }

    /// In order, as by SIGTERM.
    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.ended().await;
    }

    /// As by kill -9: nothing is finished, nothing is let go.
    async fn kill(self) {
        self.killed.cancel();
        self.tasks.ended().await;
    }
}

/// How long it takes until this holds.
async fn until(what: &str, holds: impl Fn() -> bool) -> Duration {
    let started = tokio::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_second_broadcaster_stands_by_and_takes_over_from_one_that_was_killed() {
    let (table, world) = (SeatTable::default(), World::default());
    world.put(row("v", OLD, Wanted::All));
    let first = Process::start("first", &table, std::slice::from_ref(&world));
    until("the first serves", || first.serves() == [0]).await;
    let second = Process::start("second", &table, std::slice::from_ref(&world));
    for n in 0..20 {
        world.send(packed(&[("a", n)]));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    until("all are shown", || world.last("v", "a") == Some(19)).await;
    assert_eq!((first.serves(), second.serves()), (vec![0], vec![]));
    first.kill().await;
    world.send(packed(&[("a", 20)]));
    let took = until("the second shows", || world.last("v", "a") == Some(20)).await;
    assert!(took < LEASE + 2 * LOOK_EVERY, "{took:?}");
    assert_eq!(second.serves(), [0]);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_in_order_lets_the_next_begin_at_once() {
    let (table, world) = (SeatTable::default(), World::default());
    world.put(row("v", OLD, Wanted::All));
    let first = Process::start("first", &table, std::slice::from_ref(&world));
    until("the first serves", || first.serves() == [0]).await;
    let second = Process::start("second", &table, std::slice::from_ref(&world));
    tokio::time::sleep(Duration::from_secs(5)).await;
    first.stop().await;
    let took = until("the second serves", || second.serves() == [0]).await;
    assert!(took < 2 * LOOK_EVERY, "{took:?}");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_renew_stops_before_the_next_begins() {
    let (table, world) = (SeatTable::default(), World::default());
    world.put(row("v", OLD, Wanted::All));
    let first = Process::start("first", &table, std::slice::from_ref(&world));
    until("the first serves", || first.serves() == [0]).await;
    let second = Process::start("second", &table, std::slice::from_ref(&world));
    tokio::time::sleep(Duration::from_secs(5)).await;
    table
        .0
        .lock()
        .unwrap()
        .cut_off
        .insert(first.holder.id.clone());
    let stopped = until("the first stops", || first.serves().is_empty()).await;
    assert!(second.serves().is_empty(), "not both");
    let took = until("the second serves", || second.serves() == [0]).await;
    assert!(stopped < LEASE && took < LEASE, "{stopped:?} {took:?}");
    table.0.lock().unwrap().cut_off.clear();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((first.serves(), second.serves()), (vec![], vec![0]));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn queues_spread_over_broadcasters_and_the_last_one_serves_them_all() {
    let (table, queues) = (SeatTable::default(), [World::default(), World::default()]);
    let viewers: Vec<String> = (0..40).map(|n| format!("viewer-{n}=")).collect();
    for viewer in &viewers {
        queues[0].put(row(viewer, OLD, Wanted::All));
    }
    let first = Process::start("first", &table, &queues);
    let second = Process::start("second", &table, &queues);
    until("both serve", || {
        first.serves().len() == 1 && second.serves().len() == 1
    })
    .await;
    let known = |n: usize| {
        let all = first.status.iter().chain(&second.status);
        all.map(|status| status.borrow().viewers).sum::<usize>() == n
    };
    until("each viewer has one", || known(viewers.len())).await;
    // The worker sends every reading to every queue.
    for queue in &queues {
        queue.send(packed(&[("a", 1)]));
    }
    let shown = || {
        viewers
            .iter()
            .all(|viewer| queues[0].last(viewer, "a") == Some(1))
    };
    until("all are shown", shown).await;
    assert!(
        viewers
            .iter()
            .all(|viewer| queues[0].frames(viewer).len() == 1)
    );
    second.kill().await;
    let took = until("the first serves both", || first.serves() == [0, 1]).await;
    assert!(took < LEASE + MODESTY + 2 * LOOK_EVERY, "{took:?}");
    assert_eq!(first.holder.held(), 2);
    first.stop().await;
    let rows = &table.0.lock().unwrap().rows;
    assert!(rows.values().all(|row| row.holder.is_none()), "{rows:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_later_is_given_its_share_and_no_reading_goes_missing() {
    let queues: [World; 5] = std::array::from_fn(|_| World::default());
    let table = SeatTable::default();
    queues[0].put(row("v", OLD, Wanted::All));
    let first = Process::start("first", &table, &queues);
    until("the first serves all", || first.serves().len() == 5).await;
    let second = Process::start("second", &table, &queues);
    let spread = || (first.serves().len(), second.serves().len()) == (3, 2);
    let mut sent = 0;
    let started = tokio::time::Instant::now();
    while !spread() {
        assert!(started.elapsed() < DEADLINE, "{:?}", first.serves());
        // Which of the queues is the viewer's matters not: each gets all.
        for queue in &queues {
            queue.send(packed(&[("a", sent)]));
        }
        sent += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Two moves: a wish seen at a renewal, an end in order, a look; and the pause between them.
    let bound = 2 * (3 * LOOK_EVERY + RENEW_EVERY + LEASE);
    assert!(started.elapsed() < bound, "{:?}", started.elapsed());
    until("the last is shown", || {
        queues[0].last("v", "a") == Some(sent - 1)
    })
    .await;
    let third = Process::start("third", &table, &queues);
    until("a third has one", || third.serves().len() == 1).await;
    let serve = || [&first, &second, &third].map(Process::serves);
    let even = || {
        let mut counts = serve().map(|queues| queues.len());
        counts.sort_unstable();
        counts == [1, 2, 2]
    };
    until("the five are spread evenly", even).await;
    let rest = serve();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(serve(), rest, "and stay where they are");
    first.stop().await;
    second.stop().await;
    third.stop().await;
}
