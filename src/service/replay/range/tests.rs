//! Plans, and the order in which shards are granted.

use tokio::sync::{mpsc, watch};

use super::*;
use crate::door::stream::{Error as StreamError, NoSubscription, Page, ShardIterator};

fn seq(number: u32) -> SequenceNumber {
    number.to_string().parse().expect("a decimal")
}

fn shard(id: &str, parent: Option<&str>, from: u32, to: Option<u32>) -> Shard {
    Shard {
        id: id.into(),
        parent: parent.map(ShardId::from),
        adjacent_parent: None,
        starting_hash_key: "0".to_owned(),
        ending_hash_key: "1".to_owned(),
        starting_seq: seq(from),
        ending_seq: to.map(seq),
    }
}

fn range(from: Option<Place>, to: Place) -> Range {
    Range { from, to }
}

#[test]
fn a_range_that_cannot_be_meant_is_told() {
    let now = EpochMillis(1_000);
    let shards = || {
        vec![
            shard("a", None, 10, Some(20)),
            shard("b", Some("a"), 30, None),
        ]
    };
    let at = |time| Place::Time(EpochMillis(time));
    let record = |number| Place::Record(seq(number));
    let planned = |only: Option<&str>, range: &Range| {
        let only = only.map(ShardId::from);
        plan(shards(), only.as_ref(), range, now).map(|plan| plan.len())
    };
    assert_eq!(planned(None, &range(Some(at(5)), at(1_000))), Ok(2));
    assert_eq!(
        planned(None, &range(Some(at(5)), at(4))),
        Err(Error::Backwards)
    );
    assert_eq!(planned(None, &range(None, at(1_001))), Err(Error::Future));
    assert_eq!(
        planned(None, &range(Some(record(12)), at(9))),
        Err(Error::WhichShard)
    );
    assert_eq!(
        planned(Some("c"), &range(None, at(9))),
        Err(Error::NoShard("c".into()))
    );
    assert_eq!(
        planned(Some("a"), &range(Some(record(12)), record(20))),
        Ok(1)
    );
    assert_eq!(
        planned(Some("a"), &range(Some(record(12)), record(11))),
        Err(Error::Backwards)
    );
    for outside in [9, 21] {
        let found = planned(Some("a"), &range(Some(record(outside)), at(9)));
        assert!(matches!(found, Err(Error::NotOfShard { .. })), "{found:?}");
    }
}

/// A stream that nobody reads.
#[derive(Debug)]
struct Nothing;

impl Stream for Nothing {
    type Subscription = NoSubscription;

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        Ok(Vec::new())
    }

    async fn server_time(&self) -> Result<EpochMillis, StreamError> {
        Ok(EpochMillis(0))
    }

    async fn iterator(&self, _: &ShardId, _: &Start) -> Result<ShardIterator, StreamError> {
        Err(StreamError::IteratorExpired)
    }

    async fn records(&self, _: &ShardIterator, _: u32) -> Result<Page, StreamError> {
        Err(StreamError::IteratorExpired)
    }
}

#[tokio::test]
async fn children_come_after_their_parents_and_an_end_says_where_to_go_on() {
    let everything = range(None, Place::Time(EpochMillis(9)));
    let stream = Arc::new(Bounded::new(Arc::new(Nothing), everything));
    let plan = vec![
        shard("a", None, 1, Some(9)),
        shard("b", Some("a"), 10, None),
    ];
    let (events_to, mut events) = mpsc::channel(8);
    let (says_to, says) = mpsc::channel(8);
    let (reached_to, reached) = watch::channel(Reached::default());
    let stop = CancellationToken::new();
    let keeping = keep(plan, stream, events_to, says, stop.clone(), reached_to);
    let worker = async {
        let granted = events.recv().await;
        assert!(matches!(granted, Some(Event::Granted { shard, .. }) if shard.as_str() == "a"));
        assert!(events.try_recv().is_err(), "its child waits");
        let ended = Say::Ended {
            shard: "a".into(),
            epoch: EPOCH,
            children: Vec::new(),
        };
        says_to.send(ended).await.expect("it listens");
        let granted = events.recv().await;
        assert!(matches!(granted, Some(Event::Granted { shard, .. }) if shard.as_str() == "b"));
        stop.cancel();
        let drained = events.recv().await;
        assert!(matches!(drained, Some(Event::Drain { shard, .. }) if shard.as_str() == "b"));
        let drained = Say::Drained {
            shard: "b".into(),
            epoch: EPOCH,
            checkpoint: None,
        };
        says_to.send(drained).await.expect("it listens");
        assert!(events.recv().await.is_none(), "nothing more is granted");
    };
    tokio::join!(keeping, worker);
    let expected = Reached {
        shards: 2,
        shards_done: 1,
        go_on: Some(GoOn::Anew),
    };
    assert_eq!(*reached.borrow(), expected);
}
