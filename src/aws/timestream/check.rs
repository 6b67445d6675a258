//! Names, sizes and limits, before sending: one reading that breaks a rule would cost a request
//! of a hundred. Rules are AWS's (Timestream quotas and naming constraints). Reserved names are
//! refused, not renamed: a column that is called otherwise than the field would be looked for in
//! vain. What is counted where AWS does not say is counted leniently here: a refusal of ours is
//! final, while one of AWS's is narrowed down to the reading it is about.

use std::fmt::Display;

use super::DEVICE_DIMENSION;
use super::measure_name::{MEASURE_NAME_BYTES_MAX, MeasureName};
use crate::model::{Reading, Value};

/// Measures of a MULTI record.
const MEASURES_MAX: usize = 256;
/// Dimensions of a record, the device's included.
const DIMENSIONS_MAX: usize = 128;
/// Bytes of a dimension's name.
const DIMENSION_NAME_BYTES_MAX: usize = 60;
/// Names and values of all dimensions.
const DIMENSIONS_BYTES_MAX: usize = 2048;
/// A text value.
const TEXT_BYTES_MAX: usize = 2048;
/// All values of a MULTI record, as metered.
const VALUES_BYTES_MAX: usize = 2048;
/// A record: time, dimensions and values; the measures' names belong to the table.
const RECORD_BYTES_MAX: usize = 2048;
/// Bytes a record's time counts.
const TIME_BYTES: usize = 8;

const RESERVED: &[&str] = &["time", "measure_value", "ts_non_existent_col"];
const RESERVED_PREFIXES: &[&str] = &["ts_", "measure_name"];

/// The first rule that a reading breaks.
pub(super) fn check(reading: &Reading, measure_name: &MeasureName) -> Result<(), String> {
    check_measure_name(reading, measure_name)?;
    let dimensions_bytes = check_dimensions(reading)?;
    let values_bytes = check_measures(reading)?;
    let record_bytes = TIME_BYTES + dimensions_bytes + values_bytes;
    at_most(&"the record", record_bytes, RECORD_BYTES_MAX)
}

/// What is wrong with names that every reading would have, one sentence each.
#[must_use]
pub fn wrong_names(dimensions: &[String], measures: &[String]) -> Vec<String> {
    let dimensions = dimensions.iter().map(|name| check_dimension_name(name));
    let measures = measures
        .iter()
        .map(|name| check_name("measure", name, MEASURE_NAME_BYTES_MAX));
    dimensions.chain(measures).filter_map(Result::err).collect()
}

fn check_measure_name(reading: &Reading, measure_name: &MeasureName) -> Result<(), String> {
    if *measure_name == MeasureName::Auto {
        // Shortened where it is too long, and as empty as the measures' names, which are looked at.
        return Ok(());
    }
    let name = measure_name.of(reading);
    let Some(name) = name else {
        let MeasureName::Field(field) = measure_name else {
            return Ok(());
        };
        return Err(format!(
            "no dimension or text measure `{field}`, which should give the measure name"
        ));
    };
    if name.is_empty() {
        return Err("the measure name is empty".to_owned());
    }
    at_most(&"the measure name", name.len(), MEASURE_NAME_BYTES_MAX)
}

fn check_dimensions(reading: &Reading) -> Result<usize, String> {
    let count = reading.dimensions.len() + 1;
    if count > DIMENSIONS_MAX {
        return Err(format!(
            "{count} dimensions; at most {DIMENSIONS_MAX} are allowed"
        ));
    }
    let mut bytes = DEVICE_DIMENSION.len() + reading.device.as_str().len();
    if reading.device.as_str().is_empty() {
        return Err("the device id is empty".to_owned());
    }
    for (name, value) in &reading.dimensions {
        check_dimension_name(name)?;
        if value.is_empty() {
            return Err(format!("dimension `{name}` is empty"));
        }
        bytes += name.len() + value.len();
    }
    at_most(
        &"names and values of all dimensions",
        bytes,
        DIMENSIONS_BYTES_MAX,
    )?;
    Ok(bytes)
}

fn check_measures(reading: &Reading) -> Result<usize, String> {
    let count = reading.measures.len();
    if count == 0 {
        return Err("no measures".to_owned());
    }
    if count > MEASURES_MAX {
        return Err(format!(
            "{count} measures; at most {MEASURES_MAX} are allowed"
        ));
    }
    let mut bytes = 0;
    for (name, value) in &reading.measures {
        check_name("measure", name, MEASURE_NAME_BYTES_MAX)?;
        let is_dimension = &**name == DEVICE_DIMENSION
            || reading
                .dimensions
                .iter()
                .any(|(dimension, _)| dimension == name);
        if is_dimension {
            return Err(format!("`{name}` is both a dimension and a measure"));
        }
        check_value(name, value)?;
        bytes += value.metered_bytes();
    }
    at_most(&"values of all measures", bytes, VALUES_BYTES_MAX)?;
    Ok(bytes)
}

fn check_value(name: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Double(number) if !number.is_finite() => {
            Err(format!("measure `{name}` is not a finite number"))
        }
        Value::Text(text) if text.is_empty() => Err(format!("measure `{name}` is empty")),
        Value::Text(text) => at_most(
            &format_args!("measure `{name}`"),
            text.len(),
            TEXT_BYTES_MAX,
        ),
        _ => Ok(()),
    }
}

fn check_dimension_name(name: &str) -> Result<(), String> {
    check_name("dimension", name, DIMENSION_NAME_BYTES_MAX)?;
    if name == DEVICE_DIMENSION {
        return Err(format!("dimension `{name}` is the device's own"));
    }
    if name.contains(':') {
        return Err(format!("dimension `{name}` has a colon in its name"));
    }
    Ok(())
}

fn check_name(kind: &str, name: &str, bytes_max: usize) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("a {kind} without a name"));
    }
    let is_reserved = RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if is_reserved {
        return Err(format!(
            "{kind} `{name}` has a name that Timestream keeps for itself; rename or leave out the field"
        ));
    }
    at_most(
        &format_args!("the name of {kind} `{name}`"),
        name.len(),
        bytes_max,
    )
}

/// `what` is written only where it is too much: this is asked for each name of each reading.
fn at_most(what: &dyn Display, bytes: usize, bytes_max: usize) -> Result<(), String> {
    if bytes > bytes_max {
        return Err(format!(
            "{what}: {bytes} bytes; at most {bytes_max} are allowed"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::reading;
    use super::*;

    fn refused(change: impl FnOnce(&mut Reading)) -> String {
        let mut reading = reading("d", 1, &[("t", 1.0)]);
        assert_eq!(check(&reading, &MeasureName::Auto), Ok(()));
        change(&mut reading);
        check(&reading, &MeasureName::Auto).unwrap_err()
    }

    fn text(value: &str) -> Value {
        Value::Text(value.into())
    }

    #[test]
    fn each_rule_refuses_with_its_reason() {
        let two_kib = "x".repeat(2049);
        let long = "n".repeat(61);
        let cases: Vec<(String, &str)> = vec![
            (refused(|r| r.device = "".into()), "device id is empty"),
            (refused(|r| r.measures.clear()), "no measures"),
            (
                refused(|r| r.measures[0].0 = "time".into()),
                "keeps for itself",
            ),
            (
                refused(|r| r.measures[0].0 = "ts_x".into()),
                "keeps for itself",
            ),
            (
                refused(|r| r.measures[0].0 = "device_id".into()),
                "both a dimension",
            ),
            (
                refused(|r| r.measures[0].1 = Value::Double(f64::NAN)),
                "finite",
            ),
            (refused(|r| r.measures[0].1 = text("")), "is empty"),
            (refused(|r| r.measures[0].1 = text(&two_kib)), "2049 bytes"),
            (
                refused(|r| r.dimensions = vec![("t".into(), "v".into())]),
                "both a dimension",
            ),
            (
                refused(|r| r.dimensions = vec![("a:b".into(), "v".into())]),
                "colon",
            ),
            (
                refused(|r| r.dimensions = vec![("a".into(), "".into())]),
                "is empty",
            ),
            (
                refused(|r| r.dimensions = vec![("device_id".into(), "v".into())]),
                "own",
            ),
            (
                refused(|r| r.dimensions = vec![(long.as_str().into(), "v".into())]),
                "61 bytes",
            ),
            (
                refused(|r| r.dimensions = vec![("a".into(), two_kib.as_str().into())]),
                "all dimensions",
            ),
        ];
        for (reason, expected) in cases {
            assert!(
                reason.contains(expected),
                "`{reason}` should say `{expected}`"
            );
        }
    }

    #[test]
    fn measures_are_counted_and_weighed() {
        let many = |count: usize| {
            move |r: &mut Reading| {
                r.measures = (0..count)
                    .map(|i| (format!("m{i:03}").into(), Value::Double(1.0)))
                    .collect();
            }
        };
        assert!(refused(many(257)).contains("257 measures"));
        assert!(
            refused(many(256)).contains("the record"),
            "2,048 of values, and a time"
        );
        let mut fits = reading("d", 1, &[("t", 1.0)]);
        many(250)(&mut fits);
        assert_eq!(check(&fits, &MeasureName::Auto), Ok(()));
    }

    #[test]
    fn a_measure_name_from_a_field_needs_the_field() {
        let reading = reading("d", 1, &[("t", 1.0)]);
        let field = MeasureName::Field("kind".to_owned());
        assert!(check(&reading, &field).unwrap_err().contains("`kind`"));
    }
}
