//! The table and the queues in memory, an event maker, and a log that can be searched.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::{Connection, Sent, Ticket, TicketHash, Wanted};
use crate::service::gateway::keys::Keys;
use crate::service::gateway::token::{Rules, mint};
use crate::service::settings::Secret;

pub(super) const NOW: EpochMillis = EpochMillis(1_800_000_000_000);
pub(super) const NOW_S: i64 = 1_800_000_000;
pub(super) const CONNECTED_AT: i64 = 1_799_999_999_500;
pub(super) const SECRET: &str = "an-hmac-secret-of-thirty-two-or-more-bytes";
pub(super) const ID: &str = "L0SM9cOFvHcCIhw=";

/// How a door behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Well,
    Broken,
    Stuck,
}

async fn meet(mood: Mood) -> Result<(), CallFailed> {
    match mood {
        Mood::Well => Ok(()),
        Mood::Broken => Err(CallFailed {
            operation: "Table",
            fault: Fault::Fatal,
            message: "AccessDeniedException: arn:aws:iam::1:role/secretive".to_owned(),
        }),
        Mood::Stuck => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Arc<Mutex<BTreeMap<ConnectionId, Connection>>>,
    /// With when they run out.
    pub(super) tickets: Arc<Mutex<BTreeMap<TicketHash, (i64, Ticket)>>>,
    pub(super) mood: Arc<Mutex<Mood>>,
}

impl Table {
    pub(super) fn row(&self, id: &str) -> Option<Connection> {
        self.rows.lock().unwrap().get(&id.into()).cloned()
    }

    async fn meet(&self) -> Result<(), CallFailed> {
        let mood = *self.mood.lock().unwrap();
        meet(mood).await
    }
}

impl Connections for Table {
    async fn list(&self) -> Result<Vec<Connection>, CallFailed> {
        self.meet().await?;
        Ok(self.rows.lock().unwrap().values().cloned().collect())
    }

    async fn get(&self, id: &ConnectionId) -> Result<Option<Connection>, CallFailed> {
        self.meet().await?;
        Ok(self.row(id.as_str()))
    }

    async fn put(&self, row: &Connection) -> Result<(), CallFailed> {
        self.meet().await?;
        self.rows
            .lock()
            .unwrap()
            .insert(row.id.clone(), row.clone());
        Ok(())
    }

    async fn set_wanted(&self, id: &ConnectionId, wanted: &Wanted) -> Result<bool, CallFailed> {
        self.meet().await?;
        match self.rows.lock().unwrap().get_mut(id) {
            Some(row) => row.wanted = wanted.clone(),
            None => return Ok(false),
        }
        Ok(true)
    }

    async fn forget(
        &self,
        id: &ConnectionId,
        connected_at: Option<&StoredTime>,
    ) -> Result<bool, CallFailed> {
        self.meet().await?;
        let mut rows = self.rows.lock().unwrap();
        let is_it = rows
            .get(id)
            .is_some_and(|row| row.connected_at.as_ref() == connected_at);
        Ok(is_it && rows.remove(id).is_some())
    }
}

impl Tickets for Table {
    async fn spend(&self, ticket: &TicketHash, now_s: i64) -> Result<Option<Ticket>, CallFailed> {
        self.meet().await?;
        let mut tickets = self.tickets.lock().unwrap();
        match tickets.get(ticket) {
            Some((ends_s, _)) if *ends_s > now_s => {}
            _ => return Ok(None),
        }
        Ok(tickets.remove(ticket).map(|(_, ticket)| ticket))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) sent: Arc<Mutex<Vec<String>>>,
    pub(super) mood: Arc<Mutex<Mood>>,
}

impl QueueSender for Queue {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Sent>, CallFailed> {
        let mood = *self.mood.lock().unwrap();
        meet(mood).await?;
        self.sent.lock().unwrap().extend_from_slice(bodies);
        Ok(vec![Sent::Accepted; bodies.len()])
    }
}

pub(super) struct Stand {
    pub(super) gateway: Gateway<Table, Queue>,
    pub(super) table: Table,
    pub(super) queues: Vec<Queue>,
}

pub(super) fn secret() -> Secret {
    Secret::new(SECRET.to_owned())
}

pub(super) fn token() -> String {
    mint(&secret(), "ada", NOW_S)
}

impl Stand {
    pub(super) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            rules: Rules::new(Keys::of_secret(&secret()).unwrap()),
            legacy_token: false,
            tickets: false,
            jwks_url: None,
            origins: Vec::new(),
            subscriptions_max: 1_000,
        };
        change(&mut options);
        let table = Table::default();
        let queues = vec![Queue::default(), Queue::default(), Queue::default()];
        let gateway = Gateway::new(options, table.clone(), queues.clone());
        Self {
            gateway,
            table,
            queues,
        }
    }

    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A stand with one connected viewer, whose row then is changed.
    pub(super) async fn connected(change: impl FnOnce(&mut Connection)) -> Self {
        let stand = Self::new();
        let answer = stand
            .connect(&format!("tidewire.v1, bearer.{}", token()))
            .await;
        assert_eq!(answer.status_code, 200);
        change(
            stand
                .table
                .rows
                .lock()
                .unwrap()
                .get_mut(&ID.into())
                .unwrap(),
        );
        for queue in &stand.queues {
            queue.sent.lock().unwrap().clear();
        }
        stand
    }

    pub(super) async fn connect(&self, protocols: &str) -> ApiGatewayProxyResponse {
        self.send(
            json!({ "headers": { "Sec-WebSocket-Protocol": protocols } }),
            "$connect",
        )
        .await
    }

    /// Sends an event made of `rest` and the usual context.
    pub(super) async fn send(&self, rest: Value, route: &str) -> ApiGatewayProxyResponse {
        let mut event = rest;
        event["requestContext"] = json!({
            "routeKey": route, "connectionId": ID, "connectedAt": CONNECTED_AT,
            "requestTimeEpoch": NOW.0, "stage": "live", "apiId": "abcd1234",
        });
        let event = serde_json::from_value(event).unwrap();
        self.gateway.handle_at(event, NOW).await
    }

    /// Sends a message; the frame it is answered with.
    pub(super) async fn say(&self, route: &str, body: &str) -> Value {
        let answer = self.send(json!({ "body": body }), route).await;
        assert_eq!(answer.status_code, 200);
        let Some(Body::Text(text)) = answer.body else {
            panic!("no frame");
        };
        assert!(text.len() < 32 * 1024);
        serde_json::from_str(&text).unwrap()
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.table.row(ID).unwrap().wanted
    }

    /// What each queue was sent.
    pub(super) fn told(&self) -> Vec<Vec<String>> {
        self.queues
            .iter()
            .map(|queue| queue.sent.lock().unwrap().clone())
            .collect()
    }
}

pub(super) fn devices(ids: &[&str]) -> Wanted {
    Wanted::Devices(ids.iter().map(|&id| id.to_owned()).collect())
}

/// Everything logged on this thread, at every level.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
