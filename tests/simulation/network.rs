//! Calls on their way to the table and the stream, and what becomes of them.

use tidewire::lease::{Answer, Change, Input};
use tidewire::model::{self, Checkpoint, ShardId, WorkerId};

use super::{Call, Happening, Sim, What};
use crate::check::row_of;
use crate::faults::STORM_MS;
use crate::stream::EPOCH_MS;

/// A call's caller gives up after this, as the service does.
const CALL_TIMEOUT_MS: u64 = 2_000;

impl Sim {
    pub(super) fn call(&mut self, id: usize, call: Call) {
        let there = self.now + self.dice.between(2, 40);
        let (lost, unanswered, late, until) = self.weather.network;
        let stormy = self.now < until;
        let write = matches!(call, Call::Write(..));
        let timeout = self.now + CALL_TIMEOUT_MS;
        if stormy && self.dice.chance(lost) {
            let failed = failure(&call, model::Fault::Transient);
            return self.push(timeout, Happening::To(id, What::Deliver(failed)));
        }
        let silent = stormy && self.dice.chance(unanswered);
        let straggles = stormy && write && self.dice.chance(late);
        if silent || straggles {
            let failed = failure(&call, model::Fault::Transient);
            self.push(timeout, Happening::To(id, What::Deliver(failed)));
            let at = if straggles {
                // What still travels when the storm ends comes to rest then.
                (self.now + self.dice.between(2_500, 15_000)).min(STORM_MS)
            } else {
                there
            };
            return self.push(at, Happening::Arrive(id, call, false));
        }
        self.push(there, Happening::Arrive(id, call, true));
    }

    pub(super) fn arrive(&mut self, id: usize, call: Call, answered: bool) -> Result<(), String> {
        // In bad weather answers may take nearly as long as their caller waits.
        let slow = self.now < self.weather.network.3 && self.dice.chance(200);
        let longest = if slow { CALL_TIMEOUT_MS - 100 } else { 40 };
        let back = self.now + self.dice.between(2, longest);
        let (throttled, until) = self.weather.throttle;
        let listing = matches!(call, Call::List);
        let out_until = match listing {
            true => self.weather.unlisted_until,
            false => self.weather.outage_until,
        };
        let refusal = if self.now < out_until {
            Some(model::Fault::Transient)
        } else if self.now < until && self.dice.chance(throttled) {
            Some(model::Fault::Throttled)
        } else {
            None
        };
        let input = match (refusal, call) {
            (Some(fault), call) => failure(&call, fault),
            (None, Call::Scan) => {
                let (mut some, mut most, until) = self.weather.stale;
                if self.now >= until {
                    // Eventually consistent, as on any day.
                    (some, most) = (100, 1_500);
                }
                let (dice, stale) = (&mut self.dice, &mut self.checks.sometimes.stale);
                let lag = || {
                    let lags = dice.chance(some);
                    *stale += u64::from(lags);
                    if lags { dice.between(0, most) } else { 0 }
                };
                Input::Scanned(Ok(self.store.stale_scan(self.now, lag)))
            }
            (None, Call::List) => Input::Listed(Ok(self.stream.listed(self.now))),
            (None, Call::Read(shard)) => Input::Read {
                answer: Ok(self.store.read(&shard).cloned()),
                shard,
            },
            (None, Call::Write(writer, change)) => {
                let answer = self.write(&writer, &change)?;
                Input::Wrote {
                    shard: change.shard,
                    answer: Ok(answer),
                }
            }
        };
        if answered {
            self.push(back, Happening::To(id, What::Deliver(input)));
        }
        Ok(())
    }

    pub(super) fn write(&mut self, writer: &WorkerId, change: &Change) -> Result<Answer, String> {
        let before = self.store.read(&change.shard).cloned();
        let answer = self.store.change(self.now, change);
        match &answer {
            Answer::Applied(after) => {
                if before.is_none() {
                    self.born(&change.shard)?;
                }
                if after.is_none() {
                    self.checks.cleaned(before.as_ref());
                    self.checks.gone(&change.shard);
                    let index = self.stream.index(&change.shard);
                    self.stream.shards[index].cleaned = true;
                }
                self.checks
                    .written(writer, before.as_ref(), after.as_ref(), &self.stream)?;
            }
            Answer::Refused(_) => self.checks.sometimes.conflicts += 1,
        }
        Ok(answer)
    }
}

impl Sim {
    /// A row was created. Under `LATEST` what came before that may be skipped, and nothing else.
    fn born(&mut self, shard: &ShardId) -> Result<(), String> {
        let row = row_of(&self.store, shard);
        let latest = row.is_some_and(|row| row.checkpoint == Checkpoint::Latest);
        let index = self.stream.index(shard);
        let shard = &mut self.stream.shards[index];
        shard.leased = true;
        shard.born = true;
        if latest {
            shard.may_skip_before = EPOCH_MS + self.now;
            self.checks.sometimes.latest += 1;
        }
        self.checks.born(shard)
    }
}

fn failure(call: &Call, fault: model::Fault) -> Input {
    match call {
        Call::Scan => Input::Scanned(Err(fault)),
        Call::List => Input::Listed(Err(fault)),
        Call::Read(shard) => Input::Read {
            shard: shard.clone(),
            answer: Err(fault),
        },
        Call::Write(_, change) => Input::Wrote {
            shard: change.shard.clone(),
            answer: Err(fault),
        },
    }
}
