//! Which records go onto a stream next: full requests, several in flight, a rate, and each key's
//! order kept.
//!
//! The order of one key's records holds because at most one of them is under way at any time:
//! AWS promises no order among the records of one `PutRecords`, takes some and refuses others of
//! the same key, and may repeat what it did take when the answer is lost. A key whose record is
//! to be sent again waits with all that follow; other keys go on meanwhile. A caller who would
//! rather be fast may let several of a key share a request ([`Limits::run_max`]).
//!
//! ```text
//!            offer                next                 answered: accepted, refused
//!   (none) --------> ready(key) --------> in flight ------------------> ready | (none)
//!                       ^                     | answered: again
//!                       |     wait is over    v
//!                       +---------------- waiting(key)
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::{Fault, Millis, PartitionKey, Sent};

/// What feeding keeps to.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Records a request.
    pub batch_records_max: usize,
    /// Bytes a request: payloads and keys.
    pub batch_bytes_max: usize,
    /// Records of one key in a request. With more than one, a key's order breaks where the stream
    /// takes a later record of a request and refuses an earlier one.
    pub run_max: usize,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Records held: read, and not yet taken by the stream.
    pub held_records_max: usize,
    /// Bytes held. One record beyond it may be held, so that any record can be.
    pub held_bytes_max: usize,
    /// Records a second, sent again or not; `None`: as fast as the stream takes them.
    pub rate: Option<f64>,
    /// The wait before a record is sent a second time; doubled for each further time.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // AWS: PutRecords takes 500.
            batch_records_max: 500,
            // Half of the 10 MiB that AWS takes: embedded and older servers keep the former 5 MiB,
            // and at 250 bytes a reading 500 records end a request long before.
            batch_bytes_max: 5 * 1024 * 1024,
            // What keeps the order whatever the stream refuses.
            run_max: 1,
            // Enough to hide a round trip of 50 ms at 40,000 records a second.
            requests_max: 4,
            // Two rounds of full requests: while one is under way the next is gathered.
            held_records_max: 4000,
            held_bytes_max: 32 * 1024 * 1024,
            rate: None,
            // A shard's limits are a second's: a first short wait, then about that second.
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// A record to feed. `L` is the caller's: what it needs to build the request and report on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<L> {
    /// Whose order is kept.
    pub key: PartitionKey,
    /// What it counts toward the limits.
    pub bytes: usize,
    /// The record itself.
    pub load: L,
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(u64);

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<L> {
    /// Send these, each key at most [`Limits::run_max`] times.
    Send(RequestId, Vec<Item<L>>),
    /// Nothing before this instant, unless something is offered or answered.
    Wait(Millis),
    /// Nothing until something is offered or answered.
    Idle,
}

/// What an answer settled.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled<L> {
    /// On the stream.
    pub accepted: usize,
    /// To be sent again.
    pub again: usize,
    /// Refused for good, with the reason: left out.
    pub refused: Vec<(Item<L>, String)>,
}

/// The state of feeding: see the module.
#[derive(Debug)]
pub struct Feeding<L> {
    limits: Limits,
    keys: BTreeMap<PartitionKey, Queue<L>>,
    /// Keys whose first record may go, in the order in which that became so.
    ready: VecDeque<PartitionKey>,
    /// Keys that wait, by when and in which order.
    waiting: BTreeMap<(Millis, u64), PartitionKey>,
    in_flight: BTreeMap<RequestId, Vec<PartitionKey>>,
    held_records: usize,
    held_bytes: usize,
    serial: u64,
    bucket: Option<Bucket>,
}

/// A key's records in order; the first is the one that is ready, waiting or in flight.
#[derive(Debug)]
struct Queue<L> {
    items: VecDeque<Item<L>>,
    failures: u32,
}

impl<L: Clone> Feeding<L> {
    /// Nothing held.
    #[must_use]
    pub fn new(limits: Limits, now: Millis) -> Self {
        let bucket = limits.rate.map(|rate| Bucket::new(rate, now));
        Self {
            limits,
            keys: BTreeMap::new(),
            ready: VecDeque::new(),
            waiting: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            held_records: 0,
            held_bytes: 0,
            serial: 0,
            bucket,
        }
    }

    /// Whether another record may be offered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.held_records < self.limits.held_records_max
            && self.held_bytes < self.limits.held_bytes_max
    }

    /// Records held, in flight ones included.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held_records
    }

    /// Requests under way.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.in_flight.len()
    }

    /// Takes the next record of the input.
    pub fn offer(&mut self, item: Item<L>) {
        self.held_records += 1;
        self.held_bytes += item.bytes;
        let key = item.key.clone();
        let queue = self.keys.entry(key.clone()).or_insert_with(|| Queue {
            items: VecDeque::new(),
            failures: 0,
        });
        queue.items.push_back(item);
        if queue.items.len() == 1 {
            self.ready.push_back(key);
        }
    }

    /// What to do now; ask again until it is not [`Next::Send`].
    pub fn next(&mut self, now: Millis) -> Next<L> {
        self.end_waits(now);
        if self.in_flight.len() >= self.limits.requests_max {
            return Next::Idle;
        }
        let allowed = match &mut self.bucket {
            Some(bucket) => bucket.available(now),
            None => usize::MAX,
        };
        if !self.ready.is_empty() && allowed > 0 {
            return self.send(allowed);
        }
        let next_wait = self.waiting.keys().next().map(|(at, _)| *at);
        let next_token = match &self.bucket {
            Some(bucket) if !self.ready.is_empty() => Some(bucket.next(now)),
            _ => None,
        };
        match next_wait.into_iter().chain(next_token).min() {
            Some(at) => Next::Wait(at),
            None => Next::Idle,
        }
    }

    fn end_waits(&mut self, now: Millis) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                return;
            }
            self.ready.push_back(entry.remove());
        }
    }

    fn send(&mut self, allowed: usize) -> Next<L> {
        let records_max = allowed.min(self.limits.batch_records_max);
        let mut items: Vec<Item<L>> = Vec::new();
        let mut bytes = 0;
        'keys: while items.len() < records_max {
            let Some(key) = self.ready.front() else { break };
            let run = self.keys.get(key).map(|queue| queue.items.iter());
            let run = run.into_iter().flatten().take(self.limits.run_max);
            for (sent, item) in run.enumerate() {
                let full = items.len() >= records_max
                    || !items.is_empty() && bytes + item.bytes > self.limits.batch_bytes_max;
                if full && sent == 0 {
                    break 'keys;
                }
                if full {
                    break;
                }
                bytes += item.bytes;
                items.push(item.clone());
            }
            self.ready.pop_front();
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(items.len());
        }
        self.serial += 1;
        let id = RequestId(self.serial);
        let keys = items.iter().map(|item| item.key.clone()).collect();
        self.in_flight.insert(id, keys);
        Next::Send(id, items)
    }

    /// An answer: an outcome for each record in the order sent, or the fault of the whole call,
    /// which for a fault worth again means all of them again. `jitter` in `0.0..1.0` spreads the
    /// waits.
    ///
    /// # Errors
    /// The fault, where repeating the call does not help. Nothing is settled then.
    pub fn answered(
        &mut self,
        now: Millis,
        id: RequestId,
        answer: Result<Vec<Sent>, Fault>,
        jitter: f64,
    ) -> Result<Settled<L>, Fault> {
        let keys = self.in_flight.remove(&id).unwrap_or_default();
        let outcomes = match answer {
            Ok(outcomes) => outcomes,
            Err(fault) if fault.is_worth_again() => vec![Sent::Again(String::new()); keys.len()],
            Err(fault) => {
                self.in_flight.insert(id, keys);
                return Err(fault);
            }
        };
        let mut settled = Settled {
            accepted: 0,
            again: 0,
            refused: Vec::new(),
        };
        let missing = std::iter::repeat_with(|| Sent::Again(String::new()));
        let mut runs: BTreeMap<PartitionKey, Vec<Sent>> = BTreeMap::new();
        for (key, outcome) in keys.into_iter().zip(outcomes.into_iter().chain(missing)) {
            runs.entry(key).or_default().push(outcome);
        }
        for (key, outcomes) in runs {
            self.settle(now, key, outcomes, jitter, &mut settled);
        }
        Ok(settled)
    }

    /// The outcomes of a key's first records. Those to be sent again stay, in their order, and the
    /// key waits; else its next one is ready.
    fn settle(
        &mut self,
        now: Millis,
        key: PartitionKey,
        outcomes: Vec<Sent>,
        jitter: f64,
        settled: &mut Settled<L>,
    ) {
        let Some(queue) = self.keys.get_mut(&key) else {
            return;
        };
        let run: Vec<Item<L>> = queue
            .items
            .drain(..outcomes.len().min(queue.items.len()))
            .collect();
        let mut again = Vec::new();
        for (item, outcome) in run.into_iter().zip(outcomes) {
            if let Sent::Again(_) = outcome {
                again.push(item);
                continue;
            }
            self.held_records -= 1;
            self.held_bytes -= item.bytes;
            queue.failures = 0;
            match outcome {
                Sent::Refused(reason) => settled.refused.push((item, reason)),
                _ => settled.accepted += 1,
            }
        }
        settled.again += again.len();
        let must_wait = !again.is_empty();
        for item in again.into_iter().rev() {
            queue.items.push_front(item);
        }
        if must_wait {
            self.wait(now, key, jitter);
        } else if queue.items.is_empty() {
            self.keys.remove(&key);
        } else {
            self.ready.push_back(key);
        }
    }

    /// The wait doubles with each failure of this record; jitter takes off up to half of it.
    fn wait(&mut self, now: Millis, key: PartitionKey, jitter: f64) {
        let Some(queue) = self.keys.get_mut(&key) else {
            return;
        };
        let doubled = 1_u32.checked_shl(queue.failures).unwrap_or(u32::MAX);
        let full = self.limits.backoff_min.saturating_mul(doubled);
        let wait = full
            .min(self.limits.backoff_max)
            .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
        queue.failures = queue.failures.saturating_add(1);
        self.serial += 1;
        // At least a millisecond, the clock's grain: a wait must move time on.
        let wait = wait.max(Duration::from_millis(1));
        self.waiting.insert((now + wait, self.serial), key);
    }
}

/// A rate as whole records that may be sent by now. Holds at most a tenth of a second's worth, so
/// that a pause is not followed by a burst.
#[derive(Debug)]
struct Bucket {
    per_ms: f64,
    capacity: f64,
    tokens: f64,
    at: Millis,
}

impl Bucket {
    fn new(per_second: f64, now: Millis) -> Self {
        let per_second = per_second.max(f64::MIN_POSITIVE);
        let capacity = (per_second / 10.0).max(1.0);
        Self {
            per_ms: per_second / 1000.0,
            capacity,
            tokens: capacity,
            at: now,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "tokens are between zero and the capacity; milliseconds stay far below 2^53"
    )]
    fn available(&mut self, now: Millis) -> usize {
        let passed = now.since(self.at).as_millis() as f64;
        self.tokens = (self.tokens + passed * self.per_ms).min(self.capacity);
        self.at = self.at.max(now);
        self.tokens as usize
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 500 records")]
    fn take(&mut self, records: usize) {
        self.tokens -= records as f64;
    }

    /// When the next whole token will be there.
    fn next(&self, now: Millis) -> Millis {
        let missing_ms = ((1.0 - self.tokens) / self.per_ms)
            .ceil()
            .clamp(1.0, 86_400_000.0);
        now + Duration::from_secs_f64(missing_ms / 1000.0)
    }
}

#[cfg(test)]
mod tests;
