//! An API Gateway WebSocket API and its `@connections` management API on one address.
//!
//! Viewers connect to `ws://ADDRESS/STAGE`; the integration given to [`ApiGateway::new`] gets the
//! events a Lambda function would get, and what it answers decides. Callers post to
//! `http://ADDRESS/STAGE/@connections/ID`. Route responses are on: an answer's body is sent back.
//! The switches know `Connect`, `PostToConnection`, `GetConnection` and `DeleteConnection`.
//!
//! Differences from AWS: no authorizers, no rate of its own (switches throttle on demand), and one
//! viewer's messages reach the integration one after another.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use aws_lambda_events::event::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::event::Viewer;
use self::registry::Registry;
use super::fault::Faults;
use super::front::{self, Calls, Front, Service};
use super::meter::{Fact, Meter, count};
use super::quota::Quotas;
use crate::model::bill::{self, Unit};

mod connect;
mod event;
mod management;
mod registry;
mod session;

/// How long the server waits for its connections' ends when it stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// The memory of the function that the integration stands for, in GB.
const INTEGRATION_GB: f64 = 0.25;

/// What an integration answers.
pub type Answer = Result<ApiGatewayProxyResponse, Box<dyn Error + Send + Sync>>;

/// What stands behind the routes, as a Lambda function does on AWS.
pub type Integration = Arc<
    dyn Fn(ApiGatewayWebsocketProxyRequest) -> Pin<Box<dyn Future<Output = Answer> + Send>>
        + Send
        + Sync,
>;

/// How the server behaves; the defaults are API Gateway's quotas where it has one.
#[derive(Clone, Debug)]
pub struct Options {
    /// The stage: the first part of every path.
    pub stage: String,
    /// How long a connection may last.
    pub duration_max: Duration,
    /// How long a connection may be silent in both directions.
    pub idle_max: Duration,
    /// How long an integration may take.
    pub integration_max: Duration,
    /// The most viewers at a time; the next is refused with 429.
    pub viewers_max: usize,
    /// Messages that may wait for one viewer, 128 KB each at most; the next post is answered 429.
    pub outgoing_max: usize,
    /// How long one message may wait for a viewer that does not read before its socket is dropped.
    pub stall_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stage: "local".to_owned(),
            duration_max: Duration::from_secs(2 * 60 * 60),
            idle_max: Duration::from_secs(10 * 60),
            integration_max: Duration::from_secs(29),
            viewers_max: 10_000,
            outgoing_max: 16,
            stall_max: Duration::from_secs(60),
        }
    }
}

/// The server before and while it runs; clones are the same server.
#[derive(Clone)]
pub struct ApiGateway {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for ApiGateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiGateway")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

struct Shared {
    options: Options,
    integration: Integration,
    front: Front,
    registry: Registry,
    seats: Arc<Semaphore>,
    tasks: TaskTracker,
    bare_gone: AtomicBool,
    lose_disconnects: AtomicBool,
    /// Known once the server serves.
    serving: OnceLock<(SocketAddr, CancellationToken)>,
}

/// The integration took longer than it may.
#[derive(Debug, Error)]
#[error("the integration did not answer in time")]
struct TimedOut;

impl ApiGateway {
    /// A server without connections.
    #[must_use]
    pub fn new(options: Options, integration: Integration) -> Self {
        let seats = options.viewers_max.min(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                options,
                integration,
                front: Front::new(Service::ApiGatewayManagement),
                registry: Registry::default(),
                seats: Arc::new(Semaphore::new(seats)),
                tasks: TaskTracker::new(),
                bare_gone: AtomicBool::new(false),
                lose_disconnects: AtomicBool::new(false),
                serving: OnceLock::new(),
            }),
        }
    }

    /// The switches.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.shared.front.faults()
    }

    /// The rates of an account, which hold once somebody says so.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        self.shared.front.quotas()
    }

    /// The calls so far, by operation.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        self.shared.front.calls()
    }

    /// What AWS would bill for connections, messages and the integration.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.shared.front.meter()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.registry.ids().len()
    }

    /// The ids of the open connections.
    #[must_use]
    pub fn connections(&self) -> Vec<String> {
        self.shared.registry.ids()
    }

    /// Drops a connection's socket without a `$disconnect`, as API Gateway may do; whether there
    /// was one.
    pub fn kill(&self, connection_id: &str) -> bool {
        let Some(link) = self.shared.registry.get(connection_id) else {
            return false;
        };
        self.shared.registry.remove(connection_id);
        link.kill.cancel();
        true
    }

    /// Whether 410 comes without `x-amzn-ErrorType`, as through some proxies.
    pub fn bare_gone(&self, bare: bool) {
        self.shared.bare_gone.store(bare, Ordering::Relaxed);
    }

    /// Whether `$disconnect` events are lost: AWS calls them best effort.
    pub fn lose_disconnects(&self, lose: bool) {
        self.shared.lose_disconnects.store(lose, Ordering::Relaxed);
    }

    /// Serves until `shutdown`; then connections are closed with 1001, without `$disconnect`.
    ///
    /// # Errors
    /// What accepting connections answers; also where the server was served before.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let serving = (listener.local_addr()?, shutdown.clone());
        if self.shared.serving.set(serving).is_err() {
            return Err(io::Error::other("this API gateway was served before"));
        }
        let router = Router::new()
            .route("/{stage}", get(connect::connect))
            .route(
                "/{stage}/@connections/{id}",
                get(management::get)
                    .post(management::post)
                    .delete(management::delete),
            )
            .layer(middleware::from_fn_with_state(
                self.shared.front.clone(),
                by_path,
            ))
            .with_state(Arc::clone(&self.shared));
        let router = self.shared.front.with_local_routes(router);
        let served = front::serve(router, listener, shutdown).await;
        self.shared.tasks.close();
        // Whoever is not done by then is dropped with the runtime.
        if tokio::time::timeout(FAREWELL, self.shared.tasks.wait())
            .await
            .is_err()
        {
            warn!(
                tasks = self.shared.tasks.len(),
                "connections outlive the local API gateway"
            );
        }
        served
    }
}

impl Shared {
    fn address(&self) -> SocketAddr {
        let unserved = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.serving.get().map_or(unserved, |(address, _)| *address)
    }

    fn shutdown(&self) -> CancellationToken {
        self.serving
            .get()
            .map(|(_, shutdown)| shutdown.clone())
            .unwrap_or_default()
    }

    /// Calls the integration and waits as long as API Gateway would.
    async fn integrate(&self, event: ApiGatewayWebsocketProxyRequest) -> Answer {
        let route = event.request_context.route_key.clone();
        let begun = Instant::now();
        let answer = (self.integration)(event);
        let answer = match tokio::time::timeout(self.options.integration_max, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(TimedOut.into()),
        };
        self.invoked(begun.elapsed());
        if let Err(error) = &answer {
            warn!(route, error = %error, "the integration failed");
        }
        answer
    }

    /// Books an invocation: Lambda counts begun milliseconds.
    fn invoked(&self, took: Duration) {
        let seconds = (took.as_secs_f64() * 1000.0).ceil().max(1.0) / 1000.0;
        self.front.meter().record([
            Fact::Units(Unit::LambdaRequest, 1.0),
            Fact::Units(Unit::LambdaGbSecond, seconds * INTEGRATION_GB),
        ]);
    }

    /// Books a message of so many bytes, in either direction.
    fn carried(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let messages = count(bill::websocket_messages(bytes));
        self.front
            .meter()
            .record([Fact::Units(Unit::WebSocketMessage, messages)]);
    }

    /// Tells the integration about an end, in the background, unless that is switched off.
    fn disconnect(self: &Arc<Self>, viewer: &Viewer, code: u16, reason: &str) {
        if self.lose_disconnects.load(Ordering::Relaxed) {
            return;
        }
        let event = event::disconnect(viewer, code, reason, now_ms());
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            // `integrate` has said what failed, and nobody waits for the answer.
            drop(shared.integrate(event).await);
        });
    }
}

async fn by_path(State(front): State<Front>, request: Request, next: Next) -> Response {
    let operation = match (
        request.method(),
        request.uri().path().contains("/@connections/"),
    ) {
        (&Method::GET, false) => "Connect",
        (&Method::POST, true) => "PostToConnection",
        (&Method::GET, true) => "GetConnection",
        (&Method::DELETE, true) => "DeleteConnection",
        _ => "other",
    };
    front.pass(operation, request, next).await
}

fn forbidden() -> Response {
    front::json_error(StatusCode::FORBIDDEN, "ForbiddenException", "Forbidden")
}

/// The wall clock, in milliseconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "events carry wall time")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
