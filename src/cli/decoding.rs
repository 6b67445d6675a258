//! From `[decode]` to the options of decoding.

use std::time::Duration;

use crate::decode;
use crate::model::DeviceId;
use crate::service::settings::{
    Decode, DeviceIdFrom, Envelope, FieldType, Format, NotFinite, TimePolicy, TimeUnit, Units,
};

/// How payloads are read.
#[must_use]
pub fn options(settings: &Decode) -> decode::Options {
    let patterns = |names: &[String]| {
        let patterns = names.iter().map(|name| decode::Pattern::of(name));
        patterns.collect()
    };
    let types = settings.types.iter();
    decode::Options {
        format: match settings.format {
            Format::Json => decode::Format::Json,
            Format::Cbor => decode::Format::Cbor,
            Format::SenMl => decode::Format::SenMl,
            Format::Influx => decode::Format::Line,
        },
        envelope: match &settings.envelope {
            Envelope::None => decode::Envelope::None,
            Envelope::Base64 => decode::Envelope::Base64,
            Envelope::Field(name) => decode::Envelope::Field(name.clone()),
        },
        device_id: match &settings.device_id {
            DeviceIdFrom::Field(name) => decode::DeviceSource::Field(name.clone()),
            DeviceIdFrom::PartitionKey => decode::DeviceSource::PartitionKey,
            DeviceIdFrom::Constant(id) => {
                decode::DeviceSource::Constant(DeviceId::from(id.as_str()))
            }
            DeviceIdFrom::Name => decode::DeviceSource::Name,
        },
        time: time(settings),
        time_missing: policy(settings.time_missing),
        time_absurd: policy(settings.time_absurd),
        time_past_max: settings.time_past_max_s.map(Duration::from_secs),
        time_future_max: settings.time_future_max_s.map(Duration::from_secs),
        dimensions: settings.dimensions.clone(),
        constants: settings.constants.clone(),
        partition_key_as: settings.partition_key_as.clone(),
        include: patterns(&settings.include),
        exclude: patterns(&settings.exclude),
        rename: settings.rename.clone(),
        types: types
            .map(|(name, kind)| (name.clone(), typed(*kind)))
            .collect(),
        separator: settings.separator.clone(),
        not_finite: match settings.not_finite {
            NotFinite::Reject => decode::NotFinite::Reject,
            NotFinite::LeaveOut => decode::NotFinite::LeaveOut,
        },
        units: match settings.units {
            Units::Ignore => decode::Units::Ignore,
            Units::Suffix => decode::Units::Suffix,
        },
        hash_range: settings.aggregate_hash_range,
    }
}

fn time(settings: &Decode) -> decode::TimeSource {
    let unit = |unit| match unit {
        TimeUnit::Seconds => decode::TimeUnit::Seconds,
        TimeUnit::Millis => decode::TimeUnit::Millis,
        TimeUnit::Micros => decode::TimeUnit::Micros,
        TimeUnit::Nanos => decode::TimeUnit::Nanos,
        TimeUnit::Rfc3339 => decode::TimeUnit::Rfc3339,
    };
    // `rules` refuses what goes with no format, and one of the two without the other.
    match (settings.format, &settings.time_field, settings.time_unit) {
        (Format::SenMl, _, _) => decode::TimeSource::Own(decode::TimeUnit::Seconds),
        (Format::Influx, _, Some(named)) => decode::TimeSource::Own(unit(named)),
        (_, Some(name), Some(named)) => decode::TimeSource::Field {
            name: name.clone(),
            unit: unit(named),
        },
        _ => decode::TimeSource::Arrival,
    }
}

fn policy(policy: TimePolicy) -> decode::TimePolicy {
    match policy {
        TimePolicy::Reject => decode::TimePolicy::Reject,
        TimePolicy::Arrival => decode::TimePolicy::Arrival,
    }
}

fn typed(kind: FieldType) -> decode::FieldType {
    match kind {
        FieldType::Float => decode::FieldType::Float,
        FieldType::Int => decode::FieldType::Int,
        FieldType::Text => decode::FieldType::Text,
        FieldType::Bool => decode::FieldType::Bool,
    }
}
