//! What FIFO queues demand of a message, and what standard queues take of the same: a group for
//! fair shares, but nothing to tell repeats by (API reference of `SendMessage`).

use std::collections::BTreeMap;

use super::Refusal;

/// Characters of a group's or a deduplication id.
const ID_MAX: usize = 128;

/// For how long a FIFO queue knows a message again.
const KNOWN_FOR_MS: u64 = 5 * 60 * 1000;

/// Checks group and deduplication id.
pub(super) fn check(is_fifo: bool, group: Option<&str>, once: Option<&str>) -> Result<(), Refusal> {
    for (name, id) in [("MessageGroupId", group), ("MessageDeduplicationId", once)] {
        let allowed = |id: &str| {
            (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !id.is_none_or(allowed) {
            return Err(Refusal::parameter(format!(
                "Value for parameter {name} is invalid. Reason: {name} can only include \
                 alphanumeric and punctuation characters. 1 to 128 in length."
            )));
        }
    }
    match (is_fifo, group, once) {
        (true, None, _) => Err(Refusal::missing("MessageGroupId")),
        (true, _, None) => Err(Refusal::parameter(
            "The queue should either have ContentBasedDeduplication enabled or \
             MessageDeduplicationId provided explicitly",
        )),
        (false, _, Some(_)) => Err(Refusal::parameter(
            "The request includes a parameter that is not valid for this queue type",
        )),
        _ => Ok(()),
    }
}

/// The messages that a queue knows again.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, u64>);

impl Known {
    /// Whether it is new; from now on it is known.
    pub(super) fn is_first(&mut self, once: String, now_ms: u64) -> bool {
        let oldest = now_ms.saturating_sub(KNOWN_FOR_MS);
        self.0.retain(|_, sent_ms| *sent_ms >= oldest);
        let is_first = !self.0.contains_key(&once);
        self.0.entry(once).or_insert(now_ms);
        is_first
    }
}
