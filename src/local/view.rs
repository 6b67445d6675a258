//! What the parts of a stand believe, gathered for the page and for `/state`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::apigateway::ApiGateway;
use super::config::{DATABASE, DEAD_LETTER_QUEUE, STREAM, TABLE};
use super::crew::Crew;
use super::drill::plan::Part;
use super::fault::Faults;
use super::meter::{Meter, Tally, estimate};
use super::servers::Servers;
use crate::cli::broadcaster::Broadcaster;
use crate::cli::worker::Worker;
use crate::lease::keeper::State;
use crate::service::clock;

/// Dead letters shown on the page.
const LETTERS_SHOWN: usize = 8;

/// The parts of one stand.
#[derive(Debug)]
pub struct View {
    crew: Arc<Crew>,
    broadcaster: Broadcaster,
    servers: Servers,
    gateway: ApiGateway,
    grace: Duration,
}

impl View {
    /// Of a stand that is up.
    #[must_use]
    pub fn new(
        crew: Arc<Crew>,
        broadcaster: Broadcaster,
        servers: Servers,
        gateway: ApiGateway,
        grace: Duration,
    ) -> Self {
        Self {
            crew,
            broadcaster,
            servers,
            gateway,
            grace,
        }
    }

    /// The switches of every service.
    #[must_use]
    pub fn faults(&self) -> Vec<(Part, Faults)> {
        vec![
            (Part::Kinesis, self.servers.kinesis.faults().clone()),
            (Part::DynamoDb, self.servers.dynamodb.faults().clone()),
            (Part::Sqs, self.servers.sqs.faults().clone()),
            (Part::Timestream, self.servers.timestream.faults().clone()),
            (Part::ApiGateway, self.gateway.faults().clone()),
        ]
    }

    /// `/readyz`: every worker is.
    ///
    /// # Errors
    /// Why one is not.
    pub fn ready(&self) -> Result<(), String> {
        self.crew.workers().iter().try_for_each(Worker::ready)
    }

    /// `/state`: all that each part believes.
    #[must_use]
    pub fn state(&self) -> Value {
        json!({
            "workers": self.crew.workers().iter().map(Worker::state).collect::<Vec<_>>(),
            "broadcaster": self.broadcaster.status(),
            "grace_s": self.grace.as_secs(),
        })
    }

    /// `/api/state`: what the page shows (see [`super::page`]).
    pub async fn page_state(&self) -> Value {
        let store = self.servers.timestream.clone();
        // It may wait for a query that somebody runs.
        let rows = tokio::task::spawn_blocking(move || store.rows(DATABASE, TABLE)).await;
        let workers = self.crew.workers();
        json!({
            "now_ms": clock::wall(),
            "stream": STREAM,
            "rows": rows.ok(),
            "workers": workers.iter().map(totals).collect::<Vec<_>>(),
            "leases": leases(&workers),
            "broadcaster": posts(&self.broadcaster),
            "dead_letters": self.letters(),
        })
    }

    /// `/_local/meter`: what AWS would bill for all of it, beside the blog's architecture.
    #[must_use]
    pub fn meter(&self) -> Value {
        let meters = [
            self.servers.kinesis.meter(),
            self.servers.dynamodb.meter(),
            self.servers.sqs.meter(),
            self.servers.timestream.meter(),
            self.gateway.meter(),
        ];
        estimate::report(&Tally::joined(meters.map(Meter::tally)))
    }

    fn letters(&self) -> Value {
        let (count, newest) = self
            .servers
            .sqs
            .glimpse(DEAD_LETTER_QUEUE, LETTERS_SHOWN)
            .unwrap_or_default();
        let newest = newest.iter().filter_map(|body| {
            let letter: Value = serde_json::from_str(body).ok()?;
            Some(json!({
                "stage": letter["stage"],
                "reason": letter["reason"],
                "shard": letter["shard"],
                "seq": letter["seq"],
                "arrival_ms": letter["arrival_ms"],
            }))
        });
        json!({ "count": count, "newest": newest.collect::<Vec<_>>() })
    }
}

/// Every lease as the table has it, with what its reader knows of its lag.
fn leases(workers: &[Worker]) -> Vec<Value> {
    let mut behind = BTreeMap::new();
    for worker in workers {
        for (shard, status) in &worker.readings.borrow().shards {
            behind.insert(shard.clone(), status.behind_ms);
        }
    }
    // All workers see one table; the one that holds a lease knows it best.
    let mut leases = BTreeMap::new();
    for worker in workers {
        for lease in &worker.leases.borrow().leases {
            if lease.mine || !leases.contains_key(&lease.shard) {
                leases.insert(lease.shard.clone(), lease.clone());
            }
        }
    }
    let shown = leases.into_values().map(|lease| {
        let state = match lease.state {
            _ if lease.checkpoint == "SHARD_END" => json!("ended"),
            State::Others => json!("held elsewhere"),
            state => json!(state),
        };
        json!({
            "shard": lease.shard,
            "owner": lease.owner,
            "checkpoint": lease.checkpoint,
            "behind_ms": behind.get(&lease.shard),
            "state": state,
        })
    });
    shown.collect()
}

fn totals(worker: &Worker) -> Value {
    let readings = worker.readings.borrow();
    let store = readings.sinks.get("timestream").map(|sink| &sink.book);
    json!({
        "worker_id": worker.id,
        "read_total": store.map(|book| book.read),
        "written_total": store.map(|book| book.acknowledged),
        "in_flight_bytes": readings.budget_used_bytes,
    })
}

fn posts(live: &Broadcaster) -> Value {
    let status = live.status();
    json!({
        "viewers": status.viewers,
        "posts_total": status.accepted,
        "gone_total": status.gone,
        "slow_total": status.slow,
    })
}
