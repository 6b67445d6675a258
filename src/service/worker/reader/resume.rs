//! Whether anything is missing where reading goes on.
//!
//! Reading goes on *at* the last record that is done or read, not after it: that this record is
//! still there proves that none behind it was dropped. Where it is gone, Kinesis begins without a
//! word at the oldest record left, and what lay between may have been lost. How much that was
//! nobody can tell; that it may have happened is said and counted.

use std::time::Duration;

use crate::model::{EpochMillis, Millis, Record, SequenceNumber, Start};

/// Who saw the tip of a shard so short a time ago missed nothing: the time an iterator is good for,
/// and far below any retention (AWS: a day at least). It keeps a shard on which nothing is put for
/// days from being reported at every passing failure.
const TIP_FRESH: Duration = Duration::from_secs(300);

/// Kinesis keeps records for a day at least; an answer so far behind may stand before the oldest.
const RETENTION_LEAST_MS: u64 = 86_400_000 - 60_000;

/// An iterator at a dropped record has been seen to answer nothing, a full retention behind, for a
/// quarter of an hour and more; after so long without a record it is exchanged for one at the oldest.
const WITHOUT_RECORDS_MAX: Duration = Duration::from_secs(60);

/// Where a shard's reader goes on, and what it knows about that place.
#[derive(Debug)]
pub(in crate::service::worker) struct Resume {
    /// At the last record read.
    start: Start,
    /// Until the first record is found.
    looking: Option<Looking>,
    /// When an answer last reached the tip: everything put until then was read.
    tip_at: Option<Millis>,
    /// When the last record read had arrived.
    arrival: Option<EpochMillis>,
}

#[derive(Debug)]
struct Looking {
    /// The record where reading stopped.
    after: SequenceNumber,
    /// When the first answer far behind came without a record.
    nothing_since: Option<Millis>,
    /// Reading goes on at the oldest record; what is not after `after` is dropped by the backlog.
    from_oldest: bool,
}

/// What an answer says about the place where reading went on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing, or that nothing is missing.
    Well,
    /// The record where reading stopped is gone.
    Gap(Gap),
    /// The iterator leads nowhere: read from the oldest record on.
    Nowhere,
}

/// Records may have been lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The last record done or read.
    pub(super) after: SequenceNumber,
    /// When that one had arrived, where this reader had read it.
    pub(super) after_arrival: Option<EpochMillis>,
    /// The oldest record left and its arrival; none: nothing is left up to the tip.
    pub(super) left: Option<(SequenceNumber, EpochMillis)>,
}

impl Resume {
    /// Nothing read yet.
    pub(in crate::service::worker) fn begin(start: Start) -> Self {
        Self {
            start,
            looking: None,
            tip_at: None,
            arrival: None,
        }
    }

    /// Where reading goes on.
    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// A new iterator is about to be made at [`Resume::start`]; answers which record, with how many
    /// of its user records, is not to be handed on again.
    pub(super) fn again(&mut self) -> Option<(SequenceNumber, u64)> {
        let Start::At { seq, sub } = &self.start else {
            return None;
        };
        self.looking = Some(Looking {
            after: seq.clone(),
            nothing_since: None,
            from_oldest: false,
        });
        Some((seq.clone(), *sub))
    }

    /// Takes an answer in. `behind_ms`: how far it is behind the tip; `ended`: it is the last of a
    /// closed shard.
    pub(super) fn look(
        &mut self,
        now: Millis,
        records: &[Record],
        behind_ms: u64,
        ended: bool,
    ) -> Finding {
        let tip = behind_ms == 0 || ended;
        let finding = match (self.looking.take(), records.first()) {
            (None, _) => Finding::Well,
            (Some(looking), Some(first)) if first.seq <= looking.after => Finding::Well,
            (Some(looking), Some(first)) => {
                self.gap(now, looking, Some((first.seq.clone(), first.arrival)))
            }
            (Some(looking), None) if tip => self.gap(now, looking, None),
            (Some(looking), None) => self.still(now, looking, behind_ms),
        };
        if tip {
            self.tip_at = Some(now);
        }
        if let Some(last) = records.last() {
            self.arrival = Some(last.arrival);
            self.start = Start::At {
                seq: last.seq.clone(),
                sub: u64::MAX,
            };
        }
        finding
    }

    /// Kinesis takes no iterator at the record where reading stopped: whether that changes by
    /// reading from the oldest one on, as is done from now on.
    pub(super) fn gone(&mut self) -> bool {
        let first = |looking: &mut Looking| !std::mem::replace(&mut looking.from_oldest, true);
        let changed = self.looking.as_mut().is_some_and(first);
        if changed {
            self.start = Start::TrimHorizon;
        }
        changed
    }

    fn gap(
        &self,
        now: Millis,
        looking: Looking,
        left: Option<(SequenceNumber, EpochMillis)>,
    ) -> Finding {
        if self.tip_at.is_some_and(|tip| now.since(tip) < TIP_FRESH) {
            return Finding::Well;
        }
        Finding::Gap(Gap {
            after: looking.after,
            after_arrival: self.arrival,
            left,
        })
    }

    fn still(&mut self, now: Millis, mut looking: Looking, behind_ms: u64) -> Finding {
        let far = behind_ms >= RETENTION_LEAST_MS && !looking.from_oldest;
        looking.nothing_since = match looking.nothing_since {
            _ if !far => None,
            None => Some(now),
            since => since,
        };
        let waited = looking.nothing_since.map(|since| now.since(since));
        let nowhere = waited.is_some_and(|waited| waited >= WITHOUT_RECORDS_MAX);
        looking.from_oldest |= nowhere;
        self.looking = Some(looking);
        if nowhere {
            self.start = Start::TrimHorizon;
            Finding::Nowhere
        } else {
            Finding::Well
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn seq(number: u64) -> SequenceNumber {
        number.to_string().parse().expect("digits")
    }

    fn record(number: u64) -> Record {
        Record {
            sub: 0,
            seq: seq(number),
            partition_key: None,
            arrival: EpochMillis(i64::try_from(number).expect("small") * 1_000),
            data: Bytes::new(),
        }
    }

    fn at(number: u64) -> Resume {
        let mut resume = Resume::begin(Start::At {
            seq: seq(number),
            sub: 3,
        });
        assert_eq!(resume.again(), Some((seq(number), 3)));
        resume
    }

    fn gap(after: u64, left: Option<u64>) -> Finding {
        Finding::Gap(Gap {
            after: seq(after),
            after_arrival: None,
            left: left.map(|number| (seq(number), record(number).arrival)),
        })
    }

    const NOW: Millis = Millis(1_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn the_record_itself_is_proof_that_nothing_is_missing() {
        let mut resume = at(7);
        assert_eq!(resume.look(NOW, &[], 500, false), Finding::Well);
        let found = [record(7), record(9)];
        assert_eq!(resume.look(NOW, &found, 0, false), Finding::Well);
        assert_eq!(resume.look(NOW, &[record(12)], 0, false), Finding::Well);
    }

    #[test]
    fn a_first_record_beyond_is_a_gap_and_told_once() {
        let mut resume = at(7);
        assert_eq!(resume.look(NOW, &[], 500, false), Finding::Well);
        let found = [record(9), record(10)];
        assert_eq!(resume.look(NOW, &found, 100, false), gap(7, Some(9)));
        assert_eq!(resume.look(NOW, &[record(12)], 0, false), Finding::Well);
    }

    #[test]
    fn nothing_left_is_told_at_the_tip_and_at_a_closed_shards_end() {
        assert_eq!(at(7).look(NOW, &[], 0, false), gap(7, None));
        assert_eq!(at(7).look(NOW, &[], 900, true), gap(7, None));
    }

    #[test]
    fn sentinels_and_times_can_tell_no_gap() {
        for start in [Start::TrimHorizon, Start::AtTimestamp(EpochMillis(5))] {
            let mut resume = Resume::begin(start);
            assert_eq!(resume.again(), None);
            assert_eq!(resume.look(NOW, &[record(9)], 100, false), Finding::Well);
            assert!(!resume.gone());
        }
    }

    #[test]
    fn who_was_at_the_tip_just_now_missed_nothing_and_who_was_long_ago_may_have() {
        for (passed, left) in [(4, None), (4, Some(9)), (6, None), (6, Some(9))] {
            let mut resume = at(7);
            assert_eq!(resume.look(NOW, &[record(7)], 0, false), Finding::Well);
            assert_eq!(resume.again(), Some((seq(7), u64::MAX)));
            let later = NOW + MINUTE * passed;
            let found: Vec<Record> = left.map(record).into_iter().collect();
            let finding = resume.look(later, &found, 0, false);
            if passed < 5 {
                assert_eq!(finding, Finding::Well);
            } else {
                let told = matches!(finding, Finding::Gap(Gap { after_arrival, .. })
                    if after_arrival == Some(EpochMillis(7_000)));
                assert!(told, "{passed} minutes");
            }
        }
    }

    #[test]
    fn an_iterator_that_leads_nowhere_is_exchanged_once() {
        let mut resume = at(7);
        assert_eq!(resume.look(NOW, &[], DAY_MS, false), Finding::Well);
        let half = NOW + MINUTE / 2;
        assert_eq!(resume.look(half, &[], DAY_MS, false), Finding::Well);
        let then = NOW + MINUTE;
        assert_eq!(resume.look(then, &[], DAY_MS, false), Finding::Nowhere);
        assert_eq!(resume.start(), &Start::TrimHorizon);
        assert_eq!(resume.again(), None);
        let later = then + MINUTE * 2;
        assert_eq!(resume.look(later, &[], DAY_MS, false), Finding::Well);
        assert_eq!(
            resume.look(later, &[record(9)], DAY_MS, false),
            gap(7, Some(9))
        );
    }

    #[test]
    fn from_the_oldest_on_the_record_may_still_be_found() {
        let mut resume = at(7);
        assert!(resume.gone());
        assert!(!resume.gone(), "it was tried");
        let found = [record(5), record(7), record(9)];
        assert_eq!(resume.look(NOW, &found, 0, false), Finding::Well);
    }

    #[test]
    fn a_shard_behind_by_less_than_any_retention_is_waited_for() {
        let mut resume = at(7);
        for minute in 0..10 {
            let now = NOW + MINUTE * minute;
            let finding = resume.look(now, &[], DAY_MS / 2, false);
            assert_eq!(finding, Finding::Well);
        }
    }
}
