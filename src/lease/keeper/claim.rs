//! Taking what is free, and asking the more loaded for some of theirs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Keeper, Op, Seen};
use crate::lease::lineage::{self, Gate};
use crate::lease::row::Row;
use crate::lease::share;
use crate::model::{Millis, ShardId, WorkerId};

/// How the leases that weigh anything are spread.
pub(super) struct Spread {
    pub(super) loads: BTreeMap<WorkerId, usize>,
    pub(super) total: usize,
    /// Leases that anyone may take.
    pub(super) free: usize,
    /// Who has which.
    pub(super) owned: Vec<(ShardId, WorkerId)>,
    /// Rows that may not be read yet; they weigh nothing, as ended ones do, unless Java workers
    /// count too.
    pub(super) blocked: BTreeSet<ShardId>,
    /// A row's parents are in doubt until the stream is listed again.
    unlisted: bool,
}

impl Keeper {
    pub(super) fn spread(&self) -> Spread {
        let me = &self.author.me;
        let mut spread = Spread {
            loads: BTreeMap::from([(me.clone(), 0)]),
            total: 0,
            free: 0,
            owned: Vec::new(),
            blocked: BTreeSet::new(),
            unlisted: false,
        };
        let all_weigh = self.options.mixed();
        let by_weight = self.options.weighs_throughput();
        for (shard, seen) in &self.seen.0 {
            let gate = match seen.row.ended() {
                true => Gate::Open,
                false => self.gate(seen),
            };
            if gate != Gate::Open {
                spread.unlisted |= gate == Gate::Unlisted;
                spread.blocked.insert(shard.clone());
            }
            if !all_weigh && (seen.row.ended() || gate != Gate::Open) {
                continue;
            }
            spread.total += 1;
            let owner = match self.flights.get(shard).map(|flight| flight.op) {
                Some(Op::Take(_) | Op::Begin) => Some(me),
                _ if seen.expired && !self.held.contains_key(shard) => None,
                _ => seen.row.owner.as_ref(),
            };
            match owner {
                Some(owner) => {
                    *spread.loads.entry(owner.clone()).or_default() += 1;
                    if by_weight {
                        spread.owned.push((shard.clone(), owner.clone()));
                    }
                }
                None => spread.free += usize::from(gate == Gate::Open),
            }
        }
        spread
    }

    fn gate(&self, seen: &Seen) -> Gate {
        let young = |listing: &&super::Listing| listing.sent >= seen.first;
        let listing = self.listing.as_ref().filter(young);
        let listing = listing.map(|listing| &listing.shards);
        lineage::gate(&seen.row, &self.seen, listing)
    }

    /// Takes free leases: what was handed to us, then our fair share, then what nobody took.
    pub(super) fn claim(&mut self, now: Millis) {
        if !self.seen.0.values().any(|seen| seen.free_since.is_some()) {
            return;
        }
        let spread = self.spread();
        if spread.unlisted {
            self.list_soon(now);
        }
        let me = self.author.me.clone();
        let mut mine = spread.loads.get(&me).copied().unwrap_or(0);
        let fair = self.fair_share(&spread);
        let mut candidates: Vec<(bool, bool, u64, Row)> = Vec::new();
        for (shard, seen) in &self.seen.0 {
            let idle = !self.held.contains_key(shard) && !self.flights.contains_key(shard);
            let ready = seen.again_at <= now && !spread.blocked.contains(shard);
            if idle && ready && self.free(seen) {
                let others = seen.row.owner.as_ref() != Some(&me);
                let order = share::order(&me, shard);
                candidates.push((others, seen.row.ended(), order, seen.row.clone()));
            }
        }
        candidates.sort_by_key(|(others, ended, order, _)| (*others, *ended, *order));
        for (others, _, _, row) in candidates {
            if others {
                let spilled = self.spilled(&row.shard, now);
                if mine >= self.options.leases_max || (mine >= fair && !spilled) {
                    continue;
                }
                mine += 1;
            }
            self.take(now, &row);
        }
    }

    fn spilled(&self, shard: &ShardId, now: Millis) -> bool {
        let since = self.seen.0.get(shard).and_then(|seen| seen.free_since);
        since.is_some_and(|since| since + self.options.spill() <= now)
    }

    fn take(&mut self, now: Millis, row: &Row) {
        let mine = row.owner.as_ref() == Some(&self.author.me);
        let how = match &row.owner {
            None => "unowned",
            Some(_) if mine && row.handed_over() => "handed_over",
            Some(_) => "expired",
        };
        self.take_as(now, row, how);
    }

    fn take_as(&mut self, now: Millis, row: &Row, how: &'static str) {
        let Ok(pin) = self.pin_for(row) else {
            self.list_soon(now);
            return;
        };
        let change = self.author.take(row, pin);
        self.send(now, Op::Take(how), change, row.counter);
    }

    /// After a scan, and only then: asks the most loaded for leases, if that makes us more equal.
    /// A Java worker cannot be asked; from it a lease is taken as it would take ours.
    pub(super) fn balance(&mut self, now: Millis) {
        self.give_up_waiting(now);
        if !std::mem::take(&mut self.fresh) {
            return;
        }
        let spread = self.spread();
        if self.options.weighs_throughput() {
            return self.balance_weights(now, &spread);
        }
        let asked = self.wanted_from(&spread);
        let mut chosen = BTreeSet::new();
        for owner in asked {
            let me = &self.author.me;
            let best = self
                .seen
                .0
                .iter()
                .filter(|(shard, seen)| {
                    seen.row.owner.as_ref() == Some(&owner)
                        && !chosen.contains(*shard)
                        && !spread.blocked.contains(*shard)
                        && self.may_ask(shard, seen, now)
                })
                .min_by_key(|(shard, _)| share::order(me, shard))
                .map(|(shard, seen)| (shard.clone(), seen.row.clone()));
            if let Some((shard, row)) = best {
                chosen.insert(shard);
                if !row.owned_by_tidewire() {
                    self.take_as(now, &row, "stolen");
                    continue;
                }
                self.ask(now, &row);
            }
        }
    }

    pub(super) fn ask(&mut self, now: Millis, row: &Row) {
        let change = self.author.begin(row);
        self.send(now, Op::Begin, change, row.counter);
    }

    pub(super) fn may_ask(&self, shard: &ShardId, seen: &Seen, now: Millis) -> bool {
        (seen.row.owned_by_tidewire() || self.options.mixed())
            && seen.row.handover().is_none()
            && !seen.expired
            && !seen.row.ended()
            && seen.again_at <= now
            && !self.flights.contains_key(shard)
            && self.resting.get(shard).is_none_or(|until| *until <= now)
    }

    /// An owner that does not react keeps its lease.
    fn give_up_waiting(&mut self, now: Millis) {
        let late: Vec<_> = self
            .receiving
            .iter()
            .filter(|(shard, receiving)| {
                receiving.give_up_at <= now && !self.flights.contains_key(*shard)
            })
            .map(|(shard, _)| shard.clone())
            .collect();
        for shard in late {
            let Some(seen) = self.seen.0.get(&shard) else {
                self.receiving.remove(&shard);
                continue;
            };
            if seen.expired || seen.again_at > now || seen.row.handover().is_none() {
                continue;
            }
            let (counter, change) = (seen.row.counter, self.author.give_back(&seen.row));
            self.send(now, Op::GiveBack, change, counter);
        }
    }
}
