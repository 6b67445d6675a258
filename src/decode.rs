//! Floor 1: what a record's payload says. Bytes in, readings out; the only "now" it knows is the
//! record's arrival time, so decoding a record again gives the same readings (promise P2).

mod flat;
mod json;
mod names;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{DeviceId, Reading, Record, ShardId};

use names::Names;

/// How payloads are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the device's id comes from.
    pub device_id: DeviceSource,
    /// Where the event time comes from.
    pub time: TimeSource,
    /// Fields that become dimensions instead of measures, by their flattened names.
    pub dimensions: Vec<String>,
    /// Fields that are not what their JSON looks like, by their flattened names.
    pub types: BTreeMap<String, FieldType>,
    /// Joins the names of nested fields: `{"a":{"b":1}}` is the measure `a.b`.
    pub separator: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device_id: DeviceSource::Field("device_id".to_owned()),
            time: TimeSource::Field {
                name: "ts".to_owned(),
                unit: TimeUnit::Millis,
            },
            dimensions: Vec::new(),
            types: BTreeMap::new(),
            separator: ".".to_owned(),
        }
    }
}

/// Where a device's id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSource {
    /// A field of the payload, by its flattened name: text or a whole number.
    Field(String),
    /// The record's partition key.
    PartitionKey,
    /// Always this device.
    Constant(DeviceId),
}

/// Where a reading's time comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// A field of the payload. Its unit is never guessed.
    Field {
        /// Its flattened name.
        name: String,
        /// What its number counts.
        unit: TimeUnit,
    },
    /// The record's arrival at Kinesis.
    Arrival,
}

/// What a time field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the epoch; fractions count.
    Seconds,
    /// Milliseconds since the epoch.
    Millis,
    /// Microseconds since the epoch.
    Micros,
    /// Nanoseconds since the epoch.
    Nanos,
    /// Text such as `2026-03-01T12:00:00.25+01:00` (RFC 3339).
    Rfc3339,
}

/// The type a field is declared to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A whole number of 64 bits; a number with a fraction is an error.
    Int,
    /// A number of 64 bits with a fraction; the default for numbers.
    Float,
    /// Text, also where the payload has a number or a truth value.
    Text,
}

/// Why a record does not decode: one sentence, the dead letter's reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub(crate) String);

/// What a record says.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Decoded {
    /// Its readings, in its order.
    pub readings: Vec<Reading>,
    /// Objects that carry an id and a time but nothing measured: skipped by rule `no_measures`.
    pub no_measures: u32,
}

/// More readings than this in one record are an error: a record of 10 MiB must not become
/// hundreds of megabytes of readings (promise P9).
pub const READINGS_PER_RECORD_MAX: usize = 20_000;

/// Decodes records. It remembers the names of measures, which repeat in every record; what it
/// says about a record does not depend on that.
#[derive(Clone, Debug)]
pub struct Decoder {
    options: Arc<Options>,
    names: Names,
}

impl Decoder {
    /// A decoder by these options.
    #[must_use]
    pub fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            names: Names::default(),
        }
    }

    /// What a record of a shard says.
    ///
    /// # Errors
    /// Why it says nothing: the whole record is then one dead letter.
    pub fn decode(&mut self, shard: &ShardId, record: &Record) -> Result<Decoded, DecodeError> {
        json::decode(&self.options, &mut self.names, shard, record)
    }
}

#[cfg(test)]
mod tests;
