use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::http::{Response, StatusCode};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ErrorMetadata;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("service error")]
struct Service(ErrorMetadata);

impl ProvideErrorMetadata for Service {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

fn answered(code: Option<&str>, message: &str, status: u16) -> CallFailed {
    let mut meta = ErrorMetadata::builder().message(message);
    if let Some(code) = code {
        meta = meta.code(code);
    }
    let response = Response::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
    failed(
        "Op",
        &SdkError::service_error(Service(meta.build()), response),
    )
}

#[test]
fn codes_and_statuses_mean_what_the_table_says() {
    let table = [
        (Some("ThrottlingException"), 400, Fault::Throttled),
        (
            Some("ProvisionedThroughputExceededException"),
            400,
            Fault::Throttled,
        ),
        (Some("KMS.ThrottlingException"), 400, Fault::Throttled),
        (Some("LimitExceededException"), 429, Fault::Throttled),
        (None, 429, Fault::Throttled),
        (
            Some("ConditionalCheckFailedException"),
            400,
            Fault::Conflict,
        ),
        (Some("ResourceInUseException"), 400, Fault::Conflict),
        (Some("InternalServerException"), 500, Fault::Transient),
        (Some("InvalidEndpointException"), 421, Fault::Transient),
        (Some("ExpiredTokenException"), 400, Fault::Transient),
        (None, 503, Fault::Transient),
        (Some("ValidationException"), 400, Fault::Rejected),
        (
            Some("AWS.SimpleQueueService.BatchRequestTooLong"),
            400,
            Fault::Rejected,
        ),
        (
            Some("com.amazonaws.kinesis#InvalidArgumentException"),
            400,
            Fault::Rejected,
        ),
        (Some("RejectedRecordsException"), 419, Fault::Rejected),
        (None, 413, Fault::Rejected),
        (Some("AccessDeniedException"), 400, Fault::Fatal),
        (Some("UnrecognizedClientException"), 400, Fault::Fatal),
        (Some("ResourceNotFoundException"), 400, Fault::Fatal),
        (
            Some("AWS.SimpleQueueService.NonExistentQueue"),
            400,
            Fault::Fatal,
        ),
        (Some("KMSDisabledException"), 400, Fault::Fatal),
        (Some("NeverHeardOfException"), 400, Fault::Fatal),
        (None, 403, Fault::Fatal),
    ];
    for (code, status, fault) in table {
        assert_eq!(
            answered(code, "m", status).fault,
            fault,
            "{code:?} {status}"
        );
    }
}

#[test]
fn a_message_names_the_code_without_its_prefix() {
    let failed = answered(Some("AWS.SimpleQueueService.NonExistentQueue"), "No.", 400);
    assert_eq!(failed.message, "NonExistentQueue: No.");
    assert_eq!(answered(None, "", 503).message, "HTTP status 503: ");
}

#[test]
fn a_signature_error_does_not_repeat_what_was_signed() {
    let failed = answered(
        Some("SignatureDoesNotMatch"),
        "the canonical string should have been x-amz-security-token:hush",
        403,
    );
    assert!(!failed.message.contains("hush"), "{}", failed.message);
    assert_eq!(failed.fault, Fault::Fatal);
}

#[test]
fn what_was_signed_is_not_repeated_under_any_code() {
    let words = "The Canonical String for this request should have been 'POST\n/prod\n\n\
                 x-amz-security-token:hush'";
    for code in [None, Some("ForbiddenException"), Some("AccessDenied")] {
        let failed = answered(code, words, 403);
        assert!(!failed.message.contains("hush"), "{}", failed.message);
    }
    let header = "'hush' not a valid key=value pair in Authorization header: 'AWS4 hush'";
    let failed = answered(Some("AccessDeniedException"), header, 403);
    assert!(!failed.message.contains("hush"), "{}", failed.message);
}

#[test]
fn what_never_arrived_may_be_sent_again() {
    let io = ConnectorError::io("connection refused".into());
    let unreachable: SdkError<Service, _> = SdkError::dispatch_failure(io);
    let unreachable = failed("Op", &unreachable);
    assert_eq!(unreachable.fault, Fault::Transient);
    assert!(
        unreachable.message.starts_with(UNREACHABLE),
        "{unreachable}"
    );
    assert!(
        unreachable.message.contains("connection refused"),
        "{unreachable}"
    );

    let late: SdkError<Service, _> = SdkError::timeout_error("late");
    assert_eq!(failed("Op", &late).fault, Fault::Transient);
}

#[test]
fn credentials_that_cannot_be_fetched_now_may_be_later_but_a_request_that_cannot_be_built_never() {
    let identity: SdkError<Service, _> =
        SdkError::construction_failure("the credentials provider timed out");
    assert_eq!(failed("Op", &identity).fault, Fault::Transient);
    let built: SdkError<Service, _> = SdkError::construction_failure("missing field `data`");
    assert_eq!(failed("Op", &built).fault, Fault::Fatal);
}

#[test]
fn an_endless_message_is_cut_between_characters() {
    let failed = answered(Some("AccessDenied"), &"ä".repeat(5000), 403);
    assert!(failed.message.chars().count() <= MESSAGE_CHARS_MAX + 3);
}
