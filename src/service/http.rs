//! The process's own HTTP server: `/metrics`, `/livez`, `/readyz`, `/state`.

pub mod beat;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::telemetry::exporter;
use beat::Beats;

/// What the server asks the services.
#[derive(Clone)]
pub struct Probes {
    /// Whose loops must turn for the process to be alive.
    pub beats: Beats,
    /// Whether the process is in order: settings and credentials, leases held or standing by.
    /// Never an error because a sink throttles: restarting helps nobody then.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// What each part believes.
    pub state: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes")
            .field("beats", &self.beats)
            .finish_non_exhaustive()
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} ({source}): end the process that holds it, or set `http.listen` \
     (TIDEWIRE_HTTP__LISTEN) to another address"
)]
pub struct CannotListen {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// Begins to listen, so that a taken port is known before anything else starts.
///
/// # Errors
/// The address is taken, or not ours.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address)
        .await
        .map_err(|source| CannotListen { address, source })
}

/// Serves until `shutdown`, which is the very end: a draining process still answers.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    probes: Probes,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let upkeep = upkeep(metrics.clone());
    let server = axum::serve(listener, router(metrics, probes));
    tokio::select! {
        biased;
        () = shutdown => Ok(()),
        result = server => result,
        () = upkeep => Ok(()),
    }
}

async fn upkeep(metrics: PrometheusHandle) {
    let mut every = tokio::time::interval(exporter::UPKEEP_EVERY);
    loop {
        every.tick().await;
        exporter::identify();
        metrics.run_upkeep();
    }
}

#[derive(Clone)]
struct Served {
    metrics: PrometheusHandle,
    probes: Probes,
}

/// The routes, for a server of one's own.
pub fn router(metrics: PrometheusHandle, probes: Probes) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/state", get(state))
        .with_state(Served { metrics, probes })
}

async fn scrape(State(served): State<Served>) -> Response {
    exporter::identify();
    let text_format = "text/plain; version=0.0.4; charset=utf-8";
    let head = [(header::CONTENT_TYPE, text_format)];
    (head, served.metrics.render()).into_response()
}

async fn live(State(served): State<Served>) -> Response {
    let silent = served.probes.beats.silent();
    if silent.is_empty() {
        return "alive\n".into_response();
    }
    let mut page = String::new();
    for (name, since) in silent {
        page += &format!("{name} has not turned for {} s\n", since.as_secs());
    }
    (StatusCode::SERVICE_UNAVAILABLE, page).into_response()
}

async fn ready(State(served): State<Served>) -> Response {
    match (served.probes.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn state(State(served): State<Served>) -> Json<serde_json::Value> {
    Json((served.probes.state)())
}

#[cfg(test)]
mod tests;
