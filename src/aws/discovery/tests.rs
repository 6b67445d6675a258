use aws_sdk_timestreamwrite::config::{BehaviorVersion, Credentials, Region};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A client whose one or two questions are answered with these bodies in turn.
async fn client(answers: &'static [(u16, &'static str)]) -> (Client, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0_u8; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        std::future::pending().await
    };
    let config = aws_sdk_timestreamwrite::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .endpoint_url(url)
        .build();
    (Client::from_conf(config), serve)
}

/// Runs `work` while the server runs.
async fn beside<T>(serve: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = work => done,
        () = serve => unreachable!("the server does not end"),
    }
}

const CELL: &str = r#"{"Endpoints":[{"Address":"ingest-cell3.timestream.us-east-1.amazonaws.com","CachePeriodInMinutes":1440}]}"#;

#[tokio::test]
async fn the_first_endpoint_named_is_the_one_the_client_calls() {
    let (client, serve) = client(&[(200, CELL)]).await;
    let discovery = beside(serve, Discovery::start(client)).await.unwrap();
    let found = discovery.found();
    assert_eq!(found.good_for, Duration::from_secs(86_400));
    assert_eq!(
        found.url,
        "https://ingest-cell3.timestream.us-east-1.amazonaws.com"
    );
}

#[tokio::test]
async fn an_empty_list_is_an_error_and_no_panic() {
    let (client, serve) = client(&[(200, r#"{"Endpoints":[]}"#)]).await;
    let failed = beside(serve, Box::pin(ask(&client))).await.unwrap_err();
    assert_eq!(failed.fault, Fault::Transient);
}

#[tokio::test]
async fn a_start_during_an_outage_waits_and_a_refusal_ends_it() {
    let (patient, serve) = client(&[(503, ""), (200, CELL)]).await;
    beside(serve, Discovery::start(patient)).await.unwrap();

    const DENIED: &str = r#"{"__type":"AccessDeniedException","Message":"no"}"#;
    let (refused, serve) = client(&[(400, DENIED)]).await;
    let failed = beside(serve, Discovery::start(refused)).await.unwrap_err();
    assert_eq!(failed.fault, Fault::Fatal);
}

#[tokio::test]
async fn a_refused_endpoint_is_asked_for_anew_at_once() {
    const OTHER: &str = r#"{"Endpoints":[{"Address":"other","CachePeriodInMinutes":1440}]}"#;
    let (client, serve) = client(&[(200, CELL), (200, OTHER)]).await;
    beside(serve, async {
        let discovery = Discovery::start(client).await.unwrap();
        let changed = async {
            while discovery.found().url != "https://other" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        discovery.ask_now();
        tokio::select! {
            biased;
            () = discovery.clone().keep_fresh() => unreachable!("it runs until dropped"),
            changed = tokio::time::timeout(Duration::from_secs(20), changed) => changed.unwrap(),
        }
    })
    .await;
}
