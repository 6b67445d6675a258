//! Floor 5: the command line.

mod ask;
pub mod broadcaster;
mod consumers;
pub mod decode;
pub mod decoding;
pub mod doctor;
pub mod failure;
pub mod feed;
pub mod gateway;
pub mod health;
pub mod leases;
#[cfg(feature = "local")]
pub mod local;
pub mod options;
pub mod parts;
pub mod process;
pub mod replay;
pub mod store;
pub mod top;
mod traces;
pub mod worker;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::service::settings::Settings;
use crate::service::telemetry::build;
use failure::Failure;

/// Live sensor data from a Kinesis stream into a time-series store and onto people's screens,
/// losing nothing.
///
/// Try it on this machine, with all of AWS embedded:  tidewire local
#[derive(Debug, Parser)]
#[command(name = "tidewire", version, long_version = build::LONG.as_str(), max_term_width = 100)]
pub struct Cli {
    /// The settings, a TOML file (docs/configuration.md); each key is also a variable
    /// `TIDEWIRE_SECTION__KEY`, which wins
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Lease shards, read them, write readings to Timestream or InfluxDB and to SQS
    Worker,
    /// Push live readings from SQS to the viewers of the WebSocket API
    Broadcaster,
    /// Serve the WebSocket API's routes as a Lambda function
    Gateway,
    /// Run all of it on this machine, AWS embedded, with simulated devices and a live page
    #[cfg(feature = "local")]
    Local(local::Args),
    /// Put readings on the stream, one JSON object a line
    Feed(feed::Args),
    /// Look at the lease table, and change it: release, reset, hand over, repair, adopt
    ///
    /// Beside running workers or without. Each change is shown first and asked about (or takes
    /// --yes), is written only if the lease is still as it was seen, and is reported lease by
    /// lease. A shard is named by its id or by the number in it (`7` for shardId-000000000007).
    Leases(leases::Args),
    /// Watch a running fleet: lag, leases and rates by shard and worker, viewers and posts
    ///
    /// By the lease table of the config, and by what workers and broadcasters say at /state (--worker,
    /// or the setting top.ask). Without either it finds the local stand that was started last. `q` or
    /// Ctrl-C ends it.
    Top(top::Args),
    /// Read the dead letters, or a range of the stream, again into the sinks
    Replay(replay::Args),
    /// Show what a payload becomes under the settings, or why not
    Decode(decode::Args),
    /// Look whether everything is there that the settings name, and as it should be
    ///
    /// Each line is green, yellow (it works, and will bite) or red, with the remedy; exits 1 if
    /// one is red. It changes nothing: one post goes to a connection that cannot exist.
    Doctor(doctor::Args),
    /// Ask a running worker or broadcaster whether it is well (for container checks)
    Health(health::Health),
}

/// Runs a command to its end.
///
/// # Errors
/// Why it failed, for a person, with the exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let config = cli.config.as_deref();
    match cli.command {
        Command::Worker => process::worker(&load(config)?),
        Command::Broadcaster => process::broadcaster(&load(config)?),
        Command::Gateway => process::gateway(&load(config)?),
        #[cfg(feature = "local")]
        Command::Local(args) => local::run(&args),
        Command::Decode(args) => decode::run(&args, &load(config)?),
        Command::Doctor(args) => doctor::run(&args, &load(config)?),
        Command::Feed(args) => process::feed(&args, config),
        Command::Leases(args) => leases::run(&args, config),
        Command::Replay(args) => replay::run(&args, config),
        Command::Top(args) => top::run(&args, config),
        Command::Health(health) => process::health(&health, &load(config)?),
    }
}

fn load(config: Option<&Path>) -> Result<Settings, Failure> {
    Ok(Settings::load_from_process(config)?)
}

/// Writes text to standard output. A reader that has heard enough and gone (`| head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}
