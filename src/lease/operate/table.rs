//! A whole lease table as an operator finds it: leases, rows of KCL 3 that are none, and rows that
//! make no sense.

use std::collections::BTreeMap;

use crate::lease::change::{Change, Clause, Then};
use crate::lease::item::{Item, Value, name};
use crate::lease::row::{self, Entry, Row, Unreadable};
use crate::model::ShardId;

/// What a scan showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The leases.
    pub leases: BTreeMap<ShardId, Row>,
    /// Rows that are no leases: KCL 3.5 keeps its leader, workers and migrations here.
    pub others: Vec<Other>,
    /// Rows that cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// A row that is no lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its key.
    pub key: String,
    /// What KCL says it is; rows from before 3.5 say nothing.
    pub kind: Option<String>,
    /// What changes while its writer lives: the lock's version, or the heartbeat of a worker.
    pub beat: Option<String>,
    /// Why it keeps tidewire from taking leases, where it does.
    pub forbids: Option<String>,
    /// Deletes it, if it is still as it was seen; only of rows that forbid.
    pub removal: Option<Change>,
}

/// The lock's version (dynamodb-lock-client); a new one with every heartbeat of the leader.
const LOCK_VERSION: &str = "recordVersionNumber";
/// Last update of a worker's metrics, epoch seconds (KCL 3 `WorkerMetricStats`).
const METRICS_UPDATED: &str = "lut";
/// The state of the migration from 2.x to 3.x.
const CLIENT_VERSION: &str = "cv";

impl Contents {
    /// Sorts a scan out.
    #[must_use]
    pub fn of(items: &[Item]) -> Self {
        let mut contents = Self::default();
        for item in items {
            match row::read(item) {
                Ok(Entry::Lease(row)) => {
                    contents.leases.insert(row.shard.clone(), row);
                }
                Ok(Entry::Other) => contents.others.push(other(item)),
                Err(unreadable) => contents.unreadable.push(unreadable),
            }
        }
        contents
    }
}

fn other(item: &Item) -> Other {
    let text = |name: &str| match item.get(name) {
        Some(Value::S(text) | Value::N(text)) => Some(text.clone()),
        _ => None,
    };
    let key = text(name::KEY).unwrap_or_default();
    let forbids = row::why_not(&key, item);
    let removal = forbids.as_ref().map(|_| Change {
        shard: ShardId::from(key.as_str()),
        only_if: [LOCK_VERSION, CLIENT_VERSION]
            .into_iter()
            .map(|name| match item.get(name) {
                Some(value) => Clause::Is(name, value.clone()),
                None => Clause::Lacks(name),
            })
            .collect(),
        then: Then::Delete,
    });
    Other {
        kind: text(name::ENTITY),
        beat: text(LOCK_VERSION).or_else(|| text(METRICS_UPDATED)),
        key,
        forbids,
        removal,
    }
}
