//! Kinesis Data Streams: `ferrokinesis` with our own layer before it.
//!
//! Streams, consumers and tags are ferrokinesis's. Reading, writing, listing shards and resharding
//! are ours, because a consumer that must lose nothing depends on what it lacks:
//! `ChildShards` at a shard's end, a true `MillisBehindLatest`, `ShardFilter`, `NextToken` alone,
//! arrival times in milliseconds, the 10 MiB answer, the limits of a shard, parents for the children
//! of `UpdateShardCount`, and writes that never become visible behind a record a reader has already
//! passed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ferrokinesis::store::{Store, StoreOptions};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::front::{self, Calls, Front, Service, json_error};
use super::meter::{Fact, Level, Meter, count};
use super::quota::Quotas;
use books::Books;
use cbor::Wire;
use log::Log;

mod books;
mod by_arn;
mod cbor;
mod iterator;
mod kept;
mod limits;
mod log;
mod read;
mod reshard;
mod shards;
mod start;
mod subscribe;
mod write;

/// A request may hold 10 MiB of records (`PutRecords`), a third more in base64, and its JSON.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// The operations that are not ferrokinesis's.
const OURS: [&str; 9] = [
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "SplitShard",
    "SubscribeToShard",
    "UpdateShardCount",
];

/// How the server differs from AWS's defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Enforce the limits of a shard: 5 `GetRecords` calls, 5 `GetShardIterator` calls and 2 MiB read
    /// a second, 1 MiB and 1,000 records written a second. On by default.
    pub limits: bool,
    /// How long a shard iterator may be used; AWS: five minutes.
    pub iterator_ttl: Duration,
    /// How long a subscription (`SubscribeToShard`) lasts; AWS: five minutes.
    pub subscription_lasts: Duration,
    /// How long creating and deleting a stream take; AWS: half a minute. Resharding takes no time.
    pub change_takes: Duration,
    /// Disk that records may use over all streams, in a temporary file; beyond, the oldest are
    /// dropped, as if their retention had passed, and a warning says so once. A record of 250 bytes
    /// takes about 600: the default holds 1,800,000 of them, half an hour at 1,000 a second.
    pub retained_bytes: u64,
    /// The directory in which streams and records are kept, and found again; `None`: they go with the
    /// process.
    pub directory: Option<PathBuf>,
    /// Shards over all streams; AWS: 500 in most regions.
    pub shards_max: u32,
    /// The region in ARNs.
    pub region: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: true,
            iterator_ttl: Duration::from_secs(300),
            subscription_lasts: Duration::from_secs(300),
            change_takes: Duration::from_millis(20),
            retained_bytes: 1024 * 1024 * 1024,
            directory: None,
            shards_max: 500,
            region: "us-east-1".to_owned(),
        }
    }
}

/// An embedded Kinesis; clones share everything.
#[derive(Clone)]
pub struct Kinesis {
    front: Front,
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    options: Options,
    started: Instant,
    /// Held over every read and write of records: sequence numbers are handed out and records stored
    /// in two steps, and a reader between them would pass a record by.
    books: Mutex<Books>,
    /// Whether records were dropped for want of room.
    crowded: AtomicBool,
    /// Wakes subscriptions: records were written, or shards closed.
    written: Notify,
}

impl std::fmt::Debug for Kinesis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kinesis")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Kinesis {
    /// A server with what is in its directory, or without streams.
    ///
    /// # Errors
    /// The directory, or a temporary file for the records, cannot be used.
    pub fn new(options: Options) -> io::Result<Self> {
        let change_ms = u64::try_from(options.change_takes.as_millis()).unwrap_or(u64::MAX);
        let directory = options.directory.as_deref();
        if let Some(directory) = directory {
            std::fs::create_dir_all(directory)?;
        }
        let records = directory.map(kept::records);
        let log = Log::open(records.as_deref(), options.retained_bytes)?;
        if let Some(directory) = directory {
            kept::mend(directory, &log)?;
        }
        let store = Store::new(StoreOptions {
            durable: directory.map(kept::durable),
            create_stream_ms: change_ms,
            delete_stream_ms: change_ms,
            update_stream_ms: change_ms,
            shard_limit: options.shards_max,
            iterator_ttl_seconds: options.iterator_ttl.as_secs(),
            aws_region: options.region.clone(),
            ..StoreOptions::default()
        });
        kept::check(&store)?;
        let books = Mutex::new(Books::new(log));
        let shared = Shared {
            store,
            options,
            started: Instant::now(),
            books,
            crowded: AtomicBool::new(false),
            written: Notify::new(),
        };
        Ok(Self {
            front: Front::new(Service::Kinesis),
            shared: Arc::new(shared),
        })
    }

    /// The server's switches.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.front.faults()
    }

    /// The rates of an account, which hold once somebody says so.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        self.front.quotas()
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        self.front.calls()
    }

    /// What AWS would bill for what was served.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.front.meter()
    }

    /// The open shards of a stream in the order of their ranges; none where there is no such stream.
    pub async fn loads(&self, stream: &str) -> Vec<Load> {
        let books = self.shared.books.lock().await;
        let Ok(stream) = self.shared.store.get_stream(stream).await else {
            return Vec::new();
        };
        let lately = books.log.lately(&log::incarnation(&stream));
        let lately = lately.unwrap_or_default();
        reshard::loads(&stream, &lately)
    }

    /// Meters the open shards of a stream that may have been there before.
    pub async fn count_shards(&self, stream: &str) {
        let shards = u64::try_from(self.loads(stream).await.len()).unwrap_or(u64::MAX);
        let fact = Fact::Set(Level::Shards, count(shards));
        self.meter().record([fact]);
    }

    /// Serves until `shutdown`, then returns within about a second.
    ///
    /// # Errors
    /// What accepting connections answers.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let state = (self.shared, shutdown.clone());
        let router = ferrokinesis::create_router(state.0.store.clone())
            .layer(middleware::from_fn_with_state(state, mended));
        // Metered where every body is JSON.
        let router = self.front.metered(router);
        let router = router.layer(middleware::from_fn(cbor::translated));
        front::serve(self.front.guard(router), listener, shutdown).await
    }
}

/// An open shard, and how much was written to it of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The shard's id.
    pub shard_id: String,
    /// Its first hash key.
    pub first: u128,
    /// Its last one.
    pub last: u128,
    /// Bytes of the stream's newest records that are its.
    pub bytes: u64,
}

/// An error answer: the code and the words.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
}

impl Refusal {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    fn argument(message: impl Into<String>) -> Self {
        Self::new("InvalidArgumentException", message)
    }

    fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    fn answer(self) -> Response {
        json_error(self.status, &self.code, &self.message)
    }

    fn rate(stream: &str, shard: &str) -> Self {
        let message = format!("Rate exceeded for shard {shard} in stream {stream}.");
        Self::new("ProvisionedThroughputExceededException", message)
    }
}

impl From<ferrokinesis::error::KinesisErrorResponse> for Refusal {
    fn from(error: ferrokinesis::error::KinesisErrorResponse) -> Self {
        Self {
            status: StatusCode::from_u16(error.status_code)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: error.body.error_type,
            message: error.body.message.unwrap_or_default(),
        }
    }
}

async fn mended(
    State((shared, shutdown)): State<(Arc<Shared>, CancellationToken)>,
    request: Request,
    next: Next,
) -> Response {
    let wire = request.extensions().get().copied().unwrap_or(Wire::Json);
    let operation = front::operation(request.headers())
        .unwrap_or_default()
        .to_owned();
    if by_arn::OPERATIONS.contains(&operation.as_str()) {
        return match by_arn::by_name(&shared, request).await {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal.answer(),
        };
    }
    if !OURS.contains(&operation.as_str()) {
        return next.run(request).await;
    }
    let Ok(body) = to_bytes(request.into_body(), BODY_MAX).await else {
        let why = "the body could not be read or is larger than 16 MiB";
        return json_error(StatusCode::PAYLOAD_TOO_LARGE, "SerializationException", why);
    };
    if operation == "SubscribeToShard" {
        let subscribed = shared.subscribe(&body, wire, shutdown).await;
        return subscribed.unwrap_or_else(Refusal::answer);
    }
    let answer = match operation.as_str() {
        "PutRecord" => shared.put_record(&body).await,
        "PutRecords" => shared.put_records(&body).await,
        "GetRecords" => shared.get_records(&body).await,
        "GetShardIterator" => shared.get_shard_iterator(&body).await,
        "ListShards" => shared.list_shards(&body).await,
        _ => shared.reshard(&operation, &body).await,
    };
    match answer {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/x-amz-json-1.1");
            ([(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
        }
        Err(refusal) => refusal.answer(),
    }
}

impl Shared {
    /// Milliseconds since the server was made, on the clock that tests can pause.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The stream that a request names by its name or its ARN.
    fn stream_name(&self, name: Option<&str>, arn: Option<&str>) -> Result<String, Refusal> {
        let named = serde_json::json!({ "StreamName": name, "StreamARN": arn });
        Ok(self.store.resolve_stream_name(&named)?)
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new("SerializationException", error.to_string()))
}

fn written<T: Serialize>(answer: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(answer).map_err(|error| Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalFailure".to_owned(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
