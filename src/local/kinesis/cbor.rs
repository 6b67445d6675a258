//! CBOR bodies, which the AWS SDKs for Java send to Kinesis unless told otherwise: made into JSON
//! before the server, and its answers into CBOR behind it. Bytes stand as bytes where JSON has
//! base64, times as whole milliseconds where JSON has seconds.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium::Value as Cbor;
use serde_json::{Number, Value as Json};

use super::BODY_MAX;
use crate::local::front::json_error;

const CBOR: &str = "application/x-amz-cbor-1.1";
const JSON: &str = "application/x-amz-json-1.1";
/// CBOR's tag of a time since the epoch (RFC 8949, 3.4.2); the SDKs count it in milliseconds.
const TIME_TAG: u64 = 1;
/// Members that are bytes, and how names of times end, in every message of Kinesis.
const BYTES_MEMBER: &str = "Data";
const TIME_MEMBER: &str = "Timestamp";

/// How the bodies of one call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Json,
    Cbor,
}

impl Wire {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let cbor = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-amz-cbor"));
        if cbor { Self::Cbor } else { Self::Json }
    }

    /// The type of an event's payload.
    pub(super) fn event_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => CBOR,
        }
    }

    /// A body written as JSON, in this form.
    pub(super) fn written(self, json: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Json => Some(json),
            Self::Cbor => from_json(&json),
        }
    }
}

/// Before the server's other layers: lets them see JSON only, whatever the client speaks.
pub(super) async fn translated(request: Request, next: Next) -> Response {
    if Wire::of(request.headers()) == Wire::Json {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let json = match to_bytes(body, BODY_MAX).await {
        Ok(body) => to_json(&body),
        Err(_) => None,
    };
    let Some(json) = json else {
        let why = "the body is no CBOR map, or is larger than 16 MiB";
        return json_error(StatusCode::BAD_REQUEST, "SerializationException", why);
    };
    parts.extensions.insert(Wire::Cbor);
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    parts.headers.remove(header::CONTENT_LENGTH);
    answered(next.run(Request::from_parts(parts, Body::from(json))).await).await
}

async fn answered(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-amz-json"));
    if !json {
        return Response::from_parts(parts, body);
    }
    // An answer holds 10 MiB of records at most, in base64 and with their JSON.
    let Ok(body) = to_bytes(body, 2 * BODY_MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // An empty body is an empty answer in both.
    let body = from_json(&body).map_or(body, Bytes::from);
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CBOR));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

fn to_json(body: &[u8]) -> Option<Vec<u8>> {
    if body.is_empty() {
        return Some(b"{}".to_vec());
    }
    let value: Cbor = ciborium::from_reader(body).ok()?;
    serde_json::to_vec(&json(value)).ok()
}

fn from_json(body: &[u8]) -> Option<Vec<u8>> {
    let value: Json = serde_json::from_slice(body).ok()?;
    let mut written = Vec::new();
    ciborium::into_writer(&cbor("", value), &mut written).ok()?;
    Some(written)
}

fn json(value: Cbor) -> Json {
    match value {
        Cbor::Bool(truth) => Json::Bool(truth),
        Cbor::Integer(number) => {
            i64::try_from(i128::from(number)).map_or(Json::Null, |number| number.into())
        }
        Cbor::Float(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Cbor::Text(text) => Json::String(text),
        Cbor::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Cbor::Array(items) => items.into_iter().map(json).collect(),
        Cbor::Map(members) => members
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_text().ok()?, json(value))))
            .collect(),
        Cbor::Tag(TIME_TAG, inner) => match json(*inner).as_f64() {
            Some(ms) => (ms / 1000.0).into(),
            None => Json::Null,
        },
        Cbor::Tag(_, inner) => json(*inner),
        _ => Json::Null,
    }
}

/// `name` is the member that holds the value.
fn cbor(name: &str, value: Json) -> Cbor {
    match value {
        Json::Null => Cbor::Null,
        Json::Bool(truth) => Cbor::Bool(truth),
        Json::Number(number) if name.ends_with(TIME_MEMBER) => {
            let ms = (number.as_f64().unwrap_or(0.0) * 1000.0).round();
            Cbor::Tag(TIME_TAG, Box::new(Cbor::Integer((ms as i64).into())))
        }
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Cbor::Integer(whole.into()),
            None => Cbor::Float(number.as_f64().unwrap_or(0.0)),
        },
        Json::String(text) if name == BYTES_MEMBER => {
            STANDARD.decode(&text).map_or(Cbor::Text(text), Cbor::Bytes)
        }
        Json::String(text) => Cbor::Text(text),
        Json::Array(items) => Cbor::Array(items.into_iter().map(|item| cbor("", item)).collect()),
        Json::Object(members) => Cbor::Map(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = cbor(&name, value);
                    (Cbor::Text(name), value)
                })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_times_change_their_form_and_nothing_else_does() {
        let text = r#"{"Records":[{"Data":"aGk=","PartitionKey":"aGk=","ApproximateArrivalTimestamp":1795420800.123}],"MillisBehindLatest":0,"NextShardIterator":null,"More":true}"#;
        let there = from_json(text.as_bytes()).unwrap();
        let back = to_json(&there).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).unwrap();
        assert_eq!(value(&back), value(text.as_bytes()));

        let whole: Cbor = ciborium::from_reader(there.as_slice()).unwrap();
        let shown = format!("{whole:?}");
        assert!(shown.contains("Bytes([104, 105])"), "{shown}");
        assert!(shown.contains("Text(\"aGk=\")"), "{shown}");
        assert!(shown.contains("1795420800123"), "{shown}");
    }

    #[test]
    fn what_is_no_cbor_is_told_apart_from_an_empty_body() {
        assert_eq!(to_json(b""), Some(b"{}".to_vec()));
        assert_eq!(to_json(&[0xff, 0x00]), None);
    }
}
