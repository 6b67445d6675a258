//! What may go wrong in the small world, and how it does.

use tidewire::lease::{Change, Input, Value, item};
use tidewire::model::{Fault, ShardId};

use super::{Call, Next, Small, parse};

/// When a call is given up.
const TIMEOUT_MS: u64 = 2_000;
/// A process stands still for longer than a lease.
const PAUSE_MS: u64 = 11_000;
/// Longer than a handover waits.
const SLOW_DRAIN_MS: u64 = 12_000;

/// What may go wrong with the event that is next, or instead of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The request never arrives.
    LostRequest,
    /// It is carried out, and its answer lost.
    LostAnswer,
    /// It is carried out long after it was given up.
    Straggles,
    /// The answer takes nearly as long as its caller waits.
    SlowAnswer,
    /// The process is gone.
    Crash(usize),
    /// It stands still.
    Pause(usize),
    /// It is told to stop.
    Stop(usize),
    /// What is in flight takes longer than a handover waits.
    SlowDrain,
    /// A worker of KCL 2.x takes the lease, and is never seen again.
    JavaTakes(ShardId),
}

impl Small {
    pub(crate) fn may_go_wrong(&self) -> Vec<Wrong> {
        let Some((_, (worker, next))) = self.events.first_key_value() else {
            return Vec::new();
        };
        if !self.workers.contains_key(worker) {
            return Vec::new();
        }
        let mut wrong = vec![
            Wrong::Crash(*worker),
            Wrong::Pause(*worker),
            Wrong::Stop(*worker),
        ];
        match next {
            Next::Arrive(_, change, _) => {
                wrong.extend([Wrong::LostRequest, Wrong::LostAnswer]);
                wrong.extend(change.as_ref().map(|_| Wrong::Straggles));
            }
            Next::Answer(_) => wrong.push(Wrong::SlowAnswer),
            Next::Drained(..) => wrong.push(Wrong::SlowDrain),
            Next::Wake => {
                let owned = self.rows.values().map(parse);
                let owned =
                    owned.filter(|row| row.owner.is_some() && !self.java_took.contains(&row.shard));
                wrong.extend(owned.map(|row| Wrong::JavaTakes(row.shard)));
            }
        }
        wrong
    }

    pub(crate) fn strike(&mut self, wrong: &Wrong) -> Result<(), String> {
        let ((at, _), (id, next)) = self.events.pop_first().unwrap();
        self.now = at;
        match (wrong, next) {
            (Wrong::LostRequest, Next::Arrive(call, change, _)) => {
                self.fail(id, &call, change.as_ref());
            }
            (Wrong::LostAnswer, Next::Arrive(call, change, _)) => {
                self.fail(id, &call, change.as_ref());
                self.arrive(id, call, change, false)?;
            }
            (Wrong::Straggles, Next::Arrive(call, change, _)) => {
                self.fail(id, &call, change.as_ref());
                self.push(at + 2 * TIMEOUT_MS, id, Next::Arrive(call, change, false));
            }
            (Wrong::SlowAnswer, Next::Answer(input)) => {
                self.push(at + TIMEOUT_MS - 100, id, Next::Answer(input));
            }
            (Wrong::SlowDrain, Next::Drained(shard, epoch)) => {
                self.push(at + SLOW_DRAIN_MS, id, Next::Drained(shard, epoch));
            }
            (Wrong::Crash(_), next) => {
                self.workers.remove(&id);
                // What was sent is on its way.
                self.push(at, id, next);
            }
            (Wrong::Pause(_), next) => {
                self.workers.get_mut(&id).unwrap().paused_until = at + PAUSE_MS;
                self.push(at, id, next);
            }
            (Wrong::Stop(_), next) => {
                self.workers.get_mut(&id).unwrap().leaving = true;
                self.push(at, id, next);
                self.tell(id, Input::Shutdown)?;
            }
            (Wrong::JavaTakes(shard), next) => {
                self.push(at, id, next);
                let item = self.rows.get_mut(shard).unwrap();
                let counter = parse(item).counter.next();
                item.insert(item::name::OWNER.to_owned(), Value::text("java"));
                item.insert(item::name::COUNTER.to_owned(), Value::number(counter.0));
                self.java_took.insert(shard.clone());
            }
            (wrong, next) => unreachable!("{wrong:?} of {next:?}"),
        }
        Ok(())
    }

    fn fail(&mut self, id: usize, call: &Call, change: Option<&Change>) {
        let fault = Fault::Transient;
        let input = match (call, change) {
            (Call::Scan, _) => Input::Scanned(Err(fault)),
            (Call::List, _) => Input::Listed(Err(fault)),
            (Call::Read(shard), _) => Input::Read {
                shard: shard.clone(),
                answer: Err(fault),
            },
            (Call::Write(_), change) => Input::Wrote {
                shard: change.unwrap().shard.clone(),
                answer: Err(fault),
            },
        };
        self.push(self.now + TIMEOUT_MS, id, Next::Answer(input));
    }
}
