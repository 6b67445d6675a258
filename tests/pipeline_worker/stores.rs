//! Two stores side by side, and each sink's hour of outage: one watermark, books for each.

use std::time::Duration;

use tidewire::model::{Fault, Stage, Start};
use tidewire::pipeline::StoreOptions;
use tidewire::pipeline::message::Format;
use tidewire::service::worker::Options;
use tokio::time::Instant;

use super::doors::Trouble;
use super::stand::Stand;
use super::{live, put_many, reading, stored};

fn with_influx(options: &mut Options) {
    let influx = StoreOptions {
        batch_max: 5_000,
        bytes_max: 8_000_000,
        ..StoreOptions::new(Stage::Influx)
    };
    options.pipeline.stores.push(influx);
}

fn stored_in_influx(stand: &Stand) -> usize {
    stand.influx.with(|store| store.stored.len())
}

#[tokio::test(start_paused = true)]
async fn each_store_acknowledges_for_itself_and_the_checkpoint_waits_for_both() {
    let mut stand = Stand::start_with(with_influx);
    stand
        .influx
        .trouble(|trouble| trouble.down = Some(Fault::Transient));
    // Each store refuses another reading.
    stand
        .store
        .with(|store| store.poison.insert("a".to_owned()));
    stand
        .influx
        .with(|store| store.poison.insert("b".to_owned()));
    stand.stream.put(0, &reading("a", 1, 1));
    stand.stream.put(0, &reading("b", 2, 2));
    let last = put_many(&stand, 0, 40);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(stored(&stand), 41);
    assert_eq!(live(&stand).len(), 42);
    assert_eq!(stand.checkpoint(0), None);
    let status = stand.status.borrow().clone();
    assert_eq!(status.sinks["timestream"].error, None);
    assert!(status.sinks["influx"].error.is_some());

    stand.influx.trouble(|trouble| trouble.down = None);
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
    stand.until("all is done", is_done).await;
    let status = stand.books().await;
    for (sink, stage) in [("timestream", Stage::Timestream), ("influx", Stage::Influx)] {
        let book = &status.sinks[sink].book;
        assert_eq!((book.acknowledged, book.dead_lettered), (41, 1), "{sink}");
        assert_eq!(status.dead_letters[&stage], 1);
    }
    assert_eq!(stored_in_influx(&stand), 41);
}

/// What a door suffers is changed through this, whatever its kind.
type Switch = fn(&Stand, &dyn Fn(&mut Trouble));

const DOORS: [(&str, Switch); 4] = [
    ("timestream", |stand, change| {
        stand.store.trouble(|trouble| change(trouble));
    }),
    ("influx", |stand, change| {
        stand.influx.trouble(|trouble| change(trouble));
    }),
    ("queue", |stand, change| {
        stand.queue.trouble(|trouble| change(trouble));
    }),
    ("dead_letters", |stand, change| {
        stand.letters.trouble(|trouble| change(trouble));
    }),
];

/// Readings that arrive each second meanwhile.
const ARRIVE: u32 = 3;

/// Every so many seconds there is a record that does not decode.
const RUBBISH_EVERY: u32 = 12;

#[tokio::test(start_paused = true)]
async fn an_hour_without_a_sink_loses_nothing_keeps_order_and_memory_and_ends_within_seconds() {
    const BUDGET: u64 = 1_000_000;
    for (name, switch) in DOORS {
        let mut stand = Stand::start_with(|options| {
            with_influx(options);
            options.pipeline.budget_bytes = BUDGET;
        });
        stand.grant(0, Start::TrimHorizon).await;
        switch(&stand, &|trouble| trouble.down = Some(Fault::Transient));
        let mut time = 0;
        let mut most = 0;
        for second in 0..3_600 {
            for _ in 0..ARRIVE {
                time += 1;
                stand.stream.put(0, &reading("d", time, time));
            }
            if second % RUBBISH_EVERY == 0 {
                stand.stream.put(0, "{");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            most = most.max(stand.status.borrow().budget_used_bytes);
        }
        let last = stand.stream.put(0, &reading("d", time + 1, 0));
        let last = last.as_str().to_owned();
        // One answer may overshoot the budget: its records were smaller than estimated.
        assert!(
            (BUDGET / 2..BUDGET + 300_000).contains(&most),
            "{name}: {most}"
        );
        let before = stand.status.borrow().records.done;
        switch(&stand, &|trouble| trouble.down = None);
        let back = Instant::now();
        let moves = |stand: &Stand| stand.status.borrow().records.done > before;
        stand.until("the checkpoint moves", moves).await;
        assert!(
            back.elapsed() < Duration::from_secs(8),
            "{name}: {:?}",
            back.elapsed()
        );
        let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
        stand.until("all is done", is_done).await;

        let status = stand.books().await;
        let readings = u64::from(time) + 1;
        assert_eq!(status.dead_letters[&Stage::Decode], 300, "{name}");
        for sink in ["timestream", "influx", "queue"] {
            assert_eq!(
                status.sinks[sink].book.acknowledged, readings,
                "{name}: {sink}"
            );
        }
        for store in [&stand.store, &stand.influx] {
            store.with(|store| {
                let order = store.stored.iter().map(|one| one.position.clone());
                assert!(
                    order.is_sorted(),
                    "{name}: a store got readings out of order"
                );
                assert_eq!(store.stored.len() as u64, readings, "{name}");
            });
        }
        let live = live(&stand);
        assert!(
            live.is_sorted(),
            "{name}: the queue got readings out of order"
        );
        assert_eq!(live.len() as u64, readings, "{name}");
        assert_eq!(status.budget_used_bytes, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_throttles_for_minutes_is_offered_half_and_then_all_again() {
    let mut stand = Stand::start_with(|options| {
        options.pipeline.stores[0].requests_max = 4;
        options.pipeline.stores[0].window = Duration::ZERO;
    });
    stand.store.trouble(|trouble| {
        trouble.down = Some(Fault::Throttled);
        trouble.delay = Duration::from_millis(20);
    });
    for number in 0..6 {
        put_many(&stand, number, 1);
        stand.grant(number, Start::TrimHorizon).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let store = stand.status.borrow().sinks["timestream"].clone();
    assert_eq!(store.requests_allowed, 2);
    assert!(store.requests_in_flight >= 2, "it stays under pressure");
    let calls = stand
        .store
        .trouble(|trouble| std::mem::take(&mut trouble.calls));
    assert!(calls > 100, "{calls}");

    stand.store.trouble(|trouble| trouble.down = None);
    let last: Vec<_> = (0..6).map(|to| put_many(&stand, to, 2_000)).collect();
    for (number, last) in (0..6).zip(last) {
        let is_done = |stand: &Stand| stand.checkpoint(number).as_ref() == Some(&last);
        stand.until("all is done", is_done).await;
    }
    let status = stand.books().await;
    assert_eq!(status.sinks["timestream"].requests_allowed, 4);
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_readings_are_slow_to_write_does_not_hold_up_the_others() {
    let mut stand = Stand::start_with(|options| {
        options.pipeline.budget_bytes = 2_000_000;
        options.pipeline.stores[0].requests_max = 2;
    });
    // Every reading of the first shard is refused, each found by halving: hundreds of requests.
    stand
        .store
        .with(|store| store.poison.insert("d0".to_owned()));
    stand
        .store
        .trouble(|trouble| trouble.delay = Duration::from_millis(50));
    for number in 0..6 {
        stand.stream.put(number, &reading("first", number, 0));
        stand.grant(number, Start::TrimHorizon).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let slow = put_many(&stand, 0, 2_000);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for round in 1..6 {
        let last = put_many(&stand, round, 100);
        let since = Instant::now();
        let is_done = |stand: &Stand| stand.checkpoint(round).as_ref() == Some(&last);
        stand.until("the other shard is done", is_done).await;
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "{:?}",
            since.elapsed()
        );
    }
    assert!(
        stand.status.borrow().records.in_flight > 0,
        "the first one still works"
    );
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&slow);
    stand.until("the slow shard is done", is_done).await;
    assert_eq!(stand.books().await.dead_letters[&Stage::Timestream], 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_asks_for_a_pause_is_left_alone_for_as_long() {
    let mut stand = Stand::start();
    stand
        .store
        .with(|store| store.asks = Duration::from_secs(40));
    let last = put_many(&stand, 0, 3);
    stand.grant(0, Start::TrimHorizon).await;
    tokio::time::sleep(Duration::from_secs(39)).await;
    assert_eq!(stand.store.trouble(|trouble| trouble.calls), 0);
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
    stand.until("all is done", is_done).await;
    assert_eq!(stand.store.trouble(|trouble| trouble.calls), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_gets_only_what_is_meant_for_it_and_its_book_says_so() {
    let mut stand = Stand::start_with(with_influx);
    stand
        .store
        .with(|store| store.leaves.insert("a".to_owned()));
    stand
        .influx
        .with(|store| store.leaves.insert("b".to_owned()));
    stand.stream.put(0, &reading("a", 1, 1));
    stand.stream.put(0, &reading("b", 1, 1));
    stand.stream.put(0, &reading("b", 2, 1));
    let last = stand.stream.put(0, &reading("c", 1, 1)).as_str().to_owned();
    stand.grant(0, Start::TrimHorizon).await;
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
    stand.until("all is done", is_done).await;
    let status = stand.books().await;
    let read = |sink: &str| {
        let book = &status.sinks[sink].book;
        (book.read, book.acknowledged)
    };
    assert_eq!(read("timestream"), (3, 3));
    assert_eq!(read("influx"), (2, 2));
    assert_eq!(read("queue"), (4, 4));
    assert_eq!((stored(&stand), stored_in_influx(&stand)), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_gets_each_devices_readings_in_order_though_it_stumbles() {
    let mut stand = Stand::start_with(|options| {
        options.pipeline.queue_format = Format::Single;
        options.pipeline.fifo_queues.insert(0);
    });
    stand.queue.with(|queue| queue.stumbles = 7);
    let mut last = String::new();
    for time in 0..60 {
        let device = format!("d{}", time % 4);
        last = stand
            .stream
            .put(0, &reading(&device, time, time))
            .as_str()
            .to_owned();
    }
    stand.grant(0, Start::TrimHorizon).await;
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
    stand.until("all is done", is_done).await;
    let bodies = stand.queue.with(|queue| queue.bodies.clone());
    assert_eq!(bodies.len(), 60);
    for device in 0..4 {
        let of = format!("\"device_id\":\"d{device}\"");
        let mine = bodies.iter().filter(|body| body.contains(&of));
        let times = mine.map(|body| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["ts"].as_i64().unwrap()
        });
        assert!(times.is_sorted(), "d{device}");
    }
    assert!(stand.queue.with(|queue| queue.groups.len()) >= 60);
}

#[tokio::test(start_paused = true)]
async fn a_reading_too_large_for_company_travels_alone_and_one_too_large_for_the_queue_is_filed() {
    let mut stand = Stand::start_with(|options| options.pipeline.message_bytes_limit = 262_144);
    let large = |device: &str, bytes: usize| {
        format!(
            r#"{{"device_id":"{device}","ts":1,"x":"{}"}}"#,
            "y".repeat(bytes)
        )
    };
    stand.stream.put(0, &large("large", 200_000));
    stand.stream.put(0, &large("too-large", 262_144));
    let last = put_many(&stand, 0, 5);
    stand.grant(0, Start::TrimHorizon).await;
    let is_done = |stand: &Stand| stand.checkpoint(0).as_ref() == Some(&last);
    stand.until("all is done", is_done).await;
    assert_eq!(live(&stand).len(), 6);
    let longest = stand
        .queue
        .with(|queue| queue.bodies.iter().map(String::len).max());
    assert!(longest.is_some_and(|bytes| (200_000..262_144).contains(&bytes)));
    let letters = stand.letters.with(|letters| letters.clone());
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].reason.contains("262144 are allowed"),
        "{}",
        letters[0].reason
    );
}
