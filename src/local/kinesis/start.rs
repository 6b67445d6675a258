//! Where reading starts: `GetShardIterator`, and the starting position of a subscription.

use ferrokinesis::sequence;
use ferrokinesis::types::{ShardIteratorType, Stream};
use serde::Deserialize;

use super::books::Books;
use super::iterator::Place;
use super::log::incarnation;
use super::read::{find, milliseconds};
use super::{Refusal, Shared, parsed, written};
use crate::local::front::wall_ms;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetShardIterator {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: String,
    shard_iterator_type: ShardIteratorType,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

/// A starting position as `SubscribeToShard` names it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Start {
    r#type: ShardIteratorType,
    sequence_number: Option<String>,
    /// Seconds since the epoch.
    timestamp: Option<f64>,
}

impl Shared {
    pub(super) async fn get_shard_iterator(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: GetShardIterator = parsed(body)?;
        let name = self.stream_name(
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        )?;
        let start = Start {
            r#type: request.shard_iterator_type,
            sequence_number: request.starting_sequence_number,
            timestamp: request.timestamp,
        };
        let mut books = self.books.lock().await;
        let stream = self.store.get_stream(&name).await?;
        let (_, shard) = find(&stream, &request.shard_id)?;
        let now_ms = self.elapsed_ms();
        if self.options.limits && !books.shard(&name, &shard.shard_id, now_ms).iterator(now_ms) {
            return Err(Refusal::rate(&name, &shard.shard_id));
        }
        let place = self
            .place(&mut books, &stream, &request.shard_id, start)
            .await?;
        written(&serde_json::json!({ "ShardIterator": place.token(wall_ms()) }))
    }

    /// The place that `start` means. The books are held: a record that is written meanwhile would
    /// lie neither before nor behind the place.
    pub(super) async fn place(
        &self,
        books: &mut Books,
        stream: &Stream,
        shard_id: &str,
        start: Start,
    ) -> Result<Place, Refusal> {
        let (index, shard) = find(stream, shard_id)?;
        let name = &stream.stream_name;
        let oldest = &shard.sequence_number_range.starting_sequence_number;
        let (sequence, after) = match start.r#type {
            ShardIteratorType::TrimHorizon => (oldest.clone(), false),
            ShardIteratorType::Latest => (self.tip(name, index, oldest).await?, false),
            ShardIteratorType::AtTimestamp => {
                let from_ms = past(start.timestamp)?;
                match books
                    .log
                    .first_since(&incarnation(stream), index, from_ms)?
                {
                    Some(sequence) => (sequence, false),
                    None => (self.tip(name, index, oldest).await?, false),
                }
            }
            kind => {
                let given = start.sequence_number.unwrap_or_default();
                belongs(&given, index, oldest)?;
                (given, kind == ShardIteratorType::AfterSequenceNumber)
            }
        };
        Ok(Place {
            stream: name.clone(),
            shard: shard_id.to_owned(),
            sequence,
            after,
        })
    }

    /// The sequence number that lies behind every record of the shard and before every later one.
    async fn tip(&self, stream: &str, index: i64, oldest: &str) -> Result<String, Refusal> {
        let next = self.store.current_shard_seq(stream, index).await;
        let mut place = sequence::parse_sequence(oldest)
            .map_err(|error| Refusal::argument(error.to_string()))?;
        place.seq_ix = Some(next);
        place.seq_time = Some(0);
        Ok(sequence::stringify_sequence(&place))
    }
}

/// A moment that has come, in milliseconds.
fn past(seconds: Option<f64>) -> Result<u64, Refusal> {
    let Some(seconds) = seconds else {
        return Err(Refusal::argument("AT_TIMESTAMP needs a Timestamp."));
    };
    let (from_ms, wall_ms) = (milliseconds(seconds), wall_ms());
    if from_ms <= wall_ms {
        return Ok(from_ms);
    }
    Err(Refusal::argument(format!(
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
         timestampInMillis: {from_ms}, currentTimestampInMillis: {wall_ms}"
    )))
}

/// Refuses a sequence number that this shard never gave.
fn belongs(given: &str, index: i64, oldest: &str) -> Result<(), Refusal> {
    let refusal = || {
        Refusal::argument(format!(
            "StartingSequenceNumber {given} is invalid because it did not come from this shard."
        ))
    };
    let given = sequence::parse_sequence(given).map_err(|_| refusal())?;
    let oldest = sequence::parse_sequence(oldest).map_err(|_| refusal())?;
    let same = given.shard_ix == index && given.shard_create_time == oldest.shard_create_time;
    if same { Ok(()) } else { Err(refusal()) }
}
