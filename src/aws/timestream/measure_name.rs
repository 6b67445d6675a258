//! `measure_name`: part of a row's key beside dimensions and time.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::hash::fnv1a_128;
use crate::model::{Reading, Value};

/// Bytes of a measure name (AWS: Timestream quotas).
pub(super) const MEASURE_NAME_BYTES_MAX: usize = 256;
/// Hex digits of the hash that ends a shortened name.
const HASH_DIGITS: usize = 32;

/// What a record's `measure_name` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasureName {
    /// The reading's sorted measure names joined by `+`, so that two messages of one device at
    /// one instant with different measures both land. A `+` or `\` in a name is written `\+` or
    /// `\\`. A result over 256 bytes keeps its first 223 (or fewer: no character is cut), then
    /// `~` and 32 hex digits: FNV-1a, 128 bits, over the whole. It never changes: it is in keys
    /// already written.
    Auto,
    /// The same for every reading.
    Constant(String),
    /// The value of this dimension or, where there is none, of this text measure.
    Field(String),
}

impl MeasureName {
    /// The name for a reading; `None` where the field it should come from is missing or no text.
    #[must_use]
    pub fn of<'a>(&'a self, reading: &'a Reading) -> Option<Cow<'a, str>> {
        match self {
            Self::Auto => Some(joined(reading)),
            Self::Constant(name) => Some(Cow::Borrowed(name)),
            Self::Field(field) => {
                let dimension = reading
                    .dimensions
                    .iter()
                    .find(|(name, _)| **name == **field);
                if let Some((_, value)) = dimension {
                    return Some(Cow::Borrowed(value));
                }
                let measure = reading.measures.iter().find(|(name, _)| **name == **field);
                match measure {
                    Some((_, Value::Text(text))) => Some(Cow::Borrowed(text)),
                    _ => None,
                }
            }
        }
    }
}

/// Whether both readings have the same measures, by name.
pub(super) fn same_measures(one: &Reading, other: &Reading) -> bool {
    one.measures.len() == other.measures.len()
        && one
            .measures
            .iter()
            .zip(&other.measures)
            .all(|((one, _), (other, _))| Arc::ptr_eq(one, other) || one == other)
}

fn joined(reading: &Reading) -> Cow<'_, str> {
    if let [(name, _)] = &reading.measures[..]
        && name.len() <= MEASURE_NAME_BYTES_MAX
        && !name.contains(['+', '\\'])
    {
        return Cow::Borrowed(name);
    }
    let bytes = reading
        .measures
        .iter()
        .map(|(name, _)| name.len() + 1)
        .sum();
    let mut text = String::with_capacity(bytes);
    for (name, _) in &reading.measures {
        if !text.is_empty() {
            text.push('+');
        }
        if !name.bytes().any(|byte| matches!(byte, b'+' | b'\\')) {
            text.push_str(name);
            continue;
        }
        for part in name.split_inclusive(['+', '\\']) {
            match part.strip_suffix(['+', '\\']) {
                Some(head) => {
                    text.push_str(head);
                    text.push('\\');
                    text.push_str(&part[head.len()..]);
                }
                None => text.push_str(part),
            }
        }
    }
    shortened(text).into()
}

fn shortened(mut text: String) -> String {
    if text.len() <= MEASURE_NAME_BYTES_MAX {
        return text;
    }
    let hash = fnv1a_128(text.bytes());
    text.truncate(text.floor_char_boundary(MEASURE_NAME_BYTES_MAX - 1 - HASH_DIGITS));
    text.push_str(&format!("~{hash:032x}"));
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::reading;
    use super::*;

    fn auto(names: &[&str]) -> String {
        let measures: Vec<_> = names.iter().map(|name| (*name, 1.0)).collect();
        MeasureName::Auto
            .of(&reading("d", 1, &measures))
            .unwrap()
            .into_owned()
    }

    #[test]
    fn auto_joins_the_sorted_names() {
        assert_eq!(auto(&["temperature"]), "temperature");
        assert_eq!(auto(&["humidity", "temperature"]), "humidity+temperature");
    }

    #[test]
    fn a_plus_in_a_name_is_not_taken_for_a_joint() {
        assert_eq!(auto(&["a+b"]), "a\\+b");
        assert_ne!(auto(&["a", "+b"]), auto(&["a+", "b"]));
        assert_ne!(auto(&["a\\", "b"]), auto(&["a\\+b"]));
    }

    #[test]
    fn a_long_name_is_shortened_the_same_way_for_ever() {
        let long: Vec<String> = (0..60).map(|i| format!("measure_{i:02}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let name = auto(&long);
        assert_eq!(name.len(), MEASURE_NAME_BYTES_MAX);
        assert!(name.starts_with("measure_00+measure_01+"), "{name}");
        assert!(
            name.ends_with("~8dd166b59ab9da26bd2200c465ad2ede"),
            "{name}"
        );
        assert_ne!(name, auto(&long[..59]));
    }

    #[test]
    fn no_character_is_cut() {
        let name = auto(&[&"ä".repeat(200), "b"]);
        assert!(name.len() <= MEASURE_NAME_BYTES_MAX);
    }

    #[test]
    fn a_field_is_looked_for_in_dimensions_then_in_text_measures() {
        let mut reading = reading("d", 1, &[("t", 1.0)]);
        let field = MeasureName::Field("kind".to_owned());
        assert_eq!(field.of(&reading), None);
        reading
            .measures
            .insert(0, ("kind".into(), Value::Text("air".into())));
        assert_eq!(field.of(&reading).as_deref(), Some("air"));
        reading.dimensions.push(("kind".into(), "soil".into()));
        assert_eq!(field.of(&reading).as_deref(), Some("soil"));
    }
}
