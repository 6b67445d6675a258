//! Kinesis against the embedded server.

use std::time::Duration;

use bytes::Bytes;
use tidewire::aws::Endpoints;
use tidewire::aws::kinesis::{Kinesis, StreamRef};
use tidewire::aws::provision::create_stream;
use tidewire::door::Faulty as _;
use tidewire::door::fault::Fault;
use tidewire::door::put::{Entry, Put as _};
use tidewire::door::stream::{Error, Page, ShardIterator, Stream as _};
use tidewire::local::fault::{Effect, Faults, Switch};
use tidewire::local::kinesis::{Kinesis as Server, Options};
use tidewire::model::{Sent, Shard, Start};
use tidewire::service::clock;

use super::support::{Running, clients, start};

/// A stream `readings` of two shards.
pub(crate) async fn stand(options: Options) -> (Running, aws_sdk_kinesis::Client, Faults) {
    let server = Server::new(options).unwrap();
    let faults = server.faults().clone();
    let running = start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let endpoints = Endpoints {
        kinesis: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let client = clients(endpoints).await.kinesis();
    create_stream(&client, "readings", Some(2)).await.unwrap();
    create_stream(&client, "readings", Some(2))
        .await
        .expect("twice is no error");
    (running, client, faults)
}

/// No limits: what is tested here is not them.
pub(crate) fn unlimited() -> Options {
    Options {
        limits: false,
        ..Options::default()
    }
}

fn stream(client: &aws_sdk_kinesis::Client) -> Kinesis {
    Kinesis::new(client.clone(), StreamRef::from("readings"))
}

fn entries(count: usize) -> Vec<Entry> {
    (0..count)
        .map(|n| Entry {
            key: "d1".into(),
            data: Bytes::from(format!("{n}")),
        })
        .collect()
}

async fn read(stream: &Kinesis, shard: &Shard, start: &Start) -> Page {
    let iterator = stream.iterator(&shard.id, start).await.unwrap();
    stream.records(&iterator, 1000).await.unwrap()
}

#[tokio::test]
async fn records_are_put_and_read_from_any_place() {
    let (_running, client, _) = stand(unlimited()).await;
    let stream = stream(&client);
    let shards = stream.shards().await.unwrap();
    assert_eq!(shards.len(), 2);
    assert_eq!(
        stream.put(&entries(5)).await.unwrap(),
        vec![Sent::Accepted; 5]
    );
    let mut pages = Vec::new();
    for shard in &shards {
        pages.push((shard, read(&stream, shard, &Start::TrimHorizon).await));
    }
    let (shard, page) = pages
        .into_iter()
        .find(|(_, page)| !page.records.is_empty())
        .unwrap();
    let texts: Vec<&[u8]> = page.records.iter().map(|record| &record.data[..]).collect();
    assert_eq!(texts, [b"0", b"1", b"2", b"3", b"4"]);
    assert_eq!(page.records[0].partition_key, Some("d1".into()));
    assert!((clock::wall().0 - page.records[0].arrival.0).abs() < 60_000);
    assert!(page.next.is_some());

    let after = read(&stream, shard, &Start::After(page.records[2].seq.clone())).await;
    assert_eq!(after.records, page.records[3..]);
    let again = read(
        &stream,
        shard,
        &Start::At {
            seq: page.records[2].seq.clone(),
            sub: 0,
        },
    )
    .await;
    assert_eq!(again.records, page.records[2..]);
    let since = read(&stream, shard, &Start::AtTimestamp(page.records[0].arrival)).await;
    assert_eq!(since.records, page.records);
}

#[tokio::test]
async fn the_servers_time_comes_from_its_date_header() {
    let (_running, client, _) = stand(unlimited()).await;
    let time = stream(&client).server_time().await.unwrap();
    let off = clock::wall().0 - time.0;
    assert!((-1000..60_000).contains(&off), "{off} ms");
    assert_eq!(time.0 % 1000, 0, "the header has whole seconds");
}

#[tokio::test]
async fn a_closed_shard_ends_with_its_children() {
    let (_running, client, _) = stand(unlimited()).await;
    let stream = stream(&client);
    let parents = stream.shards().await.unwrap();
    client
        .merge_shards()
        .stream_name("readings")
        .shard_to_merge(parents[0].id.as_str())
        .adjacent_shard_to_merge(parents[1].id.as_str())
        .send()
        .await
        .unwrap();
    let mut page = read(&stream, &parents[0], &Start::TrimHorizon).await;
    while let Some(next) = page.next {
        page = stream.records(&next, 1000).await.unwrap();
    }
    assert_eq!(page.children.len(), 1);
    let mut named = page.children[0].parents.clone();
    named.sort();
    assert_eq!(named, [parents[0].id.clone(), parents[1].id.clone()]);
    let child = stream
        .shards()
        .await
        .unwrap()
        .into_iter()
        .find(|s| s.parents().count() == 2);
    assert_eq!(child.unwrap().id, page.children[0].id);
}

#[tokio::test]
async fn an_expired_iterator_is_told_from_other_failures() {
    let options = Options {
        iterator_ttl: Duration::ZERO,
        ..unlimited()
    };
    let (_running, client, faults) = stand(options).await;
    let stream = stream(&client);
    let shards = stream.shards().await.unwrap();
    let iterator = stream
        .iterator(&shards[0].id, &Start::TrimHorizon)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(
        stream.records(&iterator, 10).await,
        Err(Error::IteratorExpired)
    );
    assert_eq!(
        stream
            .records(&ShardIterator("rubbish".to_owned()), 10)
            .await,
        Err(Error::IteratorExpired)
    );
    faults.set(Switch::on("GetRecords", Effect::Throttled).times(1));
    let error = stream.records(&iterator, 10).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Throttled, "{error}");
    faults.set(Switch::on("GetRecords", Effect::Down).times(1));
    let error = stream.records(&iterator, 10).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient, "{error}");
}

#[tokio::test]
async fn a_stream_that_does_not_exist_is_not_found() {
    let (_running, client, _) = stand(unlimited()).await;
    let none = Kinesis::new(client, StreamRef::from("none"));
    let error = none.shards().await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_dropped_record_as_a_place_to_begin_at_is_taken_and_the_oldest_left_comes_first() {
    let small = Options {
        retained_bytes: 5_000,
        ..unlimited()
    };
    let (_running, client, _) = stand(small).await;
    let stream = stream(&client);
    stream.put(&entries(5)).await.unwrap();
    let shards = stream.shards().await.unwrap();
    let mut full = None;
    for shard in &shards {
        let page = read(&stream, shard, &Start::TrimHorizon).await;
        full = page.records.first().cloned().map(|first| (shard, first));
        if full.is_some() {
            break;
        }
    }
    let (shard, first) = full.expect("one key, one shard");
    for _ in 0..4 {
        stream.put(&entries(5)).await.unwrap();
    }
    let oldest = read(&stream, shard, &Start::TrimHorizon).await.records;
    assert!(oldest[0].seq > first.seq, "it was dropped");
    let at = Start::At {
        seq: first.seq.clone(),
        sub: 0,
    };
    for start in [at, Start::After(first.seq)] {
        assert_eq!(read(&stream, shard, &start).await.records, oldest);
    }
}

#[tokio::test]
async fn another_streams_place_is_a_matter_for_a_person() {
    let (_running, client, _) = stand(unlimited()).await;
    let stream = stream(&client);
    let shards = stream.shards().await.unwrap();
    let elsewhere = Start::After(shards[1].starting_seq.clone());
    let error = stream
        .iterator(&shards[0].id, &elsewhere)
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::Fatal);
    let text = error.to_string();
    assert!(
        text.contains("did not come from") && text.contains("leases reset"),
        "{text}"
    );
}
