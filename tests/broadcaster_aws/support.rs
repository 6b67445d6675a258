//! Servers on free ports, and clients made as the daemon makes them.

use std::future::Future;
use std::io;

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

impl Running {
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
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
