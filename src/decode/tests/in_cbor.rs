//! CBOR: every example of RFC 8949, appendix A, as the value of a field.

use ciborium::cbor;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn options() -> Options {
    Options {
        format: Format::Cbor,
        ..Options::default()
    }
}

/// `{"device_id": "a", "ts": 1, "x": value}`
fn with_x(value: &[u8]) -> Vec<u8> {
    let before = hex("a3696465766963655f696461616274730161 78"
        .replace(' ', "")
        .as_str());
    [&before, value].concat()
}

fn x(value: &str) -> Result<Vec<(String, Value)>, String> {
    let decoded = decode_bytes(options(), &with_x(&hex(value)))?;
    let Some(reading) = decoded.readings.first() else {
        return Ok(Vec::new());
    };
    let measures = reading.measures.iter();
    Ok(measures.map(|(n, v)| (n.to_string(), v.clone())).collect())
}

#[test]
fn numbers_and_truths_are_what_appendix_a_says() {
    let numbers = [
        ("00", 0.0),
        ("01", 1.0),
        ("0a", 10.0),
        ("17", 23.0),
        ("1818", 24.0),
        ("1819", 25.0),
        ("1864", 100.0),
        ("1903e8", 1000.0),
        ("1a000f4240", 1_000_000.0),
        ("1b000000e8d4a51000", 1_000_000_000_000.0),
        ("1bffffffffffffffff", 18_446_744_073_709_551_615.0),
        ("c249010000000000000000", 18_446_744_073_709_551_616.0),
        ("3bffffffffffffffff", -18_446_744_073_709_551_616.0),
        ("c349010000000000000000", -18_446_744_073_709_551_617.0),
        ("20", -1.0),
        ("29", -10.0),
        ("3863", -100.0),
        ("3903e7", -1000.0),
        ("f90000", 0.0),
        ("f98000", -0.0),
        ("f93c00", 1.0),
        ("fb3ff199999999999a", 1.1),
        ("f93e00", 1.5),
        ("f97bff", 65504.0),
        ("fa47c35000", 100_000.0),
        ("fa7f7fffff", 3.402_823_466_385_288_6e38),
        ("fb7e37e43c8800759c", 1.0e300),
        ("f90001", 5.960_464_477_539_063e-8),
        ("f90400", 0.000_061_035_156_25),
        ("f9c400", -4.0),
        ("fbc010666666666666", -4.1),
        // Times are numbers where they are not the reading's own.
        ("c11a514b67b0", 1_363_896_240.0),
        ("c1fb41d452d9ec200000", 1_363_896_240.5),
    ];
    for (value, expected) in numbers {
        let got = x(value).unwrap();
        assert_eq!(got, [("x".to_owned(), Value::Double(expected))], "{value}");
    }
    for (value, expected) in [("f4", false), ("f5", true)] {
        assert_eq!(x(value), Ok(vec![("x".to_owned(), Value::Bool(expected))]));
    }
    for nothing in ["f6", "f7"] {
        assert_eq!(x(nothing), Ok(Vec::new()), "{nothing}");
    }
}

#[test]
fn what_no_sink_stores_and_what_has_no_meaning_is_refused() {
    let not_finite = [
        "f97c00",
        "f97e00",
        "f9fc00",
        "fa7f800000",
        "fa7fc00000",
        "faff800000",
        "fb7ff0000000000000",
        "fb7ff8000000000000",
        "fbfff0000000000000",
    ];
    for value in not_finite {
        let error = x(value).unwrap_err();
        assert!(error.contains("not a finite number"), "{value}: {error}");
        let options = Options {
            not_finite: NotFinite::LeaveOut,
            ..options()
        };
        let decoded = decode_bytes(options, &with_x(&hex(value))).unwrap();
        assert_eq!(decoded.no_measures, 1, "{value}");
    }
    for value in ["f0", "f818", "f8ff"] {
        assert!(
            x(value).unwrap_err().contains("has no meaning here"),
            "{value}"
        );
    }
    // RFC 8949, 3.4.4: 273.15, and 1.5.
    for value in ["c48221196ab3", "c5822003"] {
        assert!(x(value).unwrap_err().contains("send a float"), "{value}");
    }
}

#[test]
fn strings_are_text_and_bytes_are_text_in_base64() {
    let strings = [
        ("60", ""),
        ("6161", "a"),
        ("6449455446", "IETF"),
        ("62225c", "\"\\"),
        ("62c3bc", "\u{fc}"),
        ("63e6b0b4", "\u{6c34}"),
        ("64f0908591", "\u{10151}"),
        ("7f657374726561646d696e67ff", "streaming"),
        (
            "c074323031332d30332d32315432303a30343a30305a",
            "2013-03-21T20:04:00Z",
        ),
        (
            "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
            "http://www.example.com",
        ),
        ("40", ""),
        ("4401020304", "AQIDBA=="),
        ("d74401020304", "AQIDBA=="),
        ("d818456449455446", "ZElFVEY="),
        ("5f42010243030405ff", "AQIDBAU="),
    ];
    for (value, expected) in strings {
        let got = x(value).unwrap();
        assert_eq!(
            got,
            [("x".to_owned(), Value::Text(expected.into()))],
            "{value}"
        );
    }
}

#[test]
fn arrays_and_maps_are_flattened() {
    let flat = |pairs: &[(&str, f64)]| {
        let pairs = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Value::Double(*v)));
        pairs.collect::<Vec<_>>()
    };
    let nested = [
        ("x.0", 1.0),
        ("x.1.0", 2.0),
        ("x.1.1", 3.0),
        ("x.2.0", 4.0),
        ("x.2.1", 5.0),
    ];
    for value in [
        "8301820203820405",
        "9f018202039f0405ffff",
        "9f01820203820405ff",
        "83018202039f0405ff",
        "83019f0203ff820405",
    ] {
        assert_eq!(x(value).unwrap(), flat(&nested), "{value}");
    }
    for empty in ["80", "a0", "9fff"] {
        assert_eq!(x(empty).unwrap(), [], "{empty}");
    }
    assert_eq!(
        x("83010203").unwrap(),
        flat(&[("x.0", 1.0), ("x.1", 2.0), ("x.2", 3.0)])
    );
    assert_eq!(
        x("a201020304").unwrap(),
        flat(&[("x.1", 2.0), ("x.3", 4.0)])
    );
    let ab = flat(&[("x.a", 1.0), ("x.b.0", 2.0), ("x.b.1", 3.0)]);
    for value in ["a26161016162820203", "bf61610161629f0203ffff"] {
        assert_eq!(x(value).unwrap(), ab, "{value}");
    }
    for value in ["826161a161626163", "826161bf61626163ff"] {
        let got = x(value).unwrap();
        assert_eq!(
            got[0],
            ("x.0".to_owned(), Value::Text("a".into())),
            "{value}"
        );
        assert_eq!(
            got[1],
            ("x.1.b".to_owned(), Value::Text("c".into())),
            "{value}"
        );
    }
    let many = "98190102030405060708090a0b0c0d0e0f101112131415161718181819";
    let more = "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff";
    for value in [many, more] {
        let got = x(value).unwrap();
        assert_eq!(got.len(), 25, "{value}");
        assert!(got.contains(&("x.24".to_owned(), Value::Double(25.0))));
    }
    let five = x("a56161614161626142616361436164614461656145").unwrap();
    let letters: Vec<_> = five.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(letters, ["x.a", "x.b", "x.c", "x.d", "x.e"]);
    let odd = x("bf6346756ef563416d7421ff").unwrap();
    assert_eq!(odd[0], ("x.Amt".to_owned(), Value::Double(-2.0)));
    assert_eq!(odd[1], ("x.Fun".to_owned(), Value::Bool(true)));
}

#[test]
fn a_time_is_what_its_tag_says() {
    // `{"device_id": "a", "x": 1, "ts": value}`
    let at = |value: &str| {
        let before = hex("a3696465766963655f69646161617801627473");
        let decoded = decode_bytes(options(), &[before, hex(value)].concat())?;
        Ok::<_, String>(decoded.readings[0].time.0)
    };
    let millis = Ok(1_363_896_240_500_000_000);
    assert_eq!(at("c1fb41d452d9ec200000"), millis, "tag 1, seconds");
    assert_eq!(
        at("c074323031332d30332d32315432303a30343a30305a"),
        Ok(1_363_896_240_000_000_000)
    );
    assert_eq!(
        at("1b0000013d8e8d9ef4"),
        at("fb4273d8e8d9ef4000"),
        "milliseconds"
    );
    assert!(
        at("f97e00")
            .unwrap_err()
            .contains("is NaN, which is not a number")
    );
    assert!(at("80").unwrap_err().contains("is not a time"));
}

#[test]
fn maps_one_after_the_other_and_in_arrays_are_numbered_readings() {
    let one = with_x(&[1]);
    let array = [&[0x82][..], &one, &one].concat();
    for payload in [[one.clone(), one].concat(), array] {
        let readings = decode_bytes(options(), &payload).unwrap().readings;
        let indices: Vec<_> = readings.iter().map(|r| r.position.index).collect();
        assert_eq!(indices, [0, 1]);
    }
}

#[test]
fn what_is_no_payload_says_where_and_why() {
    let deep = [vec![0x81; 100], vec![1]].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            hex("01"),
            "expected a map or an array of maps (before byte 1)",
        ),
        (hex("8101"), "expected a map (before byte 2)"),
        (with_x(&[]), "ends within the item that begins at byte 19"),
        (with_x(&hex("1c")), "no item begins at byte 19"),
        (with_x(&hex("7bffffffffffffffff")), "ends within the item"),
        (with_x(&hex("61ff")), "text that is not UTF-8"),
        (with_x(&hex("7f4101ff")), "a chunk of another kind"),
        (with_x(&hex("ff")), "a break where a value belongs"),
        (with_x(&hex("c201")), "a bignum that is not a byte string"),
        (with_x(&hex("a1f501")), "neither text nor a whole number"),
        (
            with_x(&deep),
            "more than 64 maps and arrays within each other",
        ),
        (hex("a0"), "the device id field `device_id` is missing"),
    ];
    for (payload, why) in cases {
        let error = decode_bytes(options(), &payload).unwrap_err();
        assert!(error.contains(why), "{payload:02x?}: {error}");
    }
    let nested = [hex("9bffffffffffffffff"), vec![0xf6; 30]].concat();
    assert!(
        decode_bytes(options(), &with_x(&nested)).is_err(),
        "a length is a claim"
    );
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        number in any::<i64>(), double in -1e300..1e300_f64, text in "\\PC{0,9}",
        bits in any::<bool>(), time in -9_000_000_000_000_i64..9_000_000_000_000,
    ) {
        let object = cbor!({
            "device_id" => text.as_str(), "ts" => time, "b" => bits, "n" => number,
            "nested" => { "d" => double, "t" => text.as_str() },
        })
        .unwrap();
        let mut payload = Vec::new();
        ciborium::into_writer(&object, &mut payload).unwrap();
        let options = Options {
            device_id: DeviceSource::Constant("a".into()),
            types: BTreeMap::from([("n".to_owned(), FieldType::Int)]),
            dimensions: vec!["device_id".to_owned()],
            ..options()
        };
        let decoded = decode_bytes(options, &payload).unwrap();
        prop_assert_eq!(decoded.readings[0].time.0, time * 1_000_000);
        let expected = [
            ("b", Value::Bool(bits)),
            ("n", Value::Int(number)),
            ("nested.d", Value::Double(double)),
            ("nested.t", Value::Text(text.into())),
        ];
        prop_assert_eq!(&named(&decoded.readings[0])[..], &expected[..]);
    }

    #[test]
    fn anything_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(decode_bytes(options(), &payload), decode_bytes(options(), &payload));
    }
}
