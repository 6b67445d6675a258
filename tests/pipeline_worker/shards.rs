//! Shards: read, lost, handed back, ended.

use std::time::Duration;

use tidewire::lease::talk::Say;
use tidewire::model::{Fault, Start};
use tokio::time::Instant;

use super::doors::{child, shard};
use super::stand::Stand;
use super::{live, put_many, stored};

#[tokio::test(start_paused = true)]
async fn readings_reach_both_sinks_in_order_and_are_checkpointed() {
    let mut stand = Stand::start();
    let last: Vec<String> = (0..3).map(|to| put_many(&stand, to, 250)).collect();
    for number in 0..3 {
        stand.grant(number, Start::TrimHorizon).await;
    }
    for number in 0..3_u32 {
        let last = &last[number as usize];
        stand
            .until("the last checkpoint", |stand| {
                stand.checkpoint(number).as_ref() == Some(last)
            })
            .await;
    }
    let status = stand.books().await;
    assert_eq!(status.records.done, 750);
    for sink in ["timestream", "queue"] {
        assert_eq!(status.sinks[sink].book.acknowledged, 750, "{sink}");
    }
    for number in 0..3 {
        let of = shard(number);
        let stored = stand.store.with(|store| {
            let here = store.stored.iter().filter(|reading| reading.shard == of);
            here.map(|reading| reading.position.clone())
                .collect::<Vec<_>>()
        });
        assert!(stored.len() == 250 && stored.is_sorted());
        let live = live(&stand);
        let live: Vec<_> = live
            .iter()
            .filter(|(shard, _)| *shard == of.as_str())
            .collect();
        assert!(live.len() == 250 && live.is_sorted());
    }
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_resumed_after_the_last_record_handed_on() {
    let stand = &mut Stand::start_with(|options| options.pipeline.records_max = 10);
    let last = put_many(stand, 0, 95);
    stand.grant(0, Start::TrimHorizon).await;
    for generation in 1..=5 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stand.stream.with(|stream| stream.generation = generation);
    }
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    assert!(stand.stream.with(|stream| stream.iterators_given) > 3);
    let status = stand.books().await;
    assert_eq!(status.records.read, 95, "nothing was read twice");
    assert_eq!(stored(stand), 95);
}

#[tokio::test(start_paused = true)]
async fn a_failing_stream_is_read_on_when_it_works_again() {
    let mut stand = Stand::start();
    let last = put_many(&stand, 0, 20);
    for fault in [Fault::Throttled, Fault::Transient] {
        stand.stream.trouble(|trouble| trouble.down = Some(fault));
        stand.grant(0, Start::TrimHorizon).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let calls = stand
            .stream
            .trouble(|trouble| std::mem::take(&mut trouble.calls));
        assert!(
            (10..60).contains(&calls),
            "{calls} calls in a minute of {fault:?}"
        );
        stand.stream.trouble(|trouble| trouble.down = None);
        stand
            .until("all is done", |stand| {
                stand.checkpoint(0).as_ref() == Some(&last)
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_read_five_times_a_second_and_never_faster() {
    let mut stand = Stand::start_with(|options| options.pipeline.records_max = 10);
    put_many(&stand, 0, 200);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let reads = stand
        .stream
        .with(|stream| stream.shards[&shard(0)].reads.clone());
    assert!((48..=51).contains(&reads.len()), "{}", reads.len());
    let gap = Duration::from_millis(200);
    assert!(reads.windows(2).all(|pair| pair[1] - pair[0] >= gap));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_when_a_lease_is_lost_is_abandoned_and_read_again() {
    let mut stand = Stand::start();
    stand
        .store
        .trouble(|trouble| trouble.delay = Duration::from_secs(5));
    let last = put_many(&stand, 0, 50);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stand.revoke(0).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = stand.books().await;
    assert_eq!(status.sinks["timestream"].book.abandoned, 50);
    assert_eq!(status.sinks["queue"].book.acknowledged, 50);
    assert_eq!(status.records.abandoned, 50);
    assert_eq!(stand.checkpoint(0), None);
    assert_eq!(status.budget_used_bytes, 0);

    stand
        .store
        .trouble(|trouble| trouble.delay = Duration::ZERO);
    stand.grant(0, Start::TrimHorizon).await;
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    assert_eq!(stored(&stand), 50);
}

#[tokio::test(start_paused = true)]
async fn a_drained_shard_is_handed_back_at_once_with_everything_checkpointed() {
    let mut stand = Stand::start_with(|options| {
        // A window so long that only draining can explain what is sent.
        options.pipeline.stores[0].window = Duration::from_secs(3_600);
    });
    let last = put_many(&stand, 0, 30);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stored(&stand), 0);
    let asked = Instant::now();
    stand.drain(0).await;
    let drained = |say: &Say| matches!(say, Say::Drained { .. });
    stand
        .until("it is drained", |stand| stand.says().iter().any(drained))
        .await;
    assert!(asked.elapsed() < Duration::from_millis(100));
    assert_eq!(stand.checkpoint(0).as_deref(), Some(last.as_str()));
    put_many(&stand, 0, 5);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        stand.books().await.records.read,
        30,
        "nothing is read after"
    );
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_ends_only_when_all_of_it_is_done() {
    let mut stand = Stand::start();
    stand
        .queue
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    put_many(&stand, 0, 30);
    stand.stream.close(0);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stand.says(), []);
    stand.queue.trouble(|trouble| trouble.down = None);
    let ended =
        |say: &Say| matches!(say, Say::Ended { children, .. } if *children == [child(&shard(0))]);
    stand
        .until("it ends", |stand| stand.says().iter().any(ended))
        .await;
    assert_eq!(stand.books().await.records.done, 30);
}

#[tokio::test(start_paused = true)]
async fn a_shard_past_retention_ends_but_a_missing_stream_does_not() {
    let mut stand = Stand::start();
    put_many(&stand, 1, 1);
    stand.stream.with(|stream| stream.missing = true);
    stand.grant(0, Start::After("5".parse().unwrap())).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stand.says(), []);
    assert!(stand.status.borrow().fatal.is_some());
    stand.stream.with(|stream| stream.missing = false);
    let ended = |say: &Say| matches!(say, Say::Ended { children, .. } if children.is_empty());
    stand
        .until("it ends", |stand| stand.says().iter().any(ended))
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_open_shard_that_is_said_to_have_ended_without_children_is_read_on() {
    for pushed in [false, true] {
        let mut stand = Stand::start();
        stand.stream.with(|stream| {
            stream.pushing.on = pushed;
            stream.false_ends = 3;
        });
        put_many(&stand, 0, 30);
        stand.grant(0, Start::TrimHorizon).await;
        let false_ends = |stand: &Stand| stand.stream.with(|stream| stream.false_ends);
        stand
            .until("that was said thrice", |stand| false_ends(stand) == 0)
            .await;
        let last = put_many(&stand, 0, 5);
        stand
            .until("what came later is done", |stand| {
                stand.checkpoint(0).as_deref() == Some(last.as_str())
            })
            .await;
        let ended = |say: &Say| matches!(say, Say::Ended { .. });
        assert!(!stand.says().iter().any(ended));
        assert_eq!(stand.books().await.records.done, 35);
        stand.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn iterators_that_expire_at_once_are_a_trouble_that_shows() {
    let mut stand = Stand::start();
    put_many(&stand, 0, 1);
    stand.stream.with(|stream| stream.stillborn = true);
    stand.grant(0, Start::TrimHorizon).await;
    let shows = |stand: &Stand| stand.status.borrow().shards[&shard(0)].error.is_some();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(shows(&stand));
    let given = stand.stream.with(|stream| stream.iterators_given);
    assert!(given < 20, "{given} iterators in half a minute");
    stand.stream.with(|stream| stream.stillborn = false);
    stand.until("it is well", |stand| stored(stand) == 1).await;
    stand.until("it shows", |stand| !shows(stand)).await;
}

#[tokio::test(start_paused = true)]
async fn a_trouble_nobody_waits_for_any_more_is_forgotten() {
    let mut stand = Stand::start();
    stand
        .store
        .trouble(|trouble| trouble.down = Some(Fault::Fatal));
    put_many(&stand, 0, 3);
    stand.grant(0, Start::TrimHorizon).await;
    stand.stream.with(|stream| stream.missing = true);
    let is_fatal = |stand: &Stand| stand.status.borrow().fatal.is_some();
    stand.until("it is fatal", is_fatal).await;
    stand.revoke(0).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stand.status.borrow().fatal, None);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_leaves_no_task_behind() {
    let mut stand = Stand::start();
    stand
        .store
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    put_many(&stand, 0, 300);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = tokio::time::timeout(Duration::from_millis(100), stand.kill()).await;
    assert!(ended.is_ok(), "a reader or a request goes on");
}
