use proptest::prelude::*;

use super::*;
use crate::model::EpochMillis;

fn record(data: Vec<u8>) -> Record {
    Record {
        sub: 0,
        seq: "7".parse().unwrap(),
        partition_key: Some(PartitionKey::from("a")),
        arrival: EpochMillis(1_700_000_000_000),
        data: data.into(),
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn string(field: u64, bytes: &[u8]) -> Vec<u8> {
    [
        varint(field << 3 | 2),
        varint(bytes.len() as u64),
        bytes.to_vec(),
    ]
    .concat()
}

/// Puts magic and checksum around a message.
fn sealed(message: &[u8]) -> Vec<u8> {
    let checksum = Md5::digest(message);
    [&MAGIC, message, &checksum[..]].concat()
}

/// What an aggregate is made of: partition key, explicit hash key, payload.
type Part = (String, Option<u128>, Vec<u8>);

/// Written as KPL writes it: each key once, in tables before the records.
fn written(parts: &[Part]) -> Vec<u8> {
    let mut keys: Vec<&str> = Vec::new();
    let mut hash_keys: Vec<String> = Vec::new();
    let mut records = Vec::new();
    for (key, hash_key, data) in parts {
        let at = keys.iter().position(|known| known == key);
        let at = at.unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        });
        let mut one = number(1, at as u64);
        if let Some(hash_key) = hash_key {
            hash_keys.push(hash_key.to_string());
            one.extend(number(2, hash_keys.len() as u64 - 1));
        }
        one.extend(string(3, data));
        records.extend(string(3, &one));
    }
    let keys = keys.iter().flat_map(|key| string(1, key.as_bytes()));
    let hash_keys = hash_keys.iter().flat_map(|key| string(2, key.as_bytes()));
    let message: Vec<u8> = keys.chain(hash_keys).chain(records).collect();
    sealed(&message)
}

fn opened(data: Vec<u8>) -> Result<Vec<UserRecord>, String> {
    match Aggregate::open(&record(data)) {
        Ok(Some(aggregate)) => Ok(aggregate.user_records().collect()),
        Ok(None) => Err("no aggregate".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn records_have_their_own_keys_and_the_numbers_of_their_places() {
    let parts = [
        ("a".to_owned(), None, b"one".to_vec()),
        ("b".to_owned(), Some(5), b"two".to_vec()),
        ("a".to_owned(), None, b"".to_vec()),
    ];
    let records = opened(written(&parts)).unwrap();
    let subs: Vec<u64> = records.iter().map(|record| record.sub).collect();
    assert_eq!(subs, [0, 1, 2]);
    assert_eq!(records[1].record.partition_key, Some("b".into()));
    assert_eq!(records[1].hash_key, HashKey(5));
    // MD5 of `a`, as anybody's md5sum says.
    let md5_of_a = 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661;
    assert_eq!(records[0].hash_key, HashKey(md5_of_a));
    assert_eq!(records[2].record.data.len(), 0);
    assert_eq!(records[2].record.arrival, EpochMillis(1_700_000_000_000));
}

#[test]
fn what_is_no_aggregate_is_left_alone() {
    for data in [&b""[..], b"{}", b"\xf3\x89\x9a"] {
        assert!(Aggregate::open(&record(data.to_vec())).unwrap().is_none());
    }
}

#[test]
fn what_only_begins_as_one_is_refused_with_the_reason() {
    let whole = written(&[("a".to_owned(), None, b"one".to_vec())]);
    let mut bent = whole.clone();
    bent[9] ^= 1;
    let record = [number(1, 0), string(3, b"x")].concat();
    let keyed = |message: &[u8]| sealed(&[string(1, b"a"), message.to_vec()].concat());
    let cases = [
        (bent, "MD5"),
        (whole[..whole.len() - 1].to_vec(), "MD5"),
        (MAGIC.to_vec(), "4 bytes"),
        (sealed(b""), "no user record"),
        (
            sealed(&string(3, &record)),
            "key of number 0, and there are 0",
        ),
        (
            keyed(&string(3, &string(3, b"x"))),
            "user record 0 has no partition key",
        ),
        (keyed(&string(3, &number(1, 0))), "has no data"),
        (keyed(&number(3, 1)), "is no string"),
        (keyed(&varint(3 << 3 | 3)), "wire type 3"),
        (keyed(&[0x1a, 0x7f]), "ends within the field"),
        (keyed(&[0x18, 0xff]), "ends within the field"),
        (
            keyed(&[[0x18].as_slice(), &[0xff; 11]].concat()),
            "exceeds 64 bits",
        ),
        (keyed(&[0x00]), "has no number"),
        (
            sealed(&[string(1, b"\xff"), string(3, &record)].concat()),
            "not UTF-8",
        ),
    ];
    for (data, expected) in cases {
        let error = opened(data).unwrap_err();
        assert!(
            error.contains(expected),
            "`{error}` should say `{expected}`"
        );
    }
    let hashed = [number(1, 0), number(2, 0), string(3, b"x")].concat();
    let big = sealed(&[string(1, b"a"), string(2, b"1e9"), string(3, &hashed)].concat());
    assert!(opened(big).unwrap_err().contains("hash key that"));
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        parts in prop::collection::vec(
            ("[a-c]{1,3}", prop::option::of(any::<u128>()), prop::collection::vec(any::<u8>(), 0..40)),
            1..30,
        ),
    ) {
        let records = opened(written(&parts)).unwrap();
        prop_assert_eq!(records.len(), parts.len());
        for ((key, hash_key, data), read) in parts.iter().zip(records) {
            prop_assert_eq!(read.record.partition_key, Some(key.as_str().into()));
            prop_assert_eq!(&read.record.data[..], &data[..]);
            if let Some(hash_key) = hash_key {
                prop_assert_eq!(read.hash_key, HashKey(*hash_key));
            }
        }
    }

    #[test]
    fn any_message_is_read_or_refused(message in prop::collection::vec(any::<u8>(), 0..60)) {
        let data = sealed(&message);
        prop_assert_eq!(opened(data.clone()), opened(data));
    }
}
