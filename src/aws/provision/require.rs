//! Is what we need there? One sentence for each thing that is not, with what makes it.

use super::super::error::failed;
use super::super::explain::{Service, Target, explain, is_missing};
use super::super::kinesis::StreamRef;
use super::super::setup::Endpoints;
use super::super::sqs::Queue;
use super::patience::until_answered;
use super::{ConnectionTable, QueueKind};
use crate::door::fault::CallFailed;
use crate::model::StreamId;

/// Something needed is not there or not as it must be; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{says}")]
pub struct Unmet {
    /// What to do.
    pub says: String,
    /// Whether it is simply not there, so that making it is all that it needs.
    pub is_missing: bool,
}

impl Unmet {
    fn otherwise(says: String) -> Self {
        Self {
            says,
            is_missing: false,
        }
    }
}

/// A stream that is there.
#[derive(Clone, Debug)]
pub struct Found {
    arn: String,
    created_s: i64,
}

impl Found {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Its name among several: account and name by its ARN, and when it was made.
    ///
    /// # Errors
    /// The server gives it no ARN with an account in it.
    pub fn id(&self) -> Result<StreamId, Unmet> {
        // arn:partition:kinesis:region:account:stream/name
        let account = self.arn.split(':').nth(4).unwrap_or_default();
        let name = self.arn.rsplit('/').next().unwrap_or_default();
        let id = StreamId::new(account, name, self.created_s);
        id.as_str().parse().map_err(|_| {
            Unmet::otherwise(format!(
                "the stream's ARN `{}` names no account: give the stream in `source.streams` as \
                 account:name:creationEpoch",
                self.arn
            ))
        })
    }
}

/// Checks that the stream can be read.
///
/// # Errors
/// It is missing, or the call failed.
pub async fn stream(
    client: &aws_sdk_kinesis::Client,
    stream: &StreamRef,
    endpoints: &Endpoints,
) -> Result<Found, Unmet> {
    let name = stream.bare_name();
    let answer = until_answered(|| async {
        let call = client
            .describe_stream_summary()
            .set_stream_name(stream.name())
            .set_stream_arn(stream.arn());
        let answer = call.send().await;
        answer.map_err(|error| failed("DescribeStreamSummary", &error))
    });
    let failed = match answer.await {
        Ok(answer) => {
            let found = answer.stream_description_summary;
            return Ok(Found {
                arn: found
                    .as_ref()
                    .map(|of| of.stream_arn.clone())
                    .unwrap_or_default(),
                created_s: found.map_or(0, |of| of.stream_creation_timestamp.secs()),
            });
        }
        Err(failed) => failed,
    };
    let makes_it = format!(
        "aws kinesis create-stream --stream-name {name} --stream-mode-details StreamMode=ON_DEMAND, or Terraform's `aws_kinesis_stream`"
    );
    let thing = format!("stream `{name}`");
    Err(unmet(
        &failed,
        Service::Kinesis,
        endpoints,
        &thing,
        &makes_it,
    ))
}

/// Checks that a queue exists; returns its URL. `url_or_name` as in settings.
///
/// # Errors
/// It is missing, or the call failed.
pub async fn queue(
    client: &aws_sdk_sqs::Client,
    url_or_name: &str,
    kind: QueueKind,
    endpoints: &Endpoints,
) -> Result<String, Unmet> {
    let name = url_or_name.rsplit('/').next().unwrap_or(url_or_name);
    let what = match kind {
        QueueKind::Live => "queue",
        QueueKind::DeadLetters => "dead-letter queue",
    };
    let opened = until_answered(|| Queue::open(client.clone(), url_or_name));
    let failed = match opened.await {
        Ok(queue) => return Ok(queue.url().to_owned()),
        Err(failed) => failed,
    };
    let makes_it =
        format!("aws sqs create-queue --queue-name {name}, or Terraform's `aws_sqs_queue`");
    let thing = format!("{what} `{name}`");
    Err(unmet(&failed, Service::Sqs, endpoints, &thing, &makes_it))
}

/// Checks that the Timestream table exists. One `DescribeTable`: AWS allows an account five of
/// them a second, so this belongs to the start, never into a health check.
///
/// # Errors
/// It is missing, or the call failed.
pub async fn timestream(
    client: &aws_sdk_timestreamwrite::Client,
    database: &str,
    table: &str,
    endpoints: &Endpoints,
) -> Result<(), Unmet> {
    let answer = until_answered(|| async {
        let call = client.describe_table();
        let answer = call.database_name(database).table_name(table).send().await;
        answer.map_err(|error| failed("DescribeTable", &error))
    });
    let failed = match answer.await {
        Ok(_) => return Ok(()),
        Err(failed) => failed,
    };
    let makes_it = format!(
        "aws timestream-write create-database --database-name {database}; aws timestream-write create-table --database-name {database} --table-name {table}, or Terraform's `aws_timestreamwrite_table`, or the setting `timestream.create = true`"
    );
    let thing = format!("Timestream table `{database}`.`{table}`");
    Err(unmet(
        &failed,
        Service::Timestream,
        endpoints,
        &thing,
        &makes_it,
    ))
}

/// Checks that the connection table exists with the keys that settings name.
///
/// # Errors
/// It is missing, its keys are called otherwise, or the call failed.
pub async fn connection_table(
    client: &aws_sdk_dynamodb::Client,
    names: &ConnectionTable<'_>,
    endpoints: &Endpoints,
) -> Result<(), Unmet> {
    let answer = until_answered(|| async {
        let answer = client.describe_table().table_name(names.table).send().await;
        answer.map_err(|error| failed("DescribeTable", &error))
    });
    let table = match answer.await {
        Ok(answer) => answer.table,
        Err(failed) => {
            let (hash, sort) = (names.hash_key, names.sort_key);
            let makes_it = format!(
                "aws dynamodb create-table --table-name {} --billing-mode PAY_PER_REQUEST --attribute-definitions AttributeName={hash},AttributeType=S AttributeName={sort},AttributeType=S --key-schema AttributeName={hash},KeyType=HASH AttributeName={sort},KeyType=RANGE, or Terraform's `aws_dynamodb_table`, or the setting `connections.create = true`",
                names.table
            );
            let thing = format!("connection table `{}`", names.table);
            return Err(unmet(
                &failed,
                Service::Dynamodb,
                endpoints,
                &thing,
                &makes_it,
            ));
        }
    };
    let keys: Vec<String> = table
        .and_then(|table| table.key_schema)
        .unwrap_or_default()
        .into_iter()
        .map(|key| key.attribute_name)
        .collect();
    if keys != [names.hash_key, names.sort_key] {
        return Err(Unmet::otherwise(format!(
            "the connection table `{}` has the keys {keys:?} where settings say `{}` and `{}`: set `connections.hash_key` and `connections.sort_key` to the table's",
            names.table, names.hash_key, names.sort_key
        )));
    }
    Ok(())
}

fn unmet(
    failed: &CallFailed,
    service: Service,
    endpoints: &Endpoints,
    thing: &str,
    makes_it: &str,
) -> Unmet {
    let of_environment = service.endpoint_of_environment();
    let target = Target {
        service,
        endpoint: endpoints.of(service).or(of_environment.as_deref()),
        thing,
        makes_it,
    };
    Unmet {
        says: explain(failed, &target),
        is_missing: is_missing(failed),
    }
}
