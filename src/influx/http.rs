//! The one request there is: lines posted to a server, over the HTTP client that the SDK has.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::date_time::{DateTime, Format};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::answer::Reply;
use super::{Api, OPERATION, Target};
use crate::door::fault::{CallFailed, Fault};

/// How long one request may take, from connecting to the end of the answer. A server that
/// compacts may take seconds; what is slower is sent again, which changes nothing.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Bytes kept of an answer: version 3 names every refused line with its text.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest pause that a server is granted; one that is back sooner than it said is noticed
/// within this.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// As the SDK's clients have them.
const POOL_IDLE_TIME: Duration = Duration::from_secs(60);
const POOL_IDLE_MAX: usize = 64;

/// Why a server cannot be talked to as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The private authority's certificates.
    #[error("`influx.ca_file` holds no usable certificates ({0}): expected one or more in PEM")]
    Authority(String),
    /// The token has characters that no header can carry.
    #[error("`influx.token` has characters that an HTTP header cannot carry")]
    Token,
}

pub(super) struct Http {
    connector: Connector,
    uri: String,
    /// The header, if there is a token.
    authorization: Option<String>,
    gzip: bool,
}

/// Without the header: it holds the token.
impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("uri", &self.uri)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(target: &Target) -> Result<Self, Unusable> {
        let authorization = target.token.as_ref().map(|token| {
            let token = token.reveal().trim();
            match target.api {
                Api::V1 => format!("Basic {}", STANDARD.encode(token)),
                Api::V2 => format!("Token {token}"),
                Api::V3 => format!("Bearer {token}"),
            }
        });
        let printable = |text: &String| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !authorization.as_ref().is_none_or(printable) {
            return Err(Unusable::Token);
        }
        Ok(Self {
            connector: connector(target.ca_pem.as_deref()).map_err(Unusable::Authority)?,
            uri: uri(target),
            authorization,
            gzip: target.gzip,
        })
    }

    /// Posts lines; any answer is an `Ok`.
    pub(super) async fn post(&self, lines: String) -> Result<Reply, CallFailed> {
        let request = self.request(lines)?;
        let work = async {
            let response = self.connector.call(request).await;
            let response = response.map_err(|error| {
                let cause = causes(&error);
                passing(format!("{} cannot be reached: {cause}", self.host()))
            })?;
            read(response).await
        };
        tokio::time::timeout(REQUEST_MAX, work)
            .await
            .unwrap_or_else(|_| Err(passing("no answer in time".to_owned())))
    }

    fn request(&self, lines: String) -> Result<HttpRequest, CallFailed> {
        let bytes = if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let done = encoder.write_all(lines.as_bytes());
            done.and_then(|()| encoder.finish())
                .expect("a vector takes everything")
        } else {
            lines.into_bytes()
        };
        let mut request = HttpRequest::new(SdkBody::from(bytes));
        let unsendable = |error: &dyn Error| CallFailed {
            operation: OPERATION,
            fault: Fault::Fatal,
            message: format!("{} is no address to write to: {error}", self.host()),
        };
        request
            .set_method("POST")
            .map_err(|error| unsendable(&error))?;
        request
            .set_uri(self.uri.clone())
            .map_err(|error| unsendable(&error))?;
        let headers = request.headers_mut();
        headers.insert("content-type", "text/plain; charset=utf-8");
        if self.gzip {
            headers.insert("content-encoding", "gzip");
        }
        if let Some(authorization) = &self.authorization {
            headers.insert("authorization", authorization.clone());
        }
        Ok(request)
    }

    fn host(&self) -> &str {
        self.uri
            .split_once('?')
            .map_or(&*self.uri, |(host, _)| host)
    }
}

/// A client that trusts the system's authorities and, where it is given, a private one.
///
/// # Errors
/// What is wrong with the private one's certificates.
pub(crate) fn connector(ca_pem: Option<&[u8]>) -> Result<Connector, String> {
    let mut trust = TrustStore::default();
    if let Some(pem) = ca_pem {
        usable(pem)?;
        trust.add_pem_certificate(pem);
    }
    let context = TlsContext::builder().with_trust_store(trust).build();
    let context = context.map_err(|error| error.to_string())?;
    let mut connector = ConnectorBuilder::default()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .tls_context(context)
        .pool_idle_timeout(POOL_IDLE_TIME)
        .pool_max_idle_per_host(POOL_IDLE_MAX);
    connector.set_proxy_config(Some(ProxyConfig::from_env()));
    Ok(connector.build())
}

/// The precision is always named: its default differs between versions.
fn uri(target: &Target) -> String {
    let (url, database) = (&target.url, encoded(&target.database));
    match target.api {
        Api::V1 => format!("{url}/write?db={database}&precision=ns"),
        Api::V2 => {
            let org = encoded(target.org.as_deref().unwrap_or_default());
            format!("{url}/api/v2/write?org={org}&bucket={database}&precision=ns")
        }
        Api::V3 => {
            format!("{url}/api/v3/write_lp?db={database}&precision=nanosecond&accept_partial=true")
        }
    }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut to = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                to.push(char::from(byte));
            }
            _ => write!(to, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    to
}

/// What the HTTP client would find unusable only when it is too late to say so.
fn usable(pem: &[u8]) -> Result<(), String> {
    let unusable = |error: &dyn Error| error.to_string();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err("there is none in it".to_owned());
    }
    Ok(())
}

async fn read(response: HttpResponse) -> Result<Reply, CallFailed> {
    let header = |name: &str| response.headers().get(name).map(str::to_owned);
    let retry_after =
        header("retry-after").and_then(|text| pause(&text, header("date").as_deref()));
    let status = response.status().as_u16();
    let mut stream = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            let cause = causes(&error);
            passing(format!("the answer breaks off: {cause}"))
        })?;
        let room = ANSWER_BYTES_MAX - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(Reply {
        status,
        retry_after,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// `Retry-After`: seconds, or an instant by the server's own clock (RFC 9110, 10.2.3).
pub(crate) fn pause(text: &str, date: Option<&str>) -> Option<Duration> {
    let seconds = match text.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = |text: &str| DateTime::from_str(text, Format::HttpDate).ok();
            let seconds = at(text)?.secs() - at(date?)?.secs();
            u64::try_from(seconds).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(PAUSE_MAX))
}

fn passing(message: String) -> CallFailed {
    CallFailed {
        operation: OPERATION,
        fault: Fault::Transient,
        message,
    }
}

/// An error and its causes in one line, each said once.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_an_instant_and_never_longer_than_allowed() {
        let date = Some("Wed, 25 Nov 2026 10:00:00 GMT");
        let seconds = |text, date| pause(text, date).map(|pause| pause.as_secs());
        assert_eq!(seconds("7", None), Some(7));
        assert_eq!(seconds("Wed, 25 Nov 2026 10:00:09 GMT", date), Some(9));
        assert_eq!(seconds("Wed, 25 Nov 2026 09:00:00 GMT", date), Some(0));
        assert_eq!(seconds("86400", None), Some(300));
        assert_eq!(seconds("Wed, 25 Nov 2026 10:00:09 GMT", None), None);
        assert_eq!(seconds("soon", date), None);
    }

    #[test]
    fn names_are_encoded_in_the_address() {
        assert_eq!(encoded("a b&c/ä"), "a%20b%26c%2F%C3%A4");
    }

    #[test]
    fn a_file_without_certificates_is_refused_before_it_is_used() {
        for text in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(usable(text.as_bytes()).is_err(), "{text}");
        }
    }
}
