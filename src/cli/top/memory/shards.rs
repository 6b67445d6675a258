//! The shards that are not done, the worst first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{LATE, Lease, Look, Reader, number, rate, was};
use crate::cli::top::fleet::{Rates, ShardLine, Silent, Tone};
use crate::cli::top::state::ShardState;
use crate::model::ShardId;

pub(super) fn lines(
    leases: &BTreeMap<ShardId, Lease>,
    readers: &BTreeMap<ShardId, Reader<'_>>,
    look: &Look,
    silent: &[Silent],
) -> Vec<ShardLine> {
    let mut all: BTreeSet<&ShardId> = readers.keys().collect();
    all.extend(leases.keys());
    let shown = all.into_iter().filter_map(|shard| {
        let (lease, reader) = (leases.get(shard), readers.get(shard));
        let lag = look.lags.get(shard).and_then(|lag| lag.as_ref().ok());
        match lease {
            Some(lease) if lease.ended => None,
            _ => Some(line(shard, lease, reader, lag)),
        }
    });
    let shown = shown.map(|mut line| {
        let owner = line.owner.as_ref();
        if line.tone == Tone::Well && owner.is_some_and(|owner| was(silent, owner).is_some()) {
            line.state = "its owner does not answer".to_owned();
            line.tone = Tone::Warn;
        }
        line
    });
    let mut shown: Vec<ShardLine> = shown.collect();
    shown.sort_by(|one, other| {
        // Whole seconds: what keeps up must not change places at every look.
        let late = |line: &ShardLine| line.behind_s.unwrap_or(0.0).trunc();
        let stuck = |line: &ShardLine| line.checkpoint_age_s.unwrap_or(0.0).trunc();
        let worse = other.tone.cmp(&one.tone);
        worse
            .then_with(|| late(other).total_cmp(&late(one)))
            .then_with(|| stuck(other).total_cmp(&stuck(one)))
            .then_with(|| one.shard.cmp(&other.shard))
    });
    shown
}

fn line(
    shard: &ShardId,
    lease: Option<&Lease>,
    reader: Option<&Reader<'_>>,
    lag: Option<&Duration>,
) -> ShardLine {
    let (state, tone) = shard_state(lease, reader.map(|reader| reader.shard));
    let behind = reader.map(|reader| Duration::from_millis(reader.shard.behind_ms));
    let behind = lag.copied().max(behind);
    let mut through = reader.map_or(Rates::default(), rates);
    let table_rate = lease.and_then(|lease| lease.table_rate);
    let from_table = through.bytes_per_s.is_none() && reader.is_none() && table_rate.is_some();
    if from_table {
        through.bytes_per_s = table_rate.map(number);
    }
    let owner = lease.and_then(|lease| lease.owner.clone());
    let stuck = reader.map(|reader| Duration::from_millis(reader.shard.checkpoint_age_ms));
    let late = behind.max(stuck).is_some_and(|late| late >= LATE);
    ShardLine {
        shard: shard.clone(),
        owner: owner.or_else(|| reader.map(|reader| reader.worker.worker_id.clone())),
        state,
        behind_s: behind.map(|behind| behind.as_secs_f64()),
        heartbeat_s: lease
            .and_then(|lease| lease.heartbeat)
            .map(|ago| ago.as_secs_f64()),
        checkpoint_age_s: stuck.map(|stuck| stuck.as_secs_f64()),
        rates: through,
        bytes_from_table: from_table,
        tone: tone.max(if late { Tone::Warn } else { Tone::Well }),
    }
}

fn shard_state(lease: Option<&Lease>, reader: Option<&ShardState>) -> (String, Tone) {
    let say = |text: &str, tone| (text.to_owned(), tone);
    if let Some(shard) = reader {
        return match (&shard.error, shard.draining, shard.ended) {
            (Some(error), _, _) => (format!("fails: {error}"), Tone::Bad),
            (None, true, _) => say("draining", Tone::Well),
            (None, false, true) => say("ending", Tone::Well),
            (None, false, false) => match lease.and_then(|lease| lease.to.as_ref()) {
                Some(to) => (format!("to {to}"), Tone::Well),
                None => say("reading", Tone::Well),
            },
        };
    }
    let Some(lease) = lease else {
        return say("?", Tone::Warn);
    };
    match (&lease.owner, &lease.to) {
        _ if lease.expired => say("expired", Tone::Bad),
        (_, Some(to)) => (format!("to {to}"), Tone::Well),
        (_, None) if lease.waits => say("waits for parents", Tone::Well),
        (Some(_), None) => say("owned", Tone::Well),
        (None, None) => say("unowned", Tone::Bad),
    }
}

pub(super) fn rates(reader: &Reader<'_>) -> Rates {
    let Some((before, elapsed)) = reader.before else {
        return Rates::default();
    };
    let now = reader.shard;
    Rates {
        records_per_s: rate(before.records_read, now.records_read, elapsed),
        bytes_per_s: rate(before.bytes_read, now.bytes_read, elapsed),
        readings_per_s: rate(before.readings_read, now.readings_read, elapsed),
        rows_per_s: None,
    }
}
