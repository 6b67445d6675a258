//! What is tried, and what must hold of every answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use md5::{Digest as _, Md5};
use tidewire::decode::aggregate::Aggregate;
use tidewire::decode::{
    Decoder, DeviceSource, Envelope, Format, NotFinite, Options, Pattern, TimePolicy, TimeSource,
    TimeUnit,
};
use tidewire::lease::item::{Item, Value as Attribute, name};
use tidewire::lease::row;
use tidewire::model::{EpochMillis, PartitionKey, Record, ShardId, Value};

/// One parser.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Runs it on an input; the answer as text.
    pub(crate) run: fn(&[u8]) -> String,
    /// Makes an input, now and then, one that gets further.
    pub(crate) mend: fn(&mut [u8], &mut Rng),
}

pub(crate) const TARGETS: &[Target] = &[
    target("json", |data| decoded(data, options(Format::Json))),
    target("cbor", |data| decoded(data, options(Format::Cbor))),
    target("senml", |data| decoded(data, options(Format::SenMl))),
    target("line", |data| decoded(data, options(Format::Line))),
    target("envelope", |data| {
        let envelope = Envelope::Field("data".to_owned());
        decoded(
            data,
            Options {
                envelope,
                ..options(Format::Json)
            },
        )
    }),
    Target {
        name: "aggregate",
        run: aggregate,
        mend: seal,
    },
    target("row", lease_row),
];

const fn target(name: &'static str, run: fn(&[u8]) -> String) -> Target {
    Target {
        name,
        run,
        mend: |_, _| {},
    }
}

/// Options that let much through, so that much is done.
fn options(format: Format) -> Options {
    let own = matches!(format, Format::SenMl | Format::Line);
    Options {
        format,
        device_id: match format {
            Format::SenMl => DeviceSource::Name,
            Format::Line => DeviceSource::Field("measurement".to_owned()),
            _ => DeviceSource::Field("device_id".to_owned()),
        },
        time: if own {
            TimeSource::Own(TimeUnit::Millis)
        } else {
            Options::default().time
        },
        time_missing: TimePolicy::Arrival,
        time_absurd: TimePolicy::Arrival,
        time_past_max: Some(Duration::from_secs(3_600)),
        dimensions: vec!["site".to_owned(), "a.b".to_owned()],
        exclude: vec![Pattern::of("x*")],
        not_finite: NotFinite::LeaveOut,
        ..Options::default()
    }
}

fn record(data: &[u8]) -> Record {
    Record {
        sub: 0,
        seq: "1".parse().unwrap(),
        partition_key: Some(PartitionKey::from("key")),
        arrival: EpochMillis(1_700_000_000_000),
        data: Bytes::copy_from_slice(data),
    }
}

fn decoded(data: &[u8], options: Options) -> String {
    let mut decoder = Decoder::new(Arc::new(options));
    let shard = ShardId::from("shardId-000000000000");
    let record = record(data);
    let first = decoder.decode(&shard, &record, 3);
    assert_eq!(first, decoder.decode(&shard, &record, 3), "said twice");
    let readings = match first {
        Ok(decoded) => decoded.readings,
        Err(error) => {
            let reason = error.to_string();
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
            return reason;
        }
    };
    for (index, reading) in readings.iter().enumerate() {
        assert_eq!(reading.position.index as usize, index);
        assert!(!reading.measures.is_empty());
        assert!(reading.measures.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(reading.dimensions.is_sorted_by(|(a, _), (b, _)| a < b));
        let finite = |value: &Value| !matches!(value, Value::Double(n) if !n.is_finite());
        assert!(reading.measures.iter().all(|(_, value)| finite(value)));
    }
    format!(
        "readings {}",
        ["none", "one", "two", "many"][readings.len().min(3)]
    )
}

fn aggregate(data: &[u8]) -> String {
    let record = record(data);
    match Aggregate::open(&record) {
        Err(error) => error.to_string(),
        Ok(None) => "none".to_owned(),
        Ok(Some(aggregate)) => {
            let mut count = 0;
            let mut keys = BTreeSet::new();
            for one in aggregate.user_records() {
                assert_eq!(one.sub, count);
                assert!(one.record.data.len() <= data.len());
                keys.insert(one.record.partition_key);
                count += 1;
            }
            assert!(count > 0);
            format!("records {} keys {}", count > 1, keys.len() > 1)
        }
    }
}

/// Mostly, the checksum is made right again, or nothing behind it would ever be read.
fn seal(input: &mut [u8], random: &mut Rng) {
    const MAGIC: &[u8] = b"\xf3\x89\x9a\xc2";
    if random.u8(..8) == 0 || input.len() < MAGIC.len() + 16 {
        return;
    }
    let end = input.len() - 16;
    input[..MAGIC.len()].copy_from_slice(MAGIC);
    let checksum = Md5::digest(&input[MAGIC.len()..end]);
    input[end..].copy_from_slice(&checksum);
}

/// Each line is an attribute: its name, its type, its value.
fn lease_row(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let mut item = Item::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ' ');
        let (Some(attribute), Some(kind)) = (parts.next(), parts.next()) else {
            continue;
        };
        let value = parts.next().unwrap_or_default().to_owned();
        let value = match kind {
            "S" => Attribute::S(value),
            "N" => Attribute::N(value),
            "SS" => Attribute::Ss(value.split(' ').map(str::to_owned).collect()),
            _ => Attribute::Other,
        };
        item.insert(attribute.to_owned(), value);
    }
    let key = match item.get(name::KEY) {
        Some(Attribute::S(key)) => key.clone(),
        _ => String::new(),
    };
    let forbids = row::why_not(&key, &item).is_some();
    match row::read(&item) {
        Err(unreadable) => unreadable.to_string(),
        Ok(row::Entry::Other) => format!("other {forbids}"),
        Ok(row::Entry::Lease(row)) => {
            assert_eq!(row.start().is_none(), row.ended());
            let handover = row.handover().is_some();
            assert!(!handover || row.actual_owner().is_some());
            format!(
                "lease {handover} {} {}",
                row.unstarted(),
                row.owned_by_tidewire()
            )
        }
    }
}
