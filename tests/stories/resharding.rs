//! Shards that split and merge while they are read.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kinesis::types::Shard;
use serde_json::json;

use crate::fleet::{
    CALM, Delivered, Row, SHORT, Tap, Worker, all_landed, all_read, all_shards, cost, each_reads,
    firsts, lease_rows, some_rows, text, under_load,
};
use crate::support::{Stand, eventually};

/// The shard of this number.
fn id(number: usize) -> String {
    format!("shardId-{number:012}")
}

pub(crate) async fn split(stand: &Stand, shard: &str) {
    let shards = all_shards(stand).await;
    let range = shards[shard].hash_key_range().expect("a range");
    let first: u128 = range.starting_hash_key().parse().expect("a number");
    let last: u128 = range.ending_hash_key().parse().expect("a number");
    let middle = first + (last - first) / 2;
    let client = stand.kinesis();
    let call = client
        .split_shard()
        .stream_name(stand.text("stream"))
        .shard_to_split(shard)
        .new_starting_hash_key(middle.to_string());
    call.send().await.expect("the shard is split");
    active(stand).await;
}

async fn merge(stand: &Stand, shard: &str, next: &str) {
    let client = stand.kinesis();
    let call = client
        .merge_shards()
        .stream_name(stand.text("stream"))
        .shard_to_merge(shard)
        .adjacent_shard_to_merge(next);
    call.send().await.expect("the shards are merged");
    active(stand).await;
}

async fn active(stand: &Stand) {
    let client = stand.kinesis();
    eventually("the stream is active", || async {
        let call = client.describe_stream_summary();
        let answer = call.stream_name(stand.text("stream")).send().await;
        let answer = answer.expect("the stream is described");
        let summary = answer.stream_description_summary().expect("a summary");
        let status = summary.stream_status();
        (*status == aws_sdk_kinesis::types::StreamStatus::Active).then_some(())
    })
    .await;
}

fn parents(shard: &Shard) -> BTreeSet<String> {
    let both = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
    both.into_iter().flatten().map(str::to_owned).collect()
}

/// Nothing of a child was delivered before everything of its parents had been (L6).
pub(crate) fn children_after_parents(delivered: &[Delivered], shards: &BTreeMap<String, Shard>) {
    let firsts = firsts(delivered);
    for (child, shard) in shards {
        let begun = firsts.iter().position(|d| d.shard == *child);
        for parent in parents(shard) {
            let ended = firsts.iter().rposition(|d| d.shard == parent);
            if let (Some(begun), Some(ended)) = (begun, ended) {
                assert!(ended < begun, "{child} was read before the end of {parent}");
            }
        }
    }
}

/// Every shard has its lease as KCL would have made it; the closed ones say that they are done.
/// The row of a closed one may be gone once its children have begun.
fn leases_tell_the_story(
    rows: &BTreeMap<String, Row>,
    shards: &BTreeMap<String, Shard>,
    workers: &[&Worker],
) {
    for (id, shard) in shards {
        let closed = shard
            .sequence_number_range()
            .and_then(|range| range.ending_sequence_number())
            .is_some();
        let Some(row) = rows.get(id) else {
            let deleted = |worker: &&Worker| {
                let lines = worker.process.log.lines();
                let mut about = lines.iter().filter(|line| line.contains(id.as_str()));
                about.any(|line| line.contains("row of an ended shard deleted"))
            };
            assert!(closed && workers.iter().any(deleted), "{id} has no lease");
            continue;
        };
        let set = |name: &str| -> BTreeSet<String> {
            let set = row.get(name).and_then(|value| value.as_ss().ok());
            set.into_iter().flatten().cloned().collect()
        };
        assert_eq!(set("parentShardId"), parents(shard), "{id}");
        let range = shard.hash_key_range().expect("a range");
        let ends = [range.starting_hash_key(), range.ending_hash_key()];
        let written = [text(row, "startingHashKey"), text(row, "endingHashKey")];
        assert_eq!(written, ends.map(|end| Some(end.to_owned())), "{id}");
        let checkpoint = text(row, "checkpoint").expect("every lease has a checkpoint");
        assert_eq!(checkpoint == "SHARD_END", closed, "{id}: {checkpoint}");
        if closed {
            assert_eq!(text(row, "leaseOwner"), None, "{id} is given back");
            let born = shards
                .iter()
                .filter(|(_, child)| parents(child).contains(id));
            let born: BTreeSet<_> = born.map(|(child, _)| child.clone()).collect();
            assert_eq!(set("childShardIds"), born, "{id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_split_and_merge_under_load_and_children_wait_for_their_parents() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let one = Worker::start(&stand, &tap, CALM).await;
    let two = Worker::start(&stand, &tap, CALM).await;
    let both = [&one, &two];
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&both, 1).await;
            some_rows(&stand, 100).await;
            split(&stand, &id(0)).await;
            all_read(&stand, &both).await;
            some_rows(&stand, 100).await;
            merge(&stand, &id(3), &id(1)).await;
            all_read(&stand, &both).await;
            // And again without waiting in between: grandchildren before their parents are begun.
            split(&stand, &id(4)).await;
            merge(&stand, &id(2), &id(5)).await;
            all_read(&stand, &both).await;
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    let delivered = tap.exactly_once(&stand, put).await;
    let shards = all_shards(&stand).await;
    assert_eq!(shards.len(), 8, "two, two by the split, and so on");
    children_after_parents(&delivered, &shards);
    leases_tell_the_story(&lease_rows(&stand).await, &shards, &both);
    for worker in both {
        worker.books().await;
        assert_eq!(worker.process.log.complaints(&[]), Vec::<String>::new());
    }
    for worker in [one, two] {
        worker.leave().await;
    }
    stand.end().await;
}

/// A worker is asked to end just before, and another just after, its shards split and merge; the
/// store is slow, so that draining takes a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_while_shards_split_and_merge_repeats_nothing() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let slow = json!([{ "kind": "slow", "operation": "WriteRecords", "ms": 400 }]);
    stand.fault("timestream", slow).await;
    let mut first = Worker::start(&stand, &tap, CALM).await;
    let mut second = Worker::start(&stand, &tap, CALM).await;
    let mut last = None;
    let mut read_again = std::time::Duration::ZERO;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&first, &second], 1).await;
            some_rows(&stand, 100).await;
            first.process.terminate();
            let reshard = async {
                split(&stand, &id(0)).await;
                split(&stand, &id(1)).await;
                merge(&stand, &id(3), &id(4)).await;
            };
            let (code, ()) = tokio::join!(first.process.exit_code(), reshard);
            assert_eq!(code, Some(0));
            all_read(&stand, &[&second]).await;
            some_rows(&stand, 100).await;

            let third = last.insert(Worker::start(&stand, &tap, CALM).await);
            all_read(&stand, &[&second, third]).await;
            merge(&stand, &id(2), &id(6)).await;
            split(&stand, &id(5)).await;
            second.process.terminate();
            let asked = tokio::time::Instant::now();
            assert_eq!(second.process.exit_code().await, Some(0));
            all_read(&stand, &[third]).await;
            read_again = asked.elapsed();
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    let third = last.expect("it was started");
    stand.fault("timestream", json!([])).await;
    all_landed(&stand, put).await;
    let delivered = tap.exactly_once(&stand, put).await;
    cost("SIGTERM during resharding", put, &delivered, read_again);
    let shards = all_shards(&stand).await;
    assert_eq!(shards.len(), 10);
    children_after_parents(&delivered, &shards);
    let all = [&first, &second, &third];
    leases_tell_the_story(&lease_rows(&stand).await, &shards, &all);
    for worker in all {
        assert_eq!(worker.process.log.complaints(&[]), Vec::<String>::new());
    }
    third.books().await;
    third.leave().await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_the_middle_of_a_split_leaves_a_split_that_can_be_finished() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let mut workers = [
        Worker::start(&stand, &tap, SHORT).await,
        Worker::start(&stand, &tap, SHORT).await,
    ];
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&workers[0], &workers[1]], 1).await;
            some_rows(&stand, 100).await;
            let owner = text(&lease_rows(&stand).await[&id(0)], "leaseOwner");
            // Slow writes: time to die between the birth of a child and the end of its parent.
            let slow = json!([{ "kind": "slow", "operation": "UpdateItem", "ms": 300 }]);
            stand.fault("dynamodb", slow).await;
            split(&stand, &id(0)).await;
            eventually("a child has its lease", || async {
                let rows = lease_rows(&stand).await;
                (rows.contains_key(&id(2)) || rows.contains_key(&id(3))).then_some(())
            })
            .await;
            if Some(&workers[0].id) != owner.as_ref() {
                workers.swap(0, 1);
            }
            workers[0].process.kill_9();
            stand.fault("dynamodb", json!([])).await;
            merge(&stand, &id(3), &id(1)).await;
            all_read(&stand, &[&workers[1]]).await;
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    let [_killed, left] = &workers;
    all_landed(&stand, put).await;
    let delivered = tap.in_order(&stand, put).await;
    let shards = all_shards(&stand).await;
    assert_eq!(shards.len(), 5);
    children_after_parents(&delivered, &shards);
    leases_tell_the_story(&lease_rows(&stand).await, &shards, &[left]);
    left.books().await;
    assert_eq!(left.process.log.complaints(&[]), Vec::<String>::new());
    let [_killed, left] = workers;
    left.leave().await;
    stand.end().await;
}
