//! From Kinesis's answers to what the doors speak of.

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{self, SubscribeToShardEvent};
use bytes::Bytes;

use super::unusable;
use crate::door::fault::CallFailed;
use crate::door::stream::{Error, Event, Page, ShardIterator};
use crate::model::{ChildShard, EpochMillis, Record, Shard};

pub(super) fn shard_of(operation: &'static str, shard: types::Shard) -> Result<Shard, CallFailed> {
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

pub(super) fn page(answer: GetRecordsOutput) -> Result<Page, Error> {
    const OPERATION: &str = "GetRecords";
    Ok(Page {
        records: records(OPERATION, answer.records)?,
        next: answer.next_shard_iterator.map(ShardIterator),
        behind_ms: behind_ms(answer.millis_behind_latest),
        children: children(OPERATION, answer.child_shards)?,
    })
}

/// The last event of a shard names its children, and no place to go on from: the SDK then makes the
/// text empty.
pub(super) fn event(event: SubscribeToShardEvent) -> Result<Event, Error> {
    const OPERATION: &str = "SubscribeToShard";
    let children = children(OPERATION, event.child_shards)?;
    let continuation = Some(event.continuation_sequence_number).filter(|text| !text.is_empty());
    let is_last = !children.is_empty() || continuation.is_none();
    let continuation = continuation
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| unusable(OPERATION, "the continuation is no sequence number"))?;
    Ok(Event {
        records: records(OPERATION, event.records)?,
        continuation,
        behind_ms: behind_ms(Some(event.millis_behind_latest)),
        ended: is_last.then_some(children),
    })
}

fn behind_ms(told: Option<i64>) -> u64 {
    u64::try_from(told.unwrap_or(0)).unwrap_or(0)
}

fn records(
    operation: &'static str,
    answered: Vec<types::Record>,
) -> Result<Vec<Record>, CallFailed> {
    let record = |record: types::Record| {
        let arrival = record
            .approximate_arrival_timestamp
            .and_then(nearest_millis)
            .ok_or_else(|| unusable(operation, "a record has no arrival time"))?;
        Ok(Record {
            sub: 0,
            seq: record
                .sequence_number
                .parse()
                .map_err(|_| unusable(operation, "a record has no sequence number"))?,
            // Streams that spread records by themselves leave the key out, or empty.
            partition_key: record
                .partition_key
                .filter(|key| !key.is_empty())
                .map(Into::into),
            arrival: EpochMillis(arrival),
            data: Bytes::from(record.data.into_inner()),
        })
    };
    answered.into_iter().map(record).collect()
}

fn children(
    operation: &'static str,
    answered: Option<Vec<types::ChildShard>>,
) -> Result<Vec<ChildShard>, CallFailed> {
    let child = |child: types::ChildShard| {
        let (starting_hash_key, ending_hash_key) = child
            .hash_key_range
            .map(|range| (range.starting_hash_key, range.ending_hash_key))
            .ok_or_else(|| unusable(operation, "a child shard has no range"))?;
        Ok(ChildShard {
            id: child.shard_id.into(),
            parents: child.parent_shards.into_iter().map(Into::into).collect(),
            starting_hash_key,
            ending_hash_key,
        })
    };
    answered
        .unwrap_or_default()
        .into_iter()
        .map(child)
        .collect()
}

/// An answer's time is a binary fraction of seconds, mostly a little beside the millisecond meant.
fn nearest_millis(time: DateTime) -> Option<i64> {
    const HALF_NS: i128 = 500_000;
    let millis = (time.as_nanos() + HALF_NS).div_euclid(2 * HALF_NS);
    i64::try_from(millis).ok()
}
