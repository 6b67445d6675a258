//! What the embedded servers share: fault switches before every request, counted calls, errors in
//! the shape of AWS's JSON protocols, and a serve loop that ends.
//!
//! A server builds its router, then hands it to [`serve`]. Every request of the router passes
//! the switches first, and what is served is metered; beside it stand `GET`, `PUT` and
//! `DELETE /_local/faults`, `GET /_local/calls` and `GET /_local/meter`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::fault::{Faults, Verdict};
use super::meter::{Meter, estimate, wire};
use super::quota::Quotas;

mod switches;

/// How long requests already under way may take once shutdown begins; then they are answered 503.
const CUT_AFTER: Duration = Duration::from_millis(500);

/// How long the answers of cut requests may take to leave before the server returns regardless.
const LEAVE_WITHIN: Duration = Duration::from_millis(1000);

/// Operation names come from the caller: more distinct ones than this are counted as `other`.
const OPERATIONS_MAX: usize = 256;

/// The most that a server reads of a request (`BatchWriteItem`), and a body that is metered.
const METERED_MAX: usize = 20 * 1024 * 1024;

/// Which AWS service a server stands for: it decides the words of a throttling answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Kinesis Data Streams.
    Kinesis,
    /// DynamoDB.
    DynamoDb,
    /// SQS.
    Sqs,
    /// Timestream Write.
    TimestreamWrite,
    /// The management side of API Gateway WebSocket APIs (`@connections`).
    ApiGatewayManagement,
}

impl Service {
    /// The status and the code by which this service says "too much".
    ///
    /// Kinesis and DynamoDB have an error of their own; `@connections` answers 429
    /// `LimitExceededException` (API reference of each service).
    #[must_use]
    pub fn throttling(self) -> (StatusCode, &'static str) {
        match self {
            Self::Kinesis | Self::DynamoDb => (
                StatusCode::BAD_REQUEST,
                "ProvisionedThroughputExceededException",
            ),
            Self::Sqs => (StatusCode::BAD_REQUEST, "RequestThrottled"),
            Self::TimestreamWrite => (StatusCode::BAD_REQUEST, "ThrottlingException"),
            Self::ApiGatewayManagement => (StatusCode::TOO_MANY_REQUESTS, "LimitExceededException"),
        }
    }
}

impl Service {
    /// The status and the code by which this service says that a caller may not do that: IAM's, or
    /// SQS's own.
    #[must_use]
    pub fn denial(self) -> (StatusCode, &'static str) {
        match self {
            Self::Kinesis | Self::DynamoDb | Self::TimestreamWrite => {
                (StatusCode::BAD_REQUEST, "AccessDeniedException")
            }
            Self::Sqs => (StatusCode::FORBIDDEN, "AccessDenied"),
            Self::ApiGatewayManagement => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        }
    }
}

/// How often each operation was asked for, faulted requests included; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Calls {
    /// Counts one call of `operation`.
    pub fn count(&self, operation: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(operation) {
            *count += 1;
            return;
        }
        let known = counts.len() < OPERATIONS_MAX;
        let name = if known { operation } else { "other" };
        *counts.entry(name.to_owned()).or_default() += 1;
    }

    /// Calls of `operation` so far.
    #[must_use]
    pub fn of(&self, operation: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(operation).copied().unwrap_or(0)
    }

    /// Calls of every operation so far.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The switches and counters of one server; clones share them.
#[derive(Clone, Debug)]
pub struct Front {
    service: Service,
    faults: Faults,
    calls: Calls,
    meter: Meter,
    quotas: Quotas,
}

impl Front {
    /// A front without any switch set.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self {
            service,
            faults: Faults::default(),
            calls: Calls::default(),
            meter: Meter::default(),
            quotas: Quotas::default(),
        }
    }

    /// The server's switches.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The server's counters.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The server's meter.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The rates of an account, which hold once somebody says so.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Puts the switches and the meter before every request of `router`, as [`Front::guard`] and
    /// [`Front::metered`] do.
    pub fn wrap(&self, router: Router) -> Router {
        self.guard(self.metered(router))
    }

    /// Meters what `router` serves, whose bodies are JSON.
    pub fn metered(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), metered))
    }

    /// Puts counting and the switches before every request of `router`; the operation is what
    /// `x-amz-target` names. The `/_local` routes, added after, are never faulted.
    pub fn guard(&self, router: Router) -> Router {
        let wrapped = router.layer(middleware::from_fn_with_state(self.clone(), by_target));
        self.with_local_routes(wrapped)
    }

    /// Adds the `/_local` routes alone, for a server that finds its operations otherwise and calls
    /// [`Front::pass`] itself.
    pub fn with_local_routes(&self, router: Router) -> Router {
        let counted = self.calls.clone();
        let meter = self.meter.clone();
        router
            .route(
                "/_local/faults",
                get(switches::list)
                    .put(switches::replace)
                    .delete(switches::clear),
            )
            .layer(axum::Extension(self.faults.clone()))
            .route(
                "/_local/calls",
                get(move || async move { axum::Json(counted.all()) }),
            )
            .route(
                "/_local/meter",
                get(move || async move { axum::Json(estimate::report(&meter.tally())) }),
            )
    }

    /// Counts one request, asks the switches, and serves it or answers in its stead.
    pub async fn pass(&self, operation: &str, request: Request, next: Next) -> Response {
        self.calls.count(operation);
        match self.faults.meet(operation).await {
            // Where a rate is one of a queue or a table, it is asked for where the body is known.
            Verdict::Serve if self.quotas.admits(self.service, operation, b"") => {
                let answer = next.run(request).await;
                if self.is_too_much(&answer) {
                    self.calls.count(&format!("{operation} over its rate"));
                }
                answer
            }
            Verdict::Serve => {
                self.calls.count(&format!("{operation} over its rate"));
                self.over_quota()
            }
            Verdict::Unavailable => unavailable("the service is switched off"),
            Verdict::Throttle => self.throttled("the request rate is switched to too high"),
            Verdict::Deny => {
                let (status, code) = self.service.denial();
                let why = format!("the caller is not authorized to perform: {operation}");
                json_error(status, code, &why)
            }
            Verdict::LoseAnswer => {
                drop(next.run(request).await);
                let why = "the request was served, its answer is switched to be lost";
                json_error(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", why)
            }
        }
    }

    /// Whether an answer says that there was too much, of a shard for instance.
    fn is_too_much(&self, answer: &Response) -> bool {
        let code = answer.headers().get("x-amzn-errortype");
        code.is_some_and(|code| code == self.service.throttling().1)
    }

    /// What is answered beyond the rate of an account: Kinesis has another word for it than beyond
    /// that of a shard.
    fn over_quota(&self) -> Response {
        let why = "Rate exceeded: AWS takes no more of one account in a second; a stand for load \
                   tests is started with --unlimited";
        match self.service {
            Service::Kinesis => json_error(StatusCode::BAD_REQUEST, "LimitExceededException", why),
            _ => self.throttled(why),
        }
    }

    /// The service's own throttling answer.
    #[must_use]
    pub fn throttled(&self, message: &str) -> Response {
        let (status, code) = self.service.throttling();
        json_error(status, code, message)
    }
}

async fn by_target(State(front): State<Front>, request: Request, next: Next) -> Response {
    let operation = operation(request.headers()).unwrap_or("none").to_owned();
    front.pass(&operation, request, next).await
}

/// Serves a request and books what it costs. Bodies are held only where they tell it.
async fn metered(State(front): State<Front>, request: Request, next: Next) -> Response {
    let operation = operation(request.headers()).unwrap_or("none").to_owned();
    if !wire::counts(front.service, &operation) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, METERED_MAX).await else {
        let why = "the body could not be read or is larger than 20 MiB";
        return json_error(StatusCode::PAYLOAD_TOO_LARGE, "SerializationException", why);
    };
    let by_body = matches!(front.service, Service::Sqs | Service::DynamoDb);
    if by_body && !front.quotas.admits(front.service, &operation, &body) {
        return front.over_quota();
    }
    let asked = wire::asked(front.service, &body).map_or_else(|| body.clone(), Into::into);
    let mut request = Request::from_parts(head, Body::from(asked));
    // What the client said of its length need not hold any more.
    request.headers_mut().remove(header::CONTENT_LENGTH);
    let (head, answer) = next.run(request).await.into_parts();
    let Ok(answer) = to_bytes(answer, usize::MAX).await else {
        return unavailable("the server's own answer broke off");
    };
    let facts = wire::facts(wire::Call {
        service: front.service,
        operation: &operation,
        request: &body,
        status: head.status.as_u16(),
        answer: &answer,
    });
    if front.service == Service::DynamoDb {
        front.quotas.took(&body, &facts);
    }
    front.meter.record(facts);
    Response::from_parts(head, Body::from(answer))
}

/// The operation of an AWS-JSON request: what follows the last dot of `x-amz-target`.
#[must_use]
pub fn operation(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    Some(
        target
            .rsplit_once('.')
            .map_or(target, |(_, operation)| operation),
    )
}

/// An error answer as AWS's JSON protocols have it: the code in the header `x-amzn-ErrorType` and
/// in `__type`, the words in `message`. SDKs read either place.
#[must_use]
pub fn json_error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "__type": code, "message": message }).to_string();
    let mut answer = (status, body).into_response();
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.0"),
    );
    if let Ok(code) = HeaderValue::from_str(code) {
        headers.insert(HeaderName::from_static("x-amzn-errortype"), code);
    }
    answer
}

fn unavailable(why: &str) -> Response {
    json_error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why)
}

/// Serves `router` until `shutdown`; then requests under way get half a second, long polls are
/// answered 503, and within about a second the call returns.
///
/// # Errors
/// What accepting connections answers.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router.layer(middleware::from_fn_with_state(shutdown.clone(), cut));
    let stopping = shutdown.clone();
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(LEAVE_WITHIN).await;
    };
    tokio::select! {
        biased;
        () = late => Ok(()),
        served = server => served,
    }
}

async fn cut(State(shutdown): State<CancellationToken>, request: Request, next: Next) -> Response {
    let over = async {
        shutdown.cancelled().await;
        tokio::time::sleep(CUT_AFTER).await;
    };
    tokio::select! {
        biased;
        () = over => unavailable("the server is shutting down"),
        answer = next.run(request) => answer,
    }
}

/// The wall clock in milliseconds since the epoch: what AWS stamps on records and messages.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "an embedded server stamps wall time, as AWS does"
)]
pub fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
