//! A stream that keeps little, and workers that stay away for longer than that.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::fleet::{SHORT, Tap, Worker, lease_rows, text};
use crate::http::http;
use crate::support::{Stand, eventually, now_ms, reading};

/// Longer than a lease of [`SHORT`] lasts.
const AWAY: Duration = Duration::from_secs(4);

/// A record's size, most of it blanks after its JSON.
const PADDED_BYTES: usize = 8 * 1024;

/// Puts readings of these values, in their order.
async fn put(stand: &Stand, values: std::ops::Range<u32>) {
    let base = now_ms();
    let padded = values.map(|value| {
        let (key, mut body) = reading("device", base + i64::from(value), f64::from(value));
        body.extend(std::iter::repeat_n(' ', PADDED_BYTES));
        (key, body)
    });
    stand.put(padded).await;
}

/// The values in the table, in order; the table must have rows.
async fn values(stand: &Stand) -> Vec<u32> {
    let table = stand.text("table");
    let rows = stand
        .sql(&format!("select value from {table} order by value"))
        .await;
    let number = |row: &Value| row["value"].as_f64().expect("a number");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers were put"
    )]
    rows.iter().map(|row| number(row) as u32).collect()
}

async fn landed(stand: &Stand, last: u32) -> Vec<u32> {
    eventually("the last reading is a row", || async {
        if stand.rows().await == 0 {
            return None;
        }
        let values = values(stand).await;
        (values.last() == Some(&last)).then_some(values)
    })
    .await
}

/// The checkpoint, once so many readings are done, which is all there are.
async fn checkpoint(stand: &Stand, tap: &Tap, done: usize) -> String {
    let delivered = tap.in_order(stand, done).await;
    let last = delivered.into_iter().map(|one| one.seq).max();
    let (_, last) = last.expect("something was delivered");
    eventually("the last record is checkpointed", || async {
        let rows = lease_rows(stand).await;
        let checkpoint = text(rows.values().next()?, "checkpoint")?;
        (checkpoint == last).then_some(checkpoint)
    })
    .await
}

/// How often the worker says that there is a gap which begins there, once it does.
async fn told(worker: &Worker, after: &str) -> usize {
    let about = |line: &&String| {
        let line: Option<Value> = serde_json::from_str(line).ok();
        line.is_some_and(|line| line["after"] == after && line["first_left"].is_string())
    };
    eventually("the gap is told", || async {
        let lines = worker.process.log.lines();
        Some(lines.iter().filter(about).count()).filter(|count| *count > 0)
    })
    .await
}

async fn counted(worker: &Worker) -> Vec<String> {
    let (status, body) = http("GET", worker.address(), "/metrics", "").await;
    assert_eq!(status, 200);
    let of = |line: &&str| line.starts_with("tidewire_shard_gaps_total{");
    body.lines().filter(of).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_drops_while_a_worker_is_away_is_told() {
    let stand = Stand::start(&["--workers", "0", "--shards", "1", "--retain-mib", "1"]).await;
    let tap = Tap::new(&stand).await;
    let one = Worker::start(&stand, &tap, SHORT).await;
    put(&stand, 0..20).await;
    let there = landed(&stand, 19).await;
    let after = checkpoint(&stand, &tap, there.len()).await;

    // Stopped by the system for longer than its lease lasts, while 2 MiB go by.
    one.process.signal("-STOP");
    let stopped = Instant::now();
    put(&stand, 20..220).await;
    tokio::time::sleep_until(stopped + AWAY).await;
    one.process.signal("-CONT");
    let there = landed(&stand, 219).await;
    let dropped: Vec<_> = (0..220).filter(|value| !there.contains(value)).collect();
    assert!(dropped.len() > 50, "{dropped:?}");
    let (first, last) = (dropped[0], dropped[dropped.len() - 1]);
    assert_eq!(first, 20, "all that was read before is there");
    let gap = usize::try_from(last - first + 1).expect("small");
    assert_eq!(gap, dropped.len(), "nothing is missing but in the gap");
    assert_eq!(told(&one, &after).await, 1);
    let labels = "shard=\"shardId-000000000000\",left=\"records\"";
    let expected = format!("tidewire_shard_gaps_total{{{labels}}} 1");
    assert_eq!(counted(&one).await, [expected.as_str()]);

    // The same where its successor comes too late; it is the shard's only owner and says so once.
    let after = checkpoint(&stand, &tap, there.len()).await;
    one.leave().await;
    put(&stand, 220..420).await;
    let two = Worker::start(&stand, &tap, SHORT).await;
    let there = landed(&stand, 419).await;
    assert!(there.contains(&219) && !there.contains(&220));
    assert_eq!(told(&two, &after).await, 1);
    assert_eq!(counted(&two).await, [expected.as_str()]);
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    two.leave().await;
    stand.end().await;
}
