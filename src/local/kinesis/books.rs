//! What the layer remembers beside ferrokinesis's store: the limits of each shard, and every
//! record's key in order of arrival, for `AT_TIMESTAMP` and for dropping the oldest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::limits::ShardLimits;

/// One stored record.
#[derive(Debug)]
struct Kept {
    stream: Arc<str>,
    /// `shard in hex/sequence number`, as the store has it.
    key: String,
    bytes: usize,
    arrival_ms: u64,
}

#[derive(Debug)]
pub(super) struct Books {
    limits: BTreeMap<(String, String), ShardLimits>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    kept_max: usize,
    last_arrival_ms: u64,
    /// By consumer and shard: when the newest subscription began, and its ticket.
    subscriptions: BTreeMap<(String, String), (u64, u64)>,
    last_ticket: u64,
}

/// Keys of records to delete, by stream.
pub(super) type Outdated = BTreeMap<Arc<str>, Vec<String>>;

impl Books {
    pub(super) fn new(kept_max: usize) -> Self {
        Self {
            limits: BTreeMap::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            kept_max,
            last_arrival_ms: 0,
            subscriptions: BTreeMap::new(),
            last_ticket: 0,
        }
    }

    pub(super) fn shard(&mut self, stream: &str, shard: &str, now_ms: u64) -> &mut ShardLimits {
        self.limits
            .entry((stream.to_owned(), shard.to_owned()))
            .or_insert_with(|| ShardLimits::new(now_ms))
    }

    /// Begins a subscription, which ends an older one; `None` where that is younger than `after_ms`.
    pub(super) fn subscribe(
        &mut self,
        consumer: &str,
        shard: &str,
        now_ms: u64,
        after_ms: u64,
    ) -> Option<u64> {
        let key = (consumer.to_owned(), shard.to_owned());
        let began = self.subscriptions.get(&key).map(|(began, _)| *began);
        if began.is_some_and(|began| now_ms - began < after_ms) {
            return None;
        }
        self.last_ticket += 1;
        self.subscriptions.insert(key, (now_ms, self.last_ticket));
        Some(self.last_ticket)
    }

    /// Whether a subscription is still the newest.
    pub(super) fn subscribed(&self, consumer: &str, shard: &str, ticket: u64) -> bool {
        let key = (consumer.to_owned(), shard.to_owned());
        self.subscriptions
            .get(&key)
            .is_some_and(|(_, newest)| *newest == ticket)
    }

    /// The arrival time for a record written at `wall_ms`: never before an earlier record's.
    pub(super) fn arrival(&mut self, wall_ms: u64) -> u64 {
        self.last_arrival_ms = self.last_arrival_ms.max(wall_ms);
        self.last_arrival_ms
    }

    pub(super) fn keep(&mut self, stream: &Arc<str>, key: String, bytes: usize, arrival_ms: u64) {
        self.kept_bytes += bytes;
        self.kept.push_back(Kept {
            stream: Arc::clone(stream),
            key,
            bytes,
            arrival_ms,
        });
    }

    /// Forgets the oldest records until the rest fits, and says which.
    pub(super) fn outdated(&mut self) -> Outdated {
        let mut outdated = Outdated::new();
        while self.kept_bytes > self.kept_max {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.kept_bytes -= oldest.bytes;
            outdated.entry(oldest.stream).or_default().push(oldest.key);
        }
        outdated
    }

    /// The sequence number of the shard's first record that arrived at `from_ms` or later.
    pub(super) fn first_since(&self, stream: &str, shard_hex: &str, from_ms: u64) -> Option<&str> {
        let start = self
            .kept
            .partition_point(|record| record.arrival_ms < from_ms);
        self.kept.range(start..).find_map(|record| {
            let (hex, sequence) = record.key.split_once('/')?;
            (hex == shard_hex && &*record.stream == stream).then_some(sequence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_subscription_takes_over_and_an_early_one_is_refused() {
        let mut books = Books::new(0);
        let first = books.subscribe("c", "s", 0, 5_000).unwrap();
        assert_eq!(books.subscribe("c", "s", 4_999, 5_000), None);
        assert!(books.subscribed("c", "s", first));
        assert!(books.subscribe("c", "other", 0, 5_000).is_some());
        let second = books.subscribe("c", "s", 5_000, 5_000).unwrap();
        assert!(!books.subscribed("c", "s", first) && books.subscribed("c", "s", second));
    }

    #[test]
    fn the_oldest_records_are_dropped_and_the_rest_is_found_by_time() {
        let mut books = Books::new(250);
        let stream: Arc<str> = "s".into();
        for (n, wall_ms) in [(1, 10), (2, 20), (3, 15)] {
            let arrival = books.arrival(wall_ms);
            books.keep(&stream, format!("00/{n}"), 100, arrival);
        }
        assert_eq!(books.outdated().get("s"), Some(&vec!["00/1".to_owned()]));
        assert_eq!(books.first_since("s", "00", 0), Some("2"));
        assert_eq!(
            books.first_since("s", "00", 20),
            Some("2"),
            "a step back counts as no step"
        );
        assert_eq!(books.first_since("s", "00", 21), None);
        assert_eq!(books.first_since("s", "01", 0), None);
        assert!(books.outdated().is_empty());
    }
}
