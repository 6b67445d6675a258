//! Kinesis behind the doors [`Stream`] and [`Put`](crate::door::put::Put).

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use aws_sdk_kinesis::types::{self, ShardIteratorType};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bytes::Bytes;

use super::error::failed;
use crate::door::fault::{CallFailed, Fault};
use crate::door::stream::{Error, Page, ShardIterator, Stream};
use crate::model::{ChildShard, EpochMillis, Record, Shard, ShardId, Start};

mod put;
mod several;

pub use several::Streams;

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
}

impl Kinesis {
    /// The stream of that name or ARN; nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, stream: StreamRef) -> Self {
        Self { client, stream }
    }
}

impl Stream for Kinesis {
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
        let request = match start {
            Start::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Start::AtTimestamp(at) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(at.0)),
            Start::At { seq, .. } => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(seq.as_str()),
            Start::After(seq) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(seq.as_str()),
        };
        let answer = request.send().await.map_err(|e| iterator_error(&e))?;
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
}

/// Kinesis takes a sequence number of a record past retention and begins at the oldest one left; some
/// servers refuse it, and AWS itself refuses one of another stream, or of a deleted one of this name.
fn iterator_error(error: &SdkError<GetShardIteratorError, HttpResponse>) -> Error {
    const OPERATION: &str = "GetShardIterator";
    let Some(GetShardIteratorError::InvalidArgumentException(invalid)) = error.as_service_error()
    else {
        return stream_error(OPERATION, error);
    };
    let message = invalid.message().unwrap_or_default();
    let about = message.to_lowercase();
    if !about.contains("startingsequencenumber") {
        return stream_error(OPERATION, error);
    }
    if about.contains("did not come from") {
        return Error::Call(CallFailed {
            operation: OPERATION,
            fault: Fault::Fatal,
            message: format!(
                "{message} The lease table's checkpoint is another stream's, or one's that was deleted: \
                 name another lease table, or begin anew with `tidewire leases reset`"
            ),
        });
    }
    Error::PlaceGone {
        operation: OPERATION,
        message: message.to_owned(),
    }
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

fn shard_of(operation: &'static str, shard: types::Shard) -> Result<Shard, CallFailed> {
    let (hash, seq) = match (shard.hash_key_range, shard.sequence_number_range) {
        (Some(hash), Some(seq)) => (hash, seq),
        _ => return Err(unusable(operation, "a shard has no range")),
    };
    let number = |text: &str| {
        text.parse()
            .map_err(|_| unusable(operation, "a shard's range is no sequence number"))
    };
    Ok(Shard {
        id: shard.shard_id.into(),
        parent: shard.parent_shard_id.map(Into::into),
        adjacent_parent: shard.adjacent_parent_shard_id.map(Into::into),
        starting_hash_key: hash.starting_hash_key,
        ending_hash_key: hash.ending_hash_key,
        starting_seq: number(&seq.starting_sequence_number)?,
        ending_seq: seq
            .ending_sequence_number
            .as_deref()
            .map(number)
            .transpose()?,
    })
}

fn page(answer: GetRecordsOutput) -> Result<Page, Error> {
    const OPERATION: &str = "GetRecords";
    let mut records = Vec::with_capacity(answer.records.len());
    for record in answer.records {
        let arrival = record
            .approximate_arrival_timestamp
            .and_then(|time| time.to_millis().ok())
            .ok_or_else(|| unusable(OPERATION, "a record has no arrival time"))?;
        records.push(Record {
            seq: record
                .sequence_number
                .parse()
                .map_err(|_| unusable(OPERATION, "a record has no sequence number"))?,
            // Streams that spread records by themselves leave the key out, or empty.
            partition_key: record
                .partition_key
                .filter(|key| !key.is_empty())
                .map(Into::into),
            arrival: EpochMillis(arrival),
            data: Bytes::from(record.data.into_inner()),
        });
    }
    let children = answer.child_shards.unwrap_or_default();
    Ok(Page {
        records,
        next: answer.next_shard_iterator.map(ShardIterator),
        behind_ms: u64::try_from(answer.millis_behind_latest.unwrap_or(0)).unwrap_or(0),
        children: children
            .into_iter()
            .map(|child| {
                let (starting_hash_key, ending_hash_key) = child
                    .hash_key_range
                    .map(|range| (range.starting_hash_key, range.ending_hash_key))
                    .ok_or_else(|| unusable(OPERATION, "a child shard has no range"))?;
                Ok(ChildShard {
                    id: child.shard_id.into(),
                    parents: child.parent_shards.into_iter().map(Into::into).collect(),
                    starting_hash_key,
                    ending_hash_key,
                })
            })
            .collect::<Result<_, Error>>()?,
    })
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
