//! In-memory doors: a stream, a store with Timestream's rules, queues and dead letters, each with
//! switches for what can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tidewire::door::dead_letters::DeadLetters;
use tidewire::door::fault::CallFailed;
use tidewire::door::queue::QueueSender;
use tidewire::door::stream::{self, Page, ShardIterator, Stream};
use tidewire::door::time_series::TimeSeries;
use tidewire::model::{
    ChildShard, DeadLetter, EpochMillis, Fault, Outgoing, PartitionKey, Reading, Record, Rejection,
    RejectionKind, RowKey, Sent, SequenceNumber, Shard, ShardId, Start, Value,
};

use super::trimming::{Trimmed, nowhere};

#[path = "subscriptions.rs"]
mod subscriptions;

pub(crate) use subscriptions::child;
use subscriptions::{MemorySubscription, Pushing, listed};

/// What every door can suffer from.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Every call fails so.
    pub(crate) down: Option<Fault>,
    /// Every call takes so long.
    pub(crate) delay: Duration,
    /// Calls, failed ones included.
    pub(crate) calls: u64,
}

fn failed(operation: &'static str, fault: Fault) -> CallFailed {
    CallFailed {
        operation,
        fault,
        message: "switched off by the test".to_owned(),
    }
}

/// State behind a lock, with its troubles.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Arc<Mutex<(Trouble, T)>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, (Trouble, T)> {
        self.0.lock().unwrap()
    }

    pub(crate) fn trouble<R>(&self, change: impl FnOnce(&mut Trouble) -> R) -> R {
        change(&mut self.lock().0)
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.lock().1)
    }

    async fn enter(&self, operation: &'static str) -> Result<(), CallFailed> {
        let (delay, down) = self.trouble(|trouble| {
            trouble.calls += 1;
            (trouble.delay, trouble.down)
        });
        tokio::time::sleep(delay).await;
        down.map_or(Ok(()), |fault| Err(failed(operation, fault)))
    }
}

/// One shard's content.
#[derive(Debug, Default)]
pub(crate) struct MemoryShard {
    pub(crate) records: Vec<Record>,
    pub(crate) closed: bool,
    pub(crate) trimmed: Trimmed,
    /// When it was read.
    pub(crate) reads: Vec<tokio::time::Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) shards: BTreeMap<ShardId, MemoryShard>,
    next: u64,
    /// Iterators of an earlier generation have expired.
    pub(crate) generation: u64,
    /// Iterators are expired when they are given.
    pub(crate) stillborn: bool,
    /// The stream itself is gone.
    pub(crate) missing: bool,
    pub(crate) iterators_given: u64,
    /// The last hash key that each shard takes; none: all of them.
    pub(crate) hash_keys_end: Option<u128>,
    /// What a closed shard's children are; none: the one that [`child`] gives.
    pub(crate) children: Vec<ChildShard>,
    /// So many more answers that reach a shard's newest record say that it has ended, which is not so.
    pub(crate) false_ends: u32,
    pub(crate) pushing: Pushing,
}

pub(crate) type MemoryStream = Shared<StreamState>;

pub(crate) fn shard(number: u32) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

impl MemoryStream {
    pub(crate) fn put(&self, to: u32, payload: &str) -> SequenceNumber {
        let arrival = tidewire::service::clock::wall();
        self.put_at(to, payload, arrival)
    }

    pub(crate) fn put_at(&self, to: u32, payload: &str, arrival: EpochMillis) -> SequenceNumber {
        self.put_record(to, Bytes::copy_from_slice(payload.as_bytes()), arrival)
    }

    pub(crate) fn put_bytes(&self, to: u32, payload: Vec<u8>) -> SequenceNumber {
        self.put_record(to, payload.into(), tidewire::service::clock::wall())
    }

    fn put_record(&self, to: u32, data: Bytes, arrival: EpochMillis) -> SequenceNumber {
        self.with(|state| {
            state.next += 1;
            let seq: SequenceNumber = (10_000 + state.next).to_string().parse().unwrap();
            let shard = state.shards.entry(shard(to)).or_default();
            shard.records.push(Record {
                sub: 0,
                seq: seq.clone(),
                partition_key: Some(PartitionKey::from("key")),
                arrival,
                data,
            });
            seq
        })
    }

    pub(crate) fn close(&self, which: u32) {
        self.with(|state| state.shards.entry(shard(which)).or_default().closed = true);
    }

    fn missing(&self, shard: &ShardId) -> Result<(), stream::Error> {
        let missing = self.with(|state| state.missing || !state.shards.contains_key(shard));
        if missing {
            return Err(stream::Error::NotFound {
                operation: "GetRecords",
                message: "no such thing".to_owned(),
            });
        }
        Ok(())
    }
}

impl Stream for MemoryStream {
    type Subscription = MemorySubscription;

    fn has_consumer(&self, _: &ShardId) -> bool {
        self.with(|state| state.pushing.on)
    }

    async fn subscribe(
        &self,
        of: &ShardId,
        start: &Start,
    ) -> Result<MemorySubscription, stream::Error> {
        self.open(of, start).await
    }

    async fn shards(&self) -> Result<Vec<Shard>, stream::Error> {
        self.enter("ListShards").await?;
        self.with(|state| {
            if state.missing {
                return Err(stream::Error::NotFound {
                    operation: "ListShards",
                    message: "no such stream".to_owned(),
                });
            }
            let end = state.hash_keys_end;
            let all = state.shards.iter();
            Ok(all.map(|(id, one)| listed(id, one.closed, end)).collect())
        })
    }

    async fn server_time(&self) -> Result<EpochMillis, stream::Error> {
        Ok(tidewire::service::clock::wall())
    }

    async fn iterator(&self, of: &ShardId, start: &Start) -> Result<ShardIterator, stream::Error> {
        self.enter("GetShardIterator").await?;
        self.missing(of)?;
        self.with(|state| {
            state.iterators_given += 1;
            let MemoryShard {
                records, trimmed, ..
            } = &state.shards[of];
            let index = match start {
                Start::TrimHorizon => 0,
                Start::AtTimestamp(at) => records.partition_point(|record| record.arrival < *at),
                Start::At { seq, .. } => records.partition_point(|record| record.seq < *seq),
                Start::After(seq) => records.partition_point(|record| record.seq <= *seq),
            };
            let iterator = format!("{of} {} {}", trimmed.count + index, state.generation);
            trimmed.iterator(records, start, iterator)
        })
    }

    async fn records(&self, at: &ShardIterator, limit: u32) -> Result<Page, stream::Error> {
        self.enter("GetRecords").await?;
        if let Some(page) = nowhere(at) {
            return Ok(page);
        }
        let mut parts = at.0.split(' ');
        let of = ShardId::from(parts.next().unwrap());
        let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
        let (index, generation) = (usize::try_from(number()).unwrap(), number());
        self.missing(&of)?;
        self.with(|state| {
            if generation != state.generation || state.stillborn {
                return Err(stream::Error::IteratorExpired);
            }
            let shard = state.shards.get_mut(&of).unwrap();
            shard.reads.push(tokio::time::Instant::now());
            let (trimmed, all) = (shard.trimmed.count, shard.records.len());
            let index = index.saturating_sub(trimmed);
            let to = all.min(index + usize::try_from(limit).unwrap());
            let ended = shard.closed && to == all;
            let false_end = !ended && to == all && state.false_ends > 0;
            state.false_ends -= u32::from(false_end);
            let next = trimmed + to;
            Ok(Page {
                records: shard.records[index..to].to_vec(),
                next: (!ended && !false_end)
                    .then(|| ShardIterator(format!("{of} {next} {generation}"))),
                behind_ms: u64::from(to < all),
                children: if ended { vec![child(&of)] } else { Vec::new() },
            })
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct StoreState {
    pub(crate) rows: BTreeMap<RowKey, Vec<(Arc<str>, Value)>>,
    /// Readings in the order in which they were stored.
    pub(crate) stored: Vec<Reading>,
    /// Devices that make the store refuse a whole request.
    pub(crate) poison: BTreeSet<String>,
    pub(crate) batches: Vec<usize>,
    /// Devices whose readings it is not meant to get.
    pub(crate) leaves: BTreeSet<String>,
    /// How long it asks to be left alone.
    pub(crate) asks: Duration,
    /// Devices of which the store holds a higher version of everything.
    pub(crate) superseded: BTreeSet<String>,
}

pub(crate) type MemoryStore = Shared<StoreState>;

impl TimeSeries for MemoryStore {
    fn batch_max(&self) -> usize {
        100
    }

    fn takes(&self, reading: &Reading) -> bool {
        !self.with(|state| state.leaves.contains(reading.device.as_str()))
    }

    fn key(&self, reading: &Reading) -> RowKey {
        let names: Vec<_> = reading.measures.iter().map(|(name, _)| &**name).collect();
        let key = format!("{} {} {}", reading.device, reading.time, names.join("+"));
        RowKey(key.into_bytes())
    }

    fn check(&self, reading: &Reading) -> Result<(), String> {
        match reading.device.as_str().len() {
            0..=60 => Ok(()),
            _ => Err("the device's name is too long for a dimension".to_owned()),
        }
    }

    fn asked_pause(&self) -> Duration {
        self.with(|state| state.asks)
    }

    async fn write(&self, batch: &[Reading]) -> Result<Vec<Rejection>, CallFailed> {
        let keys: BTreeSet<_> = batch.iter().map(|reading| self.key(reading)).collect();
        assert!(keys.len() == batch.len() && (1..=100).contains(&batch.len()));
        self.enter("WriteRecords").await?;
        let keyed = batch.iter().map(|reading| (self.key(reading), reading));
        self.with(|state| {
            state.batches.push(batch.len());
            if batch
                .iter()
                .any(|one| state.poison.contains(one.device.as_str()))
            {
                return Err(failed("WriteRecords", Fault::Rejected));
            }
            let mut rejections = Vec::new();
            for (index, (key, reading)) in keyed.enumerate() {
                if state.superseded.contains(reading.device.as_str()) {
                    rejections.push(Rejection {
                        index,
                        kind: RejectionKind::Superseded,
                        reason: "the version is lower than the existing one".to_owned(),
                    });
                    continue;
                }
                let there = state.rows.entry(key).or_insert_with(|| {
                    state.stored.push(reading.clone());
                    reading.measures.clone()
                });
                if *there != reading.measures {
                    rejections.push(Rejection {
                        index,
                        kind: RejectionKind::Duplicate,
                        reason: "A record already exists with the same key".to_owned(),
                    });
                }
            }
            Ok(rejections)
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct QueueState {
    pub(crate) bodies: Vec<String>,
    /// Whose they were, where that was said.
    pub(crate) groups: Vec<String>,
    /// Bodies holding this text are refused.
    pub(crate) refuses: Option<String>,
    /// The next so many entries fail and may be sent again.
    pub(crate) stumbles: usize,
}

pub(crate) type MemoryQueue = Shared<QueueState>;

impl QueueSender for MemoryQueue {
    async fn send_grouped(&self, messages: &[Outgoing]) -> Result<Vec<Sent>, CallFailed> {
        let groups: Vec<_> = messages
            .iter()
            .filter_map(|one| one.group.clone())
            .collect();
        let bodies: Vec<_> = messages.iter().map(|one| one.body.clone()).collect();
        let sent = self.send(&bodies).await?;
        if !groups.is_empty() {
            let distinct: BTreeSet<_> = groups.iter().collect();
            assert_eq!(
                distinct.len(),
                groups.len(),
                "one message a group and request"
            );
            assert!(messages.iter().all(|one| one.once.is_some()));
            self.with(|state| state.groups.extend(groups));
        }
        Ok(sent)
    }

    async fn send(&self, bodies: &[String]) -> Result<Vec<Sent>, CallFailed> {
        assert!((1..=10).contains(&bodies.len()));
        assert!(bodies.iter().map(String::len).sum::<usize>() <= 1_048_576);
        self.enter("SendMessageBatch").await?;
        Ok(self.with(|state| {
            let send = |body: &String| {
                if state
                    .refuses
                    .as_ref()
                    .is_some_and(|text| body.contains(text))
                {
                    return Sent::Refused("invalid contents".to_owned());
                }
                if state.stumbles > 0 {
                    state.stumbles -= 1;
                    return Sent::Again("internal error".to_owned());
                }
                state.bodies.push(body.clone());
                Sent::Accepted
            };
            bodies.iter().map(send).collect()
        }))
    }
}

pub(crate) type MemoryLetters = Shared<Vec<DeadLetter>>;

impl DeadLetters for MemoryLetters {
    async fn file(&self, letters: &[DeadLetter]) -> Result<(), CallFailed> {
        assert!((1..=10).contains(&letters.len()));
        self.enter("SendMessageBatch").await?;
        self.with(|filed| filed.extend(letters.iter().cloned()));
        Ok(())
    }
}
