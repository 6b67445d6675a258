//! Timestream and SQS: everything is acknowledged, and every reading is found again by its time.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::readings::FIRST_MS;

/// The live queue's name.
pub(crate) const QUEUE: &str = "live";

/// What one sink has taken.
#[derive(Debug)]
pub(crate) struct Taken(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    requests: u64,
    readings: u64,
    /// By number, whether it was here.
    here: Vec<bool>,
    distinct: u64,
    /// Times that no reading has.
    unknown: u64,
}

impl Taken {
    pub(crate) fn nothing(readings: usize) -> Self {
        Self(Mutex::new(Seen {
            requests: 0,
            readings: 0,
            here: vec![false; readings],
            distinct: 0,
            unknown: 0,
        }))
    }

    /// Counts the readings whose times stand in a request, in nanoseconds after `label`.
    fn request(&self, bodies: &[&str], label: &str) -> usize {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.requests += 1;
        let mut readings = 0;
        for body in bodies {
            for (at, _) in body.match_indices(label) {
                readings += 1;
                let rest = &body[at + label.len()..];
                let digits = rest.split('"').next().unwrap_or_default();
                seen.mark(digits);
            }
        }
        seen.readings += readings as u64;
        readings
    }

    pub(crate) fn book(&self) -> Value {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "requests": seen.requests,
            "readings": seen.readings,
            "distinct": seen.distinct,
            "unknown": seen.unknown,
        })
    }
}

impl Seen {
    fn mark(&mut self, digits: &str) {
        let number = digits.parse::<u64>().ok();
        let number = number.and_then(|ns| (ns / 1_000_000).checked_sub(FIRST_MS));
        let place = number.and_then(|n| self.here.get_mut(usize::try_from(n).ok()?));
        match place {
            Some(here) => self.distinct += u64::from(!std::mem::replace(here, true)),
            None => self.unknown += 1,
        }
    }
}

/// Timestream's answer to an operation; none where there is no such operation.
pub(crate) fn timestream(taken: &Taken, operation: &str, body: &[u8]) -> Option<Vec<u8>> {
    let answer = match operation {
        "WriteRecords" => {
            let total = taken.request(&[std::str::from_utf8(body).ok()?], r#""Time":""#);
            json!({ "RecordsIngested": { "Total": total, "MemoryStore": total, "MagneticStore": 0 } })
        }
        "DescribeTable" => json!({ "Table": { "TableName": "bench", "TableStatus": "ACTIVE" } }),
        _ => return None,
    };
    Some(answer.to_string().into_bytes())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessageBatch<'a> {
    #[serde(borrow)]
    queue_url: Cow<'a, str>,
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    message_body: Cow<'a, str>,
}

/// SQS's answer to an operation; none where there is no such operation. Dead letters are not
/// taken for readings: there are to be none.
pub(crate) fn sqs(taken: &Taken, operation: &str, body: &[u8]) -> Option<Vec<u8>> {
    let answer = match operation {
        "SendMessageBatch" => {
            let request: SendMessageBatch<'_> = serde_json::from_slice(body).ok()?;
            if !request.queue_url.ends_with(QUEUE) {
                eprintln!("a dead letter: {}", request.entries[0].message_body);
                return None;
            }
            let bodies: Vec<&str> = request
                .entries
                .iter()
                .map(|one| &*one.message_body)
                .collect();
            taken.request(&bodies, r#""time_ns":""#);
            let done = request.entries.iter().map(|entry| {
                let hash = Md5::digest(entry.message_body.as_bytes());
                let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                json!({ "Id": entry.id, "MessageId": entry.id, "MD5OfMessageBody": hash })
            });
            json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] })
        }
        "GetQueueAttributes" => json!({ "Attributes": { "MaximumMessageSize": "1048576" } }),
        _ => return None,
    };
    Some(answer.to_string().into_bytes())
}
