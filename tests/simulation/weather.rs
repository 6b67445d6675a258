//! Faults strike, and the storm ends.

use tidewire::lease::Input;
use tidewire::model::WorkerId;

use super::{Happening, Sim, Weather, What};
use crate::faults::{Fault, STORM_MS};
use crate::java::Java;

/// After a failing call its caller waits so long for an answer.
const GIVEN_UP_MS: u64 = 2_000;
/// After its clock goes right again, a process may hold on to a lease for so long.
const CLOCK_HEALS_MS: u64 = 25_000;

impl Sim {
    fn ids(&self, slot: usize) -> Vec<usize> {
        let of = self.processes.iter();
        let of = of.filter(|(_, process)| process.slot == slot);
        of.map(|(id, _)| *id).collect()
    }

    fn rough(&mut self, ms: u64) -> u64 {
        let until = self.now + ms;
        let rough = &mut self.checks.rough_until;
        *rough = (*rough).max(until + GIVEN_UP_MS);
        until
    }

    pub(super) fn fault(&mut self, fault: &Fault) {
        match fault {
            Fault::Outage { ms } => self.weather.outage_until = self.rough(*ms),
            Fault::Throttle { per_mille, ms } => {
                self.weather.throttle = (*per_mille, self.rough(*ms));
            }
            Fault::StaleScans {
                per_mille,
                lag_ms,
                ms,
            } => {
                let until = (self.now + ms).min(STORM_MS);
                self.weather.stale = (*per_mille, *lag_ms, until);
            }
            Fault::Network {
                lost,
                unanswered,
                late,
                ms,
            } => {
                self.weather.network = (*lost, *unanswered, *late, self.rough(*ms));
            }
            Fault::ListOutage { ms } => self.weather.unlisted_until = self.now + ms,
            Fault::LateReports {
                per_mille,
                late_ms,
                ms,
            } => self.weather.late_reports = (*per_mille, *late_ms, self.now + ms),
            Fault::Split { shard } => self.stream.split(*shard),
            Fault::Merge { shard } => self.stream.merge(*shard),
            Fault::SlowDrains { ms } => self.weather.slow_drain_ms = *ms,
            Fault::DeleteRow { shard } => self.delete_by_hand(*shard),
            Fault::Java { ms } => self.others(false, *ms),
            Fault::Assigner { ms } => self.others(true, *ms),
            _ => self.strike(fault),
        }
    }

    /// A fault of one worker.
    fn strike(&mut self, fault: &Fault) {
        let now = self.now;
        match fault {
            Fault::Crash { worker } => {
                for id in self.ids(*worker) {
                    self.processes.remove(&id);
                    self.checks.sometimes.crashes += 1;
                }
            }
            Fault::Start { worker } => {
                if self.ids(*worker).is_empty() {
                    self.start(*worker, None);
                }
            }
            Fault::Restart { worker } => {
                let ids = self.ids(*worker);
                if let Some(id) = ids.first() {
                    let name = self.processes[id].keeper.me().clone();
                    for id in &ids {
                        self.processes.remove(id);
                    }
                    self.start(*worker, Some(name));
                    self.checks.sometimes.restarts += 1;
                }
            }
            Fault::Twin { worker } => {
                if let [id] = self.ids(*worker)[..] {
                    let name = self.processes[&id].keeper.me().clone();
                    self.start(*worker, Some(name));
                    self.checks.sometimes.twins += 1;
                }
            }
            Fault::Pause { worker, ms } => {
                let until = self.rough(*ms).min(STORM_MS);
                self.checks.stands_still(now, until);
                for id in self.ids(*worker) {
                    let process = self.processes.get_mut(&id).unwrap();
                    process.paused_until = process.paused_until.max(until);
                }
            }
            Fault::BadClock { worker, ppm } => {
                for id in self.ids(*worker) {
                    self.processes.get_mut(&id).unwrap().turn_clock(now, *ppm);
                    self.checks.lawless_until = STORM_MS + CLOCK_HEALS_MS;
                    self.checks.sometimes.bad_clocks += 1;
                }
            }
            Fault::Stop { worker } => {
                for id in self.ids(*worker) {
                    self.processes.get_mut(&id).unwrap().stopping = true;
                    self.push(now, Happening::To(id, What::Deliver(Input::Shutdown)));
                }
            }
            other => unreachable!("{other:?} is no fault of a worker"),
        }
    }

    fn delete_by_hand(&mut self, shard: usize) {
        let index = shard % self.stream.shards.len();
        let shard = &mut self.stream.shards[index];
        // A table that somebody empties is a new one, which begins where the settings say.
        let last = self.store.scan().len() == 1;
        if self.store.read(&shard.id).is_some() && !last {
            self.store.delete_by_hand(self.now, &shard.id);
            let asleep = self.processes.values().map(|it| it.paused_until);
            let awake = asleep.max().unwrap_or(0).max(self.now);
            self.checks.deleted_by_hand(awake, &shard.id);
            shard.leased = false;
        }
    }

    /// A Java worker, or a leader, comes; when it goes, it goes without a word.
    fn others(&mut self, leader: bool, ms: u64) {
        let until = (self.now + ms).min(STORM_MS);
        let me = WorkerId::from(format!("java-{}", self.javas.len()));
        let java = Java::new(me, leader, self.now, until, &mut self.dice);
        self.javas.push(java);
        let index = self.javas.len() - 1;
        self.push(self.now, Happening::Java(index));
    }

    pub(super) fn java(&mut self, index: usize) -> Result<(), String> {
        let java = &mut self.javas[index];
        if self.now >= java.until {
            return Ok(());
        }
        let alive = self.processes.values();
        let alive: Vec<_> = alive.map(|process| process.keeper.me().clone()).collect();
        let (store, stream) = (&mut self.store, &mut self.stream);
        let deeds = java.act(self.now, store, stream, &alive, &mut self.dice);
        let (name, at) = (java.me.clone(), java.wake().max(self.now + 1));
        self.push(at, Happening::Java(index));
        let moment = crate::check::Moment {
            now: self.now,
            processes: &self.processes,
            store: &self.store,
            stream: &self.stream,
        };
        for deed in deeds {
            self.checks.done_by_java(&moment, &name, &deed)?;
        }
        Ok(())
    }

    /// The storm is over: what was lost stays lost, nothing more goes wrong.
    pub(super) fn heal(&mut self) {
        self.weather = Weather {
            slow_drain_ms: 300,
            ..Weather::default()
        };
        for id in self.processes.keys().copied().collect::<Vec<_>>() {
            // At once: what was to wake in this very instant must not be put off, fences least of all.
            let at = self.now;
            let process = self.processes.get_mut(&id).unwrap();
            process.paused_until = process.paused_until.min(self.now);
            process.turn_clock(self.now, 0);
            process.wake_at = at;
            self.push(at, Happening::To(id, What::Wake));
        }
        if self.processes.values().all(|process| process.stopping) {
            self.start(0, None);
        }
    }
}
