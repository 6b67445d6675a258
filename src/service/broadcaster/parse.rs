//! What a message on the live queue says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::model::message::{ControlKind, VERSION, WireReading};
use crate::model::{ConnectionId, EpochMillis, EpochNanos, SequenceNumber, Value};

/// A message understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Readings; one that is not understood costs only itself.
    Readings {
        /// Those understood.
        taken: Vec<WireReading>,
        /// How many were not.
        unreadable: u64,
    },
    /// A connection's row changed.
    Changed(ConnectionId),
}

/// A message that says nothing to us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rubbish {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// Written by a later release.
    #[error("version {0}, while {VERSION} is understood")]
    Version(u32),
    /// Neither readings, nor a control message, nor a flat object with a device.
    #[error("neither readings, nor a control message, nor an object with `device_id`")]
    Unknown,
}

/// The fields by which kinds of message are told apart.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    v: Option<u32>,
    #[serde(default, borrow)]
    readings: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    control: Option<ControlKind>,
    #[serde(default)]
    connection: Option<ConnectionId>,
}

/// Reads a message of either format. `count` numbers readings of the `single` format, which carries
/// no position: what comes later counts as later.
///
/// # Errors
///
/// [`Rubbish`] where nothing in it can be used.
pub fn parse(body: &str, wall: EpochMillis, count: &mut u64) -> Result<Parsed, Rubbish> {
    match serde_json::from_str::<Envelope<'_>>(body) {
        Ok(Envelope {
            v: Some(v),
            readings,
            control,
            ..
        }) if v != VERSION && (readings.is_some() || control.is_some()) => Err(Rubbish::Version(v)),
        Ok(Envelope {
            control: Some(ControlKind::Changed),
            connection: Some(id),
            ..
        }) => Ok(Parsed::Changed(id)),
        Ok(Envelope {
            v: Some(_),
            readings: Some(raw),
            ..
        }) => {
            let total = raw.len();
            let taken: Vec<WireReading> = raw
                .into_iter()
                .filter_map(|one| serde_json::from_str(one.get()).ok())
                .filter(|reading: &WireReading| !reading.measures.is_empty())
                .collect();
            let unreadable = (total - taken.len()) as u64;
            Ok(Parsed::Readings { taken, unreadable })
        }
        // Any object may be a flat one, whatever its fields of those names are.
        Ok(_) | Err(_) => single(body, wall, count),
    }
}

/// One flat object: `device_id`, often `ts` in milliseconds, and what else is a number, text, or
/// true or false is a measure. The format does not say what is a dimension, nor when Kinesis took
/// the record: the time of receipt stands in.
fn single(body: &str, wall: EpochMillis, count: &mut u64) -> Result<Parsed, Rubbish> {
    let mut object: Map<String, Json> =
        serde_json::from_str(body).map_err(|error| Rubbish::NotAnObject(error.to_string()))?;
    let device = match object.remove("device_id") {
        Some(Json::String(text)) if !text.is_empty() => text,
        Some(Json::Number(number)) => number.to_string(),
        _ => return Err(Rubbish::Unknown),
    };
    let stated = object
        .get("ts")
        .and_then(Json::as_i64)
        .and_then(EpochNanos::from_millis);
    if stated.is_some() {
        object.remove("ts");
    }
    let measures: BTreeMap<Arc<str>, Value> = object
        .into_iter()
        .filter_map(|(name, value)| Some((Arc::from(name), measure(value)?)))
        .collect();
    if measures.is_empty() {
        return Err(Rubbish::Unknown);
    }
    *count += 1;
    let seq: SequenceNumber = count
        .to_string()
        .parse()
        .expect("digits are a sequence number");
    let taken = vec![WireReading {
        device_id: device.into(),
        time_ns: stated
            .or_else(|| EpochNanos::from_millis(wall.0))
            .unwrap_or_default(),
        measures,
        dimensions: BTreeMap::new(),
        shard: "".into(),
        seq,
        sub: 0,
        i: 0,
        arrival_ms: wall,
    }];
    Ok(Parsed::Readings {
        taken,
        unreadable: 0,
    })
}

fn measure(value: Json) -> Option<Value> {
    match value {
        Json::Bool(value) => Some(Value::Bool(value)),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_f64().map(Value::Double)),
        Json::String(text) => Some(Value::Text(text.into())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
