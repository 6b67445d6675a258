//! What an operator does to leases from outside the fleet (`tidewire leases`): each change decided
//! from the row as it stands, and conditional on it, so that it is safe beside running workers.
//!
//! Release and reset remove the owner and raise the counter: the worker that reads the shard is
//! refused at its next renewal and stops; until then it goes on, so some records are read twice.
//! A hand-over is the gentle way, begun as a receiver begins it.

pub mod name;
pub mod repair;
pub mod table;

use std::collections::BTreeSet;
use std::fmt;

use super::change::{self, Author, Change, Clause, Edit, Then};
use super::item::{Value, name as attribute};
use super::row::Row;
use crate::model::{Checkpoint, EpochMillis, SequenceNumber, ShardId, WorkerId};

/// What is to be done about one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// This write; the words say what it does.
    Write {
        /// The write, conditional on the row it was decided from.
        change: Change,
        /// What it does, for a person.
        does: String,
    },
    /// Nothing: it is as wanted, and how that is.
    Nothing(String),
    /// It may not be done, and why not.
    Refused(String),
}

/// Where a lease is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The oldest record kept.
    TrimHorizon,
    /// What arrives after this time, "now" by Kinesis's own clock less a little.
    Latest(EpochMillis),
    /// The first record that arrived at or after this time.
    Since(EpochMillis),
    /// The first record after this one.
    After(SequenceNumber),
}

impl Target {
    fn checkpoint(&self) -> Checkpoint {
        match self {
            Self::TrimHorizon => Checkpoint::TrimHorizon,
            Self::Latest(_) => Checkpoint::Latest,
            Self::Since(_) => Checkpoint::AtTimestamp,
            Self::After(seq) => Checkpoint::At {
                seq: seq.clone(),
                sub: 0,
            },
        }
    }

    fn pinned(&self) -> Option<EpochMillis> {
        match self {
            Self::Latest(at) | Self::Since(at) => Some(*at),
            Self::TrimHorizon | Self::After(_) => None,
        }
    }
}

/// Where a lease stands, in words.
struct Standing<'a>(&'a Checkpoint, Option<EpochMillis>);

impl fmt::Display for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Checkpoint::Latest | Checkpoint::AtTimestamp, Some(at)) => {
                write!(f, "{} ({at} ms)", self.0)
            }
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Takes a lease from whoever owns it; any worker may take it then.
#[must_use]
pub fn release(author: &Author, row: &Row) -> Plan {
    let from = match (row.handover(), &row.owner) {
        (Some(handover), _) => format!(
            "`{}`, which was to hand it over to `{}`",
            handover.from, handover.to
        ),
        (None, Some(owner)) => format!("`{owner}`"),
        (None, None) if row.checkpoint_owner.is_none() => {
            return Plan::Nothing("nobody owns it".to_owned());
        }
        (None, None) => "nobody, clearing a stale `checkpointOwner`".to_owned(),
    };
    let mut edits = author.bumped(row);
    edits.extend(change::unowned());
    Plan::Write {
        change: change::update(&row.shard, change::as_seen(row), edits),
        does: format!("released from {from}"),
    }
}

/// Sets a lease to another position, and takes it from its owner.
#[must_use]
pub fn reset(author: &Author, row: &Row, target: &Target) -> Plan {
    let (to, pinned) = (target.checkpoint(), target.pinned());
    let mut edits = author.bumped(row);
    edits.extend(change::unowned());
    edits.extend(change::checkpoint(Some(&to)));
    match change::pin(pinned) {
        Some(pin) => edits.push(pin),
        None => edits.push(Edit::Remove(attribute::START_MS)),
    }
    let mut only_if = change::as_seen(row);
    // A row made anew counts through the same numbers again: the position belongs to the condition.
    let stood = Value::text(row.checkpoint.as_kcl());
    only_if.push(Clause::Is(attribute::CHECKPOINT, stood));
    let from = Standing(&row.checkpoint, row.start_ms);
    let owner = match row.actual_owner() {
        Some(owner) => format!(", taken from `{owner}`"),
        None => String::new(),
    };
    Plan::Write {
        change: change::update(&row.shard, only_if, edits),
        does: format!("set from {from} to {}{owner}", Standing(&to, pinned)),
    }
}

/// Begins the move of a lease from its owner to another worker, as the receiver itself would: the
/// owner finishes what is in flight, checkpoints, and hands over, or keeps it after its deadline.
/// `alive` are the tidewire workers whose heartbeats were seen.
#[must_use]
pub fn hand_over(author: &Author, row: &Row, to: &WorkerId, alive: &BTreeSet<WorkerId>) -> Plan {
    let refused = |why: String| Plan::Refused(why);
    if row.ended() {
        return refused("it has ended: there is nothing to read".to_owned());
    }
    if let Some(handover) = row.handover() {
        return refused(format!(
            "it is on its way from `{}` to `{}` already",
            handover.from, handover.to
        ));
    }
    let Some(owner) = &row.owner else {
        return refused("nobody owns it: a worker takes it within a second or so".to_owned());
    };
    if owner == to {
        return Plan::Nothing(format!("`{to}` owns it"));
    }
    if !row.owned_by_tidewire() {
        return refused(format!(
            "its owner `{owner}` is no tidewire worker and hands nothing over: `release` takes it away"
        ));
    }
    for (worker, role) in [(owner, "its owner"), (to, "the receiver")] {
        if !alive.contains(worker) {
            let known: Vec<_> = alive.iter().map(|worker| format!("`{worker}`")).collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            return refused(format!(
                "no heartbeat of {role} `{worker}` was seen; tidewire workers seen alive: {known} \
                 (one that holds no lease cannot be seen here)"
            ));
        }
    }
    let receiver = Author {
        me: to.clone(),
        writer: author.writer.clone(),
    };
    Plan::Write {
        change: receiver.begin(row),
        does: format!("asked of `{owner}` for `{to}`"),
    }
}

/// Makes a lease one that Java KCL takes as its own: no `checkpointOwner`, which KCL 2 does not
/// know and KCL 3 takes for a hand-over under way. Everything else is KCL's already.
#[must_use]
pub fn ready_for_java(author: &Author, row: &Row) -> Plan {
    match (&row.checkpoint_owner, &row.owner) {
        (None, None) => Plan::Nothing("as KCL would have left it".to_owned()),
        _ => release(author, row),
    }
}

/// What of a lease Java KCL reads otherwise than tidewire, once it is theirs.
#[must_use]
pub fn lost_on_java(row: &Row) -> Option<String> {
    match (&row.checkpoint, row.start_ms) {
        (Checkpoint::Latest, Some(at)) => Some(format!(
            "nothing is read yet, and KCL takes LATEST for the time it comes, not for {at} ms: what \
             arrived in between it skips; `reset` it to TRIM_HORIZON to keep it"
        )),
        (Checkpoint::AtTimestamp, Some(at)) => Some(format!(
            "nothing is read yet, and KCL takes the time of AT_TIMESTAMP from its own configuration: \
             set it to {at} ms there"
        )),
        _ => None,
    }
}

/// Whether a row differs from what was seen in more than a heartbeat and progress: then what was
/// decided, and agreed to, may not be meant any more.
#[must_use]
pub fn differs(seen: &Row, now: &Row) -> bool {
    seen.owner != now.owner
        || seen.checkpoint_owner != now.checkpoint_owner
        || seen.ended() != now.ended()
}

/// An edit that leaves owner, counter and signature alone: it must not cost a worker its lease.
fn beside(shard: &ShardId, only_if: Vec<Clause>, edits: Vec<Edit>) -> Change {
    Change {
        shard: shard.clone(),
        only_if,
        then: Then::Update(edits),
    }
}

#[cfg(test)]
mod tests;
