//! What one shard takes and gives in a second (Kinesis developer guide, "Quotas and limits", and
//! the reference of `GetRecords`). Pure: the time is an argument, in milliseconds.

use crate::local::bucket::Bucket;

/// `GetRecords` calls a second, shared by all consumers of the shard.
const READ_CALLS: u64 = 5;
/// `GetShardIterator` calls a second.
const ITERATOR_CALLS: u64 = 5;
/// Bytes read a second: 2 MiB.
const READ_BYTES: u64 = 2 * 1024 * 1024;
/// Bytes written a second, partition keys included: 1 MiB.
const WRITE_BYTES: u64 = 1024 * 1024;
/// Records written a second.
const WRITE_RECORDS: u64 = 1000;

/// The limits of one shard.
#[derive(Clone, Debug)]
pub(super) struct ShardLimits {
    iterator_calls: Bucket,
    read_calls: Bucket,
    read_bytes: Bucket,
    write_bytes: Bucket,
    write_records: Bucket,
}

impl ShardLimits {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            iterator_calls: Bucket::full(ITERATOR_CALLS, now_ms),
            read_calls: Bucket::full(READ_CALLS, now_ms),
            read_bytes: Bucket::full(READ_BYTES, now_ms),
            write_bytes: Bucket::full(WRITE_BYTES, now_ms),
            write_records: Bucket::full(WRITE_RECORDS, now_ms),
        }
    }

    /// Whether a `GetShardIterator` call may be served now; a refused call costs nothing.
    pub(super) fn iterator(&mut self, now_ms: u64) -> bool {
        self.iterator_calls.refill(now_ms);
        let holds = self.iterator_calls.holds(1);
        if holds {
            self.iterator_calls.take(1);
        }
        holds
    }

    /// Whether a `GetRecords` call may be served now; a refused call costs nothing.
    pub(super) fn read(&mut self, now_ms: u64) -> bool {
        self.read_calls.refill(now_ms);
        self.read_bytes.refill(now_ms);
        if !self.read_bytes.is_above_zero() || !self.read_calls.holds(1) {
            return false;
        }
        self.read_calls.take(1);
        true
    }

    /// Books the bytes of an answer. One larger than a second's worth stops the shard for as long as
    /// its bytes take at 2 MiB/s: five seconds after 10 MiB, as AWS documents.
    pub(super) fn answered(&mut self, bytes: u64) {
        if bytes > READ_BYTES {
            self.read_bytes.empty();
        }
        self.read_bytes.take(bytes);
    }

    /// Whether a record of `bytes` (data and partition key) may be written now.
    pub(super) fn write(&mut self, bytes: u64, now_ms: u64) -> bool {
        self.write_bytes.refill(now_ms);
        self.write_records.refill(now_ms);
        if !self.write_bytes.holds(bytes) || !self.write_records.holds(1) {
            return false;
        }
        self.write_bytes.take(bytes);
        self.write_records.take(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_five_times_a_second() {
        let mut shard = ShardLimits::new(0);
        assert!((0..5).all(|_| shard.read(0)));
        assert!(!shard.read(0));
        assert!(
            !shard.read(199),
            "the sixth call comes 200 ms after the fifth"
        );
        assert!(shard.read(200));
        assert!(
            (2..100).all(|call| shard.read(call * 200)),
            "a steady 5/s is never refused"
        );
    }

    #[test]
    fn a_shard_gives_five_iterators_a_second() {
        let mut shard = ShardLimits::new(0);
        assert_eq!((0..9).filter(|_| shard.iterator(0)).count(), 5);
        assert!(shard.iterator(200) && !shard.iterator(200));
    }

    #[test]
    fn ten_mebibytes_in_one_answer_cost_five_seconds() {
        let mut shard = ShardLimits::new(0);
        assert!(shard.read(0));
        shard.answered(10 * 1024 * 1024);
        assert!(!shard.read(4_999));
        assert!(!shard.read(5_000));
        assert!(shard.read(5_001));
    }

    #[test]
    fn two_mebibytes_a_second_are_read_and_no_more() {
        let mut shard = ShardLimits::new(0);
        let mut served = 0;
        for at in (0..10_000).step_by(100) {
            if shard.read(at) {
                shard.answered(1024 * 1024);
                served += 1;
            }
        }
        assert!(
            (20..=22).contains(&served),
            "{served} MiB in ten seconds, one second's worth ahead"
        );
    }

    #[test]
    fn a_thousand_records_or_one_mebibyte_are_written_a_second() {
        let mut shard = ShardLimits::new(0);
        assert_eq!((0..1_500).filter(|_| shard.write(10, 0)).count(), 1_000);
        assert!(shard.write(10, 1));
        assert!(!shard.write(10, 1));
        let mut shard = ShardLimits::new(0);
        assert_eq!((0..20).filter(|_| shard.write(100_000, 0)).count(), 10);
        assert!(
            shard.write(1024 * 1024, 2_000),
            "a record of the largest size fits a rested shard"
        );
        assert!(!shard.write(1, 2_000));
    }
}
