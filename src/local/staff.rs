//! The services of a stand: its workers and its broadcaster.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::crew::Crew;
use crate::aws::Clients;
use crate::cli::broadcaster::{self, Broadcaster};
use crate::cli::failure::Failure;
use crate::service::clock::Clock;
use crate::service::http::beat::Beats;
use crate::service::settings::Settings;
use crate::service::tasks::Tasks;

/// Services that run.
#[derive(Debug)]
pub struct Staff {
    /// The workers.
    pub crew: Arc<Crew>,
    /// The broadcaster.
    pub broadcaster: Broadcaster,
    /// Whose loops must turn.
    pub beats: Beats,
    /// They are tasks of these.
    pub services: Tasks,
    /// They drain and end on this.
    pub stop: CancellationToken,
    /// Why one of them ended though nobody asked it to.
    pub failures: mpsc::Receiver<Failure>,
}

impl Staff {
    /// Starts the broadcaster and so many workers.
    ///
    /// # Errors
    /// Something that they need is not there.
    pub async fn start(
        settings: Settings,
        clients: &Clients,
        workers: usize,
    ) -> Result<Self, Failure> {
        let (failed, failures) = mpsc::channel(1);
        let services = Tasks::new();
        let stop = CancellationToken::new();
        let beats = Beats::new(Clock::start());
        let live = broadcaster::start(&settings, clients, beats.clone(), stop.clone());
        let (broadcaster, work) = live.await?;
        run(&services, "broadcaster", work, failed.clone());
        let crew = Crew {
            settings,
            clients: clients.clone(),
            beats: beats.clone(),
            services: services.clone(),
            stop: stop.clone(),
            failed,
            members: Mutex::default(),
        };
        for _ in 0..workers {
            crew.start().await?;
        }
        Ok(Self {
            crew: Arc::new(crew),
            broadcaster,
            beats,
            services,
            stop,
            failures,
        })
    }
}

fn run(
    services: &Tasks,
    name: &'static str,
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    failed: mpsc::Sender<Failure>,
) {
    services.spawn(name, async move {
        if let Err(failure) = work.await {
            // The first failure ends the stand; there is room for it.
            let _unless_another_was_first = failed.try_send(failure);
        }
    });
}
