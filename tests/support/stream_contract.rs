//! What the stream door promises of subscriptions, whatever is behind it.

use std::time::Duration;

use tidewire::door::stream::{Error, Event, Stream, Subscription};
use tidewire::model::{EpochMillis, SequenceNumber, ShardId, Start};

/// Shards that the contract needs, empty at first, each subscribed to once.
pub(crate) const SHARDS: usize = 6;

/// A stream and what is done to it.
pub(crate) trait Subject {
    type Stream: Stream;
    fn stream(&self) -> &Self::Stream;
    /// Puts a record on a shard.
    fn put(&self, shard: &ShardId, text: &str) -> impl Future<Output = SequenceNumber>;
    /// Closes a shard and gives it children.
    fn split(&self, shard: &ShardId) -> impl Future<Output = ()>;
}

const SOON: Duration = Duration::from_secs(10);

/// The next event, as whoever must ask for room first takes it.
async fn next<S: Subscription>(events: &mut S) -> Option<Event> {
    let soon = tokio::time::timeout(SOON, async {
        let bytes = events.arrived().await.expect("an event arrives")?;
        let again = events.arrived().await.expect("still");
        assert_eq!(again, Some(bytes), "it is announced until it is taken in");
        let event = events.event().await.expect("an event is read");
        let event = event.expect("what was announced comes");
        let data: usize = event.records.iter().map(|one| one.data.len()).sum();
        assert!(data as u64 <= bytes, "{data} in {bytes}");
        Some(event)
    });
    soon.await.expect("an event comes soon")
}

/// The texts of the next records.
async fn texts<S: Subscription>(events: &mut S, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let event = next(events).await.expect("more records");
        assert!(event.continuation.is_some() && event.ended.is_none());
        texts.extend(event.records.iter().map(|record| {
            let text = String::from_utf8(record.data.to_vec());
            text.expect("a text")
        }));
    }
    texts
}

/// Puts the subject through all of it.
pub(crate) async fn holds<T: Subject>(subject: &T) {
    let listed = subject.stream().shards().await.expect("shards");
    let shards: Vec<ShardId> = listed.into_iter().map(|shard| shard.id).collect();
    assert_eq!(shards.len(), SHARDS);
    assert!(subject.stream().has_consumer(&shards[0]));
    records_come_as_they_are_written_and_one_subscription_holds_a_shard(subject, &shards[0]).await;
    it_begins_where_it_is_told(subject, &shards[1..5]).await;
    a_closed_shard_ends_with_its_children(subject, &shards[5]).await;
    let gone = ShardId::from("shardId-000000000999");
    let missing = subject.stream().subscribe(&gone, &Start::TrimHorizon).await;
    assert!(matches!(missing.err(), Some(Error::NotFound { .. })));
}

async fn records_come_as_they_are_written_and_one_subscription_holds_a_shard<T: Subject>(
    subject: &T,
    shard: &ShardId,
) {
    subject.put(shard, "before").await;
    let subscribe = || subject.stream().subscribe(shard, &Start::TrimHorizon);
    let mut events = subscribe().await.expect("a subscription");
    let held = subscribe().await.err();
    assert!(matches!(held, Some(Error::Held { .. })), "{held:?}");
    assert_eq!(texts(&mut events, 1).await, ["before"]);
    for text in ["a", "b", "c"] {
        // A wait that is given up loses nothing.
        let waited = tokio::time::timeout(Duration::from_millis(10), events.arrived()).await;
        drop(waited);
        subject.put(shard, text).await;
        assert_eq!(texts(&mut events, 1).await, [text]);
    }
    let idle = next(&mut events).await.expect("a sign of life");
    assert!(idle.records.is_empty() && idle.continuation.is_some());
}

async fn it_begins_where_it_is_told<T: Subject>(subject: &T, shards: &[ShardId]) {
    let mut starts = Vec::new();
    for (n, shard) in shards.iter().enumerate() {
        let mut seqs = Vec::new();
        for text in ["0", "1", "2"] {
            seqs.push(subject.put(shard, text).await);
            // Arrivals are told apart by the millisecond.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seq = seqs[1].clone();
        starts.push(match n {
            0 => (Start::At { seq, sub: 0 }, vec!["1", "2"]),
            1 => (Start::After(seq), vec!["2"]),
            2 => (Start::TrimHorizon, vec!["0", "1", "2"]),
            _ => (Start::AtTimestamp(EpochMillis(0)), vec!["0", "1", "2"]),
        });
    }
    for (shard, (start, expected)) in shards.iter().zip(starts) {
        let events = subject.stream().subscribe(shard, &start).await;
        let mut events = events.expect("a subscription");
        let found = texts(&mut events, expected.len()).await;
        assert_eq!(found, expected, "{start:?}");
    }
}

async fn a_closed_shard_ends_with_its_children<T: Subject>(subject: &T, shard: &ShardId) {
    subject.put(shard, "last").await;
    let events = subject.stream().subscribe(shard, &Start::TrimHorizon).await;
    let mut events = events.expect("a subscription");
    assert_eq!(texts(&mut events, 1).await, ["last"]);
    subject.split(shard).await;
    let children = loop {
        let event = next(&mut events).await.expect("the end is told");
        assert!(event.records.is_empty());
        if let Some(children) = event.ended {
            break children;
        }
    };
    assert!(!children.is_empty());
    assert!(
        children
            .iter()
            .all(|child| child.parents == [shard.clone()])
    );
    assert!(next(&mut events).await.is_none(), "and then no more");
}
