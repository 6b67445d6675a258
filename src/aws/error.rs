//! What a failed call means: every SDK error becomes a [`CallFailed`] here.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::event_stream::RawMessage;

use crate::door::fault::{CallFailed, Fault};

/// Characters kept of a server's message: enough for a sentence, too few to flood a log.
const MESSAGE_CHARS_MAX: usize = 600;

/// How messages begin whose cause is not an answer of the service; `explain` reads them.
pub(super) const UNREACHABLE: &str = "cannot be reached";
pub(super) const TIMED_OUT: &str = "no answer in time";
pub(super) const NOT_SENT: &str = "not sent";
pub(super) const UNREADABLE: &str = "answer not understood";

/// Codes by which services ask for less (the SDK's own list of throttling codes, and SQS's).
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "KMSThrottlingException",
    "LimitExceededException",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Codes of passing failures that do not always come with a 5xx status.
///
/// An expired token is among them: the SDK fetches credentials anew when the old ones end, and a
/// role's rotation or a clock step can make one call too late. Credentials that stay expired show
/// as a growing count of failures, while nothing is lost. `InvalidEndpointException`: Timestream
/// moved us to another cell; discovery is asked again.
const TRANSIENT: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "InvalidEndpointException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// Codes that say that somebody else was first.
const CONFLICT: &[&str] = &[
    "ConditionalCheckFailedException",
    "ConflictException",
    "QueueAlreadyExists",
    "QueueNameExists",
    "ResourceInUseException",
    "TransactionConflictException",
];

/// Codes that blame the request as it stands: smaller parts of it may be right.
const REJECTED: &[&str] = &[
    "BatchEntryIdsNotDistinct",
    "BatchRequestTooLong",
    "EmptyBatchRequest",
    "InvalidArgumentException",
    "InvalidBatchEntryId",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "ItemCollectionSizeLimitExceededException",
    "PayloadTooLargeException",
    "RejectedRecordsException",
    "RequestEntityTooLargeException",
    "SerializationException",
    "TooManyEntriesInBatchRequest",
    "ValidationException",
];

/// Codes about signatures. Their messages may quote the signed headers, a session token among
/// them, so that their text is ours.
const SIGNATURE: &[&str] = &[
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
];

/// How such messages are known under other codes, or without one: API Gateway has words of its own,
/// and a proxy in between can take the header away that names the code.
const SIGNED: &[&str] = &[
    "authorization header",
    "canonical string",
    "string-to-sign",
    "x-amz-security-token",
];

/// What an error code and HTTP status mean. An answer we do not know is fatal: the work waits
/// until a person has looked, where calling it rejected would turn a wrong setting into a flood
/// of dead letters.
#[must_use]
pub fn classify(code: Option<&str>, status: Option<u16>) -> Fault {
    let code = code.map(bare);
    let is_in = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    if is_in(THROTTLED) {
        Fault::Throttled
    } else if is_in(CONFLICT) {
        Fault::Conflict
    } else if is_in(TRANSIENT) {
        Fault::Transient
    } else if is_in(REJECTED) {
        Fault::Rejected
    } else {
        match status {
            Some(429) => Fault::Throttled,
            Some(408 | 425 | 500..=599) => Fault::Transient,
            Some(413) => Fault::Rejected,
            _ => Fault::Fatal,
        }
    }
}

/// A code without its service's prefix: `AWS.SimpleQueueService.NonExistentQueue`,
/// `com.amazonaws.kinesis#ResourceNotFoundException`, `KMS.ThrottlingException`.
pub(super) fn bare(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

/// Turns an SDK error into what the doors speak. The message holds the code and AWS's words, or
/// the transport's; never a secret.
#[must_use]
pub fn failed<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> CallFailed
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    failed_with(operation, error, status)
}

/// The same for an error that comes within a stream of events, which has no status.
pub(super) fn failed_within<E>(
    operation: &'static str,
    error: &SdkError<E, RawMessage>,
) -> CallFailed
where
    E: ProvideErrorMetadata + Error + 'static,
{
    failed_with(operation, error, None)
}

fn failed_with<E, R>(
    operation: &'static str,
    error: &SdkError<E, R>,
    status: Option<u16>,
) -> CallFailed
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug,
{
    let (fault, message) = match error {
        SdkError::ServiceError(service) => {
            let meta = service.err().meta();
            let fault = classify(meta.code(), status);
            (fault, answer(meta.code(), meta.message(), status))
        }
        SdkError::TimeoutError(_) => (Fault::Transient, TIMED_OUT.to_owned()),
        SdkError::DispatchFailure(dispatch) => {
            let cause = match dispatch.as_connector_error() {
                Some(connector) => causes(connector),
                None => causes(error),
            };
            let what = if dispatch.is_timeout() {
                TIMED_OUT
            } else {
                UNREACHABLE
            };
            (Fault::Transient, format!("{what}: {cause}"))
        }
        // A proxy's page, half an answer: what the service did with the request is not known.
        SdkError::ResponseError(_) => {
            let fault = match status {
                Some(429) => Fault::Throttled,
                _ => Fault::Transient,
            };
            (fault, format!("{UNREADABLE}: {}", causes(error)))
        }
        SdkError::ConstructionFailure(_) => not_sent(causes(error)),
        _ => (Fault::Transient, causes(error)),
    };
    CallFailed {
        operation,
        fault,
        message: shortened(message),
    }
}

/// A request that never left: credentials could not be fetched just now (they could at start), or
/// the request itself cannot be built.
fn not_sent(cause: String) -> (Fault, String) {
    let lower = cause.to_lowercase();
    let is_identity = ["credential", "identity", "token"]
        .iter()
        .any(|word| lower.contains(word));
    let fault = if is_identity {
        Fault::Transient
    } else {
        Fault::Fatal
    };
    (fault, format!("{NOT_SENT}: {cause}"))
}

fn answer(code: Option<&str>, message: Option<&str>, status: Option<u16>) -> String {
    let code = code.map(bare);
    let lower = message.unwrap_or_default().to_lowercase();
    if code.is_some_and(|code| SIGNATURE.contains(&code))
        || SIGNED.iter().any(|words| lower.contains(words))
    {
        let status = format!("HTTP status {}", status.unwrap_or_default());
        return format!(
            "{}: the request's signature is not accepted: the secret key does not match the key \
             id, or the clock is wrong",
            code.unwrap_or(&status)
        );
    }
    match (code, message) {
        (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
        (Some(code), _) => format!("{code}: HTTP status {}", status.unwrap_or_default()),
        (None, Some(message)) => {
            format!("HTTP status {}: {message}", status.unwrap_or_default())
        }
        (None, None) => format!(
            "HTTP status {} without a reason",
            status.unwrap_or_default()
        ),
    }
}

/// A request that lacks what it must have: a defect, or a value that AWS would refuse.
pub(super) fn unbuildable(operation: &'static str, error: &dyn Error) -> CallFailed {
    CallFailed {
        operation,
        fault: Fault::Rejected,
        message: error.to_string(),
    }
}

/// An error and its causes in one line, each said once.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    shortened(text)
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MESSAGE_CHARS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests;
