//! Faults strike, and the storm ends.

use std::collections::BTreeSet;

use tidewire::lease::Input;

use super::{Happening, Sim, Weather, What};
use crate::faults::{Fault, STORM_MS};

impl Sim {
    pub(super) fn fault(&mut self, fault: &Fault) -> Result<(), String> {
        let now = self.now;
        let ids = |slot: usize, sim: &Self| {
            let of = sim
                .processes
                .iter()
                .filter(|(_, process)| process.slot == slot);
            of.map(|(id, _)| *id).collect::<BTreeSet<_>>()
        };
        match fault {
            Fault::Crash { worker } => {
                for id in ids(*worker, self) {
                    self.processes.remove(&id);
                    self.checks.sometimes.crashes += 1;
                }
            }
            Fault::Start { worker } => {
                if ids(*worker, self).is_empty() {
                    self.start(*worker);
                }
            }
            Fault::Pause { worker, ms } => {
                for id in ids(*worker, self) {
                    self.processes.get_mut(&id).unwrap().paused_until = (now + ms).min(STORM_MS);
                }
            }
            Fault::Stop { worker } => {
                for id in ids(*worker, self) {
                    self.processes.get_mut(&id).unwrap().stopping = true;
                    self.push(now, Happening::To(id, What::Deliver(Input::Shutdown)));
                }
            }
            Fault::Outage { ms } => self.weather.outage_until = now + ms,
            Fault::Throttle { per_mille, ms } => self.weather.throttle = (*per_mille, now + ms),
            Fault::Network {
                lost,
                unanswered,
                late,
                ms,
            } => {
                self.weather.network = (*lost, *unanswered, *late, now + ms);
            }
            Fault::Split { shard } => self.stream.split(*shard),
            Fault::Merge { shard } => self.stream.merge(*shard),
            Fault::SlowDrains { ms } => self.weather.slow_drain_ms = *ms,
            Fault::DeleteRow { shard } => {
                let index = shard % self.stream.shards.len();
                let shard = self.stream.shards[index].id.clone();
                if self.store.read(&shard).is_some() {
                    self.store.delete_by_hand(now, &shard);
                    self.checks.deleted_by_hand(now, &shard);
                }
            }
        }
        Ok(())
    }

    /// The storm is over: what was lost stays lost, nothing more goes wrong.
    pub(super) fn heal(&mut self) {
        self.weather = Weather {
            slow_drain_ms: 300,
            ..Weather::default()
        };
        for process in self.processes.values_mut() {
            process.paused_until = process.paused_until.min(self.now);
        }
        for id in self.processes.keys().copied().collect::<Vec<_>>() {
            let at = self.now + 1;
            self.processes.get_mut(&id).unwrap().wake_at = at;
            self.push(at, Happening::To(id, What::Wake));
        }
        if self.processes.values().all(|process| process.stopping) {
            self.start(0);
        }
    }
}
