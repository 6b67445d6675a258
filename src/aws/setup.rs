//! The one place that makes AWS clients: versions, credentials, endpoints, timeouts.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, ConnectorBuilder, tls};
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;

use super::billed::{Billed, OnBilled};
use super::discovery::{self, Discovery};
use super::explain::Service;
use crate::door::fault::CallFailed;
use crate::model::Secret;

/// How long a connection may take to open, for every service: four round trips to a far region.
/// One value for all of them, and no read timeout beside it (the attempt's covers it), because the
/// SDK keeps a connection pool and a root store for each distinct pair.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Kinesis: an answer of 10 MiB over a slow link. Under the 20 s after which a reader is "stuck".
pub(super) const KINESIS_ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// DynamoDB: a renewal must be known lost well within a lease of 10 s.
const DYNAMODB_ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// SQS but for receiving, whose limit is its wait and [`RECEIVE_SLACK`].
const SQS_ATTEMPT_MAX: Duration = Duration::from_secs(5);
/// Timestream: a hundred records, and a service that is slow before it throttles.
const TIMESTREAM_ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// One post to one viewer; more would only hold its place.
const POST_ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// What a long poll gets over its wait: without any limit a lost connection hangs it for good.
pub const RECEIVE_SLACK: Duration = Duration::from_secs(7);
/// How long a body may stand still. The attempt's timeout ends it anyway; this tells them apart.
const STALL_GRACE: Duration = Duration::from_secs(10);
/// Idle connections kept for each host: posts run up to 256 wide, and a new TLS connection costs
/// more than a post.
const POOL_IDLE_MAX: usize = 256;
/// How long an idle connection is kept; API Gateway and DynamoDB close theirs after some minutes.
pub(super) const POOL_IDLE_TIME: Duration = Duration::from_secs(50);

/// What settings say about reaching AWS. What is left out means what it means to every AWS tool:
/// `AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL_*`, the default chain of credentials.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The region; absent: `AWS_REGION`, the profile, or the instance's.
    pub region: Option<String>,
    /// Endpoints in place of AWS's.
    pub endpoints: Endpoints,
    /// Credentials in place of the default chain; for local stands.
    pub credentials: Option<StaticCredentials>,
    /// Who counts what AWS bills for the calls; nobody by default.
    pub on_billed: Option<OnBilled>,
}

/// Endpoint URLs by service, each stronger than AWS's own variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Kinesis Data Streams.
    pub kinesis: Option<String>,
    /// DynamoDB.
    pub dynamodb: Option<String>,
    /// SQS.
    pub sqs: Option<String>,
    /// Timestream Write; with it, endpoint discovery is left out.
    pub timestream: Option<String>,
    /// API Gateway's management API: `https://{api}.execute-api.{region}.amazonaws.com/{stage}`.
    pub management: Option<String>,
}

impl Endpoints {
    /// The override for a service.
    #[must_use]
    pub fn of(&self, service: Service) -> Option<&str> {
        match service {
            Service::Kinesis => self.kinesis.as_deref(),
            Service::Dynamodb => self.dynamodb.as_deref(),
            Service::Sqs => self.sqs.as_deref(),
            Service::Timestream => self.timestream.as_deref(),
            Service::Management => self.management.as_deref(),
        }
    }
}

/// Credentials as settings give them.
#[derive(Clone, Debug)]
pub struct StaticCredentials {
    /// The key's id; no secret.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// The token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// Why there are no clients. Each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// No region.
    #[error(
        "no AWS region: set `aws.region` in the settings, AWS_REGION in the environment, or `region` in the AWS profile"
    )]
    NoRegion,
    /// No credentials.
    #[error(
        "no AWS credentials ({0}): give the task or pod a role, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE"
    )]
    NoCredentials(String),
}

/// Everything that makes clients; clones share connections and credentials.
#[derive(Clone, Debug)]
pub struct Clients {
    sdk: SdkConfig,
    endpoints: Endpoints,
    on_billed: Option<OnBilled>,
}

impl Setup {
    /// Resolves region and credentials as far as they can be known now. Without credentials on
    /// EC2 or ECS this takes about two seconds, since the instance's own service is asked.
    ///
    /// # Errors
    /// There is no region, or nothing gives credentials.
    pub async fn load(&self) -> Result<Clients, Unready> {
        let mut loader = aws_config::defaults(behavior())
            .http_client(shared_http_client())
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .grace_period(STALL_GRACE)
                    .build(),
            );
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.to_sdk());
        }
        let sdk = loader.load().await;
        if sdk.region().is_none() {
            return Err(Unready::NoRegion);
        }
        let provider = sdk
            .credentials_provider()
            .ok_or_else(|| Unready::NoCredentials("the default chain is empty".to_owned()))?;
        provider
            .as_ref()
            .provide_credentials()
            .await
            .map_err(|error| Unready::NoCredentials(super::error::causes(&error)))?;
        Ok(Clients {
            sdk,
            endpoints: self.endpoints.clone(),
            on_billed: self.on_billed.clone(),
        })
    }
}

impl StaticCredentials {
    fn to_sdk(&self) -> Credentials {
        Credentials::new(
            self.access_key_id.clone(),
            self.secret_access_key.reveal(),
            self.session_token
                .as_ref()
                .map(|token| token.reveal().to_owned()),
            None,
            "settings",
        )
    }
}

macro_rules! client {
    ($self:ident, $sdk:ident, $service:ident, $attempt:expr, $endpoint:expr) => {{
        let mut config = $sdk::config::Builder::from(&$self.sdk);
        config.set_timeout_config(Some(timeouts($attempt)));
        if let Some(url) = $endpoint {
            config.set_endpoint_url(Some(url.to_owned()));
        }
        if let Some(on_billed) = &$self.on_billed {
            let billed = Billed::new(Service::$service, on_billed.clone());
            config.push_interceptor(SharedInterceptor::new(billed));
        }
        config
    }};
}

impl Clients {
    /// The region, for messages and names.
    #[must_use]
    pub fn region(&self) -> &str {
        self.sdk.region().map_or("", |region| region.as_ref())
    }

    /// The overrides that were given.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// A Kinesis client.
    #[must_use]
    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        let endpoint = self.endpoints.kinesis.as_deref();
        let config = client!(
            self,
            aws_sdk_kinesis,
            Kinesis,
            KINESIS_ATTEMPT_MAX,
            endpoint
        );
        aws_sdk_kinesis::Client::from_conf(config.build())
    }

    /// A DynamoDB client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let endpoint = self.endpoints.dynamodb.as_deref();
        let config = client!(
            self,
            aws_sdk_dynamodb,
            Dynamodb,
            DYNAMODB_ATTEMPT_MAX,
            endpoint
        );
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// An SQS client; receiving sets its own, longer limit for each call.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let endpoint = self.endpoints.sqs.as_deref();
        let config = client!(self, aws_sdk_sqs, Sqs, SQS_ATTEMPT_MAX, endpoint);
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// An API Gateway management client for one stage. `endpoint` is what settings derive from
    /// the API's id and stage; an override is stronger.
    #[must_use]
    pub fn management(&self, endpoint: Option<&str>) -> aws_sdk_apigatewaymanagement::Client {
        let endpoint = self.endpoints.management.as_deref().or(endpoint);
        let config = client!(
            self,
            aws_sdk_apigatewaymanagement,
            Management,
            POST_ATTEMPT_MAX,
            endpoint
        );
        aws_sdk_apigatewaymanagement::Client::from_conf(config.build())
    }

    /// A Timestream client: at the endpoint that an override names, or at the one that AWS
    /// assigns, which the returned [`Discovery`] keeps fresh while its loop runs.
    ///
    /// # Errors
    /// Discovery was refused for good. While it merely fails this waits and asks again, so race
    /// it with the shutdown.
    pub async fn timestream(
        &self,
    ) -> Result<(aws_sdk_timestreamwrite::Client, Option<Discovery>), CallFailed> {
        let client = self.timestream_undiscovered();
        if self.timestream_is_overridden() {
            return Ok((client, None));
        }
        let discovery = Discovery::start(client).await?;
        let mut config = self.timestream_config();
        config.set_endpoint_resolver(Some(discovery.resolver()));
        let client = aws_sdk_timestreamwrite::Client::from_conf(config.build());
        Ok((client, Some(discovery)))
    }

    /// A Timestream client for what needs no discovery: overridden endpoints.
    #[must_use]
    pub fn timestream_undiscovered(&self) -> aws_sdk_timestreamwrite::Client {
        aws_sdk_timestreamwrite::Client::from_conf(self.timestream_config().build())
    }

    fn timestream_config(&self) -> aws_sdk_timestreamwrite::config::Builder {
        let endpoint = self.endpoints.timestream.as_deref();
        client!(
            self,
            aws_sdk_timestreamwrite,
            Timestream,
            TIMESTREAM_ATTEMPT_MAX,
            endpoint
        )
    }

    /// Settings, `AWS_ENDPOINT_URL_TIMESTREAM_WRITE`, `AWS_ENDPOINT_URL` and the profile may all
    /// name an endpoint; the last three are in the resolved configuration.
    fn timestream_is_overridden(&self) -> bool {
        self.endpoints.timestream.is_some()
            || self.sdk.endpoint_url().is_some()
            || discovery::service_endpoint_is_configured(&self.sdk)
    }
}

/// A dated version: what it means does not change when a dependency is raised.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The timeouts of a client whose one attempt may take this long.
#[must_use]
pub fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(attempt)
        .build()
}

/// One client below all services: one pool, one root store. It honours `HTTPS_PROXY`, `NO_PROXY`
/// and their like, as the SDK's own default does.
pub(super) fn shared_http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::AwsLc,
            ))
            .pool_idle_timeout(POOL_IDLE_TIME)
            .pool_max_idle_per_host(POOL_IDLE_MAX);
        connector.set_connector_settings(settings.cloned());
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    })
}
