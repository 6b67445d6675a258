//! The readings: each 250 bytes of JSON, as a device would send them, and the records around them
//! as `GetRecords` answers them.

use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of one reading's payload.
pub(crate) const PAYLOAD_BYTES: usize = 250;
/// The first reading's time, milliseconds; every further one is a millisecond later, so that its
/// time names it.
pub(crate) const FIRST_MS: u64 = 1_790_000_000_000;
/// Devices that send in turn.
const DEVICES: usize = 1_000;
/// What a sequence number begins with: they have 56 digits.
const SEQ_BEFORE: &str = "4966338271490256608559692538361571095921";

/// A shard's records, joined by commas.
#[derive(Debug)]
pub(crate) struct Shard {
    bytes: Vec<u8>,
    /// Where each record begins, and the end with a comma after it.
    starts: Vec<usize>,
}

impl Shard {
    /// The records of one shard of several; reading `n` is on shard `n` modulo their number.
    pub(crate) fn prepare(shard: usize, shards: usize, readings: usize) -> Self {
        let mut made = Self {
            bytes: Vec::new(),
            starts: vec![0],
        };
        let mut text = String::new();
        for n in (shard..readings).step_by(shards) {
            text.clear();
            record(&mut text, n, made.len());
            text.push(',');
            made.bytes.extend_from_slice(text.as_bytes());
            made.starts.push(made.bytes.len());
        }
        made
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Records as they stand in an answer, commas between them.
    pub(crate) fn records(&self, range: Range<usize>) -> &[u8] {
        if range.is_empty() {
            return &[];
        }
        &self.bytes[self.starts[range.start]..self.starts[range.end] - 1]
    }

    /// An answer with these records.
    pub(crate) fn answer(&self, shard: usize, range: Range<usize>) -> Vec<u8> {
        let records = self.records(range.clone());
        let mut body = Vec::with_capacity(records.len() + 400);
        body.extend_from_slice(br#"{"Records":["#);
        body.extend_from_slice(records);
        let behind = u64::from(range.end < self.len()) * 1_000;
        // Kinesis's iterators are some 220 characters long.
        let iterator = format!("{shard}:{}:{:A<200}", range.end, "");
        let after =
            format!(r#"],"NextShardIterator":"{iterator}","MillisBehindLatest":{behind}}}"#);
        body.extend_from_slice(after.as_bytes());
        body
    }
}

/// The sequence number of a shard's record.
pub(crate) fn sequence_number(index: usize) -> String {
    format!("{SEQ_BEFORE}{index:016}")
}

/// The record that a sequence number names.
pub(crate) fn index_of(sequence_number: &str) -> Option<usize> {
    sequence_number.strip_prefix(SEQ_BEFORE)?.parse().ok()
}

fn record(text: &mut String, n: usize, index: usize) {
    let device = n % DEVICES;
    let at_ms = FIRST_MS + n as u64;
    let (seconds, millis) = (at_ms / 1000, at_ms % 1000);
    let data = STANDARD.encode(payload(n, device, at_ms));
    let written = write!(
        text,
        r#"{{"SequenceNumber":"{}","ApproximateArrivalTimestamp":{seconds}.{millis:03},"Data":"{data}","PartitionKey":"sensor-{device:05}"}}"#,
        sequence_number(index),
    );
    written.expect("a string takes any text");
}

fn payload(n: usize, device: usize, at_ms: u64) -> String {
    let mut text = format!(
        r#"{{"device_id":"sensor-{device:05}","ts":{at_ms},"site":"plant-{:02}","temperature":{}.{:02},"humidity":{}.{},"pressure":1{:03}.{:02},"vibration":0.0{:03},"battery":3.{:02},"rssi":-{},"open":{},"firmware":"1.14.{}","status":""#,
        device % 20,
        15 + n % 20,
        n % 100,
        30 + n % 50,
        n % 10,
        n % 40,
        n % 97,
        n % 998 + 1,
        n % 89,
        40 + n % 50,
        n.is_multiple_of(7),
        n % 10,
    );
    let end = "\"}";
    while text.len() + end.len() < PAYLOAD_BYTES {
        text.push(char::from(b'a' + (text.len() % 26) as u8));
    }
    text.push_str(end);
    assert_eq!(text.len(), PAYLOAD_BYTES, "{text}");
    text
}
