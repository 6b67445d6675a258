//! Who listens to which topics, and how messages get to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rumqttc::mqttbytes::v4::Publish;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::topic;

/// Messages that wait for a subscriber who reads slowly; those beyond are not for it.
pub(super) const WAITING_MAX: usize = 256;
/// Filters of one connection (AWS IoT Core: subscriptions per connection).
pub(super) const FILTERS_MAX: usize = 50;

/// Everybody who is connected.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscribers(Arc<Mutex<BTreeMap<String, Client>>>);

#[derive(Debug)]
struct Client {
    number: u64,
    filters: Vec<String>,
    mail: mpsc::Sender<Publish>,
    leave: CancellationToken,
}

impl Subscribers {
    fn with<R>(&self, look: impl FnOnce(&mut BTreeMap<String, Client>) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A client comes; one that was there under its name has to leave, as MQTT has it.
    pub(super) fn enter(
        &self,
        name: &str,
        number: u64,
        leave: CancellationToken,
    ) -> mpsc::Receiver<Publish> {
        let (mail, receiver) = mpsc::channel(WAITING_MAX);
        let client = Client {
            number,
            filters: Vec::new(),
            mail,
            leave,
        };
        let before = self.with(|all| all.insert(name.to_owned(), client));
        if let Some(before) = before {
            before.leave.cancel();
        }
        receiver
    }

    pub(super) fn leave(&self, name: &str, number: u64) {
        self.with(|all| {
            if all.get(name).is_some_and(|client| client.number == number) {
                all.remove(name);
            }
        });
    }

    /// Whether the subscription was taken.
    pub(super) fn subscribe(&self, name: &str, filter: &str) -> bool {
        self.with(|all| {
            let Some(client) = all.get_mut(name).filter(|_| topic::is_filter(filter)) else {
                return false;
            };
            let is_new = !client.filters.iter().any(|there| there == filter);
            if is_new && client.filters.len() < FILTERS_MAX {
                client.filters.push(filter.to_owned());
                return true;
            }
            !is_new
        })
    }

    pub(super) fn unsubscribe(&self, name: &str, filter: &str) {
        self.with(|all| {
            if let Some(client) = all.get_mut(name) {
                client.filters.retain(|there| there != filter);
            }
        });
    }

    /// Gives a message to everybody who wants it and has room for it.
    pub(super) fn publish(&self, message: &Publish) {
        self.with(|all| {
            for client in all.values() {
                let wants = |filter: &String| topic::matches(filter, &message.topic);
                if client.filters.iter().any(wants) {
                    // Subscriptions are of QoS 0: who does not read misses some.
                    let _taken = client.mail.try_send(message.clone());
                }
            }
        });
    }
}
