//! What became of a write whose condition failed, or whose answer was lost: a function of the row
//! as it stands, and of nothing else.

use super::row::Row;
use crate::model::{LeaseCounter, WorkerId};

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It (or an earlier one of ours, with the same counter) is in the table. The row may show
    /// besides that we are asked for the lease: see [`Row::asked_of`].
    Applied,
    /// It is not in the table, the lease is ours, and another worker asks for it.
    HandoffRequested,
    /// It is not in the table; the row is as we knew it, or an asking was taken back.
    Unchanged,
    /// There is no row any more.
    RowGone,
    /// Another worker wrote.
    Lost,
}

/// A write, as far as its outcome depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// Who wrote.
    pub me: &'a WorkerId,
    /// The process's UUID.
    pub writer: &'a str,
    /// The counter that the write was conditional on.
    pub counter: LeaseCounter,
    /// Who owns the lease once the write is applied.
    pub owner_after: Option<&'a WorkerId>,
}

/// Reads the outcome from the row as it stands.
///
/// `tw_writer` alone proves nothing: a Java worker that takes our lease leaves it there, so the
/// owner must be whom we wrote, or we ourselves. Nor does our name alone: another process may go by
/// it. A receiver's asking leaves the counter and the signature as they are; a leader of KCL 3 that
/// assigns a lease leaves the signature, too.
#[must_use]
pub fn classify(intent: Intent<'_>, image: Option<&Row>) -> Outcome {
    let Some(row) = image else {
        return Outcome::RowGone;
    };
    let asked = row.asked_of(intent.me).is_some();
    let mine = row.actual_owner() == Some(intent.me);
    if row.counter == intent.counter.next() {
        let signed = row.writer.as_deref() == Some(intent.writer);
        let as_written = row.actual_owner() == intent.owner_after;
        if signed && (as_written || mine) {
            return Outcome::Applied;
        }
    } else if row.counter == intent.counter {
        return if asked {
            Outcome::HandoffRequested
        } else if mine {
            Outcome::Unchanged
        } else {
            Outcome::Lost
        };
    }
    Outcome::Lost
}

#[cfg(test)]
mod tests;
