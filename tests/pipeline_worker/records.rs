//! Records that hold more than one reading or are not read at all: aggregates, old ones, and pages
//! that decode to many times their size.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewire::lease::talk::Say;
use tidewire::model::message::Packed;
use tidewire::model::{Checkpoint, EpochMillis, Fault, SequenceNumber, Start};
use tidewire::service::clock;

use super::aggregate::aggregate;
use super::stand::Stand;
use super::{reading, stored};

/// An aggregate of so many readings, each of its own device.
fn readings(count: u32) -> Vec<u8> {
    let one = |number: u32| {
        let device = format!("d{number}");
        let payload = reading(&device, number, number).into_bytes();
        (device, None, payload)
    };
    aggregate(&(0..count).map(one).collect::<Vec<_>>())
}

/// The last checkpoint that the keeper was told.
fn checkpoint(stand: &Stand) -> Option<(SequenceNumber, u64)> {
    stand.says().into_iter().rev().find_map(|say| match say {
        Say::Checkpoint {
            checkpoint: Checkpoint::At { seq, sub },
            ..
        } => Some((seq, sub)),
        _ => None,
    })
}

/// How often each user record went live.
fn lives(stand: &Stand) -> BTreeMap<(SequenceNumber, u64), usize> {
    let bodies = stand.queue.with(|queue| queue.bodies.clone());
    let packed = bodies
        .iter()
        .map(|body| serde_json::from_str::<Packed>(body).unwrap());
    let mut lives = BTreeMap::new();
    for one in packed.flat_map(|packed| packed.readings) {
        *lives.entry((one.seq, one.sub)).or_default() += 1;
    }
    lives
}

#[tokio::test(start_paused = true)]
async fn a_restart_within_an_aggregate_repeats_only_what_its_checkpoint_does_not_cover() {
    let mut stand = Stand::start_with(|options| {
        options.pipeline.stores[0].batch_max = 10;
    });
    let seq = stand.stream.put_bytes(0, readings(1_000));
    let after = stand.stream.put(0, &reading("after", 1, 1));
    stand
        .store
        .trouble(|trouble| trouble.delay = Duration::from_millis(100));
    stand.grant(0, Start::TrimHorizon).await;
    let within = |stand: &Stand| checkpoint(stand).is_some_and(|(_, sub)| sub >= 200);
    stand
        .until("a checkpoint within the aggregate", within)
        .await;
    let (at, sub) = checkpoint(&stand).unwrap();
    assert!(at == seq && sub < 999, "{sub}");
    stand.revoke(0).await;
    let before = lives(&stand);
    stand
        .grant(
            0,
            Start::At {
                seq: seq.clone(),
                sub,
            },
        )
        .await;
    let done = |stand: &Stand| checkpoint(stand) == Some((after.clone(), 0));
    stand.until("all is done", done).await;
    assert_eq!(stored(&stand), 1_001, "nothing is lost");
    let lives = lives(&stand);
    assert_eq!(lives.len(), 1_001);
    for ((of, number), times) in lives {
        let covered = of == seq && number <= sub;
        let went_before = before.contains_key(&(of, number));
        assert_eq!(times, 1 + usize::from(went_before && !covered), "{number}");
    }
    let status = stand.books().await;
    assert_eq!(status.records.read, 1_001 + (1_001 - sub - 1));
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_done_is_read_again_and_not_handed_on() {
    let mut stand = Stand::start();
    let seqs: Vec<_> = (0..3)
        .map(|n| stand.stream.put(0, &reading("d", n, n)))
        .collect();
    let start = Start::At {
        seq: seqs[1].clone(),
        sub: 0,
    };
    stand.grant(0, start).await;
    let done = |stand: &Stand| checkpoint(stand) == Some((seqs[2].clone(), 0));
    stand.until("the last is done", done).await;
    assert_eq!(stand.books().await.records.read, 1);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_user_record_costs_one_letter_with_its_own_place() {
    let mut stand = Stand::start();
    let parts = [
        "{\"device_id\":\"a\",\"ts\":1,\"x\":1}",
        "rubbish",
        "{\"device_id\":\"b\",\"ts\":1,\"x\":1}",
    ];
    let parts = parts.map(|data| ("k".to_owned(), None, data.as_bytes().to_vec()));
    let seq = stand.stream.put_bytes(0, aggregate(&parts));
    let mut broken = readings(2);
    broken[10] ^= 1;
    let after = stand.stream.put_bytes(0, broken);
    stand.grant(0, Start::TrimHorizon).await;
    let done = |stand: &Stand| checkpoint(stand) == Some((after.clone(), 0));
    stand.until("all is done", done).await;
    assert_eq!(stored(&stand), 2);
    let letters = stand.letters.with(|letters| letters.clone());
    let places: Vec<_> = letters.iter().map(|l| (l.seq.clone(), l.sub)).collect();
    assert_eq!(places, [(seq, 1), (after, 0)]);
    assert_eq!(letters[0].data_base64.as_deref(), Some("cnViYmlzaA=="));
    assert!(letters[1].reason.contains("MD5"), "{}", letters[1].reason);
    assert_eq!(stand.books().await.records.undecodable, 2);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn user_records_of_another_shard_are_skipped_and_counted() {
    for skips in [true, false] {
        let mut stand = Stand::start_with(|options| options.decode.hash_range = skips);
        stand
            .stream
            .with(|stream| stream.hash_keys_end = Some(1_000));
        let one = |number: u32, hash_key| {
            let payload = reading("d", number, number).into_bytes();
            ("k".to_owned(), Some(hash_key), payload)
        };
        let parts = [one(0, 0), one(1, 1_001), one(2, 1_000), one(3, u128::MAX)];
        let seq = stand.stream.put_bytes(0, aggregate(&parts));
        stand.grant(0, Start::TrimHorizon).await;
        let done = |stand: &Stand| checkpoint(stand) == Some((seq.clone(), 3));
        stand.until("all is done", done).await;
        assert_eq!(stored(&stand), if skips { 2 } else { 4 });
        let status = stand.books().await;
        for sink in ["timestream", "queue"] {
            let skipped = &status.sinks[sink].book.skipped;
            let skipped: u64 = skipped.values().sum();
            assert_eq!(skipped, if skips { 2 } else { 0 }, "{sink}");
        }
        stand.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn records_older_than_the_maximum_age_are_skipped_and_counted() {
    let hour = Duration::from_secs(3_600);
    let mut stand = Stand::start_with(|options| options.record_max_age = Some(hour));
    let now = clock::wall();
    stand
        .stream
        .put_at(0, "not even JSON", EpochMillis(now.0 - 3_700_000));
    stand
        .stream
        .put_at(0, &reading("old", 1, 1), EpochMillis(now.0 - 3_700_000));
    let last = stand
        .stream
        .put_at(0, &reading("new", 1, 1), EpochMillis(now.0 - 3_500_000));
    stand.grant(0, Start::TrimHorizon).await;
    let done = |stand: &Stand| checkpoint(stand) == Some((last.clone(), 0));
    stand.until("all is done", done).await;
    assert_eq!(stored(&stand), 1);
    assert_eq!(stand.letters.with(|letters| letters.len()), 0);
    let status = stand.books().await;
    let skipped = &status.sinks["timestream"].book.skipped;
    assert_eq!(format!("{skipped:?}"), "{MaximumRecordAge: 2}");
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_decodes_to_many_times_its_size_stays_within_the_budget() {
    const BUDGET: u64 = 2 * 1024 * 1024;
    let mut stand = Stand::start_with(|options| options.pipeline.budget_bytes = BUDGET);
    let mut payload_bytes = 0;
    let mut last = None;
    for record in 0..1_000 {
        let objects = (0..20).map(|n| reading("d", record * 20 + n, n));
        let payload = objects.collect::<Vec<_>>().join("\n");
        payload_bytes += payload.len() as u64;
        last = Some(stand.stream.put(0, &payload));
    }
    stand
        .store
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    stand.grant(0, Start::TrimHorizon).await;
    let mut most = 0;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        most = most.max(stand.status.borrow().budget_used_bytes);
    }
    assert!(most > BUDGET / 2, "{most}: it reads as much as it may");
    // One answer, as it came, and one part of it.
    let allowed = BUDGET + payload_bytes + 2 * tidewire::pipeline::PART_BYTES;
    assert!(most < allowed, "{most} of {allowed}");
    assert!(allowed < 20_000 * 500, "the readings would take more");
    stand.store.trouble(|trouble| trouble.down = None);
    let last = (last.unwrap(), 0);
    let done = |stand: &Stand| checkpoint(stand).as_ref() == Some(&last);
    stand.until("all is done", done).await;
    assert_eq!(stored(&stand), 20_000);
    stand.stop().await;
}
