//! Simulated devices at work: so many readings a second onto the stream, with the AWS SDK.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::time::{Instant, MissedTickBehavior};

use super::devices::{Fleet, Message};
use crate::service::clock;

/// How often the devices whose turn it is speak: often enough to look live.
const SPEAK_EVERY: Duration = Duration::from_millis(100);
/// AWS's limit of records in one `PutRecords`.
const RECORDS_MAX: usize = 500;
/// What devices could not say for so long is not said later: they are live, not a backlog.
const BEHIND_MAX: Duration = Duration::from_secs(1);
/// Wait before refused records are put again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Puts `rate` readings a second on the stream. Ends only when it is dropped.
pub async fn speak(client: Client, stream: &'static str, mut fleet: Fleet, rate: u32) {
    let mut ticks = tokio::time::interval(SPEAK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said_until = Instant::now();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        said_until = said_until.max(now - BEHIND_MAX);
        let owed = (now - said_until).as_secs_f64() * f64::from(rate);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded"
        )]
        let count = owed as usize;
        if count == 0 {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousands")]
        let covered = Duration::from_secs_f64(count as f64 / f64::from(rate));
        said_until += covered;
        let messages = fleet.speak(count, clock::wall());
        for batch in messages.chunks(RECORDS_MAX) {
            put(&client, stream, batch).await;
        }
    }
}

/// Puts one batch until all of it is taken; only then the next. A request holds one message a
/// device, since of several the stream may refuse an earlier one and take a later: so each device's
/// order holds.
async fn put(client: &Client, stream: &str, batch: &[Message]) {
    let mut waiting: Vec<&Message> = batch.iter().collect();
    while !waiting.is_empty() {
        let (mut now, later) = first_of_each(waiting);
        let entries = now.iter().filter_map(|message| {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(&message.device_id)
                .data(Blob::new(message.data.as_slice()));
            entry.build().ok()
        });
        let request = client
            .put_records()
            .stream_name(stream)
            .set_records(Some(entries.collect()));
        match request.send().await {
            Ok(answer) => {
                let results = answer.records().iter();
                let refused = now
                    .iter()
                    .zip(results)
                    .filter(|(_, r)| r.error_code().is_some());
                now = refused.map(|(message, _)| *message).collect();
            }
            Err(error) => tracing::debug!(?error, "devices could not put their readings"),
        }
        if !now.is_empty() {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        waiting = now;
        waiting.extend(later);
    }
}

/// The first message of each device, and the others, both in their order.
fn first_of_each(messages: Vec<&Message>) -> (Vec<&Message>, Vec<&Message>) {
    let mut devices = BTreeSet::new();
    messages
        .into_iter()
        .partition(|message| devices.insert(message.device_id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_holds_two_messages_of_a_device_and_none_overtakes_another() {
        let message = |(device, data): &(&str, u8)| Message {
            device_id: (*device).to_owned(),
            data: vec![*data],
        };
        let all = [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5)];
        let all: Vec<Message> = all.iter().map(message).collect();
        let said = |messages: &[&Message]| -> Vec<u8> {
            messages.iter().map(|message| message.data[0]).collect()
        };
        let (now, later) = first_of_each(all.iter().collect());
        assert_eq!((said(&now), said(&later)), (vec![1, 2], vec![3, 4, 5]));
        // `b` was refused.
        let again = [&now[1..], &later[..]].concat();
        let (now, later) = first_of_each(again);
        assert_eq!((said(&now), said(&later)), (vec![2, 3], vec![4, 5]));
    }
}
