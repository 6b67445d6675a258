//! What a test asks of a town.

use super::*;

impl Town {
    /// How many shards each worker reads that is not about to leave.
    pub(crate) fn loads(&self) -> BTreeMap<WorkerId, usize> {
        let stay = self.workers.values().filter(|worker| !worker.leaving);
        stay.map(|worker| (worker.keeper.me().clone(), worker.reading.len()))
            .collect()
    }

    /// Every shard is read, and no worker reads two more than another.
    pub(crate) fn settled(&self) -> bool {
        let loads = self.loads();
        let (least, most) = (loads.values().min(), loads.values().max());
        let even = least
            .zip(most)
            .is_some_and(|(least, most)| most - least <= 1);
        even && self.readers.len() == self.shards.len()
    }

    pub(crate) fn all_read(&self) -> bool {
        self.readers.len() == self.shards.len()
    }

    /// Who has which lease, and what it carries by its row.
    pub(crate) fn owned(&self) -> Vec<Owned> {
        let rows = self.rows.values().filter_map(|item| match row::read(item) {
            Ok(Entry::Lease(row)) => Some(row),
            _ => None,
        });
        let owned = rows.filter_map(|row| {
            Some(Owned {
                owner: row.actual_owner()?.clone(),
                shard: row.shard,
                rate: row.rate,
                may_ask: true,
            })
        });
        owned.collect()
    }

    /// What each worker carries, by what its shards truly do.
    pub(crate) fn carried(&self) -> BTreeMap<WorkerId, u64> {
        let workers = self.workers.values();
        let carried = workers.map(|worker| {
            let rates = worker
                .reading
                .keys()
                .filter_map(|shard| self.rates.get(shard));
            (worker.keeper.me().clone(), rates.sum())
        });
        carried.collect()
    }

    /// The rows as they are.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Item> {
        self.rows.values()
    }

    pub(crate) fn running(&self) -> BTreeSet<usize> {
        self.workers.keys().copied().collect()
    }
}
