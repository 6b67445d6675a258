//! `tidewire worker`: leases shards, reads them, writes what they say into the sinks.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::failure::{EXIT_FOREIGN_FLEET, Failure};
use super::traces::Traces;
use super::{options, parts};
use crate::aws::Clients;
use crate::aws::sqs::Queue;
use crate::lease;
use crate::model::WorkerId;
use crate::service::http::beat::Beats;
use crate::service::settings::{Settings, WorkerSettings};
use crate::service::tasks::Tasks;
use crate::service::traces::Watched;
use crate::service::{clock, embedded, entropy, leases, rates, worker};

/// Events to and words from the reading side that may wait. Neither side waits for the other:
/// both keep what finds no room, so this bounds nothing but a hand-over's size.
const TALK_MAX: usize = 256;

/// A worker that was started; what it believes can be looked at while it runs.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its id, unique for this incarnation.
    pub id: WorkerId,
    /// What it believes about leases.
    pub leases: watch::Receiver<leases::Status>,
    /// What it believes about records and sinks.
    pub readings: watch::Receiver<worker::Status>,
}

impl Worker {
    /// `/state`.
    #[must_use]
    pub fn state(&self) -> Value {
        json!({
            "worker_id": self.id,
            "leases": *self.leases.borrow(),
            "readings": *self.readings.borrow(),
        })
    }

    /// `/readyz`: not ready before the table was read, nor where a person must mend something;
    /// ready while a sink throttles or is down, since restarting would help nobody.
    ///
    /// # Errors
    /// Why it is not ready.
    pub fn ready(&self) -> Result<(), String> {
        if !self.leases.borrow().ready {
            return Err("the lease table and the stream have not been read yet".to_owned());
        }
        match &self.readings.borrow().fatal {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }
}

/// An id that no other process ever has: a name for people, and dice.
#[must_use]
pub fn new_id(settings: &Settings) -> WorkerId {
    let host = || {
        std::env::var("HOSTNAME")
            .ok()
            .filter(|name| !name.is_empty())
            .or_else(|| {
                let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
                Some(name.trim().to_owned()).filter(|name| !name.is_empty())
            })
    };
    let prefix = settings.lease.worker_id_prefix.clone().or_else(host);
    let prefix = prefix.unwrap_or_else(|| "worker".to_owned());
    WorkerId::from(format!("{prefix}-{}", &entropy::uuid()[..8]))
}

/// Checks that everything is there, then gives the worker and the work itself, which ends after
/// `shutdown` or when it cannot go on. Dropping the work ends it at once, as a crash would.
///
/// # Errors
/// Settings are missing, or something the worker needs is.
pub async fn start(
    settings: &Settings,
    clients: &Clients,
    beats: Beats,
    shutdown: CancellationToken,
) -> Result<
    (
        Worker,
        impl Future<Output = Result<(), Failure>> + Send + use<>,
    ),
    Failure,
> {
    let needs = settings.worker()?;
    let found = parts::worker(settings, &needs, clients).await?;
    let id = new_id(settings);
    let traces = Traces::of(settings, "tidewire-worker", id.as_str())?;
    let worker_options = worker::Options {
        tracer: traces.tracer.clone(),
        ..reading_options(settings, &needs, &found.sinks.queues)
    };
    let (leases_to, leases) = watch::channel(leases::Status::default());
    let (readings_to, readings) = watch::channel(worker::Status::default());
    let lease_options = lease::Options {
        streams: found.streams.ids(),
        ..options::leases(settings)
    };
    let plan = Plan {
        found,
        id: id.clone(),
        lease_options,
        worker_options,
        create_table: settings.lease.create,
        embedded: embedded_metrics(settings, &id),
        beats,
        leases_to,
        readings_to,
    };
    let started = Worker {
        id,
        leases,
        readings,
    };
    Ok((started, traces.beside(plan.carry_out(shutdown))))
}

/// A worker that is about to work.
struct Plan {
    found: parts::WorkerParts,
    id: WorkerId,
    lease_options: lease::Options,
    worker_options: worker::Options,
    create_table: bool,
    embedded: Option<embedded::Names>,
    beats: Beats,
    leases_to: watch::Sender<leases::Status>,
    readings_to: watch::Sender<worker::Status>,
}

impl Plan {
    async fn carry_out(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let found = self.found;
        let tasks = Tasks::new();
        let (events_to, events) = mpsc::channel(TALK_MAX);
        let (says_to, says) = mpsc::channel(TALK_MAX);
        let stream = Arc::new(found.streams);
        let clock = self.beats.clock().clone();
        if let Some(discovery) = found.sinks.discovery {
            beside(
                &tasks,
                &shutdown,
                "timestream-endpoint",
                discovery.keep_fresh(),
            );
        }
        if self.lease_options.weighs_throughput() {
            let read = self.readings_to.subscribe();
            let report = rates::report(read, says_to.clone(), clock.clone());
            beside(&tasks, &shutdown, "rates", report);
        }
        if let Some(names) = self.embedded {
            let (leases, readings) = (self.leases_to.subscribe(), self.readings_to.subscribe());
            let out = tokio::io::stdout();
            let report = embedded::report(names, leases, readings, clock::wall, out);
            beside(&tasks, &shutdown, "embedded-metrics", report);
        }
        let leasing = leases::run(
            leases::Parts {
                table: Arc::new(Watched::new(
                    found.table,
                    self.worker_options.tracer.clone(),
                )),
                stream: Arc::clone(&stream),
                worker: self.id,
                writer: entropy::uuid(),
                create_table: self.create_table,
                tasks: tasks.clone(),
                beats: self.beats.clone(),
            },
            self.lease_options,
            clock.clone(),
            events_to,
            says,
            self.leases_to,
            shutdown,
        );
        let reading = worker::run(
            worker::Parts {
                stream,
                stores: found.sinks.stores.into_iter().map(Arc::new).collect(),
                queues: found.sinks.queues.into_iter().map(Arc::new).collect(),
                dead_letters: Arc::new(found.sinks.dead_letters),
                tasks: tasks.clone(),
                beats: self.beats,
            },
            self.worker_options,
            clock,
            events,
            says_to,
            self.readings_to,
        );
        let both = async { tokio::join!(leasing, reading).0 };
        tokio::select! {
            biased;
            () = tasks.failed().cancelled() => {
                Err(Failure::new("a task of the worker panicked: the log says which"))
            }
            ended = both => ended.map_err(failure),
        }
    }
}

/// Runs beside the worker until it is to end.
fn beside(
    tasks: &Tasks,
    shutdown: &CancellationToken,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let stop = shutdown.clone();
    tasks.spawn(name, async move {
        stop.run_until_cancelled(work).await;
    });
}

/// Whose metrics in CloudWatch's embedded format are written, where they are.
fn embedded_metrics(settings: &Settings, worker: &WorkerId) -> Option<embedded::Names> {
    let cloudwatch = &settings.cloudwatch;
    cloudwatch.embedded_metrics.then(|| embedded::Names {
        namespace: cloudwatch.namespace.clone(),
        table: settings.lease.table.clone(),
        worker: worker.clone(),
    })
}

/// The reading side's, with what the queues turned out to take: one that was made before August
/// 2025 may still have 256 KiB as its limit.
pub(super) fn reading_options(
    settings: &Settings,
    needs: &WorkerSettings,
    queues: &[Queue],
) -> worker::Options {
    let mut options = options::worker(settings, needs);
    let limit = &mut options.pipeline.message_bytes_limit;
    let least = queues.iter().map(Queue::message_bytes_max).min();
    *limit = least.unwrap_or(*limit);
    options
}

fn failure(error: leases::Error) -> Failure {
    match error {
        refused @ leases::Error::Refused(_) => Failure {
            exit: EXIT_FOREIGN_FLEET,
            sentence: refused.to_string(),
        },
        options @ leases::Error::Options(_) => Failure::settings(options.to_string()),
        other => Failure::new(other.to_string()),
    }
}
