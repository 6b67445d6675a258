//! `tidewire local`: all of it on this machine.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::process::{self, Process};
use crate::local::drill::plan::Fault;
use crate::local::mqtt;
use crate::local::mqtt::rule::{Rule, Template};
use crate::local::stand::{Options, Stand};
use crate::service::http::Probes;
use crate::service::settings::Settings;
use crate::service::shutdown::Shutdown;

/// A whole system on 127.0.0.1: Kinesis, DynamoDB, SQS, Timestream and a WebSocket API embedded,
/// workers, a broadcaster, devices, and a page that shows them live.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Simulated devices; 0 starts without any, for readings of your own
    #[arg(long, default_value_t = 40, value_name = "N")]
    devices: usize,
    /// Readings a second, of all simulated devices together
    #[arg(long, default_value_t = 100, value_name = "N")]
    rate: u32,
    /// Shards of the stream
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    shards: u16,
    /// Workers that share the shards, each as if it were a process of its own; 0 for none
    #[arg(long, default_value_t = 1, value_name = "N")]
    workers: usize,
    /// How workers read the stream: polling, fan-out or auto, as `source.mode`
    #[arg(long, default_value = "polling", value_name = "MODE", value_parser = ["polling", "fan-out", "auto"])]
    mode: String,
    /// Join what a viewer is owed over so many milliseconds, as `broadcaster.window_ms`: each message is billed
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    window_ms: u64,
    /// Send a trace of every reading to this collector, as in `http://127.0.0.1:4318` (OTLP over HTTP)
    #[arg(long, value_name = "URL", value_parser = collector)]
    traces: Option<String>,
    /// The first of eight ports to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 7400, value_name = "PORT")]
    port_base: u16,
    /// Keep readings in Timestream's memory store for so many hours, as AWS does, rather than take
    /// any past time: conflicts in older data are then answered 200 and go to a rejection file
    #[arg(long, value_name = "HOURS")]
    memory_store_hours: Option<u64>,
    /// Keep so many MiB of records in Kinesis: beyond, the oldest are dropped, as if past retention
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..))]
    retain_mib: u16,
    /// Which MQTT messages go onto the stream, and as what: a statement of AWS IoT SQL
    #[arg(long, default_value = mqtt::RULE, value_name = "SQL", value_parser = Rule::parse)]
    rule: Rule,
    /// The partition key of their records
    #[arg(long, default_value = mqtt::KEY, value_name = "TEMPLATE", value_parser = Template::parse)]
    rule_key: Template,
    /// Keep what can outlive the stand in this directory, and go on from there: the stream's records,
    /// leases and checkpoints, rows, queues
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Take more in a second than AWS does, of a shard and of an account: for load tests
    #[arg(long)]
    unlimited: bool,
    /// What is to go wrong on purpose, and when: WHAT:KIND[@AFTER][+FOR], as often as wanted. WHAT is
    /// kinesis, dynamodb, sqs, timestream or apigateway, KIND throttle, outage, slow[=TIME] or
    /// lost-answer; or worker:kill, worker:start, shard:split, shard:merge
    #[arg(long, value_name = "FAULT", value_parser = Fault::parse)]
    fault: Vec<Fault>,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Print where everything is as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A URL as it can stand in the stand's config file.
fn collector(text: &str) -> Result<String, &'static str> {
    let begins = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let plain = text
        .chars()
        .all(|char| char.is_ascii_graphic() && !"\"\\@".contains(char));
    match begins && plain {
        true => Ok(text.to_owned()),
        false => Err("expected a URL that begins with `http://` or `https://`"),
    }
}

/// Seconds in which the services drain after Ctrl-C; a second Ctrl-C ends at once.
const GRACE: Duration = Duration::from_secs(10);

/// Starts the stand and runs it until a signal.
///
/// # Errors
/// A part did not start, or ended by itself.
pub fn run(args: &Args) -> Result<(), Failure> {
    // The stand's own log settings are those of a process without a config file.
    let settings = Settings::load(None, |name| {
        name.starts_with("TIDEWIRE_LOG__")
            .then(|| std::env::var(name).ok())?
    })?;
    let process = Process::begin(&settings.log)?;
    let options = Options {
        devices: args.devices,
        rate: args.rate,
        shards: args.shards,
        workers: args.workers,
        mode: args.mode.clone(),
        window_ms: args.window_ms,
        data_dir: args.data_dir.clone(),
        unlimited: args.unlimited,
        faults: args.fault.clone(),
        traces: args.traces.clone(),
        rule: (args.rule.clone(), args.rule_key.clone()),
        port_base: args.port_base,
        memory_store_hours: args.memory_store_hours,
        retained_bytes: u64::from(args.retain_mib) * 1024 * 1024,
    };
    process.runtime.block_on(async {
        let (mut stand, listener) = Box::pin(Stand::start(&options, GRACE)).await?;
        let shutdown = Shutdown::new(GRACE);
        let view = Arc::clone(&stand.view);
        let seen = Arc::clone(&stand.view);
        let probes = Probes {
            beats: stand.beats.clone(),
            ready: Arc::new(move || seen.ready()),
            state: Arc::new(move || view.state()),
        };
        show(args.json, &stand)?;
        if args.open {
            open(&stand.card.page);
        }
        let asked = shutdown.draining().clone();
        let work = async move {
            let failed = tokio::select! {
                biased;
                () = asked.cancelled() => Ok(()),
                failure = stand.failed() => Err(failure),
            };
            stand.end().await;
            failed
        };
        process::serve(listener, process.metrics.clone(), probes, shutdown, work).await
    })
}

fn show(json: bool, stand: &Stand) -> Result<(), Failure> {
    if !json {
        println!("{}", stand.card.for_people());
        return Ok(());
    }
    let line = serde_json::to_string(&stand.card);
    println!("{}", line.map_err(|error| Failure::new(error.to_string()))?);
    Ok(())
}

/// Opens the page in whatever this system opens pages with; that it cannot is only a remark.
fn open(page: &str) {
    let opener = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let started = std::process::Command::new(opener)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        tracing::warn!(opener, %error, "the page cannot be opened from here: open {page} yourself");
    }
}
