//! One queue's messages. Pure: the time is an argument, in milliseconds on any clock that never
//! goes back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::fifo::Known;
use super::settings::Settings;

/// Messages received and not yet deleted, for a standard queue (SQS developer guide, quotas).
const IN_FLIGHT_MAX: usize = 120_000;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    /// Unique over the whole server, rising in the order of sending.
    pub(super) number: u64,
    pub(super) body: String,
    /// The message attributes as they were sent.
    pub(super) attributes: Option<Value>,
    /// When it was sent, on the queue's clock: retention counts from here, in the dead-letter queue
    /// too.
    pub(super) sent_ms: u64,
    /// When it was sent, on the wall clock.
    pub(super) sent_wall_ms: u64,
    pub(super) first_received_wall_ms: Option<u64>,
    pub(super) received: u32,
    /// The queue whose redrive policy moved it here.
    pub(super) source: Option<String>,
    /// Its group: in a FIFO queue, what keeps its order.
    pub(super) group: Option<String>,
}

/// What a receipt handle stands for: one receive of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) number: u64,
    pub(super) received: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// 120,000 messages are in flight.
    OverLimit,
    /// The receipt is of an earlier receive, or the message became visible again.
    NotInFlight,
}

/// What happened to a message, for whoever keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// It came.
    Sent(Message),
    /// It was deleted, or is too old.
    Gone(u64),
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) settings: Settings,
    ready: VecDeque<Message>,
    in_flight: BTreeMap<u64, (u64, Message)>,
    delayed: BTreeMap<u64, (u64, Message)>,
    /// When messages in flight or delayed become visible: (time, number).
    timers: BTreeSet<(u64, u64)>,
    /// Messages that were received too often and wait to be moved.
    dead: Vec<Message>,
    known: Known,
    /// What happened since somebody asked, where anybody does.
    changes: Option<Vec<Change>>,
}

impl Queue {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            ready: VecDeque::new(),
            in_flight: BTreeMap::new(),
            delayed: BTreeMap::new(),
            timers: BTreeSet::new(),
            dead: Vec::new(),
            known: Known::default(),
            changes: None,
        }
    }

    /// The same queue with what was in it before, which tells from now on what happens to it.
    pub(super) fn kept(mut self, messages: Vec<Message>) -> Self {
        self.ready = messages.into();
        self.changes = Some(Vec::new());
        self
    }

    /// What happened since this was asked last.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        self.changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn gone(&mut self, number: u64) {
        if let Some(changes) = &mut self.changes {
            changes.push(Change::Gone(number));
        }
    }

    /// Messages that can be received, that are in flight, and that are delayed.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.ready.len(), self.in_flight.len(), self.delayed.len())
    }

    /// Messages that can be received, the next first.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Message> {
        self.ready.iter()
    }

    /// When the next message becomes visible by time alone.
    pub(super) fn next_visible_ms(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether a message is new to a FIFO queue; from now on it is known.
    pub(super) fn is_first(&mut self, once: String, now_ms: u64) -> bool {
        self.known.is_first(once, now_ms)
    }

    pub(super) fn send(&mut self, message: Message, delay_ms: u64, now_ms: u64) {
        if let Some(changes) = &mut self.changes {
            changes.push(Change::Sent(message.clone()));
        }
        if delay_ms == 0 {
            self.ready.push_back(message);
            return;
        }
        let at = now_ms + delay_ms;
        self.timers.insert((at, message.number));
        self.delayed.insert(message.number, (at, message));
    }

    /// Does what time alone does: delayed messages appear, unacknowledged ones return to the front
    /// or, received too often, leave for the dead-letter queue; expired ones are dropped.
    ///
    /// Answers the messages to move. AWS moves one at the receive after its last allowed one; here it
    /// moves as soon as that receive has timed out, so that it can be seen at once.
    pub(super) fn advance(&mut self, now_ms: u64) -> Vec<Message> {
        while let Some(&(at, number)) = self.timers.first() {
            if at > now_ms {
                break;
            }
            self.timers.pop_first();
            if let Some((_, message)) = self.delayed.remove(&number) {
                self.ready.push_back(message);
            } else if let Some((_, message)) = self.in_flight.remove(&number) {
                self.give_back(message);
            }
        }
        let oldest = now_ms.saturating_sub(self.settings.retention_ms());
        let kept = |message: &Message| message.sent_ms >= oldest;
        while let Some(old) = self.ready.pop_front_if(|message| !kept(message)) {
            self.gone(old.number);
        }
        std::mem::take(&mut self.dead)
    }

    fn give_back(&mut self, message: Message) {
        let redrive = self.settings.redrive();
        if redrive.is_some_and(|redrive| message.received >= redrive.max_receives) {
            self.dead.push(message);
        } else if self.settings.is_fifo() {
            let before = |ready: &Message| ready.number < message.number;
            let place = self.ready.partition_point(before);
            self.ready.insert(place, message);
        } else {
            self.ready.push_front(message);
        }
    }

    /// Takes the next message that may be handed out: of a FIFO queue's group nothing while some
    /// of it is in flight, unless it is handed out together.
    fn next(&mut self, received: &[Message]) -> Option<Message> {
        if !self.settings.is_fifo() {
            return self.ready.pop_front();
        }
        let together = |number: u64| received.iter().any(|one| one.number == number);
        let flying = self
            .in_flight
            .iter()
            .filter(|(number, _)| !together(**number));
        let blocked: BTreeSet<Option<String>> =
            flying.map(|(_, (_, one))| one.group.clone()).collect();
        let free = |message: &Message| !blocked.contains(&message.group);
        let place = self.ready.iter().position(free)?;
        self.ready.remove(place)
    }

    /// Hands out up to `most` messages, invisible to others for `visibility_ms`.
    pub(super) fn receive(
        &mut self,
        most: usize,
        visibility_ms: u64,
        now_ms: u64,
        wall_ms: u64,
    ) -> Result<Vec<Message>, Problem> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return Err(Problem::OverLimit);
        }
        let most = most.min(IN_FLIGHT_MAX - self.in_flight.len());
        let oldest = now_ms.saturating_sub(self.settings.retention_ms());
        let mut received = Vec::new();
        while received.len() < most {
            let Some(mut message) = self.next(&received) else {
                break;
            };
            if message.sent_ms < oldest {
                self.gone(message.number);
                continue;
            }
            message.received += 1;
            message.first_received_wall_ms.get_or_insert(wall_ms);
            received.push(message.clone());
            let at = now_ms + visibility_ms;
            self.timers.insert((at, message.number));
            self.in_flight.insert(message.number, (at, message));
        }
        Ok(received)
    }

    /// Deletes a message; an outdated receipt deletes nothing, as AWS has it.
    pub(super) fn delete(&mut self, receipt: Receipt) {
        let named = |message: &Message| {
            message.number == receipt.number && message.received == receipt.received
        };
        if self
            .in_flight
            .get(&receipt.number)
            .is_some_and(|(_, message)| named(message))
        {
            if let Some((at, _)) = self.in_flight.remove(&receipt.number) {
                self.timers.remove(&(at, receipt.number));
            }
            self.gone(receipt.number);
        } else if let Some(place) = self.ready.iter().position(named) {
            self.ready.remove(place);
            self.gone(receipt.number);
        }
    }

    /// Sets when a message in flight becomes visible again; zero: now.
    pub(super) fn change_visibility(
        &mut self,
        receipt: Receipt,
        visibility_ms: u64,
        now_ms: u64,
    ) -> Result<(), Problem> {
        let Some((at, message)) = self.in_flight.get_mut(&receipt.number) else {
            return Err(Problem::NotInFlight);
        };
        if message.received != receipt.received {
            return Err(Problem::NotInFlight);
        }
        self.timers.remove(&(*at, receipt.number));
        *at = now_ms + visibility_ms;
        self.timers.insert((*at, receipt.number));
        Ok(())
    }

    pub(super) fn purge(&mut self) {
        let ready = self.ready.iter().chain(&self.dead).map(|one| one.number);
        let hidden = self.in_flight.keys().chain(self.delayed.keys()).copied();
        let all: Vec<u64> = ready.chain(hidden).collect();
        let changes = self.changes.take();
        *self = Self::new(std::mem::take(&mut self.settings));
        self.changes = changes;
        for number in all {
            self.gone(number);
        }
    }
}

#[cfg(test)]
mod tests;
