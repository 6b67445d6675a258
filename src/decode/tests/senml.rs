//! SenML: the examples of RFC 8428, sections 5 and 6, and the rules of section 4.

use ciborium::cbor;

use super::*;

const DEVICE: &str = "urn:dev:ow:10e2073a01080063";

fn options() -> Options {
    Options {
        format: Format::SenMl,
        device_id: DeviceSource::Name,
        time: TimeSource::Own(TimeUnit::Seconds),
        ..Options::default()
    }
}

fn pack(payload: &str) -> Result<Vec<Reading>, String> {
    decode_by(options(), payload).map(|decoded| decoded.readings)
}

/// Device, seconds since some instant, measures.
type Said = (String, f64, Vec<(String, Value)>);

fn said(readings: &[Reading], since: EpochNanos) -> Vec<Said> {
    let said = readings.iter().map(|reading| {
        #[expect(clippy::cast_precision_loss, reason = "to be compared with few digits")]
        let seconds = (reading.time.0 - since.0) as f64 / 1e9;
        let measures = named(reading).into_iter();
        let measures = measures.map(|(name, value)| (name.to_owned(), value));
        (reading.device.to_string(), seconds, measures.collect())
    });
    said.collect()
}

fn doubles(device: &str, at: f64, measures: &[(&str, f64)]) -> Said {
    let measures = measures.iter();
    let measures = measures.map(|(name, value)| ((*name).to_owned(), Value::Double(*value)));
    (device.to_owned(), at, measures.collect())
}

#[test]
fn a_single_data_point_is_of_now() {
    let readings = pack(r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#).unwrap();
    assert_eq!(
        said(&readings, ARRIVAL),
        [doubles(DEVICE, 0.0, &[("Cel", 23.1)])]
    );
}

#[test]
fn multiple_data_points_of_one_time_are_one_reading() {
    let readings = pack(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
            {"n":"current","u":"A","v":1.2}]"#,
    )
    .unwrap();
    let expected = doubles(DEVICE, 0.0, &[("current", 1.2), ("voltage", 120.1)]);
    assert_eq!(said(&readings, ARRIVAL), [expected]);
}

#[test]
fn times_are_counted_from_the_base_time() {
    let readings = pack(
        r#"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,
             "n":"voltage","u":"V","v":120.1},
            {"n":"current","t":-5,"v":1.2},
            {"n":"current","t":-4,"v":1.3},
            {"n":"current","t":-3,"v":1.4},
            {"n":"current","t":-2,"v":1.5},
            {"n":"current","t":-1,"v":1.6},
            {"n":"current","v":1.7}]"#,
    )
    .unwrap();
    // To the nanosecond.
    assert_eq!(readings[0].time, EpochNanos(1_276_020_076_001_000_000));
    let device = "urn:dev:ow:10e2073a0108006";
    let expected = [
        doubles(device, 0.0, &[("voltage", 120.1)]),
        doubles(device, -5.0, &[("current", 1.2)]),
        doubles(device, -4.0, &[("current", 1.3)]),
        doubles(device, -3.0, &[("current", 1.4)]),
        doubles(device, -2.0, &[("current", 1.5)]),
        doubles(device, -1.0, &[("current", 1.6)]),
        doubles(device, 0.0, &[("current", 1.7)]),
    ];
    assert_eq!(said(&readings, readings[0].time), expected);
}

#[test]
fn measures_without_names_are_called_by_their_units_and_grouped_by_time() {
    let multiple = r#"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
        {"u":"lon","v":24.30621},
        {"u":"lat","v":60.07965},
        {"t":60,"v":20.3},
        {"u":"lon","t":60,"v":24.30622},
        {"u":"lat","t":60,"v":60.07965},
        {"t":120,"v":20.7},
        {"u":"lon","t":120,"v":24.30623},
        {"u":"lat","t":120,"v":60.07966},
        {"u":"%EL","t":150,"v":98},
        {"t":180,"v":21.2},
        {"u":"lon","t":180,"v":24.30628},
        {"u":"lat","t":180,"v":60.07967}]"#;
    let resolved = r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067464e+09,"v":20},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067464e+09,"v":24.30621},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067464e+09,"v":60.07965},
        {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067524e+09,"v":20.3},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067524e+09,"v":24.30622},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067524e+09,"v":60.07965},
        {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067584e+09,"v":20.7},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067584e+09,"v":24.30623},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067584e+09,"v":60.07966},
        {"n":"urn:dev:ow:10e2073a01080063","u":"%EL","t":1.320067614e+09,"v":98},
        {"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1.320067644e+09,"v":21.2},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1.320067644e+09,"v":24.30628},
        {"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1.320067644e+09,"v":60.07967}]"#;
    let readings = pack(multiple).unwrap();
    let since = EpochNanos(1_320_067_464_000_000_000);
    let expected = [
        doubles(
            DEVICE,
            0.0,
            &[("%RH", 20.0), ("lat", 60.07965), ("lon", 24.30621)],
        ),
        doubles(
            DEVICE,
            60.0,
            &[("%RH", 20.3), ("lat", 60.07965), ("lon", 24.30622)],
        ),
        doubles(
            DEVICE,
            120.0,
            &[("%RH", 20.7), ("lat", 60.07966), ("lon", 24.30623)],
        ),
        doubles(DEVICE, 150.0, &[("%EL", 98.0)]),
        doubles(
            DEVICE,
            180.0,
            &[("%RH", 21.2), ("lat", 60.07967), ("lon", 24.30628)],
        ),
    ];
    assert_eq!(said(&readings, since), expected);
    assert_eq!(
        pack(resolved).unwrap(),
        readings,
        "5.1.4: the same, resolved"
    );
}

#[test]
fn values_are_of_several_types() {
    let readings = pack(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
            {"n":"label","vs":"Machine Room"},
            {"n":"open","vb":false},
            {"n":"nfc-reader","vd":"aGkgCg"}]"#,
    )
    .unwrap();
    assert_eq!(
        named(&readings[0]),
        [
            ("label", Value::Text("Machine Room".into())),
            ("nfc-reader", Value::Text("aGkgCg".into())),
            ("open", Value::Bool(false)),
            ("temp", Value::Double(23.1)),
        ]
    );
}

#[test]
fn a_collection_names_several_devices() {
    let readings = pack(
        r#"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
            {"n":"humidity","u":"%RH","v":30},
            {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
            {"n":"humidity","u":"%RH","v":67}]"#,
    )
    .unwrap();
    let since = EpochNanos(1_320_078_429_000_000_000);
    let expected = [
        doubles(
            "2001:db8::2",
            0.0,
            &[("humidity", 30.0), ("temperature", 25.2)],
        ),
        doubles(
            "2001:db8::1",
            0.0,
            &[("humidity", 67.0), ("temperature", 12.3)],
        ),
    ];
    assert_eq!(said(&readings, since), expected);
}

#[test]
fn base_values_alone_are_no_measurement_and_devices_need_no_base_name() {
    let readings = pack(
        r#"[{"bn":"urn:dev:ow:10e2073a01080063:"},{"n":"temp","u":"Cel","v":23.1},
            {"n":"heat","u":"/","v":1},{"n":"fan","u":"/","v":0}]"#,
    )
    .unwrap();
    let expected = doubles(DEVICE, 0.0, &[("fan", 0.0), ("heat", 1.0), ("temp", 23.1)]);
    assert_eq!(said(&readings, ARRIVAL), [expected]);
    let lights = pack(
        r#"[{"bt":1.320078429e+09,"bu":"/","n":"2001:db8::3","v":0.5},
            {"n":"2001:db8::4","v":0.5},
            {"n":"2001:db8::3","t":0.1,"v":0},
            {"n":"2001:db8::4","t":0.1,"v":0}]"#,
    )
    .unwrap();
    let since = EpochNanos(1_320_078_429_000_000_000);
    let expected = [
        doubles("2001:db8::3", 0.0, &[("/", 0.5)]),
        doubles("2001:db8::4", 0.0, &[("/", 0.5)]),
        doubles("2001:db8::3", 0.1, &[("/", 0.0)]),
        doubles("2001:db8::4", 0.1, &[("/", 0.0)]),
    ];
    assert_eq!(said(&lights, since), expected);
}

#[test]
fn a_pack_in_cbor_says_the_same_as_in_json() {
    // RFC 8428, 6: the example of 5.1.2 in CBOR.
    let hex = "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333";
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let readings = decode_bytes(options(), &bytes).unwrap().readings;
    let since = EpochNanos(1_276_020_076_001_000_000);
    let device = "urn:dev:ow:10e2073a0108006";
    let said = said(&readings, since);
    assert_eq!(said[0].0, device);
    assert_eq!(said[0].2, doubles(device, 0.0, &[("voltage", 120.1)]).2);
    assert_eq!(said.len(), 7);
    for (one, (at, value)) in said[1..].iter().zip([
        (-5.0, 1.2),
        (-4.0, 1.3),
        (-3.0, 1.4),
        (-2.0, 1.5),
        (-1.0, 1.6),
        (0.0, 1.7),
    ]) {
        // A double of seconds this large counts by a quarter of a microsecond.
        assert!((one.1 - at).abs() < 1e-6, "{one:?}");
        assert_eq!(one.2, doubles(device, 0.0, &[("current", value)]).2);
    }
}

#[test]
fn times_below_two_to_the_28_are_relative_to_arrival() {
    let at = |fields: &str| {
        let payload = format!(r#"[{{"n":"a","v":1,{fields}}}]"#);
        pack(&payload).map(|readings| readings[0].time.0)
    };
    let arrival = ARRIVAL.0;
    assert_eq!(at(r#""t":-1.5"#), Ok(arrival - 1_500_000_000));
    assert_eq!(at(r#""t":20"#), Ok(arrival + 20_000_000_000));
    assert_eq!(at(r#""bt":-10,"t":4"#), Ok(arrival - 6_000_000_000));
    assert_eq!(
        at(r#""t":268435455"#),
        Ok(arrival + 268_435_455_000_000_000)
    );
    assert_eq!(at(r#""t":268435456"#), Ok(268_435_456_000_000_000));
    assert!(
        at(r#""t":1e30"#)
            .unwrap_err()
            .contains("is the time unit right?")
    );
    assert!(at(r#""t":"now""#).unwrap_err().contains("not a number"));
}

#[test]
fn base_values_and_sums_are_added() {
    let readings = pack(
        r#"[{"bn":"d/","bv":20,"bs":100,"n":"a","v":1.5,"s":5},{"n":"b","v":-1},{"n":"c","s":7},
            {"n":"d","vb":true}]"#,
    )
    .unwrap();
    assert_eq!(
        named(&readings[0]),
        [
            ("a", Value::Double(21.5)),
            ("a.sum", Value::Double(105.0)),
            ("b", Value::Double(19.0)),
            ("b.sum", Value::Double(100.0)),
            ("c.sum", Value::Double(107.0)),
            ("d", Value::Bool(true)),
            ("d.sum", Value::Double(100.0)),
        ]
    );
}

#[test]
fn units_can_end_names_and_names_can_be_whole() {
    let payload = r#"[{"bn":"d:","n":"t","u":"Cel","v":1},{"n":"x","v":2}]"#;
    let suffixed = Options {
        units: Units::Suffix,
        ..options()
    };
    let decoded = decode_by(suffixed, payload).unwrap();
    let names: Vec<_> = named(&decoded.readings[0])
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    assert_eq!(names, ["t_Cel", "x"]);
    let by_key = Options {
        device_id: DeviceSource::PartitionKey,
        ..options()
    };
    let decoded = decode_by(by_key, payload).unwrap();
    assert_eq!(decoded.readings[0].device.as_str(), "pump-9");
    let names: Vec<_> = named(&decoded.readings[0])
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    assert_eq!(names, ["d:t", "d:x"], "what is unique stays unique");
}

#[test]
fn what_is_no_pack_says_which_record_and_why() {
    let cases = [
        (
            r#"[{"v":1}]"#,
            "record 1 of the pack: it has neither a name nor a base name",
        ),
        (
            r#"[{"n":"a","v":1},{"n":"b","v":1,"vs":"x"}]"#,
            "record 2 of the pack: it has more than one value",
        ),
        (
            r#"[{"n":"a","vs":"x","vb":true}]"#,
            "it has a value beside `vb`",
        ),
        (r#"[{"bver":11,"n":"a","v":1}]"#, "its version is 11"),
        (r#"[{"n":"a","v":1,"must_":1}]"#, "must be understood"),
        (r#"[{"n":"a","v":"1"}]"#, "the field `v` is of a wrong type"),
        (r#"[{"n":1,"v":1}]"#, "the field `n` is of a wrong type"),
        (r#"[{"n":"a","n":"b","v":1}]"#, "the field `n` stands twice"),
        (r#"[{"n":"a","v":1}"#, "the payload is not JSON"),
        (r#"[{"n":"a","v":1}] x"#, "the payload is not JSON"),
        (r#"[3]"#, "a SenML record, which is an object"),
        ("{}", "expected an array of SenML records"),
        ("\u{1}", "a SenML pack is an array"),
    ];
    for (payload, why) in cases {
        let error = pack(payload).unwrap_err();
        assert!(error.contains(why), "{payload}: {error}");
    }
    assert_eq!(
        pack(r#"[{"n":"a","v":1,"extra":{"x":[1]}}]"#)
            .unwrap()
            .len(),
        1
    );
    assert_eq!(pack("[]").unwrap(), []);
}

proptest! {
    #[test]
    fn json_and_cbor_of_a_pack_say_the_same(
        records in prop::collection::vec(("[a-c]{0,2}", -50_i64..50, -4_000_000_i32..4_000_000), 1..8),
    ) {
        // Quarters: what has few digits is the same double in either.
        let records: Vec<_> = records
            .into_iter()
            .map(|(n, t, v)| (n, t, f64::from(v) / 4.0))
            .collect();
        let json: Vec<_> = records
            .iter()
            .map(|(n, t, v)| serde_json::json!({"bn": "d:", "n": n, "t": t, "v": v}))
            .collect();
        let json = serde_json::to_vec(&json).unwrap();
        let cbor: Vec<_> = records
            .iter()
            .map(|(n, t, v)| cbor!({-2 => "d:", 0 => n, 6 => t, 2 => v}).unwrap())
            .collect();
        let mut bytes = Vec::new();
        ciborium::into_writer(&cbor, &mut bytes).unwrap();
        prop_assert_eq!(decode_bytes(options(), &json), decode_bytes(options(), &bytes));
    }

    #[test]
    fn anything_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        let array = [&[0x9f][..], &payload].concat();
        for bytes in [payload, array] {
            prop_assert_eq!(decode_bytes(options(), &bytes), decode_bytes(options(), &bytes));
        }
    }
}
