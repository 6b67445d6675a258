//! `tidewire broadcaster`: from the live queues to the viewers.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::traces::Traces;
use super::{options, parts};
use crate::aws::Clients;
use crate::aws::connections::Table;
use crate::aws::provision::{QueueKind, require};
use crate::aws::screens::Management;
use crate::aws::sqs::Queue;
use crate::model::HolderId;
use crate::push::{QueuePlace, Why};
use crate::service::broadcaster::seat::{Holder, Seat};
use crate::service::broadcaster::{self, Broken, Parts, Status};
use crate::service::clock::Clock;
use crate::service::entropy;
use crate::service::http::beat::Beats;
use crate::service::settings::{BroadcasterSettings, Settings};
use crate::service::tasks::Tasks;

/// A broadcaster that was started; what it believes can be looked at while it runs.
#[derive(Clone, Debug)]
pub struct Broadcaster {
    /// Its queues, each with what is believed while it is served.
    queues: Vec<(String, watch::Receiver<Status>)>,
}

impl Broadcaster {
    /// What it believes of all queues that it serves.
    #[must_use]
    pub fn status(&self) -> Status {
        let each = self
            .queues
            .iter()
            .map(|(_, status)| status.borrow().clone());
        each.reduce(Status::and).unwrap_or_default()
    }

    /// `/state`.
    #[must_use]
    pub fn state(&self) -> Value {
        let queues = self.queues.iter().map(|(url, status)| {
            let serves = status.borrow().serving > 0;
            json!({ "url": url, "role": if serves { "active" } else { "stand-by" } })
        });
        let queues: Vec<Value> = queues.collect();
        json!({ "broadcaster": self.status(), "queues": queues })
    }

    /// `/readyz`: not ready where a person must mend the management endpoint or a permission; ready
    /// while it stands by, and while API Gateway throttles or is down, since restarting would help
    /// nobody.
    ///
    /// # Errors
    /// Why it is not ready.
    pub fn ready(&self) -> Result<(), String> {
        self.queues
            .iter()
            .try_for_each(|(_, status)| ready(&status.borrow()))
    }
}

fn ready(status: &Status) -> Result<(), String> {
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
    let mut queues = Vec::new();
    for (index, url) in &needs.queues {
        let endpoints = clients.endpoints();
        let found = require::queue(&sqs, url.as_str(), QueueKind::Live, endpoints).await?;
        queues.push((
            *index,
            url.as_str().to_owned(),
            Queue::at(sqs.clone(), found),
        ));
    }
    let table = parts::connections(settings, &needs.connections_table, clients).await?;
    let screens = screens(&needs, clients);
    let holder = Holder::new(HolderId(entropy::uuid()));
    let clock = beats.clock().clone();
    let traces = Traces::of(settings, "tidewire-broadcaster", &holder.id.0)?;
    let all = broadcaster::Options {
        tracer: traces.tracer.clone(),
        ..options::broadcaster(settings, needs.queues_of)
    };
    let mut seen = Vec::new();
    let mut seats = Vec::new();
    for (index, url, queue) in queues {
        let (status_to, status) = watch::channel(Status::default());
        seen.push((url.clone(), status));
        let parts = Parts {
            queue,
            connections: table.clone(),
            screens: screens.clone(),
            beats: beats.clone(),
        };
        let mut options = all.clone();
        options.push.place = QueuePlace {
            index,
            of: needs.queues_of,
        };
        let seat = seat(url, &table, &holder, &clock);
        seats.push(Box::pin(seat.keep(
            parts,
            options,
            status_to,
            shutdown.clone(),
        )));
    }
    let work = traces.beside(together(seats));
    Ok((Broadcaster { queues: seen }, work))
}

/// Serves all queues until each has ended, or one breaks.
async fn together<F>(seats: Vec<Pin<Box<F>>>) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Broken>> + Send + 'static,
{
    let (tasks, broken) = (Tasks::new(), CancellationToken::new());
    for seat in seats {
        let broken = broken.clone();
        tasks.spawn("seat", async move {
            if seat.await.is_err() {
                broken.cancel();
            }
        });
    }
    let failed = tasks.failed().clone();
    tokio::select! {
        biased;
        () = failed.cancelled() => {}
        () = broken.cancelled() => {}
        () = tasks.ended() => return Ok(()),
    }
    Err(Failure::new(Broken.to_string()))
}

fn screens(needs: &BroadcasterSettings, clients: &Clients) -> Management {
    let endpoint = needs.endpoint_management.as_ref();
    let endpoint = endpoint.map(|url| url.as_str().to_owned());
    Management::new(clients.management(endpoint.as_deref()))
}

fn seat(queue: String, table: &Table, holder: &Holder, clock: &Clock) -> Seat<Table> {
    Seat {
        queue,
        table: table.clone(),
        holder: holder.clone(),
        clock: clock.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_unready_only_where_a_person_must_mend_the_endpoint() {
        let ready = |breaker| {
            let served = Status {
                serving: 1,
                breaker,
                last_post_error: Some("ForbiddenException".to_owned()),
                slow: 1_000,
                ..Status::default()
            };
            let queue = |url: &str, status| (url.to_owned(), watch::channel(status).1);
            let queues = vec![queue("a", Status::default()), queue("b", served)];
            Broadcaster { queues }.ready()
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
