//! What a process says it is billed for is what AWS would bill it for: its own counters beside the
//! meters of the embedded servers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::http;
use crate::support::{Stand, eventually, now_ms, readings};

type Units = BTreeMap<String, f64>;

/// `tidewire_billed_units_total` of the stand's own processes, by service and unit.
async fn counted(stand: &Stand) -> Units {
    let url = stand.card["metrics"][0].as_str().expect("an address");
    let (status, text) = http("GET", url, "/metrics", "").await;
    assert_eq!(status, 200);
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("tidewire_billed_units_total{service=\"")?;
        let (service, rest) = rest.split_once("\",unit=\"")?;
        let (unit, units) = rest.split_once("\"} ")?;
        Some((format!("{service}: {unit}"), units.parse().ok()?))
    });
    lines.collect()
}

/// What the embedded servers count of those.
async fn metered(stand: &Stand) -> Units {
    let (status, text) = http("GET", stand.text("page"), "/_local/meter", "").await;
    assert_eq!(status, 200);
    let told: Value = serde_json::from_str(&text).expect("the meter is JSON");
    let units = told["units"].as_array().into_iter().flatten();
    let units = units.map(|unit| {
        let text = |key: &str| unit[key].as_str().expect("a text").to_owned();
        let name = format!("{}: {}", text("service"), text("unit"));
        (name, unit["count"].as_f64().expect("a number"))
    });
    units.collect()
}

/// Both, at a moment when neither moves.
async fn both(stand: &Stand) -> Option<(Units, Units)> {
    let (meter, own) = (metered(stand).await, counted(stand).await);
    let still = metered(stand).await;
    let moved = own.keys().any(|name| still.get(name) != meter.get(name));
    (!moved).then_some((own, meter))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn billed_units_are_what_the_servers_count() {
    let stand = Stand::start(&["--shards", "2", "--workers", "2"]).await;
    let names = counted(&stand).await;
    assert_eq!(
        names.len(),
        6,
        "every series is there from the start: {names:?}"
    );
    let mut viewer = stand.viewer(&["*"]).await;
    stand.put(readings(40, 2_000, now_ms())).await;
    eventually("2,000 rows", || async {
        (stand.rows().await == 2_000).then_some(())
    })
    .await;
    viewer
        .readings_until(|r| r["measures"]["value"] == 1_999.0)
        .await;
    // What the viewer says and is answered, a message each, is the gateway's.
    viewer.say(&json!({ "action": "ping" })).await;
    viewer.frame_of_type("pong").await;

    let (own, meter) = eventually("both counts agree", || async {
        let (own, meter) = both(&stand).await?;
        let of = |units: &Units, name: &str| units.get(name).copied().unwrap_or(0.0);
        let differ = |name: &&String| {
            let (own, meter) = (of(&own, name), of(&meter, name));
            // Half a unit of a read is counted with the next half.
            name.as_str() != "apigateway: message" && own != meter.floor()
        };
        let agree = own.keys().find(differ).is_none();
        agree.then_some((own, meter))
    })
    .await;
    for name in [
        "timestream: write unit",
        "dynamodb: write request unit",
        "sqs: request",
    ] {
        assert!(own[name] > 2.0, "{name} was not tried: {own:?}");
    }
    assert!(own["dynamodb: read request unit"] > 2.0, "{own:?}");
    let messages = "apigateway: message";
    let posts = meter[messages] - own[messages];
    // It has subscribed and pinged; each was answered.
    assert_eq!(posts, 4.0, "{own:?} {meter:?}");
    stand.end().await;
}
