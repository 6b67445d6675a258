//! Queues: the worker sends, the broadcaster receives.

use std::future::Future;
use std::time::Duration;

use super::fault::CallFailed;
use crate::model::{Outgoing, Sent, TraceContext};

/// The sending side of one queue.
pub trait QueueSender: Send + Sync + 'static {
    /// Sends 1 to 10 message bodies of together at most 1 MiB; outcomes stand in their order.
    fn send(&self, bodies: &[String])
    -> impl Future<Output = Result<Vec<Sent>, CallFailed>> + Send;

    /// As [`QueueSender::send`], and says whose each message is, to a queue that can be told.
    fn send_grouped(
        &self,
        messages: &[Outgoing],
    ) -> impl Future<Output = Result<Vec<Sent>, CallFailed>> + Send {
        let bodies: Vec<String> = messages.iter().map(|one| one.body.clone()).collect();
        async move { self.send(&bodies).await }
    }
}

/// A message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What deletes it.
    pub receipt: String,
    /// Its body.
    pub body: String,
    /// The trace of a reading in it.
    pub trace: Option<TraceContext>,
}

/// The receiving side of one queue.
pub trait QueueReceiver: Send + Sync + 'static {
    /// Waits up to `wait` (at most 20 s) for 1 to 10 messages; none is normal.
    fn receive(
        &self,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Received>, CallFailed>> + Send;

    /// Deletes messages by receipt, ten at most. Those that could not be deleted are returned.
    fn delete(
        &self,
        receipts: &[String],
    ) -> impl Future<Output = Result<Vec<String>, CallFailed>> + Send;
}
