//! `tidewire broadcaster`: from the live queue to the viewers.

use std::future::Future;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::{options, parts};
use crate::aws::Clients;
use crate::aws::provision::{QueueKind, require};
use crate::aws::screens::Management;
use crate::aws::sqs::Queue;
use crate::service::broadcaster;
use crate::service::clock::Clock;
use crate::service::settings::Settings;

/// A broadcaster that was started; what it believes can be looked at while it runs.
#[derive(Clone, Debug)]
pub struct Broadcaster {
    /// What it believes.
    pub status: watch::Receiver<broadcaster::Status>,
}

impl Broadcaster {
    /// `/state`.
    #[must_use]
    pub fn state(&self) -> Value {
        json!({ "broadcaster": *self.status.borrow() })
    }
}

/// Checks that everything is there, then gives the broadcaster and the work itself.
///
/// # Errors
/// Settings are missing, or something the broadcaster needs is.
pub async fn start(
    settings: &Settings,
    clients: &Clients,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<
    (
        Broadcaster,
        impl Future<Output = Result<(), Failure>> + Send + use<>,
    ),
    Failure,
> {
    let needs = settings.broadcaster(|name| std::env::var(name).ok())?;
    let sqs = clients.sqs();
    let url = needs.queue_url.as_str();
    let url = require::queue(&sqs, url, QueueKind::Live, clients.endpoints()).await?;
    let connections = parts::connections(settings, &needs.connections_table, clients).await?;
    let endpoint = needs
        .endpoint_management
        .as_ref()
        .map(|url| url.as_str().to_owned());
    let doors = broadcaster::Parts {
        queue: Queue::at(sqs, url),
        connections,
        screens: Management::new(clients.management(endpoint.as_deref())),
    };
    let (status_to, status) = watch::channel(broadcaster::Status::default());
    let options = options::broadcaster(settings);
    let work = async move {
        let ended = broadcaster::run(doors, options, clock, status_to, shutdown).await;
        ended.map_err(|broken| Failure::new(broken.to_string()))
    };
    Ok((Broadcaster { status }, work))
}
