//! What every format's fields go through: from names and values to a reading.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{DeviceId, EpochNanos, Position, Reading, Record, ShardId, Value};

use super::flat::Fields;
use super::names::Names;
use super::value::{Scalar, device_of, measure, shorten};
use super::{
    Decoded, DeviceSource, MEASURES_PER_READING_MAX, Options, READINGS_PER_RECORD_MAX, TimePolicy,
    TimeSource, TimeUnit, time,
};

/// One record at work.
pub(super) struct Work<'a> {
    pub(super) options: &'a Options,
    pub(super) names: &'a mut Names,
    pub(super) shard: &'a ShardId,
    pub(super) record: &'a Record,
    pub(super) sub: u64,
    /// Fields of the envelope, which belong to each reading.
    pub(super) around: &'a [Around],
    pub(super) decoded: Decoded,
}

/// A field beside the payload.
#[derive(Debug)]
pub(super) enum Around {
    /// The time, as it is written.
    Time(String),
    Field(String, Scalar<'static>),
}

/// Memory of a reading besides its measures, roughly.
const READING_BYTES: usize = 384;

/// Memory of a measure or dimension besides its name and text, roughly.
const FIELD_BYTES: usize = 48;

impl<'a> Work<'a> {
    /// Begins a reading, with what is around it.
    pub(super) fn object(&mut self) -> Result<Object<'_, 'a>, String> {
        let around = self.around;
        let measures = self.names.measures_expected();
        let mut object = Object {
            work: self,
            device: None,
            time: None,
            measures: Vec::with_capacity(measures),
            dimensions: Vec::new(),
        };
        for field in around {
            match field {
                Around::Time(text) => object.time_text(text)?,
                Around::Field(name, value) => {
                    object.named(name.len())?;
                    object.field(name, value.clone())?;
                }
            }
        }
        Ok(object)
    }

    /// The record's arrival, the only "now" there is.
    pub(super) fn arrival(&self) -> Result<EpochNanos, String> {
        EpochNanos::from_millis(self.record.arrival.0).ok_or_else(|| {
            "the record's arrival time lies outside the years 1677 to 2262".to_owned()
        })
    }

    /// A time, where it lies within the bounds, or what the policy makes of it.
    pub(super) fn plausible(
        &self,
        time: Result<EpochNanos, String>,
        shown: impl Fn() -> String,
    ) -> Result<EpochNanos, String> {
        let bounded = time.and_then(|time| {
            let arrival = self.arrival()?;
            let nanos = i128::from(time.0) - i128::from(arrival.0);
            let beyond = |bound: Option<Duration>, nanos: i128| {
                bound.filter(|bound| nanos > i128::try_from(bound.as_nanos()).unwrap_or(i128::MAX))
            };
            if let Some(bound) = beyond(self.options.time_past_max, -nanos) {
                return Err(format!(
                    "lies more than {} s before the record's arrival",
                    bound.as_secs()
                ));
            }
            if let Some(bound) = beyond(self.options.time_future_max, nanos) {
                return Err(format!(
                    "lies more than {} s after the record's arrival",
                    bound.as_secs()
                ));
            }
            Ok(time)
        });
        match (bounded, self.options.time_absurd) {
            (Ok(time), _) => Ok(time),
            (Err(_), TimePolicy::Arrival) => self.arrival(),
            (Err(problem), TimePolicy::Reject) => Err(format!("{}, which {problem}", shown())),
        }
    }
}

/// What is known of a reading while its fields go by.
pub(super) struct Object<'w, 'a> {
    work: &'w mut Work<'a>,
    device: Option<DeviceId>,
    time: Option<EpochNanos>,
    measures: Vec<(Arc<str>, Value)>,
    dimensions: Vec<(Arc<str>, Arc<str>)>,
}

impl<'de> Fields<'de> for Object<'_, '_> {
    fn verbatim(&self) -> Option<&str> {
        match &self.work.options.time {
            TimeSource::Field { name, .. } => Some(name),
            TimeSource::Own(_) | TimeSource::Arrival => None,
        }
    }

    fn separator(&self) -> &str {
        &self.work.options.separator
    }

    fn named(&mut self, bytes: usize) -> Result<(), String> {
        self.work.names.spend(bytes)
    }

    fn raw(&mut self, text: &'de str) -> Result<(), String> {
        if text == "null" {
            return Ok(());
        }
        // A number may also stand in quotes; a date always does.
        if text.starts_with('"') {
            let unquoted: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
            return self.time_text(&unquoted);
        }
        self.time_text(text)
    }

    fn field(&mut self, name: &str, value: Scalar<'de>) -> Result<(), String> {
        let options = self.work.options;
        if matches!(&options.device_id, DeviceSource::Field(field) if field == name) {
            let device = device_of(name, value)?;
            return self.device_is(name, device);
        }
        if options.exclude.iter().any(|pattern| pattern.meets(name)) {
            return Ok(());
        }
        if options.dimensions.iter().any(|field| field == name) {
            return self.dimension(name, &value.into_text());
        }
        let included = &options.include;
        if !included.is_empty() && !included.iter().any(|pattern| pattern.meets(name)) {
            return Ok(());
        }
        let declared = options.types.get(name).copied();
        let Some(value) = measure(name, value, declared, options.not_finite)? else {
            return Ok(());
        };
        if self.measures.len() >= MEASURES_PER_READING_MAX {
            return Err(format!(
                "more than {MEASURES_PER_READING_MAX} measures in one reading"
            ));
        }
        let name = self.renamed(name)?;
        self.work
            .names
            .charge(FIELD_BYTES + value.metered_bytes())?;
        self.measures.push((name, value));
        Ok(())
    }
}

impl Object<'_, '_> {
    pub(super) fn options(&self) -> &Options {
        self.work.options
    }

    /// The device, by whatever names it.
    pub(super) fn device_is(&mut self, name: &str, device: DeviceId) -> Result<(), String> {
        match self.device.replace(device) {
            Some(_) => Err(twice(name)),
            None => Ok(()),
        }
    }

    /// A field that is a dimension whatever the options say of dimensions, as a tag is.
    pub(super) fn tag(&mut self, name: &str, text: &str) -> Result<(), String> {
        let options = self.work.options;
        if matches!(&options.device_id, DeviceSource::Field(field) if field == name) {
            let device = device_of(name, Scalar::Text(text.into()))?;
            return self.device_is(name, device);
        }
        if options.exclude.iter().any(|pattern| pattern.meets(name)) {
            return Ok(());
        }
        self.dimension(name, text)
    }

    fn dimension(&mut self, name: &str, text: &str) -> Result<(), String> {
        if self.dimensions.len() >= MEASURES_PER_READING_MAX {
            return Err(format!(
                "more than {MEASURES_PER_READING_MAX} dimensions in one reading"
            ));
        }
        let name = self.renamed(name)?;
        self.work.names.charge(FIELD_BYTES + text.len())?;
        self.dimensions.push((name, Arc::from(text)));
        Ok(())
    }

    fn renamed(&mut self, name: &str) -> Result<Arc<str>, String> {
        let name = self
            .work
            .options
            .rename
            .get(name)
            .map_or(name, String::as_str);
        self.work.names.share(name)
    }

    /// The time field as text, in the unit that is configured.
    pub(super) fn time_text(&mut self, text: &str) -> Result<(), String> {
        match &self.work.options.time {
            TimeSource::Field { unit, .. } | TimeSource::Own(unit) => self.time_in(text, *unit),
            TimeSource::Arrival => Ok(()),
        }
    }

    /// The time field as text in this unit.
    pub(super) fn time_in(&mut self, text: &str, unit: TimeUnit) -> Result<(), String> {
        let shown = || format!("{} is {}", self.time_name(), shorten(text));
        let time = self.work.plausible(time::parse(text, unit), shown)?;
        self.time_is(time)
    }

    /// The time, found plausible.
    pub(super) fn time_is(&mut self, time: EpochNanos) -> Result<(), String> {
        match self.time.replace(time) {
            Some(_) => Err(match &self.work.options.time {
                TimeSource::Field { name, .. } => twice(name),
                _ => "the time stands twice".to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn time_name(&self) -> String {
        match &self.work.options.time {
            TimeSource::Field { name, .. } => format!("the time field `{name}`"),
            _ => "the time".to_owned(),
        }
    }

    /// Adds the reading to its record's; or counts it, where nothing was measured.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let device = self.device()?;
        let time = match (self.time, &self.work.options.time) {
            (Some(time), _) => time,
            (None, TimeSource::Arrival) => self.work.arrival()?,
            (None, _) if self.work.options.time_missing == TimePolicy::Arrival => {
                self.work.arrival()?
            }
            (None, _) => return Err(format!("{} is missing", self.time_name())),
        };
        self.add_constants()?;
        self.measures.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.dimensions.sort_by(|(a, _), (b, _)| a.cmp(b));
        let repeated = repeated(&self.measures).or_else(|| repeated(&self.dimensions));
        if let Some(name) = repeated {
            return Err(twice(name));
        }
        let Self { work, .. } = self;
        work.names.expect_measures(self.measures.len());
        if self.measures.is_empty() {
            work.decoded.no_measures += 1;
            return Ok(());
        }
        let index = work.decoded.readings.len();
        if index >= READINGS_PER_RECORD_MAX {
            return Err(format!(
                "more than {READINGS_PER_RECORD_MAX} readings in one record"
            ));
        }
        work.names.charge(READING_BYTES + device.as_str().len())?;
        work.decoded.readings.push(Reading {
            device,
            time,
            measures: self.measures,
            dimensions: self.dimensions,
            shard: work.shard.clone(),
            position: Position {
                seq: work.record.seq.clone(),
                sub: work.sub,
                index: u32::try_from(index).map_err(|_| "too many readings in one record")?,
            },
            arrival: work.record.arrival,
        });
        Ok(())
    }

    fn device(&mut self) -> Result<DeviceId, String> {
        match &self.work.options.device_id {
            DeviceSource::Field(name) => self
                .device
                .take()
                .ok_or_else(|| format!("the device id field `{name}` is missing")),
            DeviceSource::PartitionKey => self
                .partition_key()
                .map(|key| DeviceId::from(key.as_str()))
                .ok_or_else(|| {
                    "the record has no partition key to take the device id from".to_owned()
                }),
            DeviceSource::Constant(device) => Ok(device.clone()),
            DeviceSource::Name => self
                .device
                .take()
                .ok_or_else(|| "nothing names the device".to_owned()),
        }
    }

    fn partition_key(&self) -> Option<&crate::model::PartitionKey> {
        self.work.record.partition_key.as_ref()
    }

    fn add_constants(&mut self) -> Result<(), String> {
        let options = self.work.options;
        for (name, text) in &options.constants {
            let name = self.work.names.share(name)?;
            self.work.names.charge(FIELD_BYTES + text.len())?;
            self.dimensions.push((name, Arc::from(text.as_str())));
        }
        if let Some(name) = &options.partition_key_as {
            let key = self.partition_key().cloned().ok_or_else(|| {
                format!("the record has no partition key to make the dimension `{name}` of")
            })?;
            let name = self.work.names.share(name)?;
            self.work.names.charge(FIELD_BYTES + key.as_str().len())?;
            self.dimensions.push((name, Arc::from(key.as_str())));
        }
        Ok(())
    }
}

fn repeated<V>(sorted: &[(Arc<str>, V)]) -> Option<&str> {
    sorted
        .windows(2)
        .find(|pair| pair[0].0 == pair[1].0)
        .map(|pair| pair[0].0.as_ref())
}

fn twice(name: &str) -> String {
    format!("the field `{}` stands twice", shorten(name))
}
