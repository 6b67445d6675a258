//! Subscriptions against the embedded server.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use tidewire::aws::kinesis::{Kinesis, StreamRef, is_limit};
use tidewire::aws::lines::Lines;
use tidewire::aws::provision::create_stream;
use tidewire::door::stream::{Error, Stream as _, Subscription as _};
use tidewire::door::{Fault, Faulty as _};
use tidewire::local::fault::{Effect, Switch};
use tidewire::local::kinesis::Options;
use tidewire::model::{SequenceNumber, ShardId, Start};

use super::kinesis::{stand, unlimited};
use super::stream_contract::{self, SHARDS, Subject};

async fn with_consumer(
    client: &aws_sdk_kinesis::Client,
    stream: &str,
) -> Result<Kinesis, tidewire::door::fault::CallFailed> {
    let described = client.describe_stream_summary().stream_name(stream).send();
    let described = described.await.unwrap().stream_description_summary.unwrap();
    Kinesis::new(client.clone(), StreamRef::from(stream))
        .known_as(described.stream_arn)
        .with_consumer("fleet", Arc::new(Lines::default()))
        .await
}

struct Embedded {
    client: aws_sdk_kinesis::Client,
    stream: Kinesis,
}

impl Embedded {
    /// A hash key in the middle of a shard.
    async fn middle(&self, shard: &ShardId) -> String {
        let shards = self.stream.shards().await.unwrap();
        let shard = shards.into_iter().find(|one| one.id == *shard).unwrap();
        let number = |text: &str| text.parse::<u128>().unwrap();
        let (from, to) = (
            number(&shard.starting_hash_key),
            number(&shard.ending_hash_key),
        );
        (from + (to - from) / 2).to_string()
    }
}

impl Subject for Embedded {
    type Stream = Kinesis;

    fn stream(&self) -> &Kinesis {
        &self.stream
    }

    async fn put(&self, shard: &ShardId, text: &str) -> SequenceNumber {
        let put = self.client.put_record().stream_name("contract");
        let put = put.partition_key("k").data(Blob::new(text));
        let put = put.explicit_hash_key(self.middle(shard).await);
        put.send().await.unwrap().sequence_number.parse().unwrap()
    }

    async fn split(&self, shard: &ShardId) {
        let split = self.client.split_shard().stream_name("contract");
        let split = split.shard_to_split(shard.as_str());
        let split = split.new_starting_hash_key(self.middle(shard).await);
        split.send().await.unwrap();
    }
}

#[tokio::test]
async fn the_contract_of_subscriptions_holds() {
    let (_running, client, _) = stand(unlimited()).await;
    let shards = u16::try_from(SHARDS).unwrap();
    create_stream(&client, "contract", Some(shards))
        .await
        .unwrap();
    let stream = with_consumer(&client, "contract").await.unwrap();
    stream_contract::holds(&Embedded { client, stream }).await;
}

#[tokio::test]
async fn a_consumer_is_registered_once_and_found_again_by_the_next_worker() {
    let (_running, client, _) = stand(unlimited()).await;
    let polled = Kinesis::new(client.clone(), StreamRef::from("readings"));
    let shard = polled.shards().await.unwrap().remove(0).id;
    assert!(!polled.has_consumer(&shard));
    let first = with_consumer(&client, "readings").await.unwrap();
    let second = with_consumer(&client, "readings").await.unwrap();
    for stream in [&first, &second] {
        assert!(stream.has_consumer(&shard));
    }
    let _held = first.subscribe(&shard, &Start::TrimHorizon).await.unwrap();
    let other = second.subscribe(&shard, &Start::TrimHorizon).await;
    assert!(
        matches!(other, Err(Error::Held { .. })),
        "the same consumer"
    );
}

#[tokio::test]
async fn a_consumer_that_was_taken_away_is_registered_again() {
    let (_running, client, _) = stand(unlimited()).await;
    let stream = with_consumer(&client, "readings").await.unwrap();
    let shard = stream.shards().await.unwrap().remove(0).id;
    let found = client.describe_stream_summary().stream_name("readings");
    let found = found
        .send()
        .await
        .unwrap()
        .stream_description_summary
        .unwrap();
    let away = client.deregister_stream_consumer().consumer_name("fleet");
    away.stream_arn(found.stream_arn).send().await.unwrap();
    let mut lost = 0;
    let again = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match stream.subscribe(&shard, &Start::TrimHorizon).await {
                Ok(events) => break events,
                Err(Error::NotFound { .. }) => lost += 1,
                Err(error) => assert_ne!(error.fault(), Fault::Fatal, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    again.await.expect("it comes back");
    assert!(lost > 0, "its loss was noticed");
}

#[tokio::test]
async fn the_servers_end_of_a_subscription_is_an_end_and_not_an_error() {
    let (_running, client, _) = stand(Options {
        subscription_lasts: Duration::from_millis(50),
        ..unlimited()
    })
    .await;
    let stream = with_consumer(&client, "readings").await.unwrap();
    let shard = stream.shards().await.unwrap().remove(0).id;
    let mut events = stream.subscribe(&shard, &Start::TrimHorizon).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while events.arrived().await.unwrap().is_some() {
            assert!(events.event().await.unwrap().is_some());
        }
    });
    ended.await.expect("it ends");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let (_running, client, faults) = stand(unlimited()).await;
    let stream = with_consumer(&client, "readings").await.unwrap();
    let shard = stream.shards().await.unwrap().remove(0).id;
    for (effect, fault) in [
        (Effect::Throttled, Fault::Throttled),
        (Effect::Down, Fault::Transient),
    ] {
        faults.set(Switch::on("SubscribeToShard", effect).times(1));
        let error = stream.subscribe(&shard, &Start::TrimHorizon).await.err();
        assert_eq!(
            error.as_ref().map(|error| error.fault()),
            Some(fault),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn who_may_not_register_is_told_at_once_and_who_finds_no_room_soon() {
    for (body, limit, at_most) in [
        (
            r#"{"__type":"AccessDeniedException","Message":"no"}"#,
            false,
            1,
        ),
        (
            r#"{"__type":"LimitExceededException","message":"no more"}"#,
            true,
            30,
        ),
    ] {
        let none = r#"{"__type":"ResourceNotFoundException","message":"no such consumer"}"#;
        let canned = super::support::Canned::by_operation(&[
            ("DescribeStreamConsumer", 400, none),
            ("RegisterStreamConsumer", 400, body),
        ]);
        let running = canned.start().await;
        let endpoints = tidewire::aws::Endpoints {
            kinesis: Some(running.url.clone()),
            ..Default::default()
        };
        let client = super::support::clients(endpoints).await.kinesis();
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/readings";
        let asked = tokio::time::Instant::now();
        let failed = Kinesis::new(client, StreamRef::from("readings"))
            .known_as(arn)
            .with_consumer("fleet", Arc::default())
            .await
            .expect_err("it may not");
        assert_eq!(is_limit(&failed), limit, "{failed}");
        assert!(asked.elapsed() < Duration::from_secs(15));
        let calls = canned.requests();
        let registered = calls
            .iter()
            .filter(|(name, _)| name == "RegisterStreamConsumer");
        assert!((1..=at_most).contains(&registered.count()), "{calls:?}");
    }
}
