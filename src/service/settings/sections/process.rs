//! Settings of the process itself: AWS, HTTP, shutdown, logs.

use super::super::key::section;
use super::super::kinds::{Listen, LogFormat, LogLevel, Url};
use super::super::secret::Secret;

section! {
    /// Which AWS, and how to sign. Everything here is optional: AWS's own variables
    /// (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL_KINESIS`, ...), profiles, web identity,
    /// container and instance credentials mean what they always mean. What is set here wins.
    Aws "aws" {
        /// The region.
        region: Option<String>;
        /// The access key. For the local stand and emulators; on AWS, give the process a role.
        access_key_id: Option<String>;
        /// The secret that belongs to `access_key_id`.
        secret_access_key: Option<Secret>;
        /// The token that belongs to temporary keys.
        session_token: Option<Secret>;
        /// Kinesis elsewhere than at AWS's address.
        endpoint_kinesis: Option<Url>;
        /// DynamoDB elsewhere than at AWS's address.
        endpoint_dynamodb: Option<Url>;
        /// SQS elsewhere than at AWS's address.
        endpoint_sqs: Option<Url>;
        /// Timestream Write elsewhere than at AWS's address; switches endpoint discovery off.
        endpoint_timestream: Option<Url>;
        /// The WebSocket API's callback URL, `https://{api}.execute-api.{region}.amazonaws.com/{stage}`,
        /// or `https://{domain}/{path}` of a custom domain. The broadcaster needs it.
        endpoint_management: Option<Url>;
    }
}

section! {
    /// The process's own HTTP server: `/metrics`, `/livez`, `/readyz`, `/state`.
    Http "http" {
        /// Where it listens.
        listen: Listen = "0.0.0.0:9090";
    }
}

section! {
    /// What happens at `SIGTERM` and `SIGINT`.
    Shutdown "shutdown" {
        /// Seconds to drain, checkpoint and release in. Keep it below the orchestrator's own
        /// patience: 30 on ECS Fargate by default, `terminationGracePeriodSeconds` on Kubernetes.
        grace_s: u64 = "25", 1..=600;
    }
}

section! {
    /// Log lines, on standard error.
    Log "log" {
        /// How they look.
        format: LogFormat = "auto";
        /// Which are written. `RUST_LOG` wins over it.
        level: LogLevel = "info";
    }
}

section! {
    /// CloudWatch, for what is scaled by its metrics: ECS, where there is no Prometheus.
    Cloudwatch "cloudwatch" {
        /// Write metrics in CloudWatch's embedded format, a line a minute on standard output: how late
        /// each worker reads (`Lag`, seconds; the maximum is the fleet's), and from one worker of the
        /// fleet `OpenShards` (shards that are not done) and `Workers`. The dimension is `LeaseTable`.
        /// CloudWatch makes metrics of them where it gets that output as a log (ECS's `awslogs` does).
        embedded_metrics: bool = "false";
        /// The metrics' namespace.
        namespace: String = "tidewire";
    }
}

section! {
    /// `tidewire top`, the terminal view of a running fleet.
    Top "top" {
        /// Where workers and broadcasters answer (`http.listen`), such as `http://10.0.0.7:9090`: they are
        /// asked for `/state`, beside those that `--worker` names.
        ask: Vec<Url>;
    }
}
