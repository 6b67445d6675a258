//! `ListShards`: pages by `NextToken` alone, and `ShardFilter` as the API reference has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferrokinesis::sequence;
use ferrokinesis::types::{Shard, Stream};
use serde::{Deserialize, Serialize};

use super::{Refusal, Shared, parsed, written};
use crate::local::front::wall_ms;

/// Shards a page where the caller names no number.
const PAGE: usize = 1000;
/// Shards a page at most.
const PAGE_MAX: usize = 10_000;
/// How long a token may be used: 300 seconds.
const TOKEN_TTL_MS: u64 = 300_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<usize>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: FilterType,
    shard_id: Option<String>,
    /// Seconds since the epoch.
    timestamp: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FilterType {
    AfterShardId,
    AtTrimHorizon,
    FromTrimHorizon,
    AtLatest,
    AtTimestamp,
    FromTimestamp,
}

/// What a page must know of the pages before.
#[derive(Serialize, Deserialize)]
struct Token {
    made_ms: u64,
    stream: String,
    after: String,
    filter: Option<ShardFilter>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListShardsAnswer<'a> {
    shards: Vec<&'a Shard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Shared {
    pub(super) async fn list_shards(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: ListShards = parsed(body)?;
        let most = request.max_results.unwrap_or(PAGE);
        if most == 0 || most > PAGE_MAX {
            let message = format!("MaxResults is {most}, allowed are 1 to {PAGE_MAX}");
            return Err(Refusal::validation(message));
        }
        let (name, after, filter) = match &request.next_token {
            Some(token) => {
                if request.stream_name.is_some() || request.stream_arn.is_some() {
                    return Err(Refusal::argument(
                        "NextToken and StreamName cannot be provided together.",
                    ));
                }
                let token = token_of(token, wall_ms())?;
                (token.stream, Some(token.after), token.filter)
            }
            None => {
                let name = self.stream_name(
                    request.stream_name.as_deref(),
                    request.stream_arn.as_deref(),
                )?;
                (name, request.exclusive_start_shard_id, request.shard_filter)
            }
        };
        let stream = self.store.get_stream(&name).await?;
        let chosen = chosen(&stream, filter.as_ref(), wall_ms())?;
        let mut shards: Vec<&Shard> = chosen
            .into_iter()
            .filter(|shard| after.as_ref().is_none_or(|after| shard.shard_id > *after))
            .take(most + 1)
            .collect();
        let more = shards.len() > most;
        shards.truncate(most);
        let last = shards.last().filter(|_| more);
        let next_token = last.map(|last| {
            let token = Token {
                made_ms: wall_ms(),
                stream: name,
                after: last.shard_id.clone(),
                filter,
            };
            let json = serde_json::to_vec(&token).expect("a token is plain data");
            STANDARD.encode(json)
        });
        written(&ListShardsAnswer { shards, next_token })
    }
}

fn token_of(text: &str, wall_ms: u64) -> Result<Token, Refusal> {
    let bytes = STANDARD.decode(text).ok();
    let token: Option<Token> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(token) = token else {
        return Err(Refusal::argument("Invalid NextToken."));
    };
    if wall_ms.saturating_sub(token.made_ms) > TOKEN_TTL_MS {
        return Err(Refusal::new(
            "ExpiredNextTokenException",
            "The NextToken is over 300 s old.",
        ));
    }
    Ok(token)
}

fn chosen<'a>(
    stream: &'a Stream,
    filter: Option<&ShardFilter>,
    wall_ms: u64,
) -> Result<Vec<&'a Shard>, Refusal> {
    let retention = u64::from(stream.retention_period_hours) * 3600;
    let horizon = (wall_ms / 1000).saturating_sub(retention);
    let within = |shard: &&Shard| ended(shard).is_none_or(|end| end >= horizon);
    let shards = stream.shards.iter();
    let Some(filter) = filter else {
        return Ok(shards.filter(within).collect());
    };
    let moment = || match filter.timestamp {
        Some(seconds) if seconds >= 0.0 => Ok(seconds as u64),
        _ => Err(Refusal::argument("this ShardFilter needs a Timestamp.")),
    };
    let open_at = |shard: &Shard, at: u64| {
        started(stream, shard) <= at && ended(shard).is_none_or(|end| end >= at)
    };
    Ok(match filter.r#type {
        FilterType::FromTrimHorizon => shards.filter(within).collect(),
        FilterType::AtLatest => shards.filter(|shard| ended(shard).is_none()).collect(),
        FilterType::AfterShardId => {
            let Some(after) = &filter.shard_id else {
                return Err(Refusal::argument("AFTER_SHARD_ID needs a ShardId."));
            };
            shards.filter(|shard| shard.shard_id > *after).collect()
        }
        FilterType::AtTrimHorizon => {
            let born = stream
                .shards
                .iter()
                .map(|shard| started(stream, shard))
                .min();
            let at = horizon.max(born.unwrap_or_default());
            shards.filter(|shard| open_at(shard, at)).collect()
        }
        FilterType::AtTimestamp => {
            let at = moment()?;
            shards.filter(|shard| open_at(shard, at)).collect()
        }
        FilterType::FromTimestamp => {
            let from = moment()?;
            shards
                .filter(|shard| ended(shard).is_none_or(|end| end >= from))
                .collect()
        }
    })
}

/// The second in which a shard opened. A child opens when its last parent closes: the creation time
/// in its sequence numbers is a second later, and a listing at that moment would have a hole.
fn started(stream: &Stream, shard: &Shard) -> u64 {
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
    let closed = parents
        .into_iter()
        .flatten()
        .filter_map(|id| ended(stream.shards.iter().find(|parent| parent.shard_id == *id)?));
    closed.max().unwrap_or_else(|| {
        let start = &shard.sequence_number_range.starting_sequence_number;
        sequence::parse_sequence(start).map_or(0, |parsed| parsed.shard_create_time / 1000)
    })
}

/// The second in which a shard closed.
fn ended(shard: &Shard) -> Option<u64> {
    let end = shard
        .sequence_number_range
        .ending_sequence_number
        .as_deref()?;
    let parsed = sequence::parse_sequence(end).ok()?;
    Some(parsed.seq_time.unwrap_or_default() / 1000)
}
