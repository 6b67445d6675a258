//! The worker service on in-memory doors, in paused time: what it promises while the world fails.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "support/aggregate.rs"]
mod aggregate;
#[path = "pipeline_worker/beat.rs"]
mod beat;
#[path = "pipeline_worker/contract.rs"]
mod contract;
#[path = "support/doors.rs"]
mod doors;
#[path = "pipeline_worker/gaps.rs"]
mod gaps;
#[path = "pipeline_worker/pushed.rs"]
mod pushed;
#[path = "pipeline_worker/records.rs"]
mod records;
#[path = "pipeline_worker/shards.rs"]
mod shards;
#[path = "pipeline_worker/sinks.rs"]
mod sinks;
#[path = "support/stand.rs"]
mod stand;
#[path = "pipeline_worker/stores.rs"]
mod stores;
#[path = "support/stream_contract.rs"]
mod stream_contract;
#[path = "support/trimming.rs"]
mod trimming;

use stand::Stand;
use tidewire::model::message::Packed;

pub(crate) fn reading(device: &str, time: u32, value: u32) -> String {
    format!(r#"{{"device_id":"{device}","ts":{time},"x":{value}}}"#)
}

/// Puts `count` readings on a shard; the last one's sequence number.
pub(crate) fn put_many(stand: &Stand, to: u32, count: u32) -> String {
    let put = |time| {
        stand
            .stream
            .put(to, &reading(&format!("d{to}"), time, time))
    };
    let all: Vec<_> = (0..count).map(put).collect();
    all.last().unwrap().as_str().to_owned()
}

pub(crate) fn stored(stand: &Stand) -> usize {
    stand.store.with(|store| store.stored.len())
}

pub(crate) fn live(stand: &Stand) -> Vec<(String, String)> {
    let bodies = stand.queue.with(|queue| queue.bodies.clone());
    let packed = bodies
        .iter()
        .map(|body| serde_json::from_str::<Packed>(body).unwrap());
    packed
        .flat_map(|packed| packed.readings)
        .map(|reading| (reading.shard.to_string(), reading.seq.to_string()))
        .collect()
}
