//! Streams by their ARN, where the server below knows them by name only.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header;
use serde_json::Value;

use super::{BODY_MAX, Refusal, Shared};

/// The operations that AWS answers by ARN, too, and the server below does not.
pub(super) const OPERATIONS: &[&str] = &["DescribeStream", "DescribeStreamSummary"];

/// The same request, naming its stream by name.
pub(super) async fn by_name(shared: &Shared, request: Request) -> Result<Request, Refusal> {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX)
        .await
        .map_err(|error| Refusal::new("SerializationException", error.to_string()))?;
    let body = renamed(shared, body)?;
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn renamed(shared: &Shared, body: Bytes) -> Result<Bytes, Refusal> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&body) else {
        return Ok(body);
    };
    let arn = fields.get("StreamARN").and_then(Value::as_str);
    if fields.contains_key("StreamName") || arn.is_none() {
        return Ok(body);
    }
    let name = shared.stream_name(None, arn)?;
    fields.insert("StreamName".to_owned(), Value::String(name));
    Ok(Bytes::from(Value::Object(fields).to_string()))
}
