//! Floor 1: what a record's payload says. Bytes in, readings out; the only "now" it knows is the
//! record's arrival time, so decoding a record again gives the same readings (promise P2).
//!
//! ```text
//!  record -> [aggregate: its user records] -> [gzip, zstd] -> [envelope] -> [gzip, zstd]
//!         -> json | cbor | senml | line -> [object: id, time, dimensions, measures] -> readings
//! ```
//!
//! Compression and aggregates are told by their magic bytes, which no format begins with; the
//! format is configured, since what looks alike may mean different things.

pub mod aggregate;
mod cbor;
mod envelope;
mod flat;
mod inflate;
mod json;
mod line;
mod names;
mod object;
mod options;
mod senml;
mod time;
mod value;

pub use options::{
    DeviceSource, Envelope, FieldType, Format, NotFinite, Options, Pattern, TimePolicy, TimeSource,
    TimeUnit, Units,
};

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{EpochMillis, Reading, Record, ShardId};

use names::Names;
use object::Work;

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

/// More measures than this in one reading are an error: no table holds more (Timestream: 256 in a
/// record, 1,024 in a table), and a device that makes names up must not fill memory.
pub const MEASURES_PER_READING_MAX: usize = 1_024;

/// Memory that the readings of one record may take, as [`Reading`]s count it roughly. It is what
/// 20,000 readings of some dozen measures take.
pub const DECODED_BYTES_MAX: usize = 32 * 1024 * 1024;

pub use inflate::{INFLATED_BYTES_MAX, INFLATION_FREE_BYTES, INFLATION_MAX};

/// Decodes records. It remembers the names of measures, which repeat in every record; what it
/// says about a record does not depend on that.
#[derive(Clone, Debug)]
pub struct Decoder {
    options: Arc<Options>,
    names: Names,
}

/// A reason quotes names of the payload; what in them would break a line, or steer a terminal, is
/// written out.
fn one_line(why: String) -> String {
    if !why.contains(char::is_control) {
        return why;
    }
    let mut line = String::with_capacity(why.len());
    for c in why.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
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

    /// The options it decodes by.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What a record of a shard says, or a user record of an aggregate, whose number is `sub`; 0
    /// for a record that is no aggregate.
    ///
    /// # Errors
    /// Why it says nothing: the whole (user) record is then one dead letter, also where only one
    /// of several readings in it is bad. Readings of one record have one fate, so that a letter
    /// that is mended and replayed stands for all of them.
    pub fn decode(
        &mut self,
        shard: &ShardId,
        record: &Record,
        sub: u64,
    ) -> Result<Decoded, DecodeError> {
        self.decoded(shard, record, sub)
            .map_err(|why| DecodeError(one_line(why)))
    }

    fn decoded(&mut self, shard: &ShardId, record: &Record, sub: u64) -> Result<Decoded, String> {
        let options = &*self.options;
        let payload = inflate::inflate(&record.data)?;
        let opened = envelope::open(options, &mut self.names, payload)?;
        let payload = match options.envelope {
            Envelope::None => opened.payload,
            _ => inflated_within(opened.payload)?,
        };
        if payload.iter().all(u8::is_ascii_whitespace) {
            return Err("the payload is empty".to_owned());
        }
        self.names.begin(payload.len());
        let mut work = Work {
            options,
            names: &mut self.names,
            shard,
            record,
            sub,
            around: &opened.around,
            decoded: Decoded::default(),
        };
        match options.format {
            Format::Json => json::decode(&mut work, &payload)?,
            Format::Cbor => cbor::decode(&mut work, &payload)?,
            Format::SenMl => senml::decode(&mut work, &payload)?,
            Format::Line => line::decode(&mut work, &payload)?,
        }
        // An empty array, a pack of labels, a line of comment: none of it is a reading, and it ends by
        // the same rule as an object without measures.
        if work.decoded.readings.is_empty() && work.decoded.no_measures == 0 {
            work.decoded.no_measures = 1;
        }
        Ok(work.decoded)
    }
}

fn inflated_within(payload: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, String> {
    match inflate::inflate(&payload)? {
        Cow::Owned(inflated) => Ok(Cow::Owned(inflated)),
        Cow::Borrowed(_) => Ok(payload),
    }
}

/// The instant of a date such as `2026-03-01T12:00:00.25+01:00` (RFC 3339), to the millisecond.
///
/// # Errors
/// What is wrong with the text.
pub fn date(text: &str) -> Result<EpochMillis, String> {
    let nanos = time::parse(text, TimeUnit::Rfc3339)?;
    Ok(EpochMillis(nanos.0.div_euclid(1_000_000)))
}

#[cfg(test)]
mod tests;
