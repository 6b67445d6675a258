//! A queue of dead letters, read back.

use std::time::Duration;

use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;

use super::super::error::{failed, unbuildable};
use super::super::setup::{RECEIVE_SLACK, timeouts};
use super::{BATCH_MAX, Queue, WAIT_MAX};
use crate::door::dead_letters::{Held, LetterBox};
use crate::door::fault::CallFailed;
use crate::door::queue::QueueReceiver as _;

/// The longest that SQS hides a message (AWS: `ChangeMessageVisibility`).
const HOLD_MAX: Duration = Duration::from_secs(43_200);

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.min(HOLD_MAX).as_secs()).unwrap_or(0)
}

impl LetterBox for Queue {
    async fn take(&self, hold: Duration, wait: Duration) -> Result<Vec<Held>, CallFailed> {
        let wait = wait.min(WAIT_MAX);
        let limit = aws_sdk_sqs::Config::builder().timeout_config(timeouts(wait + RECEIVE_SLACK));
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(BATCH_MAX).unwrap_or(1))
            .visibility_timeout(seconds(hold))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0))
            .customize()
            .config_override(limit)
            .send()
            .await
            .map_err(|error| failed("ReceiveMessage", &error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                Some(Held {
                    id: message.message_id?,
                    receipt: message.receipt_handle?,
                    body: message.body.unwrap_or_default(),
                })
            })
            .collect())
    }

    async fn hold(&self, receipts: &[String], hold: Duration) -> Result<(), CallFailed> {
        const OPERATION: &str = "ChangeMessageVisibilityBatch";
        if receipts.is_empty() {
            return Ok(());
        }
        let entries = receipts
            .iter()
            .enumerate()
            .map(|(index, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(receipt)
                    .visibility_timeout(seconds(hold))
                    .build()
                    .map_err(|error| unbuildable(OPERATION, &error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| failed(OPERATION, &error))?;
        // One that is not held any more, or not there: then there is nothing to hold.
        for left in answer.failed {
            tracing::debug!(code = left.code, "a letter was not held");
        }
        Ok(())
    }

    async fn remove(&self, receipts: &[String]) -> Result<Vec<String>, CallFailed> {
        self.delete(receipts).await
    }
}
