//! Timestream for LiveAnalytics behind the door [`TimeSeries`]: one MULTI record a reading.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_timestreamwrite::Client;
use aws_sdk_timestreamwrite::operation::write_records::WriteRecordsError;

use self::names::Names;
use super::discovery::Discovery;
use super::error::failed;
use crate::door::fault::{CallFailed, Fault};
use crate::door::time_series::TimeSeries;
use crate::model::{Reading, Rejection, RowKey, Value};

mod check;
mod measure_name;
mod metered;
mod names;
mod rejection;
mod request;
mod route;

pub use self::check::wrong_names;
pub use self::measure_name::MeasureName;
pub use self::route::{Route, RouteBy, Routes};

/// Records a request (AWS: Timestream quotas). A full request is also the cheapest: bytes are
/// rounded up to 1 KiB for each request, not for each record.
pub const BATCH_MAX: usize = 100;
/// The dimension that holds a reading's device.
pub const DEVICE_DIMENSION: &str = "device_id";

const OPERATION: &str = "WriteRecords";

/// Where readings go and how their records are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// What `measure_name` is.
    pub measure_name: MeasureName,
    /// Which readings belong here, where there are several tables.
    pub routes: Arc<Routes>,
    /// Whether a record's version is its arrival on the stream, so that of two values for one row
    /// the later one stays; else the first stays and the other is refused.
    pub version_from_arrival: bool,
}

impl Table {
    /// Checks what Timestream is known to hold of names, sizes and limits.
    ///
    /// # Errors
    /// The rule that the reading breaks.
    pub fn check(&self, reading: &Reading) -> Result<(), String> {
        check::check(reading, &self.measure_name)
    }
}

/// One Timestream table.
#[derive(Debug)]
pub struct Timestream {
    client: Client,
    table: Table,
    discovery: Option<Discovery>,
    names: Mutex<Names>,
}

impl Timestream {
    /// A table, with the client and discovery from
    /// [`Clients::timestream`](super::setup::Clients::timestream); nothing is asked yet. Whoever
    /// makes this runs [`Discovery::keep_fresh`] beside it.
    #[must_use]
    pub fn new(client: Client, discovery: Option<Discovery>, table: Table) -> Self {
        Self {
            client,
            table,
            discovery,
            names: Mutex::new(Names::default()),
        }
    }

    fn note_names(&self, batch: &[Reading], measure_names: &[String]) {
        // A batch's readings are mostly alike, and those of one shard share their names.
        type Measure = (Arc<str>, Value);
        let mut last: &[Measure] = &[];
        let mut others = Vec::new();
        for reading in batch {
            let measures = &reading.measures[..];
            let same = |(one, other): (&Measure, &Measure)| Arc::ptr_eq(&one.0, &other.0);
            let is_same = measures.len() == last.len() && measures.iter().zip(last).all(same);
            if !is_same {
                others.push(measures);
                last = measures;
            }
        }
        let measures = others.into_iter().flatten();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for nearly in names.note(
            measure_names.iter().map(String::as_str),
            measures.map(|(name, _)| &**name),
        ) {
            tracing::warn!(
                table = self.table.table,
                kind = nearly.kind,
                seen = nearly.seen,
                limit = nearly.limit,
                "the timestream table is nearly full of names: readings with further ones will be refused"
            );
        }
    }

    fn on_error(&self, failed: CallFailed) -> CallFailed {
        let code = super::explain::code(&failed);
        if let (Some("InvalidEndpointException"), Some(discovery)) = (code, &self.discovery) {
            discovery.ask_now();
        }
        failed
    }
}

impl TimeSeries for Timestream {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn takes(&self, reading: &Reading) -> bool {
        let routes = &self.table.routes;
        routes.routes.is_empty() || routes.table_of(reading) == self.table.table
    }

    fn key(&self, reading: &Reading) -> RowKey {
        let mut key = Vec::with_capacity(128);
        let mut put = |text: &str| {
            key.extend_from_slice(&(text.len() as u64).to_be_bytes());
            key.extend_from_slice(text.as_bytes());
        };
        put(reading.device.as_str());
        put(&self.table.measure_name.of(reading).unwrap_or_default());
        for (name, value) in &reading.dimensions {
            put(name);
            put(value);
        }
        key.extend_from_slice(&reading.time.0.to_be_bytes());
        RowKey(key)
    }

    fn check(&self, reading: &Reading) -> Result<(), String> {
        check::check(reading, &self.table.measure_name)
    }

    async fn write(&self, batch: &[Reading]) -> Result<Vec<Rejection>, CallFailed> {
        let mut request = request::build(batch, &self.table).map_err(|message| CallFailed {
            operation: OPERATION,
            fault: Fault::Rejected,
            message,
        })?;
        self.note_names(batch, &request.measure_names);
        let answer = self
            .client
            .write_records()
            .database_name(&self.table.database)
            .table_name(&self.table.table)
            .set_records(Some(Vec::new()))
            .customize()
            .interceptor(request::Body::of(&mut request))
            .send()
            .await;
        let Err(error) = answer else {
            return Ok(Vec::new());
        };
        if let Some(WriteRecordsError::RejectedRecordsException(rejected)) =
            error.as_service_error()
        {
            let mapped = rejection::of(rejected.rejected_records(), &request.order);
            if let Some(rejections) = mapped {
                return Ok(rejections);
            }
        }
        Err(self.on_error(failed(OPERATION, &error)))
    }
}

#[cfg(test)]
mod tests;
