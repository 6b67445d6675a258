//! What a call to SQS counts as: a request, or one for each 64 KB of what it carries.

use aws_sdk_sqs::operation::change_message_visibility::ChangeMessageVisibilityInput;
use aws_sdk_sqs::operation::change_message_visibility_batch::ChangeMessageVisibilityBatchInput;
use aws_sdk_sqs::operation::delete_message::DeleteMessageInput;
use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchInput;
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesInput;
use aws_sdk_sqs::operation::receive_message::{ReceiveMessageInput, ReceiveMessageOutput};
use aws_sdk_sqs::operation::send_message::SendMessageInput;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchInput;
use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};

use super::{Asked, number};
use crate::model::bill::Unit;

pub(super) fn asked(input: &Input) -> Asked {
    let bytes = sent(input);
    let is_fifo = queue(input).is_some_and(|url| url.ends_with(".fifo"));
    Asked::Sqs { bytes, is_fifo }
}

pub(super) fn unit(is_fifo: bool) -> Unit {
    if is_fifo {
        Unit::SqsFifoRequest
    } else {
        Unit::SqsRequest
    }
}

fn sent(input: &Input) -> u64 {
    if let Some(one) = input.downcast_ref::<SendMessageInput>() {
        return number(one.message_body().map_or(0, str::len));
    }
    let batch = input.downcast_ref::<SendMessageBatchInput>();
    let entries = batch.map_or(&[][..], SendMessageBatchInput::entries);
    entries
        .iter()
        .map(|entry| number(entry.message_body().len()))
        .sum()
}

pub(super) fn received(output: &Output) -> u64 {
    let answer = output.downcast_ref::<ReceiveMessageOutput>();
    let messages = answer.map_or(&[][..], ReceiveMessageOutput::messages);
    let bodies = messages.iter().filter_map(|message| message.body());
    bodies.map(|body| number(body.len())).sum()
}

/// The queue's URL; what asks for something else, as for a queue's name, has none.
fn queue(input: &Input) -> Option<&str> {
    macro_rules! of {
        ($($input:ty),* $(,)?) => {$(
            if let Some(input) = input.downcast_ref::<$input>() {
                return input.queue_url();
            }
        )*};
    }
    of!(
        SendMessageInput,
        SendMessageBatchInput,
        ReceiveMessageInput,
        DeleteMessageInput,
        DeleteMessageBatchInput,
        ChangeMessageVisibilityInput,
        ChangeMessageVisibilityBatchInput,
        GetQueueAttributesInput,
    );
    None
}
