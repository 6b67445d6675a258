//! The shards of a fleet's stream.

use tidewire::model::{Checkpoint, Shard, ShardId};

/// As Kinesis numbers records: 56 digits.
pub(crate) fn sequence(number: u64) -> Checkpoint {
    let digits = format!("49{number:054}");
    Checkpoint::At {
        seq: digits.parse().expect("digits are a sequence number"),
        sub: 0,
    }
}

/// The shards of a stream, their hash keys evenly spread.
pub(crate) fn stream(shards: u64) -> Vec<Shard> {
    let width = u128::MAX / u128::from(shards);
    let first = |number: u64| u128::from(number) * width;
    let shard = |number: u64| Shard {
        id: ShardId::from(format!("shardId-{number:012}")),
        parent: None,
        adjacent_parent: None,
        starting_hash_key: first(number).to_string(),
        ending_hash_key: match number + 1 == shards {
            true => u128::MAX.to_string(),
            false => (first(number + 1) - 1).to_string(),
        },
        starting_seq: "1".parse().expect("a digit is a sequence number"),
        ending_seq: None,
    };
    (0..shards).map(shard).collect()
}
