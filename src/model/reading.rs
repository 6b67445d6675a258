//! A reading: what one device measured at one instant.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{DeviceId, ShardId};
use super::position::Position;
use super::time::{EpochMillis, EpochNanos};

/// A measure's value. Numbers are finite: decoding refuses or skips what is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number; only where `decode.types` asks for it.
    Int(i64),
    /// A finite number.
    Double(f64),
    /// Text, 1 to 2,048 bytes where it goes to Timestream.
    Text(Arc<str>),
}

impl Value {
    /// Bytes that Timestream meters for this value (AWS: metering and pricing of writes).
    #[must_use]
    pub fn metered_bytes(&self) -> usize {
        match self {
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Double(_) => 8,
            Self::Text(text) => text.len(),
        }
    }
}

/// What one device measured at one instant, and where on the stream that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The device.
    pub device: DeviceId,
    /// When it measured.
    pub time: EpochNanos,
    /// Measures, sorted by name, each name once, at least one.
    pub measures: Vec<(Arc<str>, Value)>,
    /// Further dimensions, sorted by name, each name once; often none.
    pub dimensions: Vec<(Arc<str>, Arc<str>)>,
    /// The shard it was read from.
    pub shard: ShardId,
    /// Its place in that shard.
    pub position: Position,
    /// Kinesis's approximate arrival time of its record: the only "now" decoding knows.
    pub arrival: EpochMillis,
}
