//! The lease table: KCL's, in DynamoDB.

use std::future::Future;

use super::fault::{CallFailed, Fault, Faulty};
use crate::lease::change::{Answer, Change};
use crate::lease::item::Item;
use crate::model::ShardId;

/// A failed call to the lease table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such table.
    #[error("lease table `{table}` does not exist")]
    TableMissing {
        /// Its name.
        table: String,
    },
    /// There is such a table, but it is no lease table.
    #[error("table `{table}` cannot hold leases: {why}")]
    TableShape {
        /// Its name.
        table: String,
        /// What a lease table has and this one lacks.
        why: String,
    },
    /// Anything else.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Faulty for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::TableMissing { .. } | Self::TableShape { .. } => Fault::Fatal,
            Self::Call(call) => call.fault,
        }
    }
}

/// The table of leases. A failed condition is an answer, not an error.
pub trait LeaseTable: Send + Sync + 'static {
    /// Every row, eventually consistent, with paging followed to its end.
    fn scan(&self) -> impl Future<Output = Result<Vec<Item>, Error>> + Send;

    /// One row, consistently.
    fn read(&self, shard: &ShardId) -> impl Future<Output = Result<Option<Item>, Error>> + Send;

    /// One conditional write, tried once: whoever asked decides what a lost answer means.
    fn change(&self, change: &Change) -> impl Future<Output = Result<Answer, Error>> + Send;

    /// Checks that the table is there and has the right key; creates it and waits until it is
    /// active where `create` allows that.
    fn prepare(&self, create: bool) -> impl Future<Output = Result<(), Error>> + Send;

    /// A row of the table in which KCL 3.0 to 3.4 keep their leader (`<name>-CoordinatorState`,
    /// key `key`); `None` also where there is no such table, or we may not read it.
    fn coordinator_row(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Item>, Error>> + Send;
}
