//! A line's partition key: its device, so that a device's readings share a shard and their order.

use serde_json::Value;

use crate::model::PartitionKey;
use crate::model::hash::fnv1a;

/// Characters of a partition key (AWS: `PutRecords`).
const KEY_CHARS_MAX: usize = 256;

/// The key of a line: the text or number in `field` (dots for nested fields). A line without one,
/// or that is no JSON at all, is fed all the same, so that it ends as a dead letter with its
/// reason: its key is a hash of the whole line, stable between runs and spread over the shards.
#[must_use]
pub fn of(line: &[u8], field: &str) -> PartitionKey {
    let id = serde_json::from_slice::<Value>(line)
        .ok()
        .and_then(|value| device(&value, field));
    id.map_or_else(|| hashed(line), PartitionKey::from)
}

fn device(value: &Value, field: &str) -> Option<String> {
    // A field whose name has dots in it goes first.
    let found = value.get(field).or_else(|| {
        field
            .split('.')
            .try_fold(value, |value, part| value.get(part))
    })?;
    let id = match found {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let chars = id.chars().count();
    (1..=KEY_CHARS_MAX).contains(&chars).then_some(id)
}

/// The same on every run, unlike by the standard library's hash.
fn hashed(line: &[u8]) -> PartitionKey {
    let hash = fnv1a(line.iter().copied());
    format!("line-{hash:016x}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str, field: &str) -> String {
        of(line.as_bytes(), field).to_string()
    }

    #[test]
    fn the_key_is_the_devices_id() {
        assert_eq!(key(r#"{"device_id":"d1","t":1}"#, "device_id"), "d1");
        assert_eq!(key(r#"{"meta":{"id":17}}"#, "meta.id"), "17");
        assert_eq!(key(r#"{"meta.id":"flat"}"#, "meta.id"), "flat");
    }

    #[test]
    fn a_line_without_a_device_has_a_stable_key_of_its_own() {
        let lines = [
            "no json",
            "{}",
            r#"{"device_id":null}"#,
            r#"{"device_id":""}"#,
            "[1]",
        ];
        for line in lines {
            assert_eq!(key(line, "device_id"), key(line, "device_id"));
            assert!(key(line, "device_id").starts_with("line-"), "{line}");
        }
        assert_eq!(
            key("a", "device_id"),
            "line-af63dc4c8601ec8c",
            "a published FNV-1a vector"
        );
    }

    #[test]
    fn an_id_that_kinesis_would_refuse_is_hashed() {
        let line = format!(r#"{{"device_id":"{}"}}"#, "x".repeat(257));
        assert!(key(&line, "device_id").starts_with("line-"));
    }
}
