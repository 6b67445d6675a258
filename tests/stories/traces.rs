//! Traces: one follows a reading from its arrival to its row and to a screen, and what becomes of
//! spans is nothing to readings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::collector::{Collector, Manner, Seen};
use crate::http::http;
use crate::support::{Stand, eventually, now_ms, readings};

/// Steps by name, each name with all that bear it.
fn by_name(trace: &[Seen]) -> BTreeMap<&str, Vec<&Seen>> {
    let mut names: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for span in trace {
        names.entry(&span.name).or_default().push(span);
    }
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_follows_a_reading_from_its_arrival_to_a_post() {
    let collector = Collector::start(Manner::Takes).await;
    let stand = Stand::start(&["--shards", "2", "--traces", &collector.url]).await;
    let mut viewer = stand.viewer(&["*"]).await;
    let body = json!({ "device_id": "pump-of-secrets", "ts": now_ms(), "level": 271_828.125 });
    stand
        .put([("pump-of-secrets".to_owned(), body.to_string())])
        .await;
    viewer
        .readings_until(|r| r["device_id"] == "pump-of-secrets")
        .await;
    let ends = ["reading", "post", "write"];
    let trace = eventually("a trace from end to end", || async {
        let traces = collector.traces();
        let whole = |trace: &&Vec<Seen>| {
            let names = by_name(trace);
            ends.iter().all(|name| names.contains_key(name))
        };
        traces.values().find(whole).cloned()
    })
    .await;

    let names = by_name(&trace);
    let only = |name: &str| match names.get(name).map(Vec::as_slice) {
        Some([one]) => *one,
        other => panic!("{name}: {other:#?}"),
    };
    let root = only("reading");
    assert_eq!(root.parent, "", "{root:?}");
    assert_eq!(root.attributes["tidewire.outcome"], "done");
    for (name, parent, service) in [
        ("read", root, "tidewire-worker"),
        ("decode", root, "tidewire-worker"),
        ("write", root, "tidewire-worker"),
        ("send", root, "tidewire-worker"),
        ("checkpoint", root, "tidewire-worker"),
        ("receive", only("send"), "tidewire-broadcaster"),
        ("post", only("receive"), "tidewire-broadcaster"),
    ] {
        let span = only(name);
        assert_eq!(
            (&span.parent, &*span.service),
            (&parent.id, service),
            "{name}"
        );
        assert!(span.start <= span.end && !span.failed, "{span:?}");
    }
    let waits: BTreeSet<&str> = names["wait"]
        .iter()
        .map(|wait| &*wait.attributes["tidewire.sink"])
        .collect();
    assert_eq!(waits, BTreeSet::from(["queue", "screen", "timestream"]));
    assert_eq!(only("write").attributes["tidewire.attempts"], "1");
    assert_eq!(only("post").attributes["tidewire.outcome"], "accepted");
    let ids: BTreeSet<&str> = trace.iter().map(|span| &*span.id).collect();
    assert_eq!(ids.len(), trace.len(), "no two steps are one");

    // What a trace must not tell: whose reading it is, what it says, and who may look.
    let connections = stand.beliefs().await;
    let text = collector.look(|came| String::from_utf8_lossy(&came.bytes).into_owned());
    for secret in ["pump-of-secrets", "271828", stand.text("token")] {
        assert!(!text.contains(secret), "{secret} in {connections}");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opentelemetrys_own_variables_are_enough_and_its_headers_are_secrets() {
    let collector = Collector::start(Manner::Takes).await;
    let stand = Stand::start(&["--workers", "0", "--shards", "1"]).await;
    let mut viewer = stand.viewer(&["*"]).await;
    let worker = stand.worker(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=open%20sesame"),
        ("OTEL_SERVICE_NAME", "readings-to-rows"),
        ("TIDEWIRE_LOG__LEVEL", "debug"),
    ]);
    stand.put(readings(5, 50, now_ms())).await;
    // A broadcaster that follows nothing takes what is followed as anything else.
    viewer
        .readings_until(|r| r["measures"]["value"] == 49.0)
        .await;
    let names = eventually("50 ways of readings", || async {
        let traces = collector.traces();
        let has_root = |trace: &&Vec<Seen>| trace.iter().any(|span| span.parent.is_empty());
        let roots = traces.values().filter(has_root).count();
        let services = traces.values().flatten().map(|span| span.service.clone());
        (roots == 50).then(|| services.collect::<BTreeSet<String>>())
    })
    .await;
    assert_eq!(names, BTreeSet::from(["readings-to-rows".to_owned()]));
    collector.look(|came| {
        assert!(came.headers.iter().all(|all| all["x-key"] == "open sesame"));
    });
    let log = worker.log.lines().join("\n");
    assert!(log.contains("traces are exported"), "{log}");
    assert!(!log.contains("sesame"), "{log}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_costs_no_reading_and_no_end() {
    let collector = Collector::start(Manner::Hangs).await;
    let stand = Stand::start(&["--shards", "4", "--traces", &collector.url]).await;
    let mut viewer = stand.viewer(&["*"]).await;
    // More spans than may wait.
    stand.put(readings(20, 3_000, now_ms())).await;
    eventually("3000 rows", || async {
        (stand.rows().await == 3_000).then_some(())
    })
    .await;
    viewer
        .readings_until(|r| r["measures"]["value"] == 2_999.0)
        .await;
    assert_eq!(stand.letters().await.len(), 0);
    let metrics = stand.card["metrics"][0].as_str().expect("it has metrics");
    let dropped = eventually("spans are dropped", || async {
        let (_, page) = http("GET", metrics, "/metrics", "").await;
        let line = r#"tidewire_trace_spans_total{result="dropped"} "#;
        let found = page.lines().find_map(|text| text.strip_prefix(line))?;
        found.parse::<u64>().ok().filter(|dropped| *dropped > 0)
    })
    .await;
    assert!(dropped < 60_000, "{dropped}");
    stand.end().await;
}
