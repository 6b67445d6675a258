//! Spans to their collector: in batches, tried again for a while, never waited for.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::door::spans::SpanCollector;
use crate::model::Span;
use crate::service::metric;

/// Spans in a request, as OpenTelemetry's own exporters have it.
const BATCH_MAX: usize = 512;

/// How long spans wait for others to fill their request.
const WINDOW: Duration = Duration::from_secs(1);

/// Attempts at one request. Meanwhile others wait, and are dropped where there is no more room.
const ATTEMPTS_MAX: u32 = 5;

/// The first pause after a failure, doubled for each further one, and the longest that a collector
/// is granted.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Brings spans to a collector.
#[derive(Debug)]
pub struct Exporter<C> {
    collector: C,
    spans: mpsc::Receiver<Span>,
    batch: Vec<Span>,
}

impl<C: SpanCollector> Exporter<C> {
    /// Of these spans to this collector.
    #[must_use]
    pub fn new(collector: C, spans: mpsc::Receiver<Span>) -> Self {
        Self {
            collector,
            spans,
            batch: Vec::new(),
        }
    }

    /// Exports until nobody makes spans any more, or `stop`; then what is left, each request tried
    /// once. Whoever stops it bounds how long that may take.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(true) = stop.run_until_cancelled(self.fill()).await {
            if stop.run_until_cancelled(self.deliver()).await.is_none() {
                break;
            }
        }
        self.spans.close();
        loop {
            while self.batch.len() < BATCH_MAX
                && let Ok(span) = self.spans.try_recv()
            {
                self.batch.push(span);
            }
            if self.batch.is_empty() {
                return;
            }
            if let Err((_, message)) = self.attempt().await {
                self.give_up(&message);
            }
        }
    }

    /// Gathers a batch; false where there will be no more.
    async fn fill(&mut self) -> bool {
        let room = BATCH_MAX - self.batch.len();
        if room > 0 && self.spans.recv_many(&mut self.batch, room).await == 0 {
            return false;
        }
        let until = tokio::time::Instant::now() + WINDOW;
        while self.batch.len() < BATCH_MAX {
            let room = BATCH_MAX - self.batch.len();
            let more = self.spans.recv_many(&mut self.batch, room);
            match tokio::time::timeout_at(until, more).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        true
    }

    async fn deliver(&mut self) {
        let mut wait = PAUSES.0;
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt().await {
                Ok(()) => return,
                Err((Some(asked), _)) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(asked.max(wait).min(PAUSES.1)).await;
                    wait *= 2;
                }
                Err((_, message)) => return self.give_up(&message),
            }
        }
    }

    /// One attempt at the batch, which is empty afterwards where it was taken. An error that may
    /// pass says how long the collector asks to be left alone.
    async fn attempt(&mut self) -> Result<(), (Option<Duration>, String)> {
        match self.collector.export(&self.batch).await {
            Ok(rejected) => {
                let spans = self.batch.len() as u64;
                let rejected = rejected.min(spans);
                count("exported", spans - rejected);
                count("rejected", rejected);
                self.batch.clear();
                Ok(())
            }
            Err(error) => {
                let again = error.failed.fault.is_worth_again();
                let asked = again.then(|| error.pause.unwrap_or_default());
                Err((asked, error.to_string()))
            }
        }
    }

    fn give_up(&mut self, error: &str) {
        let spans = self.batch.len();
        count("failed", spans as u64);
        self.batch.clear();
        tracing::warn!(
            spans,
            error,
            "spans were not exported and are gone; readings are not affected: check \
             `traces.endpoint` and the collector"
        );
    }
}

fn count(result: &'static str, spans: u64) {
    if spans > 0 {
        metrics::counter!(metric::TRACE_SPANS, "result" => result).increment(spans);
    }
}
