//! Subscriptions of the in-memory stream, by AWS's rules: five minutes at most, one for a shard, no
//! call within five seconds of one that succeeded, a later one takes over.

use std::time::Duration;

use tidewire::door::stream::{self, Event, Subscription};
use tidewire::model::{ChildShard, Fault, Record, SequenceNumber, Shard, ShardId, Start};
use tokio::time::Instant;

use super::super::trimming::{DAY_MS, nowhere};
use super::{MemoryShard, MemoryStream, StreamState, failed};

const LASTS: Duration = Duration::from_secs(300);
const HELD_FOR: Duration = Duration::from_secs(5);
/// Without records an event comes this often.
const BEAT: Duration = Duration::from_secs(5);
const RECORDS_MAX: usize = 100;

const OPERATION: &str = "SubscribeToShard";

/// What subscriptions suffer from, and what was asked of them.
#[derive(Debug, Default)]
pub(crate) struct Pushing {
    /// The stream has a consumer.
    pub(crate) on: bool,
    /// Every call to subscribe fails so.
    pub(crate) refused: Option<Fault>,
    /// The consumer is not there.
    pub(crate) no_consumer: bool,
    /// Open subscriptions break off, and then this is taken back.
    pub(crate) breaks: bool,
    /// No event comes, though the subscription stays open.
    pub(crate) silent: bool,
    /// Calls that succeeded: of which shard, when, from where.
    pub(crate) opened: Vec<(ShardId, Instant, Start)>,
    /// Calls that did not.
    pub(crate) calls_refused: Vec<(ShardId, Instant)>,
}

impl Pushing {
    fn last(&self, of: &ShardId) -> Option<Instant> {
        let mut opened = self.opened.iter().rev();
        opened.find(|(shard, ..)| shard == of).map(|(_, at, _)| *at)
    }

    /// Pretends that somebody else subscribed just now.
    pub(crate) fn taken_by_another(&mut self, of: &ShardId) {
        let start = Start::TrimHorizon;
        self.opened.push((of.clone(), Instant::now(), start));
    }
}

/// A shard as it is listed.
pub(super) fn listed(id: &ShardId, closed: bool, hash_keys_end: Option<u128>) -> Shard {
    Shard {
        id: id.clone(),
        parent: None,
        adjacent_parent: None,
        starting_hash_key: "0".to_owned(),
        ending_hash_key: hash_keys_end.unwrap_or(u128::MAX).to_string(),
        starting_seq: "0".parse().unwrap(),
        ending_seq: closed.then(|| u128::MAX.to_string().parse().unwrap()),
    }
}

/// The one child that a closed shard has here.
pub(crate) fn child(of: &ShardId) -> ChildShard {
    ChildShard {
        id: ShardId::from("shardId-000000000099"),
        parents: vec![of.clone()],
        starting_hash_key: "0".to_owned(),
        ending_hash_key: "1".to_owned(),
    }
}

/// One subscription.
pub(crate) struct MemorySubscription {
    stream: MemoryStream,
    shard: ShardId,
    place: SequenceNumber,
    opened: Instant,
    beat: Instant,
    over: bool,
    /// It begins at a dropped record, and answers nothing.
    nowhere: bool,
}

impl std::fmt::Debug for MemorySubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a subscription to {}", self.shard)
    }
}

/// Where a subscription stands after `start`: behind every number up to it.
fn place(start: &Start, records: &[Record]) -> SequenceNumber {
    let before = |index: usize| match index.checked_sub(1) {
        Some(last) => records[last].seq.clone(),
        None => "0".parse().unwrap(),
    };
    match start {
        Start::TrimHorizon => before(0),
        Start::AtTimestamp(at) => before(records.partition_point(|one| one.arrival < *at)),
        Start::At { seq, .. } => before(records.partition_point(|one| one.seq < *seq)),
        Start::After(seq) => seq.clone(),
    }
}

impl MemoryStream {
    pub(super) async fn open(
        &self,
        of: &ShardId,
        start: &Start,
    ) -> Result<MemorySubscription, stream::Error> {
        self.enter(OPERATION).await?;
        self.missing(of)?;
        self.with(|state| {
            let now = Instant::now();
            let StreamState {
                pushing, shards, ..
            } = state;
            let held = pushing.last(of).is_some_and(|at| now < at + HELD_FOR);
            let MemoryShard {
                records, trimmed, ..
            } = &shards[of];
            let iterator = trimmed.iterator(records, start, String::new());
            let refusal = if let Some(fault) = pushing.refused {
                Some(failed(OPERATION, fault).into())
            } else if pushing.no_consumer {
                Some(stream::Error::NotFound {
                    operation: OPERATION,
                    message: "no such consumer".to_owned(),
                })
            } else if held {
                Some(stream::Error::Held {
                    operation: OPERATION,
                    message: "it has one".to_owned(),
                })
            } else {
                iterator.clone().err()
            };
            if let Some(refusal) = refusal {
                pushing.calls_refused.push((of.clone(), now));
                return Err(refusal);
            }
            pushing.opened.push((of.clone(), now, start.clone()));
            Ok(MemorySubscription {
                stream: self.clone(),
                shard: of.clone(),
                place: place(start, records),
                nowhere: iterator.is_ok_and(|iterator| nowhere(&iterator).is_some()),
                opened: now,
                beat: now,
                over: false,
            })
        })
    }
}

impl MemorySubscription {
    /// What there is now; none: wait.
    fn look(&self) -> Option<Result<Option<Event>, stream::Error>> {
        let now = Instant::now();
        self.stream.with(|state| {
            if std::mem::take(&mut state.pushing.breaks) {
                return Some(Err(failed(OPERATION, Fault::Transient).into()));
            }
            let taken = |(shard, at, _): &(ShardId, Instant, Start)| {
                *shard == self.shard && *at > self.opened
            };
            if state.pushing.opened.iter().any(taken) {
                return Some(Err(stream::Error::Held {
                    operation: OPERATION,
                    message: "taken over".to_owned(),
                }));
            }
            if self.over || now >= self.opened + LASTS {
                return Some(Ok(None));
            }
            if state.pushing.silent {
                return None;
            }
            let shard = state.shards.get(&self.shard)?;
            if self.nowhere {
                return (now >= self.beat).then(|| {
                    Ok(Some(Event {
                        records: Vec::new(),
                        continuation: Some(self.place.clone()),
                        behind_ms: DAY_MS,
                        ended: None,
                    }))
                });
            }
            let from = shard.records.partition_point(|one| one.seq <= self.place);
            let to = shard.records.len().min(from + RECORDS_MAX);
            let records = shard.records[from..to].to_vec();
            let ended = (shard.closed || state.false_ends > 0) && records.is_empty();
            if records.is_empty() && !ended && now < self.beat {
                return None;
            }
            let last = records.last().map_or(&self.place, |last| &last.seq);
            Some(Ok(Some(Event {
                continuation: (!ended).then(|| last.clone()),
                records,
                behind_ms: u64::from(to < shard.records.len()),
                ended: ended.then(|| match state.children.is_empty() {
                    _ if !shard.closed => Vec::new(),
                    true => vec![child(&self.shard)],
                    false => state.children.clone(),
                }),
            })))
        })
    }

    async fn wait(&self) -> Result<Option<Event>, stream::Error> {
        loop {
            if let Some(found) = self.look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Subscription for MemorySubscription {
    async fn arrived(&mut self) -> Result<Option<u64>, stream::Error> {
        let event = self.wait().await?;
        Ok(event.map(|event| {
            let bytes = event.records.iter().map(|record| record.data.len());
            bytes.sum::<usize>() as u64
        }))
    }

    async fn event(&mut self) -> Result<Option<Event>, stream::Error> {
        let event = self.wait().await?;
        if let Some(event) = &event {
            self.beat = Instant::now() + BEAT;
            self.over = event.ended.is_some();
            if event.ended.as_ref().is_some_and(Vec::is_empty) {
                self.stream.with(|state| state.false_ends -= 1);
            }
            if let Some(continuation) = &event.continuation {
                self.place = continuation.clone();
            }
        }
        Ok(event)
    }
}
