//! The embedded servers of one stand, started and reachable, and what the daemon needs on them.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::apigateway::{self, ApiGateway, Integration};
use super::dynamodb::DynamoDb;
use super::keep::DataDir;
use super::kinesis::{self, Kinesis};
use super::ports::{Ports, url};
use super::sqs::Sqs;
use super::timestream::{self, Timestream};
use crate::cli::failure::Failure;
use crate::cli::parts::LiveGateway;
use crate::service::tasks::Tasks;

/// The region the servers say they are in.
pub const REGION: &str = "us-east-1";
/// The stage of the WebSocket API.
pub const STAGE: &str = "local";

/// The servers that need nothing of each other.
#[derive(Clone, Debug)]
pub struct Servers {
    /// Kinesis.
    pub kinesis: Kinesis,
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// SQS.
    pub sqs: Sqs,
    /// Timestream Write.
    pub timestream: Timestream,
}

/// How they are started.
#[derive(Debug)]
pub struct Options {
    /// Kinesis.
    pub kinesis: kinesis::Options,
    /// Timestream Write.
    pub timestream: timestream::Options,
    /// With the rates of an AWS account.
    pub limited: bool,
    /// Where they keep what they have; `None`: it goes with the process.
    pub data: Option<Arc<DataDir>>,
}

/// Where everything listens, as URLs.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The page.
    pub page: String,
    /// Kinesis.
    pub kinesis: String,
    /// DynamoDB.
    pub dynamodb: String,
    /// SQS.
    pub sqs: String,
    /// Timestream Write.
    pub timestream: String,
    /// The viewers' WebSocket address.
    pub websocket: String,
    /// `@connections`.
    pub management: String,
    /// Metrics, health, state.
    pub metrics: String,
    /// MQTT.
    pub mqtt: String,
}

impl Urls {
    /// Of these listeners.
    #[must_use]
    pub fn of(ports: &Ports) -> Self {
        let management = format!("{}/{STAGE}", url(&ports.websocket));
        Self {
            page: url(&ports.page),
            kinesis: url(&ports.kinesis),
            dynamodb: url(&ports.dynamodb),
            sqs: url(&ports.sqs),
            timestream: url(&ports.timestream),
            websocket: management.replacen("http:", "ws:", 1),
            management,
            metrics: url(&ports.metrics),
            mqtt: url(&ports.mqtt).replacen("http:", "mqtt:", 1),
        }
    }
}

impl Servers {
    /// Starts them on their listeners; they serve until `stop`.
    ///
    /// # Errors
    /// What was kept cannot be used, or SQLite cannot open a database.
    pub fn start(
        options: Options,
        listeners: [TcpListener; 4],
        tasks: &Tasks,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| match &options.data {
            Some(data) => Failure::new(format!(
                "{error}: move {data} away to begin anew, or name another --data-dir",
                data = data.path().display()
            )),
            None => Failure::new(format!("SQLite cannot start: {error}")),
        };
        let file = |name: &str| options.data.as_ref().map(|data| data.file(name));
        let timestream = timestream::Options {
            file: file("timestream.sqlite"),
            ..options.timestream
        };
        let kinesis = kinesis::Options {
            directory: file("kinesis"),
            ..options.kinesis
        };
        let sqs = match file("sqs.sqlite") {
            Some(file) => Sqs::kept(REGION, &file).map_err(unusable)?,
            None => Sqs::new(REGION),
        };
        let servers = Self {
            kinesis: Kinesis::new(kinesis).map_err(unusable)?,
            dynamodb: DynamoDb::new(file("dynamodb.sqlite").as_deref()).map_err(unusable)?,
            sqs,
            timestream: Timestream::new(&timestream).map_err(unusable)?,
        };
        if options.limited {
            servers.kinesis.quotas().enforce();
            servers.dynamodb.quotas().enforce();
            servers.sqs.quotas().enforce();
            servers.timestream.quotas().enforce();
        }
        let [kinesis, dynamodb, sqs, store] = listeners;
        spawn(
            tasks,
            "kinesis",
            servers.kinesis.clone().serve(kinesis, stop.clone()),
        );
        spawn(
            tasks,
            "dynamodb",
            servers.dynamodb.clone().serve(dynamodb, stop.clone()),
        );
        spawn(tasks, "sqs", servers.sqs.clone().serve(sqs, stop.clone()));
        spawn(
            tasks,
            "timestream",
            servers.timestream.clone().serve(store, stop.clone()),
        );
        Ok(servers)
    }
}

/// Starts the WebSocket API with our gateway behind its routes, as the Lambda is on AWS.
pub fn websocket(
    gateway: LiveGateway,
    limited: bool,
    listener: TcpListener,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> ApiGateway {
    let gateway = Arc::new(gateway);
    let integration: Integration = Arc::new(move |event: ApiGatewayWebsocketProxyRequest| {
        let gateway = Arc::clone(&gateway);
        Box::pin(async move { Ok(gateway.handle(event).await) })
    });
    let options = apigateway::Options {
        stage: STAGE.to_owned(),
        ..apigateway::Options::default()
    };
    let server = ApiGateway::new(options, integration);
    if limited {
        server.quotas().enforce();
    }
    spawn(
        tasks,
        "websocket",
        server.clone().serve(listener, stop.clone()),
    );
    server
}

/// A server's end before its time is told; the stand's tasks then look broken, as they are.
pub fn spawn(
    tasks: &Tasks,
    name: &'static str,
    serving: impl Future<Output = std::io::Result<()>> + Send + 'static,
) {
    tasks.spawn(name, async move {
        if let Err(error) = serving.await {
            tracing::error!(server = name, %error, "an embedded server ended");
        }
    });
}
