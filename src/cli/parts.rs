//! From settings to the parts that services are made of: clients, adapters, options.

use std::sync::Arc;

use super::failure::Failure;
use super::store::Store;
use super::{consumers, options};
use crate::aws::billed::OnBilled;
use crate::aws::connections::{self, Names};
use crate::aws::dead_letters::SqsDeadLetters;
use crate::aws::discovery::Discovery;
use crate::aws::key_set;
use crate::aws::kinesis::{Kinesis, StreamRef, Streams};
use crate::aws::lease_table::DynamoLeases;
use crate::aws::provision::patience::until_answered;
use crate::aws::provision::{self, ConnectionTable, QueueKind, require};
use crate::aws::sqs::Queue;
use crate::aws::timestream::Timestream;
use crate::aws::{Clients, Endpoints, Service, Setup, StaticCredentials, Target, explain};
use crate::door::lease_table::{self, LeaseTable as _};
use crate::influx::Influx;
use crate::model::{Fault, StreamId};
use crate::service::billed;
use crate::service::clock::Clock;
use crate::service::gateway::{self, Gateway};
use crate::service::settings::{
    self, InfluxTarget, Settings, TimestreamTarget, Url, WorkerSettings,
};

impl From<settings::Problems> for Failure {
    fn from(problems: settings::Problems) -> Self {
        Self::settings(problems.to_string())
    }
}

impl From<require::Unmet> for Failure {
    fn from(unmet: require::Unmet) -> Self {
        Self::new(unmet.says)
    }
}

/// The AWS clients that the settings describe.
///
/// # Errors
/// No region, or no credentials.
pub async fn clients(settings: &Settings) -> Result<Clients, Failure> {
    let aws = &settings.aws;
    let text = |url: &Option<Url>| url.as_ref().map(|url| url.as_str().to_owned());
    let credentials = match (&aws.access_key_id, &aws.secret_access_key) {
        (Some(id), Some(secret)) => Some(StaticCredentials {
            access_key_id: id.clone(),
            secret_access_key: secret.clone(),
            session_token: aws.session_token.clone(),
        }),
        _ => None,
    };
    let setup = Setup {
        region: aws.region.clone(),
        endpoints: Endpoints {
            kinesis: text(&aws.endpoint_kinesis),
            dynamodb: text(&aws.endpoint_dynamodb),
            sqs: text(&aws.endpoint_sqs),
            timestream: text(&aws.endpoint_timestream),
            management: text(&aws.endpoint_management),
        },
        credentials,
        on_billed: Some(OnBilled(billed::counter())),
    };
    setup
        .load()
        .await
        .map_err(|unready| Failure::new(unready.to_string()))
}

/// What a worker reads from and writes to, checked to be there.
#[derive(Debug)]
pub struct WorkerParts {
    /// The stream, or streams.
    pub streams: Streams,
    /// The lease table.
    pub table: DynamoLeases,
    /// What it writes to.
    pub sinks: Sinks,
}

/// What a worker writes to, checked to be there.
#[derive(Debug)]
pub struct Sinks {
    /// The time-series stores, in the order of the pipeline's options.
    pub stores: Vec<Store>,
    /// The live queues.
    pub queues: Vec<Queue>,
    /// The dead letters.
    pub dead_letters: SqsDeadLetters<Queue>,
    /// Keeps Timestream's endpoint fresh; to be run beside the worker.
    pub discovery: Option<Discovery>,
}

/// Makes a worker's parts and asks each service whether what it needs is there, so that what is
/// wrong is said now, in one sentence, and not in the log of a worker that waits. A service that is
/// merely busy is asked again for a while.
///
/// # Errors
/// The first thing that is missing, unreachable or not permitted, with the remedy.
pub async fn worker(
    settings: &Settings,
    needs: &WorkerSettings,
    clients: &Clients,
) -> Result<WorkerParts, Failure> {
    let streams = streams(&needs.streams, clients).await?;
    let streams = consumers::registered(settings, streams, clients.endpoints()).await?;
    Ok(WorkerParts {
        streams,
        table: lease_table(&settings.lease.table, settings.lease.create, clients).await?,
        sinks: sinks(settings, needs, clients).await?,
    })
}

/// The sinks, and the queue of dead letters.
///
/// # Errors
/// The first that is missing, unreachable or not permitted.
pub async fn sinks(
    settings: &Settings,
    needs: &WorkerSettings,
    clients: &Clients,
) -> Result<Sinks, Failure> {
    let endpoints = clients.endpoints();
    let sqs = clients.sqs();
    let mut queues = Vec::new();
    for url in &needs.queue_urls {
        let url = require::queue(&sqs, url.as_str(), QueueKind::Live, endpoints).await?;
        let queue = until_answered(|| Queue::open(sqs.clone(), &url));
        let queue = queue
            .await
            .map_err(|failed| Failure::new(failed.to_string()))?;
        queues.push(queue);
    }
    let letters = needs.dead_letter_queue_url.as_str();
    require::queue(&sqs, letters, QueueKind::DeadLetters, endpoints).await?;
    let letters = until_answered(|| Queue::open(sqs.clone(), letters));
    let letters = letters
        .await
        .map_err(|failed| Failure::new(failed.to_string()))?;
    let mut stores = Vec::new();
    let mut discovery = None;
    if let Some(target) = &needs.timestream {
        let tables;
        (tables, discovery) = timestream(settings, target, clients).await?;
        stores.extend(tables.into_iter().map(Store::Timestream));
    }
    if let Some(target) = &needs.influx {
        stores.push(Store::Influx(influx(settings, target).await?));
    }
    let message_bytes_max = letters.message_bytes_max();
    Ok(Sinks {
        stores,
        queues,
        dead_letters: SqsDeadLetters::new(letters, message_bytes_max),
        discovery,
    })
}

/// The streams that the settings name, checked to be there.
///
/// # Errors
/// One is missing, unreachable, not permitted, or named twice.
pub async fn streams(names: &settings::Streams, clients: &Clients) -> Result<Streams, Failure> {
    let kinesis = clients.kinesis();
    let names = match names {
        settings::Streams::One(name) => {
            let stream = StreamRef::from(name.as_str());
            let found = require::stream(&kinesis, &stream, clients.endpoints()).await?;
            let stream = Kinesis::new(kinesis, stream).known_as(found.arn());
            return Ok(Streams::One(stream));
        }
        settings::Streams::Several(names) => names,
    };
    let mut streams: Vec<(StreamId, Kinesis)> = Vec::new();
    for name in names {
        let given: Option<StreamId> = name.parse().ok();
        let stream = match &given {
            Some(id) => StreamRef::Arn(id.arn(clients.region())),
            None => StreamRef::from(name.as_str()),
        };
        let found = require::stream(&kinesis, &stream, clients.endpoints()).await?;
        let id = match given {
            Some(id) => id,
            None => found.id()?,
        };
        let same = |(known, _): &&(StreamId, Kinesis)| {
            (known.account(), known.name()) == (id.account(), id.name())
        };
        if streams.iter().any(|known| same(&known)) {
            return Err(Failure::settings(format!(
                "`source.streams` names the stream `{}` of account {} twice",
                id.name(),
                id.account()
            )));
        }
        let stream = Kinesis::new(kinesis.clone(), stream).known_as(found.arn());
        streams.push((id, stream));
    }
    Ok(Streams::Several(streams))
}

/// The lease table of that name, checked to be there, or made where that is allowed.
///
/// # Errors
/// It is missing, unreachable, not permitted, or no lease table.
pub async fn lease_table(
    name: &str,
    create: bool,
    clients: &Clients,
) -> Result<DynamoLeases, Failure> {
    let table = DynamoLeases::new(clients.dynamodb(), name);
    let prepared = until_answered(|| table.prepare(create));
    prepared
        .await
        .map_err(|error| no_lease_table(&error, name, clients.endpoints()))?;
    Ok(table)
}

async fn timestream(
    settings: &Settings,
    target: &TimestreamTarget,
    clients: &Clients,
) -> Result<(Vec<Timestream>, Option<Discovery>), Failure> {
    let (client, discovery) = clients
        .timestream()
        .await
        .map_err(|failed| Failure::new(failed.to_string()))?;
    let database = &target.database;
    let mut stores = Vec::new();
    for table in options::timestream_tables(settings, target) {
        let name = &table.table;
        if settings.timestream.create {
            let made = until_answered(|| {
                let bucket = settings.timestream.rejected_bucket.as_deref();
                provision::create_timestream(&client, database, name, bucket)
            });
            made.await
                .map_err(|failed| Failure::new(failed.to_string()))?;
        }
        require::timestream(&client, database, name, clients.endpoints()).await?;
        stores.push(Timestream::new(client.clone(), discovery.clone(), table));
    }
    Ok((stores, discovery))
}

/// A server that is merely away does not keep the worker from starting: nothing is lost by that.
pub(super) async fn influx(settings: &Settings, target: &InfluxTarget) -> Result<Influx, Failure> {
    let path = settings.influx.ca_file.as_ref();
    let ca_pem = path.map(std::fs::read).transpose().map_err(|error| {
        let path = path.map_or("", String::as_str);
        Failure::settings(format!(
            "`influx.ca_file`: {path} cannot be read ({error}): give the path of a readable PEM file"
        ))
    })?;
    let influx = Influx::new(options::influx_target(settings, target, ca_pem))
        .map_err(|unusable| Failure::settings(unusable.to_string()))?;
    match influx.probe().await {
        Ok(()) => {}
        Err(failed) if failed.fault == Fault::Fatal => {
            return Err(Failure::new(format!("influx: {failed}")));
        }
        Err(failed) => tracing::warn!(error = %failed, "influx does not answer; it is tried again"),
    }
    Ok(influx)
}

/// Why the lease table cannot be used, and what to do.
pub(super) fn no_lease_table(
    error: &lease_table::Error,
    table: &str,
    endpoints: &Endpoints,
) -> Failure {
    let makes_it = format!(
        "aws dynamodb create-table --table-name {table} --billing-mode PAY_PER_REQUEST \
         --attribute-definitions AttributeName=leaseKey,AttributeType=S \
         --key-schema AttributeName=leaseKey,KeyType=HASH, or Terraform's `aws_dynamodb_table` \
         with the hash key `leaseKey`, or the setting `lease.create = true`"
    );
    match error {
        lease_table::Error::TableMissing { .. } => {
            Failure::new(format!("{error}: make it with {makes_it}"))
        }
        lease_table::Error::TableShape { .. } => Failure::new(format!(
            "{error}: name another one in `lease.table`, or make it with {makes_it}"
        )),
        lease_table::Error::Call(failed) => {
            let environment = Service::Dynamodb.endpoint_of_environment();
            let target = Target {
                service: Service::Dynamodb,
                endpoint: endpoints.of(Service::Dynamodb).or(environment.as_deref()),
                thing: &format!("lease table `{table}`"),
                makes_it: &makes_it,
            };
            Failure::new(explain(failed, &target))
        }
    }
}

pub(super) fn names(settings: &Settings, table: &str) -> Names {
    let keys = &settings.connections;
    Names {
        hash_key: keys.hash_key.clone(),
        hash_value: keys.hash_value.clone(),
        sort_key: keys.sort_key.clone(),
        ..Names::of(table)
    }
}

/// The connection table, checked to be there, or made where that is allowed.
///
/// # Errors
/// It is missing, unreachable or not permitted.
pub async fn connections(
    settings: &Settings,
    table: &str,
    clients: &Clients,
) -> Result<connections::Table, Failure> {
    let names = names(settings, table);
    let wanted = ConnectionTable {
        table,
        hash_key: &names.hash_key,
        sort_key: &names.sort_key,
        expires_attribute: &names.expires_at,
    };
    let client = clients.dynamodb();
    if settings.connections.create {
        let made = until_answered(|| provision::create_connection_table(&client, &wanted));
        made.await
            .map_err(|failed| Failure::new(failed.to_string()))?;
    }
    require::connection_table(&client, &wanted, clients.endpoints()).await?;
    Ok(connections::Table::new(client, names))
}

/// The gateway's handler with its doors. The Lambda asks nothing beforehand: its first event
/// should not wait for checks that `broadcaster` and `worker` make.
///
/// # Errors
/// Settings are missing, or the token keys cannot be used.
pub fn gateway(settings: &Settings, clients: &Clients) -> Result<LiveGateway, Failure> {
    let needs = settings.gateway()?;
    let names = names(settings, &needs.connections_table);
    let options = gateway::Options::read(&settings.gateway);
    let options = options.map_err(|error| Failure::settings(error.to_string()))?;
    let sqs = clients.sqs();
    // Control messages exist in the packed form only.
    let urls = match settings.queue.format {
        settings::QueueFormat::Packed => settings.queue.urls.as_slice(),
        settings::QueueFormat::Single => &[],
    };
    let queues = urls
        .iter()
        .map(|url| Queue::at(sqs.clone(), url.as_str()))
        .collect();
    let published = options.jwks_url.clone().map(key_set::Published::at);
    let gateway = Gateway::new(
        options,
        connections::Table::new(clients.dynamodb(), names),
        queues,
    );
    Ok(match published {
        Some(set) => gateway.with_key_set(Arc::new(set), Clock::start()),
        None => gateway,
    })
}

/// The gateway on AWS's doors.
pub type LiveGateway = Gateway<connections::Table, Queue>;
