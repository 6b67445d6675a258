//! A published JWKS behind the door [`KeySet`]: one GET over the HTTP client that the SDK has.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, ConnectorBuilder, tls};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::byte_stream::ByteStream;

use super::error::causes;
use crate::door::fault::{CallFailed, Fault};
use crate::door::key_set::{Fetching, KeySet};

/// The largest document that is read: a JWKS of thirty RSA keys has some 15 KB.
const BYTES_MAX: usize = 256 * 1024;

const OPERATION: &str = "JWKS";

/// A document at an address.
pub struct Published {
    url: String,
    connector: Connector,
}

impl std::fmt::Debug for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Published")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Published {
    /// At this URL; nothing is asked. Proxies as for AWS (`HTTPS_PROXY`, `NO_PROXY`).
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        let mut connector = ConnectorBuilder::default().tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        Self {
            url: url.into(),
            connector: connector.build(),
        }
    }

    fn failed(&self, fault: Fault, why: &str) -> CallFailed {
        CallFailed {
            operation: OPERATION,
            fault,
            message: format!("{} {why}", self.url),
        }
    }

    async fn get(&self) -> Result<String, CallFailed> {
        let mut request = HttpRequest::empty();
        request.set_uri(self.url.clone()).map_err(|error| {
            self.failed(Fault::Fatal, &format!("is no address: {}", causes(&error)))
        })?;
        request.headers_mut().insert("accept", "application/json");
        let response = self.connector.call(request).await.map_err(|error| {
            let why = format!("cannot be reached: {}", causes(&error));
            self.failed(Fault::Transient, &why)
        })?;
        match response.status().as_u16() {
            200 => self.read(response).await,
            status @ 300..=399 => Err(self.failed(
                Fault::Fatal,
                &format!("answers {status}: redirects are not followed, name the last address"),
            )),
            status @ 400..=499 => Err(self.failed(Fault::Fatal, &format!("answers {status}"))),
            status => Err(self.failed(Fault::Transient, &format!("answers {status}"))),
        }
    }

    async fn read(&self, response: HttpResponse) -> Result<String, CallFailed> {
        let mut stream = ByteStream::new(response.into_body());
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| {
                let why = format!("breaks off: {}", causes(&error));
                self.failed(Fault::Transient, &why)
            })?;
            bytes.extend_from_slice(&chunk);
            if bytes.len() > BYTES_MAX {
                let why = format!("is larger than {BYTES_MAX} bytes: that is no JWKS");
                return Err(self.failed(Fault::Fatal, &why));
            }
        }
        String::from_utf8(bytes).map_err(|_| self.failed(Fault::Fatal, "is no text"))
    }
}

impl KeySet for Published {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(self.get())
    }
}
