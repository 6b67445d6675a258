//! `feed` onto the embedded Kinesis.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire::aws::Endpoints;
use tidewire::aws::kinesis::{Kinesis, StreamRef};
use tidewire::cli::feed::{Args, run};
use tidewire::door::stream::Stream as _;
use tidewire::local::fault::{Effect, Switch};
use tidewire::local::kinesis::Options;
use tidewire::model::Start;
use tidewire::service::feed;

use super::kinesis::{stand, unlimited};

/// All records of the stream, by partition key.
async fn by_key(client: &aws_sdk_kinesis::Client) -> BTreeMap<String, Vec<String>> {
    let stream = Kinesis::new(client.clone(), StreamRef::from("readings"));
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for shard in stream.shards().await.unwrap() {
        let mut next = stream
            .iterator(&shard.id, &Start::TrimHorizon)
            .await
            .unwrap();
        loop {
            let page = stream.records(&next, 10_000).await.unwrap();
            if page.records.is_empty() {
                break;
            }
            for record in page.records {
                let key = record.partition_key.unwrap().to_string();
                let text = String::from_utf8(record.data.to_vec()).unwrap();
                keys.entry(key).or_default().push(text);
            }
            next = page.next.unwrap();
        }
    }
    keys
}

#[tokio::test]
async fn each_devices_lines_arrive_in_order_through_throttling_and_lost_answers() {
    let (_running, client, faults) = stand(unlimited()).await;
    faults.set(
        Switch::on("PutRecords", Effect::Throttled)
            .every(3)
            .times(5),
    );
    faults.set(
        Switch::on("PutRecords", Effect::LostAnswer)
            .every(7)
            .times(2),
    );
    let lines: Vec<String> = (0..2000)
        .map(|n| format!(r#"{{"device_id":"d{}","n":{n}}}"#, n % 100))
        .collect();
    let input = lines.join("\n");
    let put = Arc::new(Kinesis::new(client.clone(), StreamRef::from("readings")));
    let stop = std::future::pending();
    let options = feed::Options::default();
    let report = feed::feed(put, input.as_bytes(), &options, stop, |_| {})
        .await
        .unwrap();
    assert_eq!(report.progress.accepted, 2000);
    assert!(report.progress.again > 0);
    let keys = by_key(&client).await;
    assert_eq!(keys.len(), 100);
    for (key, mut got) in keys {
        let expected: Vec<&String> = lines
            .iter()
            .filter(|l| l.contains(&format!("\"{key}\"")))
            .collect();
        // A lost answer repeats a record, next to itself: nothing of its key may come between.
        got.dedup();
        assert_eq!(got.iter().collect::<Vec<_>>(), expected, "{key}");
    }
}

#[tokio::test]
async fn a_shards_limits_are_waited_out() {
    let (_running, client, _) = stand(Options::default()).await;
    // Two shards take 2,000 records a second.
    let lines: Vec<String> = (0..3500)
        .map(|n| format!(r#"{{"device_id":"d{n}"}}"#))
        .collect();
    let put = Arc::new(Kinesis::new(client, StreamRef::from("readings")));
    let input = lines.join("\n");
    let options = feed::Options::default();
    let stop = std::future::pending();
    let report = feed::feed(put, input.as_bytes(), &options, stop, |_| {})
        .await
        .unwrap();
    assert_eq!(report.progress.accepted, 3500);
    assert!(report.progress.again > 0, "{report:?}");
}

#[tokio::test]
async fn the_command_feeds_a_file_and_names_a_stream_that_is_missing() {
    let (running, client, _) = stand(unlimited()).await;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("feed.ndjson");
    std::fs::write(&path, "{\"id\":\"a\"}\nnot json\n").unwrap();
    let mut args = Args {
        input: path,
        stream: None,
        rate: Some(1000.0),
        fast: false,
        key_field: "id".to_owned(),
    };
    let endpoints = Endpoints {
        kinesis: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let never = std::future::pending;
    run(&args, client.clone(), Some("readings"), &endpoints, never())
        .await
        .unwrap();
    let keys = by_key(&client).await;
    assert_eq!(keys["a"], [r#"{"id":"a"}"#]);
    assert_eq!(keys.len(), 2);

    let none = run(&args, client.clone(), None, &endpoints, never())
        .await
        .unwrap_err();
    assert!(none.sentence.contains("--stream"), "{none}");
    args.stream = Some("none".to_owned());
    let missing = run(&args, client, None, &endpoints, never())
        .await
        .unwrap_err();
    assert!(
        missing
            .sentence
            .contains("aws kinesis create-stream --stream-name none"),
        "{missing}"
    );
}
