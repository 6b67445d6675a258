//! `tidewire doctor`: is everything there that the processes need, and as it should be?

use clap::{Args as ClapArgs, ValueEnum};

use super::failure::Failure;
use super::{options, parts, print};
use crate::aws::connections::Names;
use crate::aws::explain::is_denied;
use crate::aws::inspect::{self, Finding, Level};
use crate::aws::key_set::Published;
use crate::aws::kinesis::{Kinesis, StreamRef};
use crate::aws::provision::{ConnectionTable, QueueKind, require};
use crate::aws::screens::Management;
use crate::aws::{Clients, Endpoints};
use crate::door::connections::Screens as _;
use crate::door::fault::CallFailed;
use crate::door::key_set::KeySet as _;
use crate::door::stream::Stream as _;
use crate::model::ConnectionId;
use crate::service::clock;
use crate::service::gateway::keys::Keys;
use crate::service::settings::{
    BroadcasterSettings, InfluxTarget, Settings, Streams, TimestreamTarget, Url, WorkerSettings,
};

mod iam;
mod limits;
mod rights;

/// Nobody has this one, and it looks as AWS's do: others are answered 400.
const NOBODY: &str = "AAAAAAAAAAAAAAA=";

/// What to look at, and how to say it.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Print findings as JSON: {"worst","findings":[{"level","what","says"}]}
    #[arg(long)]
    json: bool,
    /// Print the IAM policies that worker, broadcaster and gateway need under these settings
    /// (as deploy/iam has them), and ask AWS nothing
    #[arg(long, conflicts_with = "json")]
    print_iam: bool,
    /// Look only at what this process needs, and ask only what it may ask: to be run with its
    /// settings and rights, as in its container
    #[arg(long = "for", value_name = "PROCESS", conflicts_with = "print_iam")]
    process: Option<Process>,
}

/// The processes that have rights of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Process {
    Worker,
    Broadcaster,
    Gateway,
}

impl Process {
    fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Broadcaster => "broadcaster",
            Self::Gateway => "gateway",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Something is red.
pub fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    if args.print_iam {
        return print(&iam::policies(settings)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?;
    let findings = runtime.block_on(Box::pin(look(settings, args.process)));
    let worst = findings.iter().map(|finding| finding.level).max();
    print(&if args.json {
        format!(
            "{}\n",
            serde_json::json!({ "worst": worst, "findings": findings })
        )
    } else {
        findings.iter().map(line).collect()
    })?;
    match findings
        .iter()
        .filter(|finding| finding.level == Level::Red)
        .count()
    {
        0 => Ok(()),
        red => Err(Failure::new(format!("{red} of {} are red", findings.len()))),
    }
}

fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Green => "green ",
        Level::Yellow => "yellow",
        Level::Red => "RED   ",
    };
    format!("{level}  {}: {}\n", finding.what, finding.says)
}

/// What was found, as it was asked for.
struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn red(&mut self, what: &str, says: impl std::fmt::Display) {
        self.all
            .push(Finding::new(Level::Red, what, says.to_string()));
    }

    /// The same of a question that no process asks, so that none has the right to.
    fn add_if_permitted(&mut self, what: &str, found: Result<Finding, CallFailed>) {
        match found {
            Err(failed) if is_denied(&failed) => {
                let says = format!("these credentials may not ask for it: {failed}");
                self.all.push(Finding::new(Level::Yellow, what, says));
            }
            found => self.add(what, found),
        }
    }

    /// What a question gave, or why it was not answered.
    fn add(&mut self, what: &str, found: Result<Finding, CallFailed>) {
        match found {
            Ok(finding) => self.all.push(finding),
            Err(failed) => self.red(what, failed),
        }
    }
}

async fn look(settings: &Settings, process: Option<Process>) -> Vec<Finding> {
    let mut findings = Findings { all: Vec::new() };
    let clients = match parts::clients(settings).await {
        Ok(clients) => clients,
        Err(failure) => {
            findings.red("region and credentials", failure);
            return findings.all;
        }
    };
    let says = format!("region {}; credentials are there", clients.region());
    let ready = Finding::new(Level::Green, "region and credentials", says);
    findings.all.push(ready);
    let wants = |one| process.is_none_or(|process| process == one);
    if wants(Process::Worker) {
        match settings.worker() {
            Ok(needs) => worker(settings, &needs, &clients, &mut findings).await,
            Err(problems) => findings.red("settings of a worker", problems),
        }
    }
    // Whoever asks for one of the two by name hears what it lacks.
    if process.is_none() && settings.connections.table.is_none() {
        findings.all.push(Finding::new(
            Level::Green,
            "screens",
            "no `connections.table`: there are none to look at",
        ));
        return findings.all;
    }
    if wants(Process::Broadcaster) {
        match settings.broadcaster(|name| std::env::var(name).ok()) {
            Ok(needs) => broadcaster(settings, &needs, process, &clients, &mut findings).await,
            Err(problems) => findings.red("settings of a broadcaster", problems),
        }
    }
    if wants(Process::Gateway) {
        match parts::gateway(settings, &clients) {
            Ok(_) => gateway(settings, &clients, &mut findings).await,
            Err(failure) => findings.red("gateway", failure),
        }
    }
    findings.all
}

async fn worker(
    settings: &Settings,
    needs: &WorkerSettings,
    clients: &Clients,
    findings: &mut Findings,
) {
    let names = match &needs.streams {
        Streams::One(name) => std::slice::from_ref(name),
        Streams::Several(names) => names.as_slice(),
    };
    let mut shards = 0;
    for name in names {
        shards += stream(settings, name, clients, findings).await;
    }
    let table = &settings.lease.table;
    match parts::lease_table(table, false, clients).await {
        Ok(_) => {
            findings.all.push(Finding::new(
                Level::Green,
                format!("lease table {table}"),
                "is there, with KCL's key",
            ));
            limits::lease_table(settings, shards, clients, findings).await;
        }
        Err(failure) => findings.red("lease table", failure),
    }
    let letters = needs.dead_letter_queue_url.as_str();
    queue(letters, QueueKind::DeadLetters, clients, findings).await;
    for url in &needs.queue_urls {
        queue(url.as_str(), QueueKind::Live, clients, findings).await;
    }
    if needs.queue_urls.is_empty() {
        let says = "no `queue.urls`: nothing goes to screens";
        findings
            .all
            .push(Finding::new(Level::Green, "live queues", says));
    }
    if let Some(target) = &needs.timestream {
        timestream(settings, target, clients, findings).await;
    }
    if let Some(target) = &needs.influx {
        influx(settings, target, findings).await;
    }
    rights::worker(settings, needs, clients, findings).await;
}

async fn timestream(
    settings: &Settings,
    target: &TimestreamTarget,
    clients: &Clients,
    findings: &mut Findings,
) {
    findings.all.push(limits::names(settings));
    let client = match clients.timestream().await {
        Ok((client, _)) => client,
        Err(failed) => return findings.red("Timestream", failed),
    };
    for of in options::timestream_tables(settings, target) {
        let (database, table) = (&of.database, &of.table);
        let there = require::timestream(&client, database, table, clients.endpoints());
        if let Err(unmet) = there.await {
            findings.red("Timestream table", unmet);
            continue;
        }
        let found = inspect::timestream(&client, database, table).await;
        findings.add("Timestream table", found);
    }
}

async fn influx(settings: &Settings, target: &InfluxTarget, findings: &mut Findings) {
    match parts::influx(settings, target).await {
        Ok(influx) => {
            let what = format!("InfluxDB {}", target.url.as_str());
            let (level, says) = match influx.probe().await {
                Ok(()) => (Level::Green, "answers, and lets us write".to_owned()),
                Err(away) => (
                    Level::Yellow,
                    format!("{away}: a worker waits until it is back"),
                ),
            };
            findings.all.push(Finding::new(level, what, says));
        }
        Err(failure) => findings.red("InfluxDB", failure),
    }
}

/// A stream as settings name it.
fn stream_ref(name: &str, clients: &Clients) -> StreamRef {
    match name.parse::<crate::model::StreamId>() {
        Ok(id) => StreamRef::Arn(id.arn(clients.region())),
        Err(_) => StreamRef::from(name),
    }
}

/// How many open shards it has; none where that is not known.
async fn stream(
    settings: &Settings,
    name: &str,
    clients: &Clients,
    findings: &mut Findings,
) -> i32 {
    let client = clients.kinesis();
    let stream = stream_ref(name, clients);
    if let Err(unmet) = require::stream(&client, &stream, clients.endpoints()).await {
        findings.red("stream", unmet);
        return 0;
    }
    let mut shards = 0;
    match inspect::stream(&client, &stream).await {
        Ok((finding, facts)) => {
            findings.all.push(finding);
            if let Some(facts) = facts {
                shards = facts.shards;
                let reads = limits::reads(settings, stream.bare_name(), facts);
                findings.all.push(reads);
            }
        }
        Err(failed) => findings.red("stream", failed),
    }
    let theirs = Kinesis::new(client, stream).server_time().await;
    match theirs {
        Ok(theirs) => findings.all.push(inspect::clock(clock::wall().0, theirs.0)),
        Err(error) => findings.red("clock", error),
    }
    shards
}

async fn queue(url: &str, kind: QueueKind, clients: &Clients, findings: &mut Findings) {
    let client = clients.sqs();
    let url = match require::queue(&client, url, kind, clients.endpoints()).await {
        Ok(url) => url,
        Err(unmet) => return findings.red("queue", unmet),
    };
    let found = inspect::queue(&client, &url, kind).await;
    findings.add("queue", found);
}

async fn broadcaster(
    settings: &Settings,
    needs: &BroadcasterSettings,
    process: Option<Process>,
    clients: &Clients,
    findings: &mut Findings,
) {
    let table = &needs.connections_table;
    let names = parts::names(settings, table);
    let there = connection_table(table, &names, clients, clients.endpoints(), findings).await;
    // Of a worker they are looked at already.
    if process.is_some() {
        for (_, url) in &needs.queues {
            queue(url.as_str(), QueueKind::Live, clients, findings).await;
        }
    }
    let endpoint = needs.endpoint_management.as_ref().map(|url| url.as_str());
    let screens = Management::new(clients.management(endpoint));
    let answer = screens.post(&ConnectionId::from(NOBODY), "{}").await;
    findings.all.push(inspect::endpoint(&answer));
    if there {
        limits::screens(settings, table, clients, findings).await;
        rights::broadcaster(settings, needs, clients, findings).await;
    }
}

/// Its settings are usable; are the keys that it is to read published?
async fn gateway(settings: &Settings, clients: &Clients, findings: &mut Findings) {
    if let Some(url) = &settings.gateway.jwks_url {
        published(url, findings).await;
    } else {
        let says = "there is a way to check viewers' tokens";
        findings
            .all
            .push(Finding::new(Level::Green, "gateway", says));
    }
    if let Some(table) = settings.connections.table.as_deref() {
        rights::gateway(settings, table, clients, findings).await;
    }
}

async fn published(url: &Url, findings: &mut Findings) {
    let read = match Published::at(url.as_str()).fetch().await {
        Ok(text) => Keys::of_jwks(&text).map_err(|error| error.to_string()),
        Err(failed) => Err(failed.to_string()),
    };
    match read {
        Ok(_) => {
            let says = "the keys of viewers' tokens can be read from here";
            findings
                .all
                .push(Finding::new(Level::Green, "gateway", says));
        }
        Err(why) => findings.red("gateway", format!("`gateway.jwks_url`: {why}")),
    }
}

/// Whether it is there, so that more can be asked of it.
async fn connection_table(
    table: &str,
    names: &Names,
    clients: &Clients,
    endpoints: &Endpoints,
    findings: &mut Findings,
) -> bool {
    let client = clients.dynamodb();
    let wanted = ConnectionTable {
        table,
        hash_key: &names.hash_key,
        sort_key: &names.sort_key,
        expires_attribute: &names.expires_at,
    };
    if let Err(unmet) = require::connection_table(&client, &wanted, endpoints).await {
        findings.red("connection table", unmet);
        return false;
    }
    let found = inspect::time_to_live(&client, table, &names.expires_at).await;
    findings.add_if_permitted("connection table", found);
    true
}
