//! From put to row and to frame.

use serde_json::json;

use crate::support::{Stand, eventually, now_ms, reading, readings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_become_rows_and_frames() {
    let stand = Stand::start(&["--shards", "4"]).await;
    let mut all = stand.viewer(&["*"]).await;
    let mut one = stand.viewer(&["device-03"]).await;
    stand.put(readings(10, 500, now_ms())).await;
    eventually("500 rows", || async {
        (stand.rows().await == 500).then_some(())
    })
    .await;
    assert_eq!(stand.letters().await.len(), 0);

    let seen = all
        .readings_until(|r| r["measures"]["value"] == 499.0)
        .await;
    assert!(!seen.is_empty());
    let mine = one
        .readings_until(|r| r["measures"]["value"] == 493.0)
        .await;
    assert!(
        mine.iter().all(|r| r["device_id"] == "device-03"),
        "only what it asked for"
    );

    let log = stand.process.log.clone();
    stand.end().await;
    assert_eq!(log.complaints(&[]), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_costs_one_letter_each_and_nothing_else() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let ts = now_ms();
    let key = || "device-1".to_owned();
    let records = vec![
        reading("device-1", ts, 1.0),
        (key(), "not json at all".to_owned()),
        (key(), r#"{"ts": 5, "value": 1}"#.to_owned()),
        reading("device-1", ts + 1, 2.0),
        // The same instant with other measures: another row. With the same: one more letter.
        (
            key(),
            json!({ "device_id": "device-1", "ts": ts, "other": 7 }).to_string(),
        ),
        reading("device-1", ts, 99.0),
        reading("device-1", ts + 2, 3.0),
    ];
    stand.put(records).await;
    eventually("4 rows and 3 letters", || async {
        let rows = stand.rows().await;
        let letters = stand.letters().await.len();
        (rows == 4 && letters == 3).then_some(())
    })
    .await;
    for letter in stand.letters().await {
        assert!(
            letter["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{letter}"
        );
        assert!(letter["data_base64"].is_string(), "{letter}");
    }
    let first = format!(
        "select value from {} where time_ms = {ts} and value is not null",
        stand.text("table")
    );
    assert_eq!(
        stand.sql(&first).await[0]["value"],
        1.0,
        "the first stands, the second is refused"
    );
    stand.end().await;
}
