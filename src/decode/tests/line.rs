//! InfluxDB line protocol.

use super::*;

fn options() -> Options {
    Options {
        format: Format::Line,
        device_id: DeviceSource::Field("id".to_owned()),
        time: TimeSource::Own(TimeUnit::Nanos),
        ..Options::default()
    }
}

fn line(payload: &str) -> Result<Vec<Reading>, String> {
    decode_by(options(), payload).map(|decoded| decoded.readings)
}

#[test]
fn a_line_is_a_reading_of_tags_and_typed_fields() {
    let readings = line(
        "# made by a gateway\n\
         weather,id=pump-1,site=north t=21.5,n=3i,u=4u,ok=true,off=F,s=\"on \\\"air\\\"\" 1700000000000000001\n\
         \n\
         weather,id=pump-2 t=1e-2 -1\r\n",
    )
    .unwrap();
    assert_eq!(readings.len(), 2);
    let first = &readings[0];
    assert_eq!(first.device.as_str(), "pump-1");
    assert_eq!(first.time, EpochNanos(1_700_000_000_000_000_001));
    assert_eq!(
        named(first),
        [
            ("n", Value::Int(3)),
            ("off", Value::Bool(false)),
            ("ok", Value::Bool(true)),
            ("s", Value::Text("on \"air\"".into())),
            ("t", Value::Double(21.5)),
            ("u", Value::Int(4)),
        ]
    );
    let dimensions: Vec<_> = first.dimensions.iter().map(|(n, t)| (&**n, &**t)).collect();
    assert_eq!(dimensions, [("measurement", "weather"), ("site", "north")]);
    assert_eq!(readings[1].time, EpochNanos(-1));
    assert_eq!(named(&readings[1]), [("t", Value::Double(0.01))]);
}

#[test]
fn a_backslash_takes_the_meaning_from_what_ends_names_and_tags() {
    let readings = line(r"my\ room\,x,id=a\ b\=c,back\slash=\o f\ 1\=x=1 5").unwrap();
    let reading = &readings[0];
    assert_eq!(reading.device.as_str(), "a b=c");
    assert_eq!(&*reading.dimensions[0].0, r"back\slash");
    assert_eq!(&*reading.dimensions[0].1, r"\o");
    assert_eq!(&*reading.dimensions[1].1, "my room,x");
    assert_eq!(named(reading), [("f 1=x", Value::Double(1.0))]);
}

#[test]
fn text_in_quotes_may_hold_anything_lines_too() {
    let readings = line("m,id=a s=\"x, y\nz = \\\\ 1\",n=1 5").unwrap();
    assert_eq!(
        named(&readings[0])[1].1,
        Value::Text("x, y\nz = \\ 1".into())
    );
}

#[test]
fn a_line_without_a_time_is_refused_or_has_arrived_now() {
    let error = line("m,id=a t=1").unwrap_err();
    assert_eq!(error, "line 1: the time is missing");
    let options = Options {
        time_missing: TimePolicy::Arrival,
        ..options()
    };
    let decoded = decode_by(options, "m,id=a t=1").unwrap();
    assert_eq!(decoded.readings[0].time, ARRIVAL);
}

#[test]
fn what_is_no_line_says_which_and_why() {
    let cases = [
        (
            "m,id=a t=1 5\nm t=1 5",
            "line 2: the device id field `id` is missing",
        ),
        (",id=a t=1 5", "line 1: the measurement is missing"),
        ("m,id=a", "line 1: the fields are missing"),
        ("m,id=a ", "a field's name is missing"),
        ("m,id= t=1 5", "the tag `id` has no value"),
        ("m,id t=1 5", "the tag `id` has no `=`"),
        ("m,id=a t 5", "the field `t` has no `=`"),
        ("m,id=a t= 5", "the field `t` is ``"),
        ("m,id=a t=inf 5", "the field `t` is `inf`"),
        ("m,id=a t=1.5i 5", "the field `t` is `1.5i`"),
        ("m,id=a t=9223372036854775808i 5", "9223372036854775808i"),
        (
            "m,id=a t=9223372036854775808u 5",
            "beyond whole numbers of 64 bits with a sign",
        ),
        (
            "m,id=a t=\"open 5",
            "the text of the field `t` does not end",
        ),
        ("m,id=a t=1e999 5", "not a finite number"),
        ("m,id=a t=1 5 6", "the time is 5 6, which is not a number"),
        ("m,id=a t=1,t=2 5", "the field `t` stands twice"),
        (
            "m,id=a,measurement=x t=1 5",
            "the field `measurement` stands twice",
        ),
    ];
    for (payload, why) in cases {
        let error = line(payload).unwrap_err();
        assert!(error.contains(why), "{payload}: {error}");
    }
    let error = decode_bytes(options(), b"m,id=a s=\"\xff\" 5").unwrap_err();
    assert!(error.contains("byte 10 is not UTF-8"), "{error}");
}

#[test]
fn the_measurement_can_be_the_device_or_nothing() {
    let options = Options {
        device_id: DeviceSource::Field("measurement".to_owned()),
        exclude: vec![Pattern::of("id")],
        ..options()
    };
    let decoded = decode_by(options, "m,id=a t=1 5").unwrap();
    assert_eq!(decoded.readings[0].device.as_str(), "m");
    assert_eq!(decoded.readings[0].dimensions, []);
}

fn escaped(text: &str) -> String {
    text.replace(',', "\\,")
        .replace('=', "\\=")
        .replace(' ', "\\ ")
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        id in "[a-z ,=]{1,6}[a-z]", field in "[a-z ,=]{1,6}[a-z]", text in "\\PC{0,9}",
        number in any::<i64>(), double in -1e300..1e300_f64, time in any::<i64>(),
    ) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let (name, f) = (escaped(&id), escaped(&field));
        let payload = format!("m,id={name} 0i={number}i,1{f}=\"{quoted}\",2={double} {time}");
        let readings = line(&payload).unwrap();
        prop_assert_eq!(readings[0].device.as_str(), &id);
        prop_assert_eq!(readings[0].time, EpochNanos(time));
        let values: Vec<Value> = readings[0].measures.iter().map(|(_, value)| value.clone()).collect();
        prop_assert_eq!(&values, &[Value::Int(number), Value::Text(text.into()), Value::Double(double)]);
        prop_assert_eq!(&*readings[0].measures[1].0, format!("1{field}"));
    }
}
