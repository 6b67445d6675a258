//! How payloads are read, as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::DeviceId;

/// How payloads are read. Fields are named as they stand in the payload, nested ones flattened,
/// before anything is renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a payload is, once it is taken out of compression, aggregate and envelope.
    pub format: Format,
    /// What is around it.
    pub envelope: Envelope,
    /// Where the device's id comes from.
    pub device_id: DeviceSource,
    /// Where the event time comes from.
    pub time: TimeSource,
    /// What becomes of a reading without a time.
    pub time_missing: TimePolicy,
    /// What becomes of one whose time is no time, or lies outside the bounds.
    pub time_absurd: TimePolicy,
    /// How far before its record's arrival a time may lie; none: as far as there are times.
    pub time_past_max: Option<Duration>,
    /// How far after its record's arrival a time may lie; none: as far as there are times.
    pub time_future_max: Option<Duration>,
    /// Fields that become dimensions instead of measures.
    pub dimensions: Vec<String>,
    /// Dimensions that every reading gets, by name.
    pub constants: BTreeMap<String, String>,
    /// The dimension that holds the record's partition key.
    pub partition_key_as: Option<String>,
    /// The only measures kept; empty: all are.
    pub include: Vec<Pattern>,
    /// Measures and dimensions left out; this wins over `include`.
    pub exclude: Vec<Pattern>,
    /// New names of measures and dimensions.
    pub rename: BTreeMap<String, String>,
    /// Fields that are not what they look like.
    pub types: BTreeMap<String, FieldType>,
    /// Joins the names of nested fields: `{"a":{"b":1}}` is the measure `a.b`.
    pub separator: String,
    /// What becomes of NaN and the infinities.
    pub not_finite: NotFinite,
    /// What becomes of SenML's units.
    pub units: Units,
    /// Whether user records of an aggregate that belong to another shard are skipped.
    pub hash_range: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Json,
            envelope: Envelope::None,
            device_id: DeviceSource::Field("device_id".to_owned()),
            time: TimeSource::Field {
                name: "ts".to_owned(),
                unit: TimeUnit::Millis,
            },
            time_missing: TimePolicy::Reject,
            time_absurd: TimePolicy::Reject,
            time_past_max: None,
            time_future_max: None,
            dimensions: Vec::new(),
            constants: BTreeMap::new(),
            partition_key_as: None,
            include: Vec::new(),
            exclude: Vec::new(),
            rename: BTreeMap::new(),
            types: BTreeMap::new(),
            separator: ".".to_owned(),
            not_finite: NotFinite::Reject,
            units: Units::Ignore,
            hash_range: true,
        }
    }
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Objects, arrays of objects, or several of them one after the other (RFC 8259).
    Json,
    /// Maps, arrays of maps, or a sequence of them (RFC 8949 and RFC 8742).
    Cbor,
    /// A SenML pack (RFC 8428), JSON or CBOR by its first byte.
    SenMl,
    /// InfluxDB line protocol.
    Line,
}

/// What is around a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing.
    None,
    /// It is written in base64.
    Base64,
    /// It stands, in base64, in this field of a JSON object; the object's other fields belong to
    /// each of its readings.
    Field(String),
}

/// Where a device's id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSource {
    /// A field of the payload, by its flattened name: text or a whole number. In line protocol a
    /// tag, or `measurement`.
    Field(String),
    /// The record's partition key.
    PartitionKey,
    /// Always this device.
    Constant(DeviceId),
    /// SenML's base name.
    Name,
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
    /// Where the format puts it: at the end of a line, or in SenML's `bt` and `t`, whose unit is
    /// the second.
    Own(TimeUnit),
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

/// What becomes of a reading whose time cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimePolicy {
    /// Its record is a dead letter.
    Reject,
    /// It gets its record's arrival time.
    Arrival,
}

/// What becomes of NaN and the infinities, which no sink stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFinite {
    /// The record is a dead letter.
    Reject,
    /// As null: the measure is left out.
    LeaveOut,
}

/// What becomes of the units of SenML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// They are left out, but where a measure has no other name.
    Ignore,
    /// A measure's name ends with an underscore and its unit: `temperature_Cel`.
    Suffix,
}

/// The type a field is declared to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A whole number of 64 bits, also where it stands as text; a fraction is an error.
    Int,
    /// A number of 64 bits with a fraction, also where it stands as text; the default for numbers.
    Float,
    /// Text, also where the payload has a number or a truth value.
    Text,
    /// True or false, also where it stands as text, or as 1 or 0.
    Bool,
}

/// A field's name, or what it begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This one.
    Name(String),
    /// All that begin so.
    Prefix(String),
}

impl Pattern {
    /// A trailing `*` stands for any rest.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Name(text.to_owned()),
        }
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn meets(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}
