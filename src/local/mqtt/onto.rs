//! A message's way onto the stream.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::mqttbytes::v4::Publish;

use super::rule::{Message, Rule, Template};
use crate::door::put::{Entry, Put};
use crate::model::Sent;
use crate::service::clock;

/// The first pause before a record is put again, and the longest.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The rule and where it leads.
#[derive(Debug)]
pub(super) struct Onto<P> {
    rule: Rule,
    key: Template,
    put: P,
}

impl<P: Put> Onto<P> {
    pub(super) fn new(rule: Rule, key: Template, put: P) -> Self {
        Self { rule, key, put }
    }

    /// Puts what the rule makes of a message, where it is about it; returns when that is on the
    /// stream, or can never be.
    pub(super) async fn take(&self, client: &str, message: &Publish) {
        if !self.rule.takes(&message.topic) {
            return;
        }
        let seen = Message {
            topic: &message.topic,
            client,
            payload: &message.payload,
            now_ms: clock::wall().0,
        };
        let made = self.rule.apply(&seen);
        let made = made.and_then(|data| Ok((data, self.key.of(&seen)?)));
        let (data, key) = match made {
            Ok(made) => made,
            Err(reason) => return failed(&message.topic, &reason),
        };
        let entry = Entry {
            key: key.as_str().into(),
            data: Bytes::from(data),
        };
        let mut pause = AGAIN_AFTER.0;
        loop {
            let reason = match self.put.put(std::slice::from_ref(&entry)).await {
                Ok(sent) => match sent.into_iter().next() {
                    Some(Sent::Accepted) => return,
                    Some(Sent::Refused(reason)) => return failed(&message.topic, &reason),
                    Some(Sent::Again(reason)) => reason,
                    None => "the answer is empty".to_owned(),
                },
                Err(error) if !error.fault.is_worth_again() => {
                    return failed(&message.topic, &error.to_string());
                }
                Err(error) => error.to_string(),
            };
            tracing::debug!(topic = message.topic, reason, "a message is put again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_AFTER.1);
        }
    }
}

/// What AWS would run the rule's error action for.
fn failed(topic: &str, reason: &str) {
    tracing::warn!(topic, reason, "the topic rule failed on a message");
}
