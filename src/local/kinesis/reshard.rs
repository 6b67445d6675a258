//! `SplitShard`, `MergeShards` and `UpdateShardCount`, done at once.
//!
//! ferrokinesis reshards in the background, where a write can meet a shard whose sequence numbers
//! are not counted yet, and its `UpdateShardCount` makes children without parents: a consumer could
//! then keep no order across it. Pure, but for the two handlers at the end.

use std::collections::BTreeMap;

use ferrokinesis::sequence::{self, SeqObj};
use ferrokinesis::types::{HashKeyRange, SequenceNumberRange, Shard, Stream, StreamStatus};
use serde::Deserialize;

use super::{Load, Refusal, Shared, parsed, written};
use crate::local::front::wall_ms;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reshard {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
    target_shard_count: Option<usize>,
}

fn open(shard: &Shard) -> bool {
    shard.sequence_number_range.ending_sequence_number.is_none()
}

fn place(create_ms: u64, index: usize, record: Option<u64>, at_ms: Option<u64>) -> String {
    sequence::stringify_sequence(&SeqObj {
        shard_create_time: create_ms,
        seq_ix: record,
        byte1: None,
        seq_time: at_ms,
        seq_rand: None,
        shard_ix: i64::try_from(index).unwrap_or(i64::MAX),
        version: 2,
    })
}

/// The open shards in the order of their ranges, with the bytes that `lately` has for each.
pub(super) fn loads(stream: &Stream, lately: &BTreeMap<i64, u64>) -> Vec<Load> {
    let shards = (0_i64..).zip(&stream.shards);
    let mut loads: Vec<Load> = shards
        .filter(|(_, shard)| open(shard))
        .map(|(index, shard)| Load {
            shard_id: shard.shard_id.clone(),
            first: shard.hash_key_range.start_u128(),
            last: shard.hash_key_range.end_u128(),
            bytes: lately.get(&index).copied().unwrap_or(0),
        })
        .collect();
    loads.sort_by_key(|load| load.first);
    loads
}

/// Closes a shard behind every sequence number it can have given.
fn close(stream: &mut Stream, index: usize, now_ms: u64) {
    let range = &mut stream.shards[index].sequence_number_range;
    let start = sequence::parse_sequence(&range.starting_sequence_number);
    let create_ms = start.map_or(0, |start| start.shard_create_time);
    range.ending_sequence_number = Some(place(
        create_ms,
        index,
        Some(sequence::MAX_SEQ_IX),
        Some(now_ms),
    ));
}

fn add(stream: &mut Stream, parents: [Option<usize>; 2], start: u128, end: u128, now_ms: u64) {
    let index = stream.shards.len();
    let id = |index: usize| stream.shards[index].shard_id.clone();
    let [parent, adjacent] = parents.map(|parent| parent.map(id));
    let shard = Shard {
        shard_id: sequence::shard_id_name(i64::try_from(index).unwrap_or(i64::MAX)),
        hash_key_range: HashKeyRange::new(start.to_string(), end.to_string()),
        sequence_number_range: SequenceNumberRange {
            // Sequence numbers hold whole seconds, and a child's are above its parents'.
            starting_sequence_number: place(now_ms + 1000, index, None, None),
            ending_sequence_number: None,
        },
        parent_shard_id: parent,
        adjacent_parent_shard_id: adjacent,
    };
    stream.shards.push(shard);
}

/// Splits an open shard so that its upper child starts at `at`.
fn split(stream: &mut Stream, index: usize, at: u128, now_ms: u64) {
    let range = &stream.shards[index].hash_key_range;
    let (start, end) = (range.start_u128(), range.end_u128());
    close(stream, index, now_ms);
    add(stream, [Some(index), None], start, at - 1, now_ms);
    add(stream, [Some(index), None], at, end, now_ms);
}

/// Merges two open shards, of which the first ends where the second starts.
fn merge(stream: &mut Stream, first: usize, second: usize, named: [usize; 2], now_ms: u64) {
    let start = stream.shards[first].hash_key_range.start_u128();
    let end = stream.shards[second].hash_key_range.end_u128();
    close(stream, first, now_ms);
    close(stream, second, now_ms);
    add(stream, named.map(Some), start, end, now_ms);
}

/// Splits and merges until `target` shards of equal ranges are open, as AWS does: on the way some
/// shards open and close again.
fn resize(stream: &mut Stream, target: usize, now_ms: u64) {
    let count = target as u128;
    // 2^128 / target, rounded down; one shard has no inner bounds.
    let width = (u128::MAX - (count - 1)) / count;
    let bounds: Vec<u128> = (1..count).map(|n| n * (width + 1)).collect();
    for bound in &bounds {
        let holds = |shard: &Shard| {
            let range = &shard.hash_key_range;
            open(shard) && range.start_u128() < *bound && *bound <= range.end_u128()
        };
        if let Some(index) = stream.shards.iter().position(holds) {
            split(stream, index, *bound, now_ms);
        }
    }
    while let Some((first, second)) = superfluous(stream, &bounds) {
        merge(stream, first, second, [first, second], now_ms);
    }
}

/// Two neighbours among the open shards whose common bound is none of `bounds`.
fn superfluous(stream: &Stream, bounds: &[u128]) -> Option<(usize, usize)> {
    let mut inside: Vec<(u128, usize)> = (stream.shards.iter().enumerate())
        .filter(|(_, shard)| open(shard))
        .map(|(index, shard)| (shard.hash_key_range.start_u128(), index))
        .collect();
    inside.sort_unstable();
    let pairs = inside.windows(2);
    let mut found = pairs.filter(|pair| bounds.binary_search(&pair[1].0).is_err());
    found.next().map(|pair| (pair[0].1, pair[1].1))
}

fn find_open(stream: &Stream, id: Option<&str>, field: &str) -> Result<usize, Refusal> {
    let id = id.ok_or_else(|| Refusal::validation(format!("{field} is missing")))?;
    let name = &stream.stream_name;
    let Some(index) = stream.shards.iter().position(|shard| shard.shard_id == id) else {
        let message = format!("Could not find shard {id} in stream {name}.");
        return Err(Refusal::new("ResourceNotFoundException", message));
    };
    if open(&stream.shards[index]) {
        return Ok(index);
    }
    Err(Refusal::argument(format!(
        "Shard {id} in stream {name} is closed."
    )))
}

fn asked(
    stream: &mut Stream,
    operation: &str,
    request: &Reshard,
    now_ms: u64,
) -> Result<(), Refusal> {
    if stream.stream_status != StreamStatus::Active {
        let message = format!("Stream {} is not ACTIVE.", stream.stream_name);
        return Err(Refusal::new("ResourceInUseException", message));
    }
    match operation {
        "SplitShard" => {
            let index = find_open(stream, request.shard_to_split.as_deref(), "ShardToSplit")?;
            let range = &stream.shards[index].hash_key_range;
            let at = request
                .new_starting_hash_key
                .as_deref()
                .and_then(|key| key.parse().ok());
            let inside = |at: &u128| range.start_u128() < *at && *at <= range.end_u128();
            let at = at.filter(inside).ok_or_else(|| {
                Refusal::argument("NewStartingHashKey does not lie inside the shard's range.")
            })?;
            split(stream, index, at, now_ms);
        }
        "MergeShards" => {
            let one = find_open(stream, request.shard_to_merge.as_deref(), "ShardToMerge")?;
            let adjacent = request.adjacent_shard_to_merge.as_deref();
            let other = find_open(stream, adjacent, "AdjacentShardToMerge")?;
            let (first, second) = {
                let start = |index: usize| stream.shards[index].hash_key_range.start_u128();
                if start(one) <= start(other) {
                    (one, other)
                } else {
                    (other, one)
                }
            };
            let range = |index: usize| &stream.shards[index].hash_key_range;
            if range(first).end_u128().checked_add(1) != Some(range(second).start_u128()) {
                return Err(Refusal::argument("The two shards are not adjacent."));
            }
            merge(stream, first, second, [one, other], now_ms);
        }
        _ => {
            let target = request.target_shard_count.unwrap_or_default();
            let now_open = stream.shards.iter().filter(|shard| open(shard)).count();
            if target == 0 || target > now_open * 2 || target * 2 < now_open {
                return Err(Refusal::argument(format!(
                    "TargetShardCount is {target}; from {now_open} it can be half to double."
                )));
            }
            resize(stream, target, now_ms);
        }
    }
    Ok(())
}

impl Shared {
    pub(super) async fn reshard(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: Reshard = parsed(body)?;
        let name = self.stream_name(
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        )?;
        let _books = self.books.lock().await;
        let mut next = self.store.get_stream(&name).await?;
        let before = next.shards.iter().filter(|shard| open(shard)).count();
        asked(&mut next, operation, &request, wall_ms())?;
        let after = next.shards.iter().filter(|shard| open(shard)).count();
        let all = self.store.sum_open_shards().await as usize;
        if after > before && all + after - before > self.options.shards_max as usize {
            let message = format!(
                "This server holds {} shards at most.",
                self.options.shards_max
            );
            return Err(Refusal::new("LimitExceededException", message));
        }
        let answer = serde_json::json!({
            "StreamName": name,
            "StreamARN": next.stream_arn,
            "CurrentShardCount": before,
            "TargetShardCount": after,
        });
        self.store
            .update_stream(&name, |stream| {
                *stream = next;
                Ok(())
            })
            .await?;
        self.written.notify_waiters();
        let silent = operation != "UpdateShardCount";
        if silent {
            Ok(Vec::new())
        } else {
            written(&answer)
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrokinesis::types::{EpochSeconds, StreamBuilder};

    use super::*;

    fn stream(shards: usize) -> Stream {
        let (name, arn) = ("s".to_owned(), "arn".to_owned());
        let active = StreamStatus::Active;
        let mut stream =
            StreamBuilder::new(name, arn, active, EpochSeconds(0.0), Vec::new()).build();
        add(&mut stream, [None, None], 0, u128::MAX, 0);
        for step in 1..=shards {
            resize(&mut stream, step, 1_000 * step as u64);
        }
        stream
    }

    /// The open shards' ranges by their start.
    fn ranges(stream: &Stream) -> Vec<(u128, u128)> {
        let open = stream.shards.iter().filter(|shard| open(shard));
        let mut ranges: Vec<_> = open
            .map(|shard| {
                (
                    shard.hash_key_range.start_u128(),
                    shard.hash_key_range.end_u128(),
                )
            })
            .collect();
        ranges.sort_unstable();
        ranges
    }

    #[test]
    fn any_count_of_shards_becomes_any_other_without_a_gap_or_an_orphan() {
        for from in 1..=9_usize {
            for to in from.div_ceil(2)..=from * 2 {
                let mut stream = stream(from);
                let born = stream.shards.len();
                resize(&mut stream, to, 60_000);
                let ranges = ranges(&stream);
                assert_eq!(ranges.len(), to, "{from} to {to}");
                assert_eq!((ranges[0].0, ranges[to - 1].1), (0, u128::MAX));
                assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
                let sizes = ranges.iter().map(|(start, end)| end - start);
                let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
                assert!(
                    most - least <= to as u128,
                    "{from} to {to}: ranges are equal"
                );
                assert!(
                    stream.shards[born..]
                        .iter()
                        .all(|shard| shard.parent_shard_id.is_some())
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_resharded_is_refused() {
        let mut stream = stream(4);
        let mut ask = |operation: &str, fields: serde_json::Value| {
            let request: Reshard = serde_json::from_value(fields).unwrap();
            asked(&mut stream, operation, &request, 0).unwrap_err().code
        };
        let closed = sequence::shard_id_name(0);
        let last = sequence::shard_id_name(99);
        let key = "170141183460469231731687303715884105728";
        let code = ask("SplitShard", serde_json::json!({ "ShardToSplit": last }));
        assert_eq!(code, "ResourceNotFoundException");
        let fields = serde_json::json!({ "ShardToSplit": closed, "NewStartingHashKey": key });
        assert_eq!(ask("SplitShard", fields), "InvalidArgumentException");
        let code = ask(
            "UpdateShardCount",
            serde_json::json!({ "TargetShardCount": 9 }),
        );
        assert_eq!(code, "InvalidArgumentException");
    }
}
