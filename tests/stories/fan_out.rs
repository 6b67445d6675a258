//! Workers to which the stream sends its records: through a split and a kill, a hand-over, over two
//! streams, and where no consumer can be had.

use std::time::Duration;

use crate::fleet::{
    CALM, SHORT, Tap, Worker, all_landed, all_read, all_shards, each_reads, open_shards, some_rows,
    under_load,
};
use crate::resharding::{children_after_parents, split};
use crate::run::{Scratch, run};
use crate::streams::{put_on, with_two_streams};
use crate::support::{Stand, eventually};

const NONE: Vec<String> = Vec::new();

const FAN_OUT: (&str, &str) = ("TIDEWIRE_SOURCE__MODE", "fan-out");
const AUTO: (&str, &str) = ("TIDEWIRE_SOURCE__MODE", "auto");

fn with<'a>(env: &[(&'a str, &'a str)], one: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    [env, &[one]].concat()
}

/// How each of a worker's shards is read.
async fn read_by(worker: &Worker) -> Vec<String> {
    let state = worker.state().await;
    let shards = state["readings"]["shards"].as_object().expect("shards");
    let by = |shard: &serde_json::Value| shard["read_by"].as_str().expect("a way").to_owned();
    shards.values().map(by).collect()
}

/// Waits until the stream sends all that these workers read.
async fn all_sent(workers: &[&Worker]) {
    eventually("every shard is subscribed to", || async {
        for worker in workers {
            let by = read_by(worker).await;
            if by.is_empty() || by.iter().any(|by| by != "fan-out") {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_and_a_kill_under_fan_out_lose_nothing() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let env = with(SHORT, FAN_OUT);
    let mut dying = Worker::start(&stand, &tap, &env).await;
    let left = Worker::start(&stand, &tap, &env).await;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&dying, &left], 1).await;
            all_sent(&[&dying, &left]).await;
            some_rows(&stand, 100).await;
            split(&stand, "shardId-000000000000").await;
            all_read(&stand, &[&dying, &left]).await;
            some_rows(&stand, 100).await;
            dying.process.kill_9();
            let open = open_shards(&stand).await;
            each_reads(&[&left], open.len()).await;
            all_sent(&[&left]).await;
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    assert_eq!(dying.process.exit_code().await, None, "ended by the signal");
    all_landed(&stand, put).await;
    let delivered = tap.in_order(&stand, put).await;
    let shards = all_shards(&stand).await;
    assert_eq!(shards.len(), 4);
    children_after_parents(&delivered, &shards);
    left.books().await;
    assert_eq!(left.process.log.complaints(&[]), NONE);

    // What is sent is not asked for.
    all_sent(&[&left]).await;
    let polls = stand.calls("kinesis", "GetRecords").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stand.calls("kinesis", "GetRecords").await, polls);
    left.leave().await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_under_fan_out_hands_over_and_repeats_nothing() {
    let stand = Stand::start(&["--workers", "0", "--shards", "4"]).await;
    let tap = Tap::new(&stand).await;
    let env = with(CALM, FAN_OUT);
    let mut ending = Worker::start(&stand, &tap, &env).await;
    let next = Worker::start(&stand, &tap, &env).await;
    let put = under_load(
        &stand,
        Box::pin(async {
            each_reads(&[&ending, &next], 2).await;
            all_sent(&[&ending, &next]).await;
            some_rows(&stand, 100).await;
            ending.process.terminate();
            assert_eq!(ending.process.exit_code().await, Some(0));
            let ended = tokio::time::Instant::now();
            each_reads(&[&next], 4).await;
            println!("all read {:.1?} after the hand-over", ended.elapsed());
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    tap.exactly_once(&stand, put).await;
    all_sent(&[&next]).await;
    assert_eq!(next.process.log.complaints(&[]), NONE);
    next.leave().await;
    stand.end().await;
}

/// The consumers of a stream, by name.
async fn consumers(stand: &Stand, stream: &str) -> (String, Vec<String>) {
    let client = stand.kinesis();
    let found = client.describe_stream_summary().stream_name(stream).send();
    let found = found.await.expect("the stream is there");
    let arn = found.stream_description_summary.expect("it").stream_arn;
    let listed = client.list_stream_consumers().stream_arn(&arn).send().await;
    let listed = listed.expect("consumers are listed").consumers;
    let names = listed.unwrap_or_default().into_iter();
    (arn, names.map(|consumer| consumer.consumer_name).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_streams_sends_to_a_consumer_of_its_own() {
    let scratch = Scratch::new("fan-out-streams");
    let (mut stand, streams) = with_two_streams(&scratch).await;
    let tap = Tap::new(&stand).await;
    let worker = Worker::start(&stand, &tap, &with(CALM, FAN_OUT)).await;
    each_reads(&[&worker], 4).await;
    all_sent(&[&worker]).await;
    for stream in &streams {
        put_on(&mut stand, stream, 80).await;
    }
    tap.exactly_once(&stand, 160).await;
    let table = stand.text("lease_table").to_owned();
    for stream in &streams {
        let names = consumers(&stand, stream).await.1;
        assert_eq!(names, [table.as_str()]);
    }
    worker.leave().await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_too_many_consumers_is_an_error_or_is_polled() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let stream = stand.text("stream").to_owned();
    let (arn, _) = consumers(&stand, &stream).await;
    for number in 0..20 {
        let client = stand.kinesis();
        let register = client.register_stream_consumer().stream_arn(&arn);
        let register = register.consumer_name(format!("other-{number}"));
        register.send().await.expect("there is room for twenty");
    }
    let config = stand.text("config");
    let env = [FAN_OUT, ("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0")];
    let ended = run(&["worker", "--config", config], &env, "").await;
    ended.expect(1, &["as many consumers as AWS allows", "deregister"]);

    let worker = Worker::start(&stand, &tap, &with(CALM, AUTO)).await;
    each_reads(&[&worker], 2).await;
    let said = "shards of this stream are polled";
    assert_eq!(worker.said(said), 1);
    assert_eq!(read_by(&worker).await, ["polling", "polling"]);
    let put = under_load(&stand, Box::pin(some_rows(&stand, 100))).await;
    all_landed(&stand, put).await;
    tap.exactly_once(&stand, put).await;
    assert_eq!(worker.process.log.complaints(&[said]), NONE);
    worker.leave().await;
    stand.end().await;
}
