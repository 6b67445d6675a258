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
use crate::push::Why;
use crate::service::broadcaster;
use crate::service::http::beat::Beats;
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

    /// `/readyz`: not ready where a person must mend the management endpoint or a permission; ready
    /// while API Gateway throttles or is down, since restarting would help nobody.
    ///
    /// # Errors
    /// Why it is not ready.
    pub fn ready(&self) -> Result<(), String> {
        let status = self.status.borrow();
        let Some(why @ (Why::Gone | Why::Forbidden)) = status.breaker else {
            return Ok(());
        };
        let said = status.last_post_error.as_deref().unwrap_or("410");
        Err(format!(
            "posting to viewers is answered as {} ({said}): check `aws.endpoint_management` and the \
             permission execute-api:ManageConnections",
            why.as_str()
        ))
    }
}

/// Checks that everything is there, then gives the broadcaster and the work itself.
///
/// # Errors
/// Settings are missing, or something the broadcaster needs is.
pub async fn start(
    settings: &Settings,
    clients: &Clients,
    beats: Beats,
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
        beats,
    };
    let (status_to, status) = watch::channel(broadcaster::Status::default());
    let options = options::broadcaster(settings);
    let clock = doors.beats.clock().clone();
    let work = async move {
        let ended = broadcaster::run(doors, options, clock, status_to, shutdown).await;
        ended.map_err(|broken| Failure::new(broken.to_string()))
    };
    Ok((Broadcaster { status }, work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_unready_only_where_a_person_must_mend_the_endpoint() {
        let ready = |breaker| {
            let (_, status) = watch::channel(broadcaster::Status {
                breaker,
                last_post_error: Some("ForbiddenException".to_owned()),
                slow: 1_000,
                ..broadcaster::Status::default()
            });
            Broadcaster { status }.ready()
        };
        assert_eq!(ready(None), Ok(()));
        assert_eq!(ready(Some(Why::Unreachable)), Ok(()));
        for why in [Why::Gone, Why::Forbidden] {
            let words = ready(Some(why)).unwrap_err();
            assert!(words.contains("aws.endpoint_management"), "{words}");
            assert!(words.contains("ForbiddenException"), "{words}");
        }
    }
}
