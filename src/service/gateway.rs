//! The gateway: what answers `$connect`, `$disconnect`, `subscribe`, `unsubscribe`, `ping` and
//! `$default` of the WebSocket API. A Lambda on AWS; the local WebSocket server calls it with the
//! same events.
//!
//! | route | does | answers |
//! |---|---|---|
//! | `$connect` | checks origin and token, or spends a ticket, and writes the row | 200 and the subprotocol; 401, 403; 500, 503 |
//! | `$disconnect` | deletes the row | 200 |
//! | `subscribe` | *replaces* what the viewer wants | `{"type":"subscribed","device_ids":[..]}` |
//! | `unsubscribe` | takes ids away, all of them where none is named | the same, with what is left |
//! | `ping` | reads the row: whoever has none, or a token that ran out, is told; keeps the connection from idling out | `{"type":"pong"}` |
//! | `$default` | serves an `action` it knows, for APIs without those routes | as above |
//!
//! A subscribe replaces rather than adds: API Gateway runs two messages of one client at the same
//! time and in any order, so that adding would lose one of them, and a client that connects again
//! says what it wants once. A message that cannot be served is answered with a frame of type
//! `error` and status 200, since another status would reach the client as API Gateway's own words.
//!
//! After each change of a row the viewer's broadcaster is told by a control message, best effort:
//! it reads all rows every 30 s anyway (every 2 s where `queue.format = "single"`, in which there are
//! no such messages).

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::encodings::Body;
use axum::http::HeaderValue;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;

use self::handshake::Refusal;
use self::message::{Ask, Complaint};
use self::published::Published;
use crate::door::connections::{Connections, Tickets};
use crate::door::fault::CallFailed;
use crate::door::key_set::KeySet;
use crate::door::queue::QueueSender;
use crate::model::message::{Control, ControlKind, VERSION};
use crate::model::{ConnectionId, EpochMillis, Fault, Sent, StoredTime};
use crate::push::spread::queue_of;
use crate::service::clock::{self, Clock};

mod admission;
pub mod handshake;
pub mod keys;
pub mod message;
mod options;
mod published;
mod ticket;
pub mod token;

pub use options::{Options, OptionsError};

/// A call of the connection table is given up after this: the client waits for the answer, and
/// API Gateway itself gives up after 29 s.
pub const TABLE_WAIT: Duration = Duration::from_secs(5);

/// A control message is given up after this. It must be sent before the answer, since a Lambda is
/// frozen once it has answered, and so it delays the client.
pub const CONTROL_WAIT: Duration = Duration::from_millis(750);

/// API Gateway ends every connection after two hours (its quotas page).
pub const CONNECTION_LIFE: Duration = Duration::from_secs(2 * 3600);

/// The handler. One serves any number of events at a time.
#[derive(Debug)]
pub struct Gateway<C, Q> {
    options: Options,
    /// Keys beside those of the options.
    published: Option<Published>,
    connections: C,
    queues: Vec<Q>,
}

/// What a client is told when the table fails: nothing of the reason.
struct TableFailed;

impl<C: Connections + Tickets, Q: QueueSender> Gateway<C, Q> {
    /// A handler on this table; `queues` are the senders of `queue.urls` in their order, or none
    /// where no control messages are wanted (`queue.format = "single"`).
    #[must_use]
    pub fn new(options: Options, connections: C, queues: Vec<Q>) -> Self {
        Self {
            options,
            published: None,
            connections,
            queues,
        }
    }

    /// Checks tokens also with the keys that are published here; `clock` tells their age.
    #[must_use]
    pub fn with_key_set(mut self, set: Arc<dyn KeySet>, clock: Clock) -> Self {
        self.published = Some(Published::new(set, clock));
        self
    }

    /// Answers one event. Never fails: what goes wrong is an answer too.
    pub async fn handle(&self, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
        // On the heap: with the table's calls in it, it is too large to be moved about.
        Box::pin(self.handle_at(event, clock::wall())).await
    }

    /// [`Gateway::handle`] at a given time, by which tokens are judged.
    pub async fn handle_at(
        &self,
        event: ApiGatewayWebsocketProxyRequest,
        now: EpochMillis,
    ) -> ApiGatewayProxyResponse {
        let context = &event.request_context;
        let Some(id) = context.connection_id.as_deref().map(ConnectionId::from) else {
            tracing::warn!("an event without a connection id: is this a WebSocket API's route?");
            return status(400);
        };
        match context.route_key.as_deref() {
            Some("$connect") => self.connect(&id, &event, now).await,
            Some("$disconnect") => self.disconnect(&id, context.connected_at).await,
            _ => {
                let said = self.say(&id, &event, now).await;
                frame(said.unwrap_or_else(|complaint| complaint.frame()))
            }
        }
    }

    async fn connect(
        &self,
        id: &ConnectionId,
        event: &ApiGatewayWebsocketProxyRequest,
        now: EpochMillis,
    ) -> ApiGatewayProxyResponse {
        let at = connected_at(event.request_context.connected_at, now);
        let (row, offer) = match self.admit(id, event, at, now).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                tracing::info!(connection = %id, reason = %refusal, "handshake refused");
                return status(refusal.status());
            }
        };
        let Ok(echo) = HeaderValue::from_str(offer.echo()) else {
            return status(Refusal::NoToken.status());
        };
        if self.table("put", self.connections.put(&row)).await.is_err() {
            return status(500);
        }
        self.tell(id).await;
        let mut answer = status(200);
        answer.headers.insert(SEC_WEBSOCKET_PROTOCOL, echo);
        answer
    }

    /// Deletes the row, unless it is of a later connection under the same id.
    async fn disconnect(&self, id: &ConnectionId, connected_at: i64) -> ApiGatewayProxyResponse {
        let Ok(row) = self.table("get", self.connections.get(id)).await else {
            return status(500);
        };
        let Some(row) = row else {
            return status(200);
        };
        if is_later(row.connected_at.as_ref(), connected_at) {
            return status(200);
        }
        let forgotten = self.connections.forget(id, row.connected_at.as_ref());
        match self.table("forget", forgotten).await {
            Ok(true) => self.tell(id).await,
            Ok(false) => {}
            Err(TableFailed) => return status(500),
        }
        status(200)
    }

    /// Serves a client's message: the frame to answer with.
    async fn say(
        &self,
        id: &ConnectionId,
        event: &ApiGatewayWebsocketProxyRequest,
        now: EpochMillis,
    ) -> Result<String, Complaint> {
        let ask = message::read(&body(event)?, self.options.subscriptions_max)?;
        let row = match self.table("get", self.connections.get(id)).await {
            // What a ping asks, whether its messages come through, is so.
            Err(TableFailed) if ask == Ask::Ping => return Ok(message::pong()),
            row => row?.ok_or(Complaint::NotConnected)?,
        };
        if row
            .expires_at
            .is_some_and(|end| end <= now.0.div_euclid(1000))
        {
            return Err(Complaint::Expired);
        }
        if ask == Ask::Ping {
            return Ok(message::pong());
        }
        let wanted = message::wanted_after(&row, ask)?;
        if wanted != row.wanted {
            let set = self.connections.set_wanted(id, &wanted);
            if !self.table("set_wanted", set).await? {
                return Err(Complaint::NotConnected);
            }
        }
        // Also where nothing changed: the viewer may be asking because its broadcaster missed it.
        self.tell(id).await;
        Ok(message::subscribed(&wanted))
    }

    async fn table<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, CallFailed>> + Send,
    ) -> Result<T, TableFailed> {
        match timeout(TABLE_WAIT, call).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let fault = error.fault.as_str();
                tracing::warn!(operation, fault, %error, "the connection table failed");
                Err(TableFailed)
            }
            Err(_) => {
                tracing::warn!(operation, wait = ?TABLE_WAIT, "the connection table is too slow");
                Err(TableFailed)
            }
        }
    }

    /// Tells the viewer's broadcaster to read its row.
    async fn tell(&self, id: &ConnectionId) {
        let place = queue_of(id, self.queues.len());
        let Some(queue) = place.and_then(|place| self.queues.get(place)) else {
            return;
        };
        let control = Control {
            v: VERSION,
            control: ControlKind::Changed,
            connection: id.clone(),
        };
        let body = serde_json::to_string(&control).expect("plain text fields always serialize");
        match timeout(CONTROL_WAIT, queue.send(&[body])).await {
            Ok(Ok(sent)) if sent.iter().all(|sent| *sent == Sent::Accepted) => {}
            Ok(Ok(sent)) => tracing::info!(connection = %id, ?sent, "{UNTOLD}"),
            Ok(Err(error)) if error.fault == Fault::Fatal => {
                tracing::warn!(connection = %id, %error, "{UNTOLD}");
            }
            Ok(Err(error)) => tracing::info!(connection = %id, %error, "{UNTOLD}"),
            Err(_) => tracing::info!(connection = %id, wait = ?CONTROL_WAIT, "{UNTOLD}"),
        }
    }
}

/// What is logged where a control message was not sent.
const UNTOLD: &str = "the broadcaster was not told of a change, it will see it within 30 s";

impl From<TableFailed> for Complaint {
    fn from(_: TableFailed) -> Self {
        Self::Unavailable
    }
}

/// API Gateway's own time of the connection, which a later `$disconnect` repeats; ours where an
/// event lacks it.
fn connected_at(stated: i64, now: EpochMillis) -> EpochMillis {
    if stated > 0 { EpochMillis(stated) } else { now }
}

/// Whether a row is of a connection made after the one that `$disconnect` speaks of. Only rows we
/// wrote can be compared; the blog's Lambda writes text.
fn is_later(row: Option<&StoredTime>, connected_at: i64) -> bool {
    match row {
        Some(StoredTime::Number(ms)) if connected_at > 0 => {
            ms.parse().is_ok_and(|ms: i64| ms > connected_at)
        }
        _ => false,
    }
}

/// The message's text. Binary frames come in base64.
fn body(event: &ApiGatewayWebsocketProxyRequest) -> Result<Cow<'_, str>, Complaint> {
    let text = event.body.as_deref().unwrap_or("");
    if !event.is_base64_encoded {
        return Ok(Cow::Borrowed(text));
    }
    let bytes = STANDARD.decode(text).map_err(|_| Complaint::BadMessage)?;
    let text = String::from_utf8(bytes).map_err(|_| Complaint::BadMessage)?;
    Ok(Cow::Owned(text))
}

fn status(code: i64) -> ApiGatewayProxyResponse {
    let mut answer = ApiGatewayProxyResponse::default();
    answer.status_code = code;
    answer
}

fn frame(text: String) -> ApiGatewayProxyResponse {
    let mut answer = status(200);
    answer.body = Some(Body::Text(text));
    answer
}

#[cfg(test)]
mod tests;
