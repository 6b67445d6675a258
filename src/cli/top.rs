//! `tidewire top`: a running fleet in the terminal, by the lease table and by what workers and
//! broadcasters say at `/state`.

mod columns;
mod draw;
mod fleet;
mod look;
mod memory;
mod screen;
mod state;
#[cfg(test)]
mod tests;
mod words;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::failure::Failure;
use super::{leases, process};
use crate::aws::Service;
use crate::service::settings::Settings;
use crate::service::shutdown::Signals;

use draw::{Size, draw};
use fleet::Fleet;
use look::{Look, Places};
use memory::Memory;
use screen::Screen;

/// What [`run`] is asked; the help for people stands with the subcommand.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Ask this worker or broadcaster for `/state`, too, beside those of the setting top.ask; may be
    /// given several times
    #[arg(long = "worker", visible_alias = "broadcaster", value_name = "URL")]
    ask: Vec<String>,
    /// The local stand that was started last, whatever the environment names
    #[arg(long, conflicts_with = "config")]
    local: bool,
    /// Look twice, print the second look as plain text (or JSON), and end
    #[arg(long)]
    once: bool,
    /// Print each look as one line of JSON
    #[arg(long)]
    json: bool,
    /// Seconds between two looks. Each reads the whole lease table, as each worker does every 0.8 s
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    every: Duration,
    /// How old the first record after each checkpoint is, as of leases list: costs one `GetRecords` of a
    /// single record a shard at each look, of the five a second that a shard allows all its readers
    #[arg(long)]
    lag: bool,
    /// The lease table [default: the setting lease.table]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

/// A worker publishes its state twice a second, so nothing is newer; an hour is no view any more.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.5..=3_600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("seconds, from 0.5 to 3600".to_owned()),
    }
}

/// How often keys and the size of the terminal are looked at.
const KEYS_EVERY: Duration = Duration::from_millis(100);

/// Shows the fleet until somebody has seen enough.
///
/// # Errors
/// There is nothing to look at, or no place to draw on.
pub fn run(args: &Args, config: Option<&Path>) -> Result<(), Failure> {
    let draws = !args.once && !args.json;
    if draws && !io::stdout().is_terminal() {
        return Err(Failure::settings(
            "standard output is no terminal: give `--once` for one look as text, or `--json` for a line \
             of JSON a look",
        ));
    }
    let (settings, table) = settings(args, config)?;
    let runtime = match draws {
        // Log lines would be drawn over.
        true => process::runtime()?,
        false => process::Process::begin(&settings.log)?.runtime,
    };
    runtime.block_on(async {
        let mut view = View::open(args, &settings, table).await?;
        let signals = Signals::of_the_process();
        let mut signals = signals.map_err(|error| Failure::new(format!("no signals: {error}")))?;
        let shown = async {
            match draws {
                true => view.draw().await,
                false => view.print(args).await,
            }
        };
        tokio::select! {
            biased;
            _ = signals.next() => Ok(()),
            shown = shown => shown.map_err(|error| Failure::new(format!("standard output: {error}"))),
        }
    })
}

/// The settings, and whether they name a lease table: without a config, a stream or an address,
/// those of the local stand.
fn settings(args: &Args, config: Option<&Path>) -> Result<(Settings, bool), Failure> {
    if args.local {
        let stand = process::local_config().ok_or_else(|| {
            Failure::settings("no local stand runs: start one with `tidewire local`")
        })?;
        return Ok((Settings::load_from_process(Some(&stand))?, true));
    }
    let own = Settings::load_from_process(config)?;
    let named = config.is_some() || own.streams().is_ok() || args.table.is_some();
    let asks = !args.ask.is_empty() || !own.top.ask.is_empty();
    let elsewhere = Service::Dynamodb.endpoint_of_environment().is_some();
    match (named || elsewhere, asks) {
        (true, _) => Ok((own, true)),
        (false, true) => Ok((own, false)),
        (false, false) => match process::local_config() {
            Some(_) => Ok((leases::settings(config)?, true)),
            None => Err(Failure::settings(
                "no fleet to look at: name a config with `--config FILE`, or a worker with \
                 `--worker URL`, or start a local stand with `tidewire local`",
            )),
        },
    }
}

struct View {
    places: Places,
    memory: Memory,
    every: Duration,
}

impl View {
    async fn open(args: &Args, settings: &Settings, table: bool) -> Result<Self, Failure> {
        let configured = settings.top.ask.iter().map(|url| url.as_str().to_owned());
        let urls: Vec<String> = configured.chain(args.ask.iter().cloned()).collect();
        let mut places = Places::of(&urls).map_err(Failure::settings)?;
        if table {
            places = places
                .with_table(settings, args.table.clone(), args.lag)
                .await?;
        }
        Ok(Self {
            places,
            memory: Memory::new(Duration::from_millis(settings.lease.duration_ms)),
            every: args.every,
        })
    }

    fn take(&mut self, look: Look) -> Fleet {
        self.memory.take(self.places.table(), look)
    }

    /// For pipes and scripts.
    async fn print(&mut self, args: &Args) -> io::Result<()> {
        loop {
            let next = Instant::now() + self.every;
            let look = self.places.look().await;
            let fleet = self.take(look);
            // The first look has no rates.
            if !args.once || fleet.looks > 1 {
                let text = match args.json {
                    true => format!("{}\n", serde_json::to_string(&fleet)?),
                    false => plain(&fleet),
                };
                match say(&text) {
                    // Who read it has heard enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    said => said?,
                }
                if args.once {
                    return Ok(());
                }
            }
            sleep_until(next).await;
        }
    }

    /// For people.
    async fn draw(&mut self) -> io::Result<()> {
        let colour = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let screen = Screen::enter(colour)?;
        let mut fleet: Option<Fleet> = None;
        let mut next = Instant::now();
        let mut keys = interval(KEYS_EVERY);
        keys.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let at = next;
            let look = async {
                sleep_until(at).await;
                (Instant::now(), self.places.look().await)
            };
            tokio::pin!(look);
            let mut size = screen.size();
            let (began, found) = loop {
                tokio::select! {
                    biased;
                    found = &mut look => break found,
                    _ = keys.tick() => {
                        if screen.wants_to_quit() {
                            return Ok(());
                        }
                        let now = screen.size();
                        if let Some(fleet) = fleet.as_ref().filter(|_| now != size) {
                            size = now;
                            screen.paint(&draw(fleet, size))?;
                        }
                    }
                }
            };
            next = began + self.every;
            let found = self.memory.take(self.places.table(), found);
            screen.paint(&draw(&found, screen.size()))?;
            fleet = Some(found);
        }
    }
}

/// One look without colour, as wide and as long as it is.
fn plain(fleet: &Fleet) -> String {
    let lines = draw(fleet, Size::ENDLESS);
    lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect()
}

fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
