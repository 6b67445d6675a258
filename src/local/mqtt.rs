//! AWS IoT Core's stand-in: an MQTT 3.1.1 listener, and a topic rule that puts messages on the stream.
//!
//! As on AWS, QoS 2 and retained messages are not served, a payload has at most 128 KB, and a client
//! that comes under a name in use takes its place. Other than on AWS, everybody is let in, sessions
//! do not outlast their connections, subscriptions are of QoS 0, and a message of QoS 1 is
//! acknowledged once its record is on the stream: a stream that throttles slows its publishers down.
//! A message that the rule cannot use is logged and counted, where AWS runs the rule's error action.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::door::put::Put;
use crate::service::tasks::Tasks;

mod onto;
pub mod rule;
mod session;
mod subscribers;
pub mod topic;

use onto::Onto;
use rule::{Rule, Template};
use subscribers::Subscribers;

/// Connections at once; others wait to be accepted.
const CONNECTIONS_MAX: usize = 1_000;

/// The rule that the Terraform module has, unless told otherwise.
pub const RULE: &str = "SELECT *, topic(2) AS device_id FROM 'devices/+/readings'";
/// The partition key that goes with it: a device's records keep their order.
pub const KEY: &str = "${topic(2)}";

/// What every session shares.
#[derive(Debug)]
struct Shared<P> {
    onto: Onto<P>,
    subscribers: Subscribers,
    stop: CancellationToken,
}

/// Serves until `stop`, each connection a task of its own.
///
/// # Errors
/// The listener breaks.
pub async fn serve<P: Put>(
    listener: TcpListener,
    rule: Rule,
    key: Template,
    put: P,
    tasks: Tasks,
    stop: CancellationToken,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        onto: Onto::new(rule, key, put),
        subscribers: Subscribers::default(),
        stop: stop.clone(),
    });
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let numbers = AtomicU64::new(0);
    loop {
        let seat = Arc::clone(&seats).acquire_owned().await;
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if session::is_passing(&error) => continue,
            Err(error) => return Err(error),
        };
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        tasks.spawn("mqtt session", async move {
            let _seat = seat;
            if let Err(why) = session::run(stream, number, &shared).await {
                tracing::info!(%from, reason = %why, "an MQTT connection ended");
            }
        });
    }
}

#[cfg(test)]
mod tests;
