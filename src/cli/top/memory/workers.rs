//! The workers: those that answer, those that did, and those that only the table knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{LATE, Lease, Look, Reader, rate, seconds, shards, sum, together, was};
use crate::cli::top::fleet::{Rates, Silent, Tone, WorkerLine};
use crate::cli::top::state::WorkerState;
use crate::model::{Millis, ShardId, WorkerId};

/// All that answered, each with its address.
pub(super) fn of(look: &Look) -> impl Iterator<Item = (&str, &WorkerState)> {
    look.answers.iter().flat_map(|(url, answer)| {
        let workers = answer.iter().flat_map(|answer| &answer.workers);
        workers.map(|worker| (url.as_str(), worker))
    })
}

/// What a worker said at the look before, and the seconds since: by its own clock, where it says.
pub(super) fn before<'a>(
    last: &'a Look,
    url: &str,
    now: &WorkerState,
    at: Millis,
) -> Option<(&'a WorkerState, f64)> {
    let same =
        |(other, worker): &(&str, &WorkerState)| *other == url && worker.worker_id == now.worker_id;
    let (_, before) = of(last).find(same)?;
    let elapsed = match (before.readings.as_of_ms, now.readings.as_of_ms) {
        // It has published nothing new.
        (Some(before), Some(now)) if now <= before => return None,
        (Some(before), Some(now)) => seconds(Millis(now), Millis(before)),
        _ => seconds(at, last.at),
    };
    Some((before, elapsed))
}

pub(super) fn lines(
    look: &Look,
    last: Option<&Look>,
    leases: &BTreeMap<ShardId, Lease>,
    readers: &BTreeMap<ShardId, Reader<'_>>,
    silent: &[Silent],
) -> Vec<WorkerLine> {
    let owners = leases.values().filter(|lease| !lease.ended);
    let mut ids: BTreeSet<&WorkerId> = owners.clone().filter_map(|l| l.owner.as_ref()).collect();
    // Who receives its first lease.
    ids.extend(owners.filter_map(|lease| lease.to.as_ref()));
    ids.extend(of(look).map(|(_, worker)| &worker.worker_id));
    let mut lines: Vec<WorkerLine> = ids
        .into_iter()
        .map(|id| {
            let answer = of(look).find(|(_, worker)| worker.worker_id == *id);
            let before = answer.and_then(|(url, worker)| before(last?, url, worker, look.at));
            let mut line = line(id, answer, before, leases, readers);
            if let (None, Some(silent)) = (answer, was(silent, id)) {
                line.url = Some(silent.url.clone());
                line.state = format!("does not answer: {}", silent.why);
                line.tone = Tone::Bad;
            }
            line
        })
        .collect();
    lines.sort_by(|one, other| {
        let worse = other.tone.cmp(&one.tone);
        worse.then_with(|| one.worker.cmp(&other.worker))
    });
    lines
}

fn line(
    id: &WorkerId,
    answer: Option<(&str, &WorkerState)>,
    before: Option<(&WorkerState, f64)>,
    leases: &BTreeMap<ShardId, Lease>,
    readers: &BTreeMap<ShardId, Reader<'_>>,
) -> WorkerLine {
    let owned = leases.values();
    let owned = owned.filter(|lease| !lease.ended && lease.owner.as_ref() == Some(id));
    let read = readers.values();
    let read = read.filter(|reader| reader.worker.worker_id == *id);
    let behind = read.clone().map(|reader| reader.shard.behind_ms).max();
    let stuck = read.clone().map(|reader| reader.shard.checkpoint_age_ms);
    let stuck = stuck.max();
    let rates: Vec<Rates> = read.map(shards::rates).collect();
    let expired = owned.clone().any(|lease| lease.expired);
    let (state, tone) = match answer {
        Some((_, worker)) => state(worker),
        None if expired => ("does not renew its leases".to_owned(), Tone::Bad),
        None => ("not asked".to_owned(), Tone::Well),
    };
    let late = behind
        .max(stuck)
        .is_some_and(|ms| Duration::from_millis(ms) >= LATE);
    let heartbeat = owned.clone().filter_map(|lease| lease.heartbeat).min();
    let seconds_of = |ms: u64| Duration::from_millis(ms).as_secs_f64();
    WorkerLine {
        worker: id.clone(),
        url: answer.map(|(url, _)| url.to_owned()),
        lives: answer.is_some() || !expired,
        leases: answer.map_or(owned.count(), |(_, worker)| worker.leases.held),
        heartbeat_s: heartbeat.map(|ago| ago.as_secs_f64()),
        behind_s: behind.map(seconds_of),
        checkpoint_age_s: stuck.map(seconds_of),
        rates: Rates {
            rows_per_s: rows(answer, before),
            ..together(rates.iter())
        },
        budget_percent: answer.and_then(|(_, worker)| {
            let readings = &worker.readings;
            let used = readings.budget_used_bytes.saturating_mul(100);
            used.checked_div(readings.budget_limit_bytes)
        }),
        state,
        tone: tone.max(if late { Tone::Warn } else { Tone::Well }),
    }
}

/// Readings that the stores took, all of them together.
fn rows(answer: Option<(&str, &WorkerState)>, before: Option<(&WorkerState, f64)>) -> Option<f64> {
    let ((_, now), (before, elapsed)) = answer.zip(before)?;
    let stores = now.readings.sinks.iter();
    let stores = stores.filter(|(name, _)| !name.starts_with("queue"));
    sum(stores.map(|(name, sink)| {
        let before = before.readings.sinks.get(name)?;
        rate(before.book.acknowledged, sink.book.acknowledged, elapsed)
    }))
}

fn state(worker: &WorkerState) -> (String, Tone) {
    let readings = &worker.readings;
    if let Some(why) = &readings.fatal {
        return (why.clone(), Tone::Bad);
    }
    if !worker.leases.ready {
        return ("is starting".to_owned(), Tone::Warn);
    }
    let failing = readings.sinks.iter();
    let mut failing = failing.filter_map(|(name, sink)| Some((name, sink.error.as_ref()?)));
    if let Some((name, error)) = failing.next() {
        return (format!("{name} fails: {error}"), Tone::Bad);
    }
    match (&readings.dead_letters_error, readings.dead_letters_waiting) {
        (Some(error), _) => (format!("dead letters fail: {error}"), Tone::Bad),
        (None, 0) => ("well".to_owned(), Tone::Well),
        (None, waiting) => (format!("{waiting} dead letters to file"), Tone::Warn),
    }
}
