//! Spans as they are made, and as they leave, in paused time.

use std::sync::Mutex;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::door::fault::{CallFailed, Fault};
use crate::door::spans::{NotExported, SpanCollector};
use crate::model::message::WireReading;
use crate::model::{Checkpoint, ConnectionId, EpochMillis, Position, Said, Value};
use crate::pipeline::{Prepared, PreparedRecord};

fn reading(seq: u32) -> Reading {
    Reading {
        device: "pump".into(),
        time: EpochNanos(7),
        measures: vec![(Arc::from("x"), Value::Double(1.5))],
        dimensions: Vec::new(),
        shard: "shardId-000000000001".into(),
        position: Position {
            seq: seq.to_string().parse().unwrap(),
            sub: 0,
            index: 0,
        },
        arrival: EpochMillis(5),
    }
}

fn prepared(tracer: &Tracer, seq: u32) -> Arc<Prepared> {
    let reading = reading(seq);
    Arc::new(Prepared {
        trace: tracer.follow(&reading),
        reading,
        stores: Box::default(),
        live: Box::default(),
        expires: None,
    })
}

fn record(one: &Arc<Prepared>) -> PreparedRecord {
    PreparedRecord {
        record: crate::model::Record {
            seq: one.reading.position.seq.clone(),
            arrival: one.reading.arrival,
            sub: 0,
            partition_key: Some("pump".into()),
            data: bytes::Bytes::new(),
        },
        sub: 0,
        readings: Ok(vec![Arc::clone(one)]),
        no_measures: 0,
        skipped: None,
    }
}

fn on() -> (Tracer, mpsc::Receiver<Span>) {
    Tracer::on(Sampling::one_in(1))
}

fn all(spans: &mut mpsc::Receiver<Span>) -> Vec<Span> {
    std::iter::from_fn(|| spans.try_recv().ok()).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn said<'a>(span: &'a Span, name: &str) -> &'a Said {
    let found = span.attributes.iter().find(|(given, _)| *given == name);
    &found.unwrap().1
}

#[test]
fn who_follows_nothing_makes_nothing() {
    let tracer = Tracer::off();
    let one = prepared(&tracer, 1);
    assert_eq!(one.trace, None);
    let mut request = UnderWay::write(&tracer, "timestream", &[one]);
    assert_eq!(request.contexts().count(), 0);
    request.end(|_| ("taken", true));
    assert_eq!(Tracer::off(), tracer);
}

#[test]
fn each_reading_of_a_request_has_its_own_step_and_they_know_of_each_other() {
    let (tracer, mut spans) = on();
    let batch: Vec<_> = (0..3).map(|seq| prepared(&tracer, seq)).collect();
    let mut request = UnderWay::write(&tracer, "timestream", &batch);
    request.attempt();
    request.failed(Fault::Throttled);
    request.attempt();
    request.end(|place| match place {
        1 => ("duplicate", false),
        _ => ("taken", true),
    });
    drop(request);
    let spans = all(&mut spans);
    let writes = named(&spans, "write");
    assert_eq!((writes.len(), named(&spans, "wait").len()), (3, 3));
    for (write, one) in writes.iter().zip(&batch) {
        let root = one.trace.as_ref().unwrap().context;
        assert_eq!(
            (write.context.trace, write.parent),
            (root.trace, Some(root.span))
        );
        assert_eq!(said(write, "tidewire.batch_readings"), &Said::Count(3));
        assert_eq!(said(write, "tidewire.attempts"), &Said::Count(2));
        assert_eq!(write.events.len(), 1);
    }
    // A wait is what lies between the reading's last step and the request.
    for (wait, one) in named(&spans, "wait").iter().zip(&batch) {
        let since = one.trace.as_ref().unwrap().since;
        assert_eq!((wait.start, wait.end), (since, writes[0].start));
    }
    let failed: Vec<bool> = writes.iter().map(|write| write.failed).collect();
    assert_eq!(failed, [false, true, false]);
    let first = writes[0].context;
    let links: Vec<_> = writes.iter().map(|write| write.links.clone()).collect();
    assert_eq!(links, [vec![], vec![first], vec![first]]);
}

#[test]
fn a_request_that_nobody_waits_for_any_more_is_told_of_as_recalled() {
    let (tracer, mut spans) = on();
    drop(UnderWay::send(&tracer, "queue", &[prepared(&tracer, 1)]));
    let spans = all(&mut spans);
    let send = named(&spans, "send")[0];
    assert_eq!(said(send, "tidewire.outcome"), &Said::Word("recalled"));
    assert!(send.failed);
}

#[test]
fn a_reading_ends_when_a_checkpoint_has_passed_it_and_not_before() {
    let (tracer, mut spans) = on();
    let batch: Vec<_> = (5..8).map(|seq| prepared(&tracer, seq)).collect();
    let records: Vec<_> = batch.iter().map(record).collect();
    let stamp = tracer.read(tracer.reading());
    tracer.arrived(&records, stamp, stamp);
    let arrived = all(&mut spans);
    assert_eq!(
        (
            named(&arrived, "read").len(),
            named(&arrived, "decode").len()
        ),
        (3, 3)
    );
    assert!(named(&arrived, "reading").is_empty());
    let at = |seq: &str| Checkpoint::At {
        seq: seq.parse().unwrap(),
        sub: 0,
    };
    let shard = batch[0].reading.shard.clone();
    let now = clock::wall_nanos();
    tracer.passed(&"shardId-000000000002".into(), &at("9"), now);
    tracer.passed(&shard, &Checkpoint::TrimHorizon, now);
    tracer.passed(&shard, &at("4"), now);
    assert!(all(&mut spans).is_empty());
    tracer.passed(&shard, &at("6"), now);
    let done = all(&mut spans);
    assert_eq!(
        (
            named(&done, "reading").len(),
            named(&done, "checkpoint").len()
        ),
        (2, 2)
    );
    let root = named(&done, "reading")[0];
    assert_eq!((root.parent, root.start), (None, EpochNanos(5_000_000)));
    assert_eq!(root.context, batch[0].trace.as_ref().unwrap().context);
    tracer.leave();
    let left = all(&mut spans);
    assert_eq!(left.len(), 1);
    assert_eq!(
        said(&left[0], "tidewire.outcome"),
        &Said::Word("left to the next owner")
    );
}

#[test]
fn a_message_is_about_the_reading_it_names_and_the_first_posts_are_told_of() {
    let (tracer, mut spans) = on();
    let mut following = Following::new(tracer.clone());
    let mut readings: Vec<WireReading> = (0..3).map(|seq| (&reading(seq)).into()).collect();
    let sent = prepared(&tracer, 1).trace.clone().unwrap().context;
    following.received(sent, &mut readings, EpochNanos(1));
    let marked: Vec<bool> = readings.iter().map(|one| one.trace.is_some()).collect();
    assert_eq!(marked, [false, true, false]);
    let shown = [readings[1].trace.clone().unwrap()];
    for viewer in 0..20 {
        let id = ConnectionId::from(format!("viewer-{viewer}"));
        following.posting(&id, &shown);
        following.posted(&id, if viewer == 0 { "gone" } else { "accepted" });
    }
    let spans = all(&mut spans);
    let (receives, posts) = (named(&spans, "receive"), named(&spans, "post"));
    assert_eq!((receives.len(), posts.len()), (1, 8));
    assert_eq!(receives[0].parent, Some(sent.span));
    assert!(
        posts
            .iter()
            .all(|post| post.parent == Some(receives[0].context.span))
    );
    let failed: Vec<bool> = posts.iter().map(|post| post.failed).collect();
    assert_eq!(failed.iter().filter(|failed| **failed).count(), 1);
    assert!(
        !format!("{spans:?}").contains("viewer-"),
        "a connection's id is a key to it"
    );
}

#[test]
fn what_is_not_in_the_message_is_not_followed() {
    let (tracer, mut spans) = on();
    let mut following = Following::new(tracer.clone());
    let elsewhere = prepared(&tracer, 99).trace.clone().unwrap().context;
    let mut readings: Vec<WireReading> = vec![(&reading(1)).into()];
    following.received(elsewhere, &mut readings, EpochNanos(1));
    assert_eq!(readings[0].trace, None);
    assert!(all(&mut spans).is_empty());
}

/// Answers as it is told to, the last answer again and again.
#[derive(Clone, Debug)]
struct Scripted {
    answers: Arc<Mutex<Vec<Option<Fault>>>>,
    taken: Arc<Mutex<Vec<usize>>>,
    asked: Arc<Mutex<usize>>,
    hangs: bool,
    /// How many spans of a request it takes not, where it takes it.
    rejects: u64,
}

impl Scripted {
    fn new(answers: &[Option<Fault>]) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.to_vec())),
            taken: Arc::default(),
            asked: Arc::default(),
            hangs: false,
            rejects: 0,
        }
    }

    fn taken(&self) -> Vec<usize> {
        self.taken.lock().unwrap().clone()
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl SpanCollector for Scripted {
    async fn export(&self, spans: &[Span]) -> Result<u64, NotExported> {
        *self.asked.lock().unwrap() += 1;
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            match answers.len() {
                1 => answers[0],
                _ => answers.remove(0),
            }
        };
        match answer {
            None => {
                self.taken.lock().unwrap().push(spans.len());
                Ok(self.rejects)
            }
            Some(fault) => Err(NotExported {
                failed: CallFailed {
                    operation: "export",
                    fault,
                    message: "no".to_owned(),
                },
                pause: None,
            }),
        }
    }
}

/// An exporter at work, and the means to make so many spans and to end it.
fn exporting(collector: &Scripted) -> (Tracer, CancellationToken, crate::service::tasks::Tasks) {
    let (tracer, spans) = on();
    let (tasks, stop) = (
        crate::service::tasks::Tasks::new(),
        CancellationToken::new(),
    );
    let exporter = Exporter::new(collector.clone(), spans);
    tasks.spawn("traces", exporter.run(stop.clone()));
    (tracer, stop, tasks)
}

fn make(tracer: &Tracer, spans: usize) {
    let context = prepared(tracer, 1).trace.clone().unwrap().context;
    for _ in 0..spans {
        tracer.emit(step(context, None, "toy", (EpochNanos(1), EpochNanos(2))));
    }
}

#[tokio::test(start_paused = true)]
async fn spans_leave_in_batches_soon_and_the_last_of_them_at_the_end() {
    let collector = Scripted::new(&[None]);
    let (tracer, stop, tasks) = exporting(&collector);
    make(&tracer, 700);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(collector.taken(), [512, 188]);
    make(&tracer, 3);
    stop.cancel();
    tasks.ended().await;
    assert_eq!(collector.taken(), [512, 188, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_what_does_not_is_given_up() {
    let passing = Scripted::new(&[Some(Fault::Throttled), Some(Fault::Transient), None]);
    let (tracer, _stop, _tasks) = exporting(&passing);
    make(&tracer, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((passing.asked(), passing.taken()), (3, vec![1]));

    let lasting = Scripted::new(&[Some(Fault::Rejected), None]);
    let (tracer, _stop, _tasks) = exporting(&lasting);
    make(&tracer, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    make(&tracer, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (lasting.asked(), lasting.taken()),
        (2, vec![1]),
        "the first is gone"
    );

    let never = Scripted::new(&[Some(Fault::Transient)]);
    let (tracer, _stop, _tasks) = exporting(&never);
    make(&tracer, 1);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(never.asked(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_each_span_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counts = metrics::set_default_local_recorder(&recorder);
    let collector = Scripted {
        rejects: 2,
        ..Scripted::new(&[None, Some(Fault::Transient)])
    };
    let (tracer, _stop, _tasks) = exporting(&collector);
    make(&tracer, 7);
    tokio::time::sleep(Duration::from_secs(60)).await;
    make(&tracer, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    make(&tracer, SPANS_WAITING_MAX + 4);
    let said = recorder.handle().render();
    for (result, spans) in [
        ("exported", 5),
        ("rejected", 2),
        ("failed", 3),
        ("dropped", 4),
    ] {
        let line = format!("tidewire_trace_spans_total{{result=\"{result}\"}} {spans}");
        assert!(said.contains(&line), "no {line} in {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_holds_up_nobody_and_memory_is_bounded() {
    let hanging = Scripted {
        hangs: true,
        ..Scripted::new(&[None])
    };
    let (tracer, stop, tasks) = exporting(&hanging);
    for _ in 0..10 {
        // Nothing here waits.
        make(&tracer, SPANS_WAITING_MAX);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let inner = tracer.0.as_ref().unwrap();
    assert_eq!(inner.spans.capacity(), 0, "all room is used, and no more");
    stop.cancel();
    // Whoever ends it waits so long and no longer.
    let ended = tokio::time::timeout(Duration::from_secs(2), tasks.ended()).await;
    assert!(ended.is_err());
}
