//! Shards that are subscribed to: renewed, broken off, refused, backed up, ended.

use std::time::Duration;

use tidewire::lease::talk::Say;
use tidewire::model::{ChildShard, Fault, ShardId, Start};
use tidewire::service::worker::{Options, ReadBy};
use tokio::time::Instant;

use super::doors::shard;
use super::stand::Stand;
use super::{put_many, stored};

fn start() -> Stand {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut Options)) -> Stand {
    let stand = Stand::start_with(change);
    stand.stream.with(|stream| {
        stream.pushing.on = true;
        stream.shards.entry(shard(0)).or_default();
    });
    stand
}

/// When shard 0 was subscribed to, and from where.
fn opened(stand: &Stand) -> Vec<(Instant, Start)> {
    stand.stream.with(|stream| {
        let opened = stream.pushing.opened.iter();
        opened.map(|(_, at, start)| (*at, start.clone())).collect()
    })
}

fn refused(stand: &Stand) -> usize {
    stand
        .stream
        .with(|stream| stream.pushing.calls_refused.len())
}

fn polls(stand: &Stand) -> usize {
    stand
        .stream
        .with(|stream| stream.shards[&shard(0)].reads.len())
}

fn read_by(stand: &Stand) -> Option<ReadBy> {
    let status = stand.status.borrow();
    status.shards.get(&shard(0)).map(|shard| shard.read_by)
}

/// Puts a reading each second for so many; the last one's sequence number.
async fn put_each_second(stand: &Stand, from: u32, count: u32) -> String {
    let mut last = String::new();
    for n in from..from + count {
        let seq = stand.stream.put(0, &super::reading("d", n, n));
        last = seq.as_str().to_owned();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    last
}

/// Waits until all is done, and that nothing was read twice.
async fn all_done_once(stand: &mut Stand, last: &str, count: u64) {
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_deref() == Some(last)
        })
        .await;
    let status = stand.books().await;
    assert_eq!(status.records.read, count, "read once");
    assert_eq!(stored(stand) as u64, count);
    assert_eq!(status.budget_used_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_renewed_before_five_minutes_without_a_gap_or_a_repeat() {
    let mut stand = start();
    stand.grant(0, Start::TrimHorizon).await;
    let last = put_each_second(&stand, 0, 1_200).await;
    all_done_once(&mut stand, &last, 1_200).await;
    let opened = opened(&stand);
    assert!((5..=6).contains(&opened.len()), "{}", opened.len());
    for pair in opened.windows(2) {
        let lasted = pair[1].0 - pair[0].0;
        let seconds = lasted.as_secs();
        assert!((260..=281).contains(&seconds), "{lasted:?}");
        assert!(matches!(pair[1].1, Start::After(_)), "{:?}", pair[1]);
    }
    assert_eq!((refused(&stand), polls(&stand)), (0, 0));
    assert_eq!(read_by(&stand), Some(ReadBy::FanOut));
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_is_stored_when_it_is_written_not_at_the_next_poll() {
    let mut stand = start_with(|options| {
        options.poll_every = Duration::from_secs(60);
        options.pipeline.stores[0].window = Duration::ZERO;
    });
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    for count in 1..=5 {
        put_many(&stand, 0, count);
        let written = Instant::now();
        let before = stored(&stand);
        stand
            .until("it is stored", |stand| stored(stand) > before)
            .await;
        assert!(written.elapsed() < Duration::from_millis(50));
        stand.store.with(|store| store.rows.clear());
        tokio::time::sleep(Duration::from_secs(7)).await;
    }
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_goes_on_after_the_last_record_handed_on() {
    let mut stand = start();
    stand.grant(0, Start::TrimHorizon).await;
    let mut last = String::new();
    for round in 0..10 {
        last = put_each_second(&stand, round * 20, 20).await;
        stand.stream.with(|stream| stream.pushing.breaks = true);
    }
    all_done_once(&mut stand, &last, 200).await;
    let opened = opened(&stand);
    assert!((10..=11).contains(&opened.len()), "{opened:?}");
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_just_taken_over_is_polled_until_it_can_be_subscribed_to() {
    let mut stand = start();
    let last = put_many(&stand, 0, 30);
    // Its last owner subscribed a moment ago.
    stand
        .stream
        .with(|stream| stream.pushing.taken_by_another(&shard(0)));
    let granted = Instant::now();
    stand.grant(0, Start::TrimHorizon).await;
    stand.until("it is read", |stand| stored(stand) == 30).await;
    assert!(granted.elapsed() < Duration::from_secs(1));
    assert_eq!(read_by(&stand), Some(ReadBy::Polling));
    stand
        .until("it is subscribed to", |stand| opened(stand).len() == 2)
        .await;
    let waited = granted.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(7));
    let refused = refused(&stand);
    assert!((4..=5).contains(&refused), "{refused} calls refused");
    let polled = polls(&stand);
    put_many(&stand, 0, 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(polls(&stand), polled, "no poll beside the subscription");
    assert!(stand.checkpoint(0) > Some(last));
    assert_eq!(stand.books().await.records.read, 31);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_another_takes_over_is_taken_back_and_nothing_lost() {
    let mut stand = start();
    stand.grant(0, Start::TrimHorizon).await;
    put_each_second(&stand, 0, 30).await;
    stand
        .stream
        .with(|stream| stream.pushing.taken_by_another(&shard(0)));
    let last = put_each_second(&stand, 30, 30).await;
    all_done_once(&mut stand, &last, 60).await;
    assert_eq!(opened(&stand).len(), 3);
    assert_eq!(read_by(&stand), Some(ReadBy::FanOut));
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_down_for_minutes_holds_the_place_and_the_memory() {
    const BUDGET: u64 = 1_048_576;
    let mut stand = start_with(|options| options.pipeline.budget_bytes = BUDGET);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stand
        .store
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    let mut last = String::new();
    let mut most = 0;
    for _ in 0..20 {
        last = put_many(&stand, 0, 2_000);
        // Longer than a subscription lasts, many times over.
        tokio::time::sleep(Duration::from_secs(60)).await;
        most = most.max(stand.status.borrow().budget_used_bytes);
    }
    assert!(most > BUDGET / 2, "{most}: it never filled up");
    assert!(most < BUDGET + BUDGET / 4, "{most}");
    let while_down = opened(&stand).len();
    assert!(while_down <= 2, "{while_down} while nobody had room");
    stand.store.trouble(|trouble| trouble.down = None);
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    let status = stand.books().await;
    assert_eq!(status.records.read, 40_000, "nothing lost, nothing twice");
    stand.stop().await;
}

/// What is said of a shard's end: the children's ids.
fn children_said(stand: &Stand) -> Option<Vec<ChildShard>> {
    stand.says().into_iter().find_map(|say| match say {
        Say::Ended { children, .. } => Some(children),
        _ => None,
    })
}

fn born(id: u32, parents: &[u32]) -> ChildShard {
    ChildShard {
        id: shard(id),
        parents: parents.iter().map(|parent| shard(*parent)).collect(),
        starting_hash_key: "0".to_owned(),
        ending_hash_key: "1".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_split_or_merged_ends_with_its_children_when_all_is_done() {
    let split = vec![born(10, &[0]), born(11, &[0])];
    let merged = vec![born(12, &[0, 1])];
    for children in [split, merged] {
        let mut stand = start();
        stand
            .store
            .trouble(|trouble| trouble.down = Some(Fault::Transient));
        stand.grant(0, Start::TrimHorizon).await;
        put_many(&stand, 0, 30);
        stand
            .stream
            .with(|stream| stream.children.clone_from(&children));
        stand.stream.close(0);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(children_said(&stand), None);
        stand.store.trouble(|trouble| trouble.down = None);
        stand
            .until("it ends", |stand| children_said(stand).is_some())
            .await;
        assert_eq!(children_said(&stand), Some(children));
        assert_eq!(stand.books().await.records.done, 30);
        assert_eq!(opened(&stand).len(), 1);
        stand.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_subscription_is_given_up_for_a_new_one() {
    let mut stand = start();
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    stand.stream.with(|stream| stream.pushing.silent = true);
    let last = put_many(&stand, 0, 5);
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!(opened(&stand).len(), 2);
    stand.stream.with(|stream| stream.pushing.silent = false);
    all_done_once(&mut stand, &last, 5).await;
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_permission_auto_polls_and_fan_out_waits_and_says_why() {
    for falls_back in [true, false] {
        let mut stand = start_with(|options| options.falls_back = falls_back);
        stand
            .stream
            .with(|stream| stream.pushing.refused = Some(Fault::Fatal));
        let last = put_many(&stand, 0, 5);
        stand.grant(0, Start::TrimHorizon).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let status = stand.status.borrow().clone();
        let calls = refused(&stand);
        assert_eq!(read_by(&stand), Some(ReadBy::Polling));
        if falls_back {
            assert_eq!(calls, 1);
            assert_eq!(status.fatal, None);
        } else {
            assert!((10..=20).contains(&calls), "{calls} calls in a minute");
            assert!(status.fatal.is_some(), "{status:?}");
            assert_eq!((stored(&stand), polls(&stand)), (0, 0));
            stand.stream.with(|stream| stream.pushing.refused = None);
        }
        all_done_once(&mut stand, &last, 5).await;
        stand
            .until("it is well", |stand| stand.status.borrow().fatal.is_none())
            .await;
        stand.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_passing_is_bridged_by_polling() {
    for fault in [Fault::Throttled, Fault::Transient] {
        let mut stand = start();
        stand
            .stream
            .with(|stream| stream.pushing.refused = Some(fault));
        stand.grant(0, Start::TrimHorizon).await;
        put_each_second(&stand, 0, 60).await;
        let calls = refused(&stand);
        assert!((10..=20).contains(&calls), "{calls} calls in a minute");
        assert!(stored(&stand) > 50, "{}", stored(&stand));
        stand.stream.with(|stream| stream.pushing.refused = None);
        let last = put_each_second(&stand, 60, 60).await;
        all_done_once(&mut stand, &last, 120).await;
        assert_eq!(read_by(&stand), Some(ReadBy::FanOut));
        stand.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_consumer_does_not_end_a_shard_and_a_missing_shard_does() {
    let mut stand = start();
    put_many(&stand, 0, 5);
    stand
        .stream
        .with(|stream| stream.pushing.no_consumer = true);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(children_said(&stand), None);
    assert_eq!(stored(&stand), 5, "it is polled meanwhile");
    let gone = ShardId::from("shardId-000000000000");
    stand.stream.with(|stream| {
        stream.pushing.no_consumer = false;
        stream.shards.remove(&gone);
        stream.shards.entry(shard(1)).or_default();
    });
    stand
        .until("it ends", |stand| children_said(stand).is_some())
        .await;
    assert_eq!(children_said(&stand), Some(Vec::new()));
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drained_shard_lets_go_of_its_subscription_at_once() {
    let mut stand = start();
    stand.grant(0, Start::TrimHorizon).await;
    let last = put_many(&stand, 0, 30);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    stand.drain(0).await;
    let drained = |say: &Say| matches!(say, Say::Drained { .. });
    stand
        .until("it is drained", |stand| stand.says().iter().any(drained))
        .await;
    assert!(asked.elapsed() < Duration::from_millis(100));
    assert_eq!(stand.checkpoint(0), Some(last));
    put_many(&stand, 0, 5);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stand.books().await.records.read, 30);
    assert_eq!(opened(&stand).len(), 1);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_idle_subscriptions_do_not_use_up_the_reads_that_busy_ones_need() {
    let mut stand = start_with(|options| options.pipeline.reads_max = 2);
    for number in 0..20 {
        stand.stream.with(|stream| {
            stream.shards.entry(shard(number)).or_default();
        });
        stand.grant(number, Start::TrimHorizon).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    for round in 1..=10_u32 {
        for number in 0..20 {
            put_many(&stand, number, 1);
        }
        let before = Instant::now();
        stand
            .until("all are read", |stand| {
                let status = stand.status.borrow();
                status.records.done == u64::from(round) * 20
            })
            .await;
        assert!(before.elapsed() < Duration::from_secs(2));
    }
    stand.stop().await;
}
