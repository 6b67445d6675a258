//! The workers of a stand: more can be started while it runs, and any can be killed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::aws::Clients;
use crate::cli::failure::Failure;
use crate::cli::worker::{self, Worker};
use crate::model::WorkerId;
use crate::service::http::beat::Beats;
use crate::service::settings::Settings;
use crate::service::tasks::Tasks;

/// Workers of one stand. They share two cores or a few: more would only slow each other down.
const WORKERS_MAX: usize = 64;

/// What every worker of a stand is started with, and those that run.
#[derive(Debug)]
pub struct Crew {
    /// Of each of them.
    pub settings: Settings,
    /// Of each of them.
    pub clients: Clients,
    /// Their loops are watched here.
    pub beats: Beats,
    /// They are tasks of these.
    pub services: Tasks,
    /// They drain and end on this.
    pub stop: CancellationToken,
    /// The first that fails says so here.
    pub failed: mpsc::Sender<Failure>,
    /// Those that run.
    pub members: Mutex<Vec<Member>>,
}

/// A worker that runs.
#[derive(Debug)]
pub struct Member {
    worker: Worker,
    kill: CancellationToken,
}

impl Crew {
    /// Starts a worker.
    ///
    /// # Errors
    /// Something that it needs is not there, or there are too many.
    pub async fn start(&self) -> Result<WorkerId, Failure> {
        if self.members().len() >= WORKERS_MAX {
            let why = format!("{WORKERS_MAX} workers run already: kill one first");
            return Err(Failure::new(why));
        }
        let (beats, stop) = (self.beats.clone(), self.stop.clone());
        let (worker, work) = worker::start(&self.settings, &self.clients, beats, stop).await?;
        let kill = CancellationToken::new();
        let (killed, failed) = (kill.clone(), self.failed.clone());
        self.services.spawn("worker", async move {
            // Dropped where it stands, with all its tasks: nothing is drained, no lease is given back.
            if let Some(Err(failure)) = killed.run_until_cancelled(Box::pin(work)).await {
                // The first failure ends the stand; there is room for it.
                let _unless_another_was_first = failed.try_send(failure);
            }
        });
        let id = worker.id.clone();
        self.members().push(Member { worker, kill });
        Ok(id)
    }

    /// Ends a worker as `kill -9` would: this one, or the one that holds the most shards.
    ///
    /// # Errors
    /// There is no such worker.
    pub fn kill(&self, id: Option<&str>) -> Result<WorkerId, String> {
        let mut members = self.members();
        let mut all = members.iter().enumerate();
        let found = match id {
            Some(id) => all.rfind(|(_, member)| member.worker.id.as_str() == id),
            None => all.max_by_key(|(_, member)| member.worker.leases.borrow().held),
        };
        let Some((index, _)) = found else {
            let here: Vec<_> = members.iter().map(|m| m.worker.id.as_str()).collect();
            return Err(match here.as_slice() {
                [] => {
                    "no worker of the stand's own is left to be killed: start one first".to_owned()
                }
                here => format!("the stand has no such worker: it has {}", here.join(", ")),
            });
        };
        let member = members.remove(index);
        member.kill.cancel();
        Ok(member.worker.id)
    }

    /// Those that run.
    #[must_use]
    pub fn workers(&self) -> Vec<Worker> {
        let members = self.members();
        members.iter().map(|member| member.worker.clone()).collect()
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
