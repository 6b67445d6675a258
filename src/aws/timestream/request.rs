//! Readings to `WriteRecords`: sorted by series and time, what all share said once.
//!
//! The request's JSON is written here, straight from the readings: the SDK's own records would
//! have each name and value in a text of its own first, a dozen for each reading, which was nearly a
//! quarter of all that a reading cost. The SDK still makes the request around it, signs and sends it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use aws_sdk_timestreamwrite::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_timestreamwrite::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;

use super::measure_name::{MeasureName, same_measures};
use super::{DEVICE_DIMENSION, Table, metered};
use crate::aws::billed::RecordsBytes;
use crate::model::{Reading, Value};

/// Bytes that a reading takes, roughly: room for it is made beforehand.
const READING_BYTES: usize = 640;

/// A request, ready to be sent.
#[derive(Debug)]
pub(super) struct Request {
    /// Its body. What all records share stands in `CommonAttributes`, a dimension either there or
    /// in the records, never in both, which AWS would refuse; a dimension that only some records
    /// have stays in those.
    pub(super) body: String,
    /// For each record sent, its reading's index in the caller's batch.
    pub(super) order: Vec<usize>,
    /// The distinct `measure_name`s, neighbours compared only.
    pub(super) measure_names: Vec<String>,
    /// What Timestream counts of it, in bytes.
    pub(super) metered_bytes: u64,
}

pub(super) fn build(batch: &[Reading], table: &Table) -> Result<Request, String> {
    let mut order: Vec<usize> = (0..batch.len()).collect();
    // Series first, then time: AWS stores and meters sorted batches best. Stable, so that equal
    // batches make equal requests.
    order.sort_by(|a, b| {
        let series = |i: usize| (&batch[i].device, &batch[i].dimensions, batch[i].time);
        series(*a).cmp(&series(*b))
    });
    let names = Names::of(batch, table)?;
    let shared = Shared::of(batch, &names);
    let mut body = String::with_capacity(1024 + batch.len() * READING_BYTES);
    body.push_str(r#"{"DatabaseName":"#);
    text(&mut body, &table.database);
    body.push_str(r#","TableName":"#);
    text(&mut body, &table.table);
    body.push_str(r#","CommonAttributes":"#);
    shared.write(&mut body);
    body.push_str(r#","Records":["#);
    for (place, &index) in order.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        let version = table.version_from_arrival.then(|| version(&batch[index]));
        record(&mut body, &batch[index], names.at(index), &shared, version);
    }
    body.push_str("]}");
    let sent = order.iter().map(|&index| (&batch[index], names.at(index)));
    let metered_bytes = metered::bytes(sent);
    Ok(Request {
        body,
        order,
        metered_bytes,
        measure_names: names.distinct.iter().map(|name| name.to_string()).collect(),
    })
}

/// The measure names of a batch, equal neighbours once.
struct Names<'a> {
    distinct: Vec<Cow<'a, str>>,
    /// For each reading, its name's place there.
    places: Vec<usize>,
}

impl<'a> Names<'a> {
    fn of(batch: &'a [Reading], table: &'a Table) -> Result<Self, String> {
        let mut names = Self {
            distinct: Vec::new(),
            places: Vec::with_capacity(batch.len()),
        };
        let auto = table.measure_name == MeasureName::Auto;
        for (index, reading) in batch.iter().enumerate() {
            if auto && index > 0 && same_measures(&batch[index - 1], reading) {
                names.places.push(names.distinct.len() - 1);
                continue;
            }
            let name = table.measure_name.of(reading);
            let name = name.ok_or("the field that gives the measure name is missing")?;
            if names.distinct.last() != Some(&name) {
                names.distinct.push(name);
            }
            names.places.push(names.distinct.len() - 1);
        }
        Ok(names)
    }

    fn at(&self, index: usize) -> &str {
        &self.distinct[self.places[index]]
    }
}

/// What all readings of a batch share, taken from the first.
struct Shared<'a> {
    device: Option<&'a str>,
    measure_name: Option<&'a str>,
    dimensions: Vec<&'a (Arc<str>, Arc<str>)>,
}

impl<'a> Shared<'a> {
    fn of(batch: &'a [Reading], names: &'a Names<'_>) -> Self {
        let Some(first) = batch.first() else {
            return Self {
                device: None,
                measure_name: None,
                dimensions: Vec::new(),
            };
        };
        let is_shared = |dimension: &&(Arc<str>, Arc<str>)| {
            batch
                .iter()
                .all(|reading| reading.dimensions.contains(dimension))
        };
        Self {
            device: batch
                .iter()
                .all(|reading| reading.device == first.device)
                .then(|| first.device.as_str()),
            measure_name: names
                .distinct
                .iter()
                .all(|name| *name == names.distinct[0])
                .then(|| &*names.distinct[0]),
            dimensions: first.dimensions.iter().filter(is_shared).collect(),
        }
    }

    fn write(&self, to: &mut String) {
        to.push_str(r#"{"MeasureValueType":"MULTI","TimeUnit":"NANOSECONDS""#);
        if let Some(name) = self.measure_name {
            to.push_str(r#","MeasureName":"#);
            text(to, name);
        }
        let all = self
            .dimensions
            .iter()
            .map(|(name, value)| (&**name, &**value));
        dimensions(to, self.device.into_iter(), all);
        to.push('}');
    }
}

/// AWS takes versions from 1. A replay has the same arrivals, hence the same versions.
fn version(reading: &Reading) -> i64 {
    reading.arrival.0.max(1)
}

fn record(
    to: &mut String,
    reading: &Reading,
    name: &str,
    shared: &Shared<'_>,
    version: Option<i64>,
) {
    to.push_str(r#"{"Time":""#);
    plain(to, reading.time);
    to.push('"');
    if let Some(version) = version {
        to.push_str(r#","Version":"#);
        plain(to, version);
    }
    if shared.measure_name.is_none() {
        to.push_str(r#","MeasureName":"#);
        text(to, name);
    }
    let device = shared.device.is_none().then(|| reading.device.as_str());
    let own = reading.dimensions.iter();
    let own = own.filter(|own| !shared.dimensions.contains(own));
    dimensions(
        to,
        device.into_iter(),
        own.map(|(name, value)| (&**name, &**value)),
    );
    to.push_str(r#","MeasureValues":["#);
    for (place, (name, value)) in reading.measures.iter().enumerate() {
        if place > 0 {
            to.push(',');
        }
        to.push_str(r#"{"Name":"#);
        text(to, name);
        measure(to, value);
    }
    to.push_str("]}");
}

fn dimensions<'a>(
    to: &mut String,
    device: impl Iterator<Item = &'a str>,
    others: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let device = device.map(|device| (DEVICE_DIMENSION, device));
    let mut open = false;
    for (name, value) in device.chain(others) {
        to.push_str(if open { "," } else { r#","Dimensions":["# });
        open = true;
        to.push_str(r#"{"Name":"#);
        text(to, name);
        to.push_str(r#","Value":"#);
        text(to, value);
        to.push('}');
    }
    if open {
        to.push(']');
    }
}

/// A value and its type. Rust writes the shortest decimal that reads back as the same f64, never
/// with an exponent, which AWS does not document as accepted.
fn measure(to: &mut String, value: &Value) {
    to.push_str(r#","Value":"#);
    let kind = match value {
        Value::Text(value) => {
            text(to, value);
            "VARCHAR"
        }
        Value::Bool(value) => quoted(to, value, "BOOLEAN"),
        Value::Int(value) => quoted(to, value, "BIGINT"),
        Value::Double(value) => quoted(to, Decimal(*value), "DOUBLE"),
    };
    to.push_str(r#","Type":""#);
    to.push_str(kind);
    to.push_str(r#""}"#);
}

/// A number in as few digits as read back as it, and never with an exponent. Of two that are as short and
/// as near, the faster way may write the other than Rust does: both are that number.
struct Decimal(f64);

impl fmt::Display for Decimal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = ryu::Buffer::new();
        let text = digits.format(self.0);
        let is_plain = self.0.is_finite() && !text.contains('e');
        match is_plain {
            true => to.write_str(text.strip_suffix(".0").unwrap_or(text)),
            false => write!(to, "{}", self.0),
        }
    }
}

fn quoted(to: &mut String, value: impl fmt::Display, kind: &'static str) -> &'static str {
    to.push('"');
    plain(to, value);
    to.push('"');
    kind
}

/// Digits, letters and signs: nothing that JSON escapes.
fn plain(to: &mut String, value: impl fmt::Display) {
    write!(to, "{value}").expect("a string takes any text");
}

/// A JSON string.
fn text(to: &mut String, value: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(is_plain) {
        to.push('"');
        to.push_str(value);
        to.push('"');
    } else {
        to.push_str(&serde_json::to_string(value).expect("text is JSON"));
    }
}

/// Puts the body that was written here in the place of the SDK's, and says what it counts as.
#[derive(Debug)]
pub(super) struct Body {
    json: String,
    metered_bytes: u64,
}

impl Body {
    /// A request's, which is not needed any more.
    pub(super) fn of(request: &mut Request) -> Self {
        Self {
            json: std::mem::take(&mut request.body),
            metered_bytes: request.metered_bytes,
        }
    }
}

impl Intercept for Body {
    fn name(&self) -> &'static str {
        "Body"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let metered = RecordsBytes(self.metered_bytes);
        config.interceptor_state().store_put(metered);
        let request = context.request_mut();
        let length = self.json.len().to_string();
        request.headers_mut().insert("content-length", length);
        *request.body_mut() = SdkBody::from(self.json.as_str());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_reads_back_as_itself_and_is_as_short_as_rust_has_it(bits in any::<u64>(), tenths in -1_000_000_i32..1_000_000) {
            for number in [f64::from_bits(bits), f64::from(tenths) / 10.0, f64::from(tenths)] {
                let text = Decimal(number).to_string();
                prop_assert_eq!(text.len(), number.to_string().len());
                prop_assert!(!number.is_finite() || !text.contains('e'));
                let back: f64 = text.parse().unwrap();
                prop_assert!(back.to_bits() == number.to_bits() || number.is_nan());
            }
        }
    }
}
