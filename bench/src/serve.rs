//! The server: one port, told apart by each request's `X-Amz-Target`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use crate::leases::Leases;
use crate::sinks::{self, Taken};
use crate::stream::Stream;

/// No request of the worker is larger.
const BODY_MAX: usize = 4 * 1024 * 1024;

struct Server {
    stream: Stream,
    leases: Leases,
    timestream: Taken,
    queue: Taken,
}

/// Serves until it is killed; prints its port as one JSON line once everything is prepared.
pub(crate) fn run(shards: usize, readings: usize) -> ExitCode {
    let server = Arc::new(Server {
        stream: Stream::prepare(shards, readings),
        leases: Leases::default(),
        timestream: Taken::nothing(readings),
        queue: Taken::nothing(readings),
    });
    let served = tokio::runtime::Runtime::new().and_then(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!(r#"{{"port":{}}}"#, listener.local_addr()?.port());
            let router = Router::new()
                .route("/books", get(books))
                .fallback(answer)
                .with_state(server);
            axum::serve(listener, router).await
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the server ended: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn books(State(server): State<Arc<Server>>) -> String {
    let books = json!({
        "served": server.stream.served.load(Ordering::Relaxed),
        "pages": server.stream.pages.load(Ordering::Relaxed),
        "timestream": server.timestream.book(),
        "queue": server.queue.book(),
    });
    books.to_string()
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target");
    let target = target
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or_default();
    let (service, operation) = (service.to_owned(), operation.to_owned());
    let body = to_bytes(request.into_body(), BODY_MAX)
        .await
        .unwrap_or_default();
    let answer = match service.split('_').next().unwrap_or_default() {
        "Kinesis" => server.stream.answer(&operation, &body),
        "DynamoDB" => server.leases.answer(&operation, &body),
        "Timestream" => sinks::timestream(&server.timestream, &operation, &body),
        "AmazonSQS" => sinks::sqs(&server.queue, &operation, &body),
        _ => None,
    };
    match answer {
        Some(body) => (StatusCode::OK, Body::from(body)).into_response(),
        None => {
            eprintln!("no answer to {service}.{operation}");
            let body = r#"{"__type":"ValidationException","message":"not of this server"}"#;
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}
