//! Answers that no embedded server gives.

use std::sync::Arc;

use tidewire::aws::kinesis::{Kinesis, StreamRef};
use tidewire::aws::sqs::Queue;
use tidewire::aws::timestream::{MeasureName, Table, Timestream};
use tidewire::aws::{Clients, Endpoints};
use tidewire::door::Faulty as _;
use tidewire::door::fault::Fault;
use tidewire::door::queue::{QueueReceiver as _, QueueSender as _};
use tidewire::door::stream::{Error, Stream as _};
use tidewire::door::time_series::TimeSeries as _;
use tidewire::model::{RejectionKind, Sent, Start};

use super::support::{Canned, clients};
use super::timestream::reading;

async fn all_at(url: &str) -> Clients {
    let url = Some(url.to_owned());
    clients(Endpoints {
        kinesis: url.clone(),
        dynamodb: url.clone(),
        sqs: url.clone(),
        timestream: url.clone(),
        management: url,
    })
    .await
}

fn shard(id: u8) -> String {
    format!(
        r#"{{"ShardId":"shardId-{id:012}","HashKeyRange":{{"StartingHashKey":"0","EndingHashKey":"9"}},"SequenceNumberRange":{{"StartingSequenceNumber":"1"}}}}"#
    )
}

#[tokio::test]
async fn the_list_of_shards_is_followed_by_its_token_alone() {
    let first = format!(r#"{{"Shards":[{}],"NextToken":"more"}}"#, shard(0));
    let second = format!(r#"{{"Shards":[{}]}}"#, shard(1));
    let canned = Canned::new(&[(200, &first), (200, &second)]);
    let server = canned.start().await;
    let stream = Kinesis::new(
        all_at(&server.url).await.kinesis(),
        StreamRef::from("readings"),
    );
    let shards = stream.shards().await.unwrap();
    let ids: Vec<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
    assert_eq!(ids, ["shardId-000000000000", "shardId-000000000001"]);
    let requests = canned.requests();
    assert_eq!(requests[0].1, serde_json::json!({"StreamName": "readings"}));
    assert_eq!(requests[1].1, serde_json::json!({"NextToken": "more"}));
}

#[tokio::test]
async fn a_list_of_shards_that_never_ends_is_an_error() {
    let page = format!(r#"{{"Shards":[{}],"NextToken":"more"}}"#, shard(0));
    let canned = Canned::new(&[(200, &page)]);
    let server = canned.start().await;
    let stream = Kinesis::new(
        all_at(&server.url).await.kinesis(),
        StreamRef::from("readings"),
    );
    let error = stream.shards().await.unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
}

#[tokio::test]
async fn a_stream_is_named_by_its_arn_where_that_is_given() {
    let canned = Canned::new(&[(200, r#"{"Shards":[]}"#)]);
    let server = canned.start().await;
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/readings";
    let stream = Kinesis::new(all_at(&server.url).await.kinesis(), StreamRef::from(arn));
    stream.shards().await.unwrap();
    assert_eq!(
        canned.requests()[0].1,
        serde_json::json!({"StreamARN": arn})
    );
}

#[tokio::test]
async fn a_record_without_a_partition_key_is_read() {
    let body = r#"{"Records":[{"SequenceNumber":"7","ApproximateArrivalTimestamp":1.5,"Data":"aGk="}],"NextShardIterator":"n","MillisBehindLatest":42}"#;
    let canned = Canned::new(&[(200, body)]);
    let server = canned.start().await;
    let stream = Kinesis::new(
        all_at(&server.url).await.kinesis(),
        StreamRef::from("readings"),
    );
    let iterator = tidewire::door::stream::ShardIterator("i".to_owned());
    let page = stream.records(&iterator, 10).await.unwrap();
    assert_eq!(page.records[0].partition_key, None);
    assert_eq!(page.records[0].arrival.0, 1500);
    assert_eq!(&page.records[0].data[..], b"hi");
    assert_eq!(page.behind_ms, 42);
}

#[tokio::test]
async fn an_iterator_the_server_does_not_know_counts_as_expired() {
    let body = r#"{"__type":"InvalidArgumentException","message":"Invalid ShardIterator."}"#;
    let canned = Canned::new(&[(400, body)]);
    let server = canned.start().await;
    let stream = Kinesis::new(
        all_at(&server.url).await.kinesis(),
        StreamRef::from("readings"),
    );
    let iterator = tidewire::door::stream::ShardIterator("i".to_owned());
    let error = stream.records(&iterator, 10).await.unwrap_err();
    assert_eq!(error, Error::IteratorExpired);
}

#[tokio::test]
async fn the_sdk_repeats_nothing() {
    let body = r#"{"__type":"ProvisionedThroughputExceededException","message":"slow down"}"#;
    for (status, body, fault) in [(400, body, Fault::Throttled), (500, "{}", Fault::Transient)] {
        let canned = Canned::new(&[(status, body)]);
        let server = canned.start().await;
        let clients = all_at(&server.url).await;
        let stream = Kinesis::new(clients.kinesis(), StreamRef::from("readings"));
        let Err(Error::Call(failed)) = stream.shards().await else {
            panic!("the call should fail")
        };
        assert_eq!(failed.fault, fault, "{failed}");
        assert_eq!(canned.requests().len(), 1);
    }
}

#[tokio::test]
async fn only_entries_that_failed_are_named_again() {
    let body = r#"{"Successful":[{"Id":"2","MessageId":"m","MD5OfMessageBody":"d"},{"Id":"0","MessageId":"m","MD5OfMessageBody":"d"}],
        "Failed":[{"Id":"1","SenderFault":true,"Code":"InvalidMessageContents","Message":"odd"},
                  {"Id":"3","SenderFault":false,"Code":"InternalError"},
                  {"Id":"4","SenderFault":true,"Code":"KMS.AccessDeniedException"}]}"#;
    let canned = Canned::new(&[(200, body)]);
    let server = canned.start().await;
    let queue = Queue::at(
        all_at(&server.url).await.sqs(),
        format!("{}/1/q", server.url),
    );
    let bodies: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let outcomes = queue.send(&bodies).await.unwrap();
    let kinds: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Sent::Accepted => "accepted",
            Sent::Again(_) => "again",
            Sent::Refused(_) => "refused",
        })
        .collect();
    assert_eq!(
        kinds,
        ["accepted", "refused", "accepted", "again", "again", "again"]
    );
    assert_eq!(
        outcomes[1],
        Sent::Refused("InvalidMessageContents: odd".to_owned())
    );
}

#[tokio::test]
async fn messages_that_could_not_be_deleted_are_returned() {
    let body = r#"{"Successful":[{"Id":"0"}],"Failed":[{"Id":"1","SenderFault":false,"Code":"InternalError"}]}"#;
    let canned = Canned::new(&[(200, body)]);
    let server = canned.start().await;
    let queue = Queue::at(
        all_at(&server.url).await.sqs(),
        format!("{}/1/q", server.url),
    );
    let receipts = ["a".to_owned(), "b".to_owned()];
    assert_eq!(queue.delete(&receipts).await.unwrap(), ["b"]);
}

async fn timestream(canned: &Canned) -> (super::support::Running, Timestream) {
    let server = canned.start().await;
    let (client, discovery) = all_at(&server.url).await.timestream().await.unwrap();
    assert!(discovery.is_none(), "an endpoint is set");
    let table = Table {
        database: "iot".to_owned(),
        table: "readings".to_owned(),
        measure_name: MeasureName::Auto,
        routes: Arc::default(),
        version_from_arrival: false,
    };
    (server, Timestream::new(client, discovery, table))
}

#[tokio::test]
async fn rejected_records_are_named_in_the_callers_order_by_the_answer_of_aws() {
    let body = r#"{"__type":"com.amazonaws.timestream.v20181101#RejectedRecordsException","Message":"One or more records have been rejected.","RejectedRecords":[
        {"RecordIndex":0,"Reason":"The record version 2 is lower than the existing version 200. A higher version is required to update the measure value.","ExistingVersion":200},
        {"RecordIndex":2,"Reason":"The record timestamp is outside the time range [A, B) of the memory store."}]}"#;
    let canned = Canned::new(&[(419, body)]);
    let (_server, store) = timestream(&canned).await;
    let batch = [
        reading("c", 1, 1.0),
        reading("b", 1, 1.0),
        reading("a", 1, 1.0),
    ];
    let rejections = store.write(&batch).await.unwrap();
    let named: Vec<_> = rejections.iter().map(|one| (one.index, one.kind)).collect();
    assert_eq!(
        named,
        [
            (2, RejectionKind::Superseded),
            (0, RejectionKind::OutsideRetention)
        ],
        "sorted by device, `a` went first"
    );
    assert_eq!(canned.requests().len(), 1);
}

#[tokio::test]
async fn a_validation_error_is_for_bisecting_and_an_index_out_of_range_too() {
    let validation = r#"{"__type":"ValidationException","Message":"bad"}"#;
    let wild = r#"{"__type":"RejectedRecordsException","Message":"m","RejectedRecords":[{"RecordIndex":9}]}"#;
    for (status, body) in [(400, validation), (419, wild)] {
        let canned = Canned::new(&[(status, body)]);
        let (_server, store) = timestream(&canned).await;
        let failed = store.write(&[reading("a", 1, 1.0)]).await.unwrap_err();
        assert_eq!(failed.fault, Fault::Rejected, "{failed}");
    }
}

#[tokio::test]
async fn a_place_that_is_refused_as_too_old_is_told_from_other_refusals() {
    let refused =
        |message: &str| format!(r#"{{"__type":"InvalidArgumentException","message":"{message}"}}"#);
    let old = refused("StartingSequenceNumber 495 is older than the stream keeps records");
    let limit = refused("Limit is out of range");
    let canned = Canned::new(&[(400, &old), (400, &limit)]);
    let server = canned.start().await;
    let stream = Kinesis::new(
        all_at(&server.url).await.kinesis(),
        StreamRef::from("readings"),
    );
    let start = Start::At {
        seq: "495".parse().unwrap(),
        sub: 0,
    };
    let shard = "shardId-000000000000".into();
    let error = stream.iterator(&shard, &start).await.unwrap_err();
    assert!(matches!(error, Error::PlaceGone { .. }), "{error}");
    let error = stream.iterator(&shard, &start).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Rejected, "{error}");
}
