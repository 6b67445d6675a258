//! `tidewire feed FILE|-`: readings from a file or standard input onto a stream.

use std::fmt::Write as _;
use std::future::Future;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::AsyncRead;

use super::failure::Failure;
use crate::aws::kinesis::{Kinesis, StreamRef};
use crate::aws::provision::require;
use crate::aws::{Endpoints, Service, Target, explain};
use crate::service::feed::{self, Error, Options, Progress, Report};

/// Put readings from a file or standard input on a stream, one JSON object a line.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file with one reading a line; `-` is standard input.
    #[arg(value_name = "FILE|-")]
    pub input: PathBuf,
    /// The stream's name or ARN [default: the setting source.stream].
    #[arg(long)]
    pub stream: Option<String>,
    /// Readings a second [default: as fast as the stream takes them].
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// Put several readings of a device into one request: many times as fast where few devices
    /// speak, but should the stream refuse some of a request, that device's order breaks.
    #[arg(long)]
    pub fast: bool,
    /// The field with the device's id, dots for nested ones; it becomes the partition key.
    #[arg(long, default_value = "device_id")]
    pub key_field: String,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a number of readings a second, above zero".to_owned()),
    }
}

/// Feeds until the input or `stop` ends it, showing progress on a terminal and one summary line
/// in any case. `stream` is the setting, which `--stream` overrides.
///
/// # Errors
/// No stream is named, it is missing, the input cannot be read, the stream refuses for good, or
/// lines had to be left out.
pub async fn run(
    args: &Args,
    client: aws_sdk_kinesis::Client,
    stream: Option<&str>,
    endpoints: &Endpoints,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Failure> {
    let name = args.stream.as_deref().or(stream).ok_or_else(|| {
        Failure::settings("no stream to feed: give --stream or set `source.stream`")
    })?;
    let stream = StreamRef::from(name);
    let (input, bytes) = open(&args.input).await?;
    require::stream(&client, &stream, endpoints)
        .await
        .map_err(|unmet| Failure::new(unmet.says))?;
    let mut options = Options {
        key_field: args.key_field.clone(),
        ..Options::default()
    };
    options.limits.rate = args.rate;
    if args.fast {
        options.limits.run_max = options.limits.batch_records_max;
    }
    let bar = bar(bytes);
    let put = Arc::new(Kinesis::new(client, stream));
    let fed = feed::feed(put, input, &options, stop, |progress| show(&bar, progress)).await;
    bar.finish_and_clear();
    let report = fed.map_err(|error| Failure::new(said(&error, name, endpoints)))?;
    eprintln!("{}", summary(&report, name));
    match report.progress.left_out {
        0 => Ok(()),
        1 => Err(Failure::new(
            "one line was left out, named above: mend it and feed it alone",
        )),
        many => Err(Failure::new(format!(
            "{many} lines were left out, named above: mend them and feed them alone"
        ))),
    }
}

/// The input, and its length where that is known.
async fn open(path: &Path) -> Result<(Box<dyn AsyncRead + Unpin + Send>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(tokio::io::stdin()), None));
    }
    let unreadable = |error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let about = file.metadata().await.map_err(unreadable)?;
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// A bar for a file, a counter for a pipe; nothing where nobody looks.
fn bar(bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{wide_bar} {bytes}/{total_bytes} {msg} {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes} {msg} {elapsed}",
        ),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_message(format!("{} readings", progress.accepted));
    bar.set_position(progress.bytes);
}

/// What a person should know of an error.
fn said(error: &Error, stream: &str, endpoints: &Endpoints) -> String {
    let Error::Put(failed) = error else {
        return error.to_string();
    };
    let of_environment = Service::Kinesis.endpoint_of_environment();
    let target = Target {
        service: Service::Kinesis,
        endpoint: endpoints.kinesis.as_deref().or(of_environment.as_deref()),
        thing: &format!("stream `{stream}`"),
        makes_it: "aws kinesis create-stream",
    };
    explain(failed, &target)
}

/// One line for what was done, and one for each line left out.
fn summary(report: &Report, stream: &str) -> String {
    let progress = &report.progress;
    let mut text = format!(
        "readings put on `{stream}`: {} of {} lines, {} sent again",
        progress.accepted, progress.lines, progress.again
    );
    let mut add = |line: String| {
        // Writing to a String cannot fail.
        write!(text, "{line}").ok();
    };
    if report.stopped {
        add(format!(
            "; stopped with {} read and not sent",
            progress.held
        ));
    }
    if progress.left_out > 0 {
        add(format!("; {} left out:", progress.left_out));
    }
    for (line, reason) in &report.left_out {
        add(format!("\nline {line}: {reason}"));
    }
    let more = progress
        .left_out
        .saturating_sub(report.left_out.len() as u64);
    if more > 0 {
        add(format!("\nand {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_was_left_out() {
        let report = Report {
            progress: Progress {
                lines: 30,
                accepted: 8,
                left_out: 22,
                ..Progress::default()
            },
            left_out: (1..=20)
                .map(|line| (line, "too large".to_owned()))
                .collect(),
            stopped: false,
        };
        let text = summary(&report, "readings");
        assert!(text.starts_with("readings put on `readings`: 8 of 30 lines, 0 sent again; 22 left out:\nline 1: too large\n"), "{text}");
        assert!(text.ends_with("line 20: too large\nand 2 more"), "{text}");
    }

    #[test]
    fn a_rate_is_a_number_above_zero() {
        assert_eq!(rate("2.5"), Ok(2.5));
        for text in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
