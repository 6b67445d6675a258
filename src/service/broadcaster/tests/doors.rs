//! A queue, a connection table and screens in memory, with what tests ask of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::door::connections::{Connections, Screens};
use crate::door::fault::{CallFailed, Fault};
use crate::door::queue::{QueueReceiver, Received};
use crate::model::{Connection, ConnectionId, Posted, StoredTime, Wanted};
use crate::service::clock;

/// How long a received message stays hidden.
const VISIBILITY: Duration = Duration::from_secs(30);

/// How a viewer answers.
#[derive(Clone, Debug)]
pub(super) enum Script {
    /// Always so.
    Always(Posted),
    /// Never.
    Hang,
}

#[derive(Debug)]
struct Stored {
    id: u64,
    body: String,
    hidden_until: Option<Instant>,
    receive_count: u32,
}

#[derive(Debug)]
struct State {
    started: Instant,
    messages: VecDeque<Stored>,
    next_id: u64,
    deleted: BTreeSet<String>,
    deletions_twice: usize,
    received_again: usize,
    failing_deletions: u32,
    outage: bool,
    rows: BTreeMap<ConnectionId, Connection>,
    lists: usize,
    forgets: usize,
    scripts: BTreeMap<ConnectionId, Script>,
    script_of_all: Option<Script>,
    latency: Duration,
    posts: BTreeMap<ConnectionId, usize>,
    frames: BTreeMap<ConnectionId, Vec<(Duration, String)>>,
}

/// All three doors; clones are the same world.
#[derive(Clone, Debug)]
pub(super) struct World {
    state: Arc<Mutex<State>>,
}

impl Default for World {
    fn default() -> Self {
        let state = State {
            started: Instant::now(),
            messages: VecDeque::new(),
            next_id: 0,
            deleted: BTreeSet::new(),
            deletions_twice: 0,
            received_again: 0,
            failing_deletions: 0,
            outage: false,
            rows: BTreeMap::new(),
            lists: 0,
            forgets: 0,
            scripts: BTreeMap::new(),
            script_of_all: None,
            latency: Duration::from_millis(5),
            posts: BTreeMap::new(),
            frames: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

pub(super) fn row(id: &str, age_ms: i64, wanted: Wanted) -> Connection {
    Connection {
        id: id.into(),
        connected_at: Some(StoredTime::Number((clock::wall().0 - age_ms).to_string())),
        wanted,
        allowed: None,
        expires_at: None,
        principal: None,
    }
}

pub(super) fn devices(ids: &[&str]) -> Wanted {
    Wanted::Devices(ids.iter().map(|id| (*id).to_owned()).collect())
}

/// A message of one reading a device; number, time and value are one.
pub(super) fn packed(readings: &[(&str, i64)]) -> String {
    let readings: Vec<Json> = readings
        .iter()
        .map(|(device, n)| {
            json!({
                "device_id": device, "time_ns": n.to_string(), "measures": {"value": n},
                "shard": "shardId-000000000000", "seq": n.to_string(), "sub": 0, "i": 0,
                "arrival_ms": clock::wall().0,
            })
        })
        .collect();
    json!({"v": 1, "readings": readings}).to_string()
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn send(&self, body: String) {
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        state.messages.push_back(Stored {
            id,
            body,
            hidden_until: None,
            receive_count: 0,
        });
    }

    pub(super) fn put(&self, row: Connection) {
        self.state().rows.insert(row.id.clone(), row);
    }

    pub(super) fn script(&self, id: &str, script: Script) {
        self.state().scripts.insert(id.into(), script);
    }

    pub(super) fn script_all(&self, script: Script) {
        self.state().script_of_all = Some(script);
    }

    pub(super) fn latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    pub(super) fn fail_deletions(&self, times: u32) {
        self.state().failing_deletions = times;
    }

    pub(super) fn outage(&self, outage: bool) {
        self.state().outage = outage;
    }

    /// Messages not deleted.
    pub(super) fn left(&self) -> usize {
        self.state().messages.len()
    }

    pub(super) fn received_again(&self) -> usize {
        self.state().received_again
    }

    pub(super) fn deletions_twice(&self) -> usize {
        self.state().deletions_twice
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.state().rows.contains_key(&id.into())
    }

    pub(super) fn rows(&self) -> usize {
        self.state().rows.len()
    }

    pub(super) fn lists(&self) -> usize {
        self.state().lists
    }

    /// Deletions tried.
    pub(super) fn forgets(&self) -> usize {
        self.state().forgets
    }

    /// Posts tried to a viewer.
    pub(super) fn posts(&self, id: &str) -> usize {
        self.state().posts.get(&id.into()).copied().unwrap_or(0)
    }

    /// What a viewer took, and when.
    pub(super) fn frames(&self, id: &str) -> Vec<(Duration, String)> {
        let frames = self.state().frames.get(&id.into()).cloned();
        // The wall clock is not paused: what it stamped differs between runs.
        let stamp = |text: &str| {
            text.split(r#","arrival_ms""#)
                .next()
                .unwrap_or("")
                .to_owned()
        };
        frames
            .unwrap_or_default()
            .into_iter()
            .map(|(at, text)| (at, stamp(&text)))
            .collect()
    }

    /// The last value of a device that a viewer was shown.
    pub(super) fn last(&self, id: &str, device: &str) -> Option<i64> {
        let state = self.state();
        let frames = state.frames.get(&id.into())?;
        frames
            .iter()
            .rev()
            .flat_map(|(_, text)| readings(text).into_iter().rev())
            .find(|reading| reading["device_id"] == device)?["measures"]["value"]
            .as_i64()
    }

    /// How many viewers were shown this value of any device.
    pub(super) fn shown_to(&self, value: i64) -> usize {
        let state = self.state();
        let saw = |frames: &&Vec<(Duration, String)>| {
            frames
                .iter()
                .flat_map(|(_, text)| readings(text))
                .any(|reading| reading["measures"]["value"] == value)
        };
        state.frames.values().filter(saw).count()
    }

    pub(super) fn saw(&self, id: &str, text: &str) -> bool {
        let state = self.state();
        let frames = state.frames.get(&id.into());
        frames.is_some_and(|frames| frames.iter().any(|(_, frame)| frame.contains(text)))
    }

    fn check(&self, operation: &'static str) -> Result<(), CallFailed> {
        if self.state().outage {
            return Err(failed(operation));
        }
        Ok(())
    }
}

fn readings(frame: &str) -> Vec<Json> {
    let frame: Json = serde_json::from_str(frame).unwrap();
    frame["readings"].as_array().unwrap().clone()
}

fn failed(operation: &'static str) -> CallFailed {
    CallFailed {
        operation,
        fault: Fault::Transient,
        message: "out of reach".to_owned(),
    }
}

impl QueueReceiver for World {
    async fn receive(&self, wait: Duration) -> Result<Vec<Received>, CallFailed> {
        self.check("ReceiveMessage")?;
        let until = Instant::now() + wait;
        loop {
            let received = self.take_visible();
            if !received.is_empty() || Instant::now() >= until {
                return Ok(received);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<String>, CallFailed> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!((1..=10).contains(&receipts.len()), "{}", receipts.len());
        let mut state = self.state();
        if state.failing_deletions > 0 {
            state.failing_deletions -= 1;
            if state.failing_deletions.is_multiple_of(2) {
                return Err(failed("DeleteMessageBatch"));
            }
            return Ok(receipts.to_vec());
        }
        for receipt in receipts {
            if !state.deleted.insert(receipt.clone()) {
                state.deletions_twice += 1;
            }
            state.messages.retain(|m| m.id.to_string() != *receipt);
        }
        Ok(Vec::new())
    }
}

impl World {
    fn take_visible(&self) -> Vec<Received> {
        let now = Instant::now();
        let mut state = self.state();
        let mut again = 0;
        let received: Vec<Received> = state
            .messages
            .iter_mut()
            .filter(|message| message.hidden_until.is_none_or(|until| until <= now))
            .take(10)
            .map(|message| {
                message.hidden_until = Some(now + VISIBILITY);
                message.receive_count += 1;
                again += usize::from(message.receive_count > 1);
                Received {
                    receipt: message.id.to_string(),
                    body: message.body.clone(),
                    trace: None,
                }
            })
            .collect();
        state.received_again += again;
        received
    }
}

impl Connections for World {
    async fn list(&self) -> Result<Vec<Connection>, CallFailed> {
        self.check("Query")?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut state = self.state();
        state.lists += 1;
        Ok(state.rows.values().cloned().collect())
    }

    async fn get(&self, id: &ConnectionId) -> Result<Option<Connection>, CallFailed> {
        self.check("GetItem")?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(self.state().rows.get(id).cloned())
    }

    async fn put(&self, row: &Connection) -> Result<(), CallFailed> {
        Self::put(self, row.clone());
        Ok(())
    }

    async fn set_wanted(&self, id: &ConnectionId, wanted: &Wanted) -> Result<bool, CallFailed> {
        let mut state = self.state();
        let row = state.rows.get_mut(id);
        Ok(row.map(|row| row.wanted = wanted.clone()).is_some())
    }

    async fn forget(
        &self,
        id: &ConnectionId,
        connected_at: Option<&StoredTime>,
    ) -> Result<bool, CallFailed> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut state = self.state();
        state.forgets += 1;
        let same = state
            .rows
            .get(id)
            .is_some_and(|row| row.connected_at.as_ref() == connected_at);
        if same {
            state.rows.remove(id);
        }
        Ok(same)
    }
}

impl Screens for World {
    async fn post(&self, id: &ConnectionId, frame: &str) -> Result<Posted, CallFailed> {
        let (script, latency) = {
            let mut state = self.state();
            *state.posts.entry(id.clone()).or_default() += 1;
            let script = state
                .scripts
                .get(id)
                .or(state.script_of_all.as_ref())
                .cloned();
            (script, state.latency)
        };
        let posted = match script {
            None => Posted::Accepted,
            Some(Script::Always(posted)) => posted,
            Some(Script::Hang) => std::future::pending().await,
        };
        tokio::time::sleep(latency).await;
        if posted == Posted::Accepted {
            let mut state = self.state();
            let at = state.started.elapsed();
            let frames = state.frames.entry(id.clone()).or_default();
            frames.push((at, frame.to_owned()));
        }
        Ok(posted)
    }

    async fn hang_up(&self, _: &ConnectionId) -> Result<Posted, CallFailed> {
        Ok(Posted::Accepted)
    }
}
