//! What becomes of fields, names, values and times, whatever the format.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn names(decoded: &Decoded) -> Vec<&str> {
    let measures = decoded.readings[0].measures.iter();
    measures.map(|(name, _)| &**name).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
    owned.collect()
}

#[test]
fn fields_are_selected_and_renamed_by_their_flattened_names() {
    let payload = r#"{"device_id":"a","ts":1,"env":{"t":1,"h":2},"raw":3,"x":4}"#;
    let by = |include: &[&str], exclude: &[&str]| {
        let patterns = |of: &[&str]| of.iter().map(|text| Pattern::of(text)).collect();
        Options {
            include: patterns(include),
            exclude: patterns(exclude),
            rename: map(&[("env.t", "temperature")]),
            ..Options::default()
        }
    };
    let all = decode_by(by(&[], &[]), payload).unwrap();
    assert_eq!(names(&all), ["env.h", "raw", "temperature", "x"]);
    let some = decode_by(by(&["env.*", "x"], &["env.h"]), payload).unwrap();
    assert_eq!(names(&some), ["temperature", "x"]);
    let none = decode_by(by(&["y"], &[]), payload).unwrap();
    assert_eq!((none.readings.len(), none.no_measures), (0, 1));
    let nothing = decode_by(by(&[], &[]), "[]").unwrap();
    assert_eq!((nothing.readings.len(), nothing.no_measures), (0, 1));
    let both = Options {
        rename: map(&[("env.t", "x")]),
        ..Options::default()
    };
    assert!(
        decode_by(both, payload)
            .unwrap_err()
            .contains("`x` stands twice")
    );
}

#[test]
fn dimensions_come_from_fields_constants_and_the_partition_key() {
    let options = Options {
        dimensions: vec!["floor".to_owned()],
        constants: map(&[("site", "north")]),
        partition_key_as: Some("key".to_owned()),
        rename: map(&[("floor", "level")]),
        ..Options::default()
    };
    let decoded = decode_by(
        options.clone(),
        r#"{"device_id":"a","ts":1,"floor":3,"t":1}"#,
    )
    .unwrap();
    let dimensions: Vec<(&str, &str)> = decoded.readings[0]
        .dimensions
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    assert_eq!(
        dimensions,
        [("key", "pump-9"), ("level", "3"), ("site", "north")]
    );
    let twice = Options {
        dimensions: vec!["site".to_owned()],
        ..options
    };
    let error = decode_by(twice, r#"{"device_id":"a","ts":1,"site":"x","t":1}"#).unwrap_err();
    assert!(error.contains("`site` stands twice"), "{error}");
}

#[test]
fn a_missing_time_is_refused_or_the_arrival() {
    let payload = r#"{"device_id":"a","t":1}"#;
    assert!(decode(payload).unwrap_err().contains("`ts` is missing"));
    let options = Options {
        time_missing: TimePolicy::Arrival,
        ..Options::default()
    };
    let decoded = decode_by(options, payload).unwrap();
    assert_eq!(decoded.readings[0].time, ARRIVAL);
}

#[test]
fn an_absurd_time_is_refused_or_the_arrival() {
    let bounded = |time_absurd| Options {
        time_absurd,
        time_past_max: Some(Duration::from_secs(60)),
        time_future_max: Some(Duration::from_secs(15)),
        ..Options::default()
    };
    let cases = [
        (
            "1699999939999",
            "more than 60 s before the record's arrival",
        ),
        ("1700000015001", "more than 15 s after the record's arrival"),
        ("1700000000000000", "is the time unit right?"),
        ("1e30", "is the time unit right?"),
        ("\"soon\"", "is not a number"),
    ];
    for (ts, why) in cases {
        let payload = format!(r#"{{"device_id":"a","ts":{ts},"t":1}}"#);
        let error = decode_by(bounded(TimePolicy::Reject), &payload).unwrap_err();
        assert!(error.contains(why), "{ts}: {error}");
        let decoded = decode_by(bounded(TimePolicy::Arrival), &payload).unwrap();
        assert_eq!(decoded.readings[0].time, ARRIVAL, "{ts}");
    }
    for ts in [1_699_999_940_000_i64, 1_700_000_015_000] {
        let payload = format!(r#"{{"device_id":"a","ts":{ts},"t":1}}"#);
        let decoded = decode_by(bounded(TimePolicy::Reject), &payload).unwrap();
        assert_eq!(decoded.readings[0].time.0, ts * 1_000_000);
    }
}

#[test]
fn a_declared_type_is_what_a_field_becomes() {
    let declared = [
        ("int", FieldType::Int),
        ("float", FieldType::Float),
        ("text", FieldType::Text),
        ("bool", FieldType::Bool),
    ];
    let by = || Options {
        types: declared
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind))
            .collect(),
        ..Options::default()
    };
    let value = |field: &str, written: &str| {
        let payload = format!(r#"{{"device_id":"a","ts":1,"{field}":{written}}}"#);
        decode_by(by(), &payload).map(|decoded| decoded.readings[0].measures[0].1.clone())
    };
    let text = |text: &str| Ok(Value::Text(text.into()));
    assert_eq!(
        value("int", "9007199254740993"),
        Ok(Value::Int(9_007_199_254_740_993))
    );
    assert_eq!(value("int", "\"-7\""), Ok(Value::Int(-7)));
    assert_eq!(value("int", "3.0"), Ok(Value::Int(3)));
    assert_eq!(value("float", "\"21.5\""), Ok(Value::Double(21.5)));
    assert_eq!(value("float", "3"), Ok(Value::Double(3.0)));
    assert_eq!(value("text", "21.50"), text("21.5"));
    assert_eq!(value("text", "true"), text("true"));
    assert_eq!(value("bool", "1"), Ok(Value::Bool(true)));
    assert_eq!(value("bool", "\"false\""), Ok(Value::Bool(false)));
    for (field, written, why) in [
        ("int", "3.5", "not a whole number"),
        ("int", "9223372036854775808", "not a whole number"),
        ("int", "true", "not a whole number"),
        ("float", "\"warm\"", "not a number"),
        ("float", "\"NaN\"", "not a finite number"),
        ("bool", "2", "neither true nor false"),
    ] {
        let error = value(field, written).unwrap_err();
        assert!(error.contains(why), "{field} {written}: {error}");
    }
}

#[test]
fn numbers_beyond_2_to_the_53rd_are_the_nearest_double_unless_declared() {
    let payload = r#"{"device_id":"a","ts":1,"n":9007199254740993}"#;
    let value = decode(payload).unwrap().readings[0].measures[0].1.clone();
    assert_eq!(value, Value::Double(9_007_199_254_740_992.0));
}

#[test]
fn null_is_no_measure_and_no_dimension() {
    let options = Options {
        dimensions: vec!["site".to_owned()],
        ..Options::default()
    };
    let payload = r#"{"device_id":"a","ts":1,"site":null,"x":null,"t":1}"#;
    let decoded = decode_by(options, payload).unwrap();
    assert_eq!(names(&decoded), ["t"]);
    assert_eq!(decoded.readings[0].dimensions, []);
}

#[test]
fn a_reading_has_so_many_measures_and_a_record_so_much_memory() {
    let fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!(r#""m{n}":1"#)).collect();
        format!(r#"{{"device_id":"a","ts":1,{}}}"#, fields.join(","))
    };
    assert!(decode(&fields(MEASURES_PER_READING_MAX)).is_ok());
    let error = decode(&fields(MEASURES_PER_READING_MAX + 1)).unwrap_err();
    assert!(error.contains("more than 1024 measures"), "{error}");
    // Two megabytes that would take fifty: the names alone are two kilobytes a reading.
    let wide = fields(900);
    let error = decode(&vec![wide; 900].join("\n")).unwrap_err();
    assert!(error.contains("bytes of memory"), "{error}");
}

#[test]
fn compression_is_told_by_its_magic_before_and_within_an_envelope() {
    let payload = br#"{"device_id":"a","ts":1,"t":1}"#;
    let expected = decode(std::str::from_utf8(payload).unwrap());
    let zstd = zstd::encode_all(&payload[..], 1).unwrap();
    assert_eq!(decode_bytes(Options::default(), &zstd), expected);
    let within = STANDARD.encode(&zstd);
    let base64 = Options {
        envelope: Envelope::Base64,
        ..Options::default()
    };
    assert_eq!(decode_by(base64.clone(), &within), expected);
    let around = zstd::encode_all(within.as_bytes(), 1).unwrap();
    assert_eq!(decode_bytes(base64, &around), expected);
}

#[test]
fn fields_of_an_envelope_belong_to_each_reading() {
    let options = Options {
        envelope: Envelope::Field("data".to_owned()),
        device_id: DeviceSource::Field("topic".to_owned()),
        ..Options::default()
    };
    let inner = STANDARD.encode(r#"[{"t":1},{"t":2}]"#);
    let payload = format!(r#"{{"topic":"d7","ts":5,"rssi":-60,"data":"{inner}"}}"#);
    let decoded = decode_by(options.clone(), &payload).unwrap();
    assert_eq!(decoded.readings.len(), 2);
    for reading in &decoded.readings {
        assert_eq!(reading.device.as_str(), "d7");
        assert_eq!(reading.time, EpochNanos(5_000_000));
    }
    assert_eq!(names(&decoded), ["rssi", "t"]);
    for (payload, why) in [
        (
            r#"{"topic":"d7"}"#,
            "the envelope's field `data` is missing",
        ),
        (r#"{"data":5}"#, "`data` is not text"),
        (r#"{"data":"*"}"#, "`data` is not base64"),
        ("[]", "the envelope: invalid type"),
        (
            r#"{"data":"e30="} x"#,
            "the envelope: the payload is not JSON",
        ),
    ] {
        let error = decode_by(options.clone(), payload).unwrap_err();
        assert!(error.contains(why), "{payload}: {error}");
    }
}
