//! Servers on free ports, and clients made as the daemon makes them.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tidewire::aws::{Clients, Endpoints, Setup, StaticCredentials};
use tidewire::model::Secret;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A server, until it is dropped.
pub(crate) struct Running {
    pub(crate) url: String,
    _tasks: JoinSet<io::Result<()>>,
}

pub(crate) async fn start<F>(serve: impl FnOnce(TcpListener, CancellationToken) -> F) -> Running
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, CancellationToken::new()));
    Running { url, _tasks: tasks }
}

pub(crate) async fn clients(endpoints: Endpoints) -> Clients {
    let setup = Setup {
        region: Some("us-east-1".to_owned()),
        endpoints,
        credentials: Some(StaticCredentials {
            access_key_id: "local".to_owned(),
            secret_access_key: Secret::new("local".to_owned()),
            session_token: None,
        }),
        on_billed: None,
    };
    setup.load().await.unwrap()
}

/// A URL at which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Answers given in turn, the last one for ever; requests kept as operation and body.
#[derive(Clone, Default)]
pub(crate) struct Canned {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    by_operation: Arc<BTreeMap<&'static str, (u16, String)>>,
    requests: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
}

impl Canned {
    pub(crate) fn new(answers: &[(u16, &str)]) -> Self {
        let answers = answers
            .iter()
            .rev()
            .map(|(status, body)| (*status, (*body).to_owned()));
        Self {
            answers: Arc::new(Mutex::new(answers.collect())),
            ..Self::default()
        }
    }

    /// One answer for each operation, for ever.
    pub(crate) fn by_operation(answers: &[(&'static str, u16, &str)]) -> Self {
        let by = |(name, status, body): &(&'static str, u16, &str)| {
            (*name, (*status, (*body).to_owned()))
        };
        Self {
            by_operation: Arc::new(answers.iter().map(by).collect()),
            ..Self::default()
        }
    }

    pub(crate) async fn start(&self) -> Running {
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(self.clone());
        start(|listener, _| async move { axum::serve(listener, router).await }).await
    }

    pub(crate) fn requests(&self) -> Vec<(String, serde_json::Value)> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(State(canned): State<Canned>, headers: HeaderMap, body: Bytes) -> Response<String> {
    let target = headers["x-amz-target"].to_str().unwrap();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let body = serde_json::from_slice(&body).unwrap();
    let own = canned.by_operation.get(operation.as_str()).cloned();
    canned.requests.lock().unwrap().push((operation, body));
    let (status, body) = own.unwrap_or_else(|| {
        let mut answers = canned.answers.lock().unwrap();
        match answers.len() {
            0 | 1 => answers[0].clone(),
            _ => answers.pop().unwrap(),
        }
    });
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let json = "application/x-amz-json-1.0".parse().unwrap();
    response.headers_mut().insert("content-type", json);
    response
}
