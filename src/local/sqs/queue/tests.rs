use std::collections::BTreeMap;

use super::*;

fn message(number: u64, sent_ms: u64) -> Message {
    Message {
        number,
        body: format!("m{number}"),
        attributes: None,
        sent_ms,
        sent_wall_ms: sent_ms,
        first_received_wall_ms: None,
        received: 0,
        source: None,
        group: None,
    }
}

fn queue(attributes: &[(&str, &str)]) -> Queue {
    let given: BTreeMap<String, String> = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut settings = Settings::default();
    settings.set(given).unwrap();
    Queue::new(settings)
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.number).collect()
}

fn receipt(message: &Message) -> Receipt {
    Receipt {
        number: message.number,
        received: message.received,
    }
}

#[test]
fn a_message_is_invisible_until_its_time_out_and_then_first_again() {
    let mut queue = queue(&[]);
    queue.send(message(1, 0), 0, 0);
    queue.send(message(2, 0), 0, 0);
    let first = queue.receive(1, 1_000, 0, 7).unwrap();
    assert_eq!(numbers(&first), [1]);
    assert_eq!(queue.counts(), (1, 1, 0));
    assert_eq!(queue.next_visible_ms(), Some(1_000));
    queue.advance(999);
    assert_eq!(queue.counts(), (1, 1, 0));
    queue.advance(1_000);
    let again = queue.receive(10, 1_000, 1_000, 8).unwrap();
    assert_eq!(numbers(&again), [1, 2]);
    assert_eq!(again[0].received, 2);
    assert_eq!(again[0].first_received_wall_ms, Some(7));
}

#[test]
fn a_fifo_queue_keeps_each_groups_order_and_takes_a_message_once() {
    let mut queue = queue(&[("FifoQueue", "true")]);
    for (number, group) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
        let group = Some(group.to_owned());
        queue.send(
            Message {
                group,
                ..message(number, 0)
            },
            0,
            0,
        );
    }
    assert_eq!(numbers(&queue.receive(2, 1_000, 0, 0).unwrap()), [1, 2]);
    // The rest of the group waits for those in flight.
    assert_eq!(numbers(&queue.receive(10, 2_000, 0, 0).unwrap()), [3]);
    queue.advance(1_000);
    assert_eq!(
        numbers(&queue.receive(10, 1_000, 1_000, 0).unwrap()),
        [1, 2, 4]
    );

    assert!(queue.is_first("x".to_owned(), 0));
    assert!(!queue.is_first("x".to_owned(), 299_999));
    assert!(queue.is_first("x".to_owned(), 300_001));
}

#[test]
fn only_the_latest_receipt_acts_on_a_message() {
    let mut queue = queue(&[]);
    queue.send(message(1, 0), 0, 0);
    let first = queue.receive(1, 10, 0, 0).unwrap();
    queue.advance(10);
    let second = queue.receive(1, 10, 10, 10).unwrap();
    queue.delete(receipt(&first[0]));
    assert_eq!(queue.counts(), (0, 1, 0));
    let stale = queue.change_visibility(receipt(&first[0]), 0, 10);
    assert_eq!(stale, Err(Problem::NotInFlight));
    queue.delete(receipt(&second[0]));
    assert_eq!(queue.counts(), (0, 0, 0));
    assert_eq!(queue.next_visible_ms(), None);
}

#[test]
fn a_message_that_timed_out_can_still_be_deleted_before_it_is_received_again() {
    let mut queue = queue(&[]);
    queue.send(message(1, 0), 0, 0);
    let received = queue.receive(1, 10, 0, 0).unwrap();
    queue.advance(10);
    queue.delete(receipt(&received[0]));
    assert_eq!(queue.counts(), (0, 0, 0));
}

#[test]
fn visibility_is_stretched_and_ended() {
    let mut queue = queue(&[]);
    queue.send(message(1, 0), 0, 0);
    let received = queue.receive(1, 10, 0, 0).unwrap();
    queue
        .change_visibility(receipt(&received[0]), 100, 5)
        .unwrap();
    queue.advance(104);
    assert_eq!(queue.counts(), (0, 1, 0));
    queue
        .change_visibility(receipt(&received[0]), 0, 104)
        .unwrap();
    queue.advance(104);
    assert_eq!(queue.counts(), (1, 0, 0));
}

#[test]
fn a_message_received_too_often_leaves_for_the_dead_letter_queue() {
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:r:0:dead","maxReceiveCount":2}"#;
    let mut queue = queue(&[("RedrivePolicy", policy)]);
    queue.send(message(1, 0), 0, 0);
    queue.receive(1, 10, 0, 0).unwrap();
    assert!(queue.advance(10).is_empty());
    queue.receive(1, 10, 10, 10).unwrap();
    assert_eq!(numbers(&queue.advance(20)), [1]);
    assert_eq!(queue.counts(), (0, 0, 0));
}

#[test]
fn messages_older_than_the_retention_period_are_dropped() {
    let mut queue = queue(&[("MessageRetentionPeriod", "60")]);
    queue.send(message(1, 0), 0, 0);
    queue.send(message(2, 30_000), 0, 30_000);
    queue.advance(60_000);
    assert_eq!(queue.counts(), (2, 0, 0));
    queue.advance(60_001);
    assert_eq!(queue.counts(), (1, 0, 0));
    assert!(queue.receive(10, 0, 90_001, 0).unwrap().is_empty());
}

#[test]
fn a_delayed_message_appears_when_its_delay_is_over() {
    let mut queue = queue(&[]);
    queue.send(message(1, 0), 500, 0);
    assert!(queue.receive(1, 10, 0, 0).unwrap().is_empty());
    assert_eq!(queue.counts(), (0, 0, 1));
    queue.advance(500);
    assert_eq!(numbers(&queue.receive(1, 10, 500, 500).unwrap()), [1]);
}

#[test]
fn no_more_than_120_000_messages_are_in_flight() {
    let mut queue = queue(&[]);
    for number in 0..120_001 {
        queue.send(message(number, 0), 0, 0);
    }
    assert_eq!(queue.receive(200_000, 10, 0, 0).unwrap().len(), 120_000);
    assert_eq!(queue.receive(1, 10, 0, 0), Err(Problem::OverLimit));
}
