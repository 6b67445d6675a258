use std::sync::Arc;

use influxdb_line_protocol::{FieldValue, parse_lines};
use proptest::prelude::*;

use super::*;
use crate::model::{DeviceId, EpochMillis, EpochNanos, Position, ShardId};

pub(in super::super) fn reading(device: &str, time: i64, measures: &[(&str, Value)]) -> Reading {
    let mut measures: Vec<_> = measures
        .iter()
        .map(|(name, value)| (Arc::from(*name), value.clone()))
        .collect();
    measures.sort_by(|(a, _): &(Arc<str>, _), (b, _)| a.cmp(b));
    Reading {
        device: DeviceId::from(device),
        time: EpochNanos(time),
        measures,
        dimensions: Vec::new(),
        shard: ShardId::from("shardId-000000000000"),
        position: Position {
            seq: "1".parse().unwrap(),
            sub: 0,
            index: 0,
        },
        arrival: EpochMillis(0),
    }
}

pub(in super::super) fn constant() -> Measurement {
    Measurement::Constant("readings".to_owned())
}

#[test]
fn a_line_says_each_type_and_escapes_each_part() {
    let mut one = reading(
        "pump 1",
        1_700_000_000_123_456_789,
        &[
            ("a,b", Value::Double(21.0)),
            ("b=c", Value::Int(-3)),
            ("c d", Value::Bool(true)),
            ("e", Value::Text("say \"hi\" \\ there\nnow".into())),
            ("f", Value::Double(1e-9)),
        ],
    );
    one.dimensions = vec![
        ("a".into(), "x=y,z".into()),
        ("site".into(), "C:\\north".into()),
    ];
    let measurement = Measurement::Constant("my, readings".to_owned());
    assert_eq!(check(&one, &measurement), Ok(()));
    assert_eq!(
        lines(&[&one], &measurement),
        concat!(
            r"my\,\ readings,a=x\=y\,z,device_id=pump\ 1,site=C:\north ",
            r"a\,b=21,b\=c=-3i,c\ d=true,",
            "e=\"say \\\"hi\\\" \\\\ there\nnow\",f=0.000000001 1700000000123456789\n"
        )
    );
}

#[test]
fn what_no_line_can_say_is_refused_with_its_reason() {
    let refused = |change: fn(&mut Reading)| {
        let mut one = reading("d", 1, &[("t", Value::Double(1.0))]);
        one.dimensions = vec![("site".into(), "north".into())];
        assert_eq!(check(&one, &constant()), Ok(()));
        change(&mut one);
        check(&one, &constant()).unwrap_err()
    };
    type Change = fn(&mut Reading);
    let cases: [(Change, &str); 14] = [
        (|r| r.device = "".into(), "the device id is empty"),
        (|r| r.device = "d\\".into(), "backslash at its end"),
        (|r| r.device = "d\n".into(), "control character"),
        (
            |r| r.dimensions[0].1 = "a\\,b".into(),
            "servers read differently",
        ),
        (
            |r| r.measures[0].0 = "a\\\\b".into(),
            "servers read differently",
        ),
        (|r| r.measures.clear(), "no measures"),
        (|r| r.measures[0].0 = "time".into(), "keeps for itself"),
        (|r| r.measures[0].0 = "site".into(), "both a dimension"),
        (|r| r.measures[0].0 = "device_id".into(), "both a dimension"),
        (|r| r.measures[0].0 = "".into(), "is empty"),
        (|r| r.measures[0].1 = Value::Double(f64::NAN), "finite"),
        (|r| r.measures[0].1 = Value::Double(f64::INFINITY), "finite"),
        (
            |r| r.measures[0].1 = Value::Text("x".repeat(65_537).into()),
            "65537 bytes",
        ),
        (
            |r| r.dimensions[0].1 = "".into(),
            "dimension `site` is empty",
        ),
    ];
    for (change, expected) in cases {
        let reason = refused(change);
        assert!(
            reason.contains(expected),
            "`{reason}` should say `{expected}`"
        );
    }
    let comment = Measurement::Constant("# x".to_owned());
    let one = reading("d", 1, &[("t", Value::Double(1.0))]);
    assert!(check(&one, &comment).unwrap_err().contains("comment"));
}

#[test]
fn a_measurement_from_a_field_needs_the_field() {
    let mut one = reading("d", 1, &[("t", Value::Double(1.0))]);
    let field = Measurement::Field("kind".to_owned());
    assert!(check(&one, &field).unwrap_err().contains("`kind`"));
    one.dimensions = vec![("kind".into(), "air".into())];
    assert!(lines(&[&one], &field).starts_with("air,device_id=d,kind=air t=1 1\n"));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Double),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        r#"["\\ ,=\n]{0,6}"#.prop_map(|text| Value::Text(text.into())),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), r#"[a-c"\\ ,=#]{1,6}"#]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        // Most names with several odd characters are refused beforehand.
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    })]

    /// InfluxData's own parser of version 3 reads what we wrote.
    #[test]
    fn a_line_reads_back_as_it_was(
        device in name(),
        dimensions in prop::collection::btree_map(name(), name(), 0..3),
        measures in prop::collection::btree_map(name(), value(), 1..4),
        measurement in name(),
        time in any::<i64>(),
    ) {
        let measures: Vec<_> = measures.into_iter().collect();
        let borrowed: Vec<_> = measures.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
        let mut one = reading(&device, time, &borrowed);
        one.dimensions = dimensions.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into())).collect();
        let measurement = Measurement::Constant(measurement);
        prop_assume!(check(&one, &measurement).is_ok());
        let text = lines(&[&one, &one], &measurement);
        let parsed: Result<Vec<_>, _> = parse_lines(&text).collect();
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Err(TestCaseError::fail(format!("{error}: {text}"))),
        };
        prop_assert_eq!(parsed.len(), 2);
        let back = &parsed[0];
        prop_assert_eq!(Some(back.series.measurement.as_str()), measurement.of(&one));
        prop_assert_eq!(back.timestamp, Some(time));
        let tags: Vec<_> = back.series.tag_set.iter().flatten()
            .map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let mut expected: Vec<_> = dimensions.into_iter().collect();
        expected.push((DEVICE_TAG.to_owned(), device));
        expected.sort();
        prop_assert_eq!(tags, expected);
        for ((name, value), (name_back, value_back)) in one.measures.iter().zip(back.field_set.iter()) {
            prop_assert_eq!(&**name, name_back.as_str());
            let same = match (value, value_back) {
                (Value::Bool(a), FieldValue::Boolean(b)) => a == b,
                (Value::Int(a), FieldValue::I64(b)) => a == b,
                (Value::Double(a), FieldValue::F64(b)) => a.to_bits() == b.to_bits(),
                (Value::Text(a), FieldValue::String(b)) => **a == **b,
                _ => false,
            };
            prop_assert!(same, "{value:?} {value_back:?}");
        }
    }
}
