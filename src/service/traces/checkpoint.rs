//! The lease table, watched for the checkpoints that are written to it.

use super::Tracer;
use crate::door::lease_table::{Error, LeaseTable};
use crate::lease::change::{Answer, Change, Edit, Then};
use crate::lease::item::{Item, Value, name};
use crate::model::{Checkpoint, ShardId};
use crate::service::clock;

/// A lease table whose checkpoints end the ways of readings.
#[derive(Debug)]
pub struct Watched<T> {
    table: T,
    tracer: Tracer,
}

impl<T> Watched<T> {
    /// The table, by this tracer.
    #[must_use]
    pub fn new(table: T, tracer: Tracer) -> Self {
        Self { table, tracer }
    }
}

impl<T: LeaseTable> LeaseTable for Watched<T> {
    async fn scan(&self) -> Result<Vec<Item>, Error> {
        self.table.scan().await
    }

    async fn read(&self, shard: &ShardId) -> Result<Option<Item>, Error> {
        self.table.read(shard).await
    }

    async fn change(&self, change: &Change) -> Result<Answer, Error> {
        if !self.tracer.is_on() {
            return self.table.change(change).await;
        }
        let began = clock::wall_nanos();
        let answer = self.table.change(change).await?;
        if let (Answer::Applied(_), Some(checkpoint)) = (&answer, checkpoint(change)) {
            self.tracer.passed(&change.shard, &checkpoint, began);
        }
        Ok(answer)
    }

    async fn prepare(&self, create: bool) -> Result<(), Error> {
        self.table.prepare(create).await
    }

    async fn coordinator_row(&self, key: &str) -> Result<Option<Item>, Error> {
        self.table.coordinator_row(key).await
    }
}

/// The checkpoint that a change writes, if it writes one.
fn checkpoint(change: &Change) -> Option<Checkpoint> {
    let Then::Update(edits) = &change.then else {
        return None;
    };
    let set = |wanted: &str| {
        edits.iter().find_map(|edit| match edit {
            Edit::Set(name, value) if *name == wanted => Some(value),
            _ => None,
        })
    };
    let sub = match set(name::CHECKPOINT_SUB) {
        Some(Value::N(digits)) => digits.parse().ok()?,
        _ => 0,
    };
    match set(name::CHECKPOINT) {
        Some(Value::S(text)) => Checkpoint::from_kcl(text, sub).ok(),
        _ => None,
    }
}
