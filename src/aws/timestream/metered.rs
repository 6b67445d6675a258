//! What Timestream counts of a request, before it rounds up to write units.

use super::DEVICE_DIMENSION;
use crate::model::{Reading, Value};

/// A time, or a number, whatever its digits.
const NUMBER_BYTES: usize = 8;

/// Bytes of readings in the order in which they are sent, each with its measure name: times and
/// numbers as eight bytes, booleans as one, names and texts as they are, and dimensions that
/// several records share once (Timestream developer guide, "Metering and pricing: writes").
pub(super) fn bytes<'a>(readings: impl Iterator<Item = (&'a Reading, &'a str)>) -> u64 {
    let mut before: Option<&Reading> = None;
    let mut bytes = 0;
    for (reading, name) in readings {
        let same = |before: &Reading| {
            (&before.device, &before.dimensions) == (&reading.device, &reading.dimensions)
        };
        // They are sorted by series: neighbours show all that share theirs.
        if !before.is_some_and(same) {
            bytes += dimensions(reading);
        }
        bytes += NUMBER_BYTES + name.len() + measures(reading);
        before = Some(reading);
    }
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn dimensions(reading: &Reading) -> usize {
    let others = reading.dimensions.iter();
    let others: usize = others.map(|(name, value)| name.len() + value.len()).sum();
    DEVICE_DIMENSION.len() + reading.device.as_str().len() + others
}

fn measures(reading: &Reading) -> usize {
    let size = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Double(_) => NUMBER_BYTES,
    };
    let measures = reading.measures.iter();
    measures.map(|(name, value)| name.len() + size(value)).sum()
}
