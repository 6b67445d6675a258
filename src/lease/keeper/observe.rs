//! What the table shows, and since when: scans, consistent reads, expiry.

use std::collections::BTreeSet;

use super::{Effect, Keeper, Note, Seen, Table};
use crate::lease::change::Author;
use crate::lease::item::{Item, name};
use crate::lease::lineage::Rows;
use crate::lease::options::Fleet;
use crate::lease::row::{self, Entry, Row};
use crate::model::{Fault, Millis, ShardId};

/// A row is looked for by a consistent read once it was missing in this many scans: scans are
/// eventually consistent, and a new row may be missing in one.
const MISSED_MAX: u8 = 2;

impl Rows for Table {
    fn row(&self, shard: &ShardId) -> Option<&Row> {
        self.0.get(shard).map(|seen| &seen.row)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values().map(|seen| &seen.row)
    }
}

impl Keeper {
    pub(super) fn scanned(&mut self, now: Millis, answer: Result<Vec<Item>, Fault>) {
        let sent = self.scan.under_way.take().unwrap_or(now);
        let Ok(items) = answer else {
            self.scan.due_at = now + self.options.retry_after;
            return;
        };
        let pause = self.options.pause_after_scan(&items);
        self.scan.due_at = (sent + pause).max(now + self.options.retry_after / 4);
        if self.leaving.is_some() {
            return;
        }
        let mut found = BTreeSet::new();
        for item in &items {
            if let Some(why) = forbidden(item) {
                self.refuse(crate::lease::Error::ManagedByKcl3 { why });
                return;
            }
            match row::read(item) {
                Ok(Entry::Lease(row)) => match self.options.cover(&row.shard) {
                    Ok(true) => {
                        found.insert(row.shard.clone());
                        self.glimpse(now, row);
                    }
                    Ok(false) => {}
                    Err(foreign) => {
                        self.refuse(foreign);
                        return;
                    }
                },
                Ok(Entry::Other) => {}
                Err(unreadable) => self.note(Note::Unreadable(unreadable)),
            }
        }
        self.look_for_missing(now, sent, &found);
        self.scans += 1;
        self.scan_sent = sent;
        self.missing_still(now);
        self.fresh = true;
        self.look_for_holes(now);
    }

    fn look_for_missing(&mut self, now: Millis, sent: Millis, found: &BTreeSet<ShardId>) {
        let mut suspects = Vec::new();
        for (shard, seen) in &mut self.seen.0 {
            if found.contains(shard) {
                seen.missed = 0;
            } else if seen.first < sent {
                seen.missed = seen.missed.saturating_add(1);
                if seen.missed >= MISSED_MAX {
                    suspects.push(shard.clone());
                }
            }
        }
        for shard in suspects {
            self.read(now, &shard);
        }
    }

    /// A row in a scan. Scans may be stale, so they are believed where the counter has risen;
    /// whatever else differs is read again consistently.
    fn glimpse(&mut self, now: Millis, row: Row) {
        let known = match self.held.get(&row.shard) {
            Some(held) => Some(&held.row),
            None => self.seen.row(&row.shard),
        };
        let held = self.held.contains_key(&row.shard);
        match known {
            Some(known) if same(known, &row) => {}
            // A heartbeat of ours whose answer is under way.
            Some(_) if held && self.flights.contains_key(&row.shard) => {}
            // Older than what we wrote.
            Some(known) if held && row.counter < known.counter => {}
            Some(known) if held || row.counter <= known.counter => {
                let shard = row.shard.clone();
                self.read(now, &shard);
            }
            _ => self.observe(now, row),
        }
    }

    /// Takes a row for what the table holds now.
    pub(super) fn observe(&mut self, now: Millis, row: Row) {
        let held = self.held.contains_key(&row.shard);
        let (me, fleet) = (&self.author.me, self.options.fleet);
        let seen = self
            .seen
            .0
            .entry(row.shard.clone())
            .or_insert_with(|| Seen {
                row: row.clone(),
                first: now,
                at: now,
                expired: false,
                free_since: None,
                again_at: now,
                missed: 0,
                first_sent: None,
            });
        // Only a heartbeat counts. Asking for a lease leaves its counter, and its expiry, alone.
        if seen.row.counter != row.counter {
            seen.at = now;
            seen.expired = false;
            seen.first_sent = None;
        }
        seen.row = row;
        seen.missed = 0;
        if free(seen, &self.author, fleet) && !held {
            seen.free_since.get_or_insert(now);
        } else {
            seen.free_since = None;
        }
        let shard = seen.row.shard.clone();
        let waiting = seen
            .row
            .handover()
            .is_some_and(|handover| handover.to == me);
        if !waiting && seen.row.owner.as_ref() != Some(me) {
            self.receiving.remove(&shard);
        }
        self.wanted.remove(&shard);
    }

    pub(super) fn forget(&mut self, now: Millis, shard: &ShardId) {
        self.seen.0.remove(shard);
        self.forgot_at = Some(now);
        if self
            .held
            .get(shard)
            .is_some_and(|held| held.phase == super::Phase::Ended)
        {
            self.held.remove(shard);
        }
        self.receiving.remove(shard);
        self.resting.remove(shard);
        // It may have to be created again. Later than any listing under way: that one must not answer
        // for this, nor for a shard that ended meanwhile.
        self.list.due_at = now;
    }

    /// The answer to a consistent read.
    pub(super) fn was_read(
        &mut self,
        now: Millis,
        shard: &ShardId,
        answer: Result<Option<Item>, Fault>,
    ) {
        let sent = self.reads.remove(shard).unwrap_or(now);
        if self.overtaken.remove(shard) {
            return;
        }
        let Ok(item) = answer else {
            self.hold_off(now, shard);
            return;
        };
        let row = self.parse(item.as_ref());
        match self.flights.get(shard) {
            Some(flight) if flight.unsettled.is_some_and(|since| since <= sent) => {
                self.settle(now, shard, row);
            }
            // The write's own answer will tell.
            Some(_) => {}
            None if self.held.contains_key(shard) => self.judge_held(now, shard, row),
            // Read before what a scan has shown since: an answer that was long on its way.
            None if self.knows_better(shard, row.as_ref(), sent) => {}
            None => {
                let Some(row) = row else {
                    self.forget(now, shard);
                    return;
                };
                let expires = self.options.lease_duration;
                if let Some(seen) = self.seen.0.get_mut(shard) {
                    seen.expired = seen.row.counter == row.counter && seen.at + expires <= sent;
                }
                self.observe(now, row);
            }
        }
    }

    fn knows_better(&self, shard: &ShardId, row: Option<&Row>, sent: Millis) -> bool {
        let older = |seen: &Seen| row.is_none_or(|row| row.counter < seen.row.counter);
        let seen = self.seen.0.get(shard);
        seen.is_some_and(|seen| sent < seen.at && older(seen))
    }

    fn hold_off(&mut self, now: Millis, shard: &ShardId) {
        let later = now + self.options.retry_after;
        if let Some(flight) = self.flights.get_mut(shard) {
            flight.read_again_at = later;
        }
        if let Some(seen) = self.seen.0.get_mut(shard) {
            seen.again_at = later;
        }
    }

    pub(super) fn parse(&mut self, item: Option<&Item>) -> Option<Row> {
        match row::read(item?) {
            Ok(Entry::Lease(row)) => Some(row),
            Ok(Entry::Other) => None,
            Err(unreadable) => {
                self.note(Note::Unreadable(unreadable));
                None
            }
        }
    }

    /// Reads again what may have expired, what an answer was lost for, and what we wait for.
    pub(super) fn watch(&mut self, now: Millis) {
        let mut due = Vec::new();
        for (shard, seen) in &self.seen.0 {
            if self.may_expire(shard, seen) && self.expiry(seen) <= now {
                due.push(shard.clone());
            }
        }
        for (shard, flight) in &self.flights {
            if flight.unsettled.is_some() && flight.read_again_at <= now {
                due.push(shard.clone());
            }
        }
        for (shard, receiving) in &mut self.receiving {
            if receiving.poll_at <= now && !self.flights.contains_key(shard) {
                receiving.poll_at = now + super::RECEIVER_POLL;
                due.push(shard.clone());
            }
        }
        for shard in due {
            self.read(now, &shard);
        }
    }

    pub(super) fn free(&self, seen: &Seen) -> bool {
        free(seen, &self.author, self.options.fleet)
    }

    fn may_expire(&self, shard: &ShardId, seen: &Seen) -> bool {
        !seen.expired
            && seen.row.owner.is_some()
            && !self.free(seen)
            && !self.held.contains_key(shard)
            && !self.flights.contains_key(shard)
            && self.leaving.is_none()
    }

    fn expiry(&self, seen: &Seen) -> Millis {
        (seen.at + self.options.lease_duration).max(seen.again_at)
    }

    /// When something is to be done about a row that is not ours.
    pub(super) fn watch_at(&self, shard: &ShardId, seen: &Seen, now: Millis) -> Option<Millis> {
        if self.may_expire(shard, seen) {
            return (!self.reads.contains_key(shard)).then(|| self.expiry(seen));
        }
        if self.held.contains_key(shard) || self.flights.contains_key(shard) {
            return None;
        }
        let spill = seen.free_since.map(|since| since + self.options.spill());
        // Once these have passed, only news makes us act: a scan, a listing, an answer.
        let times = [Some(seen.again_at), spill];
        times.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Whether everything is released; releases what is ours without being held.
    pub(super) fn clear_out(&mut self, now: Millis) {
        let me = self.author.me.clone();
        let mut left = false;
        let mut writes = Vec::new();
        for (shard, seen) in &self.seen.0 {
            let asked = seen.row.handover().is_some() && seen.row.receiver.is_some();
            let ours = match asked {
                true => self.receiving.contains_key(shard),
                false => own(&seen.row, &self.author),
            };
            let named = seen.row.owner.as_ref() == Some(&me) && !self.held.contains_key(shard);
            let stays = seen.row.handover().is_none() && !self.may_release(shard);
            if !named || !ours || stays {
                continue;
            }
            left = true;
            if seen.again_at <= now && !self.flights.contains_key(shard) {
                writes.push(seen.row.clone());
            }
        }
        for row in writes {
            let counter = row.counter;
            let (op, change) = match row.handover() {
                Some(_) => (super::Op::GiveBack, self.author.give_back(&row)),
                None => (super::Op::Release, self.author.release(&row, None)),
            };
            if op == super::Op::Release {
                self.parting.released.insert(row.shard.clone());
            }
            self.send(now, op, change, counter);
        }
        let late = self
            .leaving
            .is_some_and(|deadline| deadline + self.options.last_writes <= now);
        let done = !left && self.held.is_empty() && self.flights.is_empty();
        if done || late {
            self.over = true;
            self.out.push(Effect::Gone);
        }
    }
}

/// Whether nobody may read the lease: unowned, handed over to us, ours but fenced, or expired.
/// Ended leases are for the taking where Java workers take them too.
fn free(seen: &Seen, author: &Author, fleet: Fleet) -> bool {
    if seen.row.ended() && fleet == Fleet::Tidewire {
        return false;
    }
    match (&seen.row.owner, seen.row.handover()) {
        (None, _) => true,
        (Some(owner), None) if *owner == author.me => seen.expired || own(&seen.row, author),
        _ => seen.expired,
    }
}

/// Whether a lease in our name is this process's: we wrote last, it was handed over to us, or a
/// leader of KCL 3 assigned it, which leaves `tw_owner` alone. Otherwise another process goes by our
/// name, or did before us, and its lease ends like anybody's.
fn own(row: &Row, author: &Author) -> bool {
    row.handed_over() || !row.owned_by_tidewire() || row.writer.as_deref() == Some(&author.writer)
}

fn same(a: &Row, b: &Row) -> bool {
    a.counter == b.counter && a.owner == b.owner && a.checkpoint_owner == b.checkpoint_owner
}

fn forbidden(item: &Item) -> Option<String> {
    let Some(crate::lease::item::Value::S(key)) = item.get(name::KEY) else {
        return None;
    };
    row::why_not(key, item)
}
