use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType, StreamStatus};

use super::*;
use crate::local::fault::{Effect, Switch};
use crate::local::front::wall_ms;
use crate::local::testing::Running;

mod shards;
mod subscribe;

const SHARD_0: &str = "shardId-000000000000";
/// The middle of the hash range.
const MIDDLE: &str = "170141183460469231731687303715884105728";

async fn start(options: Options) -> (Running, Client, Kinesis) {
    let kinesis = Kinesis::new(options).unwrap();
    let server = kinesis.clone();
    let running = Running::start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let client = Client::new(&running.sdk());
    (running, client, kinesis)
}

fn unlimited() -> Options {
    Options {
        limits: false,
        ..Options::default()
    }
}

/// Waits until the stream is active; fails after five seconds.
async fn active(client: &Client) {
    let ready = async {
        loop {
            let summary = client
                .describe_stream_summary()
                .stream_name("s")
                .send()
                .await
                .unwrap();
            let status = summary
                .stream_description_summary()
                .unwrap()
                .stream_status()
                .clone();
            if status == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ready)
        .await
        .expect("the stream becomes active");
}

async fn create(client: &Client, shards: i32) {
    client
        .create_stream()
        .stream_name("s")
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    active(client).await;
}

fn entry(key: &str, data: &str) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .unwrap()
}

async fn put(client: &Client, data: &str) -> String {
    let put = client
        .put_record()
        .stream_name("s")
        .partition_key("k")
        .data(Blob::new(data));
    put.send().await.unwrap().sequence_number().to_owned()
}

async fn iterator(client: &Client, shard: &str, kind: ShardIteratorType) -> String {
    let asked = client.get_shard_iterator().stream_name("s").shard_id(shard);
    let answer = asked.shard_iterator_type(kind).send().await.unwrap();
    answer.shard_iterator().unwrap().to_owned()
}

async fn read(client: &Client, iterator: &str, limit: i32) -> GetRecordsOutput {
    client
        .get_records()
        .shard_iterator(iterator)
        .limit(limit)
        .send()
        .await
        .unwrap()
}

fn texts(page: &GetRecordsOutput) -> Vec<String> {
    let text = |blob: &Blob| String::from_utf8(blob.as_ref().to_vec()).unwrap();
    page.records()
        .iter()
        .map(|record| text(record.data()))
        .collect()
}

#[tokio::test]
async fn records_come_back_in_order_with_true_times_and_a_true_distance() {
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    let before = i64::try_from(wall_ms()).unwrap();
    let entries: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|data| entry("k", data))
        .collect();
    client
        .put_records()
        .stream_name("s")
        .set_records(Some(entries))
        .send()
        .await
        .unwrap();

    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    let page = read(&client, &first, 2).await;
    assert_eq!(texts(&page), ["a", "b"]);
    assert!(page.millis_behind_latest().unwrap() > 0, "a record is left");
    let arrived = page.records()[0].approximate_arrival_timestamp().unwrap();
    // A binary fraction of seconds is mostly a little beside the millisecond meant.
    let late = (arrived.as_secs_f64() * 1000.0).round() as i64 - before;
    assert!(
        (0..5_000).contains(&late),
        "arrival times have milliseconds: {late}"
    );
    let page = read(&client, page.next_shard_iterator().unwrap(), 2).await;
    assert_eq!(texts(&page), ["c"]);
    assert_eq!(page.millis_behind_latest(), Some(0));
    let page = read(&client, page.next_shard_iterator().unwrap(), 2).await;
    assert!(page.records().is_empty() && page.next_shard_iterator().is_some());
}

#[tokio::test]
async fn every_kind_of_iterator_starts_where_it_says() {
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    put(&client, "a").await;
    let second = put(&client, "b").await;
    put(&client, "c").await;

    let latest = iterator(&client, SHARD_0, ShardIteratorType::Latest).await;
    let place = |kind: ShardIteratorType| {
        let asked = client
            .get_shard_iterator()
            .stream_name("s")
            .shard_id(SHARD_0);
        asked.shard_iterator_type(kind)
    };
    let at = place(ShardIteratorType::AtSequenceNumber).starting_sequence_number(&second);
    let after = place(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(&second);
    let from_then = place(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(0));
    let wall = i64::try_from(wall_ms()).unwrap();
    while i64::try_from(wall_ms()).unwrap() == wall {
        tokio::task::yield_now().await;
    }
    let now = DateTime::from_millis(wall + 1);
    let from_now = place(ShardIteratorType::AtTimestamp)
        .timestamp(now)
        .send()
        .await
        .unwrap();
    put(&client, "d").await;

    for (asked, expected) in [(at, "bcd"), (after, "cd"), (from_then, "abcd")] {
        let found = asked.send().await.unwrap();
        let page = read(&client, found.shard_iterator().unwrap(), 10).await;
        assert_eq!(texts(&page).concat(), expected);
    }
    for found in [latest.as_str(), from_now.shard_iterator().unwrap()] {
        assert_eq!(texts(&read(&client, found, 10).await), ["d"]);
    }
    let foreign = place(ShardIteratorType::AtSequenceNumber).starting_sequence_number("1");
    let error = foreign.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_argument_exception(), "{error:?}");
}

#[tokio::test]
async fn an_answer_holds_ten_mebibytes_at_most() {
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    let big = "x".repeat(1024 * 1024);
    for _ in 0..12 {
        put(&client, &big).await;
    }
    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    let page = read(&client, &first, 100).await;
    assert_eq!(
        page.records().len(),
        9,
        "with its partition key a record is over 1 MiB"
    );
    assert!(page.millis_behind_latest().unwrap() > 0);
    let page = read(&client, page.next_shard_iterator().unwrap(), 100).await;
    assert_eq!(page.records().len(), 3);
}

#[tokio::test]
async fn an_iterator_expires() {
    let ttl = Options {
        iterator_ttl: Duration::ZERO,
        ..unlimited()
    };
    let (_running, client, _) = start(ttl).await;
    create(&client, 1).await;
    let old = iterator(&client, SHARD_0, ShardIteratorType::Latest).await;
    let made = wall_ms();
    while wall_ms() <= made {
        tokio::task::yield_now().await;
    }
    let error = client
        .get_records()
        .shard_iterator(&old)
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_expired_iterator_exception());
}

#[tokio::test]
async fn clients_that_speak_cbor_and_json_read_each_others_records() {
    use ciborium::cbor;
    let (running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    put(&client, "by json").await;
    let body = cbor!({ "StreamName" => "s", "PartitionKey" => "k",
        "Data" => ciborium::Value::Bytes(b"by cbor".to_vec()) });
    running
        .cbor("Kinesis_20131202.PutRecord", &body.unwrap())
        .await;
    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    assert_eq!(
        texts(&read(&client, &first, 10).await),
        ["by json", "by cbor"]
    );

    let body = cbor!({ "ShardIterator" => first }).unwrap();
    let answer = running.cbor("Kinesis_20131202.GetRecords", &body).await;
    let shown = format!("{answer:?}");
    for data in ["by json", "by cbor"] {
        let bytes = format!("{:?}", ciborium::Value::Bytes(data.as_bytes().to_vec()));
        assert!(shown.contains(&bytes), "{shown}");
    }
    let body = cbor!({ "StreamName" => "none" }).unwrap();
    let refused = running.cbor("Kinesis_20131202.ListShards", &body).await;
    let shown = format!("{refused:?}");
    assert!(shown.contains("ResourceNotFoundException"), "{shown}");
    let body = cbor!({ "StreamName" => "s" }).unwrap();
    let described = running
        .cbor("Kinesis_20131202.DescribeStreamSummary", &body)
        .await;
    let shown = format!("{described:?}");
    assert!(
        shown.contains("StreamCreationTimestamp") && shown.contains("Tag(1, Integer(Integer(1"),
        "times are whole milliseconds: {shown}"
    );
}

#[tokio::test]
async fn the_oldest_records_make_room() {
    let small = Options {
        retained_bytes: 10_000,
        ..unlimited()
    };
    let (_running, client, _) = start(small).await;
    create(&client, 1).await;
    for n in 0..20 {
        put(&client, &format!("{n}:{}", "x".repeat(1_000))).await;
    }
    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    let kept = texts(&read(&client, &first, 100).await);
    assert!((4..10).contains(&kept.len()), "{}", kept.len());
    assert!(kept.last().unwrap().starts_with("19:"));
}

#[tokio::test]
async fn switches_hit_and_calls_are_counted() {
    let (running, client, kinesis) = start(unlimited()).await;
    create(&client, 1).await;
    kinesis
        .faults()
        .set(Switch::on("PutRecord", Effect::LostAnswer).times(1));
    let put_one = || {
        client
            .put_record()
            .stream_name("s")
            .partition_key("k")
            .data(Blob::new("a"))
    };
    assert!(put_one().send().await.is_err());
    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    assert_eq!(
        texts(&read(&client, &first, 10).await),
        ["a"],
        "served, the answer lost"
    );

    let switch = r#"{"operation":"PutRecord","kind":"throttled"}"#;
    assert!(
        running
            .http("PUT", "/_local/faults", switch)
            .await
            .starts_with("HTTP/1.1 200")
    );
    let error = put_one().send().await.unwrap_err().into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    running
        .http("PUT", "/_local/faults", r#"{"kind":"down"}"#)
        .await;
    let error = client.list_streams().send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
    assert_eq!(error.code(), Some("ServiceUnavailable"));
    let bad = running
        .http("PUT", "/_local/faults", r#"{"kind":"down","oops":1}"#)
        .await;
    assert!(
        bad.starts_with("HTTP/1.1 400") && bad.contains("no field \"oops\""),
        "{bad}"
    );
    assert_eq!(
        kinesis.faults().list().len(),
        1,
        "a refused switch changes nothing"
    );
    assert!(
        running
            .http("DELETE", "/_local/faults", "")
            .await
            .starts_with("HTTP/1.1 204")
    );
    assert!(put_one().send().await.is_ok());

    assert_eq!(kinesis.calls().of("PutRecord"), 3);
    let counted = running.http("GET", "/_local/calls", "").await;
    assert!(counted.contains("\"PutRecord\":3"), "{counted}");
    assert!(
        counted.contains("\r\ndate: "),
        "LATEST is pinned by the answer's Date: {counted}"
    );
    running.stop().await;
}
#[tokio::test]
async fn a_shards_limits_are_enforced() {
    let (_running, client, kinesis) = start(Options::default()).await;
    create(&client, 1).await;
    let big = "x".repeat(300_000);
    let entries: Vec<_> = (0..5).map(|_| entry("k", &big)).collect();
    let put = client
        .put_records()
        .stream_name("s")
        .set_records(Some(entries));
    let answer = put.send().await.unwrap();
    assert_eq!(
        answer.failed_record_count(),
        Some(2),
        "three times 300 kB fit in 1 MiB"
    );
    let code = answer.records()[4].error_code();
    assert_eq!(code, Some("ProvisionedThroughputExceededException"));

    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    // No second passes from here on, however slow the machine is.
    tokio::time::pause();
    let body = serde_json::json!({ "ShardIterator": first, "Limit": 1 }).to_string();
    for _ in 0..5 {
        kinesis.shared.get_records(body.as_bytes()).await.unwrap();
    }
    let refused = kinesis.shared.get_records(body.as_bytes()).await;
    let code = "ProvisionedThroughputExceededException";
    assert_eq!(refused.unwrap_err().code, code);
    tokio::time::advance(Duration::from_millis(200)).await;
    kinesis.shared.get_records(body.as_bytes()).await.unwrap();
}
