//! What the servers' tests share: a running server, SDK settings, a bare HTTP request.

use std::future::Future;
use std::io;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_types::retry::RetryConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A server on a free port, until it is dropped.
pub(crate) struct Running {
    pub(crate) address: String,
    shutdown: CancellationToken,
    tasks: JoinSet<io::Result<()>>,
}

impl Running {
    pub(crate) async fn start<F>(serve: impl FnOnce(TcpListener, CancellationToken) -> F) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, shutdown.clone()));
        Self {
            address,
            shutdown,
            tasks,
        }
    }

    /// SDK settings for this server: one attempt a call, so that tests see every error.
    pub(crate) fn sdk(&self) -> SdkConfig {
        let credentials = Credentials::new("local", "local", None, None, "tests");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(format!("http://{}", self.address))
            .retry_config(RetryConfig::disabled())
            .build()
    }

    /// Sends one request and gives back the whole answer, head and body.
    pub(crate) async fn http(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: local\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Sends one request of an AWS client that speaks CBOR, and gives back what it answered.
    pub(crate) async fn cbor(&self, target: &str, body: &ciborium::Value) -> ciborium::Value {
        let mut bytes = Vec::new();
        ciborium::into_writer(body, &mut bytes).unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: local\r\nconnection: close\r\nx-amz-target: {target}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, \
             SignedHeaders=host, Signature=0\r\nx-amz-date: 20260101T000000Z\r\n\
             content-type: application/x-amz-cbor-1.1\r\ncontent-length: {}\r\n\r\n",
            bytes.len()
        );
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.unwrap() + 4);
        let head = String::from_utf8_lossy(head).to_lowercase();
        assert!(
            head.contains("content-type: application/x-amz-cbor-1.1"),
            "{head}"
        );
        ciborium::from_reader(body).unwrap()
    }

    /// Begins the shutdown and waits for the server's end.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.tasks.join_next()).await;
        ended
            .expect("the server ends soon")
            .unwrap()
            .unwrap()
            .unwrap();
    }
}
