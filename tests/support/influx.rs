//! An InfluxDB for tests: takes lines by the API of each version, keeps what is good of them, and
//! answers as the real one does, or as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use serde_json::json;
use tokio::net::TcpListener;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) lines: usize,
}

/// (measurement and tags, time, field), as text.
pub(crate) type Place = (String, i64, String);

#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) fields: BTreeMap<Place, String>,
    /// The type that each field of each measurement has.
    types: BTreeMap<(String, String), &'static str>,
    pub(crate) seen: Vec<Seen>,
    /// Answers to give before looking at any lines: status, `Retry-After`, body.
    pub(crate) answers: VecDeque<(u16, Option<&'static str>, &'static str)>,
    /// More lines than this are too large.
    pub(crate) lines_max: Option<usize>,
    /// Points older than this are beyond retention.
    pub(crate) oldest: Option<i64>,
}

/// The server; it ends with the runtime.
#[derive(Clone, Debug)]
pub(crate) struct FakeInflux {
    pub(crate) url: String,
    database: Arc<Mutex<Database>>,
}

impl FakeInflux {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address: SocketAddr = listener.local_addr().expect("it listens");
        let database = Arc::new(Mutex::new(Database::default()));
        let router = router(Arc::clone(&database));
        #[expect(clippy::disallowed_methods, reason = "a test's own server")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}"),
            database,
        }
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Database) -> R) -> R {
        look(&mut self.database.lock().expect("no test panics with it"))
    }
}

pub(crate) fn router(database: Arc<Mutex<Database>>) -> Router {
    Router::new().fallback(write).with_state(database)
}

async fn write(
    State(database): State<Arc<Mutex<Database>>>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = if headers
        .get("content-encoding")
        .is_some_and(|how| how == "gzip")
    {
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&body[..]);
        decoder.read_to_string(&mut text).expect("the body is gzip");
        text
    } else {
        String::from_utf8(body.to_vec()).expect("lines are text")
    };
    let mut database = database.lock().expect("no test panics with it");
    let lines: Result<Vec<ParsedLine<'_>>, _> = parse_lines(&text).collect();
    let lines = lines.expect("every line parses");
    database.seen.push(Seen {
        path: uri.path().to_owned(),
        query: query.unwrap_or_default(),
        headers,
        lines: lines.len(),
    });
    if let Some((status, retry_after, body)) = database.answers.pop_front() {
        let status = StatusCode::from_u16(status).expect("a status of the test");
        return match retry_after {
            Some(after) => (status, [("retry-after", after)], body).into_response(),
            None => (status, body).into_response(),
        };
    }
    if database.lines_max.is_some_and(|most| lines.len() > most) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let refused: Vec<(usize, String)> = lines
        .iter()
        .enumerate()
        .filter_map(|(index, line)| Some((index, database.take(line).err()?)))
        .collect();
    answer(uri.path(), &refused)
}

impl Database {
    /// All of a line or nothing.
    fn take(&mut self, line: &ParsedLine<'_>) -> Result<(), String> {
        let measurement = line.series.measurement.to_string();
        let time = line.timestamp.expect("every line has its time");
        if self.oldest.is_some_and(|oldest| time < oldest) {
            return Err("points beyond retention policy".to_owned());
        }
        for (name, value) in &line.field_set {
            let of = (measurement.clone(), name.to_string());
            let (is, was) = (type_of(value), self.types.get(&of).copied());
            if let Some(was) = was.filter(|was| *was != is) {
                return Err(format!(
                    "field type conflict: input field \"{name}\" on measurement \"{measurement}\" is type {is}, already exists as type {was}"
                ));
            }
        }
        let series = line.series.to_string();
        for (name, value) in &line.field_set {
            self.types
                .insert((measurement.clone(), name.to_string()), type_of(value));
            let place = (series.clone(), time, name.to_string());
            self.fields.insert(place, value.to_string());
        }
        Ok(())
    }
}

fn type_of(value: &FieldValue<'_>) -> &'static str {
    match value {
        FieldValue::I64(_) => "integer",
        FieldValue::U64(_) => "unsigned",
        FieldValue::F64(_) => "float",
        FieldValue::String(_) => "string",
        FieldValue::Boolean(_) => "boolean",
    }
}

fn answer(path: &str, refused: &[(usize, String)]) -> Response {
    let Some((_, last)) = refused.last() else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let words = format!("partial write: {last} dropped={}", refused.len());
    match path {
        "/write" => (StatusCode::BAD_REQUEST, json!({ "error": words }).to_string()),
        "/api/v2/write" => {
            let message = format!("failure writing points to database: {words}");
            let body = json!({ "code": "unprocessable entity", "message": message });
            (StatusCode::UNPROCESSABLE_ENTITY, body.to_string())
        }
        "/api/v3/write_lp" => {
            let named = |(index, why): &(usize, String)| {
                json!({ "original_line": "", "line_number": index + 1, "error_message": why })
            };
            let data: Vec<_> = refused.iter().map(named).collect();
            let error = "partial write of line protocol occurred";
            (StatusCode::BAD_REQUEST, json!({ "error": error, "data": data }).to_string())
        }
        _ => (StatusCode::NOT_FOUND, String::new()),
    }
    .into_response()
}
