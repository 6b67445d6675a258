use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use super::*;
use crate::local::fault::{Effect, Switch};
use crate::local::testing::Running;

async fn start() -> (Running, Client, Sqs) {
    let sqs = Sqs::new("us-east-1");
    let server = sqs.clone();
    let running = Running::start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let client = Client::new(&running.sdk());
    (running, client, sqs)
}

async fn create(client: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut create = client.create_queue().queue_name(name);
    for (attribute, value) in attributes {
        create = create.attributes(attribute.clone(), *value);
    }
    create.send().await.unwrap().queue_url().unwrap().to_owned()
}

async fn send(client: &Client, url: &str, body: &str) {
    client
        .send_message()
        .queue_url(url)
        .message_body(body)
        .send()
        .await
        .unwrap();
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(body)
        .build()
        .unwrap()
}

async fn attribute(client: &Client, url: &str, name: QueueAttributeName) -> String {
    let get = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(name.clone());
    get.send().await.unwrap().attributes().unwrap()[&name].clone()
}

/// Deletes the first message alone and the others in one batch.
async fn delete(client: &Client, url: &str, messages: &[aws_sdk_sqs::types::Message]) {
    let handles = messages
        .iter()
        .map(|message| message.receipt_handle().unwrap());
    let mut batch = client.delete_message_batch().queue_url(url);
    for (n, handle) in handles.enumerate().skip(1) {
        let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string());
        batch = batch.entries(entry.receipt_handle(handle).build().unwrap());
    }
    let deleted = batch.send().await.unwrap();
    assert_eq!(deleted.successful().len(), messages.len() - 1);
    let one = client.delete_message().queue_url(url);
    one.receipt_handle(messages[0].receipt_handle().unwrap())
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn messages_are_sent_received_and_deleted() {
    let (running, client, _) = start().await;
    let url = create(
        &client,
        "q",
        &[(QueueAttributeName::VisibilityTimeout, "5")],
    )
    .await;
    assert_eq!(url, format!("http://{}/000000000000/q", running.address));
    let found = client.get_queue_url().queue_name("q").send().await.unwrap();
    assert_eq!(found.queue_url(), Some(url.as_str()));
    assert_eq!(
        client.list_queues().send().await.unwrap().queue_urls(),
        std::slice::from_ref(&url)
    );

    let sent = client
        .send_message()
        .queue_url(&url)
        .message_body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(
        sent.md5_of_message_body(),
        Some("5d41402abc4b2a76b9719d911017c592")
    );
    let batch = client.send_message_batch().queue_url(&url);
    let batch = batch
        .entries(entry("a", "one"))
        .entries(entry("b", "two"))
        .send()
        .await
        .unwrap();
    assert_eq!(batch.successful().len(), 2);
    let visible = QueueAttributeName::ApproximateNumberOfMessages;
    assert_eq!(attribute(&client, &url, visible.clone()).await, "3");

    let receive = client
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(10);
    let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
    let received = receive.send().await.unwrap();
    let bodies: Vec<_> = received
        .messages()
        .iter()
        .map(|message| message.body().unwrap())
        .collect();
    assert_eq!(bodies, ["hello", "one", "two"]);
    let first = &received.messages()[0];
    assert_eq!(first.message_id(), sent.message_id());
    let system = first.attributes().unwrap();
    assert_eq!(
        system[&MessageSystemAttributeName::ApproximateReceiveCount],
        "1"
    );
    assert!(system.contains_key(&MessageSystemAttributeName::SentTimestamp));
    let hidden = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    assert_eq!(attribute(&client, &url, hidden.clone()).await, "3");
    delete(&client, &url, received.messages()).await;
    assert_eq!(attribute(&client, &url, hidden).await, "0");
    assert_eq!(attribute(&client, &url, visible).await, "0");
}

#[tokio::test]
async fn a_long_poll_is_answered_when_a_message_comes_and_cut_at_shutdown() {
    let (running, client, _) = start().await;
    let url = create(&client, "q", &[]).await;
    let poll = |client: Client, url: String| async move {
        let receive = client
            .receive_message()
            .queue_url(url)
            .wait_time_seconds(20);
        receive.send().await
    };
    let mut polls = tokio::task::JoinSet::new();
    polls.spawn(poll(client.clone(), url.clone()));
    // Whether the poll begins before or after the message: it must be answered long before 20 s.
    tokio::task::yield_now().await;
    send(&client, &url, "late").await;
    let answered = tokio::time::timeout(Duration::from_secs(5), polls.join_next()).await;
    let answered = answered
        .expect("the message wakes the poll")
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(answered.messages()[0].body(), Some("late"));

    let empty = client
        .receive_message()
        .queue_url(&url)
        .send()
        .await
        .unwrap();
    assert!(empty.messages().is_empty());
    polls.spawn(poll(client.clone(), url));
    running.stop().await;
    let cut = tokio::time::timeout(Duration::from_secs(5), polls.join_next()).await;
    assert!(
        cut.expect("the poll ends with the server")
            .unwrap()
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn a_message_returned_by_time_wakes_the_poll_and_then_becomes_a_dead_letter() {
    let (running, client, _) = start().await;
    let dead = create(&client, "dead", &[]).await;
    let arn = attribute(&client, &dead, QueueAttributeName::QueueArn).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":2}}"#);
    let url = create(
        &client,
        "q",
        &[(QueueAttributeName::RedrivePolicy, &policy)],
    )
    .await;
    send(&client, &url, "poison").await;
    let receive = || {
        client
            .receive_message()
            .queue_url(&url)
            .visibility_timeout(1)
    };
    receive().send().await.unwrap();
    let again = receive().wait_time_seconds(10).send().await.unwrap();
    assert_eq!(
        again.messages()[0].body(),
        Some("poison"),
        "back after its second"
    );

    let handle = again.messages()[0].receipt_handle().unwrap();
    let give_up = client
        .change_message_visibility()
        .queue_url(&url)
        .visibility_timeout(0);
    give_up.receipt_handle(handle).send().await.unwrap();
    let peeked = running
        .http("GET", "/_local/peek?queue=dead&limit=5", "")
        .await;
    assert!(
        peeked.contains("\"visible\":1") && peeked.contains("poison"),
        "{peeked}"
    );
    assert!(peeked.contains("\"source\":\"q\""), "{peeked}");
    let received = client
        .receive_message()
        .queue_url(&dead)
        .send()
        .await
        .unwrap();
    assert_eq!(
        received.messages()[0].body(),
        Some("poison"),
        "peeking takes nothing away"
    );
}

#[tokio::test]
async fn batches_keep_the_limits_of_sqs() {
    let (_running, client, _) = start().await;
    let url = create(
        &client,
        "q",
        &[(QueueAttributeName::MaximumMessageSize, "1048576")],
    )
    .await;
    let batch = || client.send_message_batch().queue_url(&url);
    let eleven: Vec<_> = (0..11).map(|n| entry(&n.to_string(), "x")).collect();
    let error = batch()
        .set_entries(Some(eleven))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_too_many_entries_in_batch_request(), "{error:?}");
    let error = batch()
        .set_entries(Some(vec![]))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_empty_batch_request(), "{error:?}");
    let twice = batch().entries(entry("a", "x")).entries(entry("a", "x"));
    let error = twice.send().await.unwrap_err().into_service_error();
    assert!(error.is_batch_entry_ids_not_distinct(), "{error:?}");
    let error = batch()
        .entries(entry("a b", "x"))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_invalid_batch_entry_id(), "{error:?}");
    let half = "x".repeat(524_289);
    let long = batch()
        .entries(entry("a", &half))
        .entries(entry("b", &half));
    let error = long.send().await.unwrap_err().into_service_error();
    assert!(error.is_batch_request_too_long(), "{error:?}");

    let mixed = batch()
        .entries(entry("good", "x"))
        .entries(entry("bad", "\u{FFFE}"));
    let mixed = mixed.send().await.unwrap();
    assert_eq!(mixed.successful()[0].id(), "good");
    let failed = &mixed.failed()[0];
    assert_eq!(
        (failed.id(), failed.code()),
        ("bad", "InvalidMessageContents")
    );
    assert!(failed.sender_fault());
    let one = client.send_message().queue_url(&url).message_body("\u{1}");
    let error = one.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_message_contents(), "{error:?}");
    let large = "x".repeat(1_048_576);
    send(&client, &url, &large).await;
    let larger = client
        .send_message()
        .queue_url(&url)
        .message_body(large + "x");
    assert_eq!(
        larger.send().await.unwrap_err().code(),
        Some("InvalidParameterValue")
    );
}

#[tokio::test]
async fn queues_are_told_apart_and_refused_by_name() {
    let (running, client, _) = start().await;
    let url = create(
        &client,
        "q",
        &[(QueueAttributeName::MessageRetentionPeriod, "60")],
    )
    .await;
    assert_eq!(create(&client, "q", &[]).await, url);
    let other = QueueAttributeName::MessageRetentionPeriod;
    let again = client
        .create_queue()
        .queue_name("q")
        .attributes(other.clone(), "61");
    assert!(
        again
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_queue_name_exists()
    );
    let set = client
        .set_queue_attributes()
        .queue_url(&url)
        .attributes(other.clone(), "120");
    set.send().await.unwrap();
    assert_eq!(attribute(&client, &url, other).await, "120");
    let fifo = client
        .create_queue()
        .queue_name("q.fifo")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        fifo.into_service_error().code(),
        Some("InvalidParameterValue")
    );
    let none = url.replace("/q", "/none");
    let error = client
        .send_message()
        .queue_url(none)
        .message_body("x")
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_queue_does_not_exist());
    let peeked = running.http("GET", "/_local/peek?queue=none", "").await;
    assert!(
        peeked.starts_with("HTTP/1.1 404") && peeked.contains("only: q"),
        "{peeked}"
    );
}

#[tokio::test]
async fn a_queue_is_purged_and_throttled_by_a_switch() {
    let (_running, client, sqs) = start().await;
    let url = create(&client, "q", &[]).await;
    send(&client, &url, "x").await;
    client.purge_queue().queue_url(&url).send().await.unwrap();
    let visible = QueueAttributeName::ApproximateNumberOfMessages;
    assert_eq!(attribute(&client, &url, visible).await, "0");
    sqs.faults()
        .set(Switch::on("SendMessage", Effect::Throttled));
    let throttled = client
        .send_message()
        .queue_url(&url)
        .message_body("x")
        .send()
        .await;
    assert!(
        throttled
            .unwrap_err()
            .into_service_error()
            .is_request_throttled()
    );
}
