//! What leasing tells the outside: metrics and logs.

use metrics::{counter, gauge};

use super::{State, Status};
use crate::lease::change::Answer;
use crate::lease::invariant;
use crate::lease::keeper::Note;
use crate::model::WorkerId;
use crate::service::metric;

/// Counters of what happens seldom are there at 0 from the start: of a series that begins with its
/// first event, `increase` would not see that event.
pub(super) fn begin() {
    counter!(metric::LEASE_HOLES).increment(0);
    counter!(metric::LEASE_CREATED).increment(0);
    for kind in ["unowned", "expired", "handed_over", "stolen"] {
        counter!(metric::LEASES_TAKEN, "kind" => kind).increment(0);
    }
    for reason in ["taken", "fenced", "row_gone"] {
        counter!(metric::LEASES_LOST, "reason" => reason).increment(0);
    }
    for reason in ["shutdown", "handoff", "ended", "left_to_expire"] {
        counter!(metric::LEASES_RELEASED, "reason" => reason).increment(0);
    }
}

/// Sets the gauges from what the keeper believes.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of shards are far below 2^52"
)]
pub(super) fn gauges(status: &Status) {
    let (mut owned, mut unowned, mut ended) = (0_usize, 0_usize, 0_usize);
    for lease in &status.leases {
        match lease.state {
            State::Ended => ended += 1,
            State::Free => unowned += 1,
            _ => owned += 1,
        }
    }
    gauge!(metric::LEASES_HELD).set(status.held as f64);
    gauge!(metric::WORKERS_SEEN).set(status.workers.len() as f64);
    gauge!(metric::LEASES_KNOWN, "state" => "owned").set(owned as f64);
    gauge!(metric::LEASES_KNOWN, "state" => "unowned").set(unowned as f64);
    gauge!(metric::LEASES_KNOWN, "state" => "ended").set(ended as f64);
}

/// Checks what a write of ours left: it must parse in every worker of a mixed fleet.
pub(super) fn written(answer: &Answer) {
    let Answer::Applied(Some(row)) = answer else {
        return;
    };
    if let Err(broken) = invariant::parses_in_java(row) {
        defect(&broken);
    }
}

fn defect(broken: &invariant::Broken) {
    counter!(metric::INVARIANTS_BROKEN, "invariant" => broken.id.as_str()).increment(1);
    tracing::error!(%broken, "this is a defect, please report it");
}

/// Counts and logs one event.
pub(super) fn note(me: &WorkerId, note: &Note) {
    match note {
        Note::Taken { shard, epoch, how } => {
            counter!(metric::LEASES_TAKEN, "kind" => *how).increment(1);
            tracing::info!(worker_id = %me, shard_id = %shard, epoch = epoch.0, how, "lease taken");
        }
        Note::Lost { shard, epoch, why } => {
            counter!(metric::LEASES_LOST, "reason" => *why).increment(1);
            tracing::warn!(worker_id = %me, shard_id = %shard, epoch = epoch.0, why, "lease lost");
        }
        Note::Released { shard, why } => {
            counter!(metric::LEASES_RELEASED, "reason" => *why).increment(1);
            tracing::info!(worker_id = %me, shard_id = %shard, why, "lease given up");
        }
        Note::Asked { shard, from } => {
            tracing::info!(worker_id = %me, shard_id = %shard, owner = %from, "asked for a lease");
        }
        Note::Reverted(shard) => {
            tracing::info!(worker_id = %me, shard_id = %shard, "handover taken back, it took too long");
        }
        Note::Conflict(shard) => {
            tracing::debug!(worker_id = %me, shard_id = %shard, "another worker wrote first");
        }
        Note::Hole { first, last } => {
            counter!(metric::LEASE_HOLES).increment(1);
            tracing::warn!(worker_id = %me, %first, %last, "no lease covers these hash keys; the stream is compared");
        }
        Note::Created(shard) => {
            counter!(metric::LEASE_CREATED).increment(1);
            tracing::info!(worker_id = %me, shard_id = %shard, "lease row created");
        }
        Note::Deleted(shard) => {
            tracing::info!(worker_id = %me, shard_id = %shard, "row of an ended shard deleted");
        }
        Note::Broken(broken) => defect(broken),
        Note::Unreadable(row) => {
            tracing::warn!(worker_id = %me, row = %row.key, why = %row.why, "row left alone");
        }
    }
}
