//! `tidewire top`: a fleet seen from outside, by the table, by its workers, or both.

use serde_json::Value;

use crate::fleet::{SHORT, Tap, Worker, each_reads};
use crate::run::run;
use crate::support::{Stand, eventually, now_ms, readings};

/// One look as JSON.
async fn look(args: &[&str]) -> Value {
    let mut all = vec!["top", "--once", "--json", "--every", "0.5"];
    all.extend_from_slice(args);
    let ended = run(&all, &[], "").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out.lines().count(), 1, "{ended:?}");
    serde_json::from_str(&ended.out).expect("one line of JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_is_seen_from_outside_also_where_one_of_it_was_killed() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let mut worker = Worker::start(&stand, &tap, SHORT).await;
    each_reads(&[&worker], 2).await;
    stand.put(readings(8, 40, now_ms())).await;
    tap.exactly_once(&stand, 40).await;

    let (config, url) = (stand.text("config"), format!("http://{}", worker.address()));
    // The config names the stand's own processes: its broadcaster is seen without a word.
    let both = look(&["--config", config, "--worker", &url]).await;
    assert_eq!(
        (&both["leases"]["held"], &both["leases"]["unowned"]),
        (&2.into(), &0.into()),
        "{both}"
    );
    assert_eq!(both["workers"][0]["worker"], worker.id.as_str(), "{both}");
    assert_eq!(both["workers"][0]["state"], "well", "{both}");
    assert!(
        both["shards"][0]["rates"]["records_per_s"].is_f64(),
        "{both}"
    );
    assert_eq!(
        both["broadcasters"].as_array().map(Vec::len),
        Some(1),
        "{both}"
    );

    // Without a config nothing of AWS is asked.
    let alone = look(&["--worker", &url]).await;
    assert_eq!(alone["table"], Value::Null, "{alone}");
    assert_eq!(alone["leases"]["held"], 2, "{alone}");

    worker.process.kill_9();
    let (config, url) = (config.to_owned(), url.as_str());
    let gone = eventually("its leases are seen to be given up by nobody", || async {
        let args = [
            "--config", &config, "top", "--once", "--json", "--every", "4", "--worker", url,
        ];
        let ended = run(
            &args,
            &[
                ("TIDEWIRE_LEASE__DURATION_MS", "3000"),
                ("TIDEWIRE_LEASE__RENEW_EVERY_MS", "500"),
            ],
            "",
        )
        .await;
        let seen: Value = serde_json::from_str(&ended.out).ok()?;
        (seen["leases"]["expired"] == 2).then_some(seen)
    })
    .await;
    assert_eq!(gone["silent"][0]["url"], url, "{gone}");
    assert_eq!(gone["workers"][0]["lives"], false, "{gone}");
    assert_eq!(gone["shards"][0]["state"], "expired", "{gone}");

    let text = run(
        &["--config", &config, "top", "--once", "--worker", url],
        &[],
        "",
    )
    .await;
    assert!(text.out.contains("does not answer"), "{text:?}");
    assert!(!text.out.contains('\x1b'), "{text:?}");
    stand.end().await;
}

#[tokio::test]
async fn without_a_fleet_or_a_place_to_draw_it_says_what_to_give() {
    let nowhere = [("XDG_STATE_HOME", "/nonexistent")];
    run(&["top", "--once"], &nowhere, "")
        .await
        .expect(64, &["--config FILE", "--worker URL", "tidewire local"]);
    run(&["top", "--local", "--once"], &nowhere, "")
        .await
        .expect(64, &["tidewire local"]);
    run(&["top", "--worker", "http://127.0.0.1:1"], &nowhere, "")
        .await
        .expect(64, &["--once", "--json"]);
    run(
        &["top", "--once", "--worker", "127.0.0.1:9090"],
        &nowhere,
        "",
    )
    .await
    .expect(64, &["http://127.0.0.1:9090"]);
}
