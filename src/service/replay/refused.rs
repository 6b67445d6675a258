//! What a sink would not take, or does not decode, during a replay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::door::dead_letters::DeadLetters;
use crate::door::fault::CallFailed;
use crate::model::{DeadLetter, SequenceNumber, ShardId, Stage};

/// Refusals that are told one by one; the rest are counted.
const TOLD_MAX: usize = 20;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it ended.
    pub stage: Stage,
    /// The record's shard.
    pub shard: ShardId,
    /// The record.
    pub seq: SequenceNumber,
    /// The user record within it.
    pub sub: u64,
    /// The reading; none where the record does not decode.
    pub index: Option<u32>,
    /// Why.
    pub reason: String,
}

/// All refusals of a replay.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// The first of them.
    pub first: Vec<Refusal>,
    /// How many, by stage.
    pub count: BTreeMap<Stage, u64>,
}

impl Refusals {
    /// How many.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.count.values().sum()
    }
}

/// The replay's dead letters: noted, and filed only where that was asked for. What a replay reads
/// is still on the stream or in the queue of letters, so nothing is lost by not filing, and a
/// replay that is repeated does not double them.
#[derive(Debug)]
pub struct Noted<D> {
    file: Option<Arc<D>>,
    seen: Arc<Mutex<Refusals>>,
}

impl<D> Noted<D> {
    /// None yet; with `file`, they are filed there, too.
    #[must_use]
    pub fn new(file: Option<Arc<D>>) -> Self {
        Self {
            file,
            seen: Arc::default(),
        }
    }

    /// Where they are noted.
    #[must_use]
    pub fn seen(&self) -> Arc<Mutex<Refusals>> {
        Arc::clone(&self.seen)
    }
}

impl<D: DeadLetters> DeadLetters for Noted<D> {
    async fn file(&self, letters: &[DeadLetter]) -> Result<(), CallFailed> {
        if let Some(queue) = &self.file {
            queue.file(letters).await?;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for letter in letters {
            *seen.count.entry(letter.stage).or_default() += 1;
            if seen.first.len() < TOLD_MAX {
                seen.first.push(Refusal {
                    stage: letter.stage,
                    shard: letter.shard.clone(),
                    seq: letter.seq.clone(),
                    sub: letter.sub,
                    index: letter.i,
                    reason: letter.reason.clone(),
                });
            }
        }
        Ok(())
    }
}
