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
    /// Not a JSON object. Where reading stopped, and not the parser's words, which can quote the
    /// whole message: they go into the log.
    #[error("not a JSON object: line {line}, column {column}")]
    NotAnObject {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
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
        serde_json::from_str(body).map_err(|error| Rubbish::NotAnObject {
            line: error.line(),
            column: error.column(),
        })?;
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
        trace: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: EpochMillis = EpochMillis(1_800_000_000_000);

    fn readings(body: &str) -> Vec<WireReading> {
        match parse(body, WALL, &mut 6) {
            Ok(Parsed::Readings { taken, .. }) => taken,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_reading_costs_only_itself() {
        let good = r#"{"device_id":"a","time_ns":"5","measures":{"x":1.5},"shard":"s","seq":"9","sub":0,"i":1,"arrival_ms":7}"#;
        let body = format!(r#"{{"v":1,"readings":[{{"device_id":"b"}},{good},7]}}"#);
        let Ok(Parsed::Readings { taken, unreadable }) = parse(&body, WALL, &mut 0) else {
            panic!("not readings");
        };
        assert_eq!((taken.len(), unreadable), (1, 2));
        assert_eq!(serde_json::to_string(&taken[0]).unwrap(), good);
    }

    #[test]
    fn a_flat_object_is_one_reading() {
        let one = &readings(
            r#"{"device_id":"a","ts":1800000000123,"heat":21,"on":true,"site":"x","v":2.5,"deep":{"a":1}}"#,
        )[0];
        assert_eq!(one.time_ns, EpochNanos(1_800_000_000_123_000_000));
        assert_eq!(one.seq.as_str(), "7", "later messages count as later");
        let measures: Vec<_> = one.measures.keys().map(AsRef::as_ref).collect();
        assert_eq!(measures, ["heat", "on", "site", "v"]);
        assert_eq!(one.arrival_ms, WALL);
    }

    #[test]
    fn a_flat_object_without_a_time_was_measured_when_it_came() {
        let one = &readings(r#"{"device_id":12,"heat":21}"#)[0];
        assert_eq!(one.time_ns, EpochNanos(WALL.0 * 1_000_000));
        assert_eq!(one.device_id.as_str(), "12");
        let odd = &readings(r#"{"device_id":"a","ts":"noon","readings":"none","control":1}"#)[0];
        assert_eq!(odd.measures.len(), 3, "fields of our names may be measures");
    }

    #[test]
    fn rubbish_says_why() {
        let why = |body: &str| parse(body, WALL, &mut 0).unwrap_err();
        assert!(matches!(why("no"), Rubbish::NotAnObject { .. }));
        assert!(matches!(why("[]"), Rubbish::NotAnObject { .. }));
        let said = why(r#""hush""#).to_string();
        assert_eq!(said, "not a JSON object: line 1, column 6", "and no more");
        assert_eq!(why(r#"{"heat":1}"#), Rubbish::Unknown);
        assert_eq!(why(r#"{"device_id":"a"}"#), Rubbish::Unknown);
        assert_eq!(why(r#"{"device_id":"","heat":1}"#), Rubbish::Unknown);
        assert_eq!(why(r#"{"v":2,"readings":[]}"#), Rubbish::Version(2));
        assert_eq!(
            why(r#"{"v":2,"control":"changed","connection":"c"}"#),
            Rubbish::Version(2)
        );
    }
}
