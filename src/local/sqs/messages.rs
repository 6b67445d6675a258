//! Sending, deleting and hiding messages, one at a time or in batches.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::queue::{Message, Problem, Queue};
use super::{Answered, Refusal, Shared, batch, fifo, id_of, md5, parsed, receipt_of, written};
use crate::local::front::wall_ms;

/// The longest delay of a message, in seconds.
const DELAY_MAX: u64 = 900;
/// The longest visibility time-out: twelve hours, in seconds.
pub(super) const VISIBILITY_MAX: u64 = 43_200;

/// A message to send; in a batch it also has an id.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Send {
    #[serde(default)]
    id: String,
    #[serde(default)]
    message_body: String,
    delay_seconds: Option<u64>,
    message_attributes: Option<Value>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One<T> {
    queue_url: Option<String>,
    #[serde(flatten)]
    entry: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Many<T> {
    queue_url: Option<String>,
    #[serde(default = "Vec::new")]
    entries: Vec<T>,
}

/// A message in flight to delete or to hide for longer; in a batch it also has an id.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Held {
    #[serde(default)]
    id: String,
    #[serde(default)]
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    sender_fault: bool,
    code: String,
    message: String,
}

impl Failed {
    fn of(id: String, refusal: Refusal) -> Self {
        let code = refusal.query_code();
        Self {
            id,
            sender_fault: true,
            code,
            message: refusal.message,
        }
    }
}

impl Shared {
    pub(super) fn send_message(&self, body: &[u8]) -> Answered {
        let One { queue_url, entry }: One<Send> = parsed(body)?;
        let now_ms = self.now_ms();
        let mut all = self.at(now_ms);
        let number = all.last_number + 1;
        let target = all.named(queue_url.as_deref())?;
        let sent = send(&mut target.queue, entry, number, now_ms)?;
        target.changed.notify_waiters();
        all.last_number = number;
        written(&sent)
    }

    pub(super) fn send_message_batch(&self, body: &[u8]) -> Answered {
        let Many { queue_url, entries }: Many<Send> = parsed(body)?;
        let now_ms = self.now_ms();
        let mut all = self.at(now_ms);
        let mut number = all.last_number;
        let target = all.named(queue_url.as_deref())?;
        batch::check_ids(entries.iter().map(|entry| entry.id.as_str()))?;
        batch::check_sum(
            entries
                .iter()
                .map(|entry| batch::size(&entry.message_body, entry.message_attributes.as_ref())),
        )?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            number += 1;
            let id = entry.id.clone();
            match send(&mut target.queue, entry, number, now_ms) {
                Ok(sent) => successful.push(sent),
                Err(refusal) => failed.push(Failed::of(id, refusal)),
            }
        }
        target.changed.notify_waiters();
        all.last_number = number;
        written(&json!({ "Successful": successful, "Failed": failed }))
    }

    pub(super) fn delete_message(&self, body: &[u8]) -> Answered {
        let One { queue_url, entry }: One<Held> = parsed(body)?;
        let mut all = self.at(self.now_ms());
        let target = all.named(queue_url.as_deref())?;
        target.queue.delete(receipt_of(&entry.receipt_handle)?);
        written(&json!({}))
    }

    pub(super) fn delete_message_batch(&self, body: &[u8]) -> Answered {
        self.for_each_held(body, |queue, held, _| {
            queue.delete(receipt_of(&held.receipt_handle)?);
            Ok(())
        })
    }

    pub(super) fn change_visibility(&self, body: &[u8]) -> Answered {
        let One { queue_url, entry }: One<Held> = parsed(body)?;
        let now_ms = self.now_ms();
        let mut all = self.at(now_ms);
        hide(&mut all.named(queue_url.as_deref())?.queue, &entry, now_ms)?;
        // A time-out of zero shows the message at once.
        all.advance(now_ms);
        all.named(queue_url.as_deref())?.changed.notify_waiters();
        written(&json!({}))
    }

    pub(super) fn change_visibility_batch(&self, body: &[u8]) -> Answered {
        self.for_each_held(body, hide)
    }

    fn for_each_held(
        &self,
        body: &[u8],
        act: impl Fn(&mut Queue, &Held, u64) -> Result<(), Refusal>,
    ) -> Answered {
        let Many { queue_url, entries }: Many<Held> = parsed(body)?;
        let now_ms = self.now_ms();
        let mut all = self.at(now_ms);
        let target = all.named(queue_url.as_deref())?;
        batch::check_ids(entries.iter().map(|entry| entry.id.as_str()))?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for held in entries {
            match act(&mut target.queue, &held, now_ms) {
                Ok(()) => successful.push(json!({ "Id": held.id })),
                Err(refusal) => failed.push(Failed::of(held.id, refusal)),
            }
        }
        all.advance(now_ms);
        all.named(queue_url.as_deref())?.changed.notify_waiters();
        written(&json!({ "Successful": successful, "Failed": failed }))
    }
}

fn send(queue: &mut Queue, entry: Send, number: u64, now_ms: u64) -> Result<Sent, Refusal> {
    let Send {
        id,
        message_body,
        delay_seconds,
        message_attributes,
        message_group_id: group,
        message_deduplication_id: once,
    } = entry;
    let most = queue.settings.message_max();
    batch::check_message(&message_body, message_attributes.as_ref(), most)?;
    fifo::check(queue.settings.is_fifo(), group.as_deref(), once.as_deref())?;
    let delay_ms = match delay_seconds {
        None => queue.settings.delay_ms(),
        Some(seconds @ ..=DELAY_MAX) => seconds * 1000,
        Some(seconds) => {
            let message = format!("DelaySeconds is {seconds}, allowed are 0 to {DELAY_MAX}.");
            return Err(Refusal::parameter(message));
        }
    };
    let sent = Sent {
        id,
        message_id: id_of(number),
        md5: md5(&message_body),
    };
    let message = Message {
        number,
        body: message_body,
        attributes: message_attributes,
        sent_ms: now_ms,
        sent_wall_ms: wall_ms(),
        first_received_wall_ms: None,
        received: 0,
        source: None,
        group,
    };
    if once.is_none_or(|once| queue.is_first(once, now_ms)) {
        queue.send(message, delay_ms, now_ms);
    }
    Ok(sent)
}

fn hide(queue: &mut Queue, held: &Held, now_ms: u64) -> Result<(), Refusal> {
    let receipt = receipt_of(&held.receipt_handle)?;
    let seconds = held.visibility_timeout;
    if seconds > VISIBILITY_MAX {
        let message = format!("VisibilityTimeout is {seconds}, allowed are 0 to {VISIBILITY_MAX}.");
        return Err(Refusal::parameter(message));
    }
    queue
        .change_visibility(receipt, seconds * 1000, now_ms)
        .map_err(refused)
}

/// The error of the API for what a queue cannot do.
pub(super) fn refused(problem: Problem) -> Refusal {
    match problem {
        Problem::OverLimit => Refusal::new("OverLimit", "120,000 messages are in flight."),
        Problem::NotInFlight => Refusal::new(
            "MessageNotInflight",
            "The message is not in flight any more.",
        ),
    }
}
