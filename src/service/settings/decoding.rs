//! The special types of `[decode]`.

use super::kinds::{choice, named};
use super::value::{Raw, Setting, Unfit};

choice! {
    /// What a record's payload is.
    Format "`json`, `cbor`, `senml` or `influx`" {
        /// An object, an array of objects, or one object a line.
        Json = "json",
        /// A map, an array of maps, or several one after the other.
        Cbor = "cbor",
        /// A SenML pack, in JSON or CBOR.
        SenMl = "senml",
        /// InfluxDB line protocol.
        Influx = "influx",
    }
}

choice! {
    /// The unit of `decode.time_field`.
    TimeUnit "`s`, `ms`, `us`, `ns` or `rfc3339`" {
        /// Seconds since the epoch, fractions allowed.
        Seconds = "s",
        /// Milliseconds since the epoch.
        Millis = "ms",
        /// Microseconds since the epoch.
        Micros = "us",
        /// Nanoseconds since the epoch.
        Nanos = "ns",
        /// Text such as `2026-03-01T12:00:00.250Z`.
        Rfc3339 = "rfc3339",
    }
}

choice! {
    /// What becomes of a reading whose time cannot be used.
    TimePolicy "`reject` or `arrival`" {
        /// Its record is a dead letter.
        Reject = "reject",
        /// It gets its record's arrival time.
        Arrival = "arrival",
    }
}

choice! {
    /// What becomes of NaN and the infinities.
    NotFinite "`reject` or `leave_out`" {
        /// The record is a dead letter.
        Reject = "reject",
        /// The field is left out, as null is.
        LeaveOut = "leave_out",
    }
}

choice! {
    /// What becomes of SenML's units.
    Units "`ignore` or `suffix`" {
        /// They are left out.
        Ignore = "ignore",
        /// They end the measures' names.
        Suffix = "suffix",
    }
}

choice! {
    /// What a field's value becomes.
    FieldType "`float`, `int`, `string` or `bool`" {
        /// A 64-bit floating point number, which every number is by default.
        Float = "float",
        /// A 64-bit whole number.
        Int = "int",
        /// Text.
        Text = "string",
        /// True or false.
        Bool = "bool",
    }
}

/// Where a reading's device id comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceIdFrom {
    /// A field of the payload.
    Field(String),
    /// The record's partition key.
    PartitionKey,
    /// All readings are of one device.
    Constant(String),
    /// SenML's base name.
    Name,
}

impl Setting for DeviceIdFrom {
    const FORM: &'static str =
        "`field:NAME`, `partition_key`, `constant:TEXT`, or `name` (SenML's base name)";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        match named(raw.text()?) {
            ("partition_key", None) => Ok(Self::PartitionKey),
            ("name", None) => Ok(Self::Name),
            ("field", Some(name)) => Ok(Self::Field(name)),
            ("constant", Some(text)) => Ok(Self::Constant(text)),
            _ => Err(Unfit::PLAIN),
        }
    }
}

/// What is around a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing.
    None,
    /// It is written in base64.
    Base64,
    /// It stands in base64 in a field of a JSON object.
    Field(String),
}

impl Setting for Envelope {
    const FORM: &'static str = "`none`, `base64` or `field:NAME`";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        match named(raw.text()?) {
            ("none", None) => Ok(Self::None),
            ("base64", None) => Ok(Self::Base64),
            ("field", Some(name)) => Ok(Self::Field(name)),
            _ => Err(Unfit::PLAIN),
        }
    }
}
