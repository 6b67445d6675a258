//! Kinesis: the calls a worker makes, answered from prepared bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::readings::{FIRST_MS, Shard, index_of, sequence_number};

/// The stream's name.
pub(crate) const STREAM: &str = "bench";
/// Records an answer (AWS: `GetRecords`).
const RECORDS_MAX: usize = 10_000;
/// Bytes of data an answer (AWS: 10 MiB); ours stay under it by their number.
const HASH_KEYS: u128 = u128::MAX;

/// The stream.
#[derive(Debug)]
pub(crate) struct Stream {
    shards: Vec<Shard>,
    /// Records handed out.
    pub(crate) served: AtomicU64,
    /// Answers with records in them.
    pub(crate) pages: AtomicU64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords<'a> {
    shard_iterator: &'a str,
    limit: Option<usize>,
}

impl Stream {
    pub(crate) fn prepare(shards: usize, readings: usize) -> Self {
        Self {
            shards: (0..shards)
                .map(|shard| Shard::prepare(shard, shards, readings))
                .collect(),
            served: AtomicU64::new(0),
            pages: AtomicU64::new(0),
        }
    }

    /// The answer to an operation; none where there is no such operation.
    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> Option<Vec<u8>> {
        let written = |value: Value| value.to_string().into_bytes();
        match operation {
            "GetRecords" => self.records(body),
            "GetShardIterator" => Some(written(self.iterator(body)?)),
            "ListShards" => Some(written(json!({ "Shards": self.shards() }))),
            "DescribeStreamSummary" => Some(written(json!({ "StreamDescriptionSummary": {
                "StreamName": STREAM,
                "StreamARN": format!("arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"),
                "StreamStatus": "ACTIVE",
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": FIRST_MS / 1000,
                "EnhancedMonitoring": [],
                "OpenShardCount": self.shards.len(),
            }}))),
            _ => None,
        }
    }

    fn records(&self, body: &[u8]) -> Option<Vec<u8>> {
        let request: GetRecords<'_> = serde_json::from_slice(body).ok()?;
        let mut parts = request.shard_iterator.split(':');
        let mut number = || parts.next()?.parse::<usize>().ok();
        let (index, start) = (number()?, number()?);
        let shard = self.shards.get(index)?;
        let count = request.limit.unwrap_or(RECORDS_MAX).min(RECORDS_MAX);
        let range = start..shard.len().min(start + count);
        self.served.fetch_add(range.len() as u64, Ordering::Relaxed);
        self.pages
            .fetch_add(u64::from(!range.is_empty()), Ordering::Relaxed);
        Some(shard.answer(index, range))
    }

    fn iterator(&self, body: &[u8]) -> Option<Value> {
        let request: Value = serde_json::from_slice(body).ok()?;
        let shard = request["ShardId"].as_str()?.rsplit('-').next()?;
        let shard: usize = shard.parse().ok()?;
        let named = request["StartingSequenceNumber"].as_str();
        let start = match request["ShardIteratorType"].as_str()? {
            "AFTER_SEQUENCE_NUMBER" => index_of(named?)? + 1,
            "AT_SEQUENCE_NUMBER" => index_of(named?)?,
            _ => 0,
        };
        Some(json!({ "ShardIterator": format!("{shard}:{start}:") }))
    }

    fn shards(&self) -> Vec<Value> {
        let count = self.shards.len() as u128;
        let begins = |shard: u128| HASH_KEYS / count * shard;
        let shard = |shard: u128| {
            let last = shard + 1 == count;
            let ends = if last {
                HASH_KEYS
            } else {
                begins(shard + 1) - 1
            };
            json!({
                "ShardId": format!("shardId-{shard:012}"),
                "HashKeyRange": {
                    "StartingHashKey": begins(shard).to_string(),
                    "EndingHashKey": ends.to_string(),
                },
                "SequenceNumberRange": { "StartingSequenceNumber": sequence_number(0) },
            })
        };
        (0..count).map(shard).collect()
    }
}
