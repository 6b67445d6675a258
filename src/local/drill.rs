//! Faults on purpose: services of the stand that throttle or are away, workers that die, shards that
//! split. Asked for by `--fault`, or by the page's switches; both write them in the same way
//! ([`plan::Fault`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::crew::Crew;
use super::fault::{Effect, Faults, Switch};
use plan::{Deed, Fault, Part, Schedule};
use reshard::Shards;

pub mod plan;
pub mod reshard;

/// Deeds that the page is told of, newest first.
const TOLD_MAX: usize = 5;
/// How long one deed may take: a worker that starts asks every service, and one of them may be out.
const DEED_MAX: Duration = Duration::from_secs(10);

/// The switches of every service of one stand, its workers and its shards, and what is planned.
#[derive(Debug)]
pub struct Drill {
    parts: Vec<(Part, Faults)>,
    crew: Arc<Crew>,
    shards: Shards,
    started: Instant,
    schedule: Mutex<Schedule>,
    planned: Notify,
    told: Mutex<VecDeque<Told>>,
}

/// What was done, or why not.
#[derive(Clone, Debug)]
struct Told {
    at: Instant,
    words: String,
    failed: bool,
}

impl Drill {
    /// Of a stand with these parts, which is up now.
    #[must_use]
    pub fn new(parts: Vec<(Part, Faults)>, crew: Arc<Crew>, shards: Shards) -> Self {
        Self {
            parts,
            crew,
            shards,
            started: Instant::now(),
            schedule: Mutex::default(),
            planned: Notify::new(),
            told: Mutex::default(),
        }
    }

    /// Plans these from the stand's start on.
    ///
    /// # Errors
    /// There are too many.
    pub fn plan(&self, faults: &[Fault]) -> Result<(), String> {
        let mut schedule = lock(&self.schedule);
        let add = |fault: &Fault| schedule.add(Duration::ZERO, fault.clone());
        faults.iter().try_for_each(add)?;
        self.planned.notify_one();
        Ok(())
    }

    /// Plans one fault from now on; what is due at once is done before this returns.
    ///
    /// # Errors
    /// Why it was not done.
    pub async fn begin(&self, fault: Fault) -> Result<(), String> {
        let due = {
            let now = self.started.elapsed();
            let mut schedule = lock(&self.schedule);
            schedule.add(now, fault)?;
            schedule.step(now)
        };
        self.planned.notify_one();
        let mut failed = None;
        for deed in due {
            failed = self.carry_out(deed).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Ends a fault of one service.
    pub fn end(&self, part: Part, effect: Effect) {
        lock(&self.schedule).end(part, effect);
        self.heal(part, effect);
        self.tell(format!("{part}: {} is over", plan::name(effect)), false);
    }

    /// Ends every fault, and forgets those that were to come.
    pub fn end_all(&self) {
        lock(&self.schedule).clear();
        for (_, faults) in &self.parts {
            faults.clear();
        }
        self.tell("everything is well again".to_owned(), false);
    }

    /// Does what is planned when it is due. Ends only when it is dropped.
    pub async fn run(&self) {
        loop {
            let planned = self.planned.notified();
            let now = self.started.elapsed();
            let (due, next) = {
                let mut schedule = lock(&self.schedule);
                (schedule.step(now), schedule.next())
            };
            for deed in due {
                // It was told, on the page and in the log; the next ones are due all the same.
                let _told = self.carry_out(deed).await;
            }
            match next {
                Some(next) => {
                    let due = tokio::time::sleep_until(self.started + next);
                    tokio::select! {
                        biased;
                        () = planned => {}
                        () = due => {}
                    }
                }
                None => planned.await,
            }
        }
    }

    /// What is on, what is to come and what was done.
    #[must_use]
    pub fn state(&self) -> Value {
        let parts = self.parts.iter().map(|(part, faults)| {
            let on: Vec<_> = plan::KINDS
                .into_iter()
                .filter(|(_, effect)| {
                    faults
                        .list()
                        .iter()
                        .any(|switch| switch.effect.is_as(*effect))
                })
                .map(|(name, _)| name)
                .collect();
            json!({ "part": part.to_string(), "on": on })
        });
        let now = self.started.elapsed();
        let schedule = lock(&self.schedule);
        let coming = schedule.coming().into_iter().map(|(at, fault)| {
            json!({ "fault": fault.to_string(), "in_ms": millis(at.saturating_sub(now)) })
        });
        let told: Vec<Told> = lock(&self.told).iter().cloned().collect();
        let told = told.into_iter().map(|told| {
            json!({ "words": told.words, "failed": told.failed, "ago_ms": millis(told.at.elapsed()) })
        });
        json!({
            "parts": parts.collect::<Vec<_>>(),
            "coming": coming.collect::<Vec<_>>(),
            "told": told.collect::<Vec<_>>(),
            "workers": self.crew.workers().len(),
        })
    }

    async fn carry_out(&self, deed: Deed) -> Result<(), String> {
        let done = match tokio::time::timeout(DEED_MAX, self.act(deed)).await {
            Ok(done) => done,
            Err(_) => Err(format!(
                "not done within {} s: is a service switched off that it needs?",
                DEED_MAX.as_secs()
            )),
        };
        match done {
            Ok(words) => {
                self.tell(words, false);
                Ok(())
            }
            Err(why) => {
                self.tell(why.clone(), true);
                Err(why)
            }
        }
    }

    async fn act(&self, deed: Deed) -> Result<String, String> {
        Ok(match deed {
            Deed::Begin(part, effect) => {
                self.heal(part, effect);
                for (_, faults) in self.parts.iter().filter(|(other, _)| *other == part) {
                    faults.set(Switch::everything(effect));
                }
                format!("{part}: {}", plan::name(effect))
            }
            Deed::End(part, effect) => {
                self.heal(part, effect);
                format!("{part}: {} is over", plan::name(effect))
            }
            Deed::KillWorker(id) => format!("worker {} was killed", self.crew.kill(id.as_deref())?),
            Deed::StartWorker => {
                let started = self.crew.start().await;
                let id = started.map_err(|failure| failure.to_string())?;
                format!("worker {id} was started")
            }
            Deed::SplitShard(id) => self.shards.split(id.as_deref()).await?,
            Deed::MergeShards => self.shards.merge().await?,
        })
    }

    fn heal(&self, part: Part, effect: Effect) {
        for (_, faults) in self.parts.iter().filter(|(other, _)| *other == part) {
            faults.end(effect);
        }
    }

    fn tell(&self, words: String, failed: bool) {
        if failed {
            tracing::warn!(why = words, "a fault could not be brought about");
        } else {
            tracing::info!(deed = words, "done on purpose");
        }
        let mut told = lock(&self.told);
        told.push_front(Told {
            at: Instant::now(),
            words,
            failed,
        });
        told.truncate(TOLD_MAX);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
