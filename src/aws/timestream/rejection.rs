//! `RejectedRecordsException`: which readings were refused, and why as far as text tells.

use aws_sdk_timestreamwrite::types::RejectedRecord;

use crate::model::{Rejection, RejectionKind};

/// Maps indices of the request back to the caller's order. `None` where the answer names no
/// record, or one that was not sent: then nothing is known about any of them.
pub(super) fn of(rejected: &[RejectedRecord], order: &[usize]) -> Option<Vec<Rejection>> {
    if rejected.is_empty() {
        return None;
    }
    rejected
        .iter()
        .map(|record| {
            let sent = usize::try_from(record.record_index()).ok()?;
            let reason = record.reason().unwrap_or("Timestream gave no reason");
            Some(Rejection {
                index: *order.get(sent)?,
                kind: kind(reason),
                reason: reason.to_owned(),
            })
        })
        .collect()
}

/// AWS gives no codes, only sentences; these are parts of those seen in answers. A sentence that
/// changes ends as `Other`, which loses nothing but the label.
fn kind(reason: &str) -> RejectionKind {
    let reason = reason.to_lowercase();
    let has = |words: &str| reason.contains(words);
    if has("outside the time range") || has("ingestion window") || has("in the future") {
        RejectionKind::OutsideRetention
    } else if has("lower than the existing version") {
        RejectionKind::Superseded
    } else if has("already exists with the same time") {
        RejectionKind::Duplicate
    } else if has("data type") || has("measure type") || (has("type") && has("match")) {
        RejectionKind::TypeConflict
    } else if has("limit") || has("exceed") || has("maximum") {
        RejectionKind::OverLimit
    } else {
        RejectionKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart_by_their_words() {
        let table = [
            (
                "The record timestamp is outside the time range [2026-11-01T00:00:00.000Z, 2026-11-02T00:00:00.000Z) of the memory store.",
                RejectionKind::OutsideRetention,
            ),
            (
                "The record timestamp is outside the time range [A, B) of the data ingestion window.",
                RejectionKind::OutsideRetention,
            ),
            (
                "A record already exists with the same time, dimensions, measure name, and record version. A higher record version must be specified in order to update the measure value. Specifying record version is supported by the latest SDKs.",
                RejectionKind::Duplicate,
            ),
            (
                "The record version 2 is lower than the existing version 200. A higher version is required to update the measure value.",
                RejectionKind::Superseded,
            ),
            (
                "The measure type DOUBLE does not match the type BIGINT of measure t.",
                RejectionKind::TypeConflict,
            ),
            (
                "The measure t is of the data type DOUBLE in the table, not VARCHAR.",
                RejectionKind::TypeConflict,
            ),
            (
                "The number of measures exceeds the limit of the table.",
                RejectionKind::OverLimit,
            ),
            ("Something new.", RejectionKind::Other),
        ];
        for (reason, expected) in table {
            assert_eq!(kind(reason), expected, "{reason}");
        }
    }

    #[test]
    fn an_index_that_was_not_sent_says_nothing_about_any_record() {
        let wild = RejectedRecord::builder().record_index(7).build();
        assert_eq!(of(&[wild], &[0, 1]), None);
        assert_eq!(of(&[], &[0, 1]), None);
    }
}
