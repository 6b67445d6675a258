//! HTTP clients for subscriptions.
//!
//! The SDK's own client sends every call to a host over one HTTP/2 connection, whose window, 5 MiB,
//! all of them share, and lets each call's answer use 2 MiB of it. Subscriptions that wait for room
//! would fill it, and hold up those that do not wait, and everything else that is asked of Kinesis.
//! So they have connections of their own, on which each has a small window that no other can use.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::setup;

/// What an answer may send ahead of its reader. At 20 ms from the service this is 6 MiB/s, three
/// times what it sends of a shard.
const WINDOW_BYTES: u32 = 128 * 1024;

/// Subscriptions on one connection. Services allow 100 calls at once and more; beyond, a call would
/// wait without a word.
const SUBSCRIPTIONS_MAX: usize = 64;

/// The connection's own window never stops anybody: those of its subscriptions do.
const CONNECTION_WINDOW_BYTES: u32 = WINDOW_BYTES * 2 * SUBSCRIPTIONS_MAX as u32;

/// A connection from which nothing is heard is asked whether it is there, this often, and given up
/// when it does not answer.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER_MAX: Duration = Duration::from_secs(10);

/// The connections of a process's subscriptions.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<Line>>);

/// A place on a connection; given back when it is dropped.
#[derive(Clone, Debug)]
pub struct Line {
    /// Sends a call over that connection.
    pub client: SharedHttpClient,
    places: Arc<()>,
}

impl Lines {
    /// A place on a connection that has one left, or on a new one.
    pub fn place(&self) -> Line {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One reference is this list's.
        let free = |line: &&Line| Arc::strong_count(&line.places) <= SUBSCRIPTIONS_MAX;
        if let Some(line) = lines.iter().find(free) {
            return line.clone();
        }
        let line = Line {
            client: client(),
            places: Arc::default(),
        };
        lines.push(line.clone());
        line
    }
}

/// A client with one HTTP/2 connection, or, without TLS, an HTTP/1.1 connection for each call. Behind
/// a proxy it is the SDK's own, with the SDK's windows, since that knows how to speak with proxies; and
/// where the system has no certificates, since that knows what to say.
fn client() -> SharedHttpClient {
    let direct = ProxyConfig::from_env().is_disabled();
    match connection().ok().filter(|_| direct) {
        Some(connection) => {
            let connector = SharedHttpConnector::new(Connector(connection));
            http_client_fn(move |_, _| connector.clone())
        }
        None => setup::shared_http_client(),
    }
}

fn connection() -> io::Result<Client<HttpsConnector<connect::HttpConnector>, SdkBody>> {
    let mut tcp = connect::HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(setup::CONNECT_MAX));
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(setup::POOL_IDLE_TIME)
        .http2_initial_stream_window_size(WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_ANSWER_MAX)
        .build(tls))
}

#[derive(Debug)]
struct Connector(Client<HttpsConnector<connect::HttpConnector>, SdkBody>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_so_many_places_and_those_given_back_are_used_again() {
        let lines = Lines::default();
        let mut taken: Vec<Line> = (0..SUBSCRIPTIONS_MAX).map(|_| lines.place()).collect();
        let count = |lines: &Lines| lines.0.lock().expect("no panic").len();
        assert_eq!(count(&lines), 1);
        taken.push(lines.place());
        assert_eq!(count(&lines), 2);
        taken.remove(0);
        let _again = lines.place();
        let _more = lines.place();
        assert_eq!(count(&lines), 2);
    }
}
