//! How much each shard carried lately, told to the keeper of leases: what it spreads leases by where
//! `lease.weight` says so.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::worker;
use crate::lease::talk::Say;
use crate::model::{LeaseCounter, Millis, ShardId};

/// How often the counts are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The time of which the mean is told. A shard just taken may have a backlog: nothing is told of it
/// before this has passed, and what its last owner wrote stands.
const MEAN_OF: Duration = Duration::from_secs(60);

/// Reports rates until the worker, or the keeper of leases, has ended.
pub async fn report(
    mut status: watch::Receiver<worker::Status>,
    says: mpsc::Sender<Say>,
    clock: Clock,
) {
    let mut means = Means::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // Its sender goes with the worker.
        if status.has_changed().is_err() {
            return;
        }
        let read = {
            let status = status.borrow_and_update();
            let shards = status.shards.iter();
            shards
                .map(|(shard, status)| (shard.clone(), status.epoch, status.bytes_read))
                .collect()
        };
        for say in means.look(clock.now(), read) {
            if says.send(say).await.is_err() {
                return;
            }
        }
    }
}

/// What was read of each shard under one ownership, at the looks of the last minute.
#[derive(Debug, Default)]
struct Means(BTreeMap<(ShardId, LeaseCounter), Vec<(Millis, u64)>>);

impl Means {
    /// Takes note of the bytes read so far; answers with what is known by now.
    fn look(&mut self, now: Millis, read: Vec<(ShardId, LeaseCounter, u64)>) -> Vec<Say> {
        let mut before = std::mem::take(&mut self.0);
        let mut told = Vec::new();
        for (shard, epoch, bytes) in read {
            let key = (shard, epoch);
            let mut looks = before.remove(&key).unwrap_or_default();
            looks.push((now, bytes));
            // One look a minute old stays, to count from.
            while looks.len() > 1 && looks[1].0 + MEAN_OF <= now {
                looks.remove(0);
            }
            let (since, first) = looks[0];
            let millis = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
            if now.since(since) >= MEAN_OF {
                told.push(Say::Rate {
                    shard: key.0.clone(),
                    epoch,
                    bytes_per_s: bytes.saturating_sub(first).saturating_mul(1_000) / millis.max(1),
                });
            }
            self.0.insert(key, looks);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_mean_is_told_and_nothing_before_there_is_one() {
        let shard = ShardId::from("shardId-000000000000");
        let mut means = Means::default();
        let mut look = |seconds: u64, epoch: u64, bytes: u64| {
            let read = vec![(shard.clone(), LeaseCounter(epoch), bytes)];
            let told = means.look(Millis(1_000_000 + seconds * 1_000), read);
            let rates = told.into_iter().map(|say| match say {
                Say::Rate { bytes_per_s, .. } => bytes_per_s,
                other => panic!("{other:?}"),
            });
            rates.collect::<Vec<_>>()
        };
        for tens in 0..6 {
            assert_eq!(look(tens * 10, 1, tens * 1_000), [0; 0], "after {tens}0 s");
        }
        assert_eq!(look(60, 1, 6_000), [100]);
        assert_eq!(look(70, 1, 13_000), [200], "the last minute alone counts");
        assert_eq!(look(80, 2, 0), [0; 0], "another ownership begins anew");
    }
}
