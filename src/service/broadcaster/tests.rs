//! The service in paused time, on doors in memory.

use std::collections::BTreeSet;

use super::*;
use crate::door::fault::Fault;
use crate::model::{Posted, Wanted};

mod doors;
mod seats;
mod trouble;

use doors::{Script, World, packed, row};

/// How long anything may take that must happen; simulated, so it costs nothing.
const DEADLINE: Duration = Duration::from_secs(120);

/// A broadcaster on a world of its own.
struct Stand {
    world: World,
    status: watch::Receiver<Status>,
    shutdown: CancellationToken,
    tasks: Tasks,
    ended: watch::Receiver<Option<Result<(), Broken>>>,
}

impl Stand {
    fn start(world: World, options: impl Into<Options>) -> Self {
        let (status_in, status) = watch::channel(Status::default());
        let shutdown = CancellationToken::new();
        let parts = Parts {
            queue: world.clone(),
            connections: world.clone(),
            screens: world.clone(),
            beats: Beats::new(Clock::of_the_runtime()),
        };
        let clock = Clock::of_the_runtime();
        let run = run(parts, options.into(), clock, status_in, shutdown.clone());
        let (ended_in, ended) = watch::channel(None);
        let tasks = Tasks::new();
        tasks.spawn("broadcaster", async move {
            let result = run.await;
            ended_in.send_replace(Some(result));
        });
        Self {
            world,
            status,
            shutdown,
            tasks,
            ended,
        }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&World, &Status) -> bool) {
        let started = tokio::time::Instant::now();
        while !holds(&self.world, &self.status.borrow()) {
            assert!(started.elapsed() < DEADLINE, "never: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(mut self) -> World {
        self.shutdown.cancel();
        self.ended.wait_for(Option::is_some).await.unwrap();
        assert_eq!(*self.ended.borrow(), Some(Ok(())));
        self.tasks.ended().await;
        self.world
    }
}

const OLD: i64 = 600_000;

#[tokio::test(start_paused = true)]
async fn readings_reach_the_viewers_who_want_them_and_messages_are_deleted() {
    let world = World::default();
    world.put(row("all", OLD, Wanted::All));
    world.put(row("one", OLD, doors::devices(&["a"])));
    world.put(row("none", OLD, doors::devices(&[])));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("viewers are known", |_, s| s.viewers == 3)
        .await;
    let messages = 25;
    for n in 0..messages {
        stand.world.send(packed(&[("a", n), ("b", n)]));
    }
    stand.until("all are deleted", |w, _| w.left() == 0).await;
    stand
        .until("the newest is shown", |w, _| {
            w.last("all", "a") == Some(24) && w.last("one", "a") == Some(24)
        })
        .await;
    let world = stand.stop().await;
    assert_eq!(world.last("all", "b"), Some(24));
    assert_eq!(world.last("one", "b"), None);
    assert_eq!(world.frames("none").len(), 0);
    assert_eq!(world.deletions_twice(), 0, "each receipt is deleted once");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_is_gone_loses_its_row_and_nobody_else_notices() {
    let world = World::default();
    world.put(row("gone", OLD, Wanted::All));
    world.put(row("here", OLD, Wanted::All));
    world.script("gone", Script::Always(Posted::Gone));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("viewers are known", |_, s| s.viewers == 2)
        .await;
    stand.world.send(packed(&[("a", 1)]));
    stand
        .until("its row is deleted", |w, _| !w.has("gone"))
        .await;
    stand
        .until("the other is served", |w, _| w.last("here", "a") == Some(1))
        .await;
    let posts = stand.world.posts("gone");
    stand.world.send(packed(&[("a", 2)]));
    stand
        .until("the other goes on", |w, _| w.last("here", "a") == Some(2))
        .await;
    assert_eq!(stand.world.posts("gone"), posts, "it is forgotten");
    assert_eq!(stand.world.received_again(), 0, "no message came back");
    let world = stand.stop().await;
    assert!(world.has("here"));
}

/// A well-known sample deletes, on a 410, the row of whoever sent the message instead of the stale
/// one: it empties its table of the living.
#[tokio::test(start_paused = true)]
async fn a_410_deletes_the_stale_row_and_never_that_of_who_made_us_post() {
    for sender in ["a-sender", "z-sender"] {
        let world = World::default();
        world.put(row("m-stale", OLD, Wanted::All));
        world.put(row(sender, OLD, Wanted::All));
        world.script("m-stale", Script::Always(Posted::Gone));
        let mut stand = Stand::start(world, Options::default());
        stand
            .until("viewers are known", |_, s| s.viewers == 2)
            .await;
        stand.world.send(format!(
            r#"{{"v":1,"control":"changed","connection":"{sender}"}}"#
        ));
        stand.world.send(packed(&[("a", 1)]));
        stand
            .until("the stale row is deleted", |w, _| !w.has("m-stale"))
            .await;
        stand.world.send(packed(&[("a", 2)]));
        stand
            .until("the sender is served", |w, _| {
                w.last(sender, "a") == Some(2)
            })
            .await;
        assert_eq!(stand.world.forgets(), 1, "one deletion, of the stale row");
        assert!(stand.stop().await.has(sender));
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_id_is_used_again_survives_the_410_of_the_one_before() {
    let world = World::default();
    world.put(row("v", OLD, Wanted::All));
    world.script("v", Script::Always(Posted::Gone));
    // The table changes hands between our last list of it and the answer.
    let refresh = Options {
        refresh: Duration::from_secs(30),
        ..Options::default()
    };
    let mut stand = Stand::start(world, refresh);
    stand
        .until("the viewer is known", |_, s| s.viewers == 1)
        .await;
    stand.world.put(row("v", 0, Wanted::All));
    stand.world.send(packed(&[("a", 1)]));
    stand
        .until("a deletion was tried", |w, _| w.forgets() == 1)
        .await;
    stand.world.script("v", Script::Always(Posted::Accepted));
    stand.world.send(packed(&[("a", 2)]));
    stand
        .until("the new one is served", |w, _| w.last("v", "a") == Some(2))
        .await;
    assert!(stand.stop().await.has("v"));
}

#[tokio::test(start_paused = true)]
async fn rubbish_is_counted_and_deleted_and_what_is_beside_it_shown() {
    let world = World::default();
    world.put(row("v", OLD, Wanted::All));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("the viewer is known", |_, s| s.viewers == 1)
        .await;
    for body in ["", "nonsense", "[1]", "{}", r#"{"v":9,"readings":[]}"#] {
        stand.world.send(body.to_owned());
    }
    stand
        .world
        .send(r#"{"v":1,"readings":[{"device_id":7}]}"#.to_owned());
    stand.world.send(packed(&[("a", 1)]));
    stand
        .world
        .send(r#"{"device_id":"b","ts":5,"heat":2}"#.to_owned());
    stand.until("all are deleted", |w, _| w.left() == 0).await;
    stand
        .until("it is counted", |_, s| s.rubbish == 5 && s.messages == 3)
        .await;
    stand
        .until("readings are shown", |w, _| {
            w.last("v", "a") == Some(1) && w.saw("v", r#""device_id":"b""#)
        })
        .await;
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_control_message_makes_the_row_be_read_at_once() {
    let world = World::default();
    let options = Options {
        refresh: Duration::from_secs(300),
        ..Options::default()
    };
    let mut stand = Stand::start(world, options);
    stand
        .until("the table was listed", |w, _| w.lists() == 1)
        .await;
    stand.world.send(packed(&[("a", 1)]));
    stand.world.put(row("v", 0, doors::devices(&["a"])));
    stand
        .world
        .send(r#"{"v":1,"control":"changed","connection":"v"}"#.to_owned());
    let sent = tokio::time::Instant::now();
    stand
        .until("the snapshot is there", |w, _| w.last("v", "a") == Some(1))
        .await;
    assert!(sent.elapsed() < Duration::from_secs(1));
    assert_eq!(stand.world.lists(), 1);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deletions_that_fail_are_tried_again() {
    let world = World::default();
    world.put(row("v", OLD, Wanted::All));
    world.fail_deletions(3);
    let mut stand = Stand::start(world, Options::default());
    for n in 0..12 {
        stand.world.send(packed(&[("a", n)]));
    }
    stand.until("all are deleted", |w, _| w.left() == 0).await;
    assert_eq!(stand.world.received_again(), 0);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn queue_and_table_out_of_reach_for_a_while_are_found_again() {
    let world = World::default();
    world.put(row("v", OLD, Wanted::All));
    world.outage(true);
    let mut stand = Stand::start(world, Options::default());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(stand.status.borrow().last_queue_error.is_some());
    stand.world.outage(false);
    stand.world.send(packed(&[("a", 1)]));
    stand
        .until("it is shown", |w, _| w.last("v", "a") == Some(1))
        .await;
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_what_was_taken_from_the_queue_is_shown_and_nothing_more_is_taken() {
    let world = World::default();
    world.put(row("v", OLD, Wanted::All));
    world.latency(Duration::from_millis(300));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("the viewer is known", |_, s| s.viewers == 1)
        .await;
    stand.world.send(packed(&[("a", 1)]));
    stand
        .until("the first is under way", |w, _| w.posts("v") > 0)
        .await;
    stand.world.send(packed(&[("a", 2)]));
    stand
        .until("the second is taken", |w, _| w.left() == 0)
        .await;
    let world = stand.stop().await;
    assert_eq!(world.last("v", "a"), Some(2));
    world.send(packed(&[("a", 3)]));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_keeps_its_deadline_though_a_post_hangs() {
    let world = World::default();
    world.put(row("v", OLD, Wanted::All));
    world.script("v", Script::Hang);
    let options = Options {
        drain: Duration::from_secs(5),
        ..Options::default()
    };
    let mut stand = Stand::start(world, options);
    stand
        .until("the viewer is known", |_, s| s.viewers == 1)
        .await;
    stand.world.send(packed(&[("a", 1)]));
    stand.until("a post hangs", |w, _| w.posts("v") == 1).await;
    let asked = tokio::time::Instant::now();
    stand.shutdown.cancel();
    stand.ended.wait_for(Option::is_some).await.unwrap();
    assert!(asked.elapsed() <= Duration::from_secs(5));
}

#[test]
fn a_fault_without_a_status_counts_by_what_can_be_done_about_it() {
    let failed = |fault| {
        outcome_of(&Err(crate::door::fault::CallFailed {
            operation: "PostToConnection",
            fault,
            message: "words".to_owned(),
        }))
    };
    assert_eq!(failed(Fault::Throttled), Outcome::Answered(Posted::Slow));
    let forbidden = Posted::Forbidden("words".to_owned());
    assert_eq!(failed(Fault::Fatal), Outcome::Answered(forbidden));
    let rest: BTreeSet<_> = [Fault::Transient, Fault::Rejected, Fault::Conflict].into();
    assert!(
        rest.into_iter()
            .all(|fault| failed(fault) == Outcome::Failed)
    );
}
