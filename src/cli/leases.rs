//! `tidewire leases`: an operator's look at the lease table, and hand on it.

pub mod args;
mod change;
pub(super) mod lag;
mod show;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::{options, parts, process};
use crate::aws::kinesis::Streams;
use crate::aws::lease_table::DynamoLeases;
use crate::aws::{Clients, Service};
use crate::door::stream::Stream as _;
use crate::lease::Options;
use crate::lease::change::Author;
use crate::lease::lineage::{self, Shards};
use crate::lease::operate::name;
use crate::lease::operate::table::Contents;
use crate::lease::row::Row;
use crate::model::{EpochMillis, ShardId, WorkerId};
use crate::service::clock::Clock;
use crate::service::entropy;
use crate::service::operator::{Operator, Watched};
use crate::service::settings::Settings;

pub use args::Args;
use args::{List, What, Which};
use show::Listing;

/// `LATEST` means this much before "now" by Kinesis's own clock, as it does for a worker.
const LATEST_SLACK_MS: i64 = 2_000;

/// What every command works with.
struct Desk {
    settings: Settings,
    clients: Clients,
    table: String,
    operator: Operator<DynamoLeases>,
    door: Arc<DynamoLeases>,
}

/// Runs one command.
///
/// # Errors
/// Something needed is missing, a change was not agreed to, or not all of it was done.
pub fn run(args: &Args, config: Option<&Path>) -> Result<(), Failure> {
    let settings = settings(config)?;
    let process = process::Process::begin(&settings.log)?;
    process.runtime.block_on(async {
        let desk = Box::pin(Desk::open(settings, args.table.clone())).await?;
        match &args.what {
            What::List(list) => desk.list(list).await,
            What::Release(release) => desk.release(release).await,
            What::Reset(reset) => desk.reset(reset).await,
            What::HandOver(hand_over) => desk.hand_over(hand_over).await,
            What::Repair(consent) => desk.repair(*consent).await,
            What::Adopt(consent) => desk.adopt(*consent).await,
            What::ReadyForJava(consent) => desk.ready_for_java(*consent).await,
        }
    })
}

/// The settings; without a config and a stream in the environment, those of the local stand.
pub(super) fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    let settings = Settings::load_from_process(config)?;
    let named = config.is_some() || settings.streams().is_ok();
    let elsewhere = Service::Dynamodb.endpoint_of_environment().is_some();
    match process::local_config().filter(|_| !named && !elsewhere) {
        Some(path) => Ok(Settings::load_from_process(Some(&path))?),
        None => Ok(settings),
    }
}

/// An operator with a signature that is new with every run.
pub(super) fn operator(door: Arc<DynamoLeases>) -> Operator<DynamoLeases> {
    let signature = entropy::uuid();
    let author = Author {
        me: WorkerId::from(format!("operator-{}", &signature[..8])),
        writer: signature,
    };
    Operator::new(door, author, Clock::start())
}

impl Desk {
    async fn open(settings: Settings, table: Option<String>) -> Result<Self, Failure> {
        let clients = parts::clients(&settings).await?;
        let table = table.unwrap_or_else(|| settings.lease.table.clone());
        let door = Arc::new(parts::lease_table(&table, false, &clients).await?);
        Ok(Self {
            operator: operator(Arc::clone(&door)),
            settings,
            clients,
            table,
            door,
        })
    }

    /// After this without a heartbeat a lease expires.
    fn lease_duration(&self) -> Duration {
        Duration::from_millis(self.settings.lease.duration_ms)
    }

    async fn look(&self) -> Result<Contents, Failure> {
        let seen = self.operator.look().await;
        seen.map_err(|error| Failure::new(error.to_string()))
    }

    async fn watch(
        &self,
        most: Duration,
        enough: impl FnMut(&Watched) -> bool,
    ) -> Result<Watched, Failure> {
        let seen = self.operator.watch(most, enough).await;
        seen.map_err(|error| Failure::new(error.to_string()))
    }

    /// The stream, checked to be there.
    async fn stream(&self) -> Result<Streams, Failure> {
        parts::streams(&self.settings.streams()?, &self.clients).await
    }

    /// The stream's shards, and its own clock.
    async fn listing(&self, stream: &Streams) -> Result<(Shards, EpochMillis), Failure> {
        let failed = |error: crate::door::stream::Error| Failure::new(error.to_string());
        let shards = stream.shards().await.map_err(failed)?;
        let now = stream.server_time().await.map_err(failed)?;
        let shards = shards.into_iter().map(|shard| (shard.id.clone(), shard));
        Ok((shards.collect(), now))
    }

    async fn list(&self, list: &List) -> Result<(), Failure> {
        let seen = match list.watch {
            Some(most) => self.watch(most, |_| false).await?,
            None => Watched {
                contents: self.look().await?,
                ..Watched::default()
            },
        };
        let leases = &seen.contents.leases;
        let shards = match list.shards.is_empty() {
            true => leases.keys().cloned().collect(),
            false => named(leases, &list.shards)?,
        };
        let lags = match list.lag {
            true => Some(self.lags(leases, &shards).await?),
            false => None,
        };
        let listing = Listing {
            table: &self.table,
            seen: &seen,
            shards: &shards,
            lags: lags.as_ref(),
            lease_duration: self.lease_duration(),
        };
        match list.json {
            true => super::print(&format!("{}\n", listing.json())),
            false => super::print(&listing.table()),
        }
    }

    async fn lags(
        &self,
        leases: &BTreeMap<ShardId, Row>,
        shards: &[ShardId],
    ) -> Result<BTreeMap<ShardId, lag::Lag>, Failure> {
        let stream = self.stream().await?;
        let (_, now) = self.listing(&stream).await?;
        let mut lags = BTreeMap::new();
        for row in shards.iter().filter_map(|shard| leases.get(shard)) {
            if let Some(lag) = lag::of(&stream, row, now).await {
                lags.insert(row.shard.clone(), lag);
            }
        }
        Ok(lags)
    }

    /// Where shards without history begin, and what `LATEST` means now.
    fn initial(&self, now: EpochMillis) -> (crate::lease::Initial, EpochMillis) {
        let initial = options::leases(&self.settings).initial_position;
        (initial, EpochMillis(now.0.saturating_sub(LATEST_SLACK_MS)))
    }

    /// Leases that are another stream's must not be measured by this one.
    fn must_belong(
        &self,
        stream: &Streams,
        leases: &BTreeMap<ShardId, Row>,
        listing: &Shards,
    ) -> Result<(), Failure> {
        let form = Options {
            streams: stream.ids(),
            ..Options::default()
        };
        for shard in leases.keys() {
            let form = form.cover(shard);
            form.map_err(|foreign| Failure::new(foreign.to_string()))?;
        }
        if lineage::belongs(leases, listing) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the leases of table `{}` are not those of this stream: none of them matches one of its \
             shards; check `source.stream` and `lease.table`",
            self.table
        )))
    }
}

/// The leases that a person named, each once.
fn named(leases: &BTreeMap<ShardId, Row>, texts: &[String]) -> Result<Vec<ShardId>, Failure> {
    let mut found = Vec::new();
    for text in texts {
        let shard = name::find(leases, text).map_err(Failure::new)?;
        if !found.contains(&shard) {
            found.push(shard);
        }
    }
    Ok(found)
}

/// The leases that are meant by name, by owner, or all.
fn chosen(leases: &BTreeMap<ShardId, Row>, which: &Which) -> Result<Vec<Row>, Failure> {
    let rows: Vec<Row> = match &which.owner {
        Some(owner) => {
            let owner = WorkerId::from(owner.as_str());
            let owned = |row: &&Row| {
                row.actual_owner() == Some(&owner) || row.owner.as_ref() == Some(&owner)
            };
            leases.values().filter(owned).cloned().collect()
        }
        None if which.all => leases.values().cloned().collect(),
        None => named(leases, &which.shards)?
            .iter()
            .filter_map(|shard| leases.get(shard).cloned())
            .collect(),
    };
    match rows.is_empty() {
        true => Err(Failure::new(
            "no lease is meant by that: `tidewire leases list` shows them all",
        )),
        false => Ok(rows),
    }
}
