//! The events that API Gateway hands to the integration, as it writes them for a Lambda function.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_lambda_events::event::apigw::{
    ApiGatewayRequestIdentity, ApiGatewayWebsocketProxyRequest,
    ApiGatewayWebsocketProxyRequestContext,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;

/// The routes beside `$connect`, `$disconnect` and `$default`, chosen by `$request.body.action`.
pub(super) const ROUTES: [&str; 3] = ["subscribe", "unsubscribe", "ping"];
const DEFAULT_ROUTE: &str = "$default";
/// The API's id, which on AWS is the first part of its host name.
const API_ID: &str = "local";

/// Who is connected, and to what.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) connection_id: String,
    pub(super) connected_ms: i64,
    pub(super) source_ip: String,
    pub(super) user_agent: Option<String>,
    pub(super) stage: String,
    /// Host and port of the API.
    pub(super) domain: String,
}

/// The event of a handshake: headers and query as sent.
pub(super) fn connect(
    viewer: &Viewer,
    headers: &HeaderMap,
    query: Vec<(String, String)>,
) -> ApiGatewayWebsocketProxyRequest {
    let mut event = blank(viewer, "$connect", "CONNECT", viewer.connected_ms);
    for name in headers.keys() {
        if let Some(last) = headers.get_all(name).iter().next_back() {
            event.headers.insert(name, last.clone());
        }
    }
    event.multi_value_headers = headers.clone();
    let mut all: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in query {
        all.entry(name).or_default().push(value);
    }
    let last: HashMap<String, String> = all
        .iter()
        .filter_map(|(name, values)| Some((name.clone(), values.last()?.clone())))
        .collect();
    event.query_string_parameters = last.into();
    event.multi_value_query_string_parameters = all.into();
    event
}

/// The event of a message from the viewer.
pub(super) fn message(viewer: &Viewer, body: &str, now_ms: i64) -> ApiGatewayWebsocketProxyRequest {
    let mut event = blank(viewer, route(body), "MESSAGE", now_ms);
    event.body = Some(body.to_owned());
    event.request_context.message_id = Some(unique_id());
    event
}

/// The event after a connection's end.
pub(super) fn disconnect(
    viewer: &Viewer,
    code: u16,
    reason: &str,
    now_ms: i64,
) -> ApiGatewayWebsocketProxyRequest {
    let mut event = blank(viewer, "$disconnect", "DISCONNECT", now_ms);
    event.request_context.disconnect_status_code = Some(i64::from(code));
    event.request_context.disconnect_reason = Some(reason.to_owned());
    event
}

fn blank(viewer: &Viewer, route: &str, kind: &str, now_ms: i64) -> ApiGatewayWebsocketProxyRequest {
    let mut identity = ApiGatewayRequestIdentity::default();
    identity.source_ip = Some(viewer.source_ip.clone());
    identity.user_agent.clone_from(&viewer.user_agent);
    let request_id = unique_id();
    let mut context = ApiGatewayWebsocketProxyRequestContext::default();
    context.stage = Some(viewer.stage.clone());
    context.extended_request_id = Some(request_id.clone());
    context.request_id = Some(request_id);
    context.identity = identity;
    context.apiid = Some(API_ID.to_owned());
    context.connected_at = viewer.connected_ms;
    context.connection_id = Some(viewer.connection_id.clone());
    context.domain_name = Some(viewer.domain.clone());
    context.event_type = Some(kind.to_owned());
    context.message_direction = Some("IN".to_owned());
    context.request_time = request_time(now_ms);
    context.request_time_epoch = now_ms;
    context.route_key = Some(route.to_owned());
    let mut event = ApiGatewayWebsocketProxyRequest::default();
    event.request_context = context;
    event
}

/// The route that `$request.body.action` selects.
fn route(body: &str) -> &'static str {
    #[derive(Deserialize)]
    struct Selected<'a> {
        #[serde(borrow)]
        action: Cow<'a, str>,
    }
    let selected = serde_json::from_str::<Selected<'_>>(body).ok();
    let known = selected.and_then(|it| ROUTES.into_iter().find(|route| *route == it.action));
    known.unwrap_or(DEFAULT_ROUTE)
}

/// An id in API Gateway's shape: eleven bytes in base64, hence with one `=` at the end, which
/// callers must escape in a path.
pub(super) fn unique_id() -> String {
    let mut bytes = [0; 11];
    fastrand::fill(&mut bytes);
    URL_SAFE.encode(bytes)
}

/// The common log format that events carry: `09/Feb/2024:18:23:28 +0000`.
fn request_time(now_ms: i64) -> Option<String> {
    let date = DateTime::from_millis(now_ms).fmt(Format::HttpDate).ok()?;
    let mut words = date.split_whitespace().skip(1);
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let time = words.next()?.split('.').next()?;
    Some(format!("{day}/{month}/{year}:{time} +0000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_selects_the_route_and_anything_else_the_default() {
        assert_eq!(
            route(r#"{"action":"subscribe","device_ids":["d1"]}"#),
            "subscribe"
        );
        assert_eq!(route(r#"{"action":"p\u0069ng"}"#), "ping");
        for body in [
            r#"{"action":"dance"}"#,
            r#"{"action":7}"#,
            "{}",
            "hello",
            "[]",
            "",
        ] {
            assert_eq!(route(body), "$default", "{body}");
        }
    }

    #[test]
    fn ids_and_times_have_api_gateways_shape() {
        let id = unique_id();
        assert!(
            id.len() == 16 && id.ends_with('=') && !id.ends_with("=="),
            "{id}"
        );
        let time = request_time(1_707_503_008_941).unwrap();
        assert_eq!(time, "09/Feb/2024:18:23:28 +0000");
    }

    #[test]
    fn an_event_survives_the_way_to_a_lambda() {
        let viewer = Viewer {
            connection_id: unique_id(),
            connected_ms: 1,
            source_ip: "127.0.0.1".to_owned(),
            user_agent: None,
            stage: "local".to_owned(),
            domain: "127.0.0.1:1".to_owned(),
        };
        let mut headers = HeaderMap::new();
        headers.append("x-twice", "a".parse().unwrap());
        headers.append("x-twice", "b".parse().unwrap());
        let query = vec![
            ("q".to_owned(), "1".to_owned()),
            ("q".to_owned(), "2".to_owned()),
        ];
        let sent = connect(&viewer, &headers, query);
        let json = serde_json::to_value(&sent).unwrap();
        assert_eq!(json["headers"]["x-twice"], "b");
        assert_eq!(
            json["multiValueHeaders"]["x-twice"],
            serde_json::json!(["a", "b"])
        );
        assert_eq!(json["requestContext"]["routeKey"], "$connect");
        let read: ApiGatewayWebsocketProxyRequest = serde_json::from_value(json).unwrap();
        assert_eq!(read.multi_value_headers, sent.multi_value_headers);
        assert_eq!(read.request_context, sent.request_context);
    }
}
