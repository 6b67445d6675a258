//! A stream that ends: the range of it that is read again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::door::stream::{Error, NoSubscription, Page, ShardIterator, Stream};
use crate::model::{EpochMillis, SequenceNumber, Shard, ShardId, Start};

/// Kinesis stamps arrivals on several hosts, whose clocks differ a little, so that records of one
/// shard are not quite in the order of their stamps: reading ends only at a record that arrived so
/// much later than the range.
const STAMPS_APART_MS: i64 = 10_000;

/// Separates the shard from the stream's own iterator; no shard's id holds it.
const SEPARATOR: char = '\n';

/// A place in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// When a record arrived on the stream.
    Time(EpochMillis),
    /// A record of one shard.
    Record(SequenceNumber),
}

/// A range of the stream; both ends belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins; none: with the oldest record that the stream still has.
    pub from: Option<Place>,
    /// Where it ends.
    pub to: Place,
}

impl Range {
    /// Where a shard is begun.
    #[must_use]
    pub fn start(&self) -> Start {
        match &self.from {
            None => Start::TrimHorizon,
            Some(Place::Time(time)) => Start::AtTimestamp(*time),
            Some(Place::Record(seq)) => Start::At {
                seq: seq.clone(),
                sub: 0,
            },
        }
    }

    /// Keeps what belongs to the range; whether the shard has nothing of it any more.
    fn cut(&self, page: &mut Page) -> bool {
        let beyond = match &self.to {
            Place::Time(to) => {
                let last = page.records.iter().map(|record| record.arrival.0).max();
                page.records.retain(|record| record.arrival <= *to);
                last.is_some_and(|last| last > to.0.saturating_add(STAMPS_APART_MS))
            }
            Place::Record(to) => {
                let last = page.records.last().map(|record| record.seq.clone());
                page.records.retain(|record| record.seq <= *to);
                last.is_some_and(|last| last >= *to)
            }
        };
        // At the tip there is nothing else that arrived before the replay began.
        beyond || page.behind_ms == 0
    }
}

/// The range of a stream, as a stream whose shards end where it ends.
#[derive(Debug)]
pub struct Bounded<S> {
    stream: Arc<S>,
    range: Range,
    shards: Mutex<BTreeMap<ShardId, Read>>,
}

/// What was read of a shard.
#[derive(Debug, Default)]
struct Read {
    /// Pages that are not done: their last record, and when their first arrived.
    pages: VecDeque<(SequenceNumber, EpochMillis)>,
    /// When the last record of the pages that are done arrived.
    done: Option<EpochMillis>,
}

impl<S: Stream> Bounded<S> {
    /// This range of a stream.
    #[must_use]
    pub fn new(stream: Arc<S>, range: Range) -> Self {
        Self {
            stream,
            range,
            shards: Mutex::default(),
        }
    }

    /// The range.
    #[must_use]
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// Everything up to this record of a shard is done.
    pub fn done(&self, shard: &ShardId, upto: &SequenceNumber) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(read) = shards.get_mut(shard) else {
            return;
        };
        while let Some((_, arrival)) = read.pages.pop_front_if(|(last, _)| *last <= *upto) {
            read.done = Some(arrival);
        }
    }

    /// A time before which nothing of a shard is left to do; none where nothing is known of it.
    #[must_use]
    pub fn done_before(&self, shard: &ShardId) -> Option<EpochMillis> {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let read = shards.get(shard)?;
        let waiting = read.pages.front().map(|(_, arrival)| *arrival);
        waiting.or(read.done)
    }

    fn note(&self, shard: &ShardId, page: &Page) {
        let (Some(first), Some(last)) = (page.records.first(), page.records.last()) else {
            return;
        };
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let read = shards.entry(shard.clone()).or_default();
        read.pages.push_back((last.seq.clone(), first.arrival));
    }
}

impl<S: Stream> Stream for Bounded<S> {
    type Subscription = NoSubscription;

    /// Each as a closed one: a range ends, and is not read on where its shard is still open.
    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        let mut shards = self.stream.shards().await?;
        for shard in &mut shards {
            if shard.ending_seq.is_none() {
                shard.ending_seq = Some(shard.starting_seq.clone());
            }
        }
        Ok(shards)
    }

    async fn server_time(&self) -> Result<EpochMillis, Error> {
        self.stream.server_time().await
    }

    async fn iterator(&self, shard: &ShardId, start: &Start) -> Result<ShardIterator, Error> {
        // A reader takes the record that it is to begin at for done; here it belongs to the range.
        let begin = self.range.start();
        let start = match start {
            Start::TrimHorizon => &begin,
            later => later,
        };
        let ShardIterator(inner) = self.stream.iterator(shard, start).await?;
        Ok(ShardIterator(format!("{shard}{SEPARATOR}{inner}")))
    }

    async fn records(&self, iterator: &ShardIterator, limit: u32) -> Result<Page, Error> {
        let Some((shard, inner)) = iterator.0.split_once(SEPARATOR) else {
            return Err(Error::IteratorExpired);
        };
        let inner = ShardIterator(inner.to_owned());
        let mut page = self.stream.records(&inner, limit).await?;
        let ends = self.range.cut(&mut page);
        let next = page.next.take().filter(|_| !ends);
        page.next =
            next.map(|ShardIterator(next)| ShardIterator(format!("{shard}{SEPARATOR}{next}")));
        self.note(&ShardId::from(shard), &page);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::Record;

    fn record(seq: u32, arrival: i64) -> Record {
        Record {
            sub: 0,
            seq: seq.to_string().parse().expect("a decimal"),
            partition_key: None,
            arrival: EpochMillis(arrival),
            data: Bytes::new(),
        }
    }

    fn page(records: &[(u32, i64)], behind_ms: u64) -> Page {
        Page {
            records: records.iter().map(|(seq, at)| record(*seq, *at)).collect(),
            next: None,
            behind_ms,
            children: Vec::new(),
        }
    }

    fn kept(to: &Place, records: &[(u32, i64)], behind_ms: u64) -> (Vec<String>, bool) {
        let range = Range {
            from: None,
            to: to.clone(),
        };
        let mut page = page(records, behind_ms);
        let ends = range.cut(&mut page);
        let seqs = page.records.iter().map(|record| record.seq.to_string());
        (seqs.collect(), ends)
    }

    #[test]
    fn a_range_by_time_has_what_arrived_in_it_though_stamps_are_out_of_order() {
        let to = Place::Time(EpochMillis(1_000));
        let records = [(1, 900), (2, 1_001), (3, 1_000)];
        assert_eq!(
            kept(&to, &records, 5),
            (vec!["1".into(), "3".into()], false)
        );
        let far = [(4, 1_000), (5, 1_000 + STAMPS_APART_MS + 1)];
        assert_eq!(kept(&to, &far, 5), (vec!["4".into()], true));
        assert_eq!(kept(&to, &[], 5), (vec![], false));
        assert_eq!(kept(&to, &[], 0), (vec![], true), "at the tip");
    }

    #[test]
    fn a_range_by_records_ends_with_its_last() {
        let to = Place::Record("10".parse().expect("a decimal"));
        assert_eq!(kept(&to, &[(9, 0)], 5), (vec!["9".into()], false));
        assert!(kept(&to, &[(9, 0), (10, 0)], 5).1);
        assert_eq!(kept(&to, &[(9, 0), (11, 0)], 5), (vec!["9".into()], true));
    }
}
