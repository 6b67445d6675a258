//! `tidewire decode FILE|-`: what a payload becomes under the settings, or why it becomes nothing.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{SerializeMap as _, Serializer as _};

use super::failure::Failure;
use super::{decoding, options};
use crate::decode::aggregate::Aggregate;
use crate::decode::{self, Decoder};
use crate::model::{EpochMillis, PartitionKey, Reading, Record, SequenceNumber, ShardId, calendar};
use crate::service::clock;
use crate::service::settings::Settings;

/// A record of Kinesis has no more.
const RECORD_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Show what a payload becomes under the settings of `--config`, or why not (exit code 1).
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file with one record's payload; `-` is standard input.
    #[arg(value_name = "FILE|-")]
    pub input: PathBuf,
    /// The payload is written in base64, as dead letters and the AWS CLI write it.
    #[arg(long)]
    pub base64: bool,
    /// The record's partition key.
    #[arg(long, value_name = "KEY", default_value = "key")]
    pub partition_key: String,
    /// When the record arrived: milliseconds since the epoch, or a time such as
    /// 2026-03-01T12:00:00Z [default: now].
    #[arg(long, value_name = "TIME", value_parser = arrival)]
    pub arrival: Option<EpochMillis>,
    /// One JSON object a reading also on a terminal.
    #[arg(long)]
    pub json: bool,
}

fn arrival(text: &str) -> Result<EpochMillis, String> {
    match text.parse() {
        Ok(millis) => Ok(EpochMillis(millis)),
        Err(_) => decode::date(text).map_err(|why| format!("{text} {why}")),
    }
}

/// Decodes the input and prints its readings: JSON lines, or a table on a terminal.
///
/// # Errors
/// The input cannot be read, or some of it would be a dead letter.
pub fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let record = Record {
        sub: 0,
        seq: "0".parse::<SequenceNumber>().expect("a decimal"),
        partition_key: Some(PartitionKey::from(args.partition_key.as_str())),
        arrival: args.arrival.unwrap_or_else(clock::wall),
        data: input(&args.input, args.base64)?.into(),
    };
    let shown = Shown::of(record, settings);
    let table = !args.json && std::io::stdout().is_terminal();
    let text = if table { shown.table() } else { shown.lines() };
    super::print(&text)?;
    for note in &shown.notes {
        eprintln!("{note}");
    }
    match shown.problems.as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::new(one.clone())),
        many => Err(Failure::new(format!(
            "{} dead letters:\n{}",
            many.len(),
            many.join("\n")
        ))),
    }
}

fn input(path: &Path, base64: bool) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let mut from: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(unreadable)?)
    };
    // In base64 there is a third more, and line breaks.
    let bytes_max = if base64 { 2 } else { 1 } * RECORD_BYTES_MAX;
    let mut bytes = Vec::new();
    let read = from.by_ref().take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if base64 {
        bytes.retain(|byte| !byte.is_ascii_whitespace());
        bytes = STANDARD
            .decode(&bytes)
            .map_err(|error| Failure::new(format!("the input is not base64: {error}")))?;
    }
    if bytes.len() as u64 > RECORD_BYTES_MAX {
        return Err(Failure::new(format!(
            "the input is larger than {RECORD_BYTES_MAX} bytes, the most that a record of Kinesis holds: give one record at a time"
        )));
    }
    Ok(bytes)
}

/// What a record becomes.
#[derive(Debug, Default)]
pub struct Shown {
    /// Its readings.
    pub readings: Vec<Reading>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What would be dead letters, each a sentence.
    pub problems: Vec<String>,
}

impl Shown {
    /// Decodes a record as a worker with these settings would.
    #[must_use]
    pub fn of(record: Record, settings: &Settings) -> Self {
        let mut shown = Self::default();
        let mut decoder = Decoder::new(Arc::new(decoding::options(&settings.decode)));
        match Aggregate::open(&record) {
            Err(error) => shown.problems.push(error.to_string()),
            Ok(None) => shown.add(&mut decoder, &record, None, settings),
            Ok(Some(aggregate)) => {
                for one in aggregate.user_records() {
                    shown.add(&mut decoder, &one.record, Some(one.sub), settings);
                }
            }
        }
        shown
    }

    fn add(
        &mut self,
        decoder: &mut Decoder,
        record: &Record,
        sub: Option<u64>,
        settings: &Settings,
    ) {
        let whose = |what: String| match sub {
            Some(sub) => format!("user record {sub}: {what}"),
            None => what,
        };
        let decoded = decoder.decode(&ShardId::from("shardId-0"), record, sub.unwrap_or(0));
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return self.problems.push(whose(error.to_string())),
        };
        if decoded.no_measures > 0 {
            let objects = decoded.no_measures;
            let note =
                format!("{objects} without anything measured: skipped, counted as no_measures");
            self.notes.push(whose(note));
        }
        // The limits are those of every table, whichever the reading is meant for.
        let target = settings.worker().ok().and_then(|needs| needs.timestream);
        let table = target.and_then(|target| options::timestream_tables(settings, &target).pop());
        for reading in decoded.readings {
            let refused = table.as_ref().and_then(|table| table.check(&reading).err());
            if let Some(why) = refused {
                let i = reading.position.index;
                let what = format!("reading {i}: Timestream will not take it: {why}");
                self.problems.push(whose(what));
            }
            self.readings.push(reading);
        }
    }

    /// One JSON object a reading.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut text = String::new();
        for reading in &self.readings {
            text.push_str(&json(reading));
            text.push('\n');
        }
        text
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![["DEVICE", "TIME", "MEASURES", "DIMENSIONS"].map(str::to_owned)];
        for reading in &self.readings {
            let measures = reading.measures.iter().map(|(name, value)| {
                let value = serde_json::to_string(value).unwrap_or_default();
                format!("{name}={value}")
            });
            let dimensions = reading.dimensions.iter();
            let dimensions = dimensions.map(|(name, text)| format!("{name}={text}"));
            rows.push([
                reading.device.to_string(),
                calendar::written(reading.time),
                measures.collect::<Vec<_>>().join(" "),
                dimensions.collect::<Vec<_>>().join(" "),
            ]);
        }
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        let mut text = String::new();
        for [device, time, measures, dimensions] in &rows {
            let [a, b, c] = widths;
            let line = format!("{device:a$}  {time:b$}  {measures:c$}  {dimensions}");
            // Writing to a String cannot fail.
            writeln!(text, "{}", line.trim_end()).ok();
        }
        text
    }
}

/// A reading as it travels to viewers, without where it was read.
fn json(reading: &Reading) -> String {
    let mut bytes = Vec::new();
    let mut to = serde_json::Serializer::new(&mut bytes);
    let written = to.serialize_map(None).and_then(|mut map| {
        map.serialize_entry("device_id", &reading.device)?;
        map.serialize_entry("time_ns", &reading.time.to_string())?;
        map.serialize_entry("measures", &Pairs(&reading.measures))?;
        if !reading.dimensions.is_empty() {
            map.serialize_entry("dimensions", &Pairs(&reading.dimensions))?;
        }
        map.serialize_entry("sub", &reading.position.sub)?;
        map.serialize_entry("i", &reading.position.index)?;
        map.end()
    });
    written.expect("a reading has only text keys");
    String::from_utf8(bytes).expect("JSON is text")
}

struct Pairs<'a, V>(&'a [(Arc<str>, V)]);

impl<V: serde::Serialize> serde::Serialize for Pairs<'_, V> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_is_a_number_or_a_date() {
        assert_eq!(arrival("1700000000000"), Ok(EpochMillis(1_700_000_000_000)));
        assert_eq!(
            arrival("2023-11-14T22:13:20.5Z"),
            Ok(EpochMillis(1_700_000_000_500))
        );
        assert!(arrival("soon").is_err());
    }

    #[test]
    fn people_see_a_table() {
        let settings = Settings::load(None, |_| None).unwrap();
        let record = Record {
            sub: 0,
            seq: "0".parse().unwrap(),
            partition_key: None,
            arrival: EpochMillis(1_700_000_000_000),
            data: br#"[{"device_id":"a","t":1.5,"on":true},{"device_id":"pump-1","s":"x y"}]"#
                .to_vec()
                .into(),
        };
        let expected = "\
DEVICE  TIME                  MEASURES       DIMENSIONS
a       2023-11-14T22:13:20Z  on=true t=1.5
pump-1  2023-11-14T22:13:20Z  s=\"x y\"
";
        assert_eq!(Shown::of(record, &settings).table(), expected);
    }
}
