//! What the layer keeps beside ferrokinesis's store: the records, the limits of each shard, and who
//! subscribes.

use std::collections::BTreeMap;

use super::limits::ShardLimits;
use super::log::Log;

#[derive(Debug)]
pub(super) struct Books {
    pub(super) log: Log,
    limits: BTreeMap<(String, String), ShardLimits>,
    last_arrival_ms: u64,
    /// By consumer and shard: when the newest subscription began, and its ticket.
    subscriptions: BTreeMap<(String, String), (u64, u64)>,
    last_ticket: u64,
}

impl Books {
    pub(super) fn new(log: Log) -> Self {
        Self {
            // A log that cannot be read is refused before this.
            last_arrival_ms: log.last_arrival_ms().unwrap_or(0),
            log,
            limits: BTreeMap::new(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books() -> Books {
        Books::new(Log::open(None, 0).unwrap())
    }

    #[test]
    fn a_later_subscription_takes_over_and_an_early_one_is_refused() {
        let mut books = books();
        let first = books.subscribe("c", "s", 0, 5_000).unwrap();
        assert_eq!(books.subscribe("c", "s", 4_999, 5_000), None);
        assert!(books.subscribed("c", "s", first));
        assert!(books.subscribe("c", "other", 0, 5_000).is_some());
        let second = books.subscribe("c", "s", 5_000, 5_000).unwrap();
        assert!(!books.subscribed("c", "s", first) && books.subscribed("c", "s", second));
    }

    #[test]
    fn arrival_times_never_go_back() {
        let mut books = books();
        assert_eq!(books.arrival(20), 20);
        assert_eq!(books.arrival(15), 20);
        assert_eq!(books.arrival(21), 21);
    }
}
