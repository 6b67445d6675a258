//! Everything a stream can carry, through the real processes: one worker after the other, each with
//! the settings of one format, on one stream. All of it is a row or a dead letter, and no worker
//! repeats what the one before has done.

use std::io::Write as _;

use aws_sdk_kinesis::primitives::Blob;
use ciborium::cbor;
use serde_json::json;

use crate::aggregate::aggregate;
use crate::fleet::CALM;
use crate::run::Scratch;
use crate::support::{Process, Stand, eventually};

/// One record on the stream.
async fn put(stand: &Stand, data: Vec<u8>) {
    let sent = stand
        .kinesis()
        .put_record()
        .stream_name(stand.text("stream"))
        .partition_key("key")
        .data(Blob::new(data))
        .send()
        .await;
    sent.expect("the embedded Kinesis takes a record");
}

/// A worker with these settings works until there are so many rows and letters, and leaves.
async fn worked(stand: &Stand, config: &str, settings: &[(&str, &str)], rows: u64, letters: usize) {
    let listen = [("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0")];
    let env: Vec<_> = listen.iter().chain(CALM).chain(settings).copied().collect();
    let mut worker = Process::spawn(&["worker", "--config", config], &env);
    eventually("the rows and the letters", || async {
        let there = (stand.rows().await, stand.letters().await.len());
        (there == (rows, letters)).then_some(())
    })
    .await;
    let state = eventually("books at rest", || async {
        let state = worker.state().await;
        let at_rest = state["readings"]["records"]["in_flight"] == 0;
        (at_rest && state["readings"]["records"]["done"] != 0).then_some(state)
    })
    .await;
    let records = &state["readings"]["records"];
    assert_eq!(records["read"], records["done"], "{state}");
    for (sink, status) in state["readings"]["sinks"].as_object().expect("sinks") {
        let book = &status["book"];
        let count = |fate: &str| book[fate].as_u64().expect("a count");
        let skipped = book["skipped"].as_object().expect("rules").values();
        let skipped: u64 = skipped.map(|count| count.as_u64().expect("a count")).sum();
        let done = count("acknowledged") + count("dead_lettered") + skipped;
        assert_eq!(count("read"), done, "{sink}: {book}");
    }
    worker.terminate();
    assert_eq!(worker.exit_code().await, Some(0));
    assert_eq!(worker.log.complaints(&[]), Vec::<String>::new());
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(data).expect("a Vec takes bytes");
    to.finish().expect("a Vec takes bytes")
}

fn in_cbor(value: &ciborium::Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("a Vec takes bytes");
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_formats_become_rows_and_letters() {
    let stand = Stand::start(&["--workers", "0", "--shards", "1"]).await;
    let object =
        |device: &str, ts: i64| json!({ "device_id": device, "ts": ts, "v": 1 }).to_string();

    // JSON: an aggregate of fifty, one of them bad; and twenty lines, compressed.
    let parts = (0..50).map(|n| {
        let data = if n == 7 {
            "rubbish".to_owned()
        } else {
            object("aggregated", n)
        };
        (format!("k{n}"), None, data.into_bytes())
    });
    put(&stand, aggregate(&parts.collect::<Vec<_>>())).await;
    let lines: Vec<String> = (0..20).map(|n| object("lined", n)).collect();
    put(&stand, gzip(lines.join("\n").as_bytes())).await;
    let zstd = zstd::encode_all(object("z", 1).as_bytes(), 3).expect("memory");
    put(&stand, zstd).await;
    let config = stand.text("config");
    worked(&stand, config, &[], 49 + 20 + 1, 1).await;
    let letter = &stand.letters().await[0];
    assert_eq!(
        (&letter["sub"], &letter["stage"]),
        (&json!(7), &json!("decode"))
    );

    // SenML, in both its forms, and a pack that says nothing of itself.
    let pack =
        r#"[{"bn":"urn:x:","bt":1.7e9,"n":"t","v":1},{"n":"h","v":2},{"n":"t","t":1,"v":3}]"#;
    put(&stand, pack.as_bytes().to_vec()).await;
    let pack = cbor!([{-2 => "urn:y:", -3 => 1.7e9, 0 => "t", 2 => 1.5}]);
    put(&stand, in_cbor(&pack.expect("a value"))).await;
    put(&stand, br#"[{"v":1}]"#.to_vec()).await;
    let senml = [
        ("TIDEWIRE_DECODE__FORMAT", "senml"),
        ("TIDEWIRE_DECODE__DEVICE_ID", "name"),
    ];
    let scratch = Scratch::new("formats");
    let untimed = scratch.write("senml.toml", &without_time(&stand));
    let rows = 70 + 2 + 1;
    worked(&stand, &untimed, &senml, rows, 2).await;

    // CBOR.
    let map = |ts: i64| cbor!({"device_id" => "c", "ts" => ts, "v" => 1.5}).expect("a value");
    let sequence = [in_cbor(&map(1)), in_cbor(&map(2))].concat();
    put(&stand, sequence).await;
    put(&stand, vec![0xff]).await;
    let format = [("TIDEWIRE_DECODE__FORMAT", "cbor")];
    worked(&stand, config, &format, rows + 2, 3).await;
    stand.end().await;
}

/// The stand's config without the field of the time, which SenML does not have.
fn without_time(stand: &Stand) -> String {
    let text = std::fs::read_to_string(stand.text("config")).expect("the stand wrote it");
    let lines = text.lines().filter(|line| !line.starts_with("time_"));
    lines.collect::<Vec<_>>().join("\n")
}
