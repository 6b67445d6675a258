//! Dry calls of SQS. None sends, shows or deletes a message.

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;

use super::super::error::{failed, unbuildable};
use super::{Looked, NOBODY};
use crate::door::fault::CallFailed;

fn on(url: &str) -> String {
    format!("queue {}", url.rsplit('/').next().unwrap_or(url))
}

/// `sqs:SendMessage`: a batch of no message.
pub async fn send(client: &aws_sdk_sqs::Client, url: &str) -> Looked {
    let call = client.send_message_batch().queue_url(url);
    let answer = call.set_entries(Some(Vec::new())).send().await;
    let answer = answer.map_err(|error| failed("SendMessageBatch", &error));
    Looked::new("sqs:SendMessage", &on(url), answer)
}

/// `sqs:ReceiveMessage`: of no message, since a message that is received counts as tried. A server
/// that gives one all the same is told to show it to others at once.
pub async fn receive(client: &aws_sdk_sqs::Client, url: &str) -> Looked {
    let call = client.receive_message().queue_url(url);
    let call = call.max_number_of_messages(0).visibility_timeout(0);
    let answer = call.send().await;
    let answer = answer.map_err(|error| failed("ReceiveMessage", &error));
    Looked::new("sqs:ReceiveMessage", &on(url), answer)
}

/// `sqs:DeleteMessage`: by a handle that nobody has; the batch is taken, its one entry fails.
pub async fn delete(client: &aws_sdk_sqs::Client, url: &str) -> Looked {
    let answer = deleted(client, url).await;
    Looked::new("sqs:DeleteMessage", &on(url), answer)
}

async fn deleted(client: &aws_sdk_sqs::Client, url: &str) -> Result<(), CallFailed> {
    let entry = DeleteMessageBatchRequestEntry::builder().id("0");
    let entry = entry.receipt_handle(NOBODY).build();
    let entry = entry.map_err(|error| unbuildable("DeleteMessageBatch", &error))?;
    let call = client.delete_message_batch().queue_url(url).entries(entry);
    let answer = call.send().await;
    answer
        .map(|_| ())
        .map_err(|error| failed("DeleteMessageBatch", &error))
}
