//! The embedded servers of one stand, started and reachable, and what the daemon needs on them.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::apigateway::{self, ApiGateway, Integration};
use super::dynamodb::DynamoDb;
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
    /// Starts them on their listeners, with the rates of an AWS account if they are `limited`; they
    /// serve until `stop`.
    ///
    /// # Errors
    /// SQLite cannot open a database.
    pub fn start(
        kinesis: kinesis::Options,
        timestream: &timestream::Options,
        limited: bool,
        listeners: [TcpListener; 4],
        tasks: &Tasks,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let sqlite = |error: std::io::Error| Failure::new(format!("SQLite cannot start: {error}"));
        let servers = Self {
            kinesis: Kinesis::new(kinesis).map_err(sqlite)?,
            dynamodb: DynamoDb::new().map_err(sqlite)?,
            sqs: Sqs::new(REGION),
            timestream: Timestream::new(timestream).map_err(sqlite)?,
        };
        if limited {
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
