//! The lease table in memory: the meaning of [`Change`] and nothing else, with a history so that
//! scans can be as stale as DynamoDB's.

use std::collections::BTreeMap;

use tidewire::lease::{Answer, Change, Item};
use tidewire::model::ShardId;

/// Rows, each with its last versions and when they came.
#[derive(Debug, Default)]
pub(crate) struct Store {
    rows: BTreeMap<ShardId, Vec<(u64, Option<Item>)>>,
}

/// Versions kept of each row.
const VERSIONS_MAX: usize = 12;

impl Store {
    pub(crate) fn read(&self, shard: &ShardId) -> Option<&Item> {
        self.rows.get(shard)?.last()?.1.as_ref()
    }

    /// One conditional write at a time.
    pub(crate) fn change(&mut self, at: u64, change: &Change) -> Answer {
        let answer = change.apply(self.read(&change.shard));
        if let Answer::Applied(item) = &answer {
            let versions = self.rows.entry(change.shard.clone()).or_default();
            versions.push((at, item.clone()));
            if versions.len() > VERSIONS_MAX {
                versions.remove(0);
            }
        }
        answer
    }

    pub(crate) fn scan(&self) -> Vec<Item> {
        self.rows
            .keys()
            .filter_map(|shard| self.read(shard).cloned())
            .collect()
    }

    /// A scan that sees each row as it was at some time of `lag(shard)` before `at`.
    pub(crate) fn stale_scan(&self, at: u64, mut lag: impl FnMut() -> u64) -> Vec<Item> {
        let mut items = Vec::new();
        for versions in self.rows.values() {
            let then = at.saturating_sub(lag());
            let seen = versions.iter().rev().find(|(written, _)| *written <= then);
            items.extend(seen.and_then(|(_, item)| item.clone()));
        }
        items
    }

    pub(crate) fn put_by_hand(&mut self, shard: &ShardId, item: Item) {
        let versions = self.rows.entry(shard.clone()).or_default();
        versions.push((0, Some(item)));
    }

    pub(crate) fn delete_by_hand(&mut self, at: u64, shard: &ShardId) {
        self.rows.entry(shard.clone()).or_default().push((at, None));
    }
}
