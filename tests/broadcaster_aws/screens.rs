//! Answers as API Gateway gives them, on the embedded one, and as proxies do, bare. The body of a
//! test may block: the servers run on the runtime's other thread.

use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::apigw::ApiGatewayProxyResponse;
use axum::Router;
use axum::http::{StatusCode, Uri};
use tidewire::aws::Endpoints;
use tidewire::aws::screens::Management;
use tidewire::door::Fault;
use tidewire::door::connections::Screens as _;
use tidewire::local::apigateway::{Answer, ApiGateway, Options};
use tidewire::local::fault::{Effect, Switch};
use tidewire::model::{ConnectionId, Posted};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::support::{Running, clients, start};

struct Stand {
    gateway: ApiGateway,
    running: Running,
    screens: Management,
}

async fn screens(running: &Running, stage: &str) -> Management {
    let endpoint = format!("{}/{stage}", running.url);
    let clients = clients(Endpoints::default()).await;
    Management::new(clients.management(Some(&endpoint)))
}

async fn stand() -> Stand {
    let welcome = |_| -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let mut answer = ApiGatewayProxyResponse::default();
        answer.status_code = 200;
        Box::pin(async move { Ok(answer) })
    };
    let gateway = ApiGateway::new(Options::default(), Arc::new(welcome));
    let serving = gateway.clone();
    let running = start(|listener, shutdown| serving.serve(listener, shutdown)).await;
    let screens = screens(&running, "local").await;
    Stand {
        gateway,
        running,
        screens,
    }
}

impl Stand {
    fn viewer(&self) -> (WebSocket<TcpStream>, ConnectionId) {
        let before = self.gateway.connections();
        let stream = TcpStream::connect(self.running.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let url = format!("ws://{}/local", self.running.address());
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        let after = self.gateway.connections();
        let id = after.iter().find(|id| !before.contains(id)).unwrap();
        (socket, ConnectionId::from(id.as_str()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_reaches_the_screen_and_a_viewer_that_left_is_gone() {
    let stand = stand().await;
    let (mut socket, id) = stand.viewer();
    assert_eq!(stand.screens.post(&id, "hello").await, Ok(Posted::Accepted));
    assert_eq!(socket.read().unwrap(), Message::text("hello"));
    assert_eq!(stand.screens.hang_up(&id).await, Ok(Posted::Accepted));
    while socket.read().is_ok() {}
    for bare in [false, true] {
        stand.gateway.bare_gone(bare);
        let gone = stand.screens.post(&id, "late").await;
        assert_eq!(gone, Ok(Posted::Gone), "bare: {bare}");
        let gone = stand.screens.hang_up(&id).await;
        assert_eq!(gone, Ok(Posted::Gone), "bare: {bare}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_is_told_from_the_others_in_one_attempt() {
    let stand = stand().await;
    let (_socket, id) = stand.viewer();
    let large = "x".repeat(128 * 1024 + 1);
    assert_eq!(stand.screens.post(&id, &large).await, Ok(Posted::TooLarge));
    let switch = Switch::on("PostToConnection", Effect::Throttled);
    stand.gateway.faults().set(switch);
    assert_eq!(stand.screens.post(&id, "more").await, Ok(Posted::Slow));
    stand.gateway.faults().clear();
    let down = Switch::on("PostToConnection", Effect::Down);
    stand.gateway.faults().set(down);
    let failed = stand.screens.post(&id, "more").await.unwrap_err();
    assert_eq!(failed.fault, Fault::Transient);
    stand.gateway.faults().clear();
    let elsewhere = screens(&stand.running, "no-such-stage").await;
    let answer = elsewhere.post(&id, "hello").await;
    assert!(matches!(answer, Ok(Posted::Forbidden(_))), "{answer:?}");
    drop(stand.running);
    let failed = stand.screens.post(&id, "hello").await.unwrap_err();
    assert_eq!(failed.fault, Fault::Transient, "nobody listens: {failed}");
}

/// A server that answers every request with the status that the stage names, and nothing else.
async fn bare() -> Running {
    let app = Router::new().fallback(|uri: Uri| async move {
        let status = uri.path().split('/').nth(1).and_then(|it| it.parse().ok());
        StatusCode::from_u16(status.unwrap_or(500)).unwrap()
    });
    start(|listener, shutdown| async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await
    })
    .await
}

#[tokio::test]
async fn bare_statuses_are_understood() {
    let server = bare().await;
    let id = ConnectionId::from("abc=");
    let cases = [
        ("200", Ok(Posted::Accepted)),
        ("410", Ok(Posted::Gone)),
        ("429", Ok(Posted::Slow)),
        ("413", Ok(Posted::TooLarge)),
        ("400", Err(Fault::Rejected)),
        ("500", Err(Fault::Transient)),
        ("503", Err(Fault::Transient)),
    ];
    for (stage, expected) in cases {
        let answer = screens(&server, stage).await.post(&id, "hello").await;
        assert_eq!(answer.map_err(|error| error.fault), expected, "{stage}");
    }
    for stage in ["403", "404"] {
        let answer = screens(&server, stage).await.post(&id, "hello").await;
        assert!(
            matches!(answer, Ok(Posted::Forbidden(_))),
            "{stage}: {answer:?}"
        );
    }
}
