//! `tidewire feed`: every line of a file is a row or a dead letter, and feeding it again changes
//! nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_sdk_kinesis::types::ShardIteratorType;
use serde_json::{Value, json};

use crate::run::{Scratch, run};
use crate::support::{Stand, eventually, now_ms};

/// What a generated file holds.
#[derive(Default)]
struct File {
    text: String,
    lines: usize,
    /// Lines with a key of their own in the table.
    distinct: usize,
    /// Lines that say exactly what another says: they share its row.
    repeats: usize,
    /// Lines that cannot be read, or contradict another.
    bad: usize,
}

impl File {
    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("a String takes text");
        self.lines += 1;
    }

    /// Some three thousand lines: twenty devices in turn, one of them with times out of order,
    /// exact repeats, contradictions, and lines that are no readings.
    fn generate(first_ts: i64) -> Self {
        let mut file = Self::default();
        for n in 0..3_000_i64 {
            let device = format!("device-{:02}", n % 20);
            let ts = match n % 20 {
                7 => first_ts + 3_000 - n,
                _ => first_ts + n,
            };
            let reading = json!({ "device_id": device, "ts": ts, "n": n });
            file.line(&reading.to_string());
            file.distinct += 1;
            if n % 100 == 33 {
                file.line(&reading.to_string());
                file.repeats += 1;
            }
            if n % 300 == 44 {
                file.line(&json!({ "device_id": device, "ts": ts, "n": -n }).to_string());
                file.bad += 1;
            }
            if n % 250 == 55 {
                file.line([r#"{"device_id": "#, "rubbish", "null", "17"][file.bad % 4]);
                file.bad += 1;
            }
            if n % 500 == 66 {
                file.line(&json!({ "device_id": device, "n": n }).to_string());
                file.bad += 1;
            }
        }
        file
    }
}

/// The values `n` of each device in the order in which the stream holds them.
async fn streamed(stand: &Stand) -> BTreeMap<String, Vec<i64>> {
    let client = stand.kinesis();
    let name = stand.text("stream");
    let shards = client.list_shards().stream_name(name).send().await;
    let shards = shards
        .expect("the stream can be listed")
        .shards
        .unwrap_or_default();
    let mut all: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for shard in shards {
        let iterator = client
            .get_shard_iterator()
            .stream_name(name)
            .shard_id(shard.shard_id)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await;
        let mut at = iterator.expect("an iterator").shard_iterator;
        while let Some(iterator) = at.take() {
            let page = client.get_records().shard_iterator(iterator).send().await;
            let page = page.expect("the shard can be read");
            for record in &page.records {
                let data = record.data.as_ref();
                let Ok(reading) = serde_json::from_slice::<Value>(data) else {
                    continue;
                };
                if let (Some(device), Some(n)) =
                    (reading["device_id"].as_str(), reading["n"].as_i64())
                {
                    all.entry(device.to_owned()).or_default().push(n);
                }
            }
            let more = !page.records.is_empty() || page.millis_behind_latest > Some(0);
            at = page.next_shard_iterator.filter(|_| more);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_is_a_row_or_a_letter_and_a_second_time_changes_nothing() {
    let scratch = Scratch::new("feed");
    let state = scratch.path("");
    let env = [("XDG_STATE_HOME", state.as_str())];
    let stand = Stand::start_with(&["--shards", "3"], &env).await;
    let file = File::generate(now_ms() - 86_400_000);
    assert_eq!(file.distinct + file.repeats + file.bad, file.lines);
    let path = scratch.write("readings.ndjson", &file.text);
    // Every fifth request is throttled, so that some have to be repeated.
    let throttled = json!([{ "operation": "PutRecords", "kind": "throttled", "every": 5 }]);
    stand.fault("kinesis", throttled).await;

    for times in 1..=2 {
        // A bare file: the stand that runs on this machine is found.
        let fed = run(&["feed", &path], &env, "").await;
        assert_eq!(fed.code, Some(0), "{fed:?}");
        let summary = format!("put on `readings`: {0} of {0} lines", file.lines);
        assert!(fed.err.contains(&summary), "{fed:?}");
        assert_eq!(fed.out, "");

        // The books: a repeat is acknowledged and shares its row, so rows, repeats and letters
        // together are the lines; the second time each line ends as it did the first time.
        eventually("the books are closed", || async {
            let state = stand.beliefs().await;
            let readings = &state["workers"][0]["readings"];
            let records = &readings["records"];
            (records["read"] == times * file.lines && records["done"] == records["read"])
                .then_some(())
        })
        .await;
        let rows = usize::try_from(stand.rows().await).expect("a count");
        let letters = stand.letters().await;
        assert_eq!(rows, file.distinct, "time {times}");
        assert_eq!(letters.len(), times * file.bad, "time {times}");
        assert_eq!(rows + file.repeats + letters.len() / times, file.lines);
        for letter in letters {
            let reason = letter["reason"].as_str().unwrap_or_default();
            assert!(!reason.is_empty(), "{letter}");
        }
    }
    let contradicted = format!(
        "select count(*) as n from {} where n < 0",
        stand.text("table")
    );
    assert_eq!(
        stand.sql(&contradicted).await[0]["n"],
        0,
        "the first said stands"
    );

    // Each device's lines in the order of the file, twice over, whatever was throttled.
    let streamed = streamed(&stand).await;
    assert_eq!(streamed.len(), 20);
    for (device, ns) in streamed {
        let expected: Vec<i64> = file
            .text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|reading| reading["device_id"] == device.as_str())
            .filter_map(|reading| reading["n"].as_i64())
            .collect();
        assert_eq!(ns, expected.repeat(2), "{device}");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_is_fed_as_it_comes() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let ts = now_ms();
    // Every other line is empty, which is no reading and no mistake.
    let lines: String = (0..50)
        .map(|n| {
            format!(
                "{}\n\n",
                json!({ "device_id": "pipe", "ts": ts + n, "n": n })
            )
        })
        .collect();
    let args = [
        "feed",
        "-",
        "--config",
        stand.text("config"),
        "--rate",
        "1000",
    ];
    let fed = run(&args, &[], &lines).await;
    assert_eq!(fed.code, Some(0), "{fed:?}");
    assert!(
        fed.err.contains("put on `readings`: 50 of 100 lines"),
        "{fed:?}"
    );
    eventually("50 rows", || async {
        (stand.rows().await == 50).then_some(())
    })
    .await;
    // A line that no record can hold is left out by its number; the others go.
    let large = format!(
        "{}\n{}\n",
        json!({ "device_id": "pipe", "ts": ts + 50, "n": 50 }),
        "x".repeat(1_100_000)
    );
    let fed = run(
        &["feed", "-", "--config", stand.text("config")],
        &[],
        &large,
    )
    .await;
    fed.expect(1, &["one line was left out"]);
    assert!(fed.err.contains("line 2: larger"), "{fed:?}");
    eventually("51 rows", || async {
        (stand.rows().await == 51).then_some(())
    })
    .await;
    stand.end().await;
}
