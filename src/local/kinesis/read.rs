//! `GetRecords`, and the page of records that a subscription sends too.

use ferrokinesis::types::{HashKeyRange, Shard, Stream};
use serde::{Deserialize, Serialize};

use super::iterator::Place;
use super::log::{Kept, Log, incarnation};
use super::{Refusal, Shared, parsed, written};
use crate::local::front::wall_ms;

/// Records a `GetRecords` answer.
const RECORDS_MAX: usize = 10_000;
/// Bytes of data and partition keys a `GetRecords` answer: 10 MiB.
const ANSWER_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Records taken from the log at once, first and at most: a record may be as large as the whole
/// answer.
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

/// What is kept from a place on, as much as one answer may carry.
pub(super) struct Page {
    pub(super) records: Vec<Kept>,
    bytes: usize,
    /// When the record behind the page arrived; `None` at the tip.
    next_arrival_ms: Option<u64>,
}

impl Page {
    pub(super) fn shown(&self) -> Vec<Record<'_>> {
        self.records.iter().map(record).collect()
    }

    /// How far behind the tip a reader is after this page: zero only at the tip, else the age of the
    /// next record.
    pub(super) fn millis_behind(&self, wall_ms: u64) -> u64 {
        let next = self.next_arrival_ms;
        next.map_or(0, |arrival_ms| wall_ms.saturating_sub(arrival_ms).max(1))
    }

    /// Where reading goes on after this page, which began at `place`.
    pub(super) fn next(&self, place: Place) -> Place {
        let Some(last) = self.records.last() else {
            return place;
        };
        Place {
            sequence: last.sequence.clone(),
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
        let page = page(&books.log, &stream, index, &place, limit)?;
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
}

/// The records from a place on, as many as one answer may carry.
pub(super) fn page(
    log: &Log,
    stream: &Stream,
    shard: i64,
    place: &Place,
    limit: usize,
) -> rusqlite::Result<Page> {
    let stream = incarnation(stream);
    let mut page = Page {
        records: Vec::new(),
        bytes: 0,
        next_arrival_ms: None,
    };
    let mut from = (place.sequence.clone(), place.after);
    let mut chunk = CHUNK_FIRST;
    loop {
        let found = log.range(&stream, shard, (&from.0, from.1), chunk)?;
        let last_chunk = found.len() < chunk;
        for kept in found {
            let bytes = kept.data.len() / 4 * 3 + kept.partition_key.len();
            let full = page.records.len() == limit
                || (page.bytes + bytes > ANSWER_BYTES_MAX && !page.records.is_empty());
            if full {
                page.next_arrival_ms = Some(kept.arrival_ms);
                return Ok(page);
            }
            page.bytes += bytes;
            page.records.push(kept);
        }
        if last_chunk {
            return Ok(page);
        }
        if let Some(last) = page.records.last() {
            from = (last.sequence.clone(), true);
        }
        chunk = (chunk * 2).min(CHUNK_MAX);
    }
}

fn record(kept: &Kept) -> Record<'_> {
    Record {
        sequence_number: &kept.sequence,
        approximate_arrival_timestamp: seconds(kept.arrival_ms),
        data: &kept.data,
        partition_key: &kept.partition_key,
    }
}

/// Milliseconds as AWS's JSON writes times: seconds with a fraction.
pub(super) fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_survive_as_seconds() {
        let text = serde_json::to_string(&seconds(1_795_420_800_123)).unwrap();
        assert_eq!(text, "1795420800.123");
        assert_eq!(milliseconds(seconds(1_795_420_800_123)), 1_795_420_800_123);
    }
}
