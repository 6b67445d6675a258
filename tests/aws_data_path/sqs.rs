//! SQS against the embedded server.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use tidewire::aws::Endpoints;
use tidewire::aws::dead_letters::SqsDeadLetters;
use tidewire::aws::provision::{QueueKind, create_queue};
use tidewire::aws::sqs::Queue;
use tidewire::door::dead_letters::DeadLetters as _;
use tidewire::door::fault::Fault;
use tidewire::door::queue::{QueueReceiver as _, QueueSender as _};
use tidewire::local::sqs::Sqs;
use tidewire::model::{DeadLetter, EpochMillis, Outgoing, Sent, Stage};

use super::support::{Running, clients, start};

async fn stand() -> (Running, aws_sdk_sqs::Client) {
    let server = Sqs::new("us-east-1");
    let running = start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let endpoints = Endpoints {
        sqs: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let client = clients(endpoints).await.sqs();
    (running, client)
}

#[tokio::test]
async fn messages_are_sent_received_and_deleted() {
    let (_running, client) = stand().await;
    let url = create_queue(&client, "live", QueueKind::Live)
        .await
        .unwrap();
    assert_eq!(
        create_queue(&client, "live", QueueKind::Live)
            .await
            .unwrap(),
        url
    );
    let queue = Queue::open(client.clone(), "live").await.unwrap();
    assert_eq!(queue.url(), url);
    assert_eq!(queue.message_bytes_max(), 1_048_576);
    let bodies: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    assert_eq!(queue.send(&bodies).await.unwrap(), vec![Sent::Accepted; 10]);
    let mut got = Vec::new();
    while got.len() < 10 {
        let messages = queue.receive(Duration::from_secs(1)).await.unwrap();
        assert!(!messages.is_empty(), "{} of 10 so far", got.len());
        let receipts: Vec<String> = messages.iter().map(|m| m.receipt.clone()).collect();
        assert_eq!(queue.delete(&receipts).await.unwrap(), Vec::<String>::new());
        got.extend(messages.into_iter().map(|message| message.body));
    }
    got.sort();
    assert_eq!(got, bodies);
}

#[tokio::test]
async fn a_fifo_queue_takes_each_message_once_and_a_standard_one_only_its_group() {
    let (_running, client) = stand().await;
    let made = client
        .create_queue()
        .queue_name("live.fifo")
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::MaximumMessageSize, "262144");
    made.send().await.unwrap();
    create_queue(&client, "live", QueueKind::Live)
        .await
        .unwrap();
    let messages: Vec<Outgoing> = (0..9)
        .map(|n| Outgoing {
            body: format!("m{n}"),
            group: Some(format!("pump {}", n % 3)),
            once: Some(format!("shard:{n}:0:0")),
            trace: None,
        })
        .collect();
    for name in ["live.fifo", "live"] {
        let queue = Queue::open(client.clone(), name).await.unwrap();
        for _ in 0..2 {
            let sent = queue.send_grouped(&messages).await.unwrap();
            assert_eq!(sent, vec![Sent::Accepted; 9], "{name}");
        }
        let mut got = Vec::new();
        let expected = if name == "live" { 18 } else { 9 };
        while got.len() < expected {
            let received = queue.receive(Duration::from_secs(1)).await.unwrap();
            assert!(!received.is_empty(), "{name}: {} so far", got.len());
            let receipts: Vec<String> = received.iter().map(|m| m.receipt.clone()).collect();
            queue.delete(&receipts).await.unwrap();
            got.extend(received.into_iter().map(|message| message.body));
        }
        let none = queue.receive(Duration::ZERO).await.unwrap();
        assert!(none.is_empty(), "{name}");
        if name == "live.fifo" {
            assert_eq!(queue.message_bytes_max(), 262_144);
            assert!(got.is_sorted(), "{got:?}");
        }
    }
}

#[tokio::test]
async fn an_existing_queue_with_other_attributes_is_taken_as_it_is() {
    let (_running, client) = stand().await;
    let url = create_queue(&client, "q", QueueKind::Live).await.unwrap();
    assert_eq!(
        create_queue(&client, "q", QueueKind::DeadLetters)
            .await
            .unwrap(),
        url
    );
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_fatal_and_said_so() {
    let (running, client) = stand().await;
    let failed = Queue::open(client.clone(), "none").await.unwrap_err();
    assert_eq!(failed.fault, Fault::Fatal);
    let queue = Queue::at(client, format!("{}/000000000000/none", running.url));
    let failed = queue.send(&["m".to_owned()]).await.unwrap_err();
    assert_eq!(failed.fault, Fault::Fatal);
    assert!(tidewire::aws::explain::is_missing(&failed), "{failed}");
}

#[tokio::test]
async fn letters_are_read_back_as_they_were_filed() {
    let (_running, client) = stand().await;
    create_queue(&client, "dead", QueueKind::DeadLetters)
        .await
        .unwrap();
    let queue = Queue::open(client, "dead").await.unwrap();
    let letter = DeadLetter {
        v: 1,
        stage: Stage::Timestream,
        reason: "outside \u{1} the range \u{fffe}".to_owned(),
        stream: "readings".into(),
        shard: "shardId-000000000000".into(),
        seq: "49590338271490256608559692538361571095921575989136588898"
            .parse()
            .unwrap(),
        sub: 0,
        i: Some(3),
        partition_key: Some("d1".into()),
        arrival_ms: EpochMillis(1),
        data_base64: Some("e30=".to_owned()),
        data_left_out_bytes: None,
    };
    let letters = SqsDeadLetters::new(queue.clone(), queue.message_bytes_max());
    letters.file(std::slice::from_ref(&letter)).await.unwrap();
    let got = queue.receive(Duration::from_secs(1)).await.unwrap();
    assert_eq!(
        serde_json::from_str::<DeadLetter>(&got[0].body).unwrap(),
        letter
    );
}
