//! The rates of an AWS account, which the stand has by default.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::{http, http_with};
use crate::support::{Stand, eventually};

/// What was refused on each server, by operation.
async fn refused(stand: &Stand) -> BTreeMap<String, u64> {
    let mut refused = BTreeMap::new();
    for server in ["kinesis", "dynamodb", "sqs", "timestream", "management"] {
        let url = stand.text(server);
        let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let (_, body) = http("GET", &origin, "/_local/calls", "").await;
        let calls: BTreeMap<String, u64> = serde_json::from_str(&body).expect("calls are JSON");
        let over = calls
            .into_iter()
            .filter(|(name, _)| name.ends_with("over its rate"));
        refused.extend(over);
    }
    refused
}

/// Asks for the stream's description often; answers how often that was refused.
async fn describe(stand: &Stand, times: usize) -> usize {
    let lines = "x-amz-target: Kinesis_20131202.DescribeStream\r\n\
                 content-type: application/x-amz-json-1.1\r\n\
                 authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n\
                 x-amz-date: 20260101T000000Z\r\n";
    let body = json!({ "StreamName": stand.text("stream") }).to_string();
    let mut refusals = 0;
    for _ in 0..times {
        let (status, answer) = http_with("POST", stand.text("kinesis"), "/", lines, &body).await;
        if status != 200 {
            assert!(answer.contains("LimitExceededException"), "{answer}");
            assert!(answer.contains("--unlimited"), "{answer}");
            refusals += 1;
        }
    }
    refusals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_refused_what_aws_refuses_it_unless_the_stand_is_unlimited() {
    let stand = Stand::start(&["--workers", "0"]).await;
    assert!(describe(&stand, 60).await > 0);
    assert!(
        refused(&stand)
            .await
            .contains_key("DescribeStream over its rate")
    );
    stand.end().await;
    let stand = Stand::start(&["--workers", "0", "--unlimited"]).await;
    assert_eq!(describe(&stand, 60).await, 0);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stand_under_its_usual_load_meets_no_rate() {
    let stand = Stand::start(&["--devices", "40", "--workers", "2"]).await;
    let mut viewer = stand.viewer(&["*"]).await;
    viewer.readings_until(|_| true).await;
    eventually("a thousand rows", || async {
        (stand.rows().await > 1_000).then_some(())
    })
    .await;
    assert_eq!(refused(&stand).await, BTreeMap::new());
    let letters: Vec<Value> = stand.letters().await;
    assert_eq!(letters, Vec::<Value>::new());
    stand.end().await;
}
