//! The page of `tidewire local`: live values, leases and dead letters in a browser.
//!
//! Plain HTML, CSS and ES modules, served from the binary as they stand beside this file and, for
//! the connection, in `clients/browser`; the page asks nobody but this server and the WebSocket. What it shows beside the readings it asks for at
//! `/api/state`, once a second. Every field may be missing, and is then shown as a dash:
//!
//! ```json
//! {
//!   "now_ms": 0, "stream": "", "rows": 0,
//!   "workers": [{"worker_id": "", "read_total": 0, "written_total": 0, "in_flight_bytes": 0}],
//!   "leases": [{"shard": "", "owner": "", "checkpoint": "", "behind_ms": 0, "state": ""}],
//!   "broadcaster": {"viewers": 0, "posts_total": 0, "gone_total": 0, "slow_total": 0},
//!   "dead_letters": {"count": 0, "newest": [
//!     {"stage": "", "reason": "", "shard": "", "seq": "", "arrival_ms": 0}
//!   ]}
//! }
//! ```
//!
//! What goes wrong on purpose it asks for, and changes, at `/_local/faults` (`page/faults.rs`).
//!
//! What AWS would bill it asks for at `/_local/meter` ([`super::meter::estimate`] has its fields).
//!
//! Totals only rise, and the page makes rates of them by `now_ms`, the server's wall clock.
//! `rows` counts the Timestream table's. A lease's `owner` is a `worker_id`, or null where nobody
//! holds it; `state` is a word for people, of which the page knows `ended` (the shard was split or
//! merged and is read to its end). `behind_ms` is what Kinesis answers as `MillisBehindLatest`.
//! `newest` begins with the newest letter; eight are shown.
//!
//! The server gives out viewers' tokens, so it listens on loopback only, refuses requests whose
//! `Host` is another name (a stranger's page whose name was made to resolve to 127.0.0.1) and API
//! requests that a page of another origin makes.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::drill::Drill;
use super::front;

mod faults;

/// A file of `clients/browser`.
macro_rules! client {
    ($name:literal) => {
        include_str!(concat!("../../clients/browser/", $name, ".js"))
    };
}

/// `/api/state` is answered 503 after this: the page asks again a second later anyway.
const STATE_WAIT: Duration = Duration::from_secs(3);

/// Answers `/api/state`.
type AskState = dyn Fn() -> Pin<Box<dyn Future<Output = Value> + Send>> + Send + Sync;

/// What the page is told; clones share it.
#[derive(Clone)]
pub struct PageInfo {
    websocket: String,
    stream: String,
    token: Arc<dyn Fn() -> String + Send + Sync>,
    state: Arc<AskState>,
    meter: Arc<dyn Fn() -> Value + Send + Sync>,
    drill: Option<Arc<Drill>>,
}

impl PageInfo {
    /// A page for the WebSocket at `websocket` (`ws://127.0.0.1:PORT/STAGE`). `token` makes a fresh
    /// viewer's token for each connection, `state` the answer of `/api/state`.
    #[must_use]
    pub fn new<F>(
        websocket: impl Into<String>,
        stream: impl Into<String>,
        token: impl Fn() -> String + Send + Sync + 'static,
        state: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Value> + Send + 'static,
    {
        Self {
            websocket: websocket.into(),
            stream: stream.into(),
            token: Arc::new(token),
            state: Arc::new(move || Box::pin(state())),
            meter: Arc::new(|| Value::Null),
            drill: None,
        }
    }

    /// The same page, whose `/_local/meter` answers what `meter` says.
    #[must_use]
    pub fn with_meter(self, meter: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        let meter = Arc::new(meter);
        Self { meter, ..self }
    }

    /// The same page, with switches for what may go wrong on purpose.
    #[must_use]
    pub fn with_drill(self, drill: Arc<Drill>) -> Self {
        let drill = Some(drill);
        Self { drill, ..self }
    }

    /// What the page may load and speak to: this server, and the WebSocket's host on whatever port,
    /// since a page that is left open finds a restarted stand elsewhere; by HTTP too, by which a
    /// refused token is told from a stand that is away.
    fn policy(&self) -> HeaderValue {
        let uri: Option<Uri> = self.websocket.parse().ok();
        let origin = uri
            .as_ref()
            .and_then(|uri| {
                let (scheme, host) = (uri.scheme_str()?, uri.host()?);
                let plain = scheme.replacen("ws", "http", 1);
                Some(format!("{scheme}://{host}:* {plain}://{host}:*"))
            })
            .unwrap_or_default();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
             connect-src 'self' {origin}; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    }
}

impl fmt::Debug for PageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageInfo")
            .field("websocket", &self.websocket)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// A page's file: path, content type, text.
type File = (&'static str, &'static str, &'static str);

/// The page's own files, and below `/client` the browsers' module that it is built on.
const FILES: [File; 20] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", CSS, include_str!("page/page.css")),
    ("/page.js", JS, include_str!("page/page.js")),
    ("/bill.js", JS, include_str!("page/bill.js")),
    ("/chart.js", JS, include_str!("page/chart.js")),
    ("/device.js", JS, include_str!("page/device.js")),
    ("/dom.js", JS, include_str!("page/dom.js")),
    ("/faults.js", JS, include_str!("page/faults.js")),
    ("/figures.js", JS, include_str!("page/figures.js")),
    ("/panels.js", JS, include_str!("page/panels.js")),
    ("/picker.js", JS, include_str!("page/picker.js")),
    ("/store.js", JS, include_str!("page/store.js")),
    ("/wall.js", JS, include_str!("page/wall.js")),
    ("/client/tidewire.js", JS, client!("tidewire")),
    ("/client/delays.js", JS, client!("delays")),
    ("/client/link.js", JS, client!("link")),
    ("/client/order.js", JS, client!("order")),
    ("/client/tries.js", JS, client!("tries")),
    ("/client/waiting.js", JS, client!("waiting")),
    ("/client/world.js", JS, client!("world")),
];
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The page's routes.
pub fn router(info: PageInfo) -> Router {
    let api = Router::new()
        .route("/api/info", get(tell_info))
        .route("/api/state", get(tell_state))
        .route("/_local/meter", get(tell_meter))
        .route("/_local/faults", get(faults::tell).post(faults::change))
        .layer(middleware::from_fn(own_pages_only))
        .with_state(info.clone());
    FILES
        .into_iter()
        .fold(api, |router, (path, kind, text)| {
            router.route(
                path,
                get(move || async move { ([(CONTENT_TYPE, kind)], text) }),
            )
        })
        .layer(middleware::from_fn_with_state(info.policy(), guard))
}

/// Serves the page until `shutdown`.
///
/// # Errors
/// Where the listener is not on loopback, and what accepting connections answers.
pub async fn serve(
    listener: TcpListener,
    info: PageInfo,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let why = format!("the page gives out tokens: it is not served on {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    front::serve(router(info), listener, shutdown).await
}

async fn tell_info(State(info): State<PageInfo>) -> Json<Value> {
    Json(json!({
        "websocket": info.websocket,
        "stream": info.stream,
        "token": (info.token)(),
    }))
}

async fn tell_meter(State(info): State<PageInfo>) -> Json<Value> {
    Json((info.meter)())
}

async fn tell_state(State(info): State<PageInfo>) -> Response {
    match tokio::time::timeout(STATE_WAIT, (info.state)()).await {
        Ok(state) => Json(state).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Refuses foreign names, and adds the headers that every answer has.
async fn guard(State(policy): State<HeaderValue>, request: Request, next: Next) -> Response {
    let mut answer = if is_loopback(request.headers()) {
        next.run(request).await
    } else {
        let why = "this page is served to 127.0.0.1 and localhost only\n";
        (StatusCode::FORBIDDEN, why).into_response()
    };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Whether exactly one `Host` names this machine's loopback, with whatever port (it may be
/// forwarded).
fn is_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Some(uri) = host.to_str().ok().and_then(|host| host.parse::<Uri>().ok()) else {
        return false;
    };
    let Some(name) = uri.host() else {
        return false;
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Refuses what a page of another origin asks for; browsers say so in `Sec-Fetch-Site` (W3C Fetch
/// Metadata). Programs that are no browsers do not send it.
async fn own_pages_only(request: Request, next: Next) -> Response {
    let site = HeaderName::from_static("sec-fetch-site");
    let is_own = request
        .headers()
        .get_all(site)
        .iter()
        .all(|site| site == "same-origin" || site == "none");
    if is_own {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "asked by a page of another origin\n").into_response()
    }
}

#[cfg(test)]
mod tests;
