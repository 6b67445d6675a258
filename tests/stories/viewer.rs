//! A browser's place, without the browser.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::DEADLINE;

/// One viewer's WebSocket.
pub(crate) struct Viewer {
    socket: tokio_tungstenite::WebSocketStream<TcpStream>,
}

impl Viewer {
    pub(crate) async fn connect(url: &str, token: &str, devices: &[&str]) -> Self {
        let host = url.trim_start_matches("ws://").split('/').next();
        let stream = TcpStream::connect(host.expect("a host")).await;
        let stream = stream.expect("the gateway listens");
        Self::connect_through(stream, url, token, devices).await
    }

    /// The same through a socket of one's own.
    pub(crate) async fn connect_through(
        stream: TcpStream,
        url: &str,
        token: &str,
        devices: &[&str],
    ) -> Self {
        let mut request = url.into_client_request().expect("the URL is a URL");
        let offered = format!("tidewire.v1, bearer.{token}");
        request.headers_mut().insert(
            "sec-websocket-protocol",
            offered.parse().expect("a token is header text"),
        );
        let (socket, answer) = tokio_tungstenite::client_async(request, stream)
            .await
            .expect("the gateway lets us in");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "tidewire.v1");
        let mut viewer = Self { socket };
        let wish = json!({ "action": "subscribe", "device_ids": devices });
        viewer.say(&wish).await;
        viewer.frame_of_type("subscribed").await;
        viewer
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("the socket is open");
    }

    /// Whatever comes next, within the deadline; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(DEADLINE, self.socket.next()).await;
        next.expect("something comes in time")?.ok()
    }

    /// The next frame, within the deadline.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.socket.next()).await;
            match next.expect("a frame comes in time") {
                Some(Ok(Message::Text(text))) => {
                    assert!(text.len() < 32 * 1024, "a frame of {} bytes", text.len());
                    return serde_json::from_str(&text).expect("a frame is JSON");
                }
                Some(Ok(_)) => {}
                other => panic!("the socket ended: {other:?}"),
            }
        }
    }

    pub(crate) async fn frame_of_type(&mut self, wanted: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == wanted {
                return frame;
            }
        }
    }

    /// Readings (live or of a snapshot) until one satisfies `enough`; all of them.
    pub(crate) async fn readings_until(
        &mut self,
        mut enough: impl FnMut(&Value) -> bool,
    ) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let frame = self.frame().await;
            for reading in frame["readings"].as_array().into_iter().flatten() {
                all.push(reading.clone());
                if enough(reading) {
                    return all;
                }
            }
        }
    }
}
