//! Records that a stream has dropped, and what it does with those who come for them.

use tidewire::door::stream::{Error, Page, ShardIterator};
use tidewire::model::{Record, Start};

use super::doors::{MemoryStream, shard};

/// What is gone of one shard.
#[derive(Debug, Default)]
pub(crate) struct Trimmed {
    /// Records, the oldest ones.
    pub(crate) count: usize,
    how: How,
}

/// What an iterator at a dropped record does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum How {
    /// It begins at the oldest record left.
    #[default]
    Oldest,
    /// It is refused.
    Refused,
    /// It answers nothing, a day behind the tip.
    Nowhere,
}

/// How such an iterator is marked.
const NOWHERE: &str = "nowhere";
pub(crate) const DAY_MS: u64 = 86_400_000;

impl MemoryStream {
    /// Drops the oldest records, as retention does.
    pub(crate) fn trim(&self, which: u32, count: usize, how: How) {
        self.with(|state| {
            let shard = state.shards.get_mut(&shard(which)).unwrap();
            shard.records.drain(..count);
            shard.trimmed.count += count;
            shard.trimmed.how = how;
        });
    }
}

impl Trimmed {
    /// The iterator for who begins at `start`, given the one at the oldest record behind it.
    pub(crate) fn iterator(
        &self,
        left: &[Record],
        start: &Start,
        iterator: String,
    ) -> Result<ShardIterator, Error> {
        let gone = match start {
            Start::At { seq, .. } | Start::After(seq) => {
                self.count > 0 && left.first().is_none_or(|first| seq < &first.seq)
            }
            Start::TrimHorizon | Start::AtTimestamp(_) => false,
        };
        match self.how {
            How::Refused if gone => Err(Error::PlaceGone {
                operation: "GetShardIterator",
                message: "too old".to_owned(),
            }),
            How::Nowhere if gone => Ok(ShardIterator(NOWHERE.to_owned())),
            _ => Ok(ShardIterator(iterator)),
        }
    }
}

/// The answer to an iterator that leads nowhere.
pub(crate) fn nowhere(at: &ShardIterator) -> Option<Page> {
    (at.0 == NOWHERE).then(|| Page {
        records: Vec::new(),
        next: Some(at.clone()),
        behind_ms: DAY_MS,
        children: Vec::new(),
    })
}
