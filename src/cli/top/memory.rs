//! From looks to what is shown: remembers the look before, for rates, and since when each heartbeat
//! stands still. Pure: the time is that of the looks.

mod shards;
mod workers;

use std::collections::BTreeMap;
use std::time::Duration;

use super::fleet::{BroadcasterLine, Counts, Fleet, Rates, Silent, Tone};
use super::look::Look;
use super::state::{BroadcasterState, ShardState, WorkerState};
use crate::lease::lineage::{self, Gate};
use crate::lease::operate::table::Contents;
use crate::lease::row::Row;
use crate::lease::share;
use crate::model::{Millis, ShardId, WorkerId};

/// Behind by more than this is worth a look: a shard that keeps up is behind by less than a second.
const LATE: Duration = Duration::from_secs(10);

/// What looks before the last one said.
#[derive(Debug, Default)]
pub(super) struct Memory {
    lease_duration: Duration,
    looks: u64,
    last: Option<Look>,
    beats: BTreeMap<ShardId, Beat>,
    /// Who answered at an address when it last did.
    answered: BTreeMap<String, Vec<WorkerId>>,
}

/// A heartbeat, as it is seen from here.
#[derive(Clone, Copy, Debug)]
struct Beat {
    counter: u64,
    /// When this counter was first seen.
    at: Millis,
    /// Whether it was ever seen to move.
    moved: bool,
}

/// One lease, by the table or by what workers say of it.
#[derive(Clone, Debug)]
struct Lease {
    owner: Option<WorkerId>,
    to: Option<WorkerId>,
    ended: bool,
    waits: bool,
    /// Its owner's heartbeat stands still.
    expired: bool,
    heartbeat: Option<Duration>,
    table_rate: Option<u64>,
}

/// A reader of a shard: the worker, its clock, and what it says; and the same from the look before.
struct Reader<'a> {
    worker: &'a WorkerState,
    shard: &'a ShardState,
    before: Option<(&'a ShardState, f64)>,
}

impl Memory {
    /// Of a fleet whose leases expire after this.
    pub(super) fn new(lease_duration: Duration) -> Self {
        Self {
            lease_duration,
            ..Self::default()
        }
    }

    /// Takes in a look; answers what is to be shown.
    pub(super) fn take(&mut self, table: Option<&str>, look: Look) -> Fleet {
        self.looks += 1;
        self.watch(&look);
        let leases = self.leases(&look);
        let readers = self.readers(&look);
        let mut fleet = Fleet {
            table: table.map(str::to_owned),
            looks: self.looks,
            rates_over_s: self.last.as_ref().map(|last| seconds(look.at, last.at)),
            leases: counts(&leases),
            broadcasters: self.broadcasters(&look),
            silent: self.silent(&look),
            ..Fleet::default()
        };
        fleet.shards = shards::lines(&leases, &readers, &look, &fleet.silent);
        let last = self.last.as_ref();
        fleet.workers = workers::lines(&look, last, &leases, &readers, &fleet.silent);
        let living = fleet.workers.iter().filter(|worker| worker.lives);
        let (living, open) = (living.count(), fleet.leases.open);
        fleet.leases.wanted_each = (living > 0).then(|| (open / living, share::fair(open, living)));
        let behind = fleet.shards.iter().filter_map(|shard| shard.behind_s);
        fleet.behind_s = behind.reduce(f64::max);
        fleet.rates = Rates {
            rows_per_s: sum(fleet.workers.iter().map(|worker| worker.rates.rows_per_s)),
            ..together(fleet.shards.iter().map(|shard| &shard.rates))
        };
        fleet.remarks = remarks(&look, &fleet);
        self.last = Some(look);
        fleet
    }

    /// Takes note of heartbeats, and of who answers where.
    fn watch(&mut self, look: &Look) {
        if let Some(Ok(contents)) = &look.table {
            let mut before = std::mem::take(&mut self.beats);
            for row in contents.leases.values() {
                let counter = row.counter.0;
                let beat = match before.remove(&row.shard) {
                    Some(beat) if beat.counter == counter => beat,
                    was => Beat {
                        counter,
                        at: look.at,
                        moved: was.is_some(),
                    },
                };
                self.beats.insert(row.shard.clone(), beat);
            }
        }
        for (url, answer) in &look.answers {
            if let Ok(answer) = answer {
                let workers = answer.workers.iter();
                let workers = workers.map(|worker| worker.worker_id.clone()).collect();
                self.answered.insert(url.clone(), workers);
            }
        }
    }

    fn leases(&self, look: &Look) -> BTreeMap<ShardId, Lease> {
        match &look.table {
            Some(Ok(contents)) => {
                let rows = contents.leases.values();
                rows.map(|row| (row.shard.clone(), self.lease(look.at, row, contents)))
                    .collect()
            }
            _ => as_workers_say(look),
        }
    }

    fn lease(&self, now: Millis, row: &Row, contents: &Contents) -> Lease {
        let beat = self.beats.get(&row.shard);
        let still = beat.map_or(Duration::ZERO, |beat| now.since(beat.at));
        Lease {
            owner: row.actual_owner().cloned(),
            to: row.handover().map(|handover| handover.to.clone()),
            ended: row.ended(),
            // By the table alone: a parent without a row may still be in the stream.
            waits: lineage::gate(row, &contents.leases, None) == Gate::Shut,
            expired: row.owner.is_some() && still >= self.lease_duration,
            heartbeat: beat.filter(|beat| beat.moved).map(|_| still),
            table_rate: row.rate,
        }
    }

    /// Who reads which shard; of two that say so, the one with the later ownership.
    fn readers<'a>(&'a self, look: &'a Look) -> BTreeMap<ShardId, Reader<'a>> {
        let mut readers: BTreeMap<ShardId, Reader<'a>> = BTreeMap::new();
        for (url, worker) in workers::of(look) {
            let before = self.last.as_ref();
            let before = before.and_then(|last| workers::before(last, url, worker, look.at));
            for (id, shard) in &worker.readings.shards {
                let earlier = readers.get(id).map(|reader| reader.shard.epoch);
                if earlier.is_some_and(|epoch| epoch >= shard.epoch) {
                    continue;
                }
                let before = before.and_then(|(before, elapsed)| {
                    let before = before.readings.shards.get(id)?;
                    (before.epoch == shard.epoch).then_some((before, elapsed))
                });
                let reader = Reader {
                    worker,
                    shard,
                    before,
                };
                readers.insert(id.clone(), reader);
            }
        }
        readers
    }

    fn broadcasters(&self, look: &Look) -> Vec<BroadcasterLine> {
        let lines = look.answers.iter().filter_map(|(url, answer)| {
            let now = answer.as_ref().ok()?.broadcaster.as_ref()?;
            let before = self.last.as_ref().and_then(|last| {
                let (_, answer) = last.answers.iter().find(|(other, _)| other == url)?;
                let before = answer.as_ref().ok()?.broadcaster.as_ref()?;
                Some((before, seconds(look.at, last.at)))
            });
            Some(broadcaster(url, now, before))
        });
        lines.collect()
    }

    fn silent(&self, look: &Look) -> Vec<Silent> {
        let silent = look.answers.iter().filter_map(|(url, answer)| {
            let was = self.answered.get(url).cloned().unwrap_or_default();
            Some(Silent {
                url: url.clone(),
                was,
                why: answer.as_ref().err()?.clone(),
            })
        });
        silent.collect()
    }
}

/// Where the table is not looked at: each lease as its holder sees it, else as anybody does.
fn as_workers_say(look: &Look) -> BTreeMap<ShardId, Lease> {
    let mut leases: BTreeMap<ShardId, (bool, Lease)> = BTreeMap::new();
    for (_, worker) in workers::of(look) {
        for said in &worker.leases.leases {
            let known = leases.get(&said.shard).is_some_and(|(mine, _)| *mine);
            if known && !said.mine {
                continue;
            }
            let free = said.state == "free";
            let receiving = said.state == "receiving";
            let lease = Lease {
                owner: said.owner.clone().filter(|_| !receiving),
                to: said.owner.clone().filter(|_| receiving),
                ended: said.state == "ended",
                waits: false,
                expired: free && said.owner.is_some(),
                heartbeat: None,
                table_rate: None,
            };
            leases.insert(said.shard.clone(), (said.mine, lease));
        }
    }
    let leases = leases.into_iter();
    leases.map(|(shard, (_, lease))| (shard, lease)).collect()
}

fn counts(leases: &BTreeMap<ShardId, Lease>) -> Counts {
    let mut counts = Counts::default();
    for lease in leases.values() {
        if lease.ended {
            counts.ended += 1;
            continue;
        }
        counts.open += 1;
        counts.moving += usize::from(lease.to.is_some());
        let owned = lease.owner.is_some() || lease.to.is_some();
        match (owned, lease.expired, lease.waits) {
            (true, true, _) => counts.expired += 1,
            (true, false, _) => counts.held += 1,
            (false, _, true) => counts.waiting += 1,
            (false, _, false) => counts.unowned += 1,
        }
    }
    counts
}

fn broadcaster(
    url: &str,
    now: &BroadcasterState,
    before: Option<(&BroadcasterState, f64)>,
) -> BroadcasterLine {
    let rate = |of: fn(&BroadcasterState) -> u64| {
        let (before, elapsed) = before?;
        rate(of(before), of(now), elapsed)
    };
    let (state, tone) = match (&now.breaker, &now.last_queue_error) {
        (Some(why), _) => (format!("nobody is posted to: {why}"), Tone::Bad),
        (None, Some(error)) => (format!("queue: {error}"), Tone::Warn),
        (None, None) if now.serving == 0 => ("stands by".to_owned(), Tone::Well),
        (None, None) => ("serving".to_owned(), Tone::Well),
    };
    BroadcasterLine {
        url: url.to_owned(),
        queues: now.serving,
        viewers: now.viewers,
        devices: now.devices,
        posts_per_s: rate(|state| state.accepted),
        gone_per_s: rate(|state| state.gone),
        slow_per_s: rate(|state| state.slow),
        failed_per_s: rate(|state| state.failed),
        behind_s: now
            .queue_lag_ms
            .map(|ms| Duration::from_millis(ms.max(0).unsigned_abs()).as_secs_f64()),
        state,
        tone,
    }
}

fn remarks(look: &Look, fleet: &Fleet) -> Vec<String> {
    let mut remarks = Vec::new();
    match &look.table {
        Some(Ok(contents)) => {
            let forbids = contents
                .others
                .iter()
                .filter_map(|row| row.forbids.as_ref());
            remarks.extend(forbids.map(|why| format!("no worker takes a lease: {why}")));
            remarks.extend(contents.unreadable.iter().map(ToString::to_string));
        }
        Some(Err(why)) => remarks.push(format!("the lease table cannot be read: {why}")),
        None => remarks.push(
            "the lease table is not looked at (name a --config): leases are as these workers say"
                .to_owned(),
        ),
    }
    let unasked = fleet.workers.iter().filter(|worker| worker.url.is_none());
    let unasked = unasked.count();
    if unasked > 0 {
        remarks.push(format!(
            "{unasked} of {} workers are known by their leases alone: lag, rates and checkpoint age \
             are what a worker says at --worker URL (lag also by --lag)",
            fleet.workers.len()
        ));
    }
    remarks
}

/// Seconds between two instants; never quite zero, to divide by.
fn seconds(now: Millis, before: Millis) -> f64 {
    now.since(before)
        .max(Duration::from_millis(1))
        .as_secs_f64()
}

/// None where the counter began anew.
fn rate(before: u64, now: u64, elapsed_s: f64) -> Option<f64> {
    now.checked_sub(before).map(|more| number(more) / elapsed_s)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn number(count: u64) -> f64 {
    count as f64
}

/// What is known of several; none where nothing is known of any.
fn sum(several: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    several.flatten().reduce(|one, other| one + other)
}

fn together<'a>(several: impl Iterator<Item = &'a Rates> + Clone) -> Rates {
    Rates {
        records_per_s: sum(several.clone().map(|rates| rates.records_per_s)),
        bytes_per_s: sum(several.clone().map(|rates| rates.bytes_per_s)),
        readings_per_s: sum(several.map(|rates| rates.readings_per_s)),
        rows_per_s: None,
    }
}

/// The address at which a worker answered that does not any more.
fn was<'a>(silent: &'a [Silent], worker: &WorkerId) -> Option<&'a Silent> {
    silent.iter().find(|silent| silent.was.contains(worker))
}
