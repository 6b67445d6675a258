//! Looking at messages without receiving them, for the local page: no count rises, nothing hides.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{Shared, Sqs, id_of};

/// Messages shown where the caller names no number.
const SHOWN: usize = 10;
/// Messages shown at most.
const SHOWN_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    queue: String,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Peek<'a> {
    queue: &'a str,
    visible: usize,
    in_flight: usize,
    delayed: usize,
    /// The next to be received first.
    messages: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    body: &'a str,
    /// Milliseconds since the epoch.
    sent_ms: u64,
    received: u32,
    /// The queue it was moved from as a dead letter.
    source: Option<&'a str>,
}

pub(super) async fn peek(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Response {
    let all = shared.at(shared.now_ms());
    let Some(entry) = all.queues.get(&asked.queue) else {
        let names: Vec<&str> = all.queues.keys().map(String::as_str).collect();
        let why = format!(
            "there is no queue {:?}, only: {}\n",
            asked.queue,
            names.join(", ")
        );
        return (StatusCode::NOT_FOUND, why).into_response();
    };
    let (visible, in_flight, delayed) = entry.queue.counts();
    let shown = entry
        .queue
        .ready()
        .take(asked.limit.unwrap_or(SHOWN).min(SHOWN_MAX));
    let messages = shown.map(|message| Shown {
        id: id_of(message.number),
        body: &message.body,
        sent_ms: message.sent_wall_ms,
        received: message.received,
        source: message.source.as_deref(),
    });
    let messages = messages.collect();
    Json(Peek {
        queue: &asked.queue,
        visible,
        in_flight,
        delayed,
        messages,
    })
    .into_response()
}

impl Sqs {
    /// How many messages of a queue could be received now, and the newest of their bodies, newest
    /// first; without receiving them. `None` where there is no such queue.
    #[must_use]
    pub fn glimpse(&self, queue: &str, newest: usize) -> Option<(usize, Vec<String>)> {
        let all = self.shared.at(self.shared.now_ms());
        let queue = &all.queues.get(queue)?.queue;
        let (visible, _, _) = queue.counts();
        let skipped = visible.saturating_sub(newest);
        let mut bodies: Vec<_> = queue
            .ready()
            .skip(skipped)
            .map(|message| message.body.clone())
            .collect();
        bodies.reverse();
        Some((visible, bodies))
    }
}
