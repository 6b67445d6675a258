//! Aggregates of aws-kinesis-agg 1.2.3, made by `tests/peers/aggregates.py`: three that are kept,
//! or those that `tests/peers/check-kpl` has just made.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tidewire::decode::aggregate::{Aggregate, UserRecord};
use tidewire::model::{HashKey, HashRange, Record};

use crate::{ARRIVAL, shown};

fn aggregates() -> BTreeMap<String, Vec<u8>> {
    let text = match std::env::var_os("TIDEWIRE_AGGREGATES") {
        Some(path) => std::fs::read_to_string(path).unwrap(),
        None => include_str!("aggregates.txt").to_owned(),
    };
    let one = |line: &str| {
        let (name, base64) = line.split_once(' ').unwrap();
        (name.to_owned(), STANDARD.decode(base64).unwrap())
    };
    text.lines().map(one).collect()
}

fn user_records(data: &[u8]) -> Vec<UserRecord> {
    let record = Record {
        sub: 0,
        seq: "1".parse().unwrap(),
        partition_key: None,
        arrival: ARRIVAL,
        data: Bytes::copy_from_slice(data),
    };
    let aggregate = Aggregate::open(&record).unwrap().unwrap();
    aggregate.user_records().collect()
}

const SETTINGS: &str = "[decode]\ntime_field = \"ts\"\ntime_unit = \"ms\"\n";

#[test]
fn aggregates_of_another_implementation_decode_as_they_should() {
    let aggregates = aggregates();

    let keyed = user_records(&aggregates["keyed"]);
    let keys: Vec<_> = keyed
        .iter()
        .map(|one| one.record.partition_key.as_ref().unwrap().to_string())
        .collect();
    let expected = ["pump-0", "pump-1", "pump-2", "pump-0", "pump-1", "pump-2"];
    assert_eq!(keys, expected);
    let shown_keyed = shown(SETTINGS, &aggregates["keyed"]);
    assert_eq!(shown_keyed.problems, Vec::<String>::new());
    let subs: Vec<_> = shown_keyed
        .readings
        .iter()
        .map(|reading| (reading.position.sub, reading.device.to_string()))
        .collect();
    let expected = expected.iter().zip(0..);
    let expected: Vec<_> = expected
        .map(|(key, sub)| (sub, (*key).to_owned()))
        .collect();
    assert_eq!(subs, expected);

    let hashed = user_records(&aggregates["hashed"]);
    let keys: Vec<_> = hashed.iter().map(|one| one.hash_key).collect();
    let half = 1_u128 << 127;
    let ends = [0, half - 1, half, u128::MAX].map(HashKey);
    assert_eq!(keys, ends);
    let first_half = HashRange {
        first: HashKey(0),
        last: HashKey(half - 1),
    };
    let taken: Vec<_> = keys.iter().map(|key| first_half.takes(*key)).collect();
    assert_eq!(taken, [true, true, false, false]);

    let mixed = shown(SETTINGS, &aggregates["mixed"]);
    assert_eq!(mixed.readings.len(), 1, "one bad user record costs itself");
    assert_eq!(mixed.problems.len(), 2, "{:?}", mixed.problems);
    assert!(mixed.problems[0].starts_with("user record 1: the payload is not JSON"));
    assert_eq!(mixed.problems[1], "user record 2: the payload is empty");
}
