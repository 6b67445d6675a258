use aws_sdk_kinesis::types::{
    ConsumerStatus, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
};

use super::*;

/// Registers a consumer and waits until it is active.
async fn consumer(client: &Client) -> String {
    let summary = client
        .describe_stream_summary()
        .stream_name("s")
        .send()
        .await
        .unwrap();
    let arn = summary
        .stream_description_summary()
        .unwrap()
        .stream_arn()
        .to_owned();
    let register = client
        .register_stream_consumer()
        .stream_arn(arn)
        .consumer_name("c");
    let arn = register
        .send()
        .await
        .unwrap()
        .consumer()
        .unwrap()
        .consumer_arn()
        .to_owned();
    let ready = async {
        loop {
            let described = client
                .describe_stream_consumer()
                .consumer_arn(&arn)
                .send()
                .await;
            let described = described
                .unwrap()
                .consumer_description
                .unwrap()
                .consumer_status;
            if described == ConsumerStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ready)
        .await
        .expect("the consumer gets active");
    arn
}

fn from_start() -> StartingPosition {
    StartingPosition::builder()
        .r#type(ShardIteratorType::TrimHorizon)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_subscriber_gets_records_when_they_are_written_and_the_children_at_the_end() {
    let (running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    let arn = consumer(&client).await;
    put(&client, "before").await;
    let subscribe = || {
        let subscribe = client
            .subscribe_to_shard()
            .consumer_arn(&arn)
            .shard_id(SHARD_0);
        subscribe.starting_position(from_start()).send()
    };
    let mut events = subscribe().await.unwrap().event_stream;
    let second = subscribe().await.unwrap_err().into_service_error();
    assert!(second.is_resource_in_use_exception(), "{second:?}");

    let mut next = async || -> Option<SubscribeToShardEvent> {
        let event = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
        match event.expect("an event comes").unwrap()? {
            SubscribeToShardEventStream::SubscribeToShardEvent(event) => Some(event),
            other => panic!("{other:?}"),
        }
    };
    let data = |event: &SubscribeToShardEvent| {
        let records = event
            .records()
            .iter()
            .map(|record| record.data().as_ref().to_vec());
        String::from_utf8(records.collect::<Vec<_>>().concat()).unwrap()
    };
    assert_eq!(data(&next().await.unwrap()), "before");
    // At the tip it waits; a record written now is not waited for until the next beat.
    let idle = next().await.unwrap();
    assert!(idle.records().is_empty());
    let written = Instant::now();
    put(&client, "after").await;
    assert_eq!(data(&next().await.unwrap()), "after");
    assert!(
        written.elapsed() < Duration::from_millis(900),
        "{:?}",
        written.elapsed()
    );

    let split = client
        .split_shard()
        .stream_name("s")
        .shard_to_split(SHARD_0);
    split.new_starting_hash_key(MIDDLE).send().await.unwrap();
    let last = loop {
        let event = next().await.unwrap();
        if !event.child_shards().is_empty() {
            break event;
        }
    };
    assert_eq!(last.child_shards().len(), 2);
    assert!(last.records().is_empty());
    assert!(
        next().await.is_none(),
        "the end of the shard ends the subscription"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_next_subscription_goes_on_where_the_last_one_stopped() {
    let lasts = Options {
        subscription_lasts: Duration::ZERO,
        ..unlimited()
    };
    let (_running, client, _) = start(lasts).await;
    create(&client, 2).await;
    let arn = consumer(&client).await;
    for data in ["a", "b"] {
        let put = client
            .put_record()
            .stream_name("s")
            .partition_key("k")
            .explicit_hash_key("0");
        put.data(Blob::new(data)).send().await.unwrap();
    }
    let subscribe = client
        .subscribe_to_shard()
        .consumer_arn(&arn)
        .shard_id(SHARD_0);
    let first = subscribe
        .starting_position(from_start())
        .send()
        .await
        .unwrap();
    let mut events = first.event_stream;
    let Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) =
        events.recv().await.unwrap()
    else {
        panic!("one event comes")
    };
    assert_eq!(event.records().len(), 2);
    assert!(events.recv().await.unwrap().is_none(), "its time is over");

    let put = client
        .put_record()
        .stream_name("s")
        .partition_key("k")
        .explicit_hash_key("0");
    put.data(Blob::new("c")).send().await.unwrap();
    let seen = event.continuation_sequence_number();
    for kind in [
        ShardIteratorType::AtSequenceNumber,
        ShardIteratorType::AfterSequenceNumber,
    ] {
        let asked = client
            .get_shard_iterator()
            .stream_name("s")
            .shard_id(SHARD_0);
        let asked = asked
            .shard_iterator_type(kind)
            .starting_sequence_number(seen);
        let found = asked.send().await.unwrap();
        let page = read(&client, found.shard_iterator().unwrap(), 10).await;
        assert_eq!(texts(&page), ["c"]);
    }
}
