//! `tidewire doctor`: is everything there that the processes need, and as it should be?

use clap::{Args as ClapArgs, ValueEnum};

use super::failure::Failure;
use super::{options, parts, print};
use crate::aws::Clients;
use crate::aws::explain::is_denied;
use crate::aws::inspect::{self, Finding, Level};
use crate::aws::kinesis::{Kinesis, StreamRef};
use crate::aws::lease_table::DynamoLeases;
use crate::aws::provision::patience::until_answered;
use crate::aws::provision::require::{Found, Unmet};
use crate::aws::provision::{QueueKind, require};
use crate::door::fault::CallFailed;
use crate::door::lease_table::{self, LeaseTable as _};
use crate::door::stream::Stream as _;
use crate::service::clock;
use crate::service::settings::{
    InfluxTarget, ReadMode, Settings, Streams, TimestreamTarget, WorkerSettings,
};

mod iam;
mod limits;
mod rights;
mod screens;

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
    /// Something that is not there, or not as it must be. What a setting lets a process make is
    /// missed by nobody, if that process may make it.
    fn unmet(&mut self, what: &str, unmet: &Unmet, makes_it: (bool, &str)) {
        let (is_made, setting) = makes_it;
        if !(unmet.is_missing && is_made) {
            return self.red(what, unmet);
        }
        let says = format!(
            "is not there yet: the first process that needs it makes it by `{setting}`, if its role may"
        );
        self.all.push(Finding::new(Level::Yellow, what, says));
    }

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
            Ok(needs) => {
                screens::broadcaster(settings, &needs, process, &clients, &mut findings).await
            }
            Err(problems) => findings.red("settings of a broadcaster", problems),
        }
    }
    if wants(Process::Gateway) {
        match parts::gateway(settings, &clients) {
            Ok(_) => screens::gateway(settings, &clients, &mut findings).await,
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
    let mut streams = Vec::new();
    for name in names {
        if let Some((stream, found, open)) = stream(settings, name, clients, findings).await {
            shards += open;
            streams.push((stream, found));
        }
    }
    let table = &settings.lease.table;
    let leases = DynamoLeases::new(clients.dynamodb(), table);
    match until_answered(|| leases.prepare(false)).await {
        Ok(()) => {
            findings.all.push(Finding::new(
                Level::Green,
                format!("lease table {table}"),
                "is there, with KCL's key",
            ));
            limits::lease_table(settings, shards, clients, findings).await;
        }
        Err(error) => {
            let unmet = Unmet {
                is_missing: matches!(error, lease_table::Error::TableMissing { .. }),
                says: parts::no_lease_table(&error, table, clients.endpoints()).to_string(),
            };
            let made = (settings.lease.create, "lease.create");
            findings.unmet("lease table", &unmet, made);
        }
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
    rights::worker(settings, needs, &streams, clients, findings).await;
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
            let made = (settings.timestream.create, "timestream.create");
            findings.unmet("Timestream table", &unmet, made);
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

/// The consumer that settings name.
fn consumer_name(settings: &Settings) -> &str {
    let given = settings.source.consumer.as_deref();
    given.unwrap_or(&settings.lease.table)
}

/// The stream as it was found, and its open shards; none where it is not there.
async fn stream(
    settings: &Settings,
    name: &str,
    clients: &Clients,
    findings: &mut Findings,
) -> Option<(StreamRef, Found, i32)> {
    let client = clients.kinesis();
    let stream = stream_ref(name, clients);
    let there = match require::stream(&client, &stream, clients.endpoints()).await {
        Ok(there) => there,
        Err(unmet) => {
            findings.red("stream", unmet);
            return None;
        }
    };
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
    if settings.source.mode != ReadMode::Polling {
        let name = consumer_name(settings);
        let found = inspect::consumer(&client, there.arn(), name).await;
        // That it may not be asked is said where rights are.
        if !found.as_ref().is_err_and(is_denied) {
            findings.add("consumer", found);
        }
    }
    let theirs = Kinesis::new(client, stream.clone()).server_time().await;
    match theirs {
        Ok(theirs) => findings.all.push(inspect::clock(clock::wall().0, theirs.0)),
        Err(error) => findings.red("clock", error),
    }
    Some((stream, there, shards))
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
