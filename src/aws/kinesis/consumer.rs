//! A stream's consumer: whom Kinesis sends records to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ConsumerStatus;

use crate::aws::error::{bare, failed};
use crate::aws::explain::{code, is_busy, is_missing};
use crate::aws::lines::Lines;
use crate::door::fault::{CallFailed, Fault};

/// How long a new consumer may take to become active; seconds, mostly.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);
/// How long the limit of consumers is asked again: AWS has one of consumers that are being made at
/// once, too, under the same name.
const LIMIT_FOR: Duration = Duration::from_secs(5);
/// The first and the longest wait between two looks. `DescribeStreamConsumer` allows 20 a second.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

const DESCRIBE: &str = "DescribeStreamConsumer";
const REGISTER: &str = "RegisterStreamConsumer";

/// A consumer of a stream, registered when it is first needed. One is shared by all workers that
/// give it the same name. Nothing ever takes it back: who stops using it does
/// (`aws kinesis deregister-stream-consumer`), or goes on paying for it.
#[derive(Debug)]
pub(super) struct Consumer {
    client: Client,
    stream_arn: String,
    name: String,
    lines: Arc<Lines>,
    arn: Mutex<Option<String>>,
}

/// What a look at the consumer found.
enum Found {
    Active(String),
    /// It is being made or taken away.
    NotYet,
    None,
}

impl Consumer {
    /// The consumer of that name (1 to 128 of letters, digits, `_`, `.`, `-`) of the stream; nothing
    /// is asked yet.
    #[must_use]
    pub(super) fn new(client: Client, stream_arn: String, name: String, lines: Arc<Lines>) -> Self {
        Self {
            client,
            stream_arn,
            name,
            lines,
            arn: Mutex::default(),
        }
    }

    /// Registers it, unless it is, and waits until it can be used.
    ///
    /// # Errors
    /// It may not be registered, the stream has as many consumers as AWS allows, or it is not
    /// active after a minute.
    pub(super) async fn enrol(&self) -> Result<(), CallFailed> {
        let began = tokio::time::Instant::now();
        let (mut wait, longest) = WAIT;
        loop {
            let (error, patience) = match self.look().await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => (self.not_active(), ACTIVE_WITHIN),
                Err(error) if is_limit(&error) => (error, LIMIT_FOR),
                Err(error) if is_busy(&error) => (error, ACTIVE_WITHIN),
                Err(error) => return Err(error),
            };
            if began.elapsed() + wait > patience {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
        }
    }

    /// Its ARN, registering it where it is not there.
    pub(super) async fn arn(&self) -> Result<String, CallFailed> {
        self.look().await?.ok_or_else(|| self.not_active())
    }

    fn not_active(&self) -> CallFailed {
        CallFailed {
            operation: DESCRIBE,
            fault: Fault::Transient,
            message: format!("the consumer `{}` is not active yet", self.name),
        }
    }

    /// It is not there under that ARN any more.
    pub(super) fn forget(&self, arn: &str) {
        self.known().take_if(|known| known == arn);
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.arn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its ARN, once it is active. Registers it.
    async fn look(&self) -> Result<Option<String>, CallFailed> {
        if let Some(arn) = self.known().clone() {
            return Ok(Some(arn));
        }
        match self.describe().await? {
            Found::Active(arn) => {
                *self.known() = Some(arn.clone());
                Ok(Some(arn))
            }
            Found::NotYet => Ok(None),
            Found::None => self.register().await.map(|()| None),
        }
    }

    async fn describe(&self) -> Result<Found, CallFailed> {
        let answer = self
            .client
            .describe_stream_consumer()
            .stream_arn(&self.stream_arn)
            .consumer_name(&self.name)
            .send()
            .await;
        let found = match answer {
            Ok(answer) => answer.consumer_description,
            Err(error) => {
                let failed = failed(DESCRIBE, &error);
                return match is_missing(&failed) {
                    true => Ok(Found::None),
                    false => Err(failed),
                };
            }
        };
        Ok(match found {
            Some(found) if found.consumer_status == ConsumerStatus::Active => {
                Found::Active(found.consumer_arn)
            }
            _ => Found::NotYet,
        })
    }

    /// Another worker may register it at the same time: then it is there.
    async fn register(&self) -> Result<(), CallFailed> {
        let answer = self
            .client
            .register_stream_consumer()
            .stream_arn(&self.stream_arn)
            .consumer_name(&self.name)
            .send()
            .await;
        match answer.map_err(|error| failed(REGISTER, &error)) {
            Ok(_) => {
                tracing::info!(
                    stream_arn = self.stream_arn,
                    consumer = self.name,
                    "a consumer for enhanced fan-out is registered, and billed until it is taken \
                     back"
                );
                Ok(())
            }
            Err(error) if error.fault == Fault::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether the answer was that there are too many consumers.
#[must_use]
pub fn is_limit(failed: &CallFailed) -> bool {
    failed.operation == REGISTER
        && code(failed).is_some_and(|code| bare(code) == "LimitExceededException")
}
