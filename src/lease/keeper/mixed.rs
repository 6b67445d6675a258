//! What is different where Java workers share the table: shares as KCL 2.x computes them, ended
//! leases that stay owned, and a shutdown that does not hand everything to whoever looks first.

use std::collections::BTreeSet;

use super::claim::Spread;
use super::{Held, Keeper, Note, Phase};
use crate::lease::options::Fleet;
use crate::lease::row::Row;
use crate::lease::share;
use crate::model::{Millis, ShardId, WorkerId};

/// A shutdown's releases. A Java worker that has just started takes every lease that it finds
/// unowned, whatever its share; so only one remaining worker's part of ours is let go (all of it,
/// where one remains), and the rest expires, checkpointed, for all to see at their own time.
#[derive(Clone, Debug, Default)]
pub(super) struct Parting {
    /// The most leases to release; `None`: all, nobody greedy is there.
    releases_max: Option<usize>,
    /// Those whose release was sent; one that is refused is sent again.
    pub(super) released: BTreeSet<ShardId>,
    /// Those left to expire.
    left: BTreeSet<ShardId>,
}

impl Keeper {
    /// Up to how many leases we take by ourselves.
    pub(super) fn fair_share(&self, spread: &Spread) -> usize {
        let workers = spread.loads.len();
        match self.options.fleet {
            Fleet::Tidewire => share::fair(spread.total, workers),
            Fleet::Mixed => share::target(spread.total, workers, self.options.leases_max),
        }
    }

    /// Whose leases we want, one for each mention.
    pub(super) fn wanted_from(&self, spread: &Spread) -> Vec<WorkerId> {
        let me = &self.author.me;
        match self.options.fleet {
            Fleet::Tidewire => share::askings(&spread.loads, me, self.options.leases_max),
            Fleet::Mixed => {
                let target = self.fair_share(spread);
                // As KCL: while leases are free, those are taken instead, by whoever lacks some.
                let all_owned = spread.free == 0;
                let from = share::stealing(&spread.loads, me, target).filter(|_| all_owned);
                from.into_iter().collect()
            }
        }
    }

    /// All of a shard is done, and its row stays ours until it is deleted: its heartbeat goes on.
    /// Java workers count it among ours, and would otherwise take it.
    pub(super) fn keep_ended(&mut self, now: Millis, row: Row, sent: Millis) {
        let shard = row.shard.clone();
        let held = Held {
            epoch: row.counter,
            row: row.clone(),
            fence_at: sent + self.options.right(),
            renew_at: sent + self.options.renew_every,
            again_at: now,
            first_sent: None,
            reached: None,
            rate: None,
            phase: Phase::Ended,
        };
        self.receiving.remove(&shard);
        self.held.insert(shard, held);
        self.observe(now, row);
    }

    /// Shutdown begins: how many leases may be released.
    pub(super) fn part(&mut self) {
        if self.options.mixed() {
            // We are among those who own.
            let others = self.spread().loads.len().saturating_sub(1);
            let working = self.held.values().filter(|held| held.phase.works()).count();
            self.parting.releases_max = Some(share::fair(working, others));
        }
    }

    /// Whether a lease of ours may be released, now that we leave.
    pub(super) fn may_release(&self, shard: &ShardId) -> bool {
        let Parting { released, left, .. } = &self.parting;
        let within = |max| released.len() < max || released.contains(shard);
        self.parting.releases_max.is_none_or(within) && !left.contains(shard)
    }

    /// Leaving, lets go of a lease without releasing it, once its checkpoint is in the table.
    pub(super) fn leave_behind(&mut self, shard: &ShardId) -> bool {
        let Some(held) = self.held.get(shard).filter(|_| self.leaving.is_some()) else {
            return false;
        };
        let asked = held.row.asked_of(&self.author.me).is_some();
        let done = held.phase == Phase::Ended
            || (held.phase == Phase::Drained
                && !asked
                && held.reached.is_none()
                && !self.may_release(shard));
        if done {
            self.held.remove(shard);
            self.parting.left.insert(shard.clone());
            self.note(Note::Released {
                shard: shard.clone(),
                why: "left_to_expire",
            });
        }
        done
    }
}
