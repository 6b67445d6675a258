//! SenML (RFC 8428): packs of records, each a measure of a device at a time, with base values
//! that hold from one record on until another sets them.
//!
//! Records of one device and time that follow each other are one reading. The device is the base
//! name, the measure the name; where the name is empty, the measure is called by its unit, and
//! where there is no base name, the name is the device.

mod cbor;
mod entry;
mod json;

use std::collections::BTreeSet;

use super::object::Work;
use super::value::Scalar;
use super::{DeviceSource, Units, time};
use crate::model::{DeviceId, EpochNanos};

use super::flat::Fields as _;
use entry::{Amount, Entry};

/// The version of the format that is understood (RFC 8428, 4.4 and 12.3).
const VERSION: i128 = 10;

/// Times below are relative to now (RFC 8428, 4.5.3): 2^28 seconds.
const ABSOLUTE_FROM_NANOS: i128 = (1 << 28) * 1_000_000_000;

/// What a measure without name and unit is called.
const UNNAMED: &str = "value";

/// Decodes one payload. A pack is an array, which begins with `[` in JSON; in CBOR that byte would
/// begin a string, as would the `{` of a record without a pack.
pub(super) fn decode(work: &mut Work<'_>, payload: &[u8]) -> Result<(), String> {
    let mut pack = Pack::new(work);
    if matches!(payload.trim_ascii_start().first(), Some(b'[' | b'{')) {
        json::read(payload, &mut pack)?;
    } else {
        cbor::read(payload, &mut pack)?;
    }
    pack.flush()
}

/// A pack while its records go by.
struct Pack<'w, 'a> {
    work: &'w mut Work<'a>,
    bases: Bases,
    records: usize,
    group: Option<Group>,
}

/// The base values in force.
#[derive(Default)]
struct Bases {
    name: String,
    time: i128,
    unit: Option<String>,
    value: Option<Amount>,
    sum: Option<Amount>,
}

/// Records of one device and time.
struct Group {
    device: String,
    nanos: i128,
    names: BTreeSet<String>,
    measures: Vec<(String, Scalar<'static>)>,
}

impl<'w, 'a> Pack<'w, 'a> {
    fn new(work: &'w mut Work<'a>) -> Self {
        Self {
            work,
            bases: Bases::default(),
            records: 0,
            group: None,
        }
    }

    /// Takes the next record.
    fn record(&mut self, entry: Entry) -> Result<(), String> {
        self.records += 1;
        self.resolve(entry)
            .map_err(|why| format!("record {} of the pack: {why}", self.records))
    }

    fn resolve(&mut self, entry: Entry) -> Result<(), String> {
        if let Some(version) = entry.base_version.filter(|version| *version > VERSION) {
            return Err(format!(
                "its version is {version}, and up to {VERSION} is understood"
            ));
        }
        let bases = &mut self.bases;
        if let Some(name) = entry.base_name {
            bases.name = name;
        }
        if let Some(time) = &entry.base_time {
            bases.time = seconds(time)?;
        }
        bases.unit = entry.base_unit.or(bases.unit.take());
        bases.value = entry.base_value.or(bases.value);
        bases.sum = entry.base_sum.or(bases.sum);
        let unit = entry.unit.or_else(|| bases.unit.clone());
        let time = entry.time.as_deref().map_or(Ok(0), seconds)?;
        let nanos = bases.time.saturating_add(time);
        let value = match (entry.value, entry.other) {
            (Some(_), Some(_)) => return Err("it has more than one value".to_owned()),
            (Some(value), None) => Some(value.plus(bases.value)),
            (None, other) => other,
        };
        let sum = entry
            .sum
            .map(|sum| sum.plus(bases.sum))
            .or_else(|| value.as_ref().and(bases.sum).map(Amount::into_scalar));
        let name = entry.name.unwrap_or_default();
        if value.is_none() && sum.is_none() {
            // Base values alone, which hold for the records that follow.
            return Ok(());
        }
        if bases.name.is_empty() && name.is_empty() {
            return Err("it has neither a name nor a base name".to_owned());
        }
        let (device, measure) = self.names(name, unit.as_deref());
        if let Some(value) = value {
            self.measured(&device, nanos, measure.clone(), value)?;
        }
        if let Some(sum) = sum {
            let measure = format!("{measure}{}sum", self.work.options.separator);
            self.measured(&device, nanos, measure, sum)?;
        }
        Ok(())
    }

    /// The device and the measure that a record is about.
    fn names(&self, name: String, unit: Option<&str>) -> (String, String) {
        let options = self.work.options;
        let suffixed = |measure: String| match (options.units, unit) {
            (Units::Suffix, Some(unit)) => format!("{measure}_{unit}"),
            _ => measure,
        };
        let nameless = || unit.unwrap_or(UNNAMED).to_owned();
        let base = &self.bases.name;
        if options.device_id != DeviceSource::Name {
            return (String::new(), suffixed(format!("{base}{name}")));
        }
        if base.is_empty() {
            return (name, nameless());
        }
        // What joins a base name to names is no part of the device's own.
        let device = base.strip_suffix([':', '/', '.', '-', '_']).unwrap_or(base);
        let measure = if name.is_empty() {
            nameless()
        } else {
            suffixed(name)
        };
        (device.to_owned(), measure)
    }

    fn measured(
        &mut self,
        device: &str,
        nanos: i128,
        measure: String,
        value: Scalar<'static>,
    ) -> Result<(), String> {
        let goes_with = |group: &Group| {
            group.device == device && group.nanos == nanos && !group.names.contains(&measure)
        };
        if !self.group.as_ref().is_some_and(goes_with) {
            self.flush()?;
        }
        let group = self.group.get_or_insert_with(|| Group {
            device: device.to_owned(),
            nanos,
            names: BTreeSet::new(),
            measures: Vec::new(),
        });
        group.names.insert(measure.clone());
        group.measures.push((measure, value));
        Ok(())
    }

    /// The records gathered become a reading.
    fn flush(&mut self) -> Result<(), String> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let arrival = self.work.arrival()?;
        let nanos = if group.nanos < ABSOLUTE_FROM_NANOS {
            group.nanos.saturating_add(i128::from(arrival.0))
        } else {
            group.nanos
        };
        let time = time::of_nanos(nanos);
        let shown = || format!("the time is {nanos} ns");
        // Now is when the record arrived, and that is plausible.
        let time = match time {
            Ok(EpochNanos(now)) if group.nanos == 0 => EpochNanos(now),
            time => self.work.plausible(time, shown)?,
        };
        let mut object = self.work.object()?;
        if object.options().device_id == DeviceSource::Name {
            object.device_is("n", DeviceId::from(group.device))?;
        }
        object.time_is(time)?;
        for (name, value) in group.measures {
            object.named(name.len())?;
            object.field(&name, value)?;
        }
        object.finish()
    }
}

fn seconds(text: &str) -> Result<i128, String> {
    time::decimal(text, 9).map_err(|why| format!("its time is {text}, which {why}"))
}
