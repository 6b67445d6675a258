//! From settings to the parts that services are made of: clients, adapters, options.

use crate::aws::connections::{ConnectionTable, Names};
use crate::aws::dead_letters::SqsDeadLetters;
use crate::aws::kinesis::{Kinesis, StreamRef};
use crate::aws::lease_table::DynamoLeaseTable;
use crate::aws::provision::{self, QueueKind, require};
use crate::aws::sqs::Queue;
use crate::aws::timestream::{MeasureName, Table, Timestream};
use crate::aws::{Clients, Endpoints, Setup, StaticCredentials};
use crate::cli::failure::Failure;
use crate::service::settings::{self, Settings, TimestreamTarget, Url, WorkerSettings};

impl From<settings::Problems> for Failure {
    fn from(problems: settings::Problems) -> Self {
        Self::settings(problems.to_string())
    }
}

impl From<require::Unmet> for Failure {
    fn from(unmet: require::Unmet) -> Self {
        Self::new(unmet.0)
    }
}

/// The AWS clients that the settings describe.
///
/// # Errors
/// No region, or no credentials.
pub async fn clients(settings: &Settings) -> Result<Clients, Failure> {
    let aws = &settings.aws;
    let text = |url: &Option<Url>| url.as_ref().map(|url| url.as_str().to_owned());
    let credentials = match (&aws.access_key_id, &aws.secret_access_key) {
        (Some(id), Some(secret)) => Some(StaticCredentials {
            access_key_id: id.clone(),
            secret_access_key: secret.clone(),
            session_token: aws.session_token.clone(),
        }),
        _ => None,
    };
    let setup = Setup {
        region: aws.region.clone(),
        endpoints: Endpoints {
            kinesis: text(&aws.endpoint_kinesis),
            dynamodb: text(&aws.endpoint_dynamodb),
            sqs: text(&aws.endpoint_sqs),
            timestream: text(&aws.endpoint_timestream),
            management: text(&aws.endpoint_management),
        },
        credentials,
    };
    setup.load().await.map_err(|unready| Failure::new(unready.to_string()))
}

/// What a worker reads from and writes to, checked to be there.
#[derive(Debug)]
pub struct WorkerParts {
    /// The stream.
    pub stream: Kinesis,
    /// The lease table.
    pub table: DynamoLeaseTable,
    /// The Timestream sink, if it is on.
    pub timestream: Option<Timestream>,
    /// The live queues.
    pub queues: Vec<Queue>,
    /// The dead letters.
    pub dead_letters: SqsDeadLetters<Queue>,
    /// Keeps Timestream's endpoint fresh; to be run beside the worker.
    pub discovery: Option<crate::aws::discovery::Discovery>,
}
