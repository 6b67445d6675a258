//! Workers that come, go, die, and are cut off from their leases.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::fleet::{
    CALM, SHORT, Tap, Worker, all_landed, all_read, cost, each_reads, lease_rows, some_rows, text,
    under_load,
};
use crate::support::{Stand, eventually};

/// What a worker may say when it was cut off from its leases for longer than they last.
const CUT_OFF: &[&str] = &["lease lost"];

const NONE: Vec<String> = Vec::new();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_the_shards_and_repeat_nothing() {
    let stand = Stand::start(&["--workers", "0", "--shards", "8"]).await;
    let tap = Tap::new(&stand).await;
    let mut workers = Vec::new();
    let put = under_load(
        &stand,
        Box::pin(async {
            workers.push(Worker::start(&stand, &tap, CALM).await);
            each_reads(&[&workers[0]], 8).await;
            workers.push(Worker::start(&stand, &tap, CALM).await);
            each_reads(&[&workers[0], &workers[1]], 4).await;
            some_rows(&stand, 200).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    tap.exactly_once(&stand, put).await;

    // What `/state` shows is published now and then: it may lag behind the rows.
    let read = eventually("the books hold every record", || async {
        let mut read = 0;
        for worker in &workers {
            let books = worker.books().await;
            read += books["records"]["read"].as_u64().expect("a count");
        }
        (read >= put as u64).then_some(read)
    })
    .await;
    assert_eq!(read, put as u64, "each record was read once");
    for worker in &workers {
        assert_eq!(worker.process.log.complaints(&[]), NONE);
    }
    let rows = lease_rows(&stand).await;
    let owners: BTreeSet<_> = rows
        .values()
        .filter_map(|row| text(row, "leaseOwner"))
        .collect();
    assert_eq!(owners, workers.iter().map(|w| w.id.clone()).collect());
    for worker in workers {
        worker.leave().await;
    }
    for (shard, row) in lease_rows(&stand).await {
        assert_eq!(text(&row, "leaseOwner"), None, "{shard} is given back");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_killed_worker_are_read_again_and_nothing_is_lost() {
    let stand = Stand::start(&["--workers", "0", "--shards", "8"]).await;
    let tap = Tap::new(&stand).await;
    let mut dying = Worker::start(&stand, &tap, SHORT).await;
    let left = Worker::start(&stand, &tap, SHORT).await;
    let mut read_again = Duration::ZERO;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&dying, &left], 4).await;
            some_rows(&stand, 200).await;
            dying.process.kill_9();
            let killed = Instant::now();
            each_reads(&[&left], 8).await;
            read_again = killed.elapsed();
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    assert_eq!(dying.process.exit_code().await, None, "ended by the signal");
    all_landed(&stand, put).await;
    let delivered = tap.in_order(&stand, put).await;
    cost("kill -9", put, &delivered, read_again);
    left.books().await;
    assert_eq!(left.process.log.complaints(&[]), NONE);
    left.leave().await;
    stand.end().await;
}

/// As a debugger, a hypervisor or a laptop's lid does it: the process is there again, and believes
/// for a moment that nothing happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_stopped_for_longer_than_a_lease_loses_nothing_and_works_on_when_it_wakes() {
    let stand = Stand::start(&["--workers", "0", "--shards", "8"]).await;
    let tap = Tap::new(&stand).await;
    let stopped = Worker::start(&stand, &tap, SHORT).await;
    let left = Worker::start(&stand, &tap, SHORT).await;
    let mut read_again = Duration::ZERO;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&stopped, &left], 4).await;
            some_rows(&stand, 200).await;
            stopped.process.signal("-STOP");
            let at = Instant::now();
            each_reads(&[&left], 8).await;
            read_again = at.elapsed();
            some_rows(&stand, 100).await;
            stopped.process.signal("-CONT");
            each_reads(&[&stopped, &left], 4).await;
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    let delivered = tap.in_order(&stand, put).await;
    cost("SIGSTOP beyond a lease", put, &delivered, read_again);
    for worker in [stopped, left] {
        worker.books().await;
        assert_eq!(worker.process.log.complaints(CUT_OFF), NONE);
        worker.leave().await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_hands_over_and_nothing_is_repeated() {
    let stand = Stand::start(&["--workers", "0", "--shards", "8"]).await;
    let tap = Tap::new(&stand).await;
    let mut ending = Worker::start(&stand, &tap, CALM).await;
    let next = Worker::start(&stand, &tap, CALM).await;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&ending, &next], 4).await;
            some_rows(&stand, 200).await;
            ending.process.terminate();
            let asked = Instant::now();
            assert_eq!(ending.process.exit_code().await, Some(0));
            let ended = Instant::now();
            each_reads(&[&next], 8).await;
            println!(
                "ended {:.1?} after it was asked to; all read {:.1?} later",
                ended - asked,
                ended.elapsed()
            );
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    tap.exactly_once(&stand, put).await;
    let books = next.books().await;
    assert_eq!(books["records"]["abandoned"], 0);
    for worker in [&ending, &next] {
        assert_eq!(worker.process.log.complaints(&[]), NONE);
    }
    next.leave().await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_cut_off_from_the_lease_table_stop_at_their_fence_and_come_back() {
    let stand = Stand::start(&["--workers", "0", "--shards", "4"]).await;
    let tap = Tap::new(&stand).await;
    let one = Worker::start(&stand, &tap, SHORT).await;
    let two = Worker::start(&stand, &tap, SHORT).await;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&one, &two], 2).await;
            some_rows(&stand, 100).await;
            stand.fault("dynamodb", json!([{ "kind": "down" }])).await;
            each_reads(&[&one, &two], 0).await;
            let scans = stand.calls("dynamodb", "Scan").await;
            eventually("the table is asked for in vain", || async {
                (stand.calls("dynamodb", "Scan").await >= scans + 2).then_some(())
            })
            .await;
            stand.fault("dynamodb", json!([])).await;
            let well = Instant::now();
            all_read(&stand, &[&one, &two]).await;
            println!("all read {:.1?} after the table was back", well.elapsed());
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    tap.in_order(&stand, put).await;
    for worker in [one, two] {
        worker.books().await;
        assert!(worker.said("\"why\":\"fenced\"") >= 2, "both its leases");
        assert_eq!(worker.process.log.complaints(CUT_OFF), NONE);
        worker.leave().await;
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lease_is_lost_to_a_lease_table_that_throttles() {
    let switch = json!([
        { "kind": "throttled", "every": 3 },
        { "kind": "throttled", "operation": "UpdateItem", "every": 2 },
    ]);
    no_lease_is_lost_to(switch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lease_is_lost_to_lost_answers() {
    let switch = json!([{ "kind": "lost_answer", "operation": "UpdateItem", "every": 3 }]);
    no_lease_is_lost_to(switch).await;
}

/// Two workers come to share the leases, and keep them, while the lease table is so.
async fn no_lease_is_lost_to(switches: serde_json::Value) {
    let often: Vec<_> = CALM
        .iter()
        .chain(&[("TIDEWIRE_LEASE__RENEW_EVERY_MS", "300")])
        .copied()
        .collect();
    let stand = Stand::start(&["--workers", "0", "--shards", "6"]).await;
    let tap = Tap::new(&stand).await;
    stand.fault("dynamodb", switches).await;
    let one = Worker::start(&stand, &tap, &often).await;
    let mut two = None;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&one], 6).await;
            let two = two.insert(Worker::start(&stand, &tap, &often).await);
            each_reads(&[&one, two], 3).await;
            let before = stand.calls("dynamodb", "UpdateItem").await;
            eventually("a hundred writes more", || async {
                (stand.calls("dynamodb", "UpdateItem").await >= before + 100).then_some(())
            })
            .await;
        }),
    )
    .await;
    let two = two.expect("it was started");
    all_landed(&stand, put).await;
    tap.in_order(&stand, put).await;
    for worker in [&one, &two] {
        let books = worker.books().await;
        assert_eq!(books["records"]["abandoned"], 0);
        assert_eq!(worker.process.log.complaints(&[]), NONE);
        assert_eq!(worker.held().await, 3);
    }
    for worker in [one, two] {
        worker.leave().await;
    }
    stand.end().await;
}
