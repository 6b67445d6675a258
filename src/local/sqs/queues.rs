//! Operations on queues: create, find, list, look at, set, purge, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::settings::Settings;
use super::{All, Answered, Entry, Refusal, Shared, name_of, parsed, written};
use crate::local::front::wall_ms;

/// Characters of a queue's name.
const NAME_MAX: usize = 80;
/// Queues in an answer of `ListQueues`.
const LIST_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueUrl {
    queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueues {
    queue_name_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Shared {
    pub(super) fn create_queue(&self, body: &[u8]) -> Answered {
        let CreateQueue {
            queue_name: name,
            attributes,
        } = parsed(body)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let bare = name.strip_suffix(".fifo").unwrap_or(&name);
        if bare.is_empty() || name.len() > NAME_MAX || !bare.bytes().all(allowed) {
            return Err(Refusal::parameter(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        let mut settings = Settings::default();
        settings.set(attributes)?;
        if settings.is_fifo() != name.ends_with(".fifo") {
            return Err(Refusal::parameter(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
                 underscores, must end with .fifo suffix and be 1 to 80 in length.",
            ));
        }
        let mut all = self.at(self.now_ms());
        check_target(&all, &settings)?;
        if let Some(existing) = all.queues.get(&name) {
            if !existing.queue.settings.agrees(&settings) {
                return Err(Refusal::new(
                    "QueueNameExists",
                    "A queue already exists with the same name and a different value for an \
                     attribute",
                ));
            }
        } else {
            let now = wall_ms();
            if let Some(kept) = &all.kept {
                kept.queue(&name, &settings, now);
            }
            let entry = Entry {
                queue: all.queue(settings, Vec::new()),
                created_wall_ms: now,
                modified_wall_ms: now,
                changed: Arc::default(),
            };
            all.queues.insert(name.clone(), entry);
        }
        written(&json!({ "QueueUrl": self.url(&name) }))
    }

    pub(super) fn get_queue_url(&self, body: &[u8]) -> Answered {
        let GetQueueUrl { queue_name } = parsed(body)?;
        if !self.at(self.now_ms()).queues.contains_key(&queue_name) {
            return Err(Refusal::no_queue());
        }
        written(&json!({ "QueueUrl": self.url(&queue_name) }))
    }

    pub(super) fn list_queues(&self, body: &[u8]) -> Answered {
        let ListQueues {
            queue_name_prefix: prefix,
        } = parsed(body)?;
        let prefix = prefix.unwrap_or_default();
        let all = self.at(self.now_ms());
        let names = all
            .queues
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .take(LIST_MAX);
        let urls: Vec<String> = names.map(|name| self.url(name)).collect();
        written(&json!({ "QueueUrls": urls }))
    }

    pub(super) fn get_queue_attributes(&self, body: &[u8]) -> Answered {
        let request: OfQueue = parsed(body)?;
        let mut all = self.at(self.now_ms());
        let entry = all.named(request.queue_url.as_deref())?;
        let (visible, in_flight, delayed) = entry.queue.counts();
        let mut attributes = entry.queue.settings.all();
        let arn = self.arn(name_of(request.queue_url.as_deref().unwrap_or_default()));
        let more = [
            ("QueueArn", arn),
            ("ApproximateNumberOfMessages", visible.to_string()),
            (
                "ApproximateNumberOfMessagesNotVisible",
                in_flight.to_string(),
            ),
            ("ApproximateNumberOfMessagesDelayed", delayed.to_string()),
            (
                "CreatedTimestamp",
                (entry.created_wall_ms / 1000).to_string(),
            ),
            (
                "LastModifiedTimestamp",
                (entry.modified_wall_ms / 1000).to_string(),
            ),
        ];
        attributes.extend(more.map(|(name, value)| (name.to_owned(), value)));
        if !request.attribute_names.iter().any(|name| name == "All") {
            attributes.retain(|name, _| request.attribute_names.contains(name));
        }
        written(&json!({ "Attributes": attributes }))
    }

    pub(super) fn set_queue_attributes(&self, body: &[u8]) -> Answered {
        let request: OfQueue = parsed(body)?;
        let mut all = self.at(self.now_ms());
        let mut settings = all
            .named(request.queue_url.as_deref())?
            .queue
            .settings
            .clone();
        settings.set(request.attributes)?;
        check_target(&all, &settings)?;
        let entry = all.named(request.queue_url.as_deref())?;
        entry.queue.settings = settings.clone();
        entry.modified_wall_ms = wall_ms();
        let created_ms = entry.created_wall_ms;
        if let Some(kept) = &all.kept {
            let name = name_of(request.queue_url.as_deref().unwrap_or_default());
            kept.queue(name, &settings, created_ms);
        }
        written(&json!({}))
    }

    pub(super) fn purge_queue(&self, body: &[u8]) -> Answered {
        let request: OfQueue = parsed(body)?;
        self.at(self.now_ms())
            .named(request.queue_url.as_deref())?
            .queue
            .purge();
        written(&json!({}))
    }

    pub(super) fn delete_queue(&self, body: &[u8]) -> Answered {
        let request: OfQueue = parsed(body)?;
        let url = request
            .queue_url
            .ok_or_else(|| Refusal::missing("QueueUrl"))?;
        let mut all = self.at(self.now_ms());
        let entry = all
            .queues
            .remove(name_of(&url))
            .ok_or_else(Refusal::no_queue)?;
        entry.changed.notify_waiters();
        if let Some(kept) = &all.kept {
            kept.forget(name_of(&url));
        }
        written(&json!({}))
    }
}

fn check_target(all: &All, settings: &Settings) -> Result<(), Refusal> {
    let Some(redrive) = settings.redrive() else {
        return Ok(());
    };
    if all.queues.contains_key(&redrive.target) {
        return Ok(());
    }
    Err(Refusal::parameter(format!(
        "Value for parameter RedrivePolicy is invalid. Reason: Dead letter target {} does not exist.",
        redrive.target
    )))
}
