//! Metrics in CloudWatch's embedded format, a line a minute on standard output, from which CloudWatch
//! makes metrics where it gets that output as a log: what scaling on ECS goes by.
//!
//! `OpenShards` and `Workers` are the fleet's, by the lease table, and one worker says them
//! ([`leases::Status::speaks_for_fleet`]). `Lag` each worker says of the shards that it reads: rows of
//! the table hold no times, so nobody knows it of the others. The maximum is the fleet's.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::{leases, worker};
use crate::lease::keeper::State;
use crate::model::{EpochMillis, WorkerId};

/// As often as CloudWatch keeps a datapoint.
const EVERY: Duration = Duration::from_secs(60);

/// The dimension: the lease table's name is the fleet's.
const FLEET: &str = "LeaseTable";

/// Whose metrics they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// CloudWatch's namespace.
    pub namespace: String,
    /// The lease table.
    pub table: String,
    /// The worker; no dimension, since CloudWatch bills each.
    pub worker: WorkerId,
}

/// What one worker has to say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Shards that are not done, and workers that own a lease: of the whole fleet.
    pub fleet: Option<(usize, usize)>,
    /// How far behind the last of its own shards was at its last read.
    pub lag: Option<Duration>,
}

/// What a worker has to say by what it believes.
#[must_use]
pub fn figures(leases: &leases::Status, readings: &worker::Status) -> Figures {
    let open = leases.leases.iter();
    let open = open.filter(|lease| lease.state != State::Ended).count();
    let read = readings.shards.values();
    let behind = read.map(|shard| shard.behind_ms).max();
    Figures {
        fleet: leases
            .speaks_for_fleet
            .then_some((open, leases.workers.len())),
        lag: behind.map(Duration::from_millis),
    }
}

/// The line, by CloudWatch's "Specification: Embedded metric format"; none where there is nothing to say.
#[must_use]
pub fn line(names: &Names, at: EpochMillis, figures: &Figures) -> Option<String> {
    let mut values = Map::new();
    let mut metrics = Vec::new();
    let mut say = |name: &str, unit: &str, value: Value| {
        metrics.push(json!({ "Name": name, "Unit": unit }));
        values.insert(name.to_owned(), value);
    };
    if let Some((open, workers)) = figures.fleet {
        say("OpenShards", "Count", json!(open));
        say("Workers", "Count", json!(workers));
    }
    if let Some(lag) = figures.lag {
        say("Lag", "Seconds", json!(lag.as_secs_f64()));
    }
    if metrics.is_empty() {
        return None;
    }
    let about = json!({
        "Timestamp": at,
        "CloudWatchMetrics": [{
            "Namespace": names.namespace,
            "Dimensions": [[FLEET]],
            "Metrics": metrics,
        }],
    });
    values.insert("_aws".to_owned(), about);
    values.insert(FLEET.to_owned(), json!(names.table));
    values.insert("worker_id".to_owned(), json!(names.worker));
    Some(format!("{}\n", Value::Object(values)))
}

/// Writes a line a minute until the worker ends, or nobody takes the lines.
pub async fn report(
    names: Names,
    leases: watch::Receiver<leases::Status>,
    readings: watch::Receiver<worker::Status>,
    wall: impl Fn() -> EpochMillis,
    mut to: impl AsyncWrite + Unpin,
) {
    loop {
        tokio::time::sleep(EVERY).await;
        // Its sender goes with the worker.
        if leases.has_changed().is_err() {
            return;
        }
        let figures = figures(&leases.borrow(), &readings.borrow());
        let Some(line) = line(&names, wall(), &figures) else {
            continue;
        };
        let written = async {
            to.write_all(line.as_bytes()).await?;
            to.flush().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "standard output takes no metrics; no more are written there");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
