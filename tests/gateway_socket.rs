//! The gateway behind the embedded WebSocket API: real sockets, real handshakes, the real events.
#![cfg(feature = "local")]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: one that cannot go on ends its test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tidewire::door::connections::{Connections, Tickets};
use tidewire::door::fault::CallFailed;
use tidewire::door::queue::QueueSender;
use tidewire::local::apigateway::{ApiGateway, Options as ApiOptions};
use tidewire::model::{Connection, ConnectionId, Sent, StoredTime, Ticket, TicketHash, Wanted};
use tidewire::service::clock;
use tidewire::service::gateway::keys::Keys;
use tidewire::service::gateway::token::{Rules, mint, sign};
use tidewire::service::gateway::{Gateway, Options};
use tidewire::service::settings::Secret;
use tidewire::service::tasks::Tasks;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Error, HandshakeError, Message, WebSocket};
use tokio_util::sync::CancellationToken;

// The tests' side blocks: the server runs on the runtime's other thread.
type Socket = WebSocket<TcpStream>;

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Table(Arc<Mutex<BTreeMap<ConnectionId, Connection>>>);

impl Table {
    fn rows(&self) -> Vec<Connection> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

impl Connections for Table {
    async fn list(&self) -> Result<Vec<Connection>, CallFailed> {
        Ok(self.rows())
    }

    async fn get(&self, id: &ConnectionId) -> Result<Option<Connection>, CallFailed> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }

    async fn put(&self, row: &Connection) -> Result<(), CallFailed> {
        self.0.lock().unwrap().insert(row.id.clone(), row.clone());
        Ok(())
    }

    async fn set_wanted(&self, id: &ConnectionId, wanted: &Wanted) -> Result<bool, CallFailed> {
        let mut rows = self.0.lock().unwrap();
        let Some(row) = rows.get_mut(id) else {
            return Ok(false);
        };
        row.wanted = wanted.clone();
        Ok(true)
    }

    async fn forget(
        &self,
        id: &ConnectionId,
        connected_at: Option<&StoredTime>,
    ) -> Result<bool, CallFailed> {
        let mut rows = self.0.lock().unwrap();
        let is_it = rows
            .get(id)
            .is_some_and(|row| row.connected_at.as_ref() == connected_at);
        Ok(is_it && rows.remove(id).is_some())
    }
}

impl Tickets for Table {
    async fn spend(&self, _: &TicketHash, _: i64) -> Result<Option<Ticket>, CallFailed> {
        Ok(None)
    }
}

#[derive(Clone, Debug, Default)]
struct Queue(Arc<Mutex<Vec<String>>>);

impl QueueSender for Queue {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Sent>, CallFailed> {
        self.0.lock().unwrap().extend_from_slice(bodies);
        Ok(vec![Sent::Accepted; bodies.len()])
    }
}

struct Stand {
    address: SocketAddr,
    table: Table,
    queue: Queue,
    tasks: Tasks,
    shutdown: CancellationToken,
}

fn secret() -> Secret {
    Secret::new("an-hmac-secret-of-thirty-two-or-more-bytes".to_owned())
}

fn now_s() -> i64 {
    clock::wall().0 / 1000
}

impl Stand {
    async fn start() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(legacy_token: bool) -> Self {
        let (table, queue) = (Table::default(), Queue::default());
        let options = Options {
            rules: Rules::new(Keys::of_secret(&secret()).unwrap()),
            legacy_token,
            tickets: false,
            jwks_url: None,
            origins: Vec::new(),
            subscriptions_max: 100,
        };
        let gateway = Arc::new(Gateway::new(options, table.clone(), vec![queue.clone()]));
        let api = ApiGateway::new(
            ApiOptions::default(),
            Arc::new(move |event| {
                let gateway = Arc::clone(&gateway);
                Box::pin(async move { Ok(gateway.handle(event).await) })
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, shutdown) = (Tasks::new(), CancellationToken::new());
        let ends = shutdown.clone();
        tasks.spawn(
            "api",
            async move { api.serve(listener, ends).await.unwrap() },
        );
        Self {
            address,
            table,
            queue,
            tasks,
            shutdown,
        }
    }

    /// Connects, offering these subprotocols; the socket and the one chosen, or the status.
    fn connect(&self, protocols: &str) -> Result<(Socket, Option<String>), u16> {
        let mut request = format!("ws://{}/local", self.address)
            .into_client_request()
            .unwrap();
        let offered = protocols.parse().unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", offered);
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, answer)) => {
                let chosen = answer.headers().get("sec-websocket-protocol");
                Ok((
                    socket,
                    chosen.map(|value| value.to_str().unwrap().to_owned()),
                ))
            }
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(in_time.is_ok(), "never came true: {what}");
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.tasks.ended().await;
    }
}

fn ask(socket: &mut Socket, message: &str) -> serde_json::Value {
    socket.send(Message::text(message)).unwrap();
    let answer = socket.read().unwrap();
    serde_json::from_str(answer.to_text().unwrap()).unwrap()
}

fn offer(token: &str) -> String {
    format!("tidewire.v1, bearer.{token}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_connects_subscribes_and_leaves() {
    let stand = Stand::start().await;
    let (mut socket, chosen) = stand
        .connect(&offer(&mint(&secret(), "ada", now_s())))
        .unwrap();
    assert_eq!(chosen.as_deref(), Some("tidewire.v1"));
    let row = stand.table.rows().remove(0);
    assert_eq!(row.wanted, Wanted::Devices(BTreeSet::new()));
    assert_eq!(row.principal.as_deref(), Some("ada"));
    assert!((now_s() + 7_000..now_s() + 7_200).contains(&row.expires_at.unwrap()));

    assert_eq!(
        ask(&mut socket, r#"{"action":"ping"}"#),
        json!({ "type": "pong" })
    );
    let answer = ask(
        &mut socket,
        r#"{"action":"subscribe","device_ids":["b","a"]}"#,
    );
    assert_eq!(
        answer,
        json!({ "type": "subscribed", "device_ids": ["a", "b"] })
    );
    let answer = ask(
        &mut socket,
        r#"{"action":"unsubscribe","device_ids":["a"]}"#,
    );
    assert_eq!(answer, json!({ "type": "subscribed", "device_ids": ["b"] }));
    for rubbish in [
        "rubbish",
        "{}",
        r#"{"action":"dance"}"#,
        r#"{"action":["subscribe"]}"#,
    ] {
        assert_eq!(ask(&mut socket, rubbish)["type"], "error", "{rubbish}");
    }
    let wanted = Wanted::Devices(BTreeSet::from(["b".to_owned()]));
    assert_eq!(stand.table.rows()[0].wanted, wanted);

    socket.close(None).unwrap();
    stand
        .until("the row is gone", |stand| stand.table.rows().is_empty())
        .await;
    let changed = format!(r#"{{"v":1,"control":"changed","connection":"{}"}}"#, row.id);
    let told = |stand: &Stand| stand.queue.0.lock().unwrap().clone();
    stand
        .until("all is told", |stand| told(stand).len() == 4)
        .await;
    assert_eq!(
        told(&stand),
        [changed.as_str(); 4],
        "connect, two changes, disconnect"
    );
    stand.end().await;
}

/// The well-known blog's page: it offers its token alone, says nothing, and wants everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_token_is_echoed_and_gets_everything_where_that_is_set() {
    let stand = Stand::start_with(true).await;
    let token = mint(&secret(), "ada", now_s());
    let (bare, chosen) = stand
        .connect(&token)
        .expect("a bare token is taken where that is set");
    assert_eq!(chosen.as_deref(), Some(token.as_str()));
    assert_eq!(stand.table.rows()[0].wanted, Wanted::All);
    let (ours, chosen) = stand
        .connect(&offer(&token))
        .expect("our own way in is open beside it");
    assert_eq!(chosen.as_deref(), Some("tidewire.v1"));
    for protocols in ["rubbish", "tidewire.v1", &format!("bearer.{token}")] {
        assert_eq!(stand.connect(protocols).unwrap_err(), 401, "{protocols}");
    }
    drop((bare, ours));
    stand
        .until("both rows are gone", |stand| stand.table.rows().is_empty())
        .await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_refused_at_the_handshake() {
    let stand = Stand::start().await;
    let expired = sign(&secret(), &json!({ "exp": now_s() - 3_600 }));
    let stranger = Secret::new("another-secret-of-thirty-two-or-more-bytes".to_owned());
    let forged = mint(&stranger, "eve", now_s());
    for protocols in ["tidewire.v1", "rubbish", &offer(&expired), &offer(&forged)] {
        assert_eq!(stand.connect(protocols).unwrap_err(), 401, "{protocols}");
    }
    assert!(stand.table.rows().is_empty());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_vanishes_without_a_close_leaves_no_row() {
    let stand = Stand::start().await;
    let (socket, _) = stand
        .connect(&offer(&mint(&secret(), "ada", now_s())))
        .unwrap();
    drop(socket);
    stand
        .until("the row is gone", |stand| stand.table.rows().is_empty())
        .await;
    stand.end().await;
}
