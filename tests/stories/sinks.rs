//! Sinks that are down, slow or throttled for a while: reading waits, leases stay, nothing is lost
//! (promise P4), and one bad reading costs one letter (P7).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Process, Stand, eventually, now_ms, reading, readings};

/// A lease so short that every outage here outlasts it: only renewals keep it.
const SHORT_LEASES: [(&str, &str); 3] = [
    ("TIDEWIRE_LEASE__DURATION_MS", "2000"),
    ("TIDEWIRE_LEASE__RENEW_EVERY_MS", "500"),
    ("TIDEWIRE_LEASE__SCAN_EVERY_MS", "300"),
];

/// The epochs of the shards a worker reads: a lease that was lost and taken again has another.
fn epochs(state: &Value) -> BTreeMap<String, u64> {
    let shards = state["readings"]["shards"].as_object();
    shards
        .into_iter()
        .flatten()
        .filter_map(|(shard, status)| Some((shard.clone(), status["epoch"].as_u64()?)))
        .collect()
}

async fn reading_all(worker: &Process, shards: usize) -> BTreeMap<String, u64> {
    eventually("all shards are read", || async {
        let epochs = epochs(&worker.state().await);
        (epochs.len() == shards).then_some(epochs)
    })
    .await
}

/// The lease counters in the table, by the worker's own scan.
fn renewals(state: &Value) -> u64 {
    state["leases"]["leases"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|lease| lease["counter"].as_u64())
        .sum()
}

/// Waits until all `count` readings are done in every sink, and balances the books: each was
/// acknowledged by both sinks or is a dead letter.
async fn balanced(worker: &Process, count: u64) -> Value {
    let state = eventually("the books are closed", || async {
        let state = worker.state().await;
        let readings = &state["readings"];
        let sinks = readings["sinks"].as_object()?;
        let done = sinks.values().all(|sink| {
            let book = &sink["book"];
            book["read"] == count && book["in_flight"] == 0
        });
        (done && readings["records"]["done"] == readings["records"]["read"]).then_some(state)
    })
    .await;
    for (name, sink) in state["readings"]["sinks"].as_object().expect("sinks") {
        let book = &sink["book"];
        let ends = ["acknowledged", "dead_lettered", "abandoned"].map(|end| book[end].as_u64());
        let skipped = book["skipped"].as_object().expect("rules").len();
        assert_eq!((ends[2], skipped), (Some(0), 0), "{name}: {book}");
        let done = ends.iter().flatten().sum::<u64>();
        assert_eq!(done, count, "{name}: {book}");
    }
    state
}

/// A reading of its own device by whose value a viewer knows how far it has been shown.
fn marker(value: f64) -> (String, String) {
    reading("marker", now_ms(), value)
}

/// How often the sink's write was called.
async fn writes(stand: &Stand, server: &str) -> u64 {
    let operation = match server {
        "sqs" => "SendMessageBatch",
        _ => "WriteRecords",
    };
    stand.calls(server, operation).await
}

/// Has these servers misbehave in each way in turn while readings are put, and expects every one
/// of them to land, under the very leases of the beginning.
async fn outage(servers: &[&str]) {
    let stand = Stand::start(&["--shards", "2", "--workers", "0"]).await;
    let worker = stand.worker(&SHORT_LEASES);
    let epochs_before = reading_all(&worker, 2).await;
    let mut viewer = stand.viewer(&["*"]).await;
    stand.put([marker(0.0)]).await;
    let shown =
        |value: f64| move |r: &Value| r["device_id"] == "marker" && r["measures"]["value"] == value;
    viewer.readings_until(shown(0.0)).await;

    let mut put = 1;
    let first = now_ms() - 600_000;
    for fault in [
        json!({ "kind": "down" }),
        json!({ "kind": "throttled" }),
        json!({ "kind": "slow", "ms": 500 }),
        json!({ "kind": "lost_answer", "every": 2 }),
    ] {
        let mut called = Vec::new();
        for server in servers {
            stand.fault(server, json!([fault])).await;
            called.push(writes(&stand, server).await);
        }
        let renewed = renewals(&worker.state().await);
        let rows_before = stand.rows().await;
        stand.put(readings(8, 200, first + 1_000 * put)).await;
        stand.put([marker(1.0)]).await;
        put += 201;
        for (server, before) in servers.iter().zip(called) {
            eventually("the sink meets the fault", || async {
                (writes(&stand, server).await > before).then_some(())
            })
            .await;
        }
        if fault["kind"] == "down" {
            if !servers.contains(&"sqs") {
                // A store that is down does not darken the screens, as long as the budget lasts.
                viewer.readings_until(shown(1.0)).await;
            }
            if !servers.contains(&"timestream") {
                rows(&stand, put).await;
            }
            eventually("leases renewed for longer than they last", || async {
                (renewals(&worker.state().await) >= renewed + 12).then_some(())
            })
            .await;
            if servers.contains(&"timestream") {
                assert_eq!(stand.rows().await, rows_before, "the store is down");
            }
        }
    }
    for server in servers {
        stand.fault(server, json!([])).await;
    }
    stand.put([marker(2.0)]).await;
    viewer.readings_until(shown(2.0)).await;
    rows(&stand, put + 1).await;
    balanced(&worker, number(put + 1)).await;
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    let now = epochs(&worker.state().await);
    assert_eq!(now, epochs_before, "the leases were kept");
    assert_eq!(worker.log.complaints(&[]), Vec::<String>::new());
    stand.end().await;
}

fn number(count: i64) -> u64 {
    u64::try_from(count).expect("a count")
}

async fn rows(stand: &Stand, count: i64) {
    eventually("every row", || async {
        (stand.rows().await == number(count)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestream_fails_in_every_way_and_all_rows_land() {
    outage(&["timestream"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqs_fails_in_every_way_and_the_archive_goes_on() {
    outage(&["sqs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sinks_fail_in_every_way_and_nothing_is_lost() {
    outage(&["timestream", "sqs"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_sink_stays_within_the_budget() {
    let stand = Stand::start(&["--shards", "2", "--workers", "0"]).await;
    let mut env = SHORT_LEASES.to_vec();
    env.push(("TIDEWIRE_PIPELINE__BUDGET_BYTES", "1MiB"));
    let worker = stand.worker(&env);
    let epochs_before = reading_all(&worker, 2).await;
    let note = "n".repeat(1_500);
    let first = now_ms() - 600_000;
    let big = |n: i64| {
        let device = format!("device-{}", n % 16);
        let body = json!({ "device_id": device, "ts": first + n, "value": n, "note": note });
        (device, body.to_string())
    };
    // What a record takes is learnt from those that were read.
    stand.put((0..64).map(big)).await;
    rows(&stand, 64).await;
    stand.fault("timestream", json!([{ "kind": "down" }])).await;
    // Some 6 MB, several times the budget.
    stand.put((64..4_000).map(big)).await;
    let full = eventually("reading stands still", || async {
        let before = worker.state().await["readings"].clone();
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let after = worker.state().await["readings"].clone();
        let read = |state: &Value| state["records"]["read"].as_u64();
        (read(&after) > Some(64) && read(&before) == read(&after)).then_some(after)
    })
    .await;
    assert!(full["records"]["read"].as_u64() < Some(4_000), "{full}");
    let used = full["budget_used_bytes"].as_u64().expect("a number");
    let limit = full["budget_limit_bytes"].as_u64().expect("a number");
    assert!(
        used <= limit + limit / 4,
        "{used} bytes wait, {limit} are allowed"
    );
    stand.fault("timestream", json!([])).await;
    rows(&stand, 4_000).await;
    balanced(&worker, 4_000).await;
    assert_eq!(epochs(&worker.state().await), epochs_before);
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    stand.end().await;
}

/// Readings that Timestream does not take, the last of them because there is nothing in it. At `ts`
/// the device has said something already.
fn poison(ts: i64) -> [(String, String); 6] {
    let device = |body: Value| ("d".to_owned(), body.to_string());
    let wide: serde_json::Map<String, Value> = (0..24)
        .map(|n| (format!("{}{n:02}", "w".repeat(100)), json!(n)))
        .chain([
            ("device_id".to_owned(), json!("d")),
            ("ts".to_owned(), json!(ts + 1)),
        ])
        .collect();
    [
        // Another value for a key that is taken: a 419.
        device(json!({ "device_id": "d", "ts": ts, "value": 2 })),
        // A name that is too long, a text that is too long: never sent.
        device(json!({ "device_id": "d", "ts": ts + 2, "n".repeat(257): 1 })),
        device(json!({ "device_id": "d", "ts": ts + 3, "text": "x".repeat(2_049) })),
        // Half an hour ahead: a 419.
        device(json!({ "device_id": "d", "ts": ts + 1_800_000, "value": 1 })),
        // Larger as a whole than a record may be by the server's count, which costs the request it
        // is in; bisecting finds it.
        device(Value::Object(wide)),
        // No measures at all is no mistake of anybody's: a rule skips it, counted.
        device(json!({ "device_id": "d", "ts": ts + 4 })),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_timestream_refuses_costs_one_letter_each_and_no_neighbour() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let ts = now_ms();
    // Sent alone first: what comes later meets it in the table, not in the same request.
    stand.put([reading("d", ts, 1.0)]).await;
    rows(&stand, 1).await;
    let mut records = readings(3, 60, ts + 1_000);
    let good = (
        "d".to_owned(),
        json!({ "device_id": "d", "ts": ts, "other": 3 }).to_string(),
    );
    for (index, record) in poison(ts).into_iter().enumerate() {
        records.insert(index * 10 + 5, record);
    }
    records.push(good);
    stand.put(records).await;
    rows(&stand, 62).await;
    let letters = eventually("five letters", || async {
        let letters = stand.letters().await;
        (letters.len() == 5).then_some(letters)
    })
    .await;
    let reasons: Vec<&str> = letters
        .iter()
        .filter_map(|l| l["reason"].as_str())
        .collect();
    for words in [
        "already exists",
        "257",
        "2049 bytes",
        "outside the time range",
        "a record takes",
    ] {
        let found = reasons
            .iter()
            .filter(|reason| reason.contains(words))
            .count();
        assert_eq!(found, 1, "{words:?} in {reasons:#?}");
    }
    assert!(
        letters.iter().all(|l| l["stage"] == "timestream"),
        "{letters:#?}"
    );
    let stored = stand
        .sql(&format!(
            "select value from {} where time_ms = {ts} and value is not null",
            stand.text("table")
        ))
        .await;
    assert_eq!(stored[0]["value"], 1.0);
    let book = eventually("the books are closed", || async {
        let state = stand.beliefs().await;
        let book = state["workers"][0]["readings"]["sinks"]["timestream"]["book"].clone();
        (book["read"] == 68 && book["in_flight"] == 0).then_some(book)
    })
    .await;
    assert_eq!(book["dead_lettered"], 5, "{book}");
    assert_eq!(book["acknowledged"], 62, "{book}");
    assert_eq!(book["skipped"], json!({ "no_measures": 1 }), "{book}");
    stand.end().await;
}
