//! Formats as others write them: what the page of formats shows, what AWS's documents show, and
//! what another implementation of aggregates makes.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "formats/aws.rs"]
mod aws;
#[path = "formats/page.rs"]
mod page;
#[path = "formats/peers.rs"]
mod peers;

use bytes::Bytes;
use tidewire::cli::decode::Shown;
use tidewire::model::{EpochMillis, PartitionKey, Record};
use tidewire::service::settings::Settings;

/// When the records of these tests arrived: 2023-11-14T22:13:20Z.
const ARRIVAL: EpochMillis = EpochMillis(1_700_000_000_000);

/// What a payload becomes under settings.
pub(crate) fn shown(settings: &str, payload: &[u8]) -> Shown {
    let name = format!("formats-{:?}.toml", std::thread::current().id());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, settings).unwrap();
    let settings = Settings::load(Some(&path), |_| None);
    std::fs::remove_file(&path).unwrap();
    let record = Record {
        sub: 0,
        seq: "1".parse().unwrap(),
        partition_key: Some(PartitionKey::from("pump-9")),
        arrival: ARRIVAL,
        data: Bytes::copy_from_slice(payload),
    };
    Shown::of(
        record,
        &settings.unwrap_or_else(|problems| panic!("{problems}")),
    )
}
