//! `tidewire gateway`: the Lambda behind the routes of the WebSocket API.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use lambda_runtime::{LambdaEvent, service_fn};

use crate::door::connections::Connections;
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

/// Serves events until the Lambda service ends the process.
///
/// # Errors
/// [`Error`].
pub async fn run<C: Connections, Q: QueueSender>(gateway: Gateway<C, Q>) -> Result<(), Error> {
    // The runtime panics where these are missing.
    for name in NEEDED {
        if std::env::var_os(name).is_none() {
            return Err(Error::NotALambda(name));
        }
    }
    let gateway = &gateway;
    let serve = service_fn(
        move |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| async move {
            Ok::<_, std::convert::Infallible>(gateway.handle(event.payload).await)
        },
    );
    Box::pin(lambda_runtime::run(serve))
        .await
        .map_err(Error::Runtime)
}
