//! The floor: parsing `GetRecords` bodies and decoding their payloads from base64, and nothing
//! else, in one thread's CPU seconds.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use crate::readings::{PAYLOAD_BYTES, Shard};

/// An answer as it stands in its body: nothing is copied but what is escaped, which nothing is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
    next_shard_iterator: &'a str,
    millis_behind_latest: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    sequence_number: &'a str,
    approximate_arrival_timestamp: f64,
    data: &'a str,
    partition_key: &'a str,
}

/// Prints CPU seconds and records as one JSON line.
pub(crate) fn run(shards: usize, readings: usize, page: usize) -> ExitCode {
    let (mut cpu_s, mut records, mut bytes) = (0.0, 0, 0);
    let mut data = Vec::new();
    for index in 0..shards {
        let shard = Shard::prepare(index, shards, readings);
        for start in (0..shard.len()).step_by(page) {
            let body = shard.answer(index, start..shard.len().min(start + page));
            let before = cpu_now_s();
            let answer: Answer<'_> =
                serde_json::from_slice(&body).expect("the body is an answer of ours");
            for record in &answer.records {
                data.clear();
                STANDARD
                    .decode_vec(record.data, &mut data)
                    .expect("the payload is base64");
                bytes += data.len();
                std::hint::black_box((&data, record.sequence_number, record.partition_key));
                std::hint::black_box(record.approximate_arrival_timestamp);
            }
            std::hint::black_box((answer.next_shard_iterator, answer.millis_behind_latest));
            records += answer.records.len();
            drop(answer);
            cpu_s += cpu_now_s() - before;
        }
    }
    if records != readings || bytes != readings * PAYLOAD_BYTES {
        eprintln!("the floor decoded {records} records of {readings}");
        return ExitCode::FAILURE;
    }
    println!(r#"{{"cpu_s":{cpu_s},"records":{records}}}"#);
    ExitCode::SUCCESS
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since this thread began"
)]
fn cpu_now_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
