//! `@connections` behind the door [`Screens`]. One request a call: the core decides what is tried
//! again, and when (the SDK's own retries would hold a 429's slot for seconds).

use std::error::Error;

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::{classify, failed};
use crate::door::connections::Screens;
use crate::door::fault::{CallFailed, Fault};
use crate::model::{ConnectionId, Posted};

/// The management API of one stage. The client should be made without retries.
#[derive(Clone, Debug)]
pub struct Management {
    client: Client,
}

impl Management {
    /// Through this client, whose endpoint names the stage.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Screens for Management {
    async fn post(&self, id: &ConnectionId, frame: &str) -> Result<Posted, CallFailed> {
        let answer = self
            .client
            .post_to_connection()
            .connection_id(id.as_str())
            .data(Blob::new(frame))
            .send()
            .await;
        posted("PostToConnection", answer)
    }

    async fn hang_up(&self, id: &ConnectionId) -> Result<Posted, CallFailed> {
        let answer = self
            .client
            .delete_connection()
            .connection_id(id.as_str())
            .send()
            .await;
        posted("DeleteConnection", answer)
    }
}

/// What an answer says: by the modelled error or the bare status, because answers that come through
/// a proxy or a custom domain can lack the header that names the error.
fn posted<T, E>(
    operation: &'static str,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Posted, CallFailed>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Err(error) = answer else {
        return Ok(Posted::Accepted);
    };
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let code = match &error {
        SdkError::ServiceError(service) => service.err().code(),
        _ => None,
    };
    match (code, status) {
        (Some("GoneException"), _) | (_, Some(410)) => Ok(Posted::Gone),
        (Some("LimitExceededException"), _) | (_, Some(429)) => Ok(Posted::Slow),
        (Some("PayloadTooLargeException"), _) | (_, Some(413)) => Ok(Posted::TooLarge),
        // Credentials that have just run out answer 403, too, and pass.
        (code, Some(403)) if classify(code, status) == Fault::Fatal => {
            Ok(Posted::Forbidden(failed(operation, &error).message))
        }
        // No such API or stage: the endpoint is wrong, not the viewer gone.
        (_, Some(404)) => Ok(Posted::Forbidden(failed(operation, &error).message)),
        // Invalid connection id: one row's fault, not the endpoint's.
        (_, Some(400)) => Err(CallFailed {
            fault: match classify(code, status) {
                Fault::Fatal => Fault::Rejected,
                fault => fault,
            },
            ..failed(operation, &error)
        }),
        _ => Err(failed(operation, &error)),
    }
}
