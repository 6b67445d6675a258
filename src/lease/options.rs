//! What an operator may tune about leases.

use std::collections::BTreeSet;
use std::time::Duration;

use super::item::{self, Item};
use crate::model::{EpochMillis, ShardId, StreamId};

/// Where a shard begins that has no lease yet and no parent that had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// At the oldest record kept.
    TrimHorizon,
    /// At what arrives from now on; "now" by Kinesis's clock, stored in the row.
    Latest,
    /// At the first record that arrived at or after this time, stored in the row.
    AtTimestamp(EpochMillis),
}

/// Who else works on the lease table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fleet {
    /// Workers of ours only.
    #[default]
    Tidewire,
    /// Java workers too: KCL 2.x, or 3.x in a mode compatible with it. Shares are computed as they
    /// compute them, since two formulas on one table would take the same lease from each other
    /// for ever.
    Mixed,
}

/// What makes a lease heavy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// Nothing: each counts one.
    #[default]
    Count,
    /// What its shard carried lately.
    Throughput,
}

/// The keeper's settings. `Default` is what [`crate::lease`] argues for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a lease lives without a heartbeat; equal for all workers of a table. 10 s, as in
    /// KCL (`failoverTimeMillis`): with less, a slow DynamoDB minute costs leases.
    pub lease_duration: Duration,
    /// How much earlier than that a holder stops by itself; what a lease needs says
    /// [`fence_margin`].
    pub fence_margin: Duration,
    /// Heartbeat, and checkpoint with it: 3.3 s, so that two may fail before the fence.
    pub renew_every: Duration,
    /// How often the table is scanned: 0.8 s, since a released lease is noticed by a scan and is
    /// to be read again within a second.
    pub scan_every: Duration,
    /// Read units a second that scans may use; on a table for which that is too little, scans are
    /// further apart, but at least two in a lease duration. 5, which a hundred leases use.
    pub scan_units_max: u32,
    /// How often the stream's shards are listed and compared with the leases: 60 s. The end of a
    /// shard creates its children's leases by itself; this mends what was deleted or missed.
    pub shard_sync_every: Duration,
    /// How long the owner may take to finish what is in flight before it keeps a lease that
    /// another worker asked for: 10 s.
    pub handoff_deadline: Duration,
    /// How long a shutdown waits for what is in flight: 17.5 s of a grace period of 25 s.
    pub drain_deadline: Duration,
    /// How long after that it waits for its last writes, which give the leases back: 3 s; what is
    /// not written by then expires.
    pub last_writes: Duration,
    /// Wait before a failed call is made again: 250 ms, several times within a heartbeat.
    pub retry_after: Duration,
    /// How long a free lease beyond our fair share is left to others: 200 ms, little of the second
    /// in which a dead worker's shards are to be read again.
    pub spill_after: Duration,
    /// Where shards without history begin.
    pub initial_position: Initial,
    /// The most leases this worker holds; no limit by default (memory is bounded by the byte
    /// budget, not by the number of shards).
    pub leases_max: usize,
    /// The streams, where the fleet reads several: leases are then keyed by stream and shard, and
    /// those of other streams are left alone. None: one stream, and all rows are its.
    pub streams: Option<BTreeSet<StreamId>>,
    /// Whether rows of ended shards are deleted by KCL's rule (`cleanupLeasesUponShardCompletion`).
    pub cleanup: bool,
    /// Who else works on the table.
    pub fleet: Fleet,
    /// By what leases are spread; the same for all workers. With Java workers, by count whatever
    /// this says: they know of nothing else.
    pub weight: Weight,
}

/// What one read unit reads.
const READ_UNIT_BYTES: usize = 4_096;

/// The least margin: what is late by absolute time (a timer, a thread that was not run) is so
/// however short the lease.
const FENCE_MARGIN_MIN: Duration = Duration::from_millis(500);

/// The margin is this part of a lease: clocks' rates may then differ by 5 %, far more than any do,
/// however long the lease.
const FENCE_MARGIN_PART: u32 = 20;

/// The margin that a lease of this duration needs. It must be at least twice the assumed error of
/// clock rates times the lease.
#[must_use]
pub fn fence_margin(lease_duration: Duration) -> Duration {
    FENCE_MARGIN_MIN.max(lease_duration / FENCE_MARGIN_PART)
}

/// How long an owner drains for a handover by default, and so what an operator waits for.
pub const HANDOFF_DEADLINE: Duration = Duration::from_secs(10);

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(10),
            fence_margin: fence_margin(Duration::from_secs(10)),
            renew_every: Duration::from_millis(3_300),
            scan_every: Duration::from_millis(800),
            scan_units_max: 5,
            shard_sync_every: Duration::from_secs(60),
            handoff_deadline: HANDOFF_DEADLINE,
            drain_deadline: Duration::from_millis(17_500),
            last_writes: Duration::from_secs(3),
            retry_after: Duration::from_millis(250),
            spill_after: Duration::from_millis(200),
            initial_position: Initial::TrimHorizon,
            leases_max: usize::MAX,
            streams: None,
            cleanup: true,
            fleet: Fleet::Tidewire,
            weight: Weight::Count,
        }
    }
}

impl Options {
    /// The defaults, with leases of this duration and the margin that these need.
    #[must_use]
    pub fn lasting(lease_duration: Duration) -> Self {
        Self {
            lease_duration,
            fence_margin: fence_margin(lease_duration),
            ..Self::default()
        }
    }

    /// The longest time between heartbeats that leaves room for two of them.
    #[must_use]
    pub fn renew_every_max(&self) -> Duration {
        self.right() / 2
    }

    /// What is wrong with these settings, each with the rule it breaks.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.renew_every > self.renew_every_max() {
            problems.push(format!(
                "a lease of {:?} leaves no room for two heartbeats of {:?} and a margin of {:?}",
                self.lease_duration, self.renew_every, self.fence_margin
            ));
        }
        if self.leases_max == 0 {
            problems.push("a worker that may hold no lease does nothing".to_owned());
        }
        for (name, value) in [
            ("renewing", self.renew_every),
            ("scanning", self.scan_every),
            ("shard sync", self.shard_sync_every),
            ("retrying", self.retry_after),
        ] {
            if value.is_zero() {
                problems.push(format!("{name} without a pause would never end"));
            }
        }
        problems
    }

    /// How long to wait from one scan, which showed these rows, to the next. A scan costs half a unit
    /// for each 4 KiB (DynamoDB developer guide, "Read/write capacity mode").
    #[must_use]
    pub fn pause_after_scan(&self, items: &[Item]) -> Duration {
        let bytes: usize = items.iter().map(item::size_bytes).sum();
        let half_units = u32::try_from(bytes.div_ceil(READ_UNIT_BYTES)).unwrap_or(u32::MAX);
        let fair = Duration::from_millis(500) * half_units / self.scan_units_max.max(1);
        // Seen less often, a heartbeat would be taken for missing, and read for.
        self.scan_every.max(fair.min(self.lease_duration / 2))
    }

    /// Whether Java workers share the table.
    #[must_use]
    pub fn mixed(&self) -> bool {
        self.fleet == Fleet::Mixed
    }

    /// Whether leases are spread by what their shards carry.
    #[must_use]
    pub fn weighs_throughput(&self) -> bool {
        self.weight == Weight::Throughput && !self.mixed()
    }

    /// How long a free lease beyond our share is left to others. A Java worker looks at the table
    /// every two lease durations only, and takes what has lain still for three whatever its share
    /// (`veryOldLeaseDurationNanosMultiplier`); so do we.
    #[must_use]
    pub fn spill(&self) -> Duration {
        match self.fleet {
            Fleet::Tidewire => self.spill_after,
            Fleet::Mixed => self.lease_duration * 3,
        }
    }

    /// Whether a lease is of a stream that is read here.
    ///
    /// # Errors
    /// The table is of a fleet over several streams and this one reads one, or the reverse: rows
    /// of both forms in one table would be two leases for one shard.
    pub fn cover(&self, shard: &ShardId) -> Result<bool, super::Error> {
        match (&self.streams, shard.stream()) {
            (None, None) => Ok(true),
            (Some(streams), Some(stream)) => Ok(streams.contains(&stream)),
            (None, Some(_)) => Err(super::Error::SeveralStreams {
                example: shard.to_string(),
            }),
            (Some(_), None) => Err(super::Error::OneStream {
                example: shard.to_string(),
            }),
        }
    }

    /// How long a heartbeat's right lasts, counted from when it was sent.
    #[must_use]
    pub fn right(&self) -> Duration {
        self.lease_duration.saturating_sub(self.fence_margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_a_large_table_are_further_apart_but_two_fit_in_a_lease() {
        // Of 512 bytes, name and value.
        let key = item::Value::text("k".repeat(504));
        let row = Item::from([(item::name::KEY.to_owned(), key)]);
        let pause = |rows: usize, units: u32| {
            let options = Options {
                scan_units_max: units,
                ..Options::default()
            };
            let pause = options.pause_after_scan(&vec![row.clone(); rows]);
            pause.as_millis()
        };
        assert_eq!(pause(0, 5), 800);
        assert_eq!(
            pause(64, 5),
            800,
            "32 KiB are four units, eventually consistent"
        );
        assert_eq!(pause(128, 5), 1_600);
        assert_eq!(pause(128, 1), 5_000, "half a lease");
        assert_eq!(pause(1_000, 5), 5_000, "62.5 units would take 12.5 s");
        assert_eq!(pause(1_000, 20), 3_125);
    }

    #[test]
    fn the_margin_is_a_twentieth_of_the_lease_and_never_under_half_a_second() {
        for (seconds, millis) in [(1, 500), (10, 500), (20, 1_000), (600, 30_000)] {
            let options = Options::lasting(Duration::from_secs(seconds));
            assert_eq!(options.fence_margin, Duration::from_millis(millis));
        }
        assert_eq!(
            Options::lasting(Duration::from_secs(10)),
            Options::default()
        );
    }
}
