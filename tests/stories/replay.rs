//! `tidewire replay`: the dead letters and ranges of the stream, into the sinks again.

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};

use crate::resharding::split;
use crate::run::{Ended, run};
use crate::support::{Process, Stand, eventually, now_ms, reading, readings};

/// What mends the poison below: its devices call the time otherwise.
const MENDED: (&str, &str) = ("TIDEWIRE_DECODE__TIME_FIELD", "at");

async fn replay(stand: &Stand, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut all = vec!["--config", stand.text("config"), "replay"];
    all.extend_from_slice(args);
    run(&all, env, "").await
}

/// A reading that lacks the field that the stand's config takes the time from.
fn poison(device: &str, at: i64) -> (String, String) {
    let body = json!({ "device_id": device, "at": at, "value": 1.5 });
    (device.to_owned(), body.to_string())
}

fn shard_id(number: usize) -> String {
    format!("shardId-{number:012}")
}

fn sqs(stand: &Stand) -> aws_sdk_sqs::Client {
    let url = stand.text("sqs");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(url)
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

async fn letters_are(stand: &Stand, count: usize) -> Vec<Value> {
    eventually("the letters", || async {
        let letters = stand.letters().await;
        (letters.len() == count).then_some(letters)
    })
    .await
}

async fn rows_are(stand: &Stand, count: u64) {
    eventually("the rows", || async {
        (stand.rows().await == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_replayed_once_it_decodes_and_what_fails_again_stays_one_letter() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let mut worker = stand.worker(&[]);
    let at = now_ms();
    stand.put((0..3).map(|n| poison("odd", at + n))).await;
    stand.put([reading("even", at, 1.0)]).await;
    rows_are(&stand, 1).await;
    // Another value for the same row: Timestream keeps the first.
    stand.put([reading("even", at, 2.0)]).await;
    letters_are(&stand, 4).await;
    worker.terminate();
    assert_eq!(worker.exit_code().await, Some(0));

    let dry = replay(
        &stand,
        &["letters", "--dry-run", "--stage", "decode"],
        &[MENDED],
    )
    .await;
    assert_eq!(dry.code, Some(0), "{dry:#?}");
    assert_eq!(
        dry.out.matches("becomes: {\"device_id\":\"odd\"").count(),
        3,
        "{dry:#?}"
    );
    assert_eq!(stand.rows().await, 1, "it writes nothing");
    letters_are(&stand, 4).await;

    // By the settings of before nothing is any better.
    let again = replay(&stand, &["letters", "--reason", "missing"], &[]).await;
    again.expect(1, &["letters that stay: 3"]);
    letters_are(&stand, 4).await;

    let mended = replay(&stand, &["letters", "--stage", "decode"], &[MENDED]).await;
    assert_eq!(mended.code, Some(0), "{mended:#?}");
    rows_are(&stand, 4).await;
    let left = letters_are(&stand, 1).await;
    assert_eq!(left[0]["stage"], "timestream");

    let conflict = replay(&stand, &["letters"], &[]).await;
    conflict.expect(1, &["letters that stay: 1"]);
    assert_eq!(letters_are(&stand, 1).await, left, "one letter, as it was");
    assert_eq!(stand.rows().await, 4);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_are_none_or_have_no_data_stay_and_are_told() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let queue = stand.text("dead_letter_queue_url");
    let bare = json!({
        "v": 1, "stage": "decode", "reason": "too large to keep", "stream": stand.text("stream"),
        "shard": shard_id(0), "seq": "7", "sub": 0, "partition_key": "d", "arrival_ms": now_ms(),
        "data_left_out_bytes": 2_000_000,
    });
    let mut of_others = bare.clone();
    of_others["stream"] = json!("another");
    let client = sqs(&stand);
    for body in &[&*bare.to_string(), &*of_others.to_string(), "hello"] {
        let sent = client
            .send_message()
            .queue_url(queue)
            .message_body(*body)
            .send();
        sent.await.expect("the embedded queue takes messages");
    }
    let peek = format!(
        "/_local/peek?queue={}&limit=10",
        queue.rsplit('/').next().expect("a name")
    );
    let ended = replay(&stand, &["letters"], &[]).await;
    ended.expect(1, &["letters that stay: 1"]);
    let told = "tidewire replay stream --shard shardId-000000000000 --from 7 --to 7";
    for words in [told, "1 of other streams", "1 no letters", "0 of 3 letters"] {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    let (_, body) = crate::http::http("GET", stand.text("sqs"), &peek, "").await;
    let peek: Value = serde_json::from_str(&body).expect("peek answers JSON");
    assert_eq!(peek["messages"].as_array().map(Vec::len), Some(3), "{peek}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_read_across_a_split_without_leases_and_twice_makes_the_same_rows() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let at = now_ms() - 1_000;
    stand.put(readings(8, 60, at)).await;
    split(&stand, &shard_id(0)).await;
    stand.put(readings(8, 60, at + 60)).await;
    stand.put([poison("odd", at)]).await;

    for _ in 0..2 {
        let ended = replay(&stand, &["stream"], &[]).await;
        ended.expect(1, &["1 could not be written, named above"]);
        assert!(
            ended.err.contains("121 records, 3 of 3 shards"),
            "{ended:#?}"
        );
        assert_eq!(stand.rows().await, 120);
    }
    assert_eq!(
        stand.letters().await,
        Vec::<Value>::new(),
        "no letter was asked for"
    );
    assert_eq!(
        stand.calls("dynamodb", "UpdateItem").await,
        0,
        "no lease was touched"
    );
    assert_eq!(
        stand.calls("sqs", "SendMessageBatch").await,
        0,
        "nothing went live"
    );

    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_one_record_one_sink_can_be_chosen_and_letters_filed() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let at = now_ms() - 1_000;
    stand.put(readings(8, 60, at)).await;
    split(&stand, &shard_id(0)).await;
    stand.put([poison("odd", at)]).await;

    let parent = shard_id(0);
    let one = [
        "stream",
        "--shard",
        "0",
        "--only",
        "queue",
        "--to",
        "2100-01-01T00:00:00Z",
    ];
    replay(&stand, &one, &[])
        .await
        .expect(64, &["ends in the future"]);
    let live = replay(&stand, &one[..5], &[]).await;
    assert_eq!(live.code, Some(0), "{live:#?}");
    assert!(
        live.err
            .contains("60 records, 1 of 1 shards, queue 60 written"),
        "{live:#?}"
    );
    let letters = replay(
        &stand,
        &["stream", "--file-letters", "--only", "timestream"],
        &[],
    )
    .await;
    letters.expect(1, &["filed as dead letters"]);
    let letter = &letters_are(&stand, 1).await[0];
    assert_ne!(letter["shard"], parent.as_str());
    let seq = letter["seq"].as_str().expect("a number");
    let shard = letter["shard"].as_str().expect("an id");
    let only = ["stream", "--shard", shard, "--from", seq, "--to", seq];
    let mended = replay(&stand, &only, &[MENDED]).await;
    assert_eq!(mended.code, Some(0), "{mended:#?}");
    assert!(mended.err.contains("1 records"), "{mended:#?}");
    rows_are(&stand, 61).await;
    replay(&stand, &["stream", "--from", seq], &[])
        .await
        .expect(64, &["name the shard"]);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_replay_says_where_to_go_on_and_nothing_is_left_out() {
    const COUNT: usize = 4_000;
    let stand = Stand::start(&["--shards", "2", "--workers", "0"]).await;
    stand.put(readings(20, COUNT, now_ms() - 10_000)).await;
    stand
        .fault("timestream", json!([{ "kind": "slow", "ms": 300 }]))
        .await;
    let args = ["--config", stand.text("config"), "replay", "stream"];
    let mut replaying = Process::spawn(&args, &[("TIDEWIRE_SOURCE__BATCH_SIZE", "100")]);
    eventually("some rows", || async {
        (stand.rows().await > 0).then_some(())
    })
    .await;
    replaying.signal("-INT");
    let code = replaying.exit_code().await;
    let said = replaying.log.lines().join("\n");
    assert_eq!(code, Some(1), "{said}");
    let rows = stand.rows().await;
    assert!(rows > 0 && rows <= COUNT as u64, "{rows}");
    let (_, command) = said
        .rsplit_once("the rest is done by: tidewire ")
        .expect("a command");
    stand.fault("timestream", json!([])).await;
    let rest: Vec<&str> = command.trim().split(' ').collect();
    let ended = replay(&stand, &rest[1..], &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(stand.rows().await, COUNT as u64);
    stand.end().await;
}
