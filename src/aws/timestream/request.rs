//! Readings to `WriteRecords`: sorted by series and time, what all share said once.

use std::borrow::Cow;
use std::sync::Arc;

use aws_sdk_timestreamwrite::types::{Dimension, MeasureValue, MeasureValueType, Record, TimeUnit};

use super::{DEVICE_DIMENSION, Table};
use crate::model::{Reading, Value};

/// A request, ready to be sent.
#[derive(Debug)]
pub(super) struct Request {
    /// What all records share. A dimension stands here or in the records, never in both, which
    /// AWS would refuse; a dimension that only some records have stays in those.
    pub(super) common: Option<Record>,
    /// The records in the order sent.
    pub(super) records: Vec<Record>,
    /// For each record sent, its reading's index in the caller's batch.
    pub(super) order: Vec<usize>,
    /// The distinct `measure_name`s, neighbours compared only.
    pub(super) measure_names: Vec<String>,
}

pub(super) fn build(batch: &[Reading], table: &Table) -> Result<Request, String> {
    let mut order: Vec<usize> = (0..batch.len()).collect();
    // Series first, then time: AWS stores and meters sorted batches best. Stable, so that equal
    // batches make equal requests.
    order.sort_by(|a, b| {
        let series = |i: usize| (&batch[i].device, &batch[i].dimensions, batch[i].time);
        series(*a).cmp(&series(*b))
    });
    let names = batch
        .iter()
        .map(|reading| {
            table
                .measure_name
                .of(reading)
                .ok_or_else(|| "the field that gives the measure name is missing".to_owned())
        })
        .collect::<Result<Vec<_>, _>>()?;
    let shared = Shared::of(batch, &names);
    let mut records = Vec::with_capacity(batch.len());
    for &index in &order {
        let version = table.version_from_arrival.then(|| version(&batch[index]));
        records.push(record(&batch[index], &names[index], &shared, version)?);
    }
    let mut measure_names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    measure_names.dedup();
    Ok(Request {
        common: Some(shared.to_record()?),
        records,
        order,
        measure_names,
    })
}

/// What all readings of a batch share, taken from the first.
struct Shared<'a> {
    device: Option<&'a str>,
    measure_name: Option<&'a str>,
    dimensions: Vec<&'a (Arc<str>, Arc<str>)>,
}

impl<'a> Shared<'a> {
    fn of(batch: &'a [Reading], names: &'a [Cow<'_, str>]) -> Self {
        let Some(first) = batch.first() else {
            return Self {
                device: None,
                measure_name: None,
                dimensions: Vec::new(),
            };
        };
        let is_shared = |dimension: &&(Arc<str>, Arc<str>)| {
            batch
                .iter()
                .all(|reading| reading.dimensions.contains(dimension))
        };
        Self {
            device: batch
                .iter()
                .all(|reading| reading.device == first.device)
                .then(|| first.device.as_str()),
            measure_name: names
                .iter()
                .all(|name| *name == names[0])
                .then(|| &*names[0]),
            dimensions: first.dimensions.iter().filter(is_shared).collect(),
        }
    }

    fn to_record(&self) -> Result<Record, String> {
        let mut common = Record::builder()
            .time_unit(TimeUnit::Nanoseconds)
            .measure_value_type(MeasureValueType::Multi)
            .set_measure_name(self.measure_name.map(str::to_owned));
        if let Some(device) = self.device {
            common = common.dimensions(dimension(DEVICE_DIMENSION, device)?);
        }
        for (name, value) in &self.dimensions {
            common = common.dimensions(dimension(name, value)?);
        }
        Ok(common.build())
    }
}

/// AWS takes versions from 1. A replay has the same arrivals, hence the same versions.
fn version(reading: &Reading) -> i64 {
    reading.arrival.0.max(1)
}

fn record(
    reading: &Reading,
    name: &str,
    shared: &Shared<'_>,
    version: Option<i64>,
) -> Result<Record, String> {
    let mut record = Record::builder()
        .time(reading.time.to_string())
        .set_version(version);
    if shared.measure_name.is_none() {
        record = record.measure_name(name);
    }
    if shared.device.is_none() {
        record = record.dimensions(dimension(DEVICE_DIMENSION, reading.device.as_str())?);
    }
    for own in &reading.dimensions {
        if !shared.dimensions.contains(&own) {
            record = record.dimensions(dimension(&own.0, &own.1)?);
        }
    }
    for (name, value) in &reading.measures {
        let (kind, text) = typed(value);
        let measure = MeasureValue::builder()
            .name(&**name)
            .value(text)
            .r#type(kind)
            .build()
            .map_err(|error| error.to_string())?;
        record = record.measure_values(measure);
    }
    Ok(record.build())
}

fn dimension(name: &str, value: &str) -> Result<Dimension, String> {
    Dimension::builder()
        .name(name)
        .value(value)
        .build()
        .map_err(|error| error.to_string())
}

/// A value's type and text. Rust writes the shortest decimal that reads back as the same f64,
/// never with an exponent, which AWS does not document as accepted.
fn typed(value: &Value) -> (MeasureValueType, String) {
    match value {
        Value::Bool(value) => (MeasureValueType::Boolean, value.to_string()),
        Value::Int(value) => (MeasureValueType::Bigint, value.to_string()),
        Value::Double(value) => (MeasureValueType::Double, value.to_string()),
        Value::Text(value) => (MeasureValueType::Varchar, value.to_string()),
    }
}
