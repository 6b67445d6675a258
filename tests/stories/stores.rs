//! A team moves from Timestream to InfluxDB: both are written, then InfluxDB alone, without a gap
//! and without a second checkpoint.

use serde_json::Value;

use crate::influx::FakeInflux;
use crate::support::{Process, Stand, eventually, now_ms, readings};

async fn done(worker: &Process, sinks: &[&str], count: u64) -> Value {
    eventually("every reading is done in every sink", || async {
        let state = worker.state().await;
        let all = state["readings"]["sinks"].as_object()?;
        let is_done = |sink: &&str| {
            all.get(*sink)
                .is_some_and(|s| s["book"]["acknowledged"] == count)
        };
        (sinks.iter().all(is_done) && all.len() == sinks.len()).then_some(state)
    })
    .await
}

/// Takes the table out of the stand's config file, as a team does that needs it no more.
fn take_timestream_out(stand: &Stand) {
    let config = std::fs::read_to_string(stand.text("config")).expect("the card names its config");
    let without: String = config
        .lines()
        .filter(|line| {
            !line.starts_with("database = ") && !line.starts_with("table = \"readings\"")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(stand.text("config"), without).expect("the config can be written");
}

#[tokio::test]
async fn a_team_moves_from_timestream_to_influx_without_a_gap() {
    let stand = Stand::start(&["--shards", "2", "--workers", "0"]).await;
    let influx = FakeInflux::start().await;
    let both = [
        ("TIDEWIRE_INFLUX__URL", influx.url.as_str()),
        ("TIDEWIRE_INFLUX__API", "v3"),
        ("TIDEWIRE_INFLUX__DATABASE", "sensors"),
        ("TIDEWIRE_INFLUX__TOKEN", "s3cret"),
    ];
    let first = now_ms() - 600_000;
    // Timestream alone, as it was.
    stand.put(readings(8, 100, first)).await;
    let mut worker = stand.worker(&[]);
    done(&worker, &["timestream", "queue"], 100).await;
    worker.terminate();
    assert_eq!(worker.exit_code().await, Some(0));

    // Both, of which one is away at first: what the other has goes on, the checkpoint waits.
    for _ in 0..5 {
        influx.with(|database| database.answers.push_back((503, None, "away")));
    }
    stand.put(readings(8, 100, first + 100)).await;
    let mut worker = stand.worker(&both);
    let state = done(&worker, &["timestream", "influx", "queue"], 100).await;
    assert!(!state.to_string().contains("s3cret"));
    assert!(!worker.log.lines().join("\n").contains("s3cret"));
    worker.terminate();
    assert_eq!(worker.exit_code().await, Some(0));

    // InfluxDB alone.
    stand.put(readings(8, 100, first + 200)).await;
    let mut alone = both.to_vec();
    alone.push(("TIDEWIRE_TIMESTREAM__DATABASE", ""));
    alone.push(("TIDEWIRE_TIMESTREAM__TABLE", ""));
    take_timestream_out(&stand);
    let mut worker = stand.worker(&alone);
    done(&worker, &["influx", "queue"], 100).await;
    worker.terminate();
    assert_eq!(worker.exit_code().await, Some(0));

    assert_eq!(
        stand.rows().await,
        200,
        "Timestream has what came while it was written"
    );
    let seen = influx.with(|database| database.seen.clone());
    for request in &seen {
        assert_eq!(request.path, "/api/v3/write_lp");
        assert!(request.query.starts_with("db=sensors&precision="));
        assert_eq!(request.headers["authorization"], "Bearer s3cret");
    }
    assert!(seen.iter().map(|request| request.lines).sum::<usize>() >= 200);
    let mut times: Vec<i64> = influx.with(|database| {
        let places = database.fields.keys();
        places.map(|(_, time, _)| time / 1_000_000).collect()
    });
    times.sort_unstable();
    let expected: Vec<i64> = (first + 100..first + 300).collect();
    assert_eq!(
        times, expected,
        "InfluxDB has all from its first reading on"
    );
    assert!(stand.letters().await.is_empty());
    stand.end().await;
}
