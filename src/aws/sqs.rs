//! SQS behind the doors [`QueueSender`] and [`QueueReceiver`].

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use super::error::{classify, failed, unbuildable};
use super::setup::{RECEIVE_SLACK, timeouts};
use crate::door::fault::{CallFailed, Fault};
use crate::door::queue::{QueueReceiver, QueueSender, Received};
use crate::model::hash::fnv1a_128;
use crate::model::trace::TRACEPARENT;
use crate::model::{Outgoing, Sent, TraceContext};

mod letter_box;

/// Messages a request, sending, receiving and deleting (AWS: SQS quotas).
pub const BATCH_MAX: usize = 10;
/// Bytes of a message, and of a batch (AWS: SQS quotas since August 2025).
pub const BYTES_MAX: usize = 1_048_576;
/// The longest wait AWS allows a receiver.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// One queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
    message_bytes_max: usize,
}

impl Queue {
    /// The queue at a URL; nothing is asked.
    #[must_use]
    pub fn at(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
            message_bytes_max: BYTES_MAX,
        }
    }

    /// The queue of that URL or, where the text is none, of that name in the caller's account;
    /// its own message limit is read (queues made before August 2025 keep 256 KiB).
    ///
    /// # Errors
    /// There is no such queue, or it may not be asked.
    pub async fn open(client: Client, url_or_name: &str) -> Result<Self, CallFailed> {
        let url = if url_or_name.contains("://") {
            url_or_name.to_owned()
        } else {
            url_of(&client, url_or_name).await?
        };
        let mut queue = Self::at(client, url);
        queue.message_bytes_max = queue.read_message_bytes_max().await?;
        Ok(queue)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Bytes of one message at most.
    #[must_use]
    pub fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// Without the permission to ask, AWS's present limit is assumed: what does not fit is then
    /// refused by the queue and handled there.
    async fn read_message_bytes_max(&self) -> Result<usize, CallFailed> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::MaximumMessageSize)
            .send()
            .await;
        match answer.map_err(|error| failed("GetQueueAttributes", &error)) {
            Ok(answer) => Ok(answer
                .attributes
                .and_then(|all| {
                    all.get(&QueueAttributeName::MaximumMessageSize)?
                        .parse()
                        .ok()
                })
                .unwrap_or(BYTES_MAX)),
            Err(denied) if super::explain::is_denied(&denied) => {
                tracing::debug!(error = %denied, "the queue's message limit is not known");
                Ok(BYTES_MAX)
            }
            Err(failed) => Err(failed),
        }
    }
}

/// Whether a queue's URL or name is that of a FIFO queue.
#[must_use]
pub fn is_fifo(url: &str) -> bool {
    url.ends_with(".fifo")
}

/// Characters of a message's group or deduplication id (AWS, `SendMessage`: 128 letters, digits and
/// punctuation). A position with its stream before it can be longer.
const ID_CHARS_MAX: usize = 128;

/// A device or a position as such an id: what AWS does not take is escaped, and what is too long is cut and
/// ends with a hash of the whole, so that two stay two.
fn bounded_id(text: &str) -> String {
    let is_taken = |c: char| c.is_ascii_graphic() && c != '%' && c != '~';
    if text.len() <= ID_CHARS_MAX && !text.is_empty() && text.chars().all(is_taken) {
        return text.to_owned();
    }
    let mut id = String::with_capacity(ID_CHARS_MAX);
    for byte in text.bytes() {
        match char::from(byte) {
            c if is_taken(c) => id.push(c),
            _ => id.push_str(&format!("%{byte:02X}")),
        }
    }
    if id.len() > ID_CHARS_MAX || id.is_empty() {
        let hash = format!("~{:032x}", fnv1a_128(text.bytes()));
        id.truncate(ID_CHARS_MAX - hash.len());
        id.push_str(&hash);
    }
    id
}

/// A queue's URL by its name.
///
/// # Errors
/// There is no such queue, or the call failed.
pub async fn url_of(client: &Client, name: &str) -> Result<String, CallFailed> {
    const OPERATION: &str = "GetQueueUrl";
    let answer = client
        .get_queue_url()
        .queue_name(name)
        .send()
        .await
        .map_err(|error| failed(OPERATION, &error))?;
    answer.queue_url.ok_or_else(|| CallFailed {
        operation: OPERATION,
        fault: Fault::Fatal,
        message: "the answer has no URL".to_owned(),
    })
}

impl QueueSender for Queue {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Sent>, CallFailed> {
        let messages: Vec<Outgoing> = bodies.iter().cloned().map(Outgoing::from).collect();
        self.send_grouped(&messages).await
    }

    async fn send_grouped(&self, messages: &[Outgoing]) -> Result<Vec<Sent>, CallFailed> {
        const OPERATION: &str = "SendMessageBatch";
        let fifo = is_fifo(&self.url);
        let entries = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                let once = message.once.as_deref().filter(|_| fifo);
                let traced = message.trace.as_ref().map(traceparent).transpose()?;
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(&message.body)
                    .set_message_group_id(message.group.as_deref().map(bounded_id))
                    .set_message_deduplication_id(once.map(bounded_id))
                    .set_message_attributes(traced)
                    .build()
                    .map_err(|error| unbuildable(OPERATION, &error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| failed(OPERATION, &error))?;
        // An entry that the answer does not name may or may not be there: at least once.
        let mut outcomes =
            vec![Sent::Again("the answer does not name it".to_owned()); messages.len()];
        for done in answer.successful {
            put(&mut outcomes, &done.id, Sent::Accepted);
        }
        for failed in answer.failed {
            let reason = format!("{}: {}", failed.code, failed.message.unwrap_or_default());
            let outcome = if is_the_messages_fault(failed.sender_fault, &failed.code) {
                Sent::Refused(reason)
            } else {
                Sent::Again(reason)
            };
            put(&mut outcomes, &failed.id, outcome);
        }
        Ok(outcomes)
    }
}

/// The attribute by which whoever receives a message goes on with a trace.
fn traceparent(
    context: &TraceContext,
) -> Result<HashMap<String, MessageAttributeValue>, CallFailed> {
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(context.traceparent())
        .build()
        .map_err(|error| unbuildable("SendMessageBatch", &error))?;
    Ok(HashMap::from([(TRACEPARENT.to_owned(), value)]))
}

/// AWS sets `SenderFault` for lack of permission and for throttling by KMS, too: no message is to
/// blame for those, and a dead letter for each would not mend them.
fn is_the_messages_fault(sender_fault: bool, code: &str) -> bool {
    const NOT_ITS_FAULT: &[&str] = &[
        "AccessDenied",
        "AccessDeniedException",
        "DisabledException",
        "InvalidStateException",
        "NotFoundException",
        "OptInRequired",
    ];
    let bare = super::error::bare(code);
    let passes = classify(Some(code), None).is_worth_again();
    sender_fault && !passes && !NOT_ITS_FAULT.contains(&bare) && !bare.starts_with("Kms")
}

fn put(outcomes: &mut [Sent], id: &str, outcome: Sent) {
    let slot = id
        .parse()
        .ok()
        .and_then(|index: usize| outcomes.get_mut(index));
    if let Some(slot) = slot {
        *slot = outcome;
    }
}

impl QueueReceiver for Queue {
    async fn receive(&self, wait: Duration) -> Result<Vec<Received>, CallFailed> {
        let wait = wait.min(WAIT_MAX);
        let limit = aws_sdk_sqs::Config::builder().timeout_config(timeouts(wait + RECEIVE_SLACK));
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0))
            .message_attribute_names(TRACEPARENT)
            .customize()
            .config_override(limit)
            .send()
            .await
            .map_err(|error| failed("ReceiveMessage", &error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                let given = message.message_attributes.as_ref();
                let trace = given.and_then(|all| all.get(TRACEPARENT)?.string_value());
                Some(Received {
                    trace: trace.and_then(TraceContext::parse),
                    receipt: message.receipt_handle?,
                    body: message.body.unwrap_or_default(),
                })
            })
            .collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>, CallFailed> {
        const OPERATION: &str = "DeleteMessageBatch";
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let entries = receipts
            .iter()
            .enumerate()
            .map(|(index, receipt)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt)
                    .build()
                    .map_err(|error| unbuildable(OPERATION, &error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| failed(OPERATION, &error))?;
        let left = answer.failed.iter();
        Ok(left
            .filter_map(|failed| receipts.get(failed.id.parse::<usize>().ok()?).cloned())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_group_whatever_its_characters_and_length() {
        assert_eq!(bounded_id("pump-1"), "pump-1");
        assert_eq!(bounded_id("pump 1/ä"), "pump%201/%C3%A4");
        assert_ne!(bounded_id("a%20b"), bounded_id("a b"));
        let long = |end: &str| bounded_id(&format!("{}{end}", "x".repeat(300)));
        assert_eq!(long("1").len(), ID_CHARS_MAX);
        assert_ne!(long("1"), long("2"));
        assert_eq!(bounded_id("").len(), 33);
    }

    #[test]
    fn only_what_the_message_is_to_blame_for_is_refused() {
        assert!(is_the_messages_fault(true, "InvalidMessageContents"));
        assert!(is_the_messages_fault(true, "InvalidParameterValue"));
        assert!(!is_the_messages_fault(false, "InternalError"));
        for code in [
            "KMS.ThrottlingException",
            "KmsAccessDenied",
            "AccessDenied",
            "KMS.AccessDeniedException",
            "RequestThrottled",
        ] {
            assert!(!is_the_messages_fault(true, code), "{code}");
        }
    }
}
