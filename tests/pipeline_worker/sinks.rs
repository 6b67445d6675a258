//! Sinks: down, slow, refusing, and what becomes of the readings.

use std::time::Duration;

use tidewire::model::{Fault, Stage, Start};
use tidewire::pipeline::Rule;
use tidewire::pipeline::message::Format;
use tokio::time::Instant;

use super::stand::Stand;
use super::{live, put_many, reading, stored};

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_for_an_hour_stops_reading_and_loses_nothing() {
    let mut stand = Stand::start_with(|options| options.pipeline.budget_bytes = 1_000_000);
    for fault in [Fault::Transient, Fault::Throttled, Fault::Fatal] {
        stand.store.trouble(|trouble| trouble.down = Some(fault));
        let before = stand.status.borrow().records.read;
        let shards = 0..2_u32;
        let last: Vec<_> = shards
            .clone()
            .map(|to| put_many(&stand, to, 4_000))
            .collect();
        for number in shards.clone() {
            let start = match stand.checkpoint(number) {
                Some(seq) => Start::After(seq.parse().unwrap()),
                None => Start::TrimHorizon,
            };
            stand.grant(number, start).await;
        }
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        let status = stand.status.borrow().clone();
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        let later = stand.status.borrow().clone();
        // It read what fits, and then no more.
        assert!(status.records.read > before);
        assert_eq!(status.records.read, later.records.read);
        assert!(later.records.read < before + 8_000);
        assert!(
            later.budget_used_bytes <= 1_000_000 + 2 * 300_000,
            "{later:?}"
        );
        assert!(later.sinks["timestream"].error.is_some());
        assert_eq!(later.fatal.is_some(), fault == Fault::Fatal);

        stand.store.trouble(|trouble| trouble.down = None);
        for number in shards {
            let last = &last[number as usize];
            let is_done = |stand: &Stand| stand.checkpoint(number).as_ref() == Some(last);
            stand.until("all is done", is_done).await;
        }
        let status = stand.books().await;
        assert_eq!(status.records.read, status.records.done);
        assert_eq!(status.fatal, None);
        assert_eq!(status.budget_used_bytes, 0);
        assert_eq!(status.sinks["timestream"].error, None);
    }
    assert_eq!(stored(&stand), 8_000);
    assert_eq!(stand.letters.with(|letters| letters.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_poison_record_costs_one_dead_letter() {
    let mut stand = Stand::start();
    stand.stream.put(0, &reading("a", 1, 1));
    let poison = stand.stream.put(0, "{\"device_id\":");
    stand.stream.put(0, &reading(&"n".repeat(61), 2, 2));
    stand.stream.put(0, r#"{"device_id":"quiet","ts":1}"#);
    let last = stand.stream.put(0, &reading("b", 3, 3));
    stand.grant(0, Start::TrimHorizon).await;
    let last = last.as_str().to_owned();
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    let letters = stand.letters.with(|letters| letters.clone());
    let stages: Vec<_> = letters
        .iter()
        .map(|letter| (letter.stage, letter.i))
        .collect();
    assert_eq!(
        stages,
        [(Stage::Decode, None), (Stage::Timestream, Some(0))]
    );
    assert_eq!(letters[0].seq, poison);
    assert_eq!(
        letters[0].data_base64.as_deref(),
        Some("eyJkZXZpY2VfaWQiOg==")
    );
    assert!(letters[0].reason.starts_with("the payload is not JSON"));
    let status = stand.books().await;
    let book = &status.sinks["timestream"].book;
    assert_eq!(
        (book.read, book.acknowledged, book.dead_lettered),
        (4, 2, 1)
    );
    assert_eq!(book.skipped.values().sum::<u64>(), 1);
    // What the store would not take still goes live.
    assert_eq!(status.sinks["queue"].book.acknowledged, 3);
    assert_eq!(status.dead_letters[&Stage::Decode], 1);
}

#[tokio::test(start_paused = true)]
async fn no_checkpoint_passes_a_letter_that_is_not_filed() {
    let mut stand = Stand::start();
    stand
        .letters
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    let before = stand.stream.put(0, &reading("a", 1, 1));
    stand.stream.put(0, "rubbish");
    let last = put_many(&stand, 0, 300);
    stand.grant(0, Start::TrimHorizon).await;
    stand
        .until("the rest is stored", |stand| stored(stand) == 301)
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(stand.checkpoint(0).as_deref(), Some(before.as_str()));
    assert!(stand.status.borrow().dead_letters_error.is_some());
    stand.letters.trouble(|trouble| trouble.down = None);
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    assert_eq!(stand.books().await.dead_letters[&Stage::Decode], 1);
}

#[tokio::test(start_paused = true)]
async fn one_bad_reading_among_a_hundred_is_found_and_the_rest_stored() {
    let mut stand = Stand::start();
    stand
        .store
        .with(|store| store.poison.insert("bad".to_owned()));
    put_many(&stand, 0, 63);
    stand.stream.put(0, &reading("bad", 1, 1));
    let last = stand.stream.put(0, &format!("[{}]", reading("good", 1, 1)));
    put_many(&stand, 1, 36);
    stand.grant(0, Start::TrimHorizon).await;
    stand.grant(1, Start::TrimHorizon).await;
    let last = last.as_str().to_owned();
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    let status = stand.books().await;
    let book = &status.sinks["timestream"].book;
    assert_eq!((book.acknowledged, book.dead_lettered), (100, 1));
    assert_eq!(stored(&stand), 100);
    let requests = stand.store.with(|store| store.batches.len());
    // Seven halvings, and one more where the two shards part.
    assert!(requests <= 1 + 2 * 8 + 1, "{requests} requests");
    let letters = stand.letters.with(|letters| letters.clone());
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].stage, Stage::Timestream);
}

#[tokio::test(start_paused = true)]
async fn a_second_value_for_one_row_is_its_own_rejection_whatever_the_batching() {
    for split in [false, true] {
        let mut stand = Stand::start();
        stand
            .store
            .trouble(|trouble| trouble.delay = Duration::from_millis(70));
        stand.stream.put(0, &reading("a", 1, 1));
        if split {
            stand.grant(0, Start::TrimHorizon).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let second = stand.stream.put(0, &reading("a", 1, 2));
        let same = stand.stream.put(0, &reading("a", 1, 1));
        let other = r#"{"device_id":"a","ts":1,"y":9}"#;
        let last = stand.stream.put(0, other).as_str().to_owned();
        if !split {
            stand.grant(0, Start::TrimHorizon).await;
        }
        stand
            .until("all is done", |stand| {
                stand.checkpoint(0).as_ref() == Some(&last)
            })
            .await;
        let letters = stand.letters.with(|letters| letters.clone());
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].seq, second);
        assert!(second < same);
        let rows = stand.store.with(|store| store.rows.len());
        assert_eq!(rows, 2, "other measures are another row");
        let book = stand.books().await.sinks["timestream"].book.clone();
        assert_eq!((book.acknowledged, book.dead_lettered), (3, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn equal_readings_of_two_shards_are_sent_once_and_done_together() {
    let mut stand = Stand::start();
    stand
        .store
        .trouble(|trouble| trouble.delay = Duration::from_secs(1));
    let ends: Vec<_> = (0..2)
        .map(|to| stand.stream.put(to, &reading("a", 1, 1)))
        .collect();
    stand.grant(0, Start::TrimHorizon).await;
    stand.grant(1, Start::TrimHorizon).await;
    for (number, end) in (0..2).zip(ends) {
        let end = end.as_str().to_owned();
        let is_done = |stand: &Stand| stand.checkpoint(number).as_ref() == Some(&end);
        stand.until("it is done", is_done).await;
    }
    assert_eq!(stand.store.with(|store| store.batches.clone()), [1]);
    assert_eq!(stand.books().await.sinks["timestream"].book.acknowledged, 2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_gets_again_only_what_it_did_not_take() {
    let mut stand = Stand::start_with(|options| options.pipeline.queue_format = Format::Single);
    stand.queue.with(|queue| {
        queue.stumbles = 3;
        queue.refuses = Some(r#""device_id":"evil""#.to_owned());
    });
    stand.stream.put(0, &reading("evil", 1, 1));
    let last = put_many(&stand, 0, 25);
    stand.grant(0, Start::TrimHorizon).await;
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    let bodies = stand.queue.with(|queue| queue.bodies.clone());
    assert_eq!(bodies.len(), 25);
    let status = stand.books().await;
    assert_eq!(status.sinks["queue"].book.dead_lettered, 1);
    assert_eq!(status.dead_letters[&Stage::Queue], 1);
}

#[tokio::test(start_paused = true)]
async fn one_bad_reading_of_a_packed_message_does_not_take_the_others_with_it() {
    let mut stand = Stand::start();
    stand
        .queue
        .with(|queue| queue.refuses = Some(r#""evil""#.to_owned()));
    stand.stream.put(0, &reading("evil", 1, 1));
    let last = put_many(&stand, 0, 25);
    stand.grant(0, Start::TrimHorizon).await;
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    assert_eq!(live(&stand).len(), 25);
    assert_eq!(stand.books().await.sinks["queue"].book.dead_lettered, 1);
}

#[tokio::test(start_paused = true)]
async fn old_readings_skip_a_queue_that_is_down_and_the_archive_goes_on() {
    let mut stand =
        Stand::start_with(|options| options.queue_max_age = Some(Duration::from_secs(60)));
    stand
        .queue
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    let last = put_many(&stand, 0, 40);
    let granted = Instant::now();
    stand.grant(0, Start::TrimHorizon).await;
    stand
        .until("all is done", |stand| {
            stand.checkpoint(0).as_ref() == Some(&last)
        })
        .await;
    assert!(granted.elapsed() > Duration::from_secs(50));
    let status = stand.books().await;
    assert_eq!(status.sinks["queue"].book.skipped.values().sum::<u64>(), 40);
    assert_eq!(status.sinks["timestream"].book.acknowledged, 40);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_reading_is_counted_and_gets_no_letter() {
    let mut stand = Stand::start();
    let superseded = "old".to_owned();
    stand
        .store
        .with(|store| store.superseded.insert(superseded));
    stand.stream.put(0, &reading("old", 1, 1));
    let last = put_many(&stand, 0, 3);
    stand.grant(0, Start::TrimHorizon).await;
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
    stand.until("all is done", is_done).await;
    let book = stand.books().await.sinks["timestream"].book.clone();
    assert_eq!(book.skipped[&Rule::Superseded], 1);
    assert_eq!(book.dead_lettered, 0);
    assert_eq!(stand.letters.with(|letters| letters.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_returns_gets_nothing_of_a_shard_that_was_lost_meanwhile() {
    let mut stand = Stand::start();
    stand
        .store
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    stand
        .queue
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    for number in 0..2 {
        put_many(&stand, number, 3);
        stand.grant(number, Start::TrimHorizon).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    stand.revoke(0).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(stand.status.borrow().sinks["timestream"].error.is_some());
    stand.store.trouble(|trouble| trouble.down = None);
    stand.queue.trouble(|trouble| trouble.down = None);
    let is_done = |stand: &Stand| stored(stand) > 0 && !live(stand).is_empty();
    stand.until("the other shard is done", is_done).await;
    let status = stand.books().await;
    assert_eq!(stored(&stand), 3);
    assert_eq!(live(&stand).len(), 3);
    assert_eq!(status.sinks["timestream"].book.abandoned, 3);
    assert_eq!(status.sinks["timestream"].error, None);
}
