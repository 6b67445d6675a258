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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_shown_reset_and_handed_over_beside_running_workers() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let first = Worker::start(&stand, &tap, CALM).await;
    each_reads(&[&first], 2).await;
    stand.put(readings(8, 80, now_ms())).await;
    tap.exactly_once(&stand, 80).await;
    eventually("both are checkpointed", || async {
        let rows = lease_rows(&stand).await;
        let checkpoints = rows.values().map(|row| text(row, "checkpoint"));
        checkpoints
            .into_iter()
            .all(|checkpoint| checkpoint != Some("TRIM_HORIZON".to_owned()))
            .then_some(())
    })
    .await;

    let list = listed(&stand, &["--lag", "--watch", "5"]).await;
    let zero = of(&list, ZERO);
    assert_eq!(zero["owner"], first.id.as_str(), "{zero}");
    assert_eq!(
        (&zero["state"], &zero["tidewire"]),
        (&"owned".into(), &true.into())
    );
    assert!(
        zero["heartbeat_age_s"].as_f64().expect("it beats") < 5.0,
        "{zero}"
    );
    assert_eq!(zero["lag_s"], 0.0, "{zero}");
    assert_eq!(
        of(&listed(&stand, &["0"]).await, ZERO)["heartbeat_age_s"],
        Value::Null
    );
    let shown = leases(&stand, &["list"]).await;
    assert!(done(&shown).starts_with("SHARD"), "{shown:?}");
    assert!(done(&shown).contains(&first.id), "{shown:?}");

    // Nothing happens that nobody agreed to, or that cannot be.
    let before = lease_rows(&stand).await[ZERO]["checkpoint"].clone();
    let reset = ["reset", "0", "--to", "TRIM_HORIZON"];
    leases(&stand, &reset)
        .await
        .expect(64, &["nothing was changed", "--yes"]);
    let dry = leases(&stand, &[&reset[..], &["--dry-run"]].concat()).await;
    assert!(done(&dry).contains("would be set from"), "{dry:?}");
    let wrong = ["reset", "0", "--to", "5", "--yes"];
    leases(&stand, &wrong)
        .await
        .expect(1, &["Kinesis takes no such position"]);
    let nobody = ["hand-over", "0", "--to", "nobody", "--yes"];
    let nobody = leases(&stand, &nobody).await;
    assert!(
        nobody.out.contains("no heartbeat of the receiver `nobody`"),
        "{nobody:?}"
    );
    nobody.expect(1, &["1 of 1 not changed"]);
    assert_eq!(lease_rows(&stand).await[ZERO]["checkpoint"], before);

    // Read again from the start: each of its readings is delivered once more.
    let ended = leases(&stand, &[&reset[..], &["--yes"]].concat()).await;
    assert!(
        done(&ended).contains("to TRIM_HORIZON, taken from"),
        "{ended:?}"
    );
    let all = eventually("the shard is read again", || async {
        let all = tap.delivered(&stand).await;
        let again = firsts(&all).iter().filter(|d| d.shard == ZERO).count();
        (all.len() >= 80 + again).then_some(all)
    })
    .await;
    let again = all.iter().filter(|d| d.shard == ZERO).count();
    assert_eq!(firsts(&all).len(), 80);
    assert_eq!(all.len(), 80 + again / 2, "the other shard repeats nothing");
    assert_eq!(first.said("lease lost"), 1);

    // One each, then the one the operator wants elsewhere; the receiver's share stays fair.
    let second = Worker::start(&stand, &tap, CALM).await;
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
    let ended = leases(&stand, &["release", "--owner", "nobody", "--yes"]).await;
    ended.expect(1, &["no lease is meant by that"]);
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

async fn put_row(stand: &Stand, row: &[(&str, AttributeValue)]) {
    let mut request = dynamodb(stand)
        .put_item()
        .table_name(stand.text("lease_table"));
    for (name, value) in row {
        request = request.item(*name, value.clone());
    }
    request.send().await.expect("a row is put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_kcl_3_left_is_adopted_repaired_and_made_ready_to_go_back() {
    let stand = Stand::start(&["--workers", "0", "--shards", "2"]).await;
    let tap = Tap::new(&stand).await;
    let worker = Worker::start(&stand, &tap, SHORT).await;
    each_reads(&[&worker], 2).await;
    stand.put(readings(8, 80, now_ms())).await;
    tap.exactly_once(&stand, 80).await;
    worker.leave().await;

    // As a fleet of KCL 3.5 that was killed in the middle of a hand-over leaves it.
    let mut java = lease_rows(&stand).await[ZERO].clone();
    java.retain(|name, _| !name.starts_with("tw_"));
    let checkpoint = text(&java, "checkpoint").expect("a checkpoint");
    java.insert("leaseOwner".to_owned(), s("java-2"));
    java.insert("checkpointOwner".to_owned(), s("java-1"));
    java.insert("entityType".to_owned(), s("LEASE"));
    let java: Vec<_> = java.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
    put_row(&stand, &java).await;
    let leader = [
        ("leaseKey", s("Leader")),
        ("entityType", s("LEADER")),
        ("ownerName", s("java-1")),
        ("recordVersionNumber", s("v1")),
    ];
    put_row(&stand, &leader).await;
    let metrics = [
        ("leaseKey", s("java-1")),
        ("entityType", s("WORKER_METRIC_STATS")),
    ];
    put_row(&stand, &metrics).await;

    let list = listed(&stand, &[]).await;
    assert_eq!(of(&list, ZERO)["handing_over_to"], "java-2");
    assert_eq!(
        list["other_rows"].as_array().map(Vec::len),
        Some(2),
        "{list}"
    );
    let mut refused = stand.worker(SHORT);
    assert_eq!(refused.exit_code().await, Some(78));

    // The stand's own lease duration is watched for.
    let ended = leases(&stand, &["adopt", "--yes"]).await;
    let told = done(&ended);
    assert!(
        told.contains("row `java-1`: WORKER_METRIC_STATS, ignored"),
        "{told}"
    );
    assert!(told.contains("row `Leader`: deleted"), "{told}");
    assert!(
        told.contains("released from `java-1`, which was to hand it over to `java-2`"),
        "{told}"
    );
    let rows = lease_rows(&stand).await;
    assert!(!rows.contains_key("Leader") && rows.contains_key("java-1"));
    assert_eq!(text(&rows[ZERO], "checkpointOwner"), None);
    assert_eq!(text(&rows[ZERO], "checkpoint"), Some(checkpoint));

    // A lease that somebody deleted, and a wrong hash range.
    let deleted = dynamodb(&stand)
        .delete_item()
        .table_name(stand.text("lease_table"))
        .key("leaseKey", s(ONE));
    deleted.send().await.expect("the row is deleted");
    let mut row = rows[ZERO].clone();
    row.remove("endingHashKey");
    let row: Vec<_> = row.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
    put_row(&stand, &row).await;
    let ended = leases(&stand, &["repair", "--yes"]).await;
    let told = done(&ended);
    assert!(told.contains("no lease covers them"), "{told}");
    assert!(told.contains(&format!("{ONE}: created")), "{told}");
    assert!(
        told.contains(&format!("{ZERO}: given the hash range")),
        "{told}"
    );
    let ended = leases(&stand, &["repair"]).await;
    assert!(
        done(&ended).contains("every lease is as the stream has it"),
        "{ended:?}"
    );

    // A worker goes on from the checkpoint, and while it lives nobody makes the table another's.
    let delete = dynamodb(&stand)
        .delete_item()
        .table_name(stand.text("lease_table"))
        .key("leaseKey", s("java-1"));
    delete.send().await.expect("the row is deleted");
    let worker = Worker::start(&stand, &tap, SHORT).await;
    each_reads(&[&worker], 2).await;
    let ended = leases(&stand, &["ready-for-java", "--yes"]).await;
    ended.expect(
        1,
        &["was renewed while watching", &worker.id, "stop the fleet"],
    );
    let mut worker = worker;
    worker.process.kill_9();
    let ended = leases(&stand, &["ready-for-java", "--yes"]).await;
    assert!(done(&ended).contains("released from"), "{ended:?}");
    for row in lease_rows(&stand).await.values() {
        let owners = ["leaseOwner", "checkpointOwner"].map(|name| text(row, name));
        assert_eq!(owners, [None, None]);
    }
    stand.end().await;
}
