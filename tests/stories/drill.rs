//! Faults that the stand brings about by itself, by flag or from the page: whatever they are,
//! nothing is lost over them.

use serde_json::{Value, json};

use crate::fleet::{all_landed, open_shards, some_rows, under_load};
use crate::http::{http, http_with};
use crate::support::{Stand, eventually, now_ms, readings};

const JSON: &str = "content-type: application/json\r\n";

async fn asked(stand: &Stand, change: Value) -> (u16, String) {
    let page = stand.text("page");
    http_with("POST", page, "/_local/faults", JSON, &change.to_string()).await
}

pub(crate) async fn begin(stand: &Stand, fault: &str) {
    let (status, body) = asked(stand, json!({ "begin": fault })).await;
    assert_eq!(status, 200, "{fault}: {body}");
}

async fn faults(stand: &Stand) -> Value {
    let (status, body) = http("GET", stand.text("page"), "/_local/faults", "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("faults are JSON")
}

/// The faults that are on, as they are written.
async fn on(stand: &Stand) -> Vec<String> {
    let state = faults(stand).await;
    let parts = state["parts"].as_array().expect("parts").iter();
    let kinds = parts.flat_map(|part| {
        let name = part["part"].as_str().expect("a name").to_owned();
        let on = part["on"].as_array().expect("kinds").iter();
        on.map(move |kind| format!("{name}:{}", kind.as_str().expect("a kind")))
    });
    kinds.collect()
}

/// What was done, newest first.
async fn told(stand: &Stand) -> Vec<String> {
    let state = faults(stand).await;
    let told = state["told"].as_array().expect("deeds").iter();
    told.map(|deed| deed["words"].as_str().expect("words").to_owned())
        .collect()
}

/// The shards that each of the stand's own workers holds.
async fn held(stand: &Stand) -> Vec<u64> {
    let state = stand.beliefs().await;
    let workers = state["workers"].as_array().expect("workers").iter();
    workers
        .map(|worker| worker["leases"]["held"].as_u64().expect("a count"))
        .collect()
}

pub(crate) async fn until_held(stand: &Stand, wanted: &[u64]) {
    eventually("the shards are shared", || async {
        let mut held = held(stand).await;
        held.sort_unstable();
        (held == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_fails_in_every_way_on_purpose_and_nothing_is_lost() {
    let stand = Stand::start(&["--shards", "2"]).await;
    let mut viewer = stand.viewer(&["*"]).await;
    let first = now_ms() - 600_000;
    let mut put = 0;
    for kind in ["throttle", "outage", "slow=200ms", "lost-answer"] {
        for (part, operation) in [
            ("timestream", "WriteRecords"),
            ("sqs", "ReceiveMessage"),
            ("dynamodb", "UpdateItem"),
            ("kinesis", "GetRecords"),
            ("apigateway", "PostToConnection"),
        ] {
            let server = if part == "apigateway" {
                "management"
            } else {
                part
            };
            stand.put(readings(4, 20, first + put)).await;
            begin(&stand, &format!("{part}:{kind}")).await;
            let kind = kind.split('=').next().expect("a kind");
            assert_eq!(on(&stand).await, [format!("{part}:{kind}")]);
            if part != "kinesis" {
                stand.put(readings(4, 20, first + put + 20)).await;
            }
            let before = stand.calls(server, operation).await;
            eventually("the fault is met", || async {
                (stand.calls(server, operation).await > before).then_some(())
            })
            .await;
            let (status, body) = asked(&stand, json!({ "end": format!("{part}:{kind}") })).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(on(&stand).await, Vec::<String>::new());
            if part == "kinesis" {
                stand.put(readings(4, 20, first + put + 20)).await;
            }
            put += 40;
        }
    }
    eventually("every row", || async {
        (stand.rows().await == put.unsigned_abs()).then_some(())
    })
    .await;
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    let last = json!(((first + put - 1) * 1_000_000).to_string());
    viewer.readings_until(|r| r["time_ns"] == last).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_flags_ask_for_happens_in_time_and_nothing_is_lost() {
    let flags = [
        "timestream:outage@1s+2s",
        "sqs:throttle@1s+2s",
        "shard:split@1s",
        "worker:kill@3s",
        "shard:merge@4s",
        "worker:start@4s",
    ];
    let mut args = vec!["--shards", "4", "--workers", "2"];
    args.extend(flags.iter().flat_map(|fault| ["--fault", *fault]));
    let stand = Stand::start(&args).await;
    let put = under_load(
        &stand,
        Box::pin(async {
            eventually("both are on", || async {
                (on(&stand).await == ["sqs:throttle", "timestream:outage"]).then_some(())
            })
            .await;
            eventually("all of it has happened", || async {
                let state = faults(&stand).await;
                let quiet = state["coming"] == json!([]) && on(&stand).await.is_empty();
                quiet.then_some(())
            })
            .await;
            // Four, one of them split, two merged; those of the dead worker expire first.
            until_held(&stand, &[2, 2]).await;
            some_rows(&stand, 100).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    assert_eq!(open_shards(&stand).await.len(), 4);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_die_and_start_and_shards_split_and_merge_at_a_word() {
    let stand = Stand::start(&["--shards", "2", "--workers", "1"]).await;
    let put = under_load(
        &stand,
        Box::pin(async {
            until_held(&stand, &[2]).await;
            some_rows(&stand, 50).await;
            begin(&stand, "shard:split=shardId-000000000001").await;
            until_held(&stand, &[3]).await;
            begin(&stand, "worker:kill").await;
            assert!(told(&stand).await[0].ends_with("was killed"));
            assert_eq!(held(&stand).await, Vec::<u64>::new());
            let (status, why) = asked(&stand, json!({ "begin": "worker:kill" })).await;
            assert_eq!(status, 409, "{why}");
            assert!(why.contains("start one first"), "{why}");
            begin(&stand, "worker:start").await;
            until_held(&stand, &[3]).await;
            some_rows(&stand, 50).await;
            begin(&stand, "shard:merge").await;
            until_held(&stand, &[2]).await;
            some_rows(&stand, 50).await;
        }),
    )
    .await;
    all_landed(&stand, put).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_whose_sinks_are_out_drains_all_the_same_when_it_ends() {
    let stand = Stand::start(&["--shards", "2"]).await;
    until_held(&stand, &[2]).await;
    begin(&stand, "timestream:outage").await;
    begin(&stand, "dynamodb:outage").await;
    stand.put(readings(4, 40, now_ms())).await;
    let calls = stand.calls("timestream", "WriteRecords").await;
    eventually("the outage is met", || async {
        (stand.calls("timestream", "WriteRecords").await > calls).then_some(())
    })
    .await;
    let asked = tokio::time::Instant::now();
    stand.end().await;
    let took = asked.elapsed();
    assert!(took.as_secs() < 5, "it waited for its sinks: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_taken_from_the_stands_own_page_only_and_slips_are_told() {
    let stand = Stand::start(&["--workers", "0"]).await;
    let page = stand.text("page");
    let change = json!({ "begin": "sqs:outage" }).to_string();
    for (lines, status) in [
        ("content-type: text/plain\r\n", 415),
        ("", 415),
        (
            "content-type: application/json\r\norigin: http://evil.example\r\n",
            403,
        ),
        (
            "content-type: application/json\r\nsec-fetch-site: cross-site\r\n",
            403,
        ),
    ] {
        let refused = http_with("POST", page, "/_local/faults", lines, &change).await;
        assert_eq!(refused.0, status, "{lines}: {}", refused.1);
    }
    for (change, words) in [
        (json!({ "begin": "sqs:outtage" }), "not \"outtage\""),
        (json!({ "end": "worker:kill" }), "nothing to end"),
        (json!({ "start": "sqs:outage" }), "a change is"),
    ] {
        let (status, why) = asked(&stand, change).await;
        assert_eq!(status, 400, "{why}");
        assert!(why.contains(words), "{why}");
    }
    assert_eq!(on(&stand).await, Vec::<String>::new());
    begin(&stand, "sqs:outage+300s").await;
    begin(&stand, "kinesis:slow@300s").await;
    assert_eq!(on(&stand).await, ["sqs:outage"]);
    let (status, body) = asked(&stand, json!({ "end": "all" })).await;
    assert_eq!(status, 200, "{body}");
    let state = faults(&stand).await;
    assert_eq!((&state["coming"], on(&stand).await), (&json!([]), vec![]));
    stand.end().await;
}
