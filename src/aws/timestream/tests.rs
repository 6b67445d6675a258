use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::model::{EpochMillis, EpochNanos, Position, Value};

/// A reading of doubles, names sorted.
pub(super) fn reading(device: &str, time: i64, measures: &[(&str, f64)]) -> Reading {
    let mut measures: Vec<_> = measures
        .iter()
        .map(|(name, value)| ((*name).into(), Value::Double(*value)))
        .collect();
    measures.sort_by(|(a, _): &(Arc<str>, Value), (b, _)| a.cmp(b));
    Reading {
        device: device.into(),
        time: EpochNanos(time),
        measures,
        dimensions: Vec::new(),
        shard: "shardId-000000000000".into(),
        position: Position {
            seq: "1".parse().unwrap(),
            sub: 0,
            index: 0,
        },
        arrival: EpochMillis(0),
    }
}

fn table() -> Timestream {
    let config = aws_sdk_timestreamwrite::Config::builder()
        .behavior_version(aws_sdk_timestreamwrite::config::BehaviorVersion::v2026_01_12())
        .build();
    let table = Table {
        database: "iot".to_owned(),
        table: "readings".to_owned(),
        measure_name: MeasureName::Auto,
        routes: Arc::default(),
        version_from_arrival: false,
    };
    Timestream::new(Client::from_conf(config), None, table)
}

#[test]
fn a_row_is_device_dimensions_time_and_measure_name() {
    let table = table();
    let one = reading("d", 1, &[("t", 1.0)]);
    assert_eq!(table.key(&one), table.key(&reading("d", 1, &[("t", 2.0)])));
    let mut dimension = one.clone();
    dimension.dimensions.push(("site".into(), "a".into()));
    for other in [
        reading("e", 1, &[("t", 1.0)]),
        reading("d", 2, &[("t", 1.0)]),
        reading("d", 1, &[("h", 1.0)]),
        dimension,
    ] {
        assert_ne!(table.key(&one), table.key(&other), "{other:?}");
    }
}

#[test]
fn a_key_cannot_be_made_equal_by_moving_text_between_its_parts() {
    let table = table();
    let mut one = reading("d", 1, &[("t", 1.0)]);
    let mut other = one.clone();
    one.dimensions = vec![("ab".into(), "c".into())];
    other.dimensions = vec![("a".into(), "bc".into())];
    assert_ne!(table.key(&one), table.key(&other));
}

#[test]
fn records_are_sorted_by_series_and_time_and_say_shared_things_once() {
    let mut batch = vec![
        reading("b", 2, &[("t", 1.0)]),
        reading("b", 1, &[("t", 1.5)]),
        reading("a", 3, &[("t", 1e300)]),
    ];
    for reading in &mut batch {
        reading.dimensions = vec![("site".into(), "x".into())];
    }
    batch[0].dimensions.push(("unit".into(), "C".into()));
    let (request, body) = built(&batch);
    assert_eq!(request.order, [2, 1, 0]);
    let common = &body["CommonAttributes"];
    let names = |record: &Json| -> Vec<String> {
        let names = dimensions(record).into_iter().map(|(name, _)| name);
        names.collect()
    };
    assert_eq!(names(common), ["site"], "the devices differ");
    assert_eq!(common["MeasureName"], "t");
    assert_eq!(names(&body["Records"][2]), ["device_id", "unit"]);
    assert_eq!(body["Records"][2]["Time"], "2");
    let huge = &body["Records"][0]["MeasureValues"][0]["Value"];
    let huge = huge.as_str().unwrap();
    assert!(
        huge.bytes().all(|byte| byte.is_ascii_digit()),
        "no exponent: {huge}"
    );
}

/// What a batch becomes: the request, and its body as a server reads it.
fn built(batch: &[Reading]) -> (request::Request, Json) {
    let request = request::build(batch, &table().table).unwrap();
    let body = serde_json::from_str(&request.body).unwrap();
    (request, body)
}

/// The dimensions of a record, or of what records share.
fn dimensions(record: &Json) -> Vec<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let all = record["Dimensions"].as_array().cloned().unwrap_or_default();
    let pair = |one: &Json| (text(&one["Name"]), text(&one["Value"]));
    all.iter().map(pair).collect()
}

#[test]
fn whatever_a_text_holds_it_reaches_the_server() {
    let mut one = reading("d \"1\"\n", 1, &[("t", 1.0)]);
    let wild = "\u{1}\\ \" \u{e9} \u{1f600} \t";
    one.dimensions = vec![(wild.into(), wild.into())];
    one.measures = vec![
        ("b".into(), Value::Bool(true)),
        ("i".into(), Value::Int(i64::MIN)),
        ("s".into(), Value::Text(wild.into())),
    ];
    let (_, body) = built(&[one]);
    let expected = serde_json::json!({
        "DatabaseName": "iot",
        "TableName": "readings",
        "CommonAttributes": {
            "MeasureValueType": "MULTI",
            "TimeUnit": "NANOSECONDS",
            "MeasureName": "b+i+s",
            "Dimensions": [
                { "Name": "device_id", "Value": "d \"1\"\n" },
                { "Name": wild, "Value": wild },
            ],
        },
        "Records": [{
            "Time": "1",
            "MeasureValues": [
                { "Name": "b", "Value": "true", "Type": "BOOLEAN" },
                { "Name": "i", "Value": "-9223372036854775808", "Type": "BIGINT" },
                { "Name": "s", "Value": wild, "Type": "VARCHAR" },
            ],
        }],
    });
    assert_eq!(body, expected);
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let dimension = (0_usize..3, 0_usize..2);
    (
        0_usize..2,
        0_i64..3,
        proptest::collection::btree_map(0_usize..3, 0_usize..2, 0..3),
        dimension,
    )
        .prop_map(|(device, time, dimensions, (measure, _))| {
            let mut made = reading(["a", "b"][device], time, &[(["h", "t", "u"][measure], 1.0)]);
            made.dimensions = dimensions
                .into_iter()
                .map(|(name, value)| (["x", "y", "z"][name].into(), ["1", "2"][value].into()))
                .collect();
            made
        })
}

proptest! {
    #[test]
    fn common_and_own_attributes_together_are_the_reading_and_never_overlap(
        batch in proptest::collection::vec(any_reading(), 1..8),
    ) {
        let (request, body) = built(&batch);
        let common = &body["CommonAttributes"];
        let records = body["Records"].as_array().unwrap();
        prop_assert_eq!(records.len(), batch.len());
        for (record, &index) in records.iter().zip(&request.order) {
            let reading = &batch[index];
            let mut merged = [dimensions(common), dimensions(record)].concat();
            merged.sort();
            let mut expected: Vec<(String, String)> = reading
                .dimensions
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect();
            expected.push(("device_id".to_owned(), reading.device.to_string()));
            expected.sort();
            prop_assert_eq!(merged, expected);
            let name = record.get("MeasureName").unwrap_or(&common["MeasureName"]);
            prop_assert_eq!(name.as_str(), Some(&*reading.measures[0].0));
        }
    }

    #[test]
    fn a_double_reads_back_as_itself(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
        let (_, body) = built(&[reading("d", 1, &[("t", value)])]);
        let text = &body["Records"][0]["MeasureValues"][0]["Value"];
        let text = text.as_str().unwrap();
        prop_assert!(!text.contains(['e', 'E']));
        prop_assert_eq!(text.parse::<f64>().unwrap(), value);
    }
}
