//! Readings as lines of line protocol, and what no line can say.
//!
//! Names and tags escape comma, equals sign and space with a backslash, strings escape quote and
//! backslash (`InfluxData`, line protocol reference). A backslash in a name or tag stands for itself
//! but where it meets what is escaped, or another one: there versions 1 and 2 read it differently
//! from 3, and at the end it would escape what follows. Such names and tags cannot be written.

use std::fmt::Write as _;

use super::DEVICE_TAG;
use crate::model::{Reading, Value};

/// Bytes of a string field (`InfluxDB` 1.x and 2.x).
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Names that mean something else to one of the servers.
const RESERVED: &[&str] = &["time", "_field", "_measurement"];

/// What a line's measurement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// The same for every reading.
    Constant(String),
    /// The value of this dimension or, where there is none, of this text measure.
    Field(String),
}

impl Measurement {
    /// The measurement for a reading; `None` where the field it should come from is missing.
    pub(super) fn of<'a>(&'a self, reading: &'a Reading) -> Option<&'a str> {
        let field = match self {
            Self::Constant(name) => return Some(name),
            Self::Field(field) => field,
        };
        let mut dimensions = reading.dimensions.iter();
        if let Some((_, value)) = dimensions.find(|(name, _)| **name == **field) {
            return Some(value);
        }
        let measure = reading.measures.iter().find(|(name, _)| **name == **field);
        match measure {
            Some((_, Value::Text(text))) => Some(text),
            _ => None,
        }
    }
}

/// The first rule that a reading breaks. Names are refused, not changed: a column called otherwise
/// than its field would be looked for in vain.
pub(super) fn check(reading: &Reading, measurement: &Measurement) -> Result<(), String> {
    let Some(name) = measurement.of(reading) else {
        let Measurement::Field(field) = measurement else {
            return Ok(());
        };
        return Err(format!(
            "no dimension or text measure `{field}`, which should give the measurement"
        ));
    };
    writable("the measurement", name)?;
    if name.starts_with('#') {
        return Err("the measurement begins with `#`, as a comment does".to_owned());
    }
    writable("the device id", reading.device.as_str())?;
    for (name, value) in &reading.dimensions {
        named("dimension", name)?;
        if &**name == DEVICE_TAG {
            return Err(format!("dimension `{name}` is the device's own"));
        }
        writable(&format!("dimension `{name}`"), value)?;
    }
    if reading.measures.is_empty() {
        return Err("no measures".to_owned());
    }
    for (name, value) in &reading.measures {
        named("measure", name)?;
        let is_tag = &**name == DEVICE_TAG || reading.dimensions.iter().any(|(tag, _)| tag == name);
        if is_tag {
            return Err(format!("`{name}` is both a dimension and a measure"));
        }
        match value {
            Value::Double(number) if !number.is_finite() => {
                return Err(format!("measure `{name}` is not a finite number"));
            }
            Value::Text(text) if text.len() > TEXT_BYTES_MAX => {
                return Err(format!(
                    "measure `{name}`: {} bytes; at most {TEXT_BYTES_MAX} are allowed",
                    text.len()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn named(kind: &str, name: &str) -> Result<(), String> {
    if RESERVED.contains(&name) {
        return Err(format!(
            "{kind} `{name}` has a name that InfluxDB keeps for itself; rename or leave out the field"
        ));
    }
    writable(&format!("the name of {kind} `{name}`"), name)
}

fn writable(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    let mut next = text.chars().skip(1).map(Some).chain([None]);
    let is_read_differently = |c: char| {
        let next = next.next().flatten();
        c == '\\' && next.is_none_or(|next| NAME.contains(&next) || next == '\\')
    };
    if text.chars().any(is_read_differently) {
        return Err(format!(
            "{what} has a backslash at its end or before another one, a comma, an equals sign or a \
             space, which servers read differently"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "{what} has a control character, which line protocol cannot say"
        ));
    }
    Ok(())
}

/// The lines of these readings, each checked before.
pub(super) fn lines(readings: &[&Reading], measurement: &Measurement) -> String {
    /// A typical line.
    const LINE_BYTES: usize = 160;
    let mut text = String::with_capacity(readings.len() * LINE_BYTES);
    for reading in readings {
        line(reading, measurement, &mut text);
        text.push('\n');
    }
    text
}

fn line(reading: &Reading, measurement: &Measurement, to: &mut String) {
    escaped(measurement.of(reading).unwrap_or_default(), &[',', ' '], to);
    // Tags in the order of their names: the servers sort them otherwise.
    let before = |name: &str| name < DEVICE_TAG;
    let at = reading.dimensions.partition_point(|(name, _)| before(name));
    let (first, last) = reading.dimensions.split_at(at);
    for (name, value) in first {
        tag(name, value, to);
    }
    tag(DEVICE_TAG, reading.device.as_str(), to);
    for (name, value) in last {
        tag(name, value, to);
    }
    for (index, (name, value)) in reading.measures.iter().enumerate() {
        to.push(if index == 0 { ' ' } else { ',' });
        escaped(name, NAME, to);
        to.push('=');
        field(value, to);
    }
    write!(to, " {}", reading.time.0).expect("a string takes everything");
}

const NAME: &[char] = &[',', '=', ' '];

fn tag(name: &str, value: &str, to: &mut String) {
    to.push(',');
    escaped(name, NAME, to);
    to.push('=');
    escaped(value, NAME, to);
}

/// Numbers without a suffix are floats, whole or not; `i` makes an integer.
fn field(value: &Value, to: &mut String) {
    let written = match value {
        Value::Bool(value) => write!(to, "{value}"),
        Value::Int(value) => write!(to, "{value}i"),
        Value::Double(value) => write!(to, "{value}"),
        Value::Text(text) => {
            to.push('"');
            escaped(text, &['"', '\\'], to);
            to.push('"');
            Ok(())
        }
    };
    written.expect("a string takes everything");
}

fn escaped(text: &str, special: &[char], to: &mut String) {
    for c in text.chars() {
        if special.contains(&c) {
            to.push('\\');
        }
        to.push(c);
    }
}

/// A value's type as the servers' messages call it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Double(_) => "float",
        Value::Text(_) => "string",
    }
}

#[cfg(test)]
pub(super) mod tests;
