//! `tidewire replay`: a range of the stream, or the dead letters, into the sinks again.

mod dry_run;
mod letters;
mod progress;
mod stream;

use std::path::Path;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::process;
use crate::decode;
use crate::model::{EpochMillis, EpochNanos, SequenceNumber, calendar};
use crate::service::replay::bounded::Place;
use crate::service::settings::{Settings, WorkerSettings};
use crate::service::shutdown::{Shutdown, Signals};
use crate::service::tasks::Tasks;

/// Read again into the sinks: the dead letters, or a range of the stream.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Put the dead letters through the pipeline again, as the settings are now
    ///
    /// A letter goes to the sink that it is of, one that did not decode to every store. It is
    /// removed when those have taken it; what fails again stays as it was.
    Letters(letters::Args),
    /// Read a range of the stream again, beside running workers and their leases
    ///
    /// Both ends belong to the range. A shard's records keep their order, children are read after
    /// their parents. It is safe to repeat: the same record makes the same rows. Live viewers get
    /// nothing of it unless `--only` names the queue.
    Stream(stream::Args),
}

/// A sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sink {
    /// The Timestream tables.
    Timestream,
    /// The InfluxDB.
    Influx,
    /// The live queues.
    Queue,
}

impl Sink {
    /// As it is written on the command line.
    fn as_str(self) -> &'static str {
        match self {
            Self::Timestream => "timestream",
            Self::Influx => "influx",
            Self::Queue => "queue",
        }
    }
}

/// Runs one replay to its end.
///
/// # Errors
/// Something needed is missing, it was interrupted, or not all of it could be written.
pub fn run(args: &Args, config: Option<&Path>) -> Result<(), Failure> {
    let settings = Settings::load_from_process(config)?;
    let process = process::Process::begin(&settings.log)?;
    process.runtime.block_on(async {
        match &args.what {
            What::Letters(args) => Box::pin(letters::run(args, &settings)).await,
            What::Stream(args) => Box::pin(stream::run(args, &settings)).await,
        }
    })
}

/// The settings with only these sinks in them.
fn with_sinks(settings: &Settings, sinks: &[Sink]) -> Result<WorkerSettings, Failure> {
    let mut needs = settings.worker()?;
    let lacks = |name: &str| {
        Failure::settings(format!(
            "`--only {name}`: the settings have no such sink; give its section in the config"
        ))
    };
    let has = |sink| sinks.contains(&sink);
    if !has(Sink::Timestream) {
        needs.timestream = None;
    } else if needs.timestream.is_none() {
        return Err(lacks("timestream"));
    }
    if !has(Sink::Influx) {
        needs.influx = None;
    } else if needs.influx.is_none() {
        return Err(lacks("influx"));
    }
    if !has(Sink::Queue) {
        needs.queue_urls.clear();
    } else if needs.queue_urls.is_empty() {
        return Err(lacks("queue"));
    }
    Ok(needs)
}

/// The stores that the settings have. The live queue is none of them: viewers would see what was,
/// as if it were now.
fn stores(settings: &Settings) -> Result<Vec<Sink>, Failure> {
    let needs = settings.worker()?;
    let timestream = needs.timestream.map(|_| Sink::Timestream);
    let influx = needs.influx.map(|_| Sink::Influx);
    Ok(timestream.into_iter().chain(influx).collect())
}

/// Digits that a time in milliseconds has at most; a sequence number has 56.
const TIME_DIGITS_MAX: usize = 19;

/// A time (RFC 3339, or milliseconds since the epoch) or a sequence number.
fn place(text: &str) -> Result<Place, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() > TIME_DIGITS_MAX {
        let seq = text.parse::<SequenceNumber>();
        return seq.map(Place::Record).map_err(|error| error.to_string());
    }
    match text.parse() {
        Ok(millis) => Ok(Place::Time(EpochMillis(millis))),
        Err(_) => decode::date(text).map(Place::Time).map_err(|why| {
            format!("{text} {why}; a time such as 2026-03-01T12:00:00Z, milliseconds, or a sequence number are taken")
        }),
    }
}

/// A place as [`place`] reads it.
fn written(place: &Place) -> String {
    match place {
        Place::Record(seq) => seq.to_string(),
        Place::Time(time) => match EpochNanos::from_millis(time.0) {
            Some(nanos) => calendar::written(nanos),
            None => time.to_string(),
        },
    }
}

/// Runs work that finishes what it has begun when the process is asked to end. A second signal, or
/// the end of the grace period, drops it: `None`.
async fn until_signalled<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(CancellationToken) -> T,
) -> Result<(Option<T>, u8), Failure> {
    let shutdown = Shutdown::new(Duration::from_secs(settings.shutdown.grace_s));
    let signals = Signals::of_the_process();
    let signals = signals.map_err(|error| Failure::new(format!("no signals: {error}")))?;
    let tasks = Tasks::new();
    tasks.spawn("signals", shutdown.clone().run(signals));
    let ended = tokio::select! {
        biased;
        () = shutdown.forced().cancelled() => None,
        ended = Box::pin(work(shutdown.draining().clone())) => Some(ended),
    };
    Ok((ended, shutdown.exit_code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_time_or_a_sequence_number() {
        let at = Ok(Place::Time(EpochMillis(1_700_000_000_500)));
        assert_eq!(place("1700000000500"), at);
        assert_eq!(place("2023-11-14T22:13:20.5Z"), at);
        let seq = "49590338271490256608559692538361571095921575989136588898";
        assert!(matches!(place(seq), Ok(Place::Record(found)) if found.as_str() == seq));
        assert!(place("yesterday").is_err());
        for text in ["2023-11-14T22:13:20.500Z", seq] {
            let found = place(text).expect("a place");
            assert_eq!(place(&written(&found)), Ok(found), "{text}");
        }
    }
}
