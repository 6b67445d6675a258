//! `tidewire leases`: an operator at work, beside workers and on tables at rest.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::fleet::{CALM, SHORT, Tap, Worker, dynamodb, each_reads, firsts, lease_rows, text};
use crate::run::{Ended, run};
use crate::support::{Stand, eventually, now_ms, readings};

const ZERO: &str = "shardId-000000000000";
const ONE: &str = "shardId-000000000001";

async fn leases(stand: &Stand, args: &[&str]) -> Ended {
    let mut all = vec!["--config", stand.text("config"), "leases"];
    all.extend_from_slice(args);
    run(&all, &[], "").await
}

/// What `leases list --json` says of each lease.
async fn listed(stand: &Stand, args: &[&str]) -> Value {
    let mut all = vec!["list", "--json"];
    all.extend_from_slice(args);
    let ended = leases(stand, &all).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.out).expect("one JSON document")
}

fn of<'a>(listed: &'a Value, shard: &str) -> &'a Value {
    let leases = listed["leases"].as_array().expect("leases");
    let found = leases.iter().find(|lease| lease["shard"] == shard);
    found.unwrap_or_else(|| panic!("no {shard} in {listed}"))
}

/// What it did, on standard output; it must have ended well.
fn done(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    &ended.out
}

/// A worker that has read and checkpointed 80 readings of two shards.
async fn with_a_worker(env: &[(&str, &str)]) -> (Stand, Tap, Worker) {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let worker = Worker::start(&stand, &tap, env).await;
    each_reads(&[&worker], 2).await;
    stand.put(readings(8, 80, now_ms())).await;
    tap.exactly_once(&stand, 80).await;
    eventually("both are checkpointed", || async {
        let rows = lease_rows(&stand).await;
        let begun = |row| text(row, "checkpoint") != Some("TRIM_HORIZON".to_owned());
        rows.values().all(begun).then_some(())
    })
    .await;
    (stand, tap, worker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_shown_and_nothing_happens_that_nobody_agreed_to() {
    let (stand, _tap, worker) = with_a_worker(CALM).await;
    let list = listed(&stand, &["--lag", "--watch", "5"]).await;
    let zero = of(&list, ZERO);
    assert_eq!(zero["owner"], worker.id.as_str(), "{zero}");
    assert_eq!(
        (&zero["state"], &zero["tidewire"]),
        (&"owned".into(), &true.into())
    );
    assert!(
        zero["heartbeat_age_s"].as_f64().expect("it beats") < 5.0,
        "{zero}"
    );
    assert_eq!(zero["lag_s"], 0.0, "{zero}");
    let once = listed(&stand, &["0"]).await;
    assert_eq!(of(&once, ZERO)["heartbeat_age_s"], Value::Null);
    let shown = leases(&stand, &["list"]).await;
    assert!(done(&shown).starts_with("SHARD"), "{shown:?}");
    assert!(done(&shown).contains(&worker.id), "{shown:?}");

    let before = lease_rows(&stand).await[ZERO]["checkpoint"].clone();
    let reset = ["reset", "0", "--to", "TRIM_HORIZON"];
    let unasked = leases(&stand, &reset).await;
    unasked.expect(64, &["nothing was changed", "--yes"]);
    let dry = leases(&stand, &[&reset[..], &["--dry-run"]].concat()).await;
    assert!(done(&dry).contains("would be set from"), "{dry:?}");
    let wrong = leases(&stand, &["reset", "0", "--to", "5", "--yes"]).await;
    wrong.expect(1, &["Kinesis takes no such position"]);
    let nobody = leases(&stand, &["hand-over", "0", "--to", "nobody", "--yes"]).await;
    let why = "no heartbeat of the receiver `nobody`";
    assert!(nobody.out.contains(why), "{nobody:?}");
    nobody.expect(1, &["1 of 1 not changed"]);
    let nothing = leases(&stand, &["release", "--owner", "nobody", "--yes"]).await;
    nothing.expect(1, &["no lease is meant by that"]);
    assert_eq!(lease_rows(&stand).await[ZERO]["checkpoint"], before);
    assert_eq!(worker.said("lease lost"), 0);
    worker.leave().await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_reset_and_handed_over_beside_running_workers() {
    // Scans so far apart that what the operator moves is seen there before balancing moves it back.
    let seldom = &[("TIDEWIRE_LEASE__SCAN_EVERY_MS", "2000")];
    let (stand, tap, first) = with_a_worker(seldom).await;
    // Read again from the start: each of its readings is delivered once more.
    let reset = ["reset", "0", "--to", "TRIM_HORIZON", "--yes"];
    let ended = leases(&stand, &reset).await;
    assert!(
        done(&ended).contains("to TRIM_HORIZON, taken from"),
        "{ended:?}"
    );
    let all = eventually("the shard is read again", || async {
        let all = tap.delivered(&stand).await;
        let once = firsts(&all).iter().filter(|d| d.shard == ZERO).count();
        (all.len() >= 80 + once).then_some(all)
    })
    .await;
    let twice = all.iter().filter(|d| d.shard == ZERO).count();
    assert_eq!(firsts(&all).len(), 80);
    assert_eq!(all.len(), 80 + twice / 2, "the other shard repeats nothing");
    assert_eq!(first.said("lease lost"), 1);

    // One each; then both with one worker, as the operator wants it for a while.
    let second = Worker::start(&stand, &tap, seldom).await;
    each_reads(&[&first, &second], 1).await;
    let list = listed(&stand, &[]).await;
    let moved = match of(&list, ZERO)["owner"] == first.id.as_str() {
        true => ZERO,
        false => ONE,
    };
    let ended = leases(&stand, &["hand-over", moved, "--to", &second.id, "--yes"]).await;
    let told = format!("{moved}: handed over to `{}`", second.id);
    assert!(done(&ended).contains(&told), "{ended:?}");
    assert_eq!(first.said("lease lost"), 1, "nothing was torn away");
    let ended = leases(&stand, &["release", "--all", "--yes"]).await;
    assert!(done(&ended).contains("released from"), "{ended:?}");
    for leaver in [first, second] {
        leaver.leave().await;
    }
    stand.end().await;
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

async fn put_row(stand: &Stand, row: impl IntoIterator<Item = (String, AttributeValue)>) {
    let row = row.into_iter().collect();
    let table = stand.text("lease_table");
    let put = dynamodb(stand).put_item().table_name(table);
    let put = put.set_item(Some(row)).send().await;
    put.expect("a row is put");
}

async fn delete_row(stand: &Stand, key: &str) {
    let table = stand.text("lease_table");
    let deleting = dynamodb(stand).delete_item().table_name(table);
    let deleted = deleting.key("leaseKey", s(key)).send().await;
    deleted.expect("a row is deleted");
}

fn named<const N: usize>(row: [(&str, &str); N]) -> [(String, AttributeValue); N] {
    row.map(|(name, value)| (name.to_owned(), s(value)))
}

/// As a fleet of KCL 3.5 that was killed in the middle of a hand-over leaves it.
async fn as_kcl_3_leaves_it(stand: &Stand) {
    let mut row = lease_rows(stand).await[ZERO].clone();
    row.retain(|name, _| !name.starts_with("tw_"));
    row.extend(named([
        ("leaseOwner", "java-2"),
        ("checkpointOwner", "java-1"),
        ("entityType", "LEASE"),
    ]));
    put_row(stand, row).await;
    let leader = named([
        ("leaseKey", "Leader"),
        ("entityType", "LEADER"),
        ("ownerName", "java-1"),
        ("recordVersionNumber", "v1"),
    ]);
    put_row(stand, leader).await;
    let worker = named([
        ("leaseKey", "java-1"),
        ("entityType", "WORKER_METRIC_STATS"),
    ]);
    put_row(stand, worker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_kcl_3_left_is_adopted_and_one_of_ours_made_ready_to_go_back() {
    let (stand, tap, worker) = with_a_worker(SHORT).await;
    worker.leave().await;
    let checkpoint = text(&lease_rows(&stand).await[ZERO], "checkpoint");
    as_kcl_3_leaves_it(&stand).await;
    let list = listed(&stand, &[]).await;
    assert_eq!(of(&list, ZERO)["handing_over_to"], "java-2");
    assert_eq!(
        list["other_rows"].as_array().map(Vec::len),
        Some(2),
        "{list}"
    );
    let mut refused = stand.worker(SHORT);
    assert_eq!(refused.exit_code().await, Some(78));

    let ended = leases(&stand, &["adopt", "--yes"]).await;
    for told in [
        "row `java-1`: WORKER_METRIC_STATS, ignored",
        "row `Leader`: deleted",
        "released from `java-1`, which was to hand it over to `java-2`",
    ] {
        assert!(done(&ended).contains(told), "{ended:?}");
    }
    let rows = lease_rows(&stand).await;
    assert!(!rows.contains_key("Leader") && rows.contains_key("java-1"));
    assert_eq!(text(&rows[ZERO], "checkpointOwner"), None);
    assert_eq!(text(&rows[ZERO], "checkpoint"), checkpoint);

    // A worker goes on from there, and while it lives nobody makes the table another's.
    let mut worker = Worker::start(&stand, &tap, SHORT).await;
    each_reads(&[&worker], 2).await;
    let back = ["ready-for-java", "--yes"];
    let ended = leases(&stand, &back).await;
    ended.expect(
        1,
        &["was renewed while watching", &worker.id, "stop the fleet"],
    );
    worker.process.kill_9();
    let ended = leases(&stand, &back).await;
    assert!(done(&ended).contains("released from"), "{ended:?}");
    for row in lease_rows(&stand).await.values() {
        let owners = ["leaseOwner", "checkpointOwner"].map(|name| text(row, name));
        assert_eq!(owners, [None, None]);
    }
    tap.exactly_once(&stand, 80).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_lease_and_a_lost_hash_range_are_repaired() {
    let (stand, _tap, worker) = with_a_worker(SHORT).await;
    worker.leave().await;
    delete_row(&stand, ONE).await;
    let mut row = lease_rows(&stand).await[ZERO].clone();
    let last = row.remove("endingHashKey");
    put_row(&stand, row).await;
    let ended = leases(&stand, &["repair", "--yes"]).await;
    for told in [
        "no lease covers them".to_owned(),
        format!("{ONE}: created"),
        format!("{ZERO}: given the hash range"),
    ] {
        assert!(done(&ended).contains(&told), "{ended:?}");
    }
    assert_eq!(
        lease_rows(&stand).await[ZERO].get("endingHashKey"),
        last.as_ref()
    );
    let again = leases(&stand, &["repair"]).await;
    let healthy = "every lease is as the stream has it";
    assert!(done(&again).contains(healthy), "{again:?}");
    stand.end().await;
}
