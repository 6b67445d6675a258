//! The in-memory stream keeps to the contract of subscriptions, as the adapter does.

use tidewire::model::{SequenceNumber, ShardId};

use super::doors::{MemoryStream, shard};
use super::stream_contract::{self, SHARDS, Subject};

impl Subject for MemoryStream {
    type Stream = Self;

    fn stream(&self) -> &Self {
        self
    }

    async fn put(&self, to: &ShardId, text: &str) -> SequenceNumber {
        let number = to.as_str().rsplit('-').next().unwrap();
        Self::put(self, number.parse().unwrap(), text)
    }

    async fn split(&self, of: &ShardId) {
        self.with(|stream| stream.shards.get_mut(of).unwrap().closed = true);
    }
}

#[tokio::test(start_paused = true)]
async fn the_contract_of_subscriptions_holds_for_what_these_tests_use() {
    let stream = MemoryStream::default();
    stream.with(|stream| {
        stream.pushing.on = true;
        for number in 0..u32::try_from(SHARDS).unwrap() {
            stream.shards.entry(shard(number)).or_default();
        }
    });
    stream_contract::holds(&stream).await;
}
