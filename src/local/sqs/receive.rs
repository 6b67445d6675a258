//! `ReceiveMessage`, with its long poll.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::messages::{VISIBILITY_MAX, refused};
use super::queue::Message;
use super::{Answered, Refusal, Shared, handle_of, id_of, md5, parsed, written};
use crate::local::front::wall_ms;

/// Messages an answer.
const MESSAGES_MAX: usize = 10;
/// The longest long poll, in seconds.
const WAIT_MAX: u64 = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    queue_url: Option<String>,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    /// The older name of the same.
    #[serde(default)]
    attribute_names: Vec<String>,
}

/// One look into the queue.
enum Look {
    Found(Vec<Message>),
    /// Nothing; look again when the queue changes, or at this time on the server's clock.
    Wait {
        changed: Arc<tokio::sync::Notify>,
        next_ms: Option<u64>,
        wait_ms: u64,
    },
}

impl Shared {
    pub(super) async fn receive(&self, body: &[u8]) -> Answered {
        let request: Receive = parsed(body)?;
        let most = request.max_number_of_messages.unwrap_or(1);
        in_range("MaxNumberOfMessages", most as u64, 1, MESSAGES_MAX as u64)?;
        in_range(
            "WaitTimeSeconds",
            request.wait_time_seconds.unwrap_or(0),
            0,
            WAIT_MAX,
        )?;
        in_range(
            "VisibilityTimeout",
            request.visibility_timeout.unwrap_or(0),
            0,
            VISIBILITY_MAX,
        )?;
        let asked = Instant::now();
        loop {
            let (changed, next_ms, wait_ms) = match self.look(&request, most)? {
                Look::Found(messages) => return written(&answer(&request, &messages)),
                Look::Wait {
                    changed,
                    next_ms,
                    wait_ms,
                } => (changed, next_ms, wait_ms),
            };
            let wake = changed.notified();
            tokio::pin!(wake);
            wake.as_mut().enable();
            // What came between the look and the wish to be woken.
            if let Look::Found(messages) = self.look(&request, most)? {
                return written(&answer(&request, &messages));
            }
            let over = asked + Duration::from_millis(wait_ms);
            if Instant::now() >= over {
                return written(&answer(&request, &[]));
            }
            let until = next_ms.map(|next| self.started + Duration::from_millis(next));
            let until = until.map_or(over, |next| next.min(over));
            // Woken or not: the next look tells.
            drop(tokio::time::timeout_at(until, wake).await);
        }
    }

    fn look(&self, request: &Receive, most: usize) -> Result<Look, Refusal> {
        let now_ms = self.now_ms();
        let mut all = self.at(now_ms);
        let entry = all.named(request.queue_url.as_deref())?;
        let settings = &entry.queue.settings;
        let visibility_ms = request
            .visibility_timeout
            .map_or(settings.visibility_ms(), |seconds| seconds * 1000);
        let wait_ms = request
            .wait_time_seconds
            .map_or(settings.wait_ms(), |seconds| seconds * 1000);
        let found = entry
            .queue
            .receive(most, visibility_ms, now_ms, wall_ms())
            .map_err(refused)?;
        if !found.is_empty() {
            return Ok(Look::Found(found));
        }
        let next_ms = entry.queue.next_visible_ms();
        Ok(Look::Wait {
            changed: Arc::clone(&entry.changed),
            next_ms,
            wait_ms,
        })
    }
}

fn in_range(name: &str, value: u64, least: u64, most: u64) -> Result<(), Refusal> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Refusal::parameter(format!(
        "Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}."
    )))
}

fn answer(request: &Receive, messages: &[Message]) -> Value {
    if messages.is_empty() {
        return json!({});
    }
    let shown: Vec<Value> = messages
        .iter()
        .map(|message| shown(request, message))
        .collect();
    json!({ "Messages": shown })
}

fn shown(request: &Receive, message: &Message) -> Value {
    let mut shown = json!({
        "MessageId": id_of(message.number),
        "ReceiptHandle": handle_of(message),
        "MD5OfBody": md5(&message.body),
        "Body": message.body,
    });
    let names = [
        &request.message_system_attribute_names,
        &request.attribute_names,
    ];
    let wanted = |name: &str| {
        names
            .into_iter()
            .flatten()
            .any(|asked| asked == "All" || asked == name)
    };
    let system: Map<String, Value> = system(message)
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    if !system.is_empty() {
        shown["Attributes"] = Value::Object(system);
    }
    let given = message.attributes.as_ref().and_then(Value::as_object);
    let chosen: Map<String, Value> = given
        .into_iter()
        .flatten()
        .filter(|(name, _)| attribute_wanted(&request.message_attribute_names, name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !chosen.is_empty() {
        shown["MessageAttributes"] = Value::Object(chosen);
    }
    shown
}

pub(super) fn system(message: &Message) -> Vec<(&'static str, String)> {
    let mut system = vec![
        ("ApproximateReceiveCount", message.received.to_string()),
        ("SentTimestamp", message.sent_wall_ms.to_string()),
        ("SenderId", super::ACCOUNT.to_owned()),
    ];
    if let Some(first) = message.first_received_wall_ms {
        system.push(("ApproximateFirstReceiveTimestamp", first.to_string()));
    }
    if let Some(group) = &message.group {
        system.push(("MessageGroupId", group.clone()));
    }
    system
}

/// Names are asked for in full, as `All` or `.*`, or by a prefix as `prefix.*`.
fn attribute_wanted(asked: &[String], name: &str) -> bool {
    asked.iter().any(|asked| match asked.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => asked == "All" || asked == name,
    })
}
