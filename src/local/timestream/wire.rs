//! What the AWS-JSON protocol carries: the requests as they are parsed, and the error answers.
//!
//! Field names and bounds are those of the service model `timestream-write/2018-11-01`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::local::front;

/// A body as AWS-JSON 1.0 services label it.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// The status of a rejection: 419 as seen on the wire, though no RFC gives it a meaning.
const REJECTED: u16 = 419;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WriteRecords {
    pub(super) database_name: String,
    pub(super) table_name: String,
    #[serde(default)]
    pub(super) common_attributes: WireRecord,
    pub(super) records: Vec<WireRecord>,
}

/// A record, or the attributes common to all of a request's records, as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct WireRecord {
    pub(super) dimensions: Vec<WireDimension>,
    pub(super) measure_name: Option<String>,
    pub(super) measure_value: Option<String>,
    pub(super) measure_value_type: Option<Kind>,
    pub(super) measure_values: Vec<WireMeasure>,
    pub(super) time: Option<String>,
    pub(super) time_unit: Option<TimeUnit>,
    pub(super) version: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WireDimension {
    pub(super) name: String,
    pub(super) value: String,
    #[serde(default)]
    pub(super) dimension_value_type: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WireMeasure {
    pub(super) name: String,
    pub(super) value: String,
    #[serde(rename = "Type")]
    pub(super) kind: Kind,
}

/// The type of a measure; `Multi` is that of a record with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    Double,
    Bigint,
    Varchar,
    Boolean,
    Timestamp,
    Multi,
}

impl Kind {
    /// The kind of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        serde_json::from_value(Value::from(name)).ok()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Double => "DOUBLE",
            Self::Bigint => "BIGINT",
            Self::Varchar => "VARCHAR",
            Self::Boolean => "BOOLEAN",
            Self::Timestamp => "TIMESTAMP",
            Self::Multi => "MULTI",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum TimeUnit {
    #[default]
    Milliseconds,
    Seconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    pub(super) fn nanoseconds(self) -> i128 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateTable {
    pub(super) database_name: String,
    pub(super) table_name: String,
    #[serde(default)]
    pub(super) retention_properties: Option<RetentionProperties>,
    #[serde(default)]
    pub(super) magnetic_store_write_properties: Option<MagneticStoreWrites>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RetentionProperties {
    pub(super) memory_store_retention_period_in_hours: i64,
    pub(super) magnetic_store_retention_period_in_days: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MagneticStoreWrites {
    pub(super) enable_magnetic_store_writes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) magnetic_store_rejected_data_location: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneDatabase {
    pub(super) database_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneTable {
    pub(super) database_name: String,
    pub(super) table_name: String,
}

/// A listing: of databases, or of the tables of one or of all of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    #[serde(default)]
    pub(super) database_name: Option<String>,
    #[serde(default)]
    pub(super) next_token: Option<String>,
    #[serde(default)]
    pub(super) max_results: Option<usize>,
}

/// One record that was not taken, the others of its request notwithstanding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RejectedRecord {
    pub(super) record_index: usize,
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) existing_version: Option<i64>,
}

/// Why a request fails, in the service's terms.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Validation(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("One or more records have been rejected. See RejectedRecords for details.")]
    Rejected(Vec<RejectedRecord>),
    #[error("the store failed: {0}")]
    Store(#[from] rusqlite::Error),
    #[error("the server failed: {0}")]
    Internal(String),
}

impl Refusal {
    /// The answer that tells the caller.
    pub(super) fn answer(&self) -> Response {
        let message = self.to_string();
        let (status, code) = match self {
            Self::Validation(_) => (StatusCode::BAD_REQUEST, "ValidationException"),
            Self::NotFound(_) => (StatusCode::BAD_REQUEST, "ResourceNotFoundException"),
            Self::Conflict(_) => (StatusCode::BAD_REQUEST, "ConflictException"),
            Self::Rejected(records) => return rejected(&message, records),
            Self::Store(_) | Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException")
            }
        };
        front::json_error(status, code, &message)
    }
}

fn rejected(message: &str, records: &[RejectedRecord]) -> Response {
    let body = json!({
        "__type": "com.amazonaws.timestream.v20181101#RejectedRecordsException",
        "Message": message,
        "RejectedRecords": records,
    });
    let mut answer = success(&body);
    *answer.status_mut() = StatusCode::from_u16(REJECTED).expect("419 lies within 100 to 999");
    answer.headers_mut().insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static("RejectedRecordsException"),
    );
    answer
}

/// A good answer.
pub(super) fn success(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
}
