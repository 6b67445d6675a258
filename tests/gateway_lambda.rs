//! `tidewire gateway` under Lambda's runtime API, which a server here stands in for. The function
//! runs in a process of its own, since what it needs to know comes in environment variables.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: one that cannot go on ends its test"
)]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tidewire::cli::gateway::{Error, run};
use tidewire::door::connections::{Connections, Tickets};
use tidewire::door::fault::CallFailed;
use tidewire::door::queue::QueueSender;
use tidewire::model::{
    Connection, ConnectionId, Fault, Sent, StoredTime, Ticket, TicketHash, Wanted,
};
use tidewire::service::gateway::keys::Keys;
use tidewire::service::gateway::token::{Rules, mint};
use tidewire::service::gateway::{Gateway, Options};
use tidewire::service::settings::Secret;
use tidewire::service::{clock, tasks::Tasks};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A table that nobody can reach.
#[derive(Debug)]
struct Unreachable;

fn failed<T>() -> Result<T, CallFailed> {
    Err(CallFailed {
        operation: "any",
        fault: Fault::Transient,
        message: "nobody there".to_owned(),
    })
}

impl Connections for Unreachable {
    async fn list(&self) -> Result<Vec<Connection>, CallFailed> {
        failed()
    }

    async fn get(&self, _: &ConnectionId) -> Result<Option<Connection>, CallFailed> {
        failed()
    }

    async fn put(&self, _: &Connection) -> Result<(), CallFailed> {
        failed()
    }

    async fn set_wanted(&self, _: &ConnectionId, _: &Wanted) -> Result<bool, CallFailed> {
        failed()
    }

    async fn forget(&self, _: &ConnectionId, _: Option<&StoredTime>) -> Result<bool, CallFailed> {
        failed()
    }
}

impl Tickets for Unreachable {
    async fn spend(&self, _: &TicketHash, _: i64) -> Result<Option<Ticket>, CallFailed> {
        failed()
    }
}

impl QueueSender for Unreachable {
    async fn send(&self, _: &[String]) -> Result<Vec<Sent>, CallFailed> {
        failed()
    }
}

fn secret() -> Secret {
    Secret::new("an-hmac-secret-of-thirty-two-or-more-bytes".to_owned())
}

/// What Lambda hands out, and the answers it got, by request id.
#[derive(Clone, Default)]
struct Runtime {
    events: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
}

async fn next(State(runtime): State<Runtime>) -> Response {
    let event = runtime.events.lock().unwrap().pop();
    let Some(event) = event else {
        // As Lambda does: the function is frozen until there is more to do.
        return std::future::pending().await;
    };
    let id = event["requestContext"]["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        (
            "lambda-runtime-deadline-ms",
            (clock::wall().0 + 29_000).to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-west-1:1:function:g".to_owned(),
        ),
    ];
    (headers, axum::Json(event)).into_response()
}

async fn answered(
    State(runtime): State<Runtime>,
    Path((id, kind)): Path<(String, String)>,
    body: String,
) -> StatusCode {
    assert_eq!(kind, "response", "{body}");
    let answer = serde_json::from_str(&body).unwrap();
    runtime.answers.lock().unwrap().insert(id, answer);
    StatusCode::ACCEPTED
}

/// Ended with the test, however it ends.
struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        let _it_may_have_ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn event(id: &str, route: &str, rest: Value) -> Value {
    let mut event = rest;
    event["isBase64Encoded"] = json!(false);
    event["requestContext"] = json!({
        "routeKey": route, "connectionId": "L0SM9cOFvHcCIhw=", "requestId": id,
        "connectedAt": clock::wall().0, "requestTimeEpoch": clock::wall().0,
        "eventType": "MESSAGE", "stage": "live", "identity": { "sourceIp": "192.0.2.1" },
    });
    event
}

/// In a process without Lambda's variables: says so. In one with them: is the function.
#[tokio::test]
async fn it_runs_as_a_lambda_only() {
    let options = Options {
        rules: Rules::new(Keys::of_secret(&secret()).unwrap()),
        legacy_token: false,
        tickets: false,
        jwks_url: None,
        origins: Vec::new(),
        subscriptions_max: 10,
    };
    let ended = run(Gateway::new(options, Unreachable, vec![Unreachable])).await;
    assert!(
        matches!(ended, Err(Error::NotALambda("AWS_LAMBDA_RUNTIME_API"))),
        "{ended:?}"
    );
}

#[tokio::test]
async fn events_are_answered_in_the_shape_that_api_gateway_reads() {
    let runtime = Runtime::default();
    let token = mint(&secret(), "ada", clock::wall().0 / 1000);
    let offered = |token: &str| json!({ "headers": { "Sec-WebSocket-Protocol": format!("tidewire.v1, bearer.{token}") } });
    runtime.events.lock().unwrap().extend([
        event("refused", "$connect", offered("rubbish")),
        event("failed", "$connect", offered(&token)),
        event("pong", "ping", json!({ "body": "{\"action\":\"ping\"}" })),
    ]);
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answered))
        .with_state(runtime.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, shutdown) = (Tasks::new(), CancellationToken::new());
    let ends = shutdown.clone();
    tasks.spawn("runtime api", async move {
        tokio::select! {
            biased;
            () = ends.cancelled() => {}
            served = axum::serve(listener, router) => served.unwrap(),
        }
    });
    let function = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it_runs_as_a_lambda_only"])
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "gateway")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let function = Function(function);

    let all = async {
        while runtime.answers.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .unwrap();
    drop(function);
    let answers = runtime.answers.lock().unwrap().clone();
    assert_eq!(answers["refused"]["statusCode"], 401);
    assert_eq!(answers["failed"]["statusCode"], 500);
    assert_eq!(answers["failed"]["headers"], json!({}));
    assert_eq!(answers["pong"]["statusCode"], 200);
    assert_eq!(answers["pong"]["body"], "{\"type\":\"pong\"}");
    shutdown.cancel();
    tasks.ended().await;
}
