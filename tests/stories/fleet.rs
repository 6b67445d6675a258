//! Workers that share a stream: what each believes, what they deliver, and a load to work on.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use serde_json::Value;

use crate::http::http;
use crate::support::{Process, Stand, eventually, now_ms, reading};

/// Leases as they are by default, looked at a little more often: nothing is lost to a busy machine.
pub(crate) const CALM: &[(&str, &str)] = &[("TIDEWIRE_LEASE__SCAN_EVERY_MS", "300")];

/// Leases short enough that a story need not wait long for one to expire.
pub(crate) const SHORT: &[(&str, &str)] = &[
    ("TIDEWIRE_LEASE__DURATION_MS", "3000"),
    ("TIDEWIRE_LEASE__RENEW_EVERY_MS", "500"),
    ("TIDEWIRE_LEASE__SCAN_EVERY_MS", "300"),
];

/// A worker process, once it has said where it is.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) id: String,
    address: String,
}

impl Worker {
    pub(crate) async fn start(stand: &Stand, tap: &Tap, env: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("TIDEWIRE_QUEUE__URLS", tap.url.as_str()),
            ("TIDEWIRE_QUEUE__WINDOW_MS", "100"),
        ];
        all.extend_from_slice(env);
        let process = stand.worker(&all);
        let said = |field: &'static str| {
            let log = process.log.clone();
            async move {
                eventually("the worker says where it is", || async {
                    log.lines().iter().find_map(|line| {
                        let line: Value = serde_json::from_str(line).ok()?;
                        Some(line[field].as_str()?.to_owned())
                    })
                })
                .await
            }
        };
        let (address, id) = (said("address").await, said("worker_id").await);
        Self {
            process,
            id,
            address,
        }
    }

    /// Where its metrics, health and state are.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn state(&self) -> Value {
        let (status, body) = http("GET", &self.address, "/state", "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("the state is JSON")
    }

    pub(crate) async fn held(&self) -> u64 {
        let state = self.state().await;
        state["leases"]["held"]
            .as_u64()
            .expect("a number of leases")
    }

    /// The shards it reads.
    pub(crate) async fn shards(&self) -> BTreeSet<String> {
        let state = self.state().await;
        let shards = state["readings"]["shards"].as_object().expect("shards");
        let reading = |shard: &Value| shard["ended"] == false && shard["draining"] == false;
        let mine = shards.iter().filter(|(_, shard)| reading(shard));
        mine.map(|(id, _)| id.clone()).collect()
    }

    /// How often its log says this about leases.
    pub(crate) fn said(&self, words: &str) -> usize {
        let lines = self.process.log.lines();
        lines.iter().filter(|line| line.contains(words)).count()
    }

    /// Waits until nothing is in flight and expects the books to balance.
    pub(crate) async fn books(&self) -> Value {
        let state = eventually("nothing is in flight", || async {
            let state = self.state().await;
            let quiet = state["readings"]["records"]["in_flight"] == 0
                && sinks(&state).all(|sink| sink["book"]["in_flight"] == 0);
            quiet.then_some(state)
        })
        .await;
        let number = |value: &Value| value.as_u64().expect("a count");
        for sink in sinks(&state) {
            let book = &sink["book"];
            let skipped = book["skipped"].as_object().expect("rules");
            let done = number(&book["acknowledged"])
                + number(&book["dead_lettered"])
                + skipped.values().map(number).sum::<u64>();
            assert_eq!(
                number(&book["read"]),
                done + number(&book["abandoned"]),
                "{book}"
            );
        }
        let records = &state["readings"]["records"];
        assert_eq!(
            number(&records["read"]),
            number(&records["done"]) + number(&records["abandoned"]),
            "{records}"
        );
        state["readings"].clone()
    }

    /// Asks it to end and expects that it does so well, without a word of complaint.
    pub(crate) async fn leave(mut self) {
        self.process.terminate();
        let code = self.process.exit_code().await;
        let log = self.process.log.lines().join("\n");
        assert_eq!(code, Some(0), "log:\n{log}");
    }
}

fn sinks(state: &Value) -> impl Iterator<Item = &Value> {
    let sinks = state["readings"]["sinks"].as_object().expect("sinks");
    assert_eq!(sinks.len(), 2, "the store and the tap");
    sinks.values()
}

/// A live queue that only the story looks at: everything that the workers delivered, in order.
pub(crate) struct Tap {
    url: String,
}

/// One reading that was delivered.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) shard: String,
    pub(crate) device: String,
    /// Compared by length, then text.
    pub(crate) seq: (usize, String),
    sub: u64,
    i: u64,
}

impl Tap {
    pub(crate) async fn new(stand: &Stand) -> Self {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .endpoint_url(stand.text("sqs"))
            .build();
        let client = aws_sdk_sqs::Client::from_conf(config);
        let made = client.create_queue().queue_name("tap").send().await;
        let url = made.expect("a queue is made").queue_url;
        Self {
            url: url.expect("it has a URL"),
        }
    }

    pub(crate) async fn delivered(&self, stand: &Stand) -> Vec<Delivered> {
        let path = "/_local/peek?queue=tap&limit=1000";
        let (status, body) = http("GET", stand.text("sqs"), path, "").await;
        assert_eq!(status, 200, "{body}");
        let peek: Value = serde_json::from_str(&body).expect("peek answers JSON");
        let messages = peek["messages"].as_array().expect("messages");
        assert_eq!(peek["visible"], messages.len(), "all of them are shown");
        let mut all = Vec::new();
        for message in messages {
            let body = message["body"].as_str().expect("a body is text");
            let body: Value = serde_json::from_str(body).expect("a message is JSON");
            for reading in body["readings"].as_array().expect("readings") {
                let text = |field: &str| reading[field].as_str().expect(field).to_owned();
                let number = |field: &str| reading[field].as_u64().expect(field);
                let seq = text("seq");
                all.push(Delivered {
                    shard: text("shard"),
                    device: text("device_id"),
                    seq: (seq.len(), seq),
                    sub: number("sub"),
                    i: number("i"),
                });
            }
        }
        all
    }

    /// Waits until `put` distinct readings were delivered and answers all deliveries, expecting
    /// that each was delivered first when all before it on its device had been (P3).
    pub(crate) async fn in_order(&self, stand: &Stand, put: usize) -> Vec<Delivered> {
        let all = eventually("every reading is delivered", || async {
            let all = self.delivered(stand).await;
            (firsts(&all).len() >= put).then_some(all)
        })
        .await;
        let firsts = firsts(&all);
        assert_eq!(firsts.len(), put, "nothing that was never put");
        let mut last = BTreeMap::new();
        for reading in &firsts {
            let at = (reading.seq.clone(), reading.sub, reading.i);
            if let Some(before) = last.insert(&reading.device, at.clone()) {
                assert!(before < at, "{before:?} came before {reading:?}");
            }
        }
        all
    }

    /// As [`Tap::in_order`], and nothing was delivered twice.
    pub(crate) async fn exactly_once(&self, stand: &Stand, put: usize) -> Vec<Delivered> {
        let all = self.in_order(stand, put).await;
        assert_eq!(all.len(), put, "readings were repeated");
        all
    }
}

/// Says what a fault cost. That nothing is lost was asserted before; how long something takes on
/// this machine is told, not promised.
pub(crate) fn cost(fault: &str, put: usize, delivered: &[Delivered], read_again: Duration) {
    let lost = put - firsts(delivered).len();
    let repeated = delivered.len() - firsts(delivered).len();
    println!(
        "{fault}: {put} put, lost {lost}, repeated {repeated}, all read again after {read_again:.1?}"
    );
}

/// Each reading as it was first delivered.
pub(crate) fn firsts(all: &[Delivered]) -> Vec<Delivered> {
    let mut seen = BTreeSet::new();
    let key = |d: &Delivered| (d.shard.clone(), d.seq.clone(), d.sub, d.i);
    all.iter()
        .filter(|d| seen.insert(key(d)))
        .cloned()
        .collect()
}

/// Readings in one put, one for each device.
const BATCH: usize = 16;

/// Puts readings, all distinct, until the scene is over; answers how many were put.
pub(crate) async fn under_load(stand: &Stand, scene: impl Future<Output = ()>) -> usize {
    let over = Cell::new(false);
    let load = async {
        let client = stand.kinesis();
        let first_ts = now_ms();
        let mut put = 0;
        while !over.get() {
            let batch = (0..BATCH).map(|device| {
                let n = u32::try_from(put + device).expect("small");
                let ts = first_ts + i64::from(n);
                reading(&format!("device-{device:02}"), ts, f64::from(n))
            });
            stand.put_by(&client, batch).await;
            put += BATCH;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        put
    };
    let scene = async {
        scene.await;
        over.set(true);
    };
    let (put, ()) = tokio::join!(load, scene);
    put
}

/// Waits until this many readings more went by the workers: the load is being worked on.
pub(crate) async fn some_rows(stand: &Stand, more: u64) {
    let before = stand.rows().await;
    eventually("more rows", || async {
        (stand.rows().await >= before + more).then_some(())
    })
    .await;
}

/// Waits until every reading put is a row, and expects nothing beside.
pub(crate) async fn all_landed(stand: &Stand, put: usize) {
    let put = u64::try_from(put).expect("small");
    eventually("every reading is a row", || async {
        (stand.rows().await >= put).then_some(())
    })
    .await;
    let table = stand.text("table");
    let count = format!("select count(*) as n, count(distinct value) as v from {table}");
    let rows = stand.sql(&count).await;
    assert_eq!(rows[0]["n"], put, "one row for each");
    assert_eq!(rows[0]["v"], put, "each with its own value");
    assert_eq!(stand.letters().await, Vec::<Value>::new());
}

/// Waits until the shards that are open are read, each by one of these workers.
pub(crate) async fn all_read(stand: &Stand, workers: &[&Worker]) {
    eventually("every open shard is read", || async {
        let open = open_shards(stand).await;
        let mut read = BTreeSet::new();
        for worker in workers {
            for shard in worker.shards().await {
                if !read.insert(shard) {
                    // One is on its way from one to another.
                    return None;
                }
            }
        }
        (read == open).then_some(())
    })
    .await;
}

/// Waits until each of the workers reads as many shards as named.
pub(crate) async fn each_reads(workers: &[&Worker], shards: usize) {
    eventually("the shards are shared", || async {
        for worker in workers {
            if worker.shards().await.len() != shards || worker.held().await != shards as u64 {
                return None;
            }
        }
        Some(())
    })
    .await;
}

pub(crate) async fn open_shards(stand: &Stand) -> BTreeSet<String> {
    let shards = all_shards(stand).await.into_values();
    let open = shards.filter(|shard| {
        let range = shard.sequence_number_range().expect("a range");
        range.ending_sequence_number().is_none()
    });
    open.map(|shard| shard.shard_id().to_owned()).collect()
}

pub(crate) async fn all_shards(stand: &Stand) -> BTreeMap<String, aws_sdk_kinesis::types::Shard> {
    let listed = stand
        .kinesis()
        .list_shards()
        .stream_name(stand.text("stream"))
        .send();
    let shards = listed.await.expect("shards are listed").shards;
    let shards = shards.expect("there are shards").into_iter();
    shards
        .map(|shard| (shard.shard_id().to_owned(), shard))
        .collect()
}

/// A row of the lease table, as DynamoDB has it.
pub(crate) type Row = HashMap<String, AttributeValue>;

/// A client of the stand's DynamoDB.
pub(crate) fn dynamodb(stand: &Stand) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(stand.text("dynamodb"))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

pub(crate) async fn lease_rows(stand: &Stand) -> BTreeMap<String, Row> {
    let client = dynamodb(stand);
    let table = stand.text("lease_table");
    let answer = client.scan().table_name(table).consistent_read(true).send();
    let rows = answer.await.expect("the table is scanned").items;
    let rows = rows.unwrap_or_default().into_iter();
    rows.map(|row| (text(&row, "leaseKey").expect("a key"), row))
        .collect()
}

pub(crate) fn text(row: &Row, name: &str) -> Option<String> {
    row.get(name)?.as_s().ok().cloned()
}
