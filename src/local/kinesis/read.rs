//! `GetRecords`, and the page of records that a subscription sends too.

use ferrokinesis::sequence;
use ferrokinesis::types::{HashKeyRange, Shard, StoredRecord, Stream};
use serde::{Deserialize, Serialize};

use super::iterator::Place;
use super::{Refusal, Shared, parsed, written};
use crate::local::front::wall_ms;

/// Records a `GetRecords` answer.
const RECORDS_MAX: usize = 10_000;
/// Bytes of data and partition keys a `GetRecords` answer: 10 MiB.
const ANSWER_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Records taken from the store at once, first and at most: the store copies what it gives, and a
/// record may be as large as the whole answer.
const CHUNK_FIRST: usize = 16;
const CHUNK_MAX: usize = 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record<'a> {
    sequence_number: &'a str,
    approximate_arrival_timestamp: f64,
    data: &'a str,
    partition_key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChildShard<'a> {
    shard_id: &'a str,
    parent_shards: Vec<&'a str>,
    hash_key_range: &'a HashKeyRange,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecordsAnswer<'a> {
    records: Vec<Record<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    child_shards: Option<Vec<ChildShard<'a>>>,
}

/// What the store holds from a place on, as much as one answer may carry.
pub(super) struct Page {
    pub(super) records: Vec<(String, StoredRecord)>,
    bytes: usize,
    /// When the record behind the page arrived; `None` at the tip.
    next_arrival_ms: Option<u64>,
}

impl Page {
    pub(super) fn shown(&self) -> Vec<Record<'_>> {
        let records = self.records.iter();
        records.map(|(key, stored)| record(key, stored)).collect()
    }

    /// How far behind the tip a reader is after this page: zero only at the tip, else the age of the
    /// next record.
    pub(super) fn millis_behind(&self, wall_ms: u64) -> u64 {
        let next = self.next_arrival_ms;
        next.map_or(0, |arrival_ms| wall_ms.saturating_sub(arrival_ms).max(1))
    }

    /// Where reading goes on after this page, which began at `place`.
    pub(super) fn next(&self, place: Place) -> Place {
        let Some((key, _)) = self.records.last() else {
            return place;
        };
        let sequence = after_slash(key).to_owned();
        Place {
            sequence,
            after: true,
            ..place
        }
    }
}

impl Shared {
    pub(super) async fn get_records(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: GetRecords = parsed(body)?;
        let limit = request.limit.unwrap_or(RECORDS_MAX);
        if limit == 0 || limit > RECORDS_MAX {
            let message = format!("Limit is {limit}, allowed are 1 to {RECORDS_MAX}");
            return Err(Refusal::argument(message));
        }
        let ttl_ms = u64::try_from(self.options.iterator_ttl.as_millis()).unwrap_or(u64::MAX);
        let place = Place::of(&request.shard_iterator, wall_ms(), ttl_ms)?;

        // Under one lock: a write that chose this shard before it closed is in the store, so an
        // empty page of a closed shard is its end.
        let mut books = self.books.lock().await;
        let stream = self.store.get_stream(&place.stream).await?;
        let (index, shard) = find(&stream, &place.shard)?;
        let now_ms = self.elapsed_ms();
        if self.options.limits
            && !books
                .shard(&place.stream, &place.shard, now_ms)
                .read(now_ms)
        {
            return Err(Refusal::rate(&place.stream, &place.shard));
        }
        let page = self.page(&place, index, limit).await;
        books
            .shard(&place.stream, &place.shard, now_ms)
            .answered(page.bytes as u64);
        drop(books);

        let closed = shard.sequence_number_range.ending_sequence_number.is_some();
        let ended = closed && page.records.is_empty();
        let wall_ms = wall_ms();
        let next = page.next(place);
        written(&GetRecordsAnswer {
            records: page.shown(),
            next_shard_iterator: (!ended).then(|| next.token(wall_ms)),
            millis_behind_latest: page.millis_behind(wall_ms),
            child_shards: ended.then(|| children(&stream, &shard.shard_id)),
        })
    }

    pub(super) async fn page(&self, place: &Place, index: i64, limit: usize) -> Page {
        let hex = sequence::shard_ix_to_hex(index);
        let end = sequence::shard_ix_to_hex(index + 1);
        let behind = |key: &str| format!("{key}\0");
        let mut from = format!("{hex}/{}", place.sequence);
        if place.after {
            from = behind(&from);
        }
        let mut page = Page {
            records: Vec::new(),
            bytes: 0,
            next_arrival_ms: None,
        };
        let mut chunk = CHUNK_FIRST;
        loop {
            let found = self
                .store
                .get_records_range_limited(&place.stream, &from, &end, chunk)
                .await;
            let last_chunk = found.len() < chunk;
            for (key, stored) in found {
                let bytes = stored.data.len() / 4 * 3 + stored.partition_key.len();
                let full = page.records.len() == limit
                    || (page.bytes + bytes > ANSWER_BYTES_MAX && !page.records.is_empty());
                if full {
                    let arrival = milliseconds(stored.approximate_arrival_timestamp);
                    page.next_arrival_ms = Some(arrival);
                    return page;
                }
                page.bytes += bytes;
                page.records.push((key, stored));
            }
            if last_chunk {
                return page;
            }
            if let Some((key, _)) = page.records.last() {
                from = behind(key);
            }
            chunk = (chunk * 2).min(CHUNK_MAX);
        }
    }
}

fn record<'a>(key: &'a str, stored: &'a StoredRecord) -> Record<'a> {
    Record {
        sequence_number: after_slash(key),
        approximate_arrival_timestamp: stored.approximate_arrival_timestamp,
        data: &stored.data,
        partition_key: &stored.partition_key,
    }
}

fn after_slash(key: &str) -> &str {
    key.split_once('/').map_or(key, |(_, sequence)| sequence)
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    // Rounded: 1795420800.123 s is a little less than that in binary.
    std::time::Duration::try_from_secs_f64(seconds.max(0.0)).map_or(u64::MAX, |since| {
        u64::try_from((since.as_micros() + 500) / 1000).unwrap_or(u64::MAX)
    })
}

pub(super) fn find<'a>(stream: &'a Stream, shard_id: &str) -> Result<(i64, &'a Shard), Refusal> {
    let found = stream
        .shards
        .iter()
        .enumerate()
        .find(|(_, shard)| shard.shard_id == shard_id);
    let Some((index, shard)) = found else {
        let name = &stream.stream_name;
        let message = format!("Shard {shard_id} in stream {name} does not exist");
        return Err(Refusal::new("ResourceNotFoundException", message));
    };
    Ok((i64::try_from(index).unwrap_or(i64::MAX), shard))
}

pub(super) fn children<'a>(stream: &'a Stream, parent: &str) -> Vec<ChildShard<'a>> {
    let parents = |shard: &'a Shard| {
        let both = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        both.into_iter()
            .filter_map(|id| id.as_deref())
            .collect::<Vec<_>>()
    };
    stream
        .shards
        .iter()
        .map(|shard| (shard, parents(shard)))
        .filter(|(_, parents)| parents.contains(&parent))
        .map(|(shard, parent_shards)| ChildShard {
            shard_id: &shard.shard_id,
            parent_shards,
            hash_key_range: &shard.hash_key_range,
        })
        .collect()
}
