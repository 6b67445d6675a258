use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::{EpochMillis, EpochNanos, PartitionKey, Value};

mod in_cbor;
mod line;
mod senml;
mod shapes;

/// When the records of these tests arrived.
const ARRIVAL: EpochNanos = EpochNanos(1_700_000_000_000_000_000);

fn record(payload: &[u8]) -> Record {
    Record {
        sub: 0,
        seq: "49590338271490256608559692538361571095921575989136588898"
            .parse()
            .unwrap(),
        partition_key: Some(PartitionKey::from("pump-9")),
        arrival: EpochMillis(1_700_000_000_000),
        data: Bytes::copy_from_slice(payload),
    }
}

fn decode_by(options: Options, payload: &str) -> Result<Decoded, String> {
    decode_bytes(options, payload.as_bytes())
}

fn decode_bytes(options: Options, payload: &[u8]) -> Result<Decoded, String> {
    Decoder::new(Arc::new(options))
        .decode(&ShardId::from("shardId-000000000000"), &record(payload), 0)
        .map_err(|error| error.to_string())
}

fn decode(payload: &str) -> Result<Decoded, String> {
    decode_by(Options::default(), payload)
}

fn one(payload: &str) -> Reading {
    let mut decoded = decode(payload).unwrap();
    assert_eq!(decoded.readings.len(), 1, "{payload}");
    decoded.readings.remove(0)
}

fn named(reading: &Reading) -> Vec<(&str, Value)> {
    let measures = reading.measures.iter();
    measures
        .map(|(name, value)| (&**name, value.clone()))
        .collect()
}

#[test]
fn a_flat_object_is_one_reading_with_sorted_measures() {
    let reading =
        one(r#"{"device_id":"pump-1","ts":1372896000000,"t":21.5,"ok":true,"a":3,"s":"on"}"#);
    assert_eq!(reading.device.as_str(), "pump-1");
    assert_eq!(reading.time, EpochNanos(1_372_896_000_000_000_000));
    assert_eq!(
        named(&reading),
        [
            ("a", Value::Double(3.0)),
            ("ok", Value::Bool(true)),
            ("s", Value::Text(Arc::from("on"))),
            ("t", Value::Double(21.5)),
        ]
    );
}

#[test]
fn nested_fields_are_flattened_and_nulls_left_out() {
    let reading =
        one(r#"{"device_id":7,"ts":1,"env":{"t":1,"deep":{"x":2}},"axes":[4,5],"gone":null}"#);
    assert_eq!(reading.device.as_str(), "7");
    let names: Vec<_> = named(&reading).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["axes.0", "axes.1", "env.deep.x", "env.t"]);
}

#[test]
fn arrays_and_lines_of_objects_are_numbered_readings() {
    let payloads = [
        r#"[{"device_id":"a","ts":1,"x":1},{"device_id":"b","ts":2,"x":2}]"#,
        "{\"device_id\":\"a\",\"ts\":1,\"x\":1}\n{\"device_id\":\"b\",\"ts\":2,\"x\":2}\n",
    ];
    for payload in payloads {
        let readings = decode(payload).unwrap().readings;
        let indices: Vec<_> = readings.iter().map(|r| r.position.index).collect();
        assert_eq!(indices, [0, 1], "{payload}");
    }
}

#[test]
fn an_object_without_measures_is_skipped_by_name() {
    let decoded =
        decode(r#"[{"device_id":"a","ts":1},{"device_id":"a","ts":1,"x":null}]"#).unwrap();
    assert_eq!((decoded.readings.len(), decoded.no_measures), (0, 2));
}

#[test]
fn id_and_time_come_from_where_the_options_say() {
    let options = Options {
        device_id: DeviceSource::PartitionKey,
        time: TimeSource::Arrival,
        dimensions: vec!["site".to_owned()],
        types: BTreeMap::from([
            ("n".to_owned(), FieldType::Int),
            ("open".to_owned(), FieldType::Text),
        ]),
        separator: "_".to_owned(),
        ..Options::default()
    };
    let reading = decode_by(
        options,
        r#"{"site":"north","n":9007199254740993,"a":{"b":1},"open":1}"#,
    )
    .unwrap()
    .readings
    .remove(0);
    assert_eq!(reading.device.as_str(), "pump-9");
    assert_eq!(reading.time, EpochNanos(1_700_000_000_000_000_000));
    assert_eq!(&*reading.dimensions[0].1, "north");
    assert_eq!(
        named(&reading),
        [
            ("a_b", Value::Double(1.0)),
            ("n", Value::Int(9_007_199_254_740_993)),
            ("open", Value::Text(Arc::from("1"))),
        ]
    );
}

#[test]
fn a_nested_time_field_is_found_and_stays_exact() {
    let options = Options {
        time: TimeSource::Field {
            name: "meta.at".to_owned(),
            unit: TimeUnit::Seconds,
        },
        ..Options::default()
    };
    let decoded = decode_by(
        options,
        r#"{"device_id":"a","meta":{"at": 1372896000.000000001 },"x":1}"#,
    );
    assert_eq!(
        decoded.unwrap().readings[0].time,
        EpochNanos(1_372_896_000_000_000_001)
    );
}

#[test]
fn every_refusal_is_one_clear_sentence() {
    let cases = [
        ("", "the payload is empty"),
        ("{\"a\":", "the payload is not JSON"),
        ("{} x", "the device id field `device_id` is missing"),
        ("3", "expected an object or an array of objects"),
        ("[[]]", "expected an object"),
        (
            r#"{"ts":1,"x":1}"#,
            "the device id field `device_id` is missing",
        ),
        (
            r#"{"device_id":"","ts":1,"x":1}"#,
            "the device id field `device_id` is empty",
        ),
        (
            r#"{"device_id":"a","x":1}"#,
            "the time field `ts` is missing",
        ),
        (
            r#"{"device_id":"a","ts":null,"x":1}"#,
            "the time field `ts` is missing",
        ),
        (r#"{"device_id":"a","ts":"soon","x":1}"#, "is not a number"),
        (
            r#"{"device_id":"a","ts":1e30,"x":1}"#,
            "is the time unit right?",
        ),
        (
            r#"{"device_id":"a","ts":1,"x":1,"x":2}"#,
            "the field `x` stands twice",
        ),
        (
            r#"{"device_id":"a","ts":1,"ts":1,"x":2}"#,
            "the field `ts` stands twice",
        ),
        (
            r#"{"device_id":"a","ts":1,"a.b":1,"a":{"b":1}}"#,
            "the field `a.b` stands twice",
        ),
        (
            r#"{"device_id":"a","ts":1,"x":1e999}"#,
            "number out of range",
        ),
        (
            r#"{"device_id":"a","ts":1,"x":NaN}"#,
            "the payload is not JSON",
        ),
    ];
    for (payload, expected) in cases {
        let error = decode(payload).unwrap_err();
        assert!(error.contains(expected), "{payload}: {error}");
        assert!(!error.contains('\n'), "{payload}: {error}");
    }
}

#[test]
fn one_bad_object_makes_the_whole_record_one_error() {
    assert!(decode(r#"[{"device_id":"a","ts":1,"x":1},{"device_id":"a"}]"#).is_err());
}

#[test]
fn a_record_cannot_become_boundless_readings() {
    let object = r#"{"device_id":"a","ts":1,"x":1}"#;
    let payload = format!("[{}]", vec![object; READINGS_PER_RECORD_MAX + 1].join(","));
    assert!(decode(&payload).unwrap_err().contains("more than"));
}

#[test]
fn names_written_out_cannot_become_boundless() {
    let below = |name: usize, count: usize| {
        let (name, below) = ("n".repeat(name), vec!["1"; count].join(","));
        format!(r#"{{"device_id":"a","ts":1,"{name}":[{below}]}}"#)
    };
    // 300 KB that would be 10 GB.
    let error = decode(&below(100_000, 100_000)).unwrap_err();
    assert!(error.contains("nested names"), "{error}");
    let nulls = below(100_000, 100_000).replace('1', "null");
    assert!(decode(&nulls).unwrap_err().contains("nested names"));
    assert_eq!(one(&below(20, 500)).measures.len(), 500);
    // What was decoded before changes nothing.
    let mut decoder = Decoder::new(Arc::new(Options::default()));
    let shard = ShardId::from("shardId-000000000000");
    for _ in 0..100 {
        decoder
            .decode(&shard, &record(below(20, 500).as_bytes()), 0)
            .unwrap();
    }
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic_and_each_decodes_alike_twice(payload in "\\PC{0,60}") {
        prop_assert_eq!(decode(&payload), decode(&payload));
    }

    #[test]
    fn any_json_makes_it_answer(
        name in "[a-z\"\\\\\u{fffe}]{0,4}", number in any::<f64>(), text in "\\PC{0,8}",
    ) {
        let payload = serde_json::json!({"device_id": "a", "ts": 1, &name: number, "b": {"c": text}});
        let decoded = decode(&payload.to_string());
        prop_assert!(decoded.is_ok() || name == "ts" || name == "device_id", "{decoded:?}");
    }
}
