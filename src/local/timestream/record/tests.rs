use serde_json::json;

use super::*;

fn sent(value: serde_json::Value) -> WireRecord {
    serde_json::from_value(value).unwrap()
}

fn good() -> serde_json::Value {
    json!({
        "Dimensions": [{"Name": "device_id", "Value": "d1"}],
        "MeasureName": "humidity+temperature",
        "MeasureValueType": "MULTI",
        "MeasureValues": [
            {"Name": "temperature", "Value": "21.5", "Type": "DOUBLE"},
            {"Name": "humidity", "Value": "40", "Type": "BIGINT"},
        ],
        "Time": "1800000000000",
    })
}

fn refused(record: serde_json::Value) -> String {
    refused_with(json!({}), record)
}

fn refused_with(common: serde_json::Value, record: serde_json::Value) -> String {
    match records(&sent(common), vec![sent(record)]) {
        Err(Refusal::Validation(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn with(field: &str, value: serde_json::Value) -> serde_json::Value {
    let mut record = good();
    record[field] = value;
    record
}

#[test]
fn common_attributes_fill_what_a_record_lacks() {
    let common = json!({
        "Dimensions": [{"Name": "site", "Value": "north"}],
        "MeasureName": "temperature", "MeasureValueType": "DOUBLE",
        "Time": "1800000000", "TimeUnit": "SECONDS", "Version": 7,
    });
    let own = json!({
        "Dimensions": [{"Name": "device_id", "Value": "d1"}],
        "MeasureValue": "21.5", "Version": 8,
    });
    let merged = records(&sent(common), vec![sent(own)]).unwrap();
    assert_eq!(
        merged,
        vec![Record {
            dimensions: vec![
                ("device_id".to_owned(), "d1".to_owned()),
                ("site".to_owned(), "north".to_owned()),
            ],
            time_ns: 1_800_000_000_000_000_000,
            measure_name: "temperature".to_owned(),
            content: Content::Scalar(Value::Double(21.5)),
            version: 8,
        }]
    );
}

#[test]
fn a_dimension_in_both_places_costs_the_request() {
    let common = json!({ "Dimensions": [{"Name": "device_id", "Value": "d1"}] });
    assert!(refused_with(common, good()).contains("\"device_id\" is given twice"));
}

#[test]
fn a_request_has_1_to_100_records() {
    let hundred = vec![sent(good()); 100];
    assert_eq!(records(&WireRecord::default(), hundred).unwrap().len(), 100);
    for count in [0, 101] {
        let refused = records(&WireRecord::default(), vec![sent(good()); count]);
        assert!(matches!(refused, Err(Refusal::Validation(_))), "{count}");
    }
}

#[test]
fn reserved_names_cost_the_request() {
    for name in [
        "time",
        "measure_value",
        "ts_x",
        "measure_name2",
        "a:b",
        "",
        &"n".repeat(61),
    ] {
        let dimensions = json!([{"Name": name, "Value": "x"}]);
        let why = refused(with("Dimensions", dimensions));
        assert!(why.contains("dimension name"), "{name}: {why}");
    }
    for name in ["time", "ts_x", &"n".repeat(257)] {
        let measures = json!([{"Name": name, "Value": "1", "Type": "DOUBLE"}]);
        let why = refused(with("MeasureValues", measures));
        assert!(why.contains("measure name"), "{name}: {why}");
    }
}

#[test]
fn values_must_be_what_their_type_says() {
    let cases = [
        ("DOUBLE", "NaN"),
        ("DOUBLE", "inf"),
        ("DOUBLE", "1e999"),
        ("DOUBLE", "warm"),
        ("BIGINT", "1.5"),
        ("BIGINT", "9223372036854775808"),
        ("BOOLEAN", "yes"),
        ("TIMESTAMP", "now"),
        ("VARCHAR", ""),
        ("VARCHAR", &"v".repeat(2049)),
        ("MULTI", "1"),
    ];
    for (kind, value) in cases {
        let measures = json!([{"Name": "m", "Value": value, "Type": kind}]);
        refused(with("MeasureValues", measures));
    }
    let measures = json!([{"Name": "m", "Value": "1800000000000", "Type": "TIMESTAMP"}]);
    let taken = records(
        &WireRecord::default(),
        vec![sent(with("MeasureValues", measures))],
    );
    let timestamp = Value::Timestamp(1_800_000_000_000_000_000);
    assert_eq!(
        taken.unwrap()[0].content,
        Content::Multi(vec![("m".to_owned(), timestamp)])
    );
}

#[test]
fn a_timestamp_stands_only_in_a_multi_record() {
    let record = json!({
        "Dimensions": [{"Name": "d", "Value": "x"}], "MeasureName": "m", "Time": "1",
        "MeasureValue": "1", "MeasureValueType": "TIMESTAMP",
    });
    assert!(refused(record).contains("only for measures of a MULTI record"));
}

#[test]
fn limits_of_number_and_size_cost_the_request() {
    let many = |count: usize| -> serde_json::Value {
        (0..count)
            .map(|n| json!({"Name": format!("m{n}"), "Value": "1", "Type": "BIGINT"}))
            .collect()
    };
    assert!(refused(with("MeasureValues", many(257))).contains("1 to 256 measures"));
    let dimensions: serde_json::Value = (0..129)
        .map(|n| json!({"Name": format!("d{n}"), "Value": "x"}))
        .collect();
    assert!(refused(with("Dimensions", dimensions)).contains("128 dimensions"));
    let long = json!([{"Name": "d", "Value": "x".repeat(2048)}]);
    assert!(refused(with("Dimensions", long)).contains("dimensions take 2049 bytes"));
    let large = json!([{"Name": "m", "Value": "v".repeat(2048), "Type": "VARCHAR"}]);
    assert!(refused(with("MeasureValues", large)).contains("a record takes"));
    assert!(refused(with("Version", json!(0))).contains("1 or higher"));
    assert!(refused(with("Dimensions", json!([{"Name": "d", "Value": ""}]))).contains("no value"));
    assert!(refused(with("Time", json!("noon"))).contains("no time"));
}

#[test]
fn one_name_for_two_things_costs_the_request() {
    let both = json!([{"Name": "device_id", "Value": "1", "Type": "DOUBLE"}]);
    assert!(refused(with("MeasureValues", both)).contains("a dimension and a measure"));
    let twice = json!([
        {"Name": "m", "Value": "1", "Type": "DOUBLE"},
        {"Name": "m", "Value": "2", "Type": "DOUBLE"},
    ]);
    assert!(refused(with("MeasureValues", twice)).contains("given twice"));
}
