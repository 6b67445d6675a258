//! The handshake: `$connect` decides, and its choice of subprotocol alone is echoed.

use std::sync::Arc;

use aws_lambda_events::event::apigw::ApiGatewayProxyResponse;
use axum::extract::ws::{WebSocketUpgrade, close_code};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::event::{self, Viewer};
use super::session::Session;
use super::{Shared, TimedOut, now_ms};
use crate::local::front;

/// Bytes of one frame from a viewer (quotas page of the WebSocket API); more closes with 1009.
const FRAME_MAX: usize = 32 * 1024;
/// Bytes of one message from a viewer, and of one message to it.
pub(super) const MESSAGE_MAX: usize = 128 * 1024;

pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    Path(stage): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if stage != shared.options.stage {
        return super::forbidden();
    }
    // A task of its own: the integration's work is done and undone even if the caller goes.
    let opening = shared
        .tasks
        .spawn(open(Arc::clone(&shared), query, headers, upgrade));
    opening
        .await
        .unwrap_or_else(|error| refused(StatusCode::BAD_GATEWAY, &error.to_string()))
}

async fn open(
    shared: Arc<Shared>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    mut upgrade: WebSocketUpgrade,
) -> Response {
    let Ok(seat) = Arc::clone(&shared.seats).try_acquire_owned() else {
        return refused(StatusCode::TOO_MANY_REQUESTS, "Too many connections");
    };
    let address = shared.address();
    let viewer = Viewer {
        connection_id: event::unique_id(),
        connected_ms: now_ms(),
        source_ip: address.ip().to_string(),
        user_agent: text(&headers, header::USER_AGENT),
        stage: shared.options.stage.clone(),
        domain: text(&headers, header::HOST).unwrap_or_else(|| address.to_string()),
    };
    let answer = match shared
        .integrate(event::connect(&viewer, &headers, query))
        .await
    {
        Ok(answer) => answer,
        Err(error) => {
            let late = error.downcast_ref::<TimedOut>().is_some();
            let status = if late {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::BAD_GATEWAY
            };
            return refused(status, "Internal server error");
        }
    };
    let status = u16::try_from(answer.status_code)
        .ok()
        .and_then(|s| StatusCode::from_u16(s).ok());
    match status {
        Some(status) if status.is_success() => {}
        Some(status) => return refused(status, status.canonical_reason().unwrap_or("Refused")),
        None => return refused(StatusCode::BAD_GATEWAY, "Internal server error"),
    }
    if let Some(protocol) = chosen(&answer)
        && upgrade
            .requested_protocols()
            .any(|offered| *offered == protocol)
    {
        upgrade.set_selected_protocol(protocol);
    }
    let (link, frames) = shared.registry.open(viewer, shared.options.outgoing_max);
    let (left, gone) = (Arc::clone(&shared), link.viewer.clone());
    upgrade
        .max_frame_size(FRAME_MAX)
        .max_message_size(MESSAGE_MAX)
        .on_failed_upgrade(move |_| {
            left.registry.remove(&gone.connection_id);
            left.disconnect(&gone, close_code::ABNORMAL, "Connection Closed Abnormally");
        })
        .on_upgrade(move |socket| {
            let tasks = shared.tasks.clone();
            let session = Session {
                shared,
                link,
                frames,
                socket,
                _seat: seat,
            };
            tasks.track_future(session.run())
        })
}

/// The subprotocol of the integration's answer.
fn chosen(answer: &ApiGatewayProxyResponse) -> Option<HeaderValue> {
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    answer
        .headers
        .get(&name)
        .or_else(|| answer.multi_value_headers.get(&name))
        .cloned()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn refused(status: StatusCode, message: &str) -> Response {
    front::json_error(
        status,
        status.canonical_reason().unwrap_or("Refused"),
        message,
    )
}
