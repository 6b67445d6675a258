//! Kinesis behind the doors [`Stream`] and [`Put`](crate::door::put::Put).

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::failed;
use super::lines::Lines;
use crate::door::fault::{CallFailed, Fault};
use crate::door::stream::{Error, Page, ShardIterator, Stream};
use crate::model::{EpochMillis, SequenceNumber, Shard, ShardId, Start};

mod answers;
mod consumer;
mod gate;
mod put;
mod several;
mod subscription;

use answers::{page, shard_of};
use consumer::Consumer;
pub use consumer::is_limit;
pub use several::Streams;
pub use subscription::Events;

/// The most pages of shards that are followed: 10,000 shards each, more than any stream has. A
/// server that repeats its token would otherwise hold us for good.
const SHARD_PAGES_MAX: usize = 100;

/// How a stream is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamRef {
    /// By name, in the client's account and region.
    Name(String),
    /// By ARN; also in another account.
    Arn(String),
}

impl From<&str> for StreamRef {
    fn from(text: &str) -> Self {
        if text.starts_with("arn:") {
            Self::Arn(text.to_owned())
        } else {
            Self::Name(text.to_owned())
        }
    }
}

impl StreamRef {
    /// The name, for the requests that take either.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.clone()),
            Self::Arn(_) => None,
        }
    }

    /// The ARN, for the requests that take either.
    #[must_use]
    pub fn arn(&self) -> Option<String> {
        match self {
            Self::Name(_) => None,
            Self::Arn(arn) => Some(arn.clone()),
        }
    }

    /// The stream's bare name, for messages and letters.
    #[must_use]
    pub fn bare_name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Arn(arn) => arn.rsplit('/').next().unwrap_or(arn),
        }
    }
}

/// A Kinesis data stream.
#[derive(Clone, Debug)]
pub struct Kinesis {
    client: Client,
    stream: StreamRef,
    /// Its ARN, where that was asked for.
    arn: Option<String>,
    /// By whom its shards are subscribed to; none: they are polled.
    consumer: Option<Arc<Consumer>>,
}

impl Kinesis {
    /// The stream of that name or ARN; nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, stream: StreamRef) -> Self {
        Self {
            client,
            stream,
            arn: None,
            consumer: None,
        }
    }

    /// The same with its ARN, which consumers are registered by.
    #[must_use]
    pub fn known_as(self, arn: impl Into<String>) -> Self {
        Self {
            arn: Some(arn.into()),
            ..self
        }
    }

    /// The same, its shards subscribed to by the consumer of that name (1 to 128 of letters, digits,
    /// `_`, `.` and `-`), which is registered unless it is.
    ///
    /// # Errors
    /// It may not be registered, the stream has as many as AWS allows, or it does not get active.
    pub async fn with_consumer(self, name: &str, lines: Arc<Lines>) -> Result<Self, CallFailed> {
        let arn = match (&self.arn, &self.stream) {
            (Some(arn), _) | (None, StreamRef::Arn(arn)) => arn.clone(),
            (None, StreamRef::Name(_)) => {
                return Err(unusable(
                    "RegisterStreamConsumer",
                    "the stream's ARN is not known",
                ));
            }
        };
        let consumer = Consumer::new(self.client.clone(), arn, name.to_owned(), lines);
        consumer.enrol().await?;
        Ok(Self {
            consumer: Some(Arc::new(consumer)),
            ..self
        })
    }

    /// Its bare name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.stream.bare_name()
    }
}

impl Stream for Kinesis {
    type Subscription = Events;

    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        const OPERATION: &str = "ListShards";
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..SHARD_PAGES_MAX {
            // AWS refuses a request that names the stream beside the token.
            let request = match token.take() {
                Some(token) => self.client.list_shards().next_token(token),
                None => self
                    .client
                    .list_shards()
                    .set_stream_name(self.stream.name())
                    .set_stream_arn(self.stream.arn()),
            };
            let answer = request
                .send()
                .await
                .map_err(|e| stream_error(OPERATION, &e))?;
            for shard in answer.shards.unwrap_or_default() {
                shards.push(shard_of(OPERATION, shard)?);
            }
            match answer.next_token {
                Some(next) => token = Some(next),
                None => return Ok(shards),
            }
        }
        Err(unusable(OPERATION, "the list of shards does not end").into())
    }

    async fn server_time(&self) -> Result<EpochMillis, Error> {
        const OPERATION: &str = "ListShards";
        let date = DateHeader::default();
        self.client
            .list_shards()
            .set_stream_name(self.stream.name())
            .set_stream_arn(self.stream.arn())
            .max_results(1)
            .customize()
            .interceptor(date.clone())
            .send()
            .await
            .map_err(|e| stream_error(OPERATION, &e))?;
        let text = date
            .taken()
            .ok_or_else(|| unusable(OPERATION, "the answer has no Date header"))?;
        let time = DateTime::from_str(&text, DateTimeFormat::HttpDate)
            .map_err(|_| unusable(OPERATION, "the answer's Date header is no HTTP date"))?;
        Ok(EpochMillis(time.secs().saturating_mul(1000)))
    }

    async fn iterator(&self, shard: &ShardId, start: &Start) -> Result<ShardIterator, Error> {
        const OPERATION: &str = "GetShardIterator";
        let request = self
            .client
            .get_shard_iterator()
            .set_stream_name(self.stream.name())
            .set_stream_arn(self.stream.arn())
            .shard_id(shard.as_str());
        let (kind, seq, time) = place(start);
        let answer = request
            .shard_iterator_type(kind)
            .set_starting_sequence_number(seq)
            .set_timestamp(time)
            .send()
            .await
            .map_err(|e| iterator_error(&e))?;
        answer
            .shard_iterator
            .map(ShardIterator)
            .ok_or_else(|| unusable(OPERATION, "the answer has no iterator").into())
    }

    async fn records(&self, iterator: &ShardIterator, limit: u32) -> Result<Page, Error> {
        let answer = self
            .client
            .get_records()
            .shard_iterator(&iterator.0)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            // Beside the iterator, the ARN routes calls into another account's stream.
            .set_stream_arn(self.stream.arn())
            .send()
            .await
            .map_err(|e| records_error(&e))?;
        page(answer)
    }

    fn has_consumer(&self, _shard: &ShardId) -> bool {
        self.consumer.is_some()
    }

    async fn subscribe(&self, shard: &ShardId, start: &Start) -> Result<Events, Error> {
        match &self.consumer {
            Some(consumer) => Events::of(consumer, shard, start).await,
            None => Err(unusable("SubscribeToShard", "there is no consumer").into()),
        }
    }
}

/// A place in a shard as Kinesis's requests name it.
fn place(start: &Start) -> (ShardIteratorType, Option<String>, Option<DateTime>) {
    let text = |seq: &SequenceNumber| Some(seq.as_str().to_owned());
    match start {
        Start::TrimHorizon => (ShardIteratorType::TrimHorizon, None, None),
        Start::AtTimestamp(at) => {
            let time = DateTime::from_millis(at.0);
            (ShardIteratorType::AtTimestamp, None, Some(time))
        }
        Start::At { seq, .. } => (ShardIteratorType::AtSequenceNumber, text(seq), None),
        Start::After(seq) => (ShardIteratorType::AfterSequenceNumber, text(seq), None),
    }
}

/// Kinesis takes a sequence number of a record past retention and begins at the oldest one left; some
/// servers refuse it, and AWS itself refuses one of another stream, or of a deleted one of this name.
fn iterator_error(error: &SdkError<GetShardIteratorError, HttpResponse>) -> Error {
    const OPERATION: &str = "GetShardIterator";
    match error.as_service_error() {
        Some(GetShardIteratorError::InvalidArgumentException(invalid)) => {
            let message = invalid.message().unwrap_or_default();
            place_error(OPERATION, message).unwrap_or_else(|| stream_error(OPERATION, error))
        }
        _ => stream_error(OPERATION, error),
    }
}

/// What an invalid argument means, if it is the sequence number to begin at.
fn place_error(operation: &'static str, message: &str) -> Option<Error> {
    let about = message.to_lowercase();
    if !about.contains("startingsequencenumber") {
        return None;
    }
    if about.contains("did not come from") {
        return Some(Error::Call(CallFailed {
            operation,
            fault: Fault::Fatal,
            message: format!(
                "{message} The lease table's checkpoint is another stream's, or one's that was deleted: \
                 name another lease table, or begin anew with `tidewire leases reset`"
            ),
        }));
    }
    Some(Error::PlaceGone {
        operation,
        message: message.to_owned(),
    })
}

/// An iterator is expired, too, where the server cannot read it any more: it was made before the
/// server's restart.
fn records_error(error: &SdkError<GetRecordsError, HttpResponse>) -> Error {
    match error.as_service_error() {
        Some(GetRecordsError::ExpiredIteratorException(_)) => Error::IteratorExpired,
        Some(GetRecordsError::InvalidArgumentException(invalid))
            if invalid
                .message()
                .is_some_and(|text| text.to_lowercase().contains("iterator")) =>
        {
            Error::IteratorExpired
        }
        _ => stream_error("GetRecords", error),
    }
}

fn stream_error<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failed = failed(operation, error);
    if super::explain::is_missing(&failed) {
        return Error::NotFound {
            operation,
            message: failed.message,
        };
    }
    Error::Call(failed)
}

/// An answer we cannot work with: no repetition mends a server.
fn unusable(operation: &'static str, what: &str) -> CallFailed {
    CallFailed {
        operation,
        fault: Fault::Fatal,
        message: what.to_owned(),
    }
}

/// Takes the `Date` header off an answer: the one clock by which Kinesis stamps arrivals.
#[derive(Clone, Debug, Default)]
struct DateHeader(Arc<Mutex<Option<String>>>);

impl DateHeader {
    fn taken(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}
