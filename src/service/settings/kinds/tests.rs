use super::*;
use crate::service::settings::DeviceIdFrom;

fn text(text: &str) -> Raw {
    Raw::Text(text.to_owned())
}

#[test]
fn sizes_are_read_as_people_write_them() {
    for (written, bytes) in [
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("1GB", 1_000_000_000),
        ("512", 512),
        ("3 kB", 3_000),
    ] {
        assert_eq!(
            ByteSize::read(&text(written)),
            Ok(ByteSize(bytes)),
            "{written}"
        );
    }
    assert_eq!(ByteSize::read(&Raw::Integer(Some(7))), Ok(ByteSize(7)));
    for rubbish in ["MiB", "64 parsecs", "-1", "99999999999GiB", ""] {
        assert!(ByteSize::read(&text(rubbish)).is_err(), "{rubbish}");
    }
}

#[test]
fn instants_are_read_with_their_zone() {
    for (written, millis) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Z", 951_825_600_000),
        ("2026-03-01T12:00:00.250Z", 1_772_366_400_250),
        ("2026-03-01T13:00:00+01:00", 1_772_366_400_000),
        ("1969-12-31T23:59:59Z", -1_000),
    ] {
        assert_eq!(
            EpochMillis::read(&text(written)),
            Ok(EpochMillis(millis)),
            "{written}"
        );
    }
    assert_eq!(
        EpochMillis::read(&Raw::Integer(Some(1_772_366_400_250))),
        Ok(EpochMillis(1_772_366_400_250))
    );
    let zoneless = EpochMillis::read(&text("2026-03-01T12:00:00"));
    assert!(zoneless.unwrap_err().why.unwrap().contains("zone"));
    assert!(EpochMillis::read(&text("2026-02-30T12:00:00Z")).is_err());
    assert!(EpochMillis::read(&text("yesterday")).is_err());
}

#[test]
fn the_viewers_address_is_told_from_the_callback_address() {
    let why = Url::read(&text("wss://abc.example/prod")).unwrap_err().why;
    assert!(why.unwrap().contains("@connections"));
    let signed = text("https://me:hunter2@abc.example/prod");
    let why = Url::read(&signed).unwrap_err().why.unwrap();
    assert!(why.contains("credentials"), "{why}");
    assert!(!signed.shown().contains("hunter2"), "{}", signed.shown());
    let url = Url::read(&text("https://abc.example/prod/")).unwrap();
    assert_eq!(url.as_str(), "https://abc.example/prod");
    for rubbish in ["abc.example", "https://", "ftp://abc", "https:///path"] {
        assert!(Url::read(&text(rubbish)).is_err(), "{rubbish}");
    }
}

#[test]
fn a_bare_port_listens_everywhere() {
    assert_eq!(
        Listen::read(&text(":9090")).unwrap().0,
        "0.0.0.0:9090".parse().unwrap()
    );
    assert!(Listen::read(&text("9090")).is_err());
}

#[test]
fn selectors_want_a_name() {
    assert_eq!(
        DeviceIdFrom::read(&text("field:id")),
        Ok(DeviceIdFrom::Field("id".to_owned()))
    );
    assert_eq!(
        DeviceIdFrom::read(&text("partition_key")),
        Ok(DeviceIdFrom::PartitionKey)
    );
    assert_eq!(
        MeasureName::read(&text("constant:a:b")),
        Ok(MeasureName::Constant("a:b".to_owned()))
    );
    for rubbish in ["field", "field:", "id", "partition_key:x"] {
        assert!(DeviceIdFrom::read(&text(rubbish)).is_err(), "{rubbish}");
    }
}

#[test]
fn what_others_call_otherwise_is_told() {
    assert_eq!(ReadMode::read(&text("fan-out")), Ok(ReadMode::FanOut));
    let why = ReadMode::read(&text("efo")).unwrap_err().why.unwrap();
    assert!(why.contains("say `fan-out`"));
    let why = Fleet::read(&text("kcl")).unwrap_err().why.unwrap();
    assert!(why.contains("say `mixed`"));
}
