//! `tidewire gateway`: the Lambda behind the routes of the WebSocket API.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::door::connections::{Connections, Tickets};
use crate::door::queue::QueueSender;
use crate::service::gateway::Gateway;

/// What the runtime needs to know of its function; the Lambda service sets them all.
const NEEDED: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
];

/// Why the function ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Started by hand.
    #[error("{0} is not set: this runs as a Lambda function; on this machine use `tidewire local`")]
    NotALambda(&'static str),
    /// The Lambda service could not be reached, or took no answer.
    #[error("the Lambda runtime ended: {0}")]
    Runtime(lambda_runtime::Error),
}

/// An event whose unreadable header is not repeated. The runtime logs why an event could not be
/// read and answers with it, and those words would quote the header: a token, or a cookie.
#[derive(Debug)]
struct Event(ApiGatewayWebsocketProxyRequest);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = serde_json::Value::deserialize(deserializer)?;
        serde_json::from_value::<ApiGatewayWebsocketProxyRequest>(event)
            .map(Self)
            .map_err(|_| D::Error::custom("no event of a WebSocket API, or one with an odd header"))
    }
}

/// Serves events until the Lambda service ends the process.
///
/// # Errors
/// [`Error`].
pub async fn run<C: Connections + Tickets, Q: QueueSender>(
    gateway: Gateway<C, Q>,
) -> Result<(), Error> {
    // The runtime panics where these are missing.
    for name in NEEDED {
        if std::env::var_os(name).is_none() {
            return Err(Error::NotALambda(name));
        }
    }
    let gateway = &gateway;
    let serve = service_fn(move |event: LambdaEvent<Event>| async move {
        Ok::<_, std::convert::Infallible>(gateway.handle(event.payload.0).await)
    });
    Box::pin(lambda_runtime::run(serve))
        .await
        .map_err(Error::Runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_cannot_be_read_is_not_repeated() {
        let event = |protocol: &str| {
            let event = serde_json::json!({
                "headers": { "Sec-WebSocket-Protocol": protocol },
                "requestContext": { "connectedAt": 1, "requestTimeEpoch": 1 },
            });
            serde_json::from_str::<Event>(&event.to_string())
        };
        assert!(event("tidewire.v1, bearer.hush").is_ok());
        let error = event("tidewire.v1, bearer.hush\u{7f}").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hush"), "{error}");
    }
}
