//! Timestream Write for one machine, with what AWS does to a writer: rejections by record, versions,
//! windows and limits; and a read-only SQL endpoint to see what arrived.
//!
//! Differences from AWS, by choice:
//! - Unless [`Options::memory_store`] says otherwise, any past time goes to the memory store, so that
//!   conflicts in old data are answered and not reported later.
//! - Nothing expires: memory grows with the rows, by about 45 bytes a row and 10 for each number in it.
//! - Database-wide limits and throttling are left out; [`Faults`] throttles on demand.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rusqlite::InterruptHandle;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::store::Store;
use self::wire::Refusal;
use super::fault::Faults;
use super::front::{self, Calls, Front, Service};
use super::meter::Meter;
use super::quota::Quotas;

mod kept;
mod query;
mod record;
mod rule;
mod store;
mod table;
mod wire;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hours of the memory store of tables whose creator does not say. `None`: the memory store of
    /// every table takes any past time. `Some`: as on AWS, older records go to the magnetic store
    /// where writes to it are on: they are answered 200, conflicts among them notwithstanding.
    pub memory_store: Option<u64>,
    /// Whether magnetic writes are on for tables whose creator does not say (on AWS they are off).
    pub magnetic_writes: bool,
    /// The file to which refused magnetic writes are appended as NDJSON, in place of AWS's bucket;
    /// `None`: they are dropped.
    pub rejections: Option<PathBuf>,
    /// The file in which everything is kept, and found again; `None`: it goes with the process.
    pub file: Option<PathBuf>,
    /// The most rows that `POST /sql` answers; a query with more is refused.
    pub sql_rows_max: usize,
    /// How long a query may run; writes wait meanwhile.
    pub sql_time_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_store: None,
            magnetic_writes: true,
            rejections: None,
            file: None,
            sql_rows_max: 10_000,
            sql_time_max: Duration::from_secs(2),
        }
    }
}

/// The server; clones share what is stored.
#[derive(Clone, Debug)]
pub struct Timestream {
    front: Front,
    store: Arc<Mutex<Store>>,
    interrupt: Arc<Interrupt>,
    sql_rows_max: usize,
    sql_time_max: Duration,
}

struct Interrupt(Arc<InterruptHandle>);

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}

impl Timestream {
    /// A server with what is in its file, or an empty one.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn new(options: &Options) -> io::Result<Self> {
        let store = Store::open(options)?;
        let interrupt = Arc::new(Interrupt(Arc::new(store.db.get_interrupt_handle())));
        Ok(Self {
            front: Front::new(Service::TimestreamWrite),
            store: Arc::new(Mutex::new(store)),
            interrupt,
            sql_rows_max: options.sql_rows_max,
            sql_time_max: options.sql_time_max,
        })
    }

    /// The switches.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.front.faults()
    }

    /// The rates of an account, which hold once somebody says so.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        self.front.quotas()
    }

    /// The calls so far, by operation.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        self.front.calls()
    }

    /// What AWS would bill for what was served.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.front.meter()
    }

    /// Rows stored in a table; none where there is no such table.
    #[must_use]
    pub fn rows(&self, database: &str, table: &str) -> u64 {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (database.to_owned(), table.to_owned());
        store.tables.get(&key).map_or(0, |table| table.rows)
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// What accepting connections answers.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let address = listener.local_addr()?;
        let sql = Router::new()
            .route("/sql", post(sql))
            .with_state(self.clone());
        let operations = Router::new()
            .route("/", post(operate))
            .with_state((self.clone(), address));
        front::serve(self.front.wrap(operations).merge(sql), listener, shutdown).await
    }

    /// Runs `work` on the store, off the runtime's threads.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            work(&mut store.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .map_err(|error| Refusal::Internal(error.to_string()))
    }

    /// Answers one statement's rows as NDJSON, as `POST /sql` does.
    ///
    /// # Errors
    /// One sentence: what is wrong with the statement, or which limit it met.
    pub async fn sql(&self, sql: String) -> Result<String, String> {
        let leash = query::Leash::new(Arc::clone(&self.interrupt.0));
        let _stopped_if_dropped = StopOnDrop(leash.clone());
        let (started, starts) = tokio::sync::oneshot::channel();
        let (rows_max, running) = (self.sql_rows_max, leash.clone());
        let answer = self.with_store(move |store| {
            running.run(|| {
                if started.send(()).is_err() {
                    return Err("the caller has gone".to_owned());
                }
                query::run(store, &sql, rows_max)
            })
        });
        let time_max = self.sql_time_max;
        let watch = async {
            if starts.await.is_ok() {
                tokio::time::sleep(time_max).await;
                leash.stop();
            }
            std::future::pending::<Infallible>().await
        };
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            never = watch => match never {},
        };
        match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => Err("the query was stopped before it began".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

struct StopOnDrop(query::Leash);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

async fn operate(
    State((server, address)): State<(Timestream, SocketAddr)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let operation = front::operation(&headers).unwrap_or("").to_owned();
    if operation == "DescribeEndpoints" {
        let endpoint = json!({ "Address": address.to_string(), "CachePeriodInMinutes": 1440 });
        return wire::success(&json!({ "Endpoints": [endpoint] }));
    }
    let now_ns = now_ns();
    let done = server
        .with_store(move |store| perform(store, &operation, &body, now_ns))
        .await
        .and_then(|done| done);
    match done {
        Ok(answer) => wire::success(&answer),
        Err(refusal) => refusal.answer(),
    }
}

fn perform(store: &mut Store, operation: &str, body: &[u8], now_ns: i64) -> Result<Value, Refusal> {
    match operation {
        "WriteRecords" => store.write(parsed(body)?, now_ns),
        "CreateDatabase" => {
            store.create_database(&parsed::<wire::OneDatabase>(body)?.database_name, now_ns)
        }
        "DescribeDatabase" => {
            store.describe_database(&parsed::<wire::OneDatabase>(body)?.database_name)
        }
        "ListDatabases" => Ok(store.list_databases(&parsed(body)?)),
        "CreateTable" => store.create_table(parsed(body)?, now_ns),
        "DescribeTable" => store.describe_table(parsed(body)?),
        "ListTables" => store.list_tables(&parsed(body)?),
        other => Err(Refusal::Validation(format!(
            "the operation {other:?} is not served here"
        ))),
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::Validation(format!("the request cannot be read: {error}")))
}

async fn sql(State(server): State<Timestream>, statement: String) -> Response {
    match server.sql(statement).await {
        Ok(rows) => ([(header::CONTENT_TYPE, "application/x-ndjson")], rows).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

/// The wall clock, in nanoseconds since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the window of a store is one of wall time"
)]
fn now_ns() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
