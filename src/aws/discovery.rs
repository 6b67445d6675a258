//! Timestream's endpoint: AWS assigns each account a cell, and says for how long.
//!
//! The SDK has a loop of its own for this; ours differs in that an empty list is an error and no
//! panic, that a start during an outage waits, and that `InvalidEndpointException` asks at once.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_timestreamwrite::Client;
use aws_sdk_timestreamwrite::config::endpoint::{
    Endpoint, EndpointFuture, Params, ResolveEndpoint, SharedEndpointResolver,
};
use aws_types::service_config::ServiceConfigKey;
use backon::{ExponentialBuilder, Retryable as _};
use tokio::sync::Notify;

use super::error::failed;
use crate::door::fault::{CallFailed, Fault};

/// How long before its end an endpoint is asked for anew (the SDK's own margin).
const EARLY: Duration = Duration::from_secs(120);
/// The least time between two questions: AWS says minutes, a fake may say zero.
const INTERVAL_MIN: Duration = Duration::from_secs(10);
/// The most time between two questions, whatever the answer said: a day.
const INTERVAL_MAX: Duration = Duration::from_secs(86_400);
/// Waits after a failed question.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The endpoint as last discovered, shared between the client's resolver and the loop.
#[derive(Clone, Debug)]
pub struct Discovery {
    client: Client,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    url: RwLock<Found>,
    ask_now: Notify,
}

#[derive(Clone, Debug)]
struct Found {
    url: String,
    good_for: Duration,
}

impl Discovery {
    /// Asks for the endpoint until there is one; `client` is one without discovery.
    ///
    /// # Errors
    /// The question was refused for good: no permission, wrong credentials.
    pub(super) async fn start(client: Client) -> Result<Self, CallFailed> {
        let found = patiently(&client).await?;
        Ok(Self {
            client,
            shared: Arc::new(Shared {
                url: RwLock::new(found),
                ask_now: Notify::new(),
            }),
        })
    }

    /// Keeps the endpoint fresh; runs until dropped, as a task of whoever uses the client.
    /// A failed question leaves the old endpoint in place, which mostly goes on working.
    pub async fn keep_fresh(self) {
        loop {
            let wait = self.found().good_for.saturating_sub(EARLY);
            tokio::select! {
                biased;
                () = self.shared.ask_now.notified() => {}
                () = tokio::time::sleep(wait.clamp(INTERVAL_MIN, INTERVAL_MAX)) => {}
            }
            match patiently(&self.client).await {
                Ok(found) => self.put(found),
                Err(failed) => {
                    tracing::error!(error = %failed, "timestream's endpoint cannot be discovered");
                    tokio::time::sleep(RETRY_MAX).await;
                    self.shared.ask_now.notify_one();
                }
            }
        }
    }

    /// Has the loop ask again now: the endpoint was refused.
    pub fn ask_now(&self) {
        self.shared.ask_now.notify_one();
    }

    /// The resolver to build the working client with.
    pub(super) fn resolver(&self) -> SharedEndpointResolver {
        Resolver(Arc::clone(&self.shared)).into_shared_resolver()
    }

    fn found(&self) -> Found {
        self.shared.read()
    }

    fn put(&self, found: Found) {
        let mut slot = self
            .shared
            .url
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = found;
    }
}

impl Shared {
    fn read(&self) -> Found {
        self.url
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Debug)]
struct Resolver(Arc<Shared>);

impl ResolveEndpoint for Resolver {
    fn resolve_endpoint<'a>(&'a self, _params: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.read().url).build()))
    }
}

/// Asks until an answer comes; only a refusal for good ends it.
async fn patiently(client: &Client) -> Result<Found, CallFailed> {
    // Boxed: the SDK's future is 16 KB, and this one lives for the whole process.
    (|| Box::pin(ask(client)))
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(RETRY_MIN)
                .with_max_delay(RETRY_MAX)
                .with_jitter()
                .without_max_times(),
        )
        .when(|failed| failed.fault.is_worth_again())
        .notify(|failed, wait| {
            tracing::warn!(error = %failed, wait_ms = wait.as_millis(), "timestream's endpoint is not known yet");
        })
        .await
}

async fn ask(client: &Client) -> Result<Found, CallFailed> {
    const OPERATION: &str = "DescribeEndpoints";
    let answer = client
        .describe_endpoints()
        .send()
        .await
        .map_err(|error| failed(OPERATION, &error))?;
    let first = answer.endpoints().first().ok_or_else(|| CallFailed {
        operation: OPERATION,
        fault: Fault::Transient,
        message: "the answer names no endpoint".to_owned(),
    })?;
    let minutes = u64::try_from(first.cache_period_in_minutes()).unwrap_or(0);
    Ok(Found {
        url: format!("https://{}", first.address()),
        good_for: Duration::from_secs(minutes.saturating_mul(60)),
    })
}

/// Whether AWS's variables or the profile name an endpoint for Timestream.
pub(super) fn service_endpoint_is_configured(sdk: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id("Timestream Write")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    match (sdk.service_config(), key) {
        (Some(config), Ok(key)) => config.load_config(key).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
