//! `SubscribeToShard`: the events of one shard.

use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{StartingPosition, SubscribeToShardEventStream};
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use aws_smithy_types::event_stream::RawMessage;

use super::consumer::Consumer;
use super::gate::Gate;
use super::several::all_born_in;
use super::{answers, place, place_error, unusable};
use crate::aws::error::{UNREADABLE, bare, failed, failed_within};
use crate::aws::explain::is_missing;
use crate::aws::lines::Line;
use crate::aws::setup::KINESIS_ATTEMPT_MAX;
use crate::door::fault::{CallFailed, Fault};
use crate::door::stream::{Error, Event, Subscription};
use crate::model::{ShardId, Start, StreamId};

const OPERATION: &str = "SubscribeToShard";

/// By which code another subscription makes itself known.
const IN_USE: &str = "ResourceInUseException";
/// By which the place to begin at may be refused.
const INVALID: &str = "InvalidArgumentException";

/// A subscription to a shard.
#[derive(Debug)]
pub struct Events {
    answer: SubscribeToShardOutput,
    gate: Gate,
    /// Whether the receiver holds an event already.
    buffered: bool,
    /// The stream's name among several.
    among: Option<StreamId>,
    _line: Line,
}

impl Events {
    /// Subscribes a consumer.
    pub(super) async fn of(
        consumer: &Consumer,
        shard: &ShardId,
        start: &Start,
    ) -> Result<Self, Error> {
        let arn = consumer.arn().await?;
        let line = consumer.lines().place();
        let (kind, seq, time) = place(start);
        let position = StartingPosition::builder()
            .r#type(kind)
            .set_sequence_number(seq)
            .set_timestamp(time)
            .build()
            .map_err(|_| unusable(OPERATION, "a place without its kind"))?;
        let gate = Gate::default();
        let config = aws_sdk_kinesis::Config::builder()
            .http_client(line.client.clone())
            // A subscription stands still for as long as nothing is written, or nobody has room.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let call = consumer
            .client()
            .subscribe_to_shard()
            .consumer_arn(&arn)
            .shard_id(shard.as_str())
            .starting_position(position)
            .customize()
            .config_override(config)
            .interceptor(gate.clone())
            .send();
        // The client's own limit ends with the headers: the first message is waited for, too.
        let answer = tokio::time::timeout(KINESIS_ATTEMPT_MAX, call).await;
        let answer = answer
            .map_err(|_| late())?
            .map_err(|error| told(failed(OPERATION, &error), meta(&error)))
            .inspect_err(|error| {
                if matches!(error, Error::NotFound { .. }) {
                    consumer.forget(&arn);
                }
            })?;
        Ok(Self {
            answer,
            buffered: gate.began_with_an_event(),
            gate,
            among: None,
            _line: line,
        })
    }

    /// The same, its children named with their stream.
    pub(super) fn among_several(self, stream: StreamId) -> Self {
        Self {
            among: Some(stream),
            ..self
        }
    }
}

impl Subscription for Events {
    async fn arrived(&mut self) -> Result<Option<u64>, Error> {
        if self.buffered {
            return Ok(Some(0));
        }
        self.gate.arrived().await.map_err(|error| {
            let broken = CallFailed {
                operation: OPERATION,
                fault: Fault::Transient,
                message: format!("{UNREADABLE}: {error}"),
            };
            broken.into()
        })
    }

    async fn event(&mut self) -> Result<Option<Event>, Error> {
        self.buffered = false;
        let received = self.answer.event_stream.recv().await;
        let received = received.map_err(|error: SdkError<_, RawMessage>| {
            told(failed_within(OPERATION, &error), meta(&error))
        })?;
        let mut event = match received {
            None => return Ok(None),
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => {
                answers::event(event)?
            }
            // A kind of event that AWS may add says nothing of records.
            Some(_) => return Err(unusable(OPERATION, "an event of an unknown kind").into()),
        };
        if let (Some(stream), Some(children)) = (&self.among, &mut event.ended) {
            *children = all_born_in(stream, std::mem::take(children));
        }
        Ok(Some(event))
    }
}

fn late() -> Error {
    Error::Call(CallFailed {
        operation: OPERATION,
        fault: Fault::Transient,
        message: crate::aws::error::TIMED_OUT.to_owned(),
    })
}

fn meta<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&ErrorMetadata> {
    error.as_service_error().map(ProvideErrorMetadata::meta)
}

/// What a failure means: `meta` is what the service itself said.
fn told(failed: CallFailed, meta: Option<&ErrorMetadata>) -> Error {
    let operation = OPERATION;
    let code = meta.and_then(ErrorMetadata::code).map(bare);
    let said = meta.and_then(ErrorMetadata::message).unwrap_or_default();
    let place = match code {
        Some(INVALID) => place_error(operation, said),
        _ => None,
    };
    let message = failed.message.clone();
    match code {
        Some(IN_USE) => Error::Held { operation, message },
        _ if is_missing(&failed) => Error::NotFound { operation, message },
        _ => place.unwrap_or(Error::Call(failed)),
    }
}
