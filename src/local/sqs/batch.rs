//! What SQS refuses of a batch as a whole, and of one message.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Refusal;

/// Entries a batch.
const ENTRIES_MAX: usize = 10;
/// Characters of an entry's id.
const ID_MAX: usize = 80;
/// Bytes over all messages of a batch: 1 MiB.
const BATCH_BYTES_MAX: usize = 1_048_576;
/// Attributes of a message.
const ATTRIBUTES_MAX: usize = 10;

/// Checks the entries' number and their ids.
pub(super) fn check_ids<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Refusal> {
    match ids.len() {
        0 => {
            let message = "There should be at least one entry in the request.";
            return Err(Refusal::new("EmptyBatchRequest", message));
        }
        1..=ENTRIES_MAX => {}
        count => {
            return Err(Refusal::new(
                "TooManyEntriesInBatchRequest",
                format!("Maximum number of entries per request are 10. You have sent {count}."),
            ));
        }
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(allowed) {
            return Err(Refusal::new(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and \
                 underscores. It can be at most 80 letters long.",
            ));
        }
        if !seen.insert(id) {
            let message = format!("Id {id} repeated.");
            return Err(Refusal::new("BatchEntryIdsNotDistinct", message));
        }
    }
    Ok(())
}

/// Checks the size of all messages together.
pub(super) fn check_sum(sizes: impl Iterator<Item = usize>) -> Result<(), Refusal> {
    let sum: usize = sizes.sum();
    if sum <= BATCH_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {sum} bytes."
    );
    Err(Refusal::new("BatchRequestTooLong", message))
}

/// Checks one message against the queue's size limit and XML's characters.
pub(super) fn check_message(
    body: &str,
    attributes: Option<&Value>,
    most: usize,
) -> Result<(), Refusal> {
    if body.is_empty() {
        return Err(Refusal::missing("MessageBody"));
    }
    if size(body, attributes) > most {
        return Err(Refusal::parameter(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        )));
    }
    if let Some(bad) = body.chars().find(|char| !xml(*char)) {
        return Err(Refusal::new(
            "InvalidMessageContents",
            format!("Invalid characters found: {}", bad.escape_unicode()),
        ));
    }
    let count = attributes
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len);
    if count > ATTRIBUTES_MAX {
        let message = format!("Number of message attributes [{count}] exceeds the allowed 10.");
        return Err(Refusal::parameter(message));
    }
    Ok(())
}

/// Bytes a message counts: its body, and each attribute's name, type and value.
pub(super) fn size(body: &str, attributes: Option<&Value>) -> usize {
    let attributes = attributes.and_then(Value::as_object);
    let text = |attribute: &Value, field: &str| attribute[field].as_str().map_or(0, str::len);
    let each = attributes.into_iter().flatten().map(|(name, attribute)| {
        let binary = text(attribute, "BinaryValue") / 4 * 3;
        name.len() + text(attribute, "DataType") + text(attribute, "StringValue") + binary
    });
    body.len() + each.sum::<usize>()
}

/// Whether XML 1.0 can hold the character: `#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] |
/// [#x10000-#x10FFFF]` (API reference of `SendMessage`).
fn xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(checked: Result<(), Refusal>) -> &'static str {
        checked.map_or_else(|refusal| refusal.code, |()| "ok")
    }

    #[test]
    fn a_batch_has_one_to_ten_entries_with_distinct_sound_ids() {
        let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let ids = |ids: &[&str]| code(check_ids(ids.iter().copied()));
        assert_eq!(
            code(check_ids(eleven.iter().map(String::as_str))),
            "TooManyEntriesInBatchRequest"
        );
        assert_eq!(ids(&[]), "EmptyBatchRequest");
        assert_eq!(ids(&["a", "a"]), "BatchEntryIdsNotDistinct");
        assert_eq!(ids(&["a.b"]), "InvalidBatchEntryId");
        assert_eq!(ids(&[&"x".repeat(81)]), "InvalidBatchEntryId");
        assert_eq!(ids(&["a-b_9", &"x".repeat(80)]), "ok");
    }

    #[test]
    fn sizes_are_bounded_to_the_byte() {
        assert_eq!(code(check_sum([1_048_576].into_iter())), "ok");
        assert_eq!(
            code(check_sum([1_048_576, 1].into_iter())),
            "BatchRequestTooLong"
        );
        assert_eq!(code(check_message("1234", None, 4)), "ok");
        assert_eq!(
            code(check_message("12345", None, 4)),
            "InvalidParameterValue"
        );
        let attributes = serde_json::json!({"ab": {"DataType": "String", "StringValue": "x"}});
        assert_eq!(size("1234", Some(&attributes)), 4 + 2 + 6 + 1);
    }

    #[test]
    fn a_body_holds_what_xml_holds() {
        for body in ["a\t\n\r", "\u{FFFD}", "\u{10000}\u{10FFFF}", "\u{E000}"] {
            assert_eq!(code(check_message(body, None, 100)), "ok", "{body:?}");
        }
        for body in ["\u{0}", "\u{B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
            assert_eq!(
                code(check_message(body, None, 100)),
                "InvalidMessageContents",
                "{body:?}"
            );
        }
    }
}
