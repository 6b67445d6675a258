//! A collector of traces behind the door [`SpanCollector`]: OTLP over HTTP, in protobuf's binary
//! form (OpenTelemetry Protocol 1.x, "OTLP/HTTP"), over the HTTP client that the SDK has.

use std::error::Error;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use crate::door::fault::{CallFailed, Fault};
use crate::door::spans::{NotExported, SpanCollector};
use crate::influx::http::{causes, connector, pause};
use crate::model::{Secret, Span};

mod headers;
mod wire;

pub use headers::{Header, headers};

const OPERATION: &str = "export of spans";

/// The path of OTLP/HTTP's spans below a collector's address.
pub const PATH: &str = "/v1/traces";

/// How long one request may take (OTLP's own default).
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Bytes read of an answer: it holds a count and at most a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Characters kept of what a collector says: enough for a sentence, too few to flood a log.
const MESSAGE_CHARS_MAX: usize = 200;

/// Where spans go, and who they are from.
#[derive(Clone, Debug)]
pub struct Target {
    /// The whole address, [`PATH`] included.
    pub url: String,
    /// Headers of every request, such as a token.
    pub headers: Vec<Header>,
    /// A private authority's certificates in PEM, trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Who the spans are from (OpenTelemetry's resource): `service.name` and its like.
    pub resource: Vec<(String, String)>,
}

/// A collector.
pub struct Otlp {
    connector: Connector,
    target: Target,
}

impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otlp")
            .field("url", &self.target.url)
            .finish_non_exhaustive()
    }
}

/// A private authority's file holds no usable certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`traces.ca_file` holds no usable certificates ({0}): expected one or more in PEM")]
pub struct Unusable(String);

impl Otlp {
    /// A client of that collector; nothing is asked.
    ///
    /// # Errors
    /// The private authority's certificates cannot be used.
    pub fn new(target: Target) -> Result<Self, Unusable> {
        Ok(Self {
            connector: connector(target.ca_pem.as_deref()).map_err(Unusable)?,
            target,
        })
    }

    fn request(&self, spans: &[Span]) -> Result<HttpRequest, NotExported> {
        let body = wire::request(&self.target.resource, spans);
        let mut request = HttpRequest::new(SdkBody::from(body));
        let url = &self.target.url;
        let unsendable = |error: &dyn Error| {
            let message = format!("{url} is no address to send to: {error}");
            not_exported(Fault::Fatal, message, None)
        };
        let set = request.set_method("POST");
        set.map_err(|error| unsendable(&error))?;
        let set = request.set_uri(url.clone());
        set.map_err(|error| unsendable(&error))?;
        let all = request.headers_mut();
        all.insert("content-type", "application/x-protobuf");
        for Header { name, value } in &self.target.headers {
            all.insert(name.clone(), value.reveal().to_owned());
        }
        Ok(request)
    }
}

impl SpanCollector for Otlp {
    async fn export(&self, spans: &[Span]) -> Result<u64, NotExported> {
        let request = self.request(spans)?;
        let work = async {
            let response = self.connector.call(request).await;
            let response = response.map_err(|error| {
                let (url, cause) = (&self.target.url, causes(&error));
                let message = format!("{url} cannot be reached: {cause}");
                not_exported(Fault::Transient, message, None)
            })?;
            judge(response).await
        };
        let late = || {
            let message = format!("{}: no answer in time", self.target.url);
            not_exported(Fault::Transient, message, None)
        };
        tokio::time::timeout(REQUEST_MAX, work)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

/// What a status means (OTLP/HTTP, "Retryable Response Codes"): 429, 502, 503 and 504 pass, nothing
/// else does. None: the spans were taken.
fn fault(status: u16) -> Option<Fault> {
    match status {
        200..=299 => None,
        429 => Some(Fault::Throttled),
        502..=504 => Some(Fault::Transient),
        401 | 403 | 404 => Some(Fault::Fatal),
        _ => Some(Fault::Rejected),
    }
}

/// What an answer says: how many spans it rejects, or why it takes none.
async fn judge(response: HttpResponse) -> Result<u64, NotExported> {
    let header = |name: &str| response.headers().get(name).map(str::to_owned);
    let wait = header("retry-after").and_then(|text| pause(&text, header("date").as_deref()));
    let status = response.status().as_u16();
    let body = read(response).await;
    let Some(fault) = fault(status) else {
        return Ok(wire::rejected(&body));
    };
    let said: String = String::from_utf8_lossy(&body)
        .chars()
        .filter(|char| !char.is_control())
        .take(MESSAGE_CHARS_MAX)
        .collect();
    Err(not_exported(fault, format!("{status} {said}"), wait))
}

/// The body, as far as it is kept: that it breaks off changes nothing about the status.
async fn read(response: HttpResponse) -> Vec<u8> {
    let mut stream = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    bytes
}

fn not_exported(fault: Fault, message: String, pause: Option<Duration>) -> NotExported {
    NotExported {
        failed: CallFailed {
            operation: OPERATION,
            fault,
            message,
        },
        pause,
    }
}

/// A header's value is a secret.
impl Header {
    fn new(name: &str, value: String) -> Self {
        Self {
            name: name.to_owned(),
            value: Secret::new(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_worth_another_request_and_nothing_else_is() {
        let again = |status| fault(status).is_some_and(Fault::is_worth_again);
        assert_eq!([200, 202].map(fault), [None; 2]);
        assert_eq!([429, 502, 503, 504].map(again), [true; 4]);
        assert_eq!([400, 401, 403, 404, 413, 500, 501].map(again), [false; 7]);
    }
}
