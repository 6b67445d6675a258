//! What became of a write, and what follows from it.

use super::{Flight, Held, Keeper, Note, Op};
use crate::lease::change::Answer;
use crate::lease::classify::{Intent, Outcome, classify};
use crate::lease::invariant;
use crate::lease::row::Row;
use crate::model::{Fault, Millis, ShardId};

impl Keeper {
    /// The answer to a write.
    pub(super) fn wrote(&mut self, now: Millis, shard: &ShardId, answer: Result<Answer, Fault>) {
        // A row read before this write would look as if another worker had set it back.
        if answer.is_ok() && self.reads.contains_key(shard) {
            self.overtaken.insert(shard.clone());
        }
        match answer {
            Ok(Answer::Applied(item)) => {
                let Some(flight) = self.flights.remove(shard) else {
                    return;
                };
                let row = self.parse(item.as_ref());
                self.vouch(shard, &flight, row.as_ref());
                let sent = flight.sent;
                self.applied(now, shard, &flight, row, sent);
            }
            Ok(Answer::Refused(item)) => {
                let row = self.parse(item.as_ref());
                self.settle(now, shard, row);
            }
            Err(Fault::Throttled) => {
                self.flights.remove(shard);
                self.try_later(now, shard);
            }
            // Perhaps it was applied: the row will tell. Never the same write again without asking.
            Err(_) => {
                if let Some(flight) = self.flights.get_mut(shard) {
                    flight.unsettled = Some(now);
                    flight.read_again_at = now;
                }
            }
        }
    }

    /// What a write of ours made of the row, against the invariants of writes. A row that somebody
    /// else wrote since is no measure: the counter tells, so writes that leave it alone are not held.
    fn vouch(&mut self, shard: &ShardId, flight: &Flight, after: Option<&Row>) {
        if matches!(flight.op, Op::Create | Op::Begin | Op::GiveBack) {
            return;
        }
        let held = self.held.get(shard).map(|held| &held.row);
        let before = held
            .or_else(|| Some(&self.seen.0.get(shard)?.row))
            .filter(|row| row.counter == flight.counter);
        if let (Some(before), Some(after)) = (before, after)
            && let Err(broken) = invariant::write(before, after, &self.author.me)
        {
            self.note(Note::Broken(broken));
        }
    }

    fn try_later(&mut self, now: Millis, shard: &ShardId) {
        let later = now + self.options.retry_after;
        if let Some(held) = self.held.get_mut(shard) {
            held.again_at = later;
        }
        match self.seen.0.get_mut(shard) {
            Some(seen) => seen.again_at = later,
            // Wanted, and not created yet.
            None => {
                self.resting.insert(shard.clone(), later);
            }
        }
    }

    /// A write was refused, or its answer lost: `row` is how things stand.
    pub(super) fn settle(&mut self, now: Millis, shard: &ShardId, row: Option<Row>) {
        let Some(flight) = self.flights.remove(shard) else {
            return;
        };
        match (flight.op, row) {
            (Op::Create, None) => self.try_later(now, shard),
            (Op::Create, Some(row)) => self.observe(now, row),
            (Op::Delete, None) => self.forget(now, shard),
            (Op::Delete, Some(row)) => {
                self.observe(now, row);
                self.try_later(now, shard);
            }
            (_, row) => match self.classified(&flight, row.as_ref()) {
                // Which of our attempts it was cannot be told: the right counts from the first.
                Outcome::Applied => self.applied(now, shard, &flight, row, flight.first_sent),
                outcome if self.held.contains_key(shard) => {
                    self.judged(now, shard, outcome, row);
                }
                _ => match row {
                    Some(row) => {
                        self.note(Note::Conflict(shard.clone()));
                        self.observe(now, row);
                        self.try_later(now, shard);
                    }
                    None => self.forget(now, shard),
                },
            },
        }
    }

    fn classified(&self, flight: &Flight, row: Option<&Row>) -> Outcome {
        let intent = Intent {
            me: &self.author.me,
            writer: &self.author.writer,
            counter: flight.counter,
            owner_after: flight.owner_after.as_ref(),
        };
        // Asking leaves the counter alone: it is applied once the row names us.
        let same = row.filter(|row| row.counter == flight.counter);
        if flight.op == Op::Begin && same.is_some_and(|row| self.awaits(row)) {
            return Outcome::Applied;
        }
        // A leader of KCL 3 can assign us the very lease that we were about to take, over a row that
        // still has our signature. Our own taking names us in `tw_owner`, and so does whoever asks
        // for the lease then.
        let unmarked = |row: &Row| row.tw_owner.is_none() && row.receiver.is_none();
        if matches!(flight.op, Op::Take(_)) && row.is_some_and(unmarked) {
            return Outcome::Lost;
        }
        classify(intent, row)
    }

    fn awaits(&self, row: &Row) -> bool {
        row.handover()
            .is_some_and(|handover| *handover.to == self.author.me)
    }

    /// A consistent read of a lease we hold, while no write of ours is under way.
    pub(super) fn judge_held(&mut self, now: Millis, shard: &ShardId, row: Option<Row>) {
        let Some(held) = self.held.get(shard) else {
            return;
        };
        // Read before our last write came to rest, and answered after it.
        if row
            .as_ref()
            .is_some_and(|row| row.counter < held.row.counter)
        {
            return;
        }
        let me = &self.author.me;
        let intent = Intent {
            me,
            writer: &self.author.writer,
            counter: held.row.counter,
            owner_after: Some(me),
        };
        let outcome = classify(intent, row.as_ref());
        self.judged(now, shard, outcome, row);
    }

    fn judged(&mut self, now: Millis, shard: &ShardId, outcome: Outcome, row: Option<Row>) {
        match (outcome, row) {
            (Outcome::RowGone, _) | (_, None) => {
                self.lose(now, shard, "row_gone");
                self.forget(now, shard);
            }
            (Outcome::Lost, Some(row)) => {
                self.lose(now, shard, "taken");
                self.observe(now, row);
            }
            (Outcome::Applied | Outcome::HandoffRequested | Outcome::Unchanged, Some(row)) => {
                self.adopt(now, row);
            }
        }
    }

    /// A write is in the table; `row` is what it, or what came after it, left.
    fn applied(
        &mut self,
        now: Millis,
        shard: &ShardId,
        flight: &Flight,
        row: Option<Row>,
        sent: Millis,
    ) {
        let Some(row) = row else {
            if flight.op == Op::Delete {
                self.note(Note::Deleted(shard.clone()));
            }
            self.forget(now, shard);
            return;
        };
        match flight.op {
            Op::Create => {
                self.note(Note::Created(shard.clone()));
                self.observe(now, row);
            }
            Op::Take(how) => self.grant(now, row, sent, how),
            Op::Begin => self.begun(now, row),
            Op::GiveBack => {
                self.note(Note::Reverted(shard.clone()));
                let rest = self.options.handoff_deadline * 2;
                self.resting.insert(shard.clone(), now + rest);
                self.observe(now, row);
            }
            Op::Revert => {
                self.note(Note::Reverted(shard.clone()));
                self.beaten(now, row, sent);
            }
            Op::Renew => self.beaten(now, row, sent),
            Op::End if row.ended() && row.actual_owner() == Some(&self.author.me) => {
                let (shard, why) = (shard.clone(), "ended");
                self.note(Note::Released { shard, why });
                self.keep_ended(now, row, sent);
            }
            // An earlier heartbeat of ours came to rest instead: the lease is still ours.
            Op::Release | Op::Finish | Op::End
                if row.actual_owner() == Some(&self.author.me) && self.held.contains_key(shard) =>
            {
                self.adopt(now, row);
            }
            Op::Release => self.given_up(now, row, "shutdown"),
            Op::Finish => self.given_up(now, row, "handoff"),
            Op::End => self.given_up(now, row, "ended"),
            Op::Delete => self.observe(now, row),
        }
    }

    fn begun(&mut self, now: Millis, row: Row) {
        let from = row.handover().map(|handover| handover.from.clone());
        if let Some(from) = from {
            let patience = self.options.handoff_deadline + self.options.lease_duration;
            let receiving = super::Receiving {
                give_up_at: now + patience,
                poll_at: now + super::RECEIVER_POLL,
            };
            self.receiving.insert(row.shard.clone(), receiving);
            self.note(Note::Asked {
                shard: row.shard.clone(),
                from,
            });
        }
        self.observe(now, row);
    }

    fn given_up(&mut self, now: Millis, row: Row, why: &'static str) {
        if self.held.remove(&row.shard).is_some() {
            let shard = row.shard.clone();
            self.note(Note::Released { shard, why });
        }
        self.observe(now, row);
    }
}

impl Held {
    /// The children to write down at the shard's end.
    pub(super) fn children(&self) -> std::collections::BTreeSet<ShardId> {
        match &self.phase {
            super::Phase::Ending(ending) => ending
                .children
                .iter()
                .flatten()
                .map(|child| child.id.clone())
                .collect(),
            _ => std::collections::BTreeSet::new(),
        }
    }
}
