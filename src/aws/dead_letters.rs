//! Dead letters over SQS: one message each.

use super::sqs::{BATCH_MAX, BYTES_MAX};
use crate::door::dead_letters::DeadLetters;
use crate::door::fault::{CallFailed, Fault};
use crate::door::queue::QueueSender;
use crate::model::{DeadLetter, Sent};
use crate::pipeline::message::escape_for_sqs;

const OPERATION: &str = "SendMessageBatch";

/// A dead-letter queue.
#[derive(Clone, Debug)]
pub struct SqsDeadLetters<Q> {
    queue: Q,
    message_bytes_max: usize,
}

impl<Q: QueueSender> SqsDeadLetters<Q> {
    /// Letters go to this queue, whose messages hold so many bytes
    /// ([`Queue::message_bytes_max`](super::sqs::Queue::message_bytes_max)).
    #[must_use]
    pub fn new(queue: Q, message_bytes_max: usize) -> Self {
        Self {
            queue,
            message_bytes_max: message_bytes_max.min(BYTES_MAX),
        }
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Q {
        &self.queue
    }

    /// Files letters of one batch. A letter that the queue refuses goes once more without its
    /// payload (an old queue's smaller limit); refused then, too, it ends the call. A request that
    /// is rejected as a whole is the caller's to divide: only the letter to blame is to lose its
    /// payload.
    async fn file_batch(
        &self,
        letters: &[&DeadLetter],
        bodies: &[String],
    ) -> Result<(), CallFailed> {
        let outcomes = self.queue.send(bodies).await?;
        let mut again = None;
        for (letter, outcome) in letters.iter().zip(outcomes) {
            match outcome {
                Sent::Accepted => {}
                Sent::Again(reason) => again = Some(reason),
                Sent::Refused(reason) => self.file_bare(letter, reason).await?,
            }
        }
        match again {
            None => Ok(()),
            Some(message) => Err(CallFailed {
                operation: OPERATION,
                fault: Fault::Transient,
                message,
            }),
        }
    }

    async fn file_bare(&self, letter: &DeadLetter, reason: String) -> Result<(), CallFailed> {
        tracing::debug!(
            reason,
            "a dead letter was refused and goes without its payload"
        );
        let bare = without_payload(letter);
        let outcomes = self.queue.send(&[body_of(&bare)]).await?;
        let (fault, message) = match outcomes.into_iter().next() {
            Some(Sent::Accepted) => return Ok(()),
            Some(Sent::Refused(reason)) => (Fault::Fatal, reason),
            Some(Sent::Again(reason)) => (Fault::Transient, reason),
            None => (Fault::Transient, "the answer is empty".to_owned()),
        };
        Err(CallFailed {
            operation: OPERATION,
            fault,
            message,
        })
    }
}

impl<Q: QueueSender> DeadLetters for SqsDeadLetters<Q> {
    async fn file(&self, letters: &[DeadLetter]) -> Result<(), CallFailed> {
        let mut batch: Vec<&DeadLetter> = Vec::new();
        let mut bodies: Vec<String> = Vec::new();
        let mut bytes = 0;
        for letter in letters {
            let body = fitting(letter, self.message_bytes_max);
            if !bodies.is_empty() && (bodies.len() == BATCH_MAX || bytes + body.len() > BYTES_MAX) {
                self.file_batch(&batch, &bodies).await?;
                batch.clear();
                bodies.clear();
                bytes = 0;
            }
            bytes += body.len();
            batch.push(letter);
            bodies.push(body);
        }
        if bodies.is_empty() {
            return Ok(());
        }
        self.file_batch(&batch, &bodies).await
    }
}

/// The letter's message: whole, or without its payload where that does not fit.
fn fitting(letter: &DeadLetter, bytes_max: usize) -> String {
    let payload = letter.data_base64.as_ref().map_or(0, String::len);
    if payload < bytes_max {
        let body = body_of(letter);
        if body.len() <= bytes_max {
            return body;
        }
    }
    body_of(&without_payload(letter))
}

fn without_payload(letter: &DeadLetter) -> DeadLetter {
    let mut bare = letter.clone();
    if let Some(data) = bare.data_base64.take() {
        let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
        bare.data_left_out_bytes = Some((data.len() / 4 * 3).saturating_sub(padding));
    }
    bare
}

fn body_of(letter: &DeadLetter) -> String {
    let body = serde_json::to_string(letter).expect("a letter has text keys and plain values only");
    escape_for_sqs(body)
}

#[cfg(test)]
mod tests;
