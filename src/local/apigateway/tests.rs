//! The server as a viewer and as the SDK see it. The body of a test may block: the server runs on
//! the runtime's other threads.

use std::net::TcpStream;
use std::sync::Mutex;

use aws_lambda_events::encodings::Body;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::{
    BehaviorVersion, Credentials, Region, retry::RetryConfig,
};
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Response as Handshake;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Error as WsError, Message, WebSocket};
use tokio_util::task::AbortOnDropHandle;

use super::*;

mod connections;
mod handshake;
mod lifetime;

type Events = Arc<Mutex<Vec<ApiGatewayWebsocketProxyRequest>>>;

/// How long anything may take that must happen.
const DEADLINE: Duration = Duration::from_secs(10);

struct Stand {
    gateway: ApiGateway,
    client: Client,
    address: SocketAddr,
    events: Events,
    /// Lets a `$connect` with `?hold` go on.
    release: Arc<Notify>,
    shutdown: CancellationToken,
    _serving: AbortOnDropHandle<io::Result<()>>,
}

fn text(words: &str) -> Option<Body> {
    Some(Body::Text(words.to_owned()))
}

/// An integration that does as the query and the messages ask.
fn integration(events: Events, release: Arc<Notify>) -> Integration {
    Arc::new(move |event| {
        let (events, release) = (Arc::clone(&events), Arc::clone(&release));
        Box::pin(async move {
            events.lock().unwrap().push(event.clone());
            let mut answer = ApiGatewayProxyResponse::default();
            answer.status_code = 200;
            let query = &event.query_string_parameters;
            if let Some(status) = query.first("status") {
                answer.status_code = status.parse()?;
            }
            if let Some(protocol) = query.first("choose") {
                answer
                    .headers
                    .insert("sec-websocket-protocol", protocol.parse()?);
            }
            if query.first("hold").is_some() {
                release.notified().await;
            }
            if query.first("fail").is_some() || event.body.as_deref() == Some("boom") {
                return Err("asked to fail".into());
            }
            match event.request_context.route_key.as_deref() {
                Some("ping") => answer.body = text(r#"{"type":"pong"}"#),
                Some("$default") => answer.body = text("what?"),
                _ => {}
            }
            Ok(answer)
        })
    })
}

async fn stand(options: Options) -> Stand {
    let (events, release) = (Events::default(), Arc::new(Notify::new()));
    let integration = integration(Arc::clone(&events), Arc::clone(&release));
    let gateway = ApiGateway::new(options, integration);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let serving = TaskTracker::new().spawn(gateway.clone().serve(listener, shutdown.clone()));
    Stand {
        gateway,
        client: management(address, "local"),
        address,
        events,
        release,
        shutdown,
        _serving: AbortOnDropHandle::new(serving),
    }
}

fn management(address: SocketAddr, stage: &str) -> Client {
    let config = aws_sdk_apigatewaymanagement::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(format!("http://{address}/{stage}"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

type Socket = WebSocket<TcpStream>;

type Opened = Result<(Socket, Handshake<Option<Vec<u8>>>), WsError>;

fn open(address: SocketAddr, query: &str, offered: &str) -> Opened {
    let url = format!("ws://{address}/local{query}");
    let mut request = url.into_client_request()?;
    if !offered.is_empty() {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", offered.parse().unwrap());
    }
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    match tungstenite::client(request, stream) {
        Ok(done) => Ok(done),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
        Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no answer in time"),
    }
}

impl Stand {
    fn handshake(&self, query: &str, offered: &str) -> Opened {
        open(self.address, query, offered)
    }

    /// A viewer and its connection's id.
    fn viewer(&self) -> (Socket, String) {
        let (socket, _) = self.handshake("", "").unwrap();
        let events = self.events.lock().unwrap();
        let contexts = events.iter().rev().map(|event| &event.request_context);
        let mut connects = contexts.filter(|it| it.route_key.as_deref() == Some("$connect"));
        let id = connects.next().and_then(|it| it.connection_id.clone());
        (socket, id.unwrap())
    }

    fn last_event(&self) -> ApiGatewayWebsocketProxyRequest {
        self.events.lock().unwrap().last().unwrap().clone()
    }

    fn disconnects(&self) -> Vec<(i64, String)> {
        let events = self.events.lock().unwrap();
        let contexts = events.iter().map(|event| &event.request_context);
        let ends = contexts.filter(|it| it.route_key.as_deref() == Some("$disconnect"));
        ends.map(|it| {
            let reason = it.disconnect_reason.clone().unwrap();
            (it.disconnect_status_code.unwrap(), reason)
        })
        .collect()
    }

    async fn post(&self, id: &str, words: &str) -> Result<(), PostToConnectionError> {
        let post = self
            .client
            .post_to_connection()
            .connection_id(id)
            .data(Blob::new(words));
        post.send()
            .await
            .map(|_| ())
            .map_err(|error| error.into_service_error())
    }

    async fn gone(&self, id: &str) {
        let error = self.post(id, "late").await.unwrap_err();
        assert!(
            matches!(error, PostToConnectionError::GoneException(_)),
            "{error:?}"
        );
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

fn refused_with(result: Opened) -> u16 {
    match result {
        Err(WsError::Http(answer)) => answer.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Reads on to the closing frame.
fn closed(socket: &mut Socket) -> u16 {
    loop {
        match socket.read() {
            Ok(Message::Close(Some(CloseFrame { code, .. }))) => return code.into(),
            Ok(_) => {}
            Err(error) => panic!("no closing frame: {error}"),
        }
    }
}
