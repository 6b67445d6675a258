//! A collector of traces for tests: takes OTLP over HTTP and keeps the spans, or answers as it is
//! told to. It reads protobuf by itself, from OpenTelemetry's own field numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;

/// A span as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it has none.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) failed: bool,
}

/// What a collector does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes them.
    Takes,
    /// It never answers.
    Hangs,
}

/// What came so far.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) spans: Vec<Seen>,
    pub(crate) headers: Vec<HeaderMap>,
    /// Every byte of every body.
    pub(crate) bytes: Vec<u8>,
}

/// The server; it ends with the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    pub(crate) url: String,
    came: Arc<Mutex<Came>>,
}

impl Collector {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it listens");
        let came = Arc::new(Mutex::new(Came::default()));
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state((manner, Arc::clone(&came)));
        #[expect(clippy::disallowed_methods, reason = "a test's own server")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}"),
            came,
        }
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Came) -> T) -> T {
        look(&self.came.lock().expect("no test panics with it"))
    }

    /// The traces there are, by id.
    pub(crate) fn traces(&self) -> BTreeMap<String, Vec<Seen>> {
        let mut traces: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
        for span in self.look(|came| came.spans.clone()) {
            traces.entry(span.trace.clone()).or_default().push(span);
        }
        traces
    }
}

async fn take(
    State((manner, came)): State<(Manner, Arc<Mutex<Came>>)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if manner == Manner::Hangs {
        std::future::pending::<()>().await;
    }
    if headers["content-type"] != "application/x-protobuf" {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let mut came = came.lock().expect("no test panics with it");
    came.headers.push(headers);
    came.bytes.extend_from_slice(&body);
    let spans = spans(&body);
    came.spans.extend(spans);
    ([("content-type", "application/x-protobuf")], "").into_response()
}

/// A field's value.
#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message by number, in order.
fn fields(mut data: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(data: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = data.split_first().expect("a varint ends");
            *data = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data);
        let fixed = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let field = match key & 7 {
            0 => Field::Number(varint(&mut data)),
            kind @ (1 | 5) => {
                let (bytes, rest) = data.split_at(if kind == 1 { 8 } else { 4 });
                data = rest;
                Field::Number(fixed(bytes))
            }
            2 => {
                let len = usize::try_from(varint(&mut data)).expect("a length fits");
                let (bytes, rest) = data.split_at(len);
                data = rest;
                Field::Bytes(bytes)
            }
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn messages(data: &[u8], number: u64) -> Vec<&[u8]> {
    let all = fields(data).into_iter();
    all.filter_map(|(at, field)| match field {
        Field::Bytes(bytes) if at == number => Some(bytes),
        _ => None,
    })
    .collect()
}

/// `KeyValue`s as text.
fn pairs(message: &[u8], number: u64) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
    let pair = |pair: &[u8]| {
        let value = messages(pair, 2)[0];
        let value = match fields(value)[0] {
            (1, Field::Bytes(bytes)) => text(bytes),
            (3, Field::Number(number)) => number.to_string(),
            (other, _) => panic!("a value of kind {other}"),
        };
        (text(messages(pair, 1)[0]), value)
    };
    messages(message, number).into_iter().map(pair).collect()
}

/// `ExportTraceServiceRequest`.
fn spans(body: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    for of_one_resource in messages(body, 1) {
        let resource = pairs(messages(of_one_resource, 1)[0], 1);
        for of_one_scope in messages(of_one_resource, 2) {
            for message in messages(of_one_scope, 2) {
                all.push(span(message, &resource["service.name"]));
            }
        }
    }
    all
}

fn span(message: &[u8], service: &str) -> Seen {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut seen = Seen {
        service: service.to_owned(),
        attributes: pairs(message, 9),
        ..Seen::default()
    };
    for (number, field) in fields(message) {
        match (number, field) {
            (1, Field::Bytes(bytes)) => seen.trace = hex(bytes),
            (2, Field::Bytes(bytes)) => seen.id = hex(bytes),
            (4, Field::Bytes(bytes)) => seen.parent = hex(bytes),
            (5, Field::Bytes(bytes)) => seen.name = String::from_utf8_lossy(bytes).into_owned(),
            (7, Field::Number(at)) => seen.start = at,
            (8, Field::Number(at)) => seen.end = at,
            (15, Field::Bytes(_)) => seen.failed = true,
            _ => {}
        }
    }
    seen
}
