//! What a stand's services find when they start.

use aws_sdk_timestreamwrite::error::SdkError;
use aws_sdk_timestreamwrite::operation::create_database::CreateDatabaseError;
use aws_sdk_timestreamwrite::operation::create_table::CreateTableError;

use super::config::{self, CONNECTION_TABLE, DATABASE, DEAD_LETTER_QUEUE, STREAM, TABLE};
use crate::aws::Clients;
use crate::aws::provision::{self, QueueKind};
use crate::cli::failure::Failure;
use crate::cli::parts;
use crate::door::fault::CallFailed;
use crate::service::settings::Settings;

/// Everything that a person makes once on AWS, by the same calls; what an earlier stand left is found
/// as it is.
///
/// # Errors
/// An embedded server refuses, or cannot be reached.
pub async fn provision(settings: &Settings, clients: &Clients, shards: u16) -> Result<(), Failure> {
    let failed = |failed: CallFailed| Failure::new(failed.to_string());
    provision::create_stream(&clients.kinesis(), STREAM, Some(shards))
        .await
        .map_err(failed)?;
    let sqs = clients.sqs();
    provision::create_queue(&sqs, config::LIVE_QUEUE, QueueKind::Live)
        .await
        .map_err(failed)?;
    let letters = provision::create_queue(&sqs, DEAD_LETTER_QUEUE, QueueKind::DeadLetters).await;
    letters.map_err(failed)?;
    parts::connections(settings, CONNECTION_TABLE, clients).await?;
    // No retention is named: the server's own decides how far back readings may lie.
    let timestream = clients.timestream_undiscovered();
    let refused = |error: String| Failure::new(format!("the embedded Timestream refused: {error}"));
    let database = timestream
        .create_database()
        .database_name(DATABASE)
        .send()
        .await;
    match database.map_err(SdkError::into_service_error) {
        Ok(_) | Err(CreateDatabaseError::ConflictException(_)) => {}
        Err(error) => return Err(refused(error.to_string())),
    }
    let table = timestream
        .create_table()
        .database_name(DATABASE)
        .table_name(TABLE)
        .send()
        .await;
    match table.map_err(SdkError::into_service_error) {
        Ok(_) | Err(CreateTableError::ConflictException(_)) => Ok(()),
        Err(error) => Err(refused(error.to_string())),
    }
}
