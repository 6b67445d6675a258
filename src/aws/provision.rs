//! Makes what is missing, for `tidewire local` and where a `create` setting says so; and checks
//! that what is needed is there. Everything here may be repeated: what exists is left as it is.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};
use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails, StreamStatus};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_timestreamwrite::types::{
    MagneticStoreRejectedDataLocation, MagneticStoreWriteProperties, RetentionProperties,
    S3Configuration,
};

use super::error::{failed, unbuildable};
use crate::door::fault::{CallFailed, Fault};

pub mod patience;
pub mod require;

/// How long something new may take to become usable: a stream takes up to a minute.
const READY_MAX: Duration = Duration::from_secs(180);
/// Between two looks. `DescribeStreamSummary` allows 20 a second for the whole account.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// Live messages are worth nothing once screens have newer ones; without a short retention a
/// pause of the broadcaster would replay up to four days.
const LIVE_RETENTION: Duration = Duration::from_secs(300);
/// Dead letters wait for a person: SQS's longest, 14 days.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(14 * 86_400);
/// A day in the memory store: readings may come so late and still be answered for.
const MEMORY_STORE_HOURS: i64 = 24;
/// A year in the magnetic store.
const MAGNETIC_STORE_DAYS: i64 = 365;

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// From worker to broadcaster: five minutes' retention.
    Live,
    /// For a person or `replay`: 14 days' retention.
    DeadLetters,
}

/// The connection table's names.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTable<'a> {
    /// The table.
    pub table: &'a str,
    /// The hash key, text.
    pub hash_key: &'a str,
    /// The sort key, text.
    pub sort_key: &'a str,
    /// The attribute by which DynamoDB deletes rows, seconds since the epoch.
    pub expires_attribute: &'a str,
}

/// Makes a stream and waits until it is active. `shards`: `None` is on demand.
///
/// # Errors
/// A call failed, or the stream is not active after three minutes.
pub async fn create_stream(
    client: &aws_sdk_kinesis::Client,
    name: &str,
    shards: Option<u16>,
) -> Result<(), CallFailed> {
    let request = client.create_stream().stream_name(name);
    let request = match shards {
        Some(shards) => request.shard_count(i32::from(shards)),
        None => {
            let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand);
            let mode = mode
                .build()
                .map_err(|error| unbuildable("CreateStream", &error))?;
            request.stream_mode_details(mode)
        }
    };
    existing_is_fine(request.send().await.map_err(|e| failed("CreateStream", &e)))?;
    until_ready("DescribeStreamSummary", || async {
        let answer = client
            .describe_stream_summary()
            .stream_name(name)
            .send()
            .await;
        let answer = answer.map_err(|error| failed("DescribeStreamSummary", &error))?;
        let summary = answer.stream_description_summary;
        Ok(summary.is_some_and(|summary| summary.stream_status == StreamStatus::Active))
    })
    .await
}

/// Makes a queue; returns its URL.
///
/// # Errors
/// A call failed.
pub async fn create_queue(
    client: &aws_sdk_sqs::Client,
    name: &str,
    kind: QueueKind,
) -> Result<String, CallFailed> {
    const OPERATION: &str = "CreateQueue";
    let retention = match kind {
        QueueKind::Live => LIVE_RETENTION,
        QueueKind::DeadLetters => DEAD_LETTER_RETENTION,
    };
    let answer = client
        .create_queue()
        .queue_name(name)
        .attributes(
            QueueAttributeName::MessageRetentionPeriod,
            retention.as_secs().to_string(),
        )
        .send()
        .await
        .map_err(|error| failed(OPERATION, &error));
    match answer {
        Ok(answer) => answer.queue_url.ok_or_else(|| CallFailed {
            operation: OPERATION,
            fault: Fault::Fatal,
            message: "the answer has no URL".to_owned(),
        }),
        // It exists with other attributes than ours: somebody chose them.
        Err(exists) if exists.fault == Fault::Conflict => super::sqs::url_of(client, name).await,
        Err(failed) => Err(failed),
    }
}

/// Makes a Timestream database and table. Readings older than its memory store are taken where
/// there is a bucket to which Timestream can report what it rejects of them later; without one they
/// are rejected at once, so that nothing is lost in silence.
///
/// # Errors
/// A call failed; LiveAnalytics takes no new customers since 2025-06-20 and says so.
pub async fn create_timestream(
    client: &aws_sdk_timestreamwrite::Client,
    database: &str,
    table: &str,
    rejected_bucket: Option<&str>,
) -> Result<(), CallFailed> {
    let created = client
        .create_database()
        .database_name(database)
        .send()
        .await;
    existing_is_fine(created.map_err(|error| failed("CreateDatabase", &error)))?;
    let retention = RetentionProperties::builder()
        .memory_store_retention_period_in_hours(MEMORY_STORE_HOURS)
        .magnetic_store_retention_period_in_days(MAGNETIC_STORE_DAYS)
        .build()
        .map_err(|error| unbuildable("CreateTable", &error))?;
    let location = rejected_bucket.map(|bucket| {
        let s3 = S3Configuration::builder().bucket_name(bucket).build();
        let location = MagneticStoreRejectedDataLocation::builder();
        location.s3_configuration(s3).build()
    });
    let magnetic = MagneticStoreWriteProperties::builder()
        .enable_magnetic_store_writes(location.is_some())
        .set_magnetic_store_rejected_data_location(location)
        .build()
        .map_err(|error| unbuildable("CreateTable", &error))?;
    let created = client
        .create_table()
        .database_name(database)
        .table_name(table)
        .retention_properties(retention)
        .magnetic_store_write_properties(magnetic)
        .send()
        .await;
    existing_is_fine(created.map_err(|error| failed("CreateTable", &error)))
}

/// Makes the connection table, on demand, with its TTL, and waits until it is active.
///
/// # Errors
/// A call failed, or the table is not active after three minutes.
pub async fn create_connection_table(
    client: &aws_sdk_dynamodb::Client,
    names: &ConnectionTable<'_>,
) -> Result<(), CallFailed> {
    const CREATE: &str = "CreateTable";
    let mut request = client
        .create_table()
        .table_name(names.table)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [
        (names.hash_key, KeyType::Hash),
        (names.sort_key, KeyType::Range),
    ] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(|error| unbuildable(CREATE, &error))?;
        let key = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .map_err(|error| unbuildable(CREATE, &error))?;
        request = request.attribute_definitions(attribute).key_schema(key);
    }
    let created = request.send().await.map_err(|error| failed(CREATE, &error));
    existing_is_fine(created)?;
    until_ready("DescribeTable", || async {
        let answer = client.describe_table().table_name(names.table).send().await;
        let answer = answer.map_err(|error| failed("DescribeTable", &error))?;
        let status = answer.table.and_then(|table| table.table_status);
        Ok(status == Some(TableStatus::Active))
    })
    .await?;
    turn_ttl_on(client, names).await
}

async fn turn_ttl_on(
    client: &aws_sdk_dynamodb::Client,
    names: &ConnectionTable<'_>,
) -> Result<(), CallFailed> {
    const OPERATION: &str = "UpdateTimeToLive";
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(names.expires_attribute)
        .build()
        .map_err(|error| unbuildable(OPERATION, &error))?;
    let updated = client
        .update_time_to_live()
        .table_name(names.table)
        .time_to_live_specification(ttl)
        .send()
        .await
        .map_err(|error| failed(OPERATION, &error));
    match updated {
        // "TimeToLive is already enabled" comes as a ValidationException.
        Err(already) if already.message.contains("already enabled") => Ok(()),
        other => other.map(|_| ()),
    }
}

fn existing_is_fine<T>(created: Result<T, CallFailed>) -> Result<(), CallFailed> {
    match created {
        Err(failed) if failed.fault != Fault::Conflict => Err(failed),
        _ => Ok(()),
    }
}

/// Looks until it is ready. A thing just made may not be found at first, nor every look succeed.
async fn until_ready<F>(operation: &'static str, look: impl Fn() -> F) -> Result<(), CallFailed>
where
    F: Future<Output = Result<bool, CallFailed>>,
{
    let looking = async {
        loop {
            match look().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(failed) if failed.fault.is_worth_again() => {}
                Err(failed) if super::explain::is_missing(&failed) => {}
                Err(failed) => return Err(failed),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let late = |_| {
        Err(CallFailed {
            operation,
            fault: Fault::Transient,
            message: format!("not ready after {} s", READY_MAX.as_secs()),
        })
    };
    tokio::time::timeout(READY_MAX, looking)
        .await
        .unwrap_or_else(late)
}
