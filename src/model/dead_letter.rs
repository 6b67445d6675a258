//! Dead letters: what could not be done, with the reason.

use serde::{Deserialize, Serialize};

use super::id::{PartitionKey, ShardId, StreamName};
use super::position::SequenceNumber;
use super::time::EpochMillis;

/// Where on its way a record died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It does not decode.
    Decode,
    /// Timestream refused it.
    Timestream,
    /// InfluxDB refused it.
    Influx,
    /// SQS refused it.
    Queue,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Decode, Self::Timestream, Self::Influx, Self::Queue];

    /// A label for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Timestream => "timestream",
            Self::Influx => "influx",
            Self::Queue => "queue",
        }
    }
}

/// One dead letter, one SQS message. A letter about one reading carries its record's payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// 1.
    pub v: u32,
    /// Where it died.
    pub stage: Stage,
    /// Why, in one sentence.
    pub reason: String,
    /// The stream it was read from.
    pub stream: StreamName,
    /// The shard.
    pub shard: ShardId,
    /// The record.
    pub seq: SequenceNumber,
    /// The user record within an aggregate.
    pub sub: u64,
    /// The reading within the record; absent where the whole record died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub i: Option<u32>,
    /// Its partition key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<PartitionKey>,
    /// When Kinesis took it.
    pub arrival_ms: EpochMillis,
    /// The record's payload, base64; left out where the letter would exceed SQS's 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// The payload's size in bytes where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_left_out_bytes: Option<usize>,
}
