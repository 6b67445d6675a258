use aws_sdk_kinesis::types::{ScalingType, ShardFilter, ShardFilterType};

use super::*;

#[tokio::test]
async fn a_closed_shard_ends_with_its_children() {
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    put(&client, "old").await;
    let split = client
        .split_shard()
        .stream_name("s")
        .shard_to_split(SHARD_0);
    split.new_starting_hash_key(MIDDLE).send().await.unwrap();
    active(&client).await;

    let first = iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await;
    let page = read(&client, &first, 10).await;
    assert_eq!(texts(&page), ["old"]);
    let end = read(&client, page.next_shard_iterator().unwrap(), 10).await;
    assert_eq!(end.next_shard_iterator(), None);
    let children: Vec<_> = end
        .child_shards()
        .iter()
        .map(|child| child.shard_id())
        .collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(end.child_shards()[0].parent_shards(), [SHARD_0]);
    assert_eq!(
        end.child_shards()[1]
            .hash_key_range()
            .unwrap()
            .starting_hash_key(),
        MIDDLE
    );

    let merge = client
        .merge_shards()
        .stream_name("s")
        .shard_to_merge("shardId-000000000001");
    merge
        .adjacent_shard_to_merge("shardId-000000000002")
        .send()
        .await
        .unwrap();
    active(&client).await;
    let empty = iterator(
        &client,
        "shardId-000000000002",
        ShardIteratorType::TrimHorizon,
    )
    .await;
    let end = read(&client, &empty, 10).await;
    assert_eq!(end.next_shard_iterator(), None);
    let child = &end.child_shards()[0];
    assert_eq!(child.shard_id(), "shardId-000000000003");
    assert_eq!(
        child.parent_shards(),
        ["shardId-000000000001", "shardId-000000000002"]
    );
}

#[tokio::test]
async fn shards_are_listed_in_pages_and_by_filter() {
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 2).await;
    let born = i64::try_from(wall_ms() / 1000).unwrap();
    let split = client
        .split_shard()
        .stream_name("s")
        .shard_to_split(SHARD_0);
    split.new_starting_hash_key("100").send().await.unwrap();
    active(&client).await;

    let page = client
        .list_shards()
        .stream_name("s")
        .max_results(3)
        .send()
        .await
        .unwrap();
    assert_eq!(page.shards().len(), 3);
    let rest = client
        .list_shards()
        .next_token(page.next_token().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(rest.shards().len(), 1);
    assert_eq!(rest.next_token(), None);

    let numbers = async |filter: ShardFilter| {
        let asked = client.list_shards().stream_name("s").shard_filter(filter);
        let answer = asked.send().await.unwrap();
        let ids = answer.shards().iter().map(|shard| shard.shard_id());
        ids.map(|id| id.trim_start_matches("shardId-").parse().unwrap())
            .collect::<Vec<u32>>()
    };
    let of = |kind| ShardFilter::builder().r#type(kind);
    assert_eq!(
        numbers(of(ShardFilterType::AtLatest).build().unwrap()).await,
        [1, 2, 3]
    );
    assert_eq!(
        numbers(of(ShardFilterType::AtTrimHorizon).build().unwrap()).await[..2],
        [0, 1]
    );
    assert_eq!(
        numbers(of(ShardFilterType::FromTrimHorizon).build().unwrap()).await,
        [0, 1, 2, 3]
    );
    let after = of(ShardFilterType::AfterShardId).shard_id("shardId-000000000001");
    assert_eq!(numbers(after.build().unwrap()).await, [2, 3]);
    let later = DateTime::from_secs(born + 60);
    let at = of(ShardFilterType::AtTimestamp).timestamp(later);
    assert_eq!(numbers(at.build().unwrap()).await, [1, 2, 3]);
    let from = of(ShardFilterType::FromTimestamp).timestamp(later);
    assert_eq!(numbers(from.build().unwrap()).await, [1, 2, 3]);
    let early = DateTime::from_secs(born - 60);
    let at = of(ShardFilterType::AtTimestamp).timestamp(early);
    assert!(numbers(at.build().unwrap()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_at_the_tip_misses_nothing_of_many_writers_while_shards_split() {
    const WRITERS: usize = 4;
    const EACH: usize = 30;
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 1).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let client = client.clone();
        writers.spawn(async move {
            for n in 0..EACH {
                let data = format!("{writer}-{n}");
                let put = client.put_record().stream_name("s").data(Blob::new(data));
                put.partition_key(n.to_string()).send().await.unwrap();
            }
        });
    }
    let split = client
        .split_shard()
        .stream_name("s")
        .shard_to_split(SHARD_0);
    split.new_starting_hash_key(MIDDLE).send().await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut open = vec![iterator(&client, SHARD_0, ShardIteratorType::TrimHorizon).await];
    let all = async {
        while seen.len() < WRITERS * EACH {
            let mut next = Vec::new();
            for place in open {
                let page = read(&client, &place, 10).await;
                seen.extend(texts(&page));
                next.extend(page.next_shard_iterator().map(str::to_owned));
                for child in page.child_shards() {
                    let start = ShardIteratorType::TrimHorizon;
                    next.push(iterator(&client, child.shard_id(), start).await);
                }
            }
            open = next;
        }
    };
    let read_all = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(read_all.is_ok(), "every record written is read");
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
}

#[tokio::test]
async fn the_children_of_a_new_shard_count_have_parents() {
    let (_running, client, _) = start(unlimited()).await;
    create(&client, 2).await;
    put(&client, "old").await;
    let update = client
        .update_shard_count()
        .stream_name("s")
        .target_shard_count(4);
    let updated = update
        .scaling_type(ScalingType::UniformScaling)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (updated.current_shard_count(), updated.target_shard_count()),
        (Some(2), Some(4))
    );
    let listed = client.list_shards().stream_name("s").send().await.unwrap();
    let children = listed
        .shards()
        .iter()
        .filter(|shard| shard.parent_shard_id().is_some());
    assert_eq!(children.count(), 4);
    put(&client, "new").await;
    let mut seen = Vec::new();
    for shard in listed.shards() {
        let first = iterator(&client, shard.shard_id(), ShardIteratorType::TrimHorizon).await;
        seen.extend(texts(&read(&client, &first, 10).await));
    }
    assert_eq!(seen, ["old", "new"]);
}
