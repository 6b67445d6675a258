//! What a tidewire says at `/state`, as far as it is shown. What an older or newer one leaves out is
//! simply not known.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{ShardId, WorkerId};

/// One answer: a worker's, a broadcaster's, or a local stand's, which is both.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) workers: Vec<WorkerState>,
    pub(super) broadcaster: Option<BroadcasterState>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WorkerState {
    pub(super) worker_id: WorkerId,
    #[serde(default)]
    pub(super) leases: LeasesState,
    #[serde(default)]
    pub(super) readings: ReadingsState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LeasesState {
    pub(super) ready: bool,
    pub(super) held: usize,
    pub(super) leases: Vec<LeaseState>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct LeaseState {
    pub(super) shard: ShardId,
    #[serde(default)]
    pub(super) owner: Option<WorkerId>,
    #[serde(default)]
    pub(super) mine: bool,
    #[serde(default)]
    pub(super) state: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadingsState {
    pub(super) as_of_ms: Option<u64>,
    pub(super) shards: BTreeMap<ShardId, ShardState>,
    pub(super) sinks: BTreeMap<String, SinkState>,
    pub(super) dead_letters_waiting: u64,
    pub(super) dead_letters_error: Option<String>,
    pub(super) budget_used_bytes: u64,
    pub(super) budget_limit_bytes: u64,
    pub(super) fatal: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ShardState {
    pub(super) epoch: u64,
    pub(super) behind_ms: u64,
    pub(super) records_read: u64,
    pub(super) bytes_read: u64,
    pub(super) readings_read: u64,
    pub(super) checkpoint_age_ms: u64,
    pub(super) draining: bool,
    pub(super) ended: bool,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SinkState {
    pub(super) book: BookState,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BookState {
    pub(super) acknowledged: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BroadcasterState {
    pub(super) serving: usize,
    pub(super) viewers: usize,
    pub(super) devices: usize,
    pub(super) accepted: u64,
    pub(super) gone: u64,
    pub(super) slow: u64,
    pub(super) failed: u64,
    pub(super) breaker: Option<String>,
    pub(super) queue_lag_ms: Option<i64>,
    pub(super) last_queue_error: Option<String>,
}

/// Reads an answer.
///
/// # Errors
/// It is no tidewire's.
pub(super) fn read(body: &str) -> Result<Answer, String> {
    let strange = |why: &str| format!("it answers, but not as a tidewire does ({why})");
    let state: Value =
        serde_json::from_str(body).map_err(|_| strange("what it says is no JSON, or too long"))?;
    let part = |value: &Value| -> Result<WorkerState, String> {
        WorkerState::deserialize(value).map_err(|error| strange(&error.to_string()))
    };
    let workers = match (&state["workers"], state.get("worker_id")) {
        (Value::Array(several), _) => several.iter().map(part).collect::<Result<_, _>>()?,
        (_, Some(_)) => vec![part(&state)?],
        _ => Vec::new(),
    };
    let broadcaster = match &state["broadcaster"] {
        Value::Object(_) => Some(
            BroadcasterState::deserialize(&state["broadcaster"])
                .map_err(|error| strange(&error.to_string()))?,
        ),
        _ => None,
    };
    if workers.is_empty() && broadcaster.is_none() {
        return Err(strange("neither a worker nor a broadcaster"));
    }
    Ok(Answer {
        workers,
        broadcaster,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{leases, worker};

    /// What a worker says today is what is read here.
    #[test]
    fn a_workers_own_words_are_understood() {
        let mut status = worker::Status {
            as_of_ms: 7,
            ..worker::Status::default()
        };
        let shard = ShardId::from("shardId-000000000001");
        status.shards.insert(
            shard.clone(),
            worker::ShardStatus {
                epoch: crate::model::LeaseCounter(3),
                read_by: worker::ReadBy::Polling,
                behind_ms: 11,
                records_read: 12,
                bytes_read: 13,
                readings_read: 14,
                records_done: 0,
                records_in_flight: 0,
                last_read: None,
                checkpoint: None,
                checkpoint_age_ms: 15,
                draining: true,
                ended: false,
                error: Some("no".to_owned()),
            },
        );
        let said = serde_json::json!({
            "worker_id": "w", "leases": leases::Status::default(), "readings": status,
        });
        let answer = read(&said.to_string()).unwrap();
        let readings = &answer.workers[0].readings;
        assert_eq!(readings.as_of_ms, Some(7));
        let one = &readings.shards[&shard];
        assert_eq!((one.epoch, one.behind_ms, one.records_read), (3, 11, 12));
        assert_eq!((one.bytes_read, one.readings_read), (13, 14));
        assert_eq!((one.checkpoint_age_ms, one.draining), (15, true));
        assert_eq!(one.error.as_deref(), Some("no"));
        let live = crate::service::broadcaster::Status {
            viewers: 4,
            breaker: Some(crate::push::Why::Gone),
            ..crate::service::broadcaster::Status::default()
        };
        let said = serde_json::json!({ "broadcaster": live, "queues": [] });
        let live = read(&said.to_string()).unwrap().broadcaster.unwrap();
        assert_eq!((live.viewers, live.breaker.as_deref()), (4, Some("gone")));
    }

    #[test]
    fn a_stranger_is_no_tidewire() {
        for body in ["", "<html>", "{}", "[1]", r#"{"worker_id":1}"#, "null"] {
            let why = read(body).unwrap_err();
            assert!(why.contains("not as a tidewire does"), "{body}: {why}");
        }
    }
}
