//! DynamoDB: `dynoxide`, in memory or in a file.
//!
//! Requests go to its library, not to its own server, which takes over the process's signals and
//! leaves no room for the switches.

use std::io;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dynoxide::{Database, DynoxideError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::front::{self, Calls, Front, Service, json_error};
use super::meter::Meter;
use super::quota::Quotas;
use super::sqlite;

/// A request holds at most 16 MB (`BatchWriteItem`); the JSON around it is allowed a little more.
const BODY_MAX: usize = 20 * 1024 * 1024;

/// How often expired items are deleted. AWS takes up to days; nothing may rely on it.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// An embedded DynamoDB; clones share everything.
#[derive(Clone)]
pub struct DynamoDb {
    front: Front,
    database: Database,
}

impl std::fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoDb").finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// A server with the tables in its file, or without tables; these go with the process.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn new(file: Option<&Path>) -> io::Result<Self> {
        let database = match file.map(|file| (file, file.to_str())) {
            None => Database::memory(),
            Some((file, Some(name))) => {
                // Looked at first: the library finds damage only where it comes across it.
                drop(sqlite::open(Some(file))?);
                Database::new(name)
            }
            Some((file, None)) => {
                let why = format!("{} is no name in UTF-8", file.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        let database = database.map_err(|error| io::Error::other(format!("dynoxide: {error}")))?;
        Ok(Self {
            front: Front::new(Service::DynamoDb),
            database,
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

    /// Serves until `shutdown`, then returns within about a second.
    ///
    /// # Errors
    /// What accepting connections answers.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let router = Router::new()
            .fallback(answer)
            .with_state(self.database.clone());
        let server = front::serve(self.front.wrap(router), listener, shutdown);
        let sweeps = async {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let database = self.database.clone();
                let swept = tokio::task::spawn_blocking(move || database.sweep_ttl()).await;
                if let Ok(Err(error)) = swept {
                    tracing::warn!(%error, "expired items were not swept");
                }
            }
        };
        tokio::select! {
            biased;
            served = server => served,
            () = sweeps => Ok(()),
        }
    }
}

async fn answer(State(database): State<Database>, request: Request) -> Response {
    let operation = front::operation(request.headers())
        .unwrap_or_default()
        .to_owned();
    let Ok(body) = to_bytes(request.into_body(), BODY_MAX).await else {
        let why = "the body could not be read or is larger than 20 MiB";
        return json_error(StatusCode::PAYLOAD_TOO_LARGE, "SerializationException", why);
    };
    match dispatch(&database, &operation, &body) {
        Some(Ok(json)) => response(StatusCode::OK, json),
        Some(Err(error)) => {
            let status = StatusCode::from_u16(error.status_code());
            response(
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                error.to_json(),
            )
        }
        None => {
            let why = format!("this server has no operation {operation:?}");
            json_error(StatusCode::BAD_REQUEST, "UnknownOperationException", &why)
        }
    }
}

fn response(status: StatusCode, json: String) -> Response {
    let kind = HeaderValue::from_static("application/x-amz-json-1.0");
    (status, [(header::CONTENT_TYPE, kind)], Body::from(json)).into_response()
}

type Answered = Result<String, DynoxideError>;

/// Runs one operation to its end on this thread; `None` where there is no such operation.
///
/// The longest answer is a page of 1 MB.
fn dispatch(database: &Database, operation: &str, body: &[u8]) -> Option<Answered> {
    macro_rules! run {
        ($method:ident) => {
            read(body)
                .and_then(|request| database.$method(request))
                .and_then(|answer| {
                    serde_json::to_string(&answer)
                        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
                })
        };
    }
    Some(match operation {
        "BatchGetItem" => run!(batch_get_item),
        "BatchWriteItem" => run!(batch_write_item),
        "CreateTable" => run!(create_table),
        "DeleteItem" => run!(delete_item),
        "DeleteTable" => run!(delete_table),
        "DescribeStream" => run!(describe_stream),
        "DescribeTable" => run!(describe_table),
        "DescribeTimeToLive" => run!(describe_time_to_live),
        "GetItem" => run!(get_item),
        "GetRecords" => run!(get_records),
        "GetShardIterator" => run!(get_shard_iterator),
        "ListStreams" => run!(list_streams),
        "ListTables" => run!(list_tables),
        "ListTagsOfResource" => run!(list_tags_of_resource),
        "PutItem" => run!(put_item),
        "Query" => run!(query),
        "Scan" => run!(scan),
        "TagResource" => run!(tag_resource),
        "TransactGetItems" => run!(transact_get_items),
        "TransactWriteItems" => run!(transact_write_items),
        "UntagResource" => run!(untag_resource),
        "UpdateItem" => run!(update_item),
        "UpdateTable" => run!(update_table),
        "UpdateTimeToLive" => run!(update_time_to_live),
        _ => return None,
    })
}

/// Reads a request. The library's readers mark what they refuse with a word before the message;
/// its own server, which is not used here, would take it off.
fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| refused(&error.to_string()))
}

fn refused(message: &str) -> DynoxideError {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(words, _)| words);
    let class = message
        .split_once(':')
        .filter(|(class, _)| class.starts_with("VALIDATION") || class.starts_with("SERIALIZATION"));
    match class {
        Some((class, words)) if class.starts_with("VALIDATION") => {
            DynoxideError::ValidationException(words.to_owned())
        }
        Some((_, words)) => DynoxideError::SerializationException(words.to_owned()),
        None if message.starts_with("invalid type") && !message.contains("null") => {
            DynoxideError::SerializationException(message.to_owned())
        }
        None => DynoxideError::ValidationException(message.to_owned()),
    }
}

#[cfg(test)]
mod tests;
