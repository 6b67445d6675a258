//! The messages that travel from worker to broadcaster over SQS, `queue.format = "packed"`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{ConnectionId, DeviceId, ShardId};
use super::position::{Position, SequenceNumber};
use super::reading::{Reading, Value};
use super::time::{EpochMillis, EpochNanos};
use super::trace::Followed;

/// The version both kinds of message carry in `v`.
pub const VERSION: u32 = 1;

/// A reading as it travels; `seq` and `time_ns` are text because they exceed 2^53.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireReading {
    /// The device.
    pub device_id: DeviceId,
    /// Event time, nanoseconds since the epoch.
    #[serde(with = "nanos_as_text")]
    pub time_ns: EpochNanos,
    /// Measures by name.
    pub measures: BTreeMap<Arc<str>, Value>,
    /// Dimensions by name; left out where there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Arc<str>, Arc<str>>,
    /// The shard it was read from.
    pub shard: ShardId,
    /// The Kinesis record; compare by length, then by text.
    pub seq: SequenceNumber,
    /// The user record within an aggregate.
    pub sub: u64,
    /// The reading within the record.
    pub i: u32,
    /// Kinesis's approximate arrival time, milliseconds since the epoch.
    pub arrival_ms: EpochMillis,
    /// Its trace, where it is followed: what the message's attribute said, no part of the text.
    #[serde(skip)]
    pub trace: Option<Arc<Followed>>,
}

impl WireReading {
    /// Its place in its shard: by it a viewer drops what it has seen.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            seq: self.seq.clone(),
            sub: self.sub,
            index: self.i,
        }
    }
}

impl From<&Reading> for WireReading {
    fn from(reading: &Reading) -> Self {
        Self {
            device_id: reading.device.clone(),
            time_ns: reading.time,
            measures: reading.measures.iter().cloned().collect(),
            dimensions: reading.dimensions.iter().cloned().collect(),
            shard: reading.shard.clone(),
            seq: reading.position.seq.clone(),
            sub: reading.position.sub,
            i: reading.position.index,
            arrival_ms: reading.arrival,
            trace: None,
        }
    }
}

/// One SQS message of readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Packed {
    /// [`VERSION`].
    pub v: u32,
    /// The readings, in stream order within each shard.
    pub readings: Vec<WireReading>,
}

/// One SQS message that tells the broadcaster to read a connection's row at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// [`VERSION`].
    pub v: u32,
    /// Always `changed`.
    pub control: ControlKind,
    /// Whose row changed.
    pub connection: ConnectionId,
}

/// What a [`Control`] message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlKind {
    /// The row was written or deleted.
    Changed,
}

/// Either kind of message, told apart by the field `control`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// A changed connection.
    Control(Control),
    /// Readings.
    Packed(Packed),
}

/// Names that every flat message has.
const FIXED: [&str; 2] = ["device_id", "ts"];

/// The names that dimensions, then measures have in a flat message (`single`), in the order given.
/// No two are equal and none is a fixed field's, so that nothing is lost: a name that is free keeps
/// its own, dimensions before measures; another gets `dimension_` or `measure_` before it, as often
/// as it takes.
pub fn flat_names<'a>(
    dimensions: impl Iterator<Item = &'a str>,
    measures: impl Iterator<Item = &'a str>,
) -> Vec<Cow<'a, str>> {
    let wished = dimensions
        .map(|name| ("dimension_", name))
        .chain(measures.map(|name| ("measure_", name)));
    let mut taken: BTreeSet<Cow<'a, str>> = FIXED.into_iter().map(Cow::Borrowed).collect();
    let mut names: Vec<(&str, Cow<'a, str>, bool)> = wished
        .map(|(prefix, name)| {
            let own = Cow::Borrowed(name);
            let is_free = taken.insert(own.clone());
            (prefix, own, is_free)
        })
        .collect();
    for (prefix, name, is_free) in &mut names {
        while !*is_free {
            *name = Cow::Owned(format!("{prefix}{name}"));
            *is_free = taken.insert(name.clone());
        }
    }
    names.into_iter().map(|(_, name, _)| name).collect()
}

mod nanos_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::EpochNanos;

    pub(super) fn serialize<S: Serializer>(time: &EpochNanos, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EpochNanos, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map(EpochNanos)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_two_names_are_equal_and_none_is_dropped(
            dimensions in prop::collection::vec("((dimension_|measure_){0,2}(ts|device_id|a))", 0..6),
            measures in prop::collection::vec("((dimension_|measure_){0,2}(ts|device_id|a))", 0..6),
        ) {
            let names = flat_names(
                dimensions.iter().map(String::as_str),
                measures.iter().map(String::as_str),
            );
            prop_assert_eq!(names.len(), dimensions.len() + measures.len());
            let all = names.iter().map(|name| &**name).chain(FIXED);
            let distinct: BTreeSet<&str> = all.collect();
            prop_assert_eq!(distinct.len(), names.len() + FIXED.len());
            for (name, own) in names.iter().zip(dimensions.iter().chain(&measures)) {
                prop_assert!(name.ends_with(own.as_str()), "{} for {}", name, own);
            }
        }
    }

    #[test]
    fn a_name_that_is_free_stays_whatever_stands_before_it() {
        let names = flat_names(
            ["site", "ts"].into_iter(),
            ["ts", "measure_ts", "site"].into_iter(),
        );
        assert_eq!(
            names,
            [
                "site",
                "dimension_ts",
                "measure_measure_ts",
                "measure_ts",
                "measure_site"
            ]
        );
    }
}
