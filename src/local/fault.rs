//! Switches that make an embedded server slow, throttled or down.
//!
//! Every server of the local stand holds one [`Faults`]; tests turn its switches in process, people
//! over HTTP: `GET`, `PUT` and `DELETE /_local/faults` on the server's own address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a switched request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Effect {
    /// The request is not applied; the answer is a 503.
    Down,
    /// The request is not applied; the answer is the service's own throttling error.
    Throttled,
    /// The request is applied after this many milliseconds.
    Slow {
        /// Milliseconds to wait before the request is looked at.
        ms: u64,
    },
    /// The request is applied, but its answer is lost: the caller sees a 500.
    LostAnswer,
    /// The request is not applied; the answer is that of IAM to a caller without the right.
    Denied,
}

impl Effect {
    /// Whether both are of one kind, however slow each is.
    #[must_use]
    pub fn is_as(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// One switch: which requests it hits, and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Switch {
    /// The operation as AWS names it (`WriteRecords`, `PostToConnection`); absent: every operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What happens to a request that is hit.
    #[serde(flatten)]
    pub effect: Effect,
    /// Hit only every n-th matching request; 1 (the default) hits all of them.
    #[serde(default = "one")]
    pub every: u32,
    /// How many requests are hit before the switch clears itself; absent: until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    #[serde(skip)]
    seen: u32,
}

fn one() -> u32 {
    1
}

impl Switch {
    /// A switch that hits every request of `operation`.
    #[must_use]
    pub fn on(operation: &str, effect: Effect) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            ..Self::everything(effect)
        }
    }

    /// A switch that hits every request.
    #[must_use]
    pub fn everything(effect: Effect) -> Self {
        Self {
            operation: None,
            effect,
            every: 1,
            times: None,
            seen: 0,
        }
    }

    /// The same switch, clearing itself after `times` hits.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same switch, hitting only every n-th matching request.
    #[must_use]
    pub fn every(self, every: u32) -> Self {
        Self {
            every: every.max(1),
            ..self
        }
    }

    fn hits(&mut self, operation: &str) -> bool {
        if self
            .operation
            .as_deref()
            .is_some_and(|wanted| wanted != operation)
        {
            return false;
        }
        if self.times == Some(0) {
            return false;
        }
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every.max(1)) {
            return false;
        }
        if let Some(left) = &mut self.times {
            *left -= 1;
        }
        true
    }
}

/// What the server must do with a request after the switches were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Serve,
    /// Answer 503 without serving.
    Unavailable,
    /// Answer the service's throttling error without serving.
    Throttle,
    /// Serve it, then answer 500 instead of the result.
    LoseAnswer,
    /// Answer that the caller has no right to it, without serving.
    Deny,
}

/// The switches of one server; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    switches: Arc<Mutex<Vec<Switch>>>,
}

impl Faults {
    /// Adds a switch to those already set.
    pub fn set(&self, switch: Switch) {
        self.lock().push(switch);
    }

    /// Replaces all switches.
    pub fn replace(&self, switches: Vec<Switch>) {
        *self.lock() = switches;
    }

    /// Removes all switches: the server is well again.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Removes all switches of this kind.
    pub fn end(&self, effect: Effect) {
        self.lock().retain(|switch| !switch.effect.is_as(effect));
    }

    /// The switches that are set now.
    #[must_use]
    pub fn list(&self) -> Vec<Switch> {
        self.lock().clone()
    }

    /// Asks the switches about one request, waiting first where one says so.
    pub async fn meet(&self, operation: &str) -> Verdict {
        let (wait, verdict) = self.judge(operation);
        if let Some(wait) = wait {
            tokio::time::sleep(wait).await;
        }
        verdict
    }

    fn judge(&self, operation: &str) -> (Option<Duration>, Verdict) {
        let mut wait = None;
        let mut verdict = Verdict::Serve;
        let mut switches = self.lock();
        for switch in switches.iter_mut() {
            if !switch.hits(operation) {
                continue;
            }
            match switch.effect {
                Effect::Slow { ms } => wait = Some(Duration::from_millis(ms)),
                Effect::Down => verdict = Verdict::Unavailable,
                Effect::Throttled => verdict = Verdict::Throttle,
                Effect::LostAnswer => verdict = Verdict::LoseAnswer,
                Effect::Denied => verdict = Verdict::Deny,
            }
        }
        switches.retain(|switch| switch.times != Some(0));
        (wait, verdict)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Switch>> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_switch_hits_its_operation_as_often_as_it_says() {
        let faults = Faults::default();
        faults.set(Switch::on("WriteRecords", Effect::Down).times(2));
        assert_eq!(faults.meet("DescribeTable").await, Verdict::Serve);
        assert_eq!(faults.meet("WriteRecords").await, Verdict::Unavailable);
        assert_eq!(faults.meet("WriteRecords").await, Verdict::Unavailable);
        assert_eq!(faults.meet("WriteRecords").await, Verdict::Serve);
        assert!(faults.list().is_empty());
    }

    #[tokio::test]
    async fn every_third_request_can_be_hit() {
        let faults = Faults::default();
        faults.set(Switch::everything(Effect::Throttled).every(3));
        let mut throttled = 0;
        for _ in 0..9 {
            throttled += u32::from(faults.meet("GetRecords").await == Verdict::Throttle);
        }
        assert_eq!(throttled, 3);
    }

    #[test]
    fn switches_are_plain_json() {
        let json = r#"{"operation":"WriteRecords","kind":"slow","ms":50}"#;
        let switch: Switch = serde_json::from_str(json).unwrap();
        assert_eq!(switch.effect, Effect::Slow { ms: 50 });
    }
}
