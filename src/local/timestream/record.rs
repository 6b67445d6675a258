//! From a record as sent to one that may be stored: common attributes merged, names and values
//! checked. A finding here costs the whole request, as on AWS, which names no index either.
//!
//! The limits are those of the page "Quotas" (`ts-limits`) of Timestream's developer guide.

use std::collections::BTreeSet;

use super::wire::{Kind, Refusal, WireDimension, WireMeasure, WireRecord};

/// Records in one `WriteRecords`.
pub(super) const RECORDS_MAX: usize = 100;
/// Bytes of one record: 8 for the time, names and values as text, 8 a number, 1 a boolean.
const RECORD_BYTES_MAX: usize = 2048;
/// Bytes of all dimension names and values of one record.
const SERIES_BYTES_MAX: usize = 2048;
/// Dimensions of one record.
const DIMENSIONS_MAX: usize = 128;
const DIMENSION_NAME_MAX: usize = 60;
const MEASURE_NAME_MAX: usize = 256;
/// Measures of one MULTI record.
const MEASURES_MAX: usize = 256;
/// Bytes of one value, and of all values of one MULTI record.
const VALUE_BYTES_MAX: usize = 2048;
const TIME_BYTES_MAX: usize = 256;
/// Names of columns that every table has.
const RESERVED: [&str; 3] = ["time", "measure_value", "ts_non_existent_col"];
const RESERVED_PREFIXES: [&str; 2] = ["ts_", "measure_name"];

/// A value in its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Double(f64),
    Bigint(i64),
    Varchar(String),
    Boolean(bool),
    /// Nanoseconds since the epoch.
    Timestamp(i64),
}

impl Value {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Double(_) => Kind::Double,
            Self::Bigint(_) => Kind::Bigint,
            Self::Varchar(_) => Kind::Varchar,
            Self::Boolean(_) => Kind::Boolean,
            Self::Timestamp(_) => Kind::Timestamp,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Double(_) | Self::Bigint(_) | Self::Timestamp(_) => 8,
            Self::Varchar(text) => text.len(),
            Self::Boolean(_) => 1,
        }
    }
}

/// What a record measures.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Scalar(Value),
    /// Sorted by name.
    Multi(Vec<(String, Value)>),
}

/// A record fit to be stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Sorted by name: the identity of the series.
    pub(super) dimensions: Vec<(String, String)>,
    pub(super) time_ns: i64,
    pub(super) measure_name: String,
    pub(super) content: Content,
    /// 1 where none was sent.
    pub(super) version: i64,
}

/// Merges and checks the records of one request.
pub(super) fn records(
    common: &WireRecord,
    records: Vec<WireRecord>,
) -> Result<Vec<Record>, Refusal> {
    if records.is_empty() || records.len() > RECORDS_MAX {
        return Err(invalid(format!(
            "1 validation error detected: Value at 'records' failed to satisfy constraint: \
             Member must have length between 1 and {RECORDS_MAX}, not {}",
            records.len()
        )));
    }
    records
        .into_iter()
        .map(|sent| record(common, sent))
        .collect()
}

fn record(common: &WireRecord, sent: WireRecord) -> Result<Record, Refusal> {
    let dimensions = dimensions(&common.dimensions, sent.dimensions)?;
    let unit = sent.time_unit.or(common.time_unit).unwrap_or_default();
    let time = sent.time.as_ref().or(common.time.as_ref());
    let time = time.ok_or_else(|| invalid("a record has no Time"))?;
    let time_ns = nanoseconds(time, unit.nanoseconds())?;
    let measure_name = sent.measure_name.or_else(|| common.measure_name.clone());
    let measure_name = measure_name.ok_or_else(|| invalid("a record has no MeasureName"))?;
    name("measure", &measure_name, MEASURE_NAME_MAX)?;
    let version = sent.version.or(common.version).unwrap_or(1);
    if version < 1 {
        return Err(invalid(format!(
            "Version must be 1 or higher, not {version}"
        )));
    }
    let kind = sent
        .measure_value_type
        .or(common.measure_value_type)
        .unwrap_or(Kind::Double);
    let scalar = sent.measure_value.or_else(|| common.measure_value.clone());
    let multi = if sent.measure_values.is_empty() {
        common.measure_values.clone()
    } else {
        sent.measure_values
    };
    let content = match (kind, scalar) {
        (Kind::Multi, None) => Content::Multi(measures(multi, unit.nanoseconds())?),
        (Kind::Multi, Some(_)) => return Err(invalid("a MULTI record has a MeasureValue")),
        (Kind::Timestamp, _) => {
            return Err(invalid(
                "the type TIMESTAMP is only for measures of a MULTI record",
            ));
        }
        (_, None) => return Err(invalid("a record has no MeasureValue")),
        (_, Some(_)) if !multi.is_empty() => {
            return Err(invalid("only a MULTI record has MeasureValues"));
        }
        (kind, Some(text)) => Content::Scalar(value(&text, kind, 1)?),
    };
    let record = Record {
        dimensions,
        time_ns,
        measure_name,
        content,
        version,
    };
    whole(&record)?;
    Ok(record)
}

fn dimensions(
    common: &[WireDimension],
    own: Vec<WireDimension>,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut all: Vec<(String, String)> = Vec::with_capacity(common.len() + own.len());
    for dimension in common.iter().cloned().chain(own) {
        name("dimension", &dimension.name, DIMENSION_NAME_MAX)?;
        if dimension.name.contains(':') {
            return Err(invalid(format!(
                "the dimension name {:?} has a colon",
                dimension.name
            )));
        }
        if dimension.value.is_empty() {
            return Err(invalid(format!(
                "the dimension {:?} has no value",
                dimension.name
            )));
        }
        if dimension
            .dimension_value_type
            .is_some_and(|kind| kind != "VARCHAR")
        {
            return Err(invalid(format!(
                "the dimension {:?} is no VARCHAR",
                dimension.name
            )));
        }
        all.push((dimension.name, dimension.value));
    }
    if all.len() > DIMENSIONS_MAX {
        return Err(invalid(format!(
            "a record has more than {DIMENSIONS_MAX} dimensions"
        )));
    }
    let bytes: usize = all
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > SERIES_BYTES_MAX {
        return Err(invalid(format!(
            "a record's dimensions take {bytes} bytes, over {SERIES_BYTES_MAX}"
        )));
    }
    all.sort();
    match all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(invalid(format!(
            "the dimension {:?} is given twice, in a record or in it and the common attributes",
            pair[0].0
        ))),
        None => Ok(all),
    }
}

fn measures(sent: Vec<WireMeasure>, unit: i128) -> Result<Vec<(String, Value)>, Refusal> {
    if sent.is_empty() || sent.len() > MEASURES_MAX {
        return Err(invalid(format!(
            "a MULTI record has 1 to {MEASURES_MAX} measures, not {}",
            sent.len()
        )));
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::with_capacity(sent.len());
    for measure in sent {
        name("measure", &measure.name, MEASURE_NAME_MAX)?;
        if !names.insert(measure.name.clone()) {
            return Err(invalid(format!(
                "the measure {:?} is given twice",
                measure.name
            )));
        }
        let value = value(&measure.value, measure.kind, unit)?;
        all.push((measure.name, value));
    }
    let bytes: usize = all.iter().map(|(_, value)| value.bytes()).sum();
    if bytes > VALUE_BYTES_MAX {
        return Err(invalid(format!(
            "a MULTI record's values take {bytes} bytes, over {VALUE_BYTES_MAX}"
        )));
    }
    all.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(all)
}

fn value(text: &str, kind: Kind, unit: i128) -> Result<Value, Refusal> {
    if text.is_empty() || text.len() > VALUE_BYTES_MAX {
        return Err(invalid(format!(
            "a value has 1 to {VALUE_BYTES_MAX} bytes, not {}",
            text.len()
        )));
    }
    let bad = || invalid(format!("{text:?} is no {}", kind.name()));
    match kind {
        Kind::Varchar => Ok(Value::Varchar(text.to_owned())),
        Kind::Bigint => text.parse().map(Value::Bigint).map_err(|_| bad()),
        Kind::Double => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Double(number)),
            _ => Err(bad()),
        },
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
        Kind::Boolean => Err(bad()),
        Kind::Timestamp => nanoseconds(text, unit).map(Value::Timestamp),
        Kind::Multi => Err(invalid("a measure of a MULTI record is MULTI itself")),
    }
}

fn nanoseconds(text: &str, unit: i128) -> Result<i64, Refusal> {
    if text.len() > TIME_BYTES_MAX {
        return Err(invalid(format!("a time has over {TIME_BYTES_MAX} bytes")));
    }
    let number: i128 = text
        .parse()
        .map_err(|_| invalid(format!("{text:?} is no time")))?;
    number
        .checked_mul(unit)
        .and_then(|ns| i64::try_from(ns).ok())
        .ok_or_else(|| invalid(format!("the time {text:?} lies outside 1677 to 2262")))
}

fn name(what: &str, name: &str, bytes_max: usize) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > bytes_max {
        return Err(invalid(format!(
            "a {what} name has 1 to {bytes_max} bytes, not {}",
            name.len()
        )));
    }
    let reserved = RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if reserved {
        return Err(invalid(format!("the {what} name {name:?} is reserved")));
    }
    Ok(())
}

/// What only shows once the record is whole.
fn whole(record: &Record) -> Result<(), Refusal> {
    let mut bytes = 8 + record.measure_name.len();
    bytes += record
        .dimensions
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>();
    match &record.content {
        Content::Scalar(value) => bytes += value.bytes(),
        Content::Multi(measures) => {
            for (name, value) in measures {
                bytes += name.len() + value.bytes();
                if record
                    .dimensions
                    .binary_search_by(|(one, _)| one.cmp(name))
                    .is_ok()
                {
                    return Err(invalid(format!("{name:?} is a dimension and a measure")));
                }
            }
        }
    }
    if bytes > RECORD_BYTES_MAX {
        return Err(invalid(format!(
            "a record takes {bytes} bytes, over {RECORD_BYTES_MAX}"
        )));
    }
    Ok(())
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::Validation(why.into())
}

#[cfg(test)]
mod tests;
