//! The bodies of SQS messages: built by joining what was written once for each reading.

use std::sync::Arc;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::unit::Prepared;
use crate::model::message::flat_names;
use crate::model::{Outgoing, Reading};

/// What a queue's messages look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Many readings a message: [`crate::model::message::Packed`].
    #[default]
    Packed,
    /// One flat JSON object a message: `device_id`, `ts` in milliseconds, dimensions, measures.
    Single,
}

/// Bytes that most readings take in a message: room for it is made beforehand.
const READING_BYTES: usize = 640;

/// Around the readings of a packed message.
const PACKED_BEFORE: &str = r#"{"v":1,"readings":["#;
const PACKED_AFTER: &str = "]}";

/// Bytes of a packed message besides its readings and the commas after them.
pub(super) const PACKED_ENVELOPE: usize = PACKED_BEFORE.len() + PACKED_AFTER.len();

impl Format {
    /// A reading's form in a message of this format: valid XML 1.0, as SQS demands of bodies.
    #[must_use]
    pub fn write(self, reading: &Reading) -> Box<str> {
        let mut json = Vec::with_capacity(READING_BYTES);
        let written = match self {
            Self::Packed => serde_json::to_writer(&mut json, &Wire(reading)),
            Self::Single => serde_json::to_writer(&mut json, &Flat(reading)),
        };
        written.expect("a reading has only text keys, and memory takes any bytes");
        let json = String::from_utf8(json).expect("JSON is text");
        escape_for_sqs(json).into_boxed_str()
    }

    /// The messages that carry these readings; `grouped`: each says whose it is, which is for
    /// messages of one reading only.
    #[must_use]
    pub fn messages(self, batch: &[Arc<Prepared>], grouped: bool) -> Vec<Outgoing> {
        let mut messages: Vec<Outgoing> =
            self.bodies(batch).into_iter().map(Outgoing::from).collect();
        if self == Self::Single && grouped {
            for (message, one) in messages.iter_mut().zip(batch) {
                let Reading {
                    device,
                    shard,
                    position,
                    ..
                } = &one.reading;
                let (seq, sub, index) = (&position.seq, position.sub, position.index);
                message.group = Some(device.as_str().to_owned());
                message.once = Some(format!("{shard}:{seq}:{sub}:{index}"));
            }
        }
        messages
    }

    /// The bodies that carry these readings.
    #[must_use]
    pub fn bodies(self, batch: &[Arc<Prepared>]) -> Vec<String> {
        match self {
            Self::Single => batch.iter().map(|one| one.live.to_string()).collect(),
            Self::Packed => {
                let bytes: usize = batch.iter().map(|one| one.live.len() + 1).sum();
                let mut body = String::with_capacity(bytes + PACKED_ENVELOPE);
                body.push_str(PACKED_BEFORE);
                for (index, one) in batch.iter().enumerate() {
                    if index > 0 {
                        body.push(',');
                    }
                    body.push_str(&one.live);
                }
                body.push_str(PACKED_AFTER);
                vec![body]
            }
        }
    }
}

/// Escapes in JSON text what SQS refuses in a body (AWS, `SendMessage`: XML 1.0 characters only).
/// `serde_json` escapes control characters itself; of the rest only U+FFFE and U+FFFF are left,
/// which can stand nowhere but within strings.
#[must_use]
pub fn escape_for_sqs(json: String) -> String {
    // Both begin with this byte in UTF-8, and few texts have it at all: the search for a byte is
    // many times as fast as that for characters.
    let may_hold = json.as_bytes().contains(&0xef);
    if may_hold && json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

/// A reading as [`crate::model::message::WireReading`] has it, without building one.
struct Wire<'a>(&'a Reading);

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let reading = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("device_id", &reading.device)?;
        map.serialize_entry("time_ns", &Text(reading.time))?;
        map.serialize_entry("measures", &Pairs(&reading.measures))?;
        if !reading.dimensions.is_empty() {
            map.serialize_entry("dimensions", &Pairs(&reading.dimensions))?;
        }
        map.serialize_entry("shard", &reading.shard)?;
        map.serialize_entry("seq", &reading.position.seq)?;
        map.serialize_entry("sub", &reading.position.sub)?;
        map.serialize_entry("i", &reading.position.index)?;
        map.serialize_entry("arrival_ms", &reading.arrival)?;
        map.end()
    }
}

struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

struct Pairs<'a, V>(&'a [(Arc<str>, V)]);

impl<V: Serialize> Serialize for Pairs<'_, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// One flat object, as the well-known broadcast Lambda understands it.
struct Flat<'a>(&'a Reading);

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        const NANOS_PER_MILLI: i64 = 1_000_000;
        let reading = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("device_id", &reading.device)?;
        map.serialize_entry("ts", &reading.time.0.div_euclid(NANOS_PER_MILLI))?;
        let names = flat_names(
            reading.dimensions.iter().map(|(name, _)| &**name),
            reading.measures.iter().map(|(name, _)| &**name),
        );
        let (of_dimensions, of_measures) = names.split_at(reading.dimensions.len());
        for (name, (_, text)) in of_dimensions.iter().zip(&reading.dimensions) {
            map.serialize_entry(name, text)?;
        }
        for (name, (_, value)) in of_measures.iter().zip(&reading.measures) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::message::{Packed, WireReading};
    use crate::model::{DeviceId, EpochMillis, EpochNanos, Position, ShardId, Value};

    fn reading(device: &str, text: &str) -> Reading {
        Reading {
            device: DeviceId::from(device),
            time: EpochNanos(1_372_896_000_123_456_789),
            measures: vec![
                (Arc::from("a"), Value::Double(1.5)),
                (Arc::from("ts"), Value::Text(Arc::from(text))),
            ],
            dimensions: vec![(Arc::from("site"), Arc::from(text))],
            shard: ShardId::from("shardId-000000000001"),
            position: Position {
                seq: "123".parse().unwrap(),
                sub: 0,
                index: 2,
            },
            arrival: EpochMillis(5),
        }
    }

    fn prepared(reading: &Reading, format: Format) -> Arc<Prepared> {
        Arc::new(Prepared {
            live: format.write(reading),
            reading: reading.clone(),
            stores: Box::default(),
            expires: None,
            trace: None,
        })
    }

    #[test]
    fn a_single_message_is_one_flat_object() {
        let one = prepared(&reading("pump-1", "on"), Format::Single);
        assert_eq!(
            Format::Single.bodies(&[one]),
            [r#"{"device_id":"pump-1","ts":1372896000123,"site":"on","a":1.5,"measure_ts":"on"}"#]
        );
    }

    #[test]
    fn a_single_message_has_no_name_twice() {
        let mut reading = reading("pump-1", "on");
        reading
            .measures
            .push((Arc::from("measure_ts"), Value::Bool(true)));
        reading.dimensions.push((Arc::from("ts"), Arc::from("x")));
        let text = Format::Single.write(&reading);
        let all: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
        assert_eq!(
            all.len(),
            2 + reading.measures.len() + reading.dimensions.len()
        );
        assert_eq!(text.matches("\":").count(), all.len(), "{text}");
    }

    proptest! {
        #[test]
        fn a_packed_message_reads_back_and_holds_only_what_sqs_takes(
            device in any::<String>(), text in any::<String>(), odd in "[\u{fffe}\u{ffff}\u{0}\u{7f}\n]{0,3}",
        ) {
            let readings = [reading(&device, &text), reading(&odd, &odd)];
            let batch: Vec<_> = readings.iter().map(|r| prepared(r, Format::Packed)).collect();
            let bodies = Format::Packed.bodies(&batch);
            prop_assert_eq!(bodies.len(), 1);
            let valid = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}'
                | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(bodies[0].chars().all(valid));
            let packed: Packed = serde_json::from_str(&bodies[0]).unwrap();
            let expected: Vec<WireReading> = readings.iter().map(WireReading::from).collect();
            prop_assert_eq!(packed.readings, expected);
        }
    }
}
