//! One stage's letters on their way through the pipeline.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::desk::{About, Desk, Through};
use super::letters::Posted;
use crate::door::fault::CallFailed;
use crate::door::time_series::TimeSeries;
use crate::lease::talk::{DrainReason, Event, Say};
use crate::model::{Checkpoint, LeaseCounter, Millis, Reading, Rejection, RowKey, ShardId, Start};

/// There is one ownership of each shard, and nobody to fence it against.
const EPOCH: LeaseCounter = LeaseCounter(1);

/// One stage's line, in the place of the keeper of leases: grants the shards that its letters came
/// from.
pub async fn keep(
    desk: Arc<Desk>,
    mut letters: mpsc::Receiver<Posted>,
    through: mpsc::Sender<Through>,
    events: mpsc::Sender<Event>,
    mut says: mpsc::Receiver<Say>,
    stop: CancellationToken,
) {
    let mut granted: BTreeSet<ShardId> = BTreeSet::new();
    let (mut open, mut stopping) = (true, false);
    while open || !granted.is_empty() {
        let mut done = Vec::new();
        let mut event = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                (stopping, open) = (true, false);
                event.extend(granted.iter().map(drain));
            }
            posted = letters.recv(), if open => match posted {
                None => {
                    desk.close();
                    open = false;
                }
                Some((id, letter)) => match desk.put(&id, &letter) {
                    Err(why) => done.push(Through { id, stays: Some(why) }),
                    Ok(false) => {}
                    Ok(true) => {
                        granted.insert(letter.shard.clone());
                        event.push(grant(letter.shard));
                    }
                },
            },
            say = says.recv() => match say {
                None => return,
                Some(Say::Checkpoint { shard, checkpoint, .. }) => {
                    done = passed(&desk, &shard, Some(checkpoint));
                }
                // Only the keeper of leases spreads work.
                Some(Say::Rate { .. }) => {}
                Some(Say::Ended { shard, .. }) => {
                    granted.remove(&shard);
                    done = desk.done(&shard, None);
                }
                Some(Say::Drained { shard, checkpoint, .. }) => {
                    granted.remove(&shard);
                    done = passed(&desk, &shard, checkpoint);
                }
            },
        }
        for event in event {
            if events.send(event).await.is_err() {
                return;
            }
        }
        for one in done {
            if through.send(one).await.is_err() {
                return;
            }
        }
    }
}

fn passed(desk: &Desk, shard: &ShardId, checkpoint: Option<Checkpoint>) -> Vec<Through> {
    match checkpoint {
        Some(Checkpoint::At { seq, sub }) => desk.done(shard, Some(&About { seq, sub })),
        _ => Vec::new(),
    }
}

fn grant(shard: ShardId) -> Event {
    Event::Granted {
        shard,
        epoch: EPOCH,
        start: Start::TrimHorizon,
    }
}

fn drain(shard: &ShardId) -> Event {
    Event::Drain {
        shard: shard.clone(),
        epoch: EPOCH,
        reason: DrainReason::Shutdown,
        deadline: Millis(u64::MAX),
    }
}

/// A store that gets only the readings that the letters are about.
#[derive(Debug)]
pub struct Only<T> {
    store: Arc<T>,
    desk: Arc<Desk>,
}

impl<T> Only<T> {
    /// This store, for the letters on this desk.
    #[must_use]
    pub fn new(store: Arc<T>, desk: Arc<Desk>) -> Self {
        Self { store, desk }
    }
}

impl<T: TimeSeries> TimeSeries for Only<T> {
    fn batch_max(&self) -> usize {
        self.store.batch_max()
    }

    fn takes(&self, reading: &Reading) -> bool {
        let position = &reading.position;
        let about = About {
            seq: position.seq.clone(),
            sub: position.sub,
        };
        self.store.takes(reading) && self.desk.wants(&reading.shard, &about, position.index)
    }

    fn key(&self, reading: &Reading) -> RowKey {
        self.store.key(reading)
    }

    fn check(&self, reading: &Reading) -> Result<(), String> {
        self.store.check(reading)
    }

    fn asked_pause(&self) -> Duration {
        self.store.asked_pause()
    }

    async fn write(&self, batch: &[Reading]) -> Result<Vec<Rejection>, CallFailed> {
        self.store.write(batch).await
    }
}
