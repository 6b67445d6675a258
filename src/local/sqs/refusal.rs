//! SQS's errors: a name of the JSON protocol, and the older query protocol's code beside it, by
//! which SDKs tell them apart (header `x-amzn-query-error`).

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use crate::local::front::json_error;

/// An error answer, of a request or of one entry of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The shape's name in the JSON protocol.
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn no_queue() -> Self {
        Self::new("QueueDoesNotExist", "The specified queue does not exist.")
    }

    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request must contain the parameter {name}."),
        )
    }

    pub(super) fn attribute_name(name: &str) -> Self {
        Self::new("InvalidAttributeName", format!("Unknown Attribute {name}."))
    }

    pub(super) fn attribute_value(name: &str, allowed: &str) -> Self {
        let message = format!("Invalid value for the parameter {name}: allowed is {allowed}.");
        Self::new("InvalidAttributeValue", message)
    }

    pub(super) fn receipt() -> Self {
        Self::new(
            "ReceiptHandleIsInvalid",
            "The input receipt handle is invalid.",
        )
    }

    /// The code as the query protocol names it: it also stands in the entries of a batch.
    pub(super) fn query_code(&self) -> String {
        match self.code {
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            "QueueNameExists" => "QueueAlreadyExists".to_owned(),
            "BatchEntryIdsNotDistinct"
            | "BatchRequestTooLong"
            | "EmptyBatchRequest"
            | "InvalidBatchEntryId"
            | "MessageNotInflight"
            | "TooManyEntriesInBatchRequest"
            | "UnsupportedOperation" => format!("AWS.SimpleQueueService.{}", self.code),
            code => code.to_owned(),
        }
    }

    pub(super) fn answer(&self) -> Response {
        let name = format!("com.amazonaws.sqs#{}", self.code);
        let mut answer = json_error(StatusCode::BAD_REQUEST, &name, &self.message);
        if let Ok(code) = HeaderValue::from_str(&format!("{};Sender", self.query_code())) {
            answer
                .headers_mut()
                .insert(HeaderName::from_static("x-amzn-query-error"), code);
        }
        answer
    }
}
