//! Readings, records and mishaps of the naive world.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use crate::decode::DecodeError;
use crate::model::{
    DeviceId, EpochMillis, EpochNanos, Position, Reading, Record, RowKey, SequenceNumber, Value,
};

pub(super) const SHARDS: usize = 3;
pub(super) const STORES: usize = 2;
pub(super) const QUEUES: usize = 2;

/// What a reading of the naive world is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Toy {
    pub(super) row: u8,
    pub(super) value: u8,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// The store's check refuses it.
    Checked,
    /// The store rejects every request that holds it.
    Poison,
    /// A queue rejects every request that holds it.
    QueuePoison,
    /// It fits in no message.
    Large,
}

#[derive(Clone, Debug)]
pub(super) enum ToyRecord {
    Undecodable,
    Readings(Vec<Toy>),
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Put(usize, ToyRecord),
    Read(usize),
    Answer(usize),
    Wait(u64),
    Lose(usize),
    HandBack(usize),
    Split(usize),
}

pub(super) fn toys() -> impl Strategy<Value = ToyRecord> {
    let kind = prop_oneof![
        12 => Just(Kind::Plain),
        1 => Just(Kind::Checked),
        1 => Just(Kind::Poison),
        1 => Just(Kind::QueuePoison),
        1 => Just(Kind::Large),
    ];
    let toy = (0_u8..6, 0_u8..3, kind).prop_map(|(row, value, kind)| Toy { row, value, kind });
    prop_oneof![
        1 => Just(ToyRecord::Undecodable),
        8 => prop::collection::vec(toy, 0..4).prop_map(ToyRecord::Readings),
    ]
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..SHARDS, toys()).prop_map(|(shard, record)| Op::Put(shard, record)),
        6 => (0..SHARDS).prop_map(Op::Read),
        10 => (0_usize..8).prop_map(Op::Answer),
        4 => (1_u64..700).prop_map(Op::Wait),
        1 => (0..SHARDS).prop_map(Op::Lose),
        1 => (0..SHARDS).prop_map(Op::HandBack),
        1 => (0..SHARDS).prop_map(Op::Split),
    ];
    prop::collection::vec(op, 1..150)
}

/// One shard as the world has it.
#[derive(Debug, Default)]
pub(super) struct ToyShard {
    pub(super) records: Vec<ToyRecord>,
    pub(super) closed: bool,
    pub(super) ended: bool,
    /// Set while owned.
    pub(super) slot: Option<Slot>,
    pub(super) epoch: u64,
    /// Records handed on.
    pub(super) handed_on: usize,
    /// Records whose checkpoint was said.
    pub(super) checkpoint: usize,
    pub(super) permit: Option<u32>,
    pub(super) draining: bool,
}

pub(super) fn id(shard: usize) -> ShardId {
    ShardId::from(format!("shardId-{shard:012}"))
}

pub(super) fn seq(record: usize) -> SequenceNumber {
    (record + 1_000).to_string().parse().unwrap()
}

pub(super) fn place(shard: &ShardId, seq: &SequenceNumber) -> (usize, usize) {
    let shard = shard
        .as_str()
        .trim_start_matches("shardId-")
        .parse()
        .unwrap();
    let record: usize = seq.as_str().parse().unwrap();
    (shard, record - 1_000)
}

pub(super) fn value_of(prepared: &Prepared) -> u8 {
    match prepared.reading.measures[0].1 {
        Value::Int(value) => u8::try_from(value).unwrap(),
        _ => unreachable!("toys are whole numbers"),
    }
}

/// The second store tells rows apart less finely, as a store with other keys does.
fn row(store: usize, toy: Toy) -> RowKey {
    RowKey(match store {
        0 => format!("{}{:?}", toy.row, toy.kind).into_bytes(),
        _ => format!("{}{:?}", toy.row / 2, toy.kind).into_bytes(),
    })
}

pub(super) fn prepare(shard: usize, number: usize, index: usize, toy: Toy) -> Prepared {
    Prepared {
        reading: Reading {
            device: DeviceId::from("toy"),
            time: EpochNanos(i64::from(toy.row)),
            measures: vec![(Arc::from("x"), Value::Int(i64::from(toy.value)))],
            dimensions: vec![(Arc::from("kind"), Arc::from(format!("{:?}", toy.kind)))],
            shard: id(shard),
            position: Position {
                seq: seq(number),
                sub: 0,
                index: u32::try_from(index).unwrap(),
            },
            arrival: EpochMillis(0),
        },
        // What is wrong with a reading is part of its row: equal rows are refused alike.
        stores: (0..STORES)
            .map(|store| {
                let refused = store == 0 && toy.kind == Kind::Checked;
                // The second store is not meant to get every reading.
                (store == 0 || toy.row != 5).then(|| ForStore {
                    row: row(store, toy),
                    refused: refused.then(|| "no".to_owned()),
                })
            })
            .collect(),
        live: match toy.kind {
            Kind::Large => "x".repeat(1_000).into(),
            _ => "x".repeat(100).into(),
        },
        trace: None,
        expires: None,
    }
}

pub(super) fn prepared_record(shard: usize, number: usize, toy: &ToyShard) -> PreparedRecord {
    let record = Record {
        sub: 0,
        seq: seq(number),
        partition_key: None,
        arrival: EpochMillis(0),
        data: Bytes::from_static(b"toy"),
    };
    let readings = match &toy.records[number] {
        ToyRecord::Undecodable => Err(DecodeError("rubbish".to_owned())),
        ToyRecord::Readings(toys) => Ok(toys
            .iter()
            .enumerate()
            .map(|(index, toy)| Arc::new(prepare(shard, number, index, *toy)))
            .collect()),
    };
    PreparedRecord {
        record,
        sub: 0,
        readings,
        no_measures: 1,
        skipped: None,
    }
}

pub(super) fn is(prepared: &Prepared, kind: Kind) -> bool {
    *prepared.reading.dimensions[0].1 == *format!("{kind:?}")
}
