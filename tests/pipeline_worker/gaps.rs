//! Retention: what was dropped from the stream before it was read is said, counted, and nothing
//! else is.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tidewire::model::{Fault, Start};

use super::stand::Stand;
use super::trimming::How;
use super::{live, put_many, stored};

/// What this thread logs and counts; the worker of a stand in paused time runs on it.
struct Ear {
    log: Log,
    counters: PrometheusHandle,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ear {
    /// Log lines from warnings on, each with its fields.
    fn lines(&self) -> Vec<String> {
        let bytes = self.log.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The gaps counted, as Prometheus would see them.
    fn gaps(&self) -> Vec<String> {
        let rendered = self.counters.render();
        let of = |line: &&str| line.starts_with("tidewire_shard_gaps_total{");
        let mut lines: Vec<_> = rendered.lines().filter(of).map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

macro_rules! listen {
    ($ear:ident) => {
        let recorder = PrometheusBuilder::new().build_recorder();
        let $ear = Ear {
            log: Log::default(),
            counters: recorder.handle(),
        };
        let log = $ear.log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        let _logs = tracing::subscriber::set_default(subscriber);
        let _counts = metrics::set_default_local_recorder(&recorder);
    };
}

fn at(seq: &str) -> Start {
    Start::At {
        seq: seq.parse().unwrap(),
        sub: 0,
    }
}

fn counted(left: &str) -> [String; 1] {
    let labels = format!("shard=\"shardId-000000000000\",left=\"{left}\"");
    [format!("tidewire_shard_gaps_total{{{labels}}} 1")]
}

/// Waits until the shard is done up to this record.
async fn done(stand: &Stand, last: &str) {
    let is_done = |stand: &Stand| stand.checkpoint(0).as_deref() == Some(last);
    stand.until("the last record is done", is_done).await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_older_than_retention_is_told_with_both_its_ends_and_counted() {
    let ways = [How::Oldest, How::Refused, How::Nowhere].map(|how| [(how, false), (how, true)]);
    for (how, subscribed) in ways.into_iter().flatten() {
        listen!(ear);
        let mut stand = Stand::start();
        stand.stream.with(|stream| stream.pushing.on = subscribed);
        let checkpoint = put_many(&stand, 0, 3);
        let last = put_many(&stand, 0, 10);
        stand.stream.trim(0, 8, how);
        let first_left = stand.stream.with(|stream| {
            let shard = stream.shards.values().next().unwrap();
            shard.records[0].seq.to_string()
        });
        stand.grant(0, at(&checkpoint)).await;
        done(&stand, &last).await;
        assert_eq!(stored(&stand), 5, "{how:?}: what is left is read");
        assert_eq!(ear.gaps(), counted("records"), "{how:?}");
        let lines = ear.lines();
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("records may have been lost between"))
            .collect();
        assert_eq!(told.len(), 1, "{how:?}: {lines:?}");
        for part in [
            "ERROR",
            "stream=\"toys\"",
            "shard_id=\"shardId-000000000000\"",
            &format!("after=\"{checkpoint}\""),
            &format!("first_left=\"{first_left}\""),
            "first_left_arrival_ms=",
            "increase-stream-retention-period",
        ] {
            assert!(told[0].contains(part), "{part}: {}", told[0]);
        }
        stand.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_no_loss_is_claimed_but_it_is_said() {
    listen!(ear);
    let mut stand = Stand::start();
    let checkpoint = put_many(&stand, 0, 3);
    stand.stream.trim(0, 3, How::Oldest);
    stand.grant(0, at(&checkpoint)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(ear.gaps(), counted("nothing"));
    let lines = ear.lines();
    assert!(
        lines.len() == 1 && lines[0].contains("WARN"),
        "once: {lines:?}"
    );
    // What comes after is no gap: the shard was at its tip.
    let last = put_many(&stand, 0, 2);
    done(&stand, &last).await;
    assert_eq!(ear.gaps(), counted("nothing"));
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_even_listed_any_more_is_counted_too() {
    listen!(ear);
    let mut stand = Stand::start();
    put_many(&stand, 1, 1);
    stand.grant(0, at("7")).await;
    stand
        .until("it ends", |stand| !stand.says().is_empty())
        .await;
    assert_eq!(ear.gaps(), counted("not_even_the_shard"));
}

/// A worker that cannot go on reading, since a sink is down, while its records are dropped: its
/// iterator expires meanwhile.
#[tokio::test(start_paused = true)]
async fn what_is_dropped_while_a_worker_stands_still_is_told_by_the_last_record_it_read() {
    for (stands_s, reported) in [(3_600, true), (60, false)] {
        listen!(ear);
        let mut stand = Stand::start_with(|options| options.pipeline.budget_bytes = 64 * 1024);
        put_many(&stand, 0, 20);
        stand.grant(0, Start::TrimHorizon).await;
        stand
            .until("all is read", |stand| stored(stand) == 20)
            .await;
        stand
            .stream
            .trouble(|trouble| trouble.down = Some(Fault::Transient));
        tokio::time::sleep(Duration::from_secs(stands_s)).await;
        // The stream is out of sight; what is in it changes all the same.
        let last = put_many(&stand, 0, 10);
        stand.stream.trim(0, 25, How::Oldest);
        stand.stream.with(|stream| stream.generation = 1);
        stand.stream.trouble(|trouble| trouble.down = None);
        done(&stand, &last).await;
        assert_eq!(live(&stand).len(), 25);
        // Within the five minutes of an iterator no stream drops what it was just given.
        assert_eq!(
            ear.gaps(),
            if reported {
                counted("records").to_vec()
            } else {
                Vec::new()
            },
            "after {stands_s} s"
        );
        let arrived = |line: &&String| line.contains(" after_arrival_ms=");
        assert_eq!(
            ear.lines().iter().filter(arrived).count(),
            usize::from(reported)
        );
        stand.stop().await;
    }
}

/// Everything that is no loss, however it looks.
#[tokio::test(start_paused = true)]
async fn nothing_is_told_where_nothing_is_missing() {
    listen!(ear);
    let mut stand = Stand::start_with(|options| options.pipeline.records_max = 10);
    let first = put_many(&stand, 0, 1);
    let last = put_many(&stand, 0, 40);
    // Two years before the first record, from the oldest one, and at a record that is there.
    let starts = [
        Start::AtTimestamp(tidewire::model::EpochMillis(1_700_000_000_000)),
        Start::TrimHorizon,
        at(&first),
    ];
    for start in starts {
        stand.grant(0, start).await;
        // Iterators that expire between any two pages, and a stream that fails in passing.
        for generation in 1..=4 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stand.stream.with(|stream| stream.generation = generation);
        }
        stand
            .stream
            .trouble(|trouble| trouble.down = Some(Fault::Transient));
        tokio::time::sleep(Duration::from_secs(10)).await;
        stand.stream.trouble(|trouble| trouble.down = None);
        done(&stand, &last).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        stand.revoke(0).await;
    }
    // Even the record where it stopped may be dropped, once it was seen that none came after.
    stand.grant(0, at(&last)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stand.stream.trim(0, 41, How::Oldest);
    stand.stream.with(|stream| stream.generation = 99);
    let later = put_many(&stand, 0, 3);
    done(&stand, &later).await;
    assert_eq!(ear.gaps(), Vec::<String>::new());
    let told = ear.lines().into_iter().filter(|line| line.contains("lost"));
    assert_eq!(told.collect::<Vec<_>>(), Vec::<String>::new());
    stand.stop().await;
}
