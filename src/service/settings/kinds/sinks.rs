//! The special types that the sinks' settings have.

use super::named;
use crate::service::settings::value::{Raw, Setting, Unfit};

/// What a row's Timestream measure name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasureName {
    /// The sorted names of the reading's measures, joined.
    Auto,
    /// Always this.
    Constant(String),
    /// The value of a field of the payload.
    Field(String),
}

impl Setting for MeasureName {
    const FORM: &'static str = "`auto`, `constant:TEXT` or `field:NAME`";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        match named(raw.text()?) {
            ("auto", None) => Ok(Self::Auto),
            ("constant", Some(text)) => Ok(Self::Constant(text)),
            ("field", Some(name)) => Ok(Self::Field(name)),
            _ => Err(Unfit::PLAIN),
        }
    }
}

choice! {
    /// Which write API an InfluxDB has.
    InfluxApi "`v1`, `v2` or `v3`" {
        /// `/write`: InfluxDB 1.x.
        V1 = "v1",
        /// `/api/v2/write`: InfluxDB 2.x.
        V2 = "v2",
        /// `/api/v3/write_lp`: InfluxDB 3.
        V3 = "v3",
    }
}

choice! {
    /// Which version a Timestream record has.
    RecordVersion "`off` or `arrival`" {
        /// None: the first value of a row stays, another one is refused.
        Off = "off",
        /// The record's arrival on the stream: the value that arrived last stays.
        Arrival = "arrival",
    }
}

/// Which readings go to another Timestream table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRoute {
    /// The dimension or text measure that is looked at; none: the device id.
    pub field: Option<String>,
    /// What it must be; `*` stands for any text.
    pub pattern: String,
    /// Where readings that fit go.
    pub table: String,
}

impl Setting for TableRoute {
    const FORM: &'static str =
        "`device:PATTERN -> TABLE` or `field:NAME=PATTERN -> TABLE`, where `*` is any text";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        let (when, table) = raw.text()?.split_once("->").ok_or(Unfit::PLAIN)?;
        let (field, pattern) = match named(when.trim()) {
            ("device", Some(pattern)) => (None, pattern),
            ("field", Some(rest)) => {
                let (name, pattern) = rest.split_once('=').ok_or(Unfit::PLAIN)?;
                (Some(name.to_owned()), pattern.to_owned())
            }
            _ => return Err(Unfit::PLAIN),
        };
        let table = table.trim();
        let empty = field.as_deref() == Some("") || pattern.is_empty() || table.is_empty();
        if empty {
            return Err(Unfit::PLAIN);
        }
        Ok(Self {
            field,
            pattern,
            table: table.to_owned(),
        })
    }
}

/// What a line's measurement is at InfluxDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// Always this.
    Constant(String),
    /// The value of a field of the payload.
    Field(String),
}

impl Setting for Measurement {
    const FORM: &'static str = "`constant:TEXT` or `field:NAME`";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        match named(raw.text()?) {
            ("constant", Some(text)) => Ok(Self::Constant(text)),
            ("field", Some(name)) => Ok(Self::Field(name)),
            _ => Err(Unfit::PLAIN),
        }
    }
}
