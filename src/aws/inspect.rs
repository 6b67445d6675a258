//! What `tidewire doctor` asks AWS beyond what a start asks, and what it makes of the answers.
//!
//! Each question is one call; what an answer means is decided apart from it, without IO.

use std::time::Duration;

use aws_sdk_dynamodb::types::TimeToLiveStatus;
use aws_sdk_kinesis::types::StreamStatus;
use aws_sdk_sqs::types::QueueAttributeName;

use super::error::failed;
use super::kinesis::StreamRef;
use super::provision::QueueKind;
use super::provision::patience::until_answered;
use crate::door::fault::{CallFailed, Fault};
use crate::model::Posted;

mod consumer;

pub use consumer::consumer;

/// AWS refuses signatures that are older or newer than this (its Signature Version 4 pages).
const SIGNATURE_SKEW: Duration = Duration::from_secs(300);

/// Clocks kept by NTP differ by milliseconds; a `Date` header counts whole seconds.
const SKEW_NOTICED: Duration = Duration::from_secs(5);

/// A queue of live readings that keeps messages longer shows viewers the past after a pause.
const LIVE_RETENTION_MAX: Duration = Duration::from_secs(3600);

/// Dead letters wait for a person, over a weekend and a holiday at least.
const LETTERS_RETENTION_MIN: Duration = Duration::from_secs(7 * 86_400);

/// Shards beyond which one worker's reads may exceed what it can do; more workers then.
const SHARDS_OF_A_WORKER: i32 = 64;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Green,
    /// It works, and will bite.
    Yellow,
    /// It does not work, or loses something.
    Red,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How well it is.
    pub level: Level,
    /// What was looked at.
    pub what: String,
    /// What was found, and where it is not green what to do.
    pub says: String,
}

impl Finding {
    /// A line.
    #[must_use]
    pub fn new(level: Level, what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            level,
            what: what.into(),
            says: says.into(),
        }
    }
}

/// How large a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// Open shards.
    pub shards: i32,
    /// Registered consumers of enhanced fan-out.
    pub consumers: i32,
}

/// The stream: is it active, how many shards, how long does it keep records.
///
/// # Errors
/// The call failed.
pub async fn stream(
    client: &aws_sdk_kinesis::Client,
    stream: &StreamRef,
) -> Result<(Finding, Option<StreamFacts>), CallFailed> {
    let answer = until_answered(|| async {
        let call = client
            .describe_stream_summary()
            .set_stream_name(stream.name())
            .set_stream_arn(stream.arn());
        let answer = call.send().await;
        answer.map_err(|error| failed("DescribeStreamSummary", &error))
    });
    let answer = answer.await?;
    let what = format!("stream {}", stream.bare_name());
    let Some(found) = answer.stream_description_summary else {
        let finding = Finding::new(Level::Red, what, "the answer describes none");
        return Ok((finding, None));
    };
    let (shards, hours) = (found.open_shard_count, found.retention_period_hours);
    let size = StreamFacts {
        shards,
        consumers: found.consumer_count.unwrap_or_default(),
    };
    let facts = format!("{shards} open shards, records kept for {hours} h");
    let finding = match found.stream_status {
        StreamStatus::Active | StreamStatus::Updating if shards > SHARDS_OF_A_WORKER => {
            let says = format!(
                "{facts}: run more than one worker ({SHARDS_OF_A_WORKER} shards each at most)"
            );
            Finding::new(Level::Yellow, what, says)
        }
        StreamStatus::Active | StreamStatus::Updating => Finding::new(Level::Green, what, facts),
        other => {
            let says = format!("it is {}: wait, or make it anew", other.as_str());
            Finding::new(Level::Red, what, says)
        }
    };
    Ok((finding, Some(size)))
}

/// Our clock against Kinesis's, both in milliseconds since the epoch.
#[must_use]
pub fn clock(ours_ms: i64, theirs_ms: i64) -> Finding {
    let off = Duration::from_millis(ours_ms.abs_diff(theirs_ms));
    let seconds = off.as_secs();
    let (level, says) = if off >= SIGNATURE_SKEW {
        (
            Level::Red,
            format!(
                "{seconds} s off AWS's: requests are refused from {} s on; set it by NTP",
                SIGNATURE_SKEW.as_secs()
            ),
        )
    } else if off >= SKEW_NOTICED {
        (
            Level::Yellow,
            format!(
                "{seconds} s off AWS's: ages and lags are shown wrong by that much; set it by NTP"
            ),
        )
    } else {
        (Level::Green, "as AWS's".to_owned())
    };
    Finding::new(level, "clock", says)
}

/// A Timestream table: does it say what it rejects?
///
/// # Errors
/// The call failed.
pub async fn timestream(
    client: &aws_sdk_timestreamwrite::Client,
    database: &str,
    table: &str,
) -> Result<Finding, CallFailed> {
    let answer = until_answered(|| async {
        let call = client.describe_table();
        let answer = call.database_name(database).table_name(table).send().await;
        answer.map_err(|error| failed("DescribeTable", &error))
    });
    let answer = answer.await?;
    let found = answer.table();
    let magnetic = found.and_then(|table| table.magnetic_store_write_properties());
    let writes = magnetic.is_some_and(|magnetic| magnetic.enable_magnetic_store_writes());
    let bucket = magnetic
        .and_then(|magnetic| magnetic.magnetic_store_rejected_data_location())
        .and_then(|location| location.s3_configuration())
        .and_then(|s3| s3.bucket_name());
    let hours = found.and_then(|table| table.retention_properties()).map(
        aws_sdk_timestreamwrite::types::RetentionProperties::memory_store_retention_period_in_hours,
    );
    Ok(store(&format!("{database}.{table}"), hours, writes, bucket))
}

fn store(name: &str, memory_hours: Option<i64>, magnetic: bool, bucket: Option<&str>) -> Finding {
    let what = format!("Timestream table {name}");
    let hours = memory_hours.unwrap_or_default();
    match (magnetic, bucket) {
        (true, None) => Finding::new(
            Level::Red,
            what,
            format!(
                "writes older than its memory store ({hours} h) are answered 200 and conflicts among them reported nowhere: \
                 name an S3 bucket for rejected data (aws timestream-write update-table --magnetic-store-write-properties)"
            ),
        ),
        (true, Some(bucket)) => {
            let says =
                format!("memory store {hours} h; what the magnetic store rejects goes to {bucket}");
            Finding::new(Level::Green, what, says)
        }
        (false, _) => {
            let says = format!(
                "memory store {hours} h; older readings are rejected and become dead letters"
            );
            Finding::new(Level::Green, what, says)
        }
    }
}

/// A queue's attributes, for what it is used for.
///
/// # Errors
/// The call failed.
pub async fn queue(
    client: &aws_sdk_sqs::Client,
    url: &str,
    kind: QueueKind,
) -> Result<Finding, CallFailed> {
    let call = client.get_queue_attributes().queue_url(url);
    let call = call.attribute_names(QueueAttributeName::MessageRetentionPeriod);
    let answer = call.send().await;
    let answer = answer.map_err(|error| failed("GetQueueAttributes", &error))?;
    let retention = answer
        .attributes()
        .and_then(|all| all.get(&QueueAttributeName::MessageRetentionPeriod))
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    Ok(keeps(url, kind, retention))
}

fn keeps(url: &str, kind: QueueKind, retention: Option<Duration>) -> Finding {
    let name = url.rsplit('/').next().unwrap_or(url);
    let is_fifo = std::path::Path::new(name)
        .extension()
        .is_some_and(|end| end == "fifo");
    let what = match kind {
        QueueKind::Live => format!("live queue {name}"),
        QueueKind::DeadLetters => format!("dead-letter queue {name}"),
    };
    let Some(retention) = retention else {
        return Finding::new(
            Level::Yellow,
            what,
            "it does not say how long it keeps messages",
        );
    };
    let seconds = retention.as_secs();
    let set = |to: Duration| {
        format!(
            "aws sqs set-queue-attributes --queue-url {url} --attributes MessageRetentionPeriod={}",
            to.as_secs()
        )
    };
    match kind {
        QueueKind::DeadLetters if is_fifo => Finding::new(
            Level::Red,
            what,
            "a FIFO queue takes no dead letters: name a standard queue in `dead_letter.queue_url`",
        ),
        QueueKind::DeadLetters if retention < LETTERS_RETENTION_MIN => Finding::new(
            Level::Yellow,
            what,
            format!(
                "letters are deleted after {seconds} s: {}",
                set(Duration::from_secs(14 * 86_400))
            ),
        ),
        QueueKind::Live if retention > LIVE_RETENTION_MAX => Finding::new(
            Level::Yellow,
            what,
            format!(
                "it keeps readings for {seconds} s, so that a pause is replayed at viewers: {}, or set `broadcaster.max_age_s`",
                set(Duration::from_secs(300))
            ),
        ),
        _ => Finding::new(
            Level::Green,
            what,
            format!("keeps messages for {seconds} s"),
        ),
    }
}

/// Whether DynamoDB deletes rows by that attribute.
///
/// # Errors
/// The call failed.
pub async fn time_to_live(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    attribute: &str,
) -> Result<Finding, CallFailed> {
    let answer = client
        .describe_time_to_live()
        .table_name(table)
        .send()
        .await;
    let answer = answer.map_err(|error| failed("DescribeTimeToLive", &error))?;
    let found = answer.time_to_live_description();
    let is_on = found.is_some_and(|ttl| {
        let on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
        let status = ttl
            .time_to_live_status()
            .is_some_and(|status| on.contains(status));
        status && ttl.attribute_name() == Some(attribute)
    });
    let what = format!("connection table {table}");
    Ok(if is_on {
        Finding::new(Level::Green, what, format!("rows end by `{attribute}`"))
    } else {
        let says = format!(
            "rows whose connection vanished stay for ever: aws dynamodb update-time-to-live --table-name {table} \
             --time-to-live-specification Enabled=true,AttributeName={attribute}"
        );
        Finding::new(Level::Red, what, says)
    })
}

/// What a table can take, and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Rows, as DynamoDB counts them every six hours or so.
    pub rows: u64,
    /// Read and write units a second; none where it is billed on demand.
    pub provisioned_units: Option<(u64, u64)>,
}

/// A table's size.
///
/// # Errors
/// The call failed.
pub async fn table(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
) -> Result<TableFacts, CallFailed> {
    let answer = until_answered(|| async {
        let answer = client.describe_table().table_name(table).send().await;
        answer.map_err(|error| failed("DescribeTable", &error))
    });
    let answer = answer.await?;
    let found = answer.table();
    let units = found.and_then(|table| table.provisioned_throughput());
    let units = units.map(|units| (units.read_capacity_units(), units.write_capacity_units()));
    // A table that is billed on demand has zeros there.
    let units = units.and_then(|(reads, writes)| Some((reads?, writes?)));
    let units = units.filter(|(reads, writes)| *reads > 0 && *writes > 0);
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(TableFacts {
        rows: count(
            found
                .and_then(|table| table.item_count())
                .unwrap_or_default(),
        ),
        provisioned_units: units.map(|(reads, writes)| (count(reads), count(writes))),
    })
}

/// What a post to a connection that cannot exist was answered.
#[must_use]
pub fn endpoint(answer: &Result<Posted, CallFailed>) -> Finding {
    let what = "WebSocket endpoint";
    match answer {
        Ok(Posted::Gone) => {
            let says = "a post to a connection that is not there is answered 410, as it should be";
            Finding::new(Level::Green, what, says)
        }
        Ok(Posted::Slow) => Finding::new(
            Level::Yellow,
            what,
            "the account's rate of posts is used up (429): set `broadcaster.posts_per_second`, or have the quota raised",
        ),
        Ok(Posted::Forbidden(why)) => {
            let says = format!(
                "{why}: check `aws.endpoint_management` (https://API.execute-api.REGION.amazonaws.com/STAGE) and the permission execute-api:ManageConnections"
            );
            Finding::new(Level::Red, what, says)
        }
        Ok(other) => {
            let says = format!(
                "a connection that is not there was answered {other:?}: is `aws.endpoint_management` an API Gateway?"
            );
            Finding::new(Level::Red, what, says)
        }
        Err(failed) if failed.fault == Fault::Rejected => {
            let says =
                "it answers, and takes our word for who we are; the id we made up it calls none";
            Finding::new(Level::Green, what, says)
        }
        Err(failed) => {
            let says = format!("{failed}: check `aws.endpoint_management`");
            Finding::new(Level::Red, what, says)
        }
    }
}

#[cfg(test)]
mod tests;
