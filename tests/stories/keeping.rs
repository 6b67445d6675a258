//! A stand that ends, or is killed, and starts again with what it kept (`--data-dir`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::drill::{begin, until_held};
use crate::fleet::{lease_rows, open_shards, text};
use crate::run::{Scratch, run};
use crate::support::{Stand, eventually, now_ms, readings};

/// The rows by device, and the letters.
async fn kept(stand: &Stand) -> (BTreeMap<String, u64>, usize) {
    let table = stand.text("table");
    let counted = format!("select device_id as d, count(*) as n from {table} group by 1");
    let rows = stand.sql(&counted).await.into_iter();
    let by_device = rows.map(|row| {
        let device = row["d"].as_str().expect("a device").to_owned();
        (device, row["n"].as_u64().expect("a count"))
    });
    (by_device.collect(), stand.letters().await.len())
}

async fn landed(stand: &Stand, count: u64) {
    eventually("every row", || async {
        (stand.rows().await == count).then_some(())
    })
    .await;
}

/// The checkpoints by shard.
async fn checkpoints(stand: &Stand) -> BTreeMap<String, String> {
    let rows = lease_rows(stand).await.into_iter();
    rows.map(|(shard, row)| (shard, text(&row, "checkpoint").expect("a checkpoint")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_that_ended_goes_on_where_it_was() {
    let scratch = Scratch::new("keeping-ended");
    let place = scratch.path("data");
    let args = ["--shards", "2", "--data-dir", &place];
    let first = now_ms() - 600_000;

    let stand = Stand::start(&args).await;
    until_held(&stand, &[2]).await;
    stand.put(readings(5, 100, first)).await;
    stand
        .put([("bad".to_owned(), "no reading".to_owned())])
        .await;
    landed(&stand, 100).await;
    begin(&stand, "shard:split").await;
    until_held(&stand, &[3]).await;
    stand.put(readings(5, 50, first + 100)).await;
    landed(&stand, 150).await;
    eventually("the letter", || async {
        (stand.letters().await.len() == 1).then_some(())
    })
    .await;
    let before = kept(&stand).await;
    let shards = open_shards(&stand).await;
    stand.end().await;

    // Nobody reads: it is all there, and the shards are as they were, whatever is asked for.
    let stand = Stand::start(&["--shards", "4", "--workers", "0", "--data-dir", &place]).await;
    assert_eq!(kept(&stand).await, before);
    assert_eq!(open_shards(&stand).await, shards);
    let done = checkpoints(&stand).await;
    assert!(done.len() >= 3, "{done:?}");
    stand.put(readings(5, 50, first + 150)).await;
    stand.end().await;

    let stand = Stand::start(&args).await;
    until_held(&stand, &[3]).await;
    stand.put(readings(5, 50, first + 200)).await;
    landed(&stand, 250).await;
    // From the checkpoints on, not from the beginning.
    eventually("a hundred were read", || async {
        let state = stand.beliefs().await;
        let books = &state["workers"][0]["readings"]["records"];
        let done = books["done"].as_u64().expect("a count");
        assert!(done <= 100, "{books}");
        (done == 100).then_some(())
    })
    .await;
    assert_eq!(stand.letters().await.len(), 1);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_that_was_killed_loses_nothing_that_was_taken() {
    let scratch = Scratch::new("keeping-killed");
    let place = scratch.path("data");
    let args = ["--shards", "2", "--data-dir", &place];
    let first = now_ms() - 600_000;
    let mut put = 0;
    for round in 0..3 {
        let mut stand = Stand::start(&args).await;
        let viewer = stand.viewer(&["*"]).await;
        until_held(&stand, &[2]).await;
        if round == 1 {
            // What is on the stream and not yet anywhere else.
            begin(&stand, "timestream:outage").await;
        }
        stand.put(readings(5, 200, first + put)).await;
        put += 200;
        drop(viewer);
        stand.process.kill_9();
        assert_eq!(stand.process.exit_code().await, None, "ended by the signal");
    }
    let stand = Stand::start(&args).await;
    until_held(&stand, &[2]).await;
    landed(&stand, put.unsigned_abs()).await;
    let table = stand.text("table");
    let times = stand
        .sql(&format!("select count(distinct time_ms) as n from {table}"))
        .await;
    assert_eq!(times[0]["n"], put, "each reading once");
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_viewers_whose_sockets_died_with_the_stand_go() {
    let scratch = Scratch::new("keeping-viewers");
    let place = scratch.path("data");
    let args = ["--shards", "1", "--data-dir", &place];
    let mut stand = Stand::start(&args).await;
    let _viewer = stand.viewer(&["*"]).await;
    let rows = connections(&stand).await;
    assert_eq!(rows.len(), 1);
    stand.process.kill_9();
    assert_eq!(stand.process.exit_code().await, None);

    let stand = Stand::start(&args).await;
    assert_eq!(connections(&stand).await, rows, "it is still there");
    let _other = stand.viewer(&["*"]).await;
    until_held(&stand, &[1]).await;
    eventually("the dead one's row is gone", || async {
        stand.put(readings(1, 1, now_ms())).await;
        let left = connections(&stand).await;
        (left.len() == 1 && left != rows).then_some(())
    })
    .await;
    stand.end().await;
}

async fn connections(stand: &Stand) -> Vec<String> {
    let client = crate::fleet::dynamodb(stand);
    let scan = client.scan().table_name(stand.text("connection_table"));
    let rows = scan.send().await.expect("the table is scanned").items;
    let rows = rows.unwrap_or_default().into_iter();
    rows.filter(|row| text(row, "LookupKey").as_deref() == Some("CONNECTION"))
        .filter_map(|row| text(&row, "SortKey"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_used_is_told_with_the_remedy() {
    let scratch = Scratch::new("keeping-refused");
    let place = scratch.path("data");
    let start: Vec<&str> = "local --port-base 0 --devices 0 --workers 0 --data-dir"
        .split(' ')
        .chain([place.as_str()])
        .collect();
    let stand = Stand::start(&["--shards", "1", "--data-dir", &place]).await;
    stand.put(readings(5, 400, now_ms())).await;
    landed(&stand, 400).await;
    let second = run(&start, &[], "").await;
    second.expect(64, &["in use by another", "name another directory"]);
    stand.end().await;

    for file in [
        "timestream.sqlite",
        "dynamodb.sqlite",
        "sqs.sqlite",
        "kinesis/records.sqlite",
        "kinesis/streams/snapshot.bin",
        "kinesis/streams/wal.log",
    ] {
        let path = std::path::Path::new(&place).join(file);
        let Ok(whole) = std::fs::read(&path) else {
            assert!(file.starts_with("kinesis/streams"), "{file} is there");
            continue;
        };
        let mut broken = whole.clone();
        let half = broken.len() / 2;
        broken.truncate(half.max(4));
        broken.iter_mut().take(64).for_each(|byte| *byte ^= 0x55);
        std::fs::write(&path, &broken).expect("it can be written");
        let refused = run(&start, &[], "").await;
        refused.expect(1, &["cannot", "move", &place, "--data-dir"]);
        std::fs::write(&path, &whole).expect("it can be written");
    }
    let stand = Stand::start(&["--data-dir", &place]).await;
    assert_eq!(stand.rows().await, 400);
    stand.end().await;

    let other = scratch.path("other");
    std::fs::create_dir(&other).expect("a directory");
    std::fs::write(std::path::Path::new(&other).join("x"), "x").expect("a file");
    let start = ["local", "--port-base", "0", "--data-dir", &other];
    let refused = run(&start, &[], "").await;
    refused.expect(64, &["holds other things", "an empty or a new directory"]);
    assert_eq!(json!(scratch.files("other")), json!(["x"]));
}
