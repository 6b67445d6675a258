//! What a person should do about a failed call, in one sentence.

use super::error;
use crate::door::fault::{CallFailed, Fault};

/// The services that tidewire calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Kinesis Data Streams.
    Kinesis,
    /// DynamoDB.
    Dynamodb,
    /// SQS.
    Sqs,
    /// Timestream Write.
    Timestream,
    /// API Gateway's management API of a WebSocket API.
    Management,
}

impl Service {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kinesis => "Kinesis",
            Self::Dynamodb => "DynamoDB",
            Self::Sqs => "SQS",
            Self::Timestream => "Timestream",
            Self::Management => "API Gateway",
        }
    }

    /// The setting that overrides its endpoint.
    #[must_use]
    pub fn endpoint_setting(self) -> &'static str {
        match self {
            Self::Kinesis => "aws.endpoint_kinesis",
            Self::Dynamodb => "aws.endpoint_dynamodb",
            Self::Sqs => "aws.endpoint_sqs",
            Self::Timestream => "aws.endpoint_timestream",
            Self::Management => "aws.endpoint_management",
        }
    }

    /// AWS's variable that overrides its endpoint.
    #[must_use]
    pub fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Kinesis => "AWS_ENDPOINT_URL_KINESIS",
            Self::Dynamodb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::Timestream => "AWS_ENDPOINT_URL_TIMESTREAM_WRITE",
            Self::Management => "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
        }
    }

    /// The endpoint that AWS's variables name, for messages.
    #[must_use]
    pub fn endpoint_of_environment(self) -> Option<String> {
        let set = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        set(self.endpoint_variable()).or_else(|| set("AWS_ENDPOINT_URL"))
    }
}

/// What a call was about.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The service.
    pub service: Service,
    /// The endpoint URL, where one is set.
    pub endpoint: Option<&'a str>,
    /// The thing that was asked for, such as ``stream `readings` ``.
    pub thing: &'a str,
    /// What makes that thing: a command, a setting, a Terraform resource.
    pub makes_it: &'a str,
}

/// Codes of answers about a thing that is not there.
const MISSING: &[&str] = &[
    "NonExistentQueue",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
];
/// Codes of answers about the caller's keys.
const UNKNOWN_CALLER: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
/// Codes of answers about permissions.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationErrorException",
    "ForbiddenException",
    "KMSAccessDeniedException",
];

/// The error code at the head of a message, where an answer gave one.
#[must_use]
pub fn code(failed: &CallFailed) -> Option<&str> {
    let (head, _) = failed.message.split_once(':')?;
    let is_code = !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then_some(head)
}

/// Whether the answer was that the thing does not exist.
#[must_use]
pub fn is_missing(failed: &CallFailed) -> bool {
    code(failed).is_some_and(|code| MISSING.contains(&code))
}

/// Whether nobody answered: a wrong address, or no way to the right one.
#[must_use]
pub fn is_unanswered(failed: &CallFailed) -> bool {
    let message = &failed.message;
    message.starts_with(error::UNREACHABLE) || message.starts_with(error::TIMED_OUT)
}

/// Whether the service is there and may answer better soon.
#[must_use]
pub fn is_busy(failed: &CallFailed) -> bool {
    failed.fault.is_worth_again() && !is_unanswered(failed)
}

/// Whether the answer was that the caller, who is known, may not ask this.
#[must_use]
pub fn is_denied(failed: &CallFailed) -> bool {
    code(failed).is_some_and(|code| DENIED.contains(&code))
}

/// One sentence with the remedy.
#[must_use]
pub fn explain(failed: &CallFailed, target: &Target<'_>) -> String {
    let name = target.service.name();
    let operation = failed.operation;
    let message = &failed.message;
    if is_unanswered(failed) {
        let at = match target.endpoint {
            Some(url) => format!(
                "at {url} (set by `{}` or {}): is it up, and the URL right?",
                target.service.endpoint_setting(),
                target.service.endpoint_variable()
            ),
            None => "at AWS's own endpoint: check the region, the network's route or VPC endpoint, and HTTPS_PROXY".to_owned(),
        };
        return format!("{name} {message}; it was called {at}");
    }
    let code = code(failed).unwrap_or_default();
    if MISSING.contains(&code) {
        return format!(
            "there is no {}; make it with: {}",
            target.thing, target.makes_it
        );
    }
    if UNKNOWN_CALLER.contains(&code) {
        return format!(
            "{name} does not accept the credentials ({message}): check the role or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the region and the clock"
        );
    }
    if DENIED.contains(&code) {
        return format!(
            "not allowed to call {operation} on {}: add that permission to the role ({message})",
            target.thing
        );
    }
    match failed.fault {
        Fault::Throttled => format!("{name} throttles {operation} ({message}); try again later"),
        Fault::Transient => format!("{name} failed at {operation} ({message}); try again"),
        _ => format!("{name} refused {operation} on {} ({message})", target.thing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(message: &str, endpoint: Option<&str>) -> String {
        let failed = CallFailed {
            operation: "DescribeStreamSummary",
            fault: Fault::Fatal,
            message: message.to_owned(),
        };
        let target = Target {
            service: Service::Kinesis,
            endpoint,
            thing: "stream `readings`",
            makes_it: "aws kinesis create-stream",
        };
        explain(&failed, &target)
    }

    #[test]
    fn an_unreachable_endpoint_names_its_url_and_setting() {
        let text = explained("cannot be reached: refused", Some("http://127.0.0.1:4567"));
        assert!(text.contains("http://127.0.0.1:4567"), "{text}");
        assert!(text.contains("aws.endpoint_kinesis"), "{text}");
        assert!(text.contains("AWS_ENDPOINT_URL_KINESIS"), "{text}");
        assert!(explained("no answer in time", None).contains("region"));
    }

    #[test]
    fn a_missing_thing_names_what_makes_it() {
        let text = explained("ResourceNotFoundException: Stream not found", None);
        assert_eq!(
            text,
            "there is no stream `readings`; make it with: aws kinesis create-stream"
        );
    }

    #[test]
    fn wrong_keys_and_missing_permissions_are_told_apart() {
        let keys = explained("UnrecognizedClientException: invalid", None);
        assert!(keys.contains("AWS_ACCESS_KEY_ID"), "{keys}");
        let denied = explained("AccessDeniedException: no", None);
        assert!(denied.contains("DescribeStreamSummary"), "{denied}");
        assert!(denied.contains("add that permission"), "{denied}");

        let failed = |message: &str| CallFailed {
            operation: "GetQueueAttributes",
            fault: Fault::Fatal,
            message: message.to_owned(),
        };
        assert!(is_denied(&failed("AccessDenied: no")));
        assert!(!is_denied(&failed("InvalidClientTokenId: who?")));
    }
}
