//! `/{stage}/@connections/{id}`: post to, look at and close a connection from the server's side.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::body::{Body, to_bytes};
use axum::extract::ws::Utf8Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::connect::MESSAGE_MAX;
use super::registry::{Link, Posted};
use super::{Shared, forbidden};
use crate::local::front;
use crate::local::meter::Fact;

/// How much of a body is read before it is refused: a caller that is cut off earlier may see a
/// broken connection in place of the 413.
const READ_MAX: usize = 8 * MESSAGE_MAX;

type At = Path<(String, String)>;

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    Path((stage, id)): At,
    body: Body,
) -> Response {
    if stage != shared.options.stage {
        return forbidden();
    }
    let Some(body) = to_bytes(body, READ_MAX)
        .await
        .ok()
        .filter(|body| body.len() <= MESSAGE_MAX)
    else {
        let (status, code) = (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException");
        return front::json_error(status, code, "a message has 131072 bytes at most");
    };
    let Ok(text) = Utf8Bytes::try_from(body) else {
        let (status, code) = (StatusCode::BAD_REQUEST, "BadRequestException");
        return front::json_error(status, code, "a message is text in UTF-8");
    };
    let (bytes, readings) = (text.len(), readings_in(&text));
    match shared.registry.post(&id, text) {
        Posted::Taken => {
            shared.carried(bytes);
            shared.front.meter().record([Fact::Shown { readings }]);
            StatusCode::OK.into_response()
        }
        Posted::Gone => gone(&shared),
        Posted::Full => shared
            .front
            .throttled("the viewer does not read: its buffer is full"),
    }
}

/// A frame of readings as far as the meter must know it: what it shows of the live stream.
#[derive(Default, Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    readings: Vec<IgnoredAny>,
}

fn readings_in(text: &str) -> u64 {
    let frame: Frame<'_> = serde_json::from_str(text).unwrap_or_default();
    if frame.kind != "readings" {
        return 0;
    }
    u64::try_from(frame.readings.len()).unwrap_or(u64::MAX)
}

pub(super) async fn get(State(shared): State<Arc<Shared>>, Path((stage, id)): At) -> Response {
    match find(&shared, &stage, &id) {
        Err(answer) => answer,
        Ok(link) => axum::Json(json!({
            "connectedAt": instant(link.viewer.connected_ms),
            "identity": {
                "sourceIp": link.viewer.source_ip,
                "userAgent": link.viewer.user_agent.as_deref().unwrap_or(""),
            },
            "lastActiveAt": instant(link.active_ms()),
        }))
        .into_response(),
    }
}

pub(super) async fn delete(State(shared): State<Arc<Shared>>, Path((stage, id)): At) -> Response {
    match find(&shared, &stage, &id) {
        Err(answer) => answer,
        Ok(link) => {
            // At once, not when the session has seen it: the next post must be told.
            shared.registry.remove(&id);
            link.close.cancel();
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

#[expect(clippy::result_large_err, reason = "the error is the answer itself")]
fn find(shared: &Shared, stage: &str, id: &str) -> Result<Arc<Link>, Response> {
    if stage != shared.options.stage {
        return Err(forbidden());
    }
    shared.registry.get(id).ok_or_else(|| gone(shared))
}

/// A 410; bare, as a proxy in between may leave it, if switched so.
fn gone(shared: &Shared) -> Response {
    if shared.bare_gone.load(Ordering::Relaxed) {
        return StatusCode::GONE.into_response();
    }
    front::json_error(StatusCode::GONE, "GoneException", "the connection is gone")
}

fn instant(ms: i64) -> String {
    DateTime::from_millis(ms)
        .fmt(Format::DateTime)
        .unwrap_or_default()
}
