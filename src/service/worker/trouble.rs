//! What fails right now, for logs, `/state` and readiness.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Fault, Millis, ShardId};
use crate::pipeline::{FlightId, Slot};

/// A part that can fail: `timestream`, `queue`, `dead_letters`, or a shard's reading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part(pub(super) String);

/// The part that reading a shard is.
pub(super) fn reading(shard: &ShardId) -> Part {
    Part(format!("reading {shard}"))
}

/// Who failed: what it says counts only while somebody waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Reader(Slot),
    Request(FlightId),
}

/// One failed attempt; it will be repeated.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) origin: Origin,
    pub(super) part: Part,
    pub(super) fault: Fault,
    pub(super) message: String,
}

/// What passes within this time is not worth a line: services do fail for seconds.
const WORTH_A_WARNING: Duration = Duration::from_secs(30);

/// A person who must look is told this often, not at every attempt.
const REMIND_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Trouble {
    fault: Fault,
    message: String,
    since: Millis,
    attempts: u64,
    told: Option<Millis>,
}

#[derive(Debug, Default)]
pub(super) struct Troubles {
    now: BTreeMap<Part, Trouble>,
}

impl Troubles {
    pub(super) fn failed(&mut self, now: Millis, failure: Failure) {
        let trouble = self.now.entry(failure.part).or_insert_with(|| Trouble {
            fault: failure.fault,
            message: String::new(),
            since: now,
            attempts: 0,
            told: None,
        });
        if trouble.fault != Fault::Fatal && failure.fault == Fault::Fatal {
            trouble.told = None;
        }
        trouble.fault = failure.fault;
        trouble.message = failure.message;
        trouble.attempts += 1;
        self.remind(now);
    }

    pub(super) fn well(&mut self, now: Millis, part: &Part) {
        if let Some(trouble) = self.now.remove(part)
            && trouble.told.is_some()
        {
            let seconds = now.since(trouble.since).as_secs();
            tracing::info!(part = part.0, seconds, "it works again");
        }
    }

    /// Nobody waits for what failed any more.
    pub(super) fn forget(&mut self, part: &Part) {
        self.now.remove(part);
    }

    /// Logs what is worth a person's attention, each at most once a minute.
    pub(super) fn remind(&mut self, now: Millis) {
        for (part, trouble) in &mut self.now {
            let recently = trouble
                .told
                .is_some_and(|told| now.since(told) < REMIND_EVERY);
            let fatal = trouble.fault == Fault::Fatal;
            if recently || (!fatal && now.since(trouble.since) < WORTH_A_WARNING) {
                continue;
            }
            trouble.told = Some(now);
            let (part, error, attempts) = (&part.0, &trouble.message, trouble.attempts);
            let seconds = now.since(trouble.since).as_secs();
            if fatal {
                tracing::error!(
                    part,
                    error,
                    attempts,
                    seconds,
                    "this will not work until configuration or permissions are mended; \
                     reading waits, nothing is lost"
                );
            } else {
                tracing::warn!(
                    part,
                    error,
                    attempts,
                    seconds,
                    "it still fails; reading waits"
                );
            }
        }
    }

    /// The last error of a part, while it fails.
    pub(super) fn of(&self, part: &Part) -> Option<String> {
        self.now.get(part).map(|trouble| trouble.message.clone())
    }

    /// What needs a person.
    pub(super) fn fatal(&self) -> Option<String> {
        self.now
            .iter()
            .find(|(_, trouble)| trouble.fault == Fault::Fatal)
            .map(|(part, trouble)| format!("{}: {}", part.0, trouble.message))
    }
}
