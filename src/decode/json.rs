//! JSON payloads: an object, an array of objects, or several of either one after the other
//! (NDJSON is the case with line breaks between them).

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::model::{DeviceId, EpochNanos, Position, Reading, Record, ShardId, Value};

use super::flat::{Fields, Members, Scalar};
use super::names::Names;
use super::{
    DecodeError, Decoded, DeviceSource, FieldType, Options, READINGS_PER_RECORD_MAX, TimeSource,
    time,
};

/// Decodes one record.
pub(super) fn decode(
    options: &Options,
    names: &mut Names,
    shard: &ShardId,
    record: &Record,
) -> Result<Decoded, DecodeError> {
    if record.data.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError("the payload is empty".to_owned()));
    }
    names.begin(record.data.len());
    let mut decoded = Decoded::default();
    let mut json = serde_json::Deserializer::from_slice(&record.data);
    loop {
        let objects = Objects {
            options,
            names: &mut *names,
            shard,
            record,
            decoded: &mut decoded,
        };
        objects
            .deserialize(&mut json)
            .map_err(|error| DecodeError(sentence(&error)))?;
        if json.end().is_ok() {
            return Ok(decoded);
        }
    }
}

fn sentence(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("the payload is not JSON: {error}"),
    }
}

/// A top-level value: an object, or an array of objects.
struct Objects<'a> {
    options: &'a Options,
    names: &'a mut Names,
    shard: &'a ShardId,
    record: &'a Record,
    decoded: &'a mut Decoded,
}

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut object = Object {
            options: self.options,
            names: self.names,
            device: None,
            time: None,
            measures: Vec::with_capacity(8),
            dimensions: Vec::new(),
        };
        let members = Members {
            fields: &mut object,
            prefix: "",
        };
        members.visit_map(map)?;
        let reading = object
            .finish(self.shard, self.record, self.decoded.readings.len())
            .map_err(A::Error::custom)?;
        match reading {
            Some(_) if self.decoded.readings.len() >= READINGS_PER_RECORD_MAX => {
                return Err(A::Error::custom(format_args!(
                    "more than {READINGS_PER_RECORD_MAX} readings in one record"
                )));
            }
            Some(reading) => self.decoded.readings.push(reading),
            None => self.decoded.no_measures += 1,
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let element = ObjectOnly(Objects {
                options: self.options,
                names: &mut *self.names,
                shard: self.shard,
                record: self.record,
                decoded: &mut *self.decoded,
            });
            if seq.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }
}

/// An element of a top-level array.
struct ObjectOnly<'a>(Objects<'a>);

impl<'de> DeserializeSeed<'de> for ObjectOnly<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectOnly<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map)
    }
}

/// What is known of an object while its members go by.
struct Object<'a> {
    options: &'a Options,
    names: &'a mut Names,
    device: Option<DeviceId>,
    time: Option<EpochNanos>,
    measures: Vec<(Arc<str>, Value)>,
    dimensions: Vec<(Arc<str>, Arc<str>)>,
}

impl<'de> Fields<'de> for Object<'_> {
    fn verbatim(&self) -> Option<&str> {
        match &self.options.time {
            TimeSource::Field { name, .. } => Some(name),
            TimeSource::Arrival => None,
        }
    }

    fn separator(&self) -> &str {
        &self.options.separator
    }

    fn named(&mut self, bytes: usize) -> Result<(), String> {
        self.names.spend(bytes)
    }

    fn raw(&mut self, text: &'de str) -> Result<(), String> {
        let TimeSource::Field { name, unit } = &self.options.time else {
            return Ok(());
        };
        if text == "null" {
            return Ok(());
        }
        // A number may also stand in quotes; a date always does.
        let unquoted: std::borrow::Cow<'_, str> = if text.starts_with('"') {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            text.into()
        };
        let time = time::parse(&unquoted, *unit).map_err(|problem| {
            format!(
                "the time field `{name}` is {}, which {problem}",
                shorten(text)
            )
        })?;
        if self.time.replace(time).is_some() {
            return Err(twice(name));
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: Scalar<'de>) -> Result<(), String> {
        if matches!(&self.options.device_id, DeviceSource::Field(field) if field == name) {
            let device = device_of(name, value)?;
            return match self.device.replace(device) {
                Some(_) => Err(twice(name)),
                None => Ok(()),
            };
        }
        if self.options.dimensions.iter().any(|field| field == name) {
            let text = text_of(value);
            self.dimensions
                .push((self.names.share(name), Arc::from(text.as_ref())));
            return Ok(());
        }
        let value = measure(name, value, self.options.types.get(name).copied())?;
        self.measures.push((self.names.share(name), value));
        Ok(())
    }
}

impl Object<'_> {
    /// The reading; `None` where there is nothing measured in it.
    fn finish(
        mut self,
        shard: &ShardId,
        record: &Record,
        index: usize,
    ) -> Result<Option<Reading>, String> {
        let device = match &self.options.device_id {
            DeviceSource::Field(name) => self
                .device
                .ok_or_else(|| format!("the device id field `{name}` is missing"))?,
            DeviceSource::PartitionKey => record
                .partition_key
                .as_ref()
                .map(|key| DeviceId::from(key.as_str()))
                .ok_or("the record has no partition key to take the device id from")?,
            DeviceSource::Constant(device) => device.clone(),
        };
        let time = match &self.options.time {
            TimeSource::Field { name, .. } => self
                .time
                .ok_or_else(|| format!("the time field `{name}` is missing"))?,
            TimeSource::Arrival => EpochNanos::from_millis(record.arrival.0)
                .ok_or("the record's arrival time lies outside the years 1677 to 2262")?,
        };
        self.measures.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.dimensions.sort_by(|(a, _), (b, _)| a.cmp(b));
        let repeated = repeated(&self.measures).or_else(|| repeated(&self.dimensions));
        if let Some(name) = repeated {
            return Err(twice(name));
        }
        if self.measures.is_empty() {
            return Ok(None);
        }
        Ok(Some(Reading {
            device,
            time,
            measures: self.measures,
            dimensions: self.dimensions,
            shard: shard.clone(),
            position: Position {
                seq: record.seq.clone(),
                sub: 0,
                index: u32::try_from(index).map_err(|_| "too many readings in one record")?,
            },
            arrival: record.arrival,
        }))
    }
}

fn repeated<V>(sorted: &[(Arc<str>, V)]) -> Option<&str> {
    sorted
        .windows(2)
        .find(|pair| pair[0].0 == pair[1].0)
        .map(|pair| pair[0].0.as_ref())
}

fn twice(name: &str) -> String {
    format!("the field `{}` stands twice", shorten(name))
}

/// Reasons are read by people: a field's name or value of megabytes is cut.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn device_of(name: &str, value: Scalar<'_>) -> Result<DeviceId, String> {
    match value {
        Scalar::Text(text) if text.is_empty() => {
            Err(format!("the device id field `{name}` is empty"))
        }
        Scalar::Text(text) => Ok(DeviceId::from(text.as_ref())),
        Scalar::Unsigned(number) => Ok(DeviceId::from(number.to_string())),
        Scalar::Signed(number) => Ok(DeviceId::from(number.to_string())),
        Scalar::Bool(_) | Scalar::Double(_) => Err(format!(
            "the device id field `{name}` is neither text nor a whole number"
        )),
    }
}

fn text_of(value: Scalar<'_>) -> std::borrow::Cow<'_, str> {
    match value {
        Scalar::Bool(value) => value.to_string().into(),
        Scalar::Unsigned(value) => value.to_string().into(),
        Scalar::Signed(value) => value.to_string().into(),
        Scalar::Double(value) => value.to_string().into(),
        Scalar::Text(text) => text,
    }
}

fn measure(name: &str, value: Scalar<'_>, declared: Option<FieldType>) -> Result<Value, String> {
    match declared {
        Some(FieldType::Text) => return Ok(Value::Text(Arc::from(text_of(value).as_ref()))),
        Some(FieldType::Int) => return whole(name, &value).map(Value::Int),
        Some(FieldType::Float) if matches!(value, Scalar::Bool(_) | Scalar::Text(_)) => {
            return Err(format!("the field `{}` is not a number", shorten(name)));
        }
        Some(FieldType::Float) | None => {}
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers are doubles unless declared otherwise, as in JavaScript"
    )]
    let value = match value {
        Scalar::Bool(value) => Value::Bool(value),
        Scalar::Unsigned(number) => Value::Double(number as f64),
        Scalar::Signed(number) => Value::Double(number as f64),
        Scalar::Double(number) if !number.is_finite() => {
            return Err(format!(
                "the field `{}` is not a finite number",
                shorten(name)
            ));
        }
        Scalar::Double(number) => Value::Double(number),
        Scalar::Text(text) => Value::Text(Arc::from(text.as_ref())),
    };
    Ok(value)
}

fn whole(name: &str, value: &Scalar<'_>) -> Result<i64, String> {
    /// Doubles up to here count by one.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = match value {
        Scalar::Unsigned(number) => i64::try_from(*number).ok(),
        Scalar::Signed(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Scalar::Double(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            Some(*number as i64)
        }
        _ => None,
    };
    number.ok_or_else(|| {
        format!(
            "the field `{}` is not a whole number of 64 bits",
            shorten(name)
        )
    })
}
