//! One fleet over several streams, its leases keyed as KCL's multi-stream mode keys them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fleet::{CALM, Row, Tap, Worker, each_reads, lease_rows, text};
use crate::resharding::split;
use crate::run::{Scratch, run};
use crate::support::{Stand, eventually, now_ms, reading};

/// A stand with two streams of two shards, and a config that names both: the first by name, the
/// second by ARN.
pub(crate) async fn with_two_streams(scratch: &Scratch) -> (Stand, [String; 2]) {
    let mut stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let first = stand.text("stream").to_owned();
    let second = "second".to_owned();
    let kinesis = stand.kinesis();
    let made = kinesis.create_stream().stream_name(&second).shard_count(2);
    made.send().await.expect("a stream is made");
    let arn = eventually("the second stream is active", || async {
        let found = kinesis.describe_stream_summary().stream_name(&second);
        let found = found.send().await.ok()?;
        let found = found.stream_description_summary?;
        (found.stream_status.as_str() == "ACTIVE").then_some(found.stream_arn)
    })
    .await;
    let config = std::fs::read_to_string(stand.text("config")).expect("a config");
    let one = format!("stream = \"{first}\"");
    assert!(config.contains(&one), "{config}");
    let both = config.replace(&one, &format!("streams = [\"{first}\", \"{arn}\"]"));
    stand.card["config"] = scratch.write("both.toml", &both).into();
    (stand, [first, second])
}

/// Puts readings of devices of its own on a stream.
pub(crate) async fn put_on(stand: &mut Stand, stream: &str, count: usize) {
    stand.card["stream"] = stream.into();
    let first_ts = now_ms();
    let batch = (0..count).map(|n| {
        let n = u32::try_from(n).expect("small");
        let device = format!("{stream}-{:02}", n % 8);
        reading(&device, first_ts + i64::from(n), f64::from(n))
    });
    stand.put(batch).await;
}

/// As KCL's `DynamoDBMultiStreamLeaseSerializer` writes and reads it.
fn is_kcls(key: &str, row: &Row) {
    let part = |name: &str| text(row, name).unwrap_or_else(|| panic!("{key} lacks {name}"));
    let stream = part("streamName");
    assert_eq!(key, format!("{stream}:{}", part("shardId")));
    let parts: Vec<_> = stream.split(':').collect();
    assert_eq!(parts.len(), 3, "{stream}");
    for number in [parts[0], parts[2]] {
        assert!(number.parse::<u64>().is_ok(), "{stream}");
    }
    for number in ["leaseCounter", "ownerSwitchesSinceCheckpoint"] {
        assert!(row[number].as_n().is_ok(), "{key}: {number}");
    }
    for set in ["parentShardId", "childShardIds"] {
        let ids = row.get(set).map(|ids| ids.as_ss().expect("a set"));
        for id in ids.into_iter().flatten() {
            assert!(id.starts_with("shardId-"), "{key}: {set} has {id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_read_two_streams_and_one_of_them_splits() {
    let scratch = Scratch::new("streams");
    let (mut stand, [first, second]) = with_two_streams(&scratch).await;
    let tap = Tap::new(&stand).await;
    let a = Worker::start(&stand, &tap, CALM).await;
    let b = Worker::start(&stand, &tap, CALM).await;
    each_reads(&[&a, &b], 2).await;
    put_on(&mut stand, &first, 80).await;
    put_on(&mut stand, &second, 80).await;
    split(&stand, "shardId-000000000000").await;
    put_on(&mut stand, &second, 80).await;
    let bad = ("key".to_owned(), "no reading".to_owned());
    stand.put([bad]).await;
    tap.exactly_once(&stand, 240).await;

    // Whatever names the shard names its stream.
    let letter = eventually("the letter", || async { stand.letters().await.pop() }).await;
    assert_eq!(letter["stream"], second.as_str(), "{letter}");
    let shard = letter["shard"].as_str().expect("a shard");
    assert!(shard.contains(":second:"), "{letter}");
    let all = tap.delivered(&stand).await;
    let streams: BTreeSet<_> = all
        .iter()
        .map(|one| {
            let stream = one.shard.split(':').nth(1).expect("a stream");
            let own = one.device.starts_with(stream);
            assert!(own, "{one:?}");
            stream.to_owned()
        })
        .collect();
    assert_eq!(streams, BTreeSet::from([first, second]));

    let rows = eventually("the split shard has ended", || async {
        let rows = lease_rows(&stand).await;
        let ended = |row: &Row| text(row, "checkpoint").as_deref() == Some("SHARD_END");
        (rows.len() == 6 && rows.values().any(ended)).then_some(rows)
    })
    .await;
    for (key, row) in &rows {
        is_kcls(key, row);
    }
    let children = rows
        .values()
        .filter(|row| row.contains_key("parentShardId"));
    assert_eq!(children.count(), 2);
    the_table_is_this_fleets(&stand).await;
    for worker in [a, b] {
        worker.leave().await;
    }
    stand.end().await;
}

/// Operators name a shard with its stream, and a fleet over one stream is kept off the table.
async fn the_table_is_this_fleets(stand: &Stand) {
    let config = stand.text("config");
    let leases = ["--config", config, "leases", "list", "--json", "--lag"];
    let ended = run(&[&leases[..], &["second:0"]].concat(), &[], "").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let listed: Value = serde_json::from_str(&ended.out).expect("JSON");
    let row = &listed["leases"][0];
    assert_eq!(row["state"], "ended", "{listed}");
    let ended = run(&[&leases[..], &["1"]].concat(), &[], "").await;
    ended.expect(1, &["`1` may be", "write the stream's name"]);
    let repair = ["--config", config, "leases", "repair"];
    let ended = run(&repair, &[], "").await;
    let healthy = "every lease is as the stream has it";
    assert!(ended.out.contains(healthy), "{ended:?}");

    let text = std::fs::read_to_string(config).expect("a config");
    let streams = text.lines().find(|line| line.starts_with("streams = "));
    let one = text.replace(streams.expect("its streams"), "stream = \"second\"");
    let scratch = Scratch::new("one-stream");
    let config = scratch.write("one.toml", &one);
    let env = [("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0")];
    let ended = run(&["worker", "--config", &config], &env, "").await;
    ended.expect(78, &["of a fleet over several streams", "source.streams"]);
}
