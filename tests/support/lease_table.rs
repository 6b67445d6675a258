//! The simulation's table behind the door, for the lease service and the contract.

#[path = "../simulation/table.rs"]
mod store;

use std::sync::{Mutex, PoisonError};

use tidewire::door::lease_table::{Error, LeaseTable};
use tidewire::lease::{Answer, Change, Item};
use tidewire::model::ShardId;

pub(crate) use store::Store;

/// A table in memory behind the door.
#[derive(Debug, Default)]
pub(crate) struct MemoryTable(pub Mutex<Store>);

impl MemoryTable {
    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseTable for MemoryTable {
    async fn scan(&self) -> Result<Vec<Item>, Error> {
        Ok(self.store().scan())
    }

    async fn read(&self, shard: &ShardId) -> Result<Option<Item>, Error> {
        Ok(self.store().read(shard).cloned())
    }

    async fn change(&self, change: &Change) -> Result<Answer, Error> {
        Ok(self.store().change(0, change))
    }

    async fn prepare(&self, _create: bool) -> Result<(), Error> {
        Ok(())
    }

    async fn coordinator_row(&self, _key: &str) -> Result<Option<Item>, Error> {
        Ok(None)
    }
}
