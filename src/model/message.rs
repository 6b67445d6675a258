//! The messages that travel from worker to broadcaster over SQS, `queue.format = "packed"`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{ConnectionId, DeviceId, ShardId};
use super::position::{Position, SequenceNumber};
use super::reading::{Reading, Value};
use super::time::{EpochMillis, EpochNanos};

/// The version both kinds of message carry in `v`.
pub const VERSION: u32 = 1;

/// A reading as it travels; `seq` and `time_ns` are text because they exceed 2^53.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireReading {
    /// The device.
    pub device_id: DeviceId,
    /// Event time, nanoseconds since the epoch.
    #[serde(with = "nanos_as_text")]
    pub time_ns: EpochNanos,
    /// Measures by name.
    pub measures: BTreeMap<Arc<str>, Value>,
    /// Dimensions by name; left out where there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Arc<str>, Arc<str>>,
    /// The shard it was read from.
    pub shard: ShardId,
    /// The Kinesis record; compare by length, then by text.
    pub seq: SequenceNumber,
    /// The user record within an aggregate.
    pub sub: u64,
    /// The reading within the record.
    pub i: u32,
    /// Kinesis's approximate arrival time, milliseconds since the epoch.
    pub arrival_ms: EpochMillis,
}

impl WireReading {
    /// Its place in its shard: by it a viewer drops what it has seen.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            seq: self.seq.clone(),
            sub: self.sub,
            index: self.i,
        }
    }
}

impl From<&Reading> for WireReading {
    fn from(reading: &Reading) -> Self {
        Self {
            device_id: reading.device.clone(),
            time_ns: reading.time,
            measures: reading.measures.iter().cloned().collect(),
            dimensions: reading.dimensions.iter().cloned().collect(),
            shard: reading.shard.clone(),
            seq: reading.position.seq.clone(),
            sub: reading.position.sub,
            i: reading.position.index,
            arrival_ms: reading.arrival,
        }
    }
}

/// One SQS message of readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packed {
    /// [`VERSION`].
    pub v: u32,
    /// The readings, in stream order within each shard.
    pub readings: Vec<WireReading>,
}

/// One SQS message that tells the broadcaster to read a connection's row at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// [`VERSION`].
    pub v: u32,
    /// Always `changed`.
    pub control: ControlKind,
    /// Whose row changed.
    pub connection: ConnectionId,
}

/// What a [`Control`] message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlKind {
    /// The row was written or deleted.
    Changed,
}

/// Either kind of message, told apart by the field `control`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// A changed connection.
    Control(Control),
    /// Readings.
    Packed(Packed),
}

mod nanos_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::EpochNanos;

    pub(super) fn serialize<S: Serializer>(time: &EpochNanos, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EpochNanos, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map(EpochNanos)
            .map_err(serde::de::Error::custom)
    }
}
