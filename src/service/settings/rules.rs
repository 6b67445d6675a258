//! Rules between settings that are fine each by itself.

use std::time::Duration;

use super::Settings;
use super::decoding::{DeviceIdFrom, Envelope, Format, TimeUnit};
use super::kinds::{Fleet, InfluxApi, InitialPosition, QueueFormat, ReadMode, Weight};
use super::reader::Reader;
use crate::lease::Options;

/// Notes each pair that does not go together.
pub(crate) fn check(settings: &Settings, reader: &mut Reader<'_>) {
    source(settings, reader);
    decode(settings, reader);
    lease(settings, reader);
    sinks(settings, reader);
    fair(settings, reader);
    secrets(settings, reader);
    cloudwatch(settings, reader);
}

fn source(settings: &Settings, reader: &mut Reader<'_>) {
    let source = &settings.source;
    let at = source.initial_position == InitialPosition::AtTimestamp;
    match source.initial_timestamp {
        None if at => reader.clash(
            "source",
            &["initial_position"],
            "`AT_TIMESTAMP` needs the instant: set `source.initial_timestamp`",
        ),
        Some(_) if !at => reader.clash(
            "source",
            &["initial_timestamp"],
            "goes with `source.initial_position = \"AT_TIMESTAMP\"` only: set that, or remove this",
        ),
        _ => {}
    }
    consumer(settings, reader);
    if source.stream.is_some() && !source.streams.is_empty() {
        reader.clash(
            "source",
            &["streams"],
            "goes without `source.stream`: name one stream there, or several here",
        );
    }
}

/// As AWS has it (`ConsumerName` of `RegisterStreamConsumer`).
fn consumer(settings: &Settings, reader: &mut Reader<'_>) {
    const LENGTH: std::ops::RangeInclusive<usize> = 1..=128;
    let may_have = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
    let fits = |name: &str| LENGTH.contains(&name.len()) && name.chars().all(may_have);
    match &settings.source.consumer {
        Some(name) if !fits(name) => reader.clash(
            "source",
            &["consumer"],
            "is no name for a consumer: take 1 to 128 letters, digits, `_`, `.` and `-`",
        ),
        None if settings.source.mode != ReadMode::Polling && !fits(&settings.lease.table) => {
            reader.clash(
                "source",
                &["mode"],
                "registers a consumer, whose name cannot be that of the lease table, as it is by default: set `source.consumer`",
            );
        }
        _ => {}
    }
}

/// As AWS has it (`Namespace` of `PutMetricData`).
fn cloudwatch(settings: &Settings, reader: &mut Reader<'_>) {
    let namespace = &settings.cloudwatch.namespace;
    let may_have = |char: char| char.is_ascii_alphanumeric() || ".-_/#:".contains(char);
    let fits = namespace.len() < 256 && namespace.chars().all(may_have);
    if !fits || namespace.starts_with(':') || namespace.starts_with("AWS/") {
        reader.clash(
            "cloudwatch",
            &["namespace"],
            "is no namespace for metrics: take 1 to 255 letters, digits and `.-_/#:`, not beginning \
             with `:` or `AWS/`",
        );
    }
}

fn decode(settings: &Settings, reader: &mut Reader<'_>) {
    let decode = &settings.decode;
    let own_time = matches!(decode.format, Format::Influx | Format::SenMl);
    match (&decode.time_field, decode.time_unit) {
        (Some(_), _) if own_time => reader.clash(
            "decode",
            &["time_field"],
            "goes with JSON and CBOR only: line protocol and SenML have their own place for the time",
        ),
        (None, Some(_)) if decode.format == Format::SenMl => reader.clash(
            "decode",
            &["time_unit"],
            "does not go with SenML, whose times are seconds: remove this",
        ),
        (None, None | Some(TimeUnit::Rfc3339)) if decode.format == Format::Influx => reader.clash(
            "decode",
            &["time_unit", "format"],
            "is not given for line protocol, and units are never guessed: set `decode.time_unit` to `s`, `ms`, `us` or `ns`",
        ),
        (Some(_), None) => reader.clash(
            "decode",
            &["time_field"],
            "needs its unit, which is never guessed: set `decode.time_unit` to `s`, `ms`, `us`, `ns` or `rfc3339`",
        ),
        (None, Some(_)) if !own_time => reader.clash(
            "decode",
            &["time_unit"],
            "is the unit of a field: set `decode.time_field`, or remove this",
        ),
        _ => {}
    }
    let senml = decode.format == Format::SenMl;
    let enveloped = matches!(decode.envelope, Envelope::Field(_));
    match &decode.device_id {
        DeviceIdFrom::Name if !senml => reader.clash(
            "decode",
            &["device_id", "format"],
            "`name` is SenML's base name: set `decode.format = \"senml\"`, or take the id from elsewhere",
        ),
        DeviceIdFrom::Field(_) if senml && !enveloped => reader.clash(
            "decode",
            &["device_id", "format"],
            "a field is not to be had from SenML, which names devices by its base name: set `decode.device_id = \"name\"`, or take the id from elsewhere",
        ),
        _ => {}
    }
}

fn lease(settings: &Settings, reader: &mut Reader<'_>) {
    let lease = &settings.lease;
    let options = Options::lasting(Duration::from_millis(lease.duration_ms));
    let most = options.renew_every_max().as_millis();
    if u128::from(lease.renew_every_ms) > most {
        reader.clash(
            "lease",
            &["renew_every_ms", "duration_ms"],
            format!(
                "{} leaves no room for two renewals within `lease.duration_ms`, {}, less its margin of {}: one lost renewal would cost the lease; take {most} at most",
                lease.renew_every_ms,
                lease.duration_ms,
                options.fence_margin.as_millis()
            ),
        );
    }
    if lease.weight == Weight::Throughput && lease.fleet == Fleet::Mixed {
        reader.clash(
            "lease",
            &["weight", "fleet"],
            "Java workers count leases and nothing else: leave `weight` out in a mixed fleet",
        );
    }
    if lease.scan_every_ms >= lease.duration_ms {
        reader.clash(
            "lease",
            &["scan_every_ms", "duration_ms"],
            format!(
                "{} is not less than `lease.duration_ms`, {}: a silent worker would be seen too late",
                lease.scan_every_ms, lease.duration_ms
            ),
        );
    }
}

fn sinks(settings: &Settings, reader: &mut Reader<'_>) {
    let timestream = &settings.timestream;
    match (&timestream.database, &timestream.table) {
        (Some(_), None) => reader.clash(
            "timestream",
            &["database"],
            "needs `timestream.table` beside it",
        ),
        (None, Some(_)) => reader.clash(
            "timestream",
            &["table"],
            "needs `timestream.database` beside it",
        ),
        _ => {}
    }
    if !timestream.routes.is_empty() && timestream.table.is_none() {
        reader.clash(
            "timestream",
            &["routes"],
            "needs `timestream.table` beside it, for whatever fits no route",
        );
    }
    influx(settings, reader);
    let queue = &settings.queue;
    if let Some(fifo) = queue
        .urls
        .iter()
        .find(|url| url.as_str().ends_with(".fifo"))
        && queue.format == QueueFormat::Packed
    {
        reader.clash(
            "queue",
            &["urls", "format"],
            format!(
                "{} is a FIFO queue, whose order is by device: set `queue.format = \"single\"`, or use a standard queue",
                fifo.as_str()
            ),
        );
    }
    let letters = settings.dead_letter.queue_url.as_ref();
    if letters.is_some_and(|url| url.as_str().ends_with(".fifo")) {
        reader.clash(
            "dead_letter",
            &["queue_url"],
            "is a FIFO queue, and letters belong to no group: use a standard queue",
        );
    }
}

fn influx(settings: &Settings, reader: &mut Reader<'_>) {
    let influx = &settings.influx;
    let given = [
        ("org", influx.org.is_some()),
        ("bucket", influx.bucket.is_some()),
        ("database", influx.database.is_some()),
        ("token", influx.token.is_some()),
        ("ca_file", influx.ca_file.is_some()),
    ];
    let is_given = |name: &str| given.contains(&(name, true));
    if influx.url.is_none() {
        if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
            reader.clash("influx", &[name], "needs `influx.url` beside it");
        }
        return;
    }
    let api = influx.api.as_str();
    let (needed, strange): (&[&str], &[&str]) = match influx.api {
        InfluxApi::V2 => (&["org", "bucket"], &["database"]),
        InfluxApi::V1 | InfluxApi::V3 => (&["database"], &["org", "bucket"]),
    };
    for name in needed.iter().filter(|name| !is_given(name)) {
        let what = format!("`influx.api = \"{api}\"` needs `influx.{name}` beside it");
        reader.clash("influx", &["url"], what);
    }
    for name in strange.iter().filter(|name| is_given(name)) {
        let what = format!(
            "means nothing to `influx.api = \"{api}\"`: remove it, or set the API that has it"
        );
        reader.clash("influx", &[name], what);
    }
}

fn fair(settings: &Settings, reader: &mut Reader<'_>) {
    if settings.queue.fair && settings.queue.format == QueueFormat::Packed {
        reader.clash(
            "queue",
            &["fair", "format"],
            "a packed message belongs to many devices: set `queue.format = \"single\"`, or leave this out",
        );
    }
    let mut known = std::collections::BTreeSet::new();
    if !settings
        .queue
        .urls
        .iter()
        .all(|url| known.insert(url.as_str()))
    {
        reader.clash(
            "queue",
            &["urls"],
            "a queue is named twice: its messages would be divided between two that serve it",
        );
    }
}

/// Fewer would be weaker than the hash it feeds (RFC 7518, 3.2).
const HS256_BYTES_MIN: usize = 32;

fn secrets(settings: &Settings, reader: &mut Reader<'_>) {
    let aws = &settings.aws;
    match (&aws.access_key_id, &aws.secret_access_key) {
        (Some(_), None) => reader.clash(
            "aws",
            &["access_key_id"],
            "needs `aws.secret_access_key` (or `_file`) beside it",
        ),
        (None, Some(_)) => reader.clash(
            "aws",
            &["secret_access_key", "secret_access_key_file"],
            "needs `aws.access_key_id` beside it",
        ),
        _ => {}
    }
    if aws.session_token.is_some() && aws.access_key_id.is_none() {
        reader.clash(
            "aws",
            &["session_token", "session_token_file"],
            "needs `aws.access_key_id` beside it",
        );
    }
    let gateway = &settings.gateway;
    if let Some(secret) = &gateway.hs256_secret
        && secret.reveal().len() < HS256_BYTES_MIN
    {
        reader.clash(
            "gateway",
            &["hs256_secret", "hs256_secret_file"],
            format!("is shorter than {HS256_BYTES_MIN} bytes, which HS256 demands: make one with `openssl rand -hex 32`"),
        );
    }
}
