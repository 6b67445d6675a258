//! A queue's attributes: those with a meaning here are read and checked, the others kept as given.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Refusal;

/// Attributes with a number: name, default, least, most (API reference of `SetQueueAttributes`).
const NUMBERS: [(&str, u64, u64, u64); 5] = [
    ("DelaySeconds", 0, 0, 900),
    ("MaximumMessageSize", 1_048_576, 1_024, 1_048_576),
    ("MessageRetentionPeriod", 345_600, 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 0, 20),
    ("VisibilityTimeout", 30, 0, 43_200),
];

/// Attributes that are kept and given back, and change nothing here.
const KEPT: [&str; 5] = [
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
];

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redrive {
    /// The name of the dead-letter queue.
    pub(super) target: String,
    pub(super) max_receives: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: Count,
}

/// The count comes as a number or as text, and AWS takes both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u32),
    Text(String),
}

/// The attributes that were set on a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    given: BTreeMap<String, String>,
    redrive: Option<Redrive>,
}

impl Settings {
    /// Sets attributes; all or, where one is refused, none.
    pub(super) fn set(&mut self, given: BTreeMap<String, String>) -> Result<(), Refusal> {
        let mut next = self.clone();
        for (name, value) in given {
            next.set_one(name, value)?;
        }
        *self = next;
        Ok(())
    }

    fn set_one(&mut self, name: String, value: String) -> Result<(), Refusal> {
        if let Some((_, _, least, most)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
            let number: Option<u64> = value.parse().ok();
            if !number.is_some_and(|number| (*least..=*most).contains(&number)) {
                return Err(Refusal::attribute_value(
                    &name,
                    &format!("{least} to {most}"),
                ));
            }
        } else if name == "RedrivePolicy" {
            self.redrive = redrive(&value)?;
        } else if name == "FifoQueue" {
            // A standard queue has no such attribute, not even as `false`.
            if value != "true" {
                return Err(Refusal::attribute_value(&name, "true"));
            }
        } else if !KEPT.contains(&name.as_str()) {
            return Err(Refusal::attribute_name(&name));
        }
        self.given.insert(name, value);
        Ok(())
    }

    /// The attributes as they were set.
    pub(super) fn given(&self) -> &BTreeMap<String, String> {
        &self.given
    }

    /// Whether a queue with these settings already is as `asked`.
    pub(super) fn agrees(&self, asked: &Self) -> bool {
        asked
            .given
            .iter()
            .all(|(name, value)| self.value(name).as_deref() == Some(value))
    }

    /// An attribute's value, set or default.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.given.get(name).cloned().or_else(|| {
            let number = NUMBERS.iter().find(|(known, ..)| *known == name);
            number.map(|(_, default, ..)| default.to_string())
        })
    }

    /// Every attribute that has a value.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let defaults = NUMBERS.iter().map(|(name, default, ..)| {
            (
                (*name).to_owned(),
                self.value(name).unwrap_or_else(|| default.to_string()),
            )
        });
        self.given.clone().into_iter().chain(defaults).collect()
    }

    fn number(&self, name: &str) -> u64 {
        self.value(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or_default()
    }

    pub(super) fn delay_ms(&self) -> u64 {
        self.number("DelaySeconds") * 1000
    }

    pub(super) fn retention_ms(&self) -> u64 {
        self.number("MessageRetentionPeriod") * 1000
    }

    pub(super) fn visibility_ms(&self) -> u64 {
        self.number("VisibilityTimeout") * 1000
    }

    pub(super) fn wait_ms(&self) -> u64 {
        self.number("ReceiveMessageWaitTimeSeconds") * 1000
    }

    /// Whether order is kept within each group, and each message taken once.
    pub(super) fn is_fifo(&self) -> bool {
        self.given.contains_key("FifoQueue")
    }

    /// Bytes a message may have, attributes included.
    pub(super) fn message_max(&self) -> usize {
        usize::try_from(self.number("MaximumMessageSize")).unwrap_or(usize::MAX)
    }

    pub(super) fn redrive(&self) -> Option<&Redrive> {
        self.redrive.as_ref()
    }
}

fn redrive(text: &str) -> Result<Option<Redrive>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let refusal = || Refusal::attribute_value("RedrivePolicy", "a redrive policy in JSON");
    let policy: RedrivePolicy = serde_json::from_str(text).map_err(|_| refusal())?;
    let max_receives = match policy.max_receive_count {
        Count::Number(count) => count,
        Count::Text(text) => text.parse().map_err(|_| refusal())?,
    };
    if !(1..=1000).contains(&max_receives) {
        return Err(refusal());
    }
    let target = policy
        .dead_letter_target_arn
        .rsplit(':')
        .next()
        .map(str::to_owned);
    Ok(target.map(|target| Redrive {
        target,
        max_receives,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Settings, Refusal> {
        let mut settings = Settings::default();
        settings.set([(name.to_owned(), value.to_owned())].into())?;
        Ok(settings)
    }

    #[test]
    fn attributes_outside_their_range_or_unknown_are_refused() {
        assert_eq!(
            set("VisibilityTimeout", "43201").unwrap_err().code,
            "InvalidAttributeValue"
        );
        assert_eq!(
            set("MessageRetentionPeriod", "59").unwrap_err().code,
            "InvalidAttributeValue"
        );
        assert_eq!(
            set("Visibility", "1").unwrap_err().code,
            "InvalidAttributeName"
        );
        assert_eq!(
            set("FifoQueue", "false").unwrap_err().code,
            "InvalidAttributeValue"
        );
        assert_eq!(
            set("RedrivePolicy", "x").unwrap_err().code,
            "InvalidAttributeValue"
        );
        assert_eq!(
            set("MaximumMessageSize", "1024").unwrap().message_max(),
            1024
        );
    }

    #[test]
    fn a_redrive_policy_names_its_target_by_arn() {
        let text =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:r:000000000000:dead","maxReceiveCount":"3"}"#;
        let settings = set("RedrivePolicy", text).unwrap();
        assert_eq!(
            settings.redrive(),
            Some(&Redrive {
                target: "dead".to_owned(),
                max_receives: 3
            })
        );
    }
}
