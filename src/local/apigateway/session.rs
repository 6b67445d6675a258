//! One connection from its upgrade to its end.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::encodings::Body;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::registry::Link;
use super::{Answer, Shared, event, now_ms};
use crate::local::meter::{Fact, Level};

/// How long a socket stays open after our closing frame, so that a viewer still sending reads it
/// before the reset.
const LINGER: Duration = Duration::from_millis(500);

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The viewer closed, with this code and reason.
    Closed(u16, String),
    Vanished,
    TooBig,
    Binary,
    Malformed,
    /// Its longest duration or its idle time is over.
    Over,
    Deleted,
    /// The viewer did not read for too long.
    Stalled,
    Killed,
    Shutdown,
}

impl End {
    /// Status and reason as the `$disconnect` event and our closing frame carry them.
    fn status(&self) -> (u16, &str) {
        match self {
            Self::Closed(code, reason) => (*code, reason),
            Self::Vanished | Self::Stalled | Self::Killed => {
                (close_code::ABNORMAL, "Connection Closed Abnormally")
            }
            Self::TooBig => (close_code::SIZE, "Message too long"),
            Self::Binary => (close_code::UNSUPPORTED, "Binary is not supported"),
            Self::Malformed => (close_code::PROTOCOL, "Protocol error"),
            Self::Over | Self::Shutdown => (close_code::AWAY, "Going away"),
            Self::Deleted => (close_code::NORMAL, "Connection Closed Normally"),
        }
    }
}

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Arc<Link>,
    pub(super) frames: mpsc::Receiver<Utf8Bytes>,
    pub(super) socket: WebSocket,
    /// Counts against the most viewers until the end.
    pub(super) _seat: OwnedSemaphorePermit,
}

impl Session {
    pub(super) async fn run(mut self) {
        let connections = |by| Fact::Change(Level::Connections, by);
        let meter = self.shared.front.meter().clone();
        meter.record([connections(1.0)]);
        let end = self.serve().await;
        meter.record([connections(-1.0)]);
        self.shared.registry.remove(&self.link.viewer.connection_id);
        self.frames.close();
        let (code, reason) = end.status();
        match end {
            End::Vanished | End::Stalled | End::Killed => {}
            // The viewer's own closing frame is answered by reading on.
            End::Closed(..) => self.say_goodbye(None).await,
            _ => {
                self.say_goodbye(Some(CloseFrame {
                    code,
                    reason: reason.into(),
                }))
                .await
            }
        }
        if !matches!(end, End::Killed | End::Shutdown) {
            self.shared.disconnect(&self.link.viewer, code, reason);
        }
    }

    async fn serve(&mut self) -> End {
        let ends = Instant::now() + self.shared.options.duration_max;
        let idle_max = self.shared.options.idle_max;
        let shutdown = self.shared.shutdown();
        let mut idle = Instant::now() + idle_max;
        let mut integration: Option<JoinHandle<Answer>> = None;
        loop {
            let outgoing = tokio::select! {
                biased;
                () = shutdown.cancelled() => return End::Shutdown,
                () = self.link.kill.cancelled() => return End::Killed,
                () = self.link.close.cancelled() => return End::Deleted,
                () = sleep_until(ends.min(idle)) => return End::Over,
                answer = answered(&mut integration) => {
                    integration = None;
                    let reply = self.reply(answer);
                    if let Some(text) = &reply {
                        self.shared.carried(text.len());
                    }
                    reply
                }
                message = self.socket.recv(), if integration.is_none() => {
                    match incoming(message) {
                        Ok(Some(text)) => integration = Some(self.integrate(&text)),
                        Ok(None) => {}
                        Err(end) => return end,
                    }
                    None
                }
                frame = self.frames.recv() => frame,
            };
            if let Some(text) = outgoing
                && let Err(end) = self.send(text, ends).await
            {
                return end;
            }
            // API Gateway's page on quotas does not say which way a message must go to count.
            idle = Instant::now() + idle_max;
            self.link.touch(now_ms());
        }
    }

    /// Starts the integration in a task of its own: a Lambda function too runs on when the viewer
    /// goes.
    fn integrate(&self, text: &str) -> JoinHandle<Answer> {
        self.shared.carried(text.len());
        let event = event::message(&self.link.viewer, text, now_ms());
        let shared = Arc::clone(&self.shared);
        self.shared
            .tasks
            .spawn(async move { shared.integrate(event).await })
    }

    /// What the viewer hears of an integration's answer: its body, if any.
    fn reply(&self, answer: Answer) -> Option<Utf8Bytes> {
        match answer {
            Ok(answer) => match answer.body? {
                Body::Text(text) if !text.is_empty() => Some(text.into()),
                _ => None,
            },
            Err(_) => {
                let words = json!({
                    "message": "Internal server error",
                    "connectionId": self.link.viewer.connection_id,
                    "requestId": event::unique_id(),
                });
                Some(words.to_string().into())
            }
        }
    }

    /// Sends one text frame, however slowly the viewer reads, unless something ends the wait.
    async fn send(&mut self, text: Utf8Bytes, ends: Instant) -> Result<(), End> {
        let shutdown = self.shared.shutdown();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(End::Shutdown),
            () = self.link.kill.cancelled() => Err(End::Killed),
            () = self.link.close.cancelled() => Err(End::Deleted),
            () = sleep_until(ends) => Err(End::Over),
            () = sleep(self.shared.options.stall_max) => Err(End::Stalled),
            sent = self.socket.send(Message::Text(text)) => sent.map_err(|_| End::Vanished),
        }
    }

    /// The closing handshake, from either side.
    async fn say_goodbye(&mut self, frame: Option<CloseFrame>) {
        let unread = frame
            .as_ref()
            .is_some_and(|frame| frame.code == close_code::SIZE);
        let goodbye = async {
            if let Some(frame) = frame
                && self.socket.send(Message::Close(Some(frame))).await.is_err()
            {
                return;
            }
            while let Some(Ok(_)) = self.socket.recv().await {}
            if unread {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.link.kill.cancelled() => {}
            () = sleep(LINGER) => {}
            () = goodbye => {}
        }
    }
}

async fn answered(integration: &mut Option<JoinHandle<Answer>>) -> Answer {
    match integration {
        Some(task) => task.await.unwrap_or_else(|error| Err(error.into())),
        None => std::future::pending().await,
    }
}

/// A message for the integration, nothing of note, or the end.
fn incoming(message: Option<Result<Message, axum::Error>>) -> Result<Option<Utf8Bytes>, End> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Binary(_))) => Err(End::Binary),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(Some(frame)))) => {
            Err(End::Closed(frame.code, frame.reason.to_string()))
        }
        Some(Ok(Message::Close(None))) => {
            let reason = "Client-side close frame status not set".to_owned();
            Err(End::Closed(close_code::STATUS, reason))
        }
        None => Err(End::Vanished),
        Some(Err(error)) => Err(broken(&error.to_string())),
    }
}

/// The error's type is one of a crate that axum keeps to itself: its words must do.
fn broken(words: &str) -> End {
    if words.starts_with("Space limit exceeded") {
        return End::TooBig;
    }
    if words.starts_with("WebSocket protocol error") && !words.contains("without closing handshake")
    {
        return End::Malformed;
    }
    End::Vanished
}
