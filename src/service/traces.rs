//! Traces: one follows a reading from its arrival on the stream to its row and to a screen.
//!
//! ```text
//! reading                 from its arrival until a checkpoint has passed it
//! |- read, decode
//! |- wait, write          for each store
//! |- wait, send           for each queue; carried on in the message's attribute `traceparent`
//! |   '- receive          the broadcaster
//! |       '- wait, post   for each viewer, the first few
//! '- checkpoint
//! ```
//!
//! Which readings are followed is decided by their places alone ([`crate::model::trace`]). Spans
//! leave by a bounded queue: where it is full they are dropped, counted, and nothing waits. No
//! decision rests on any of this. Off, a reading costs the look whether it is.

mod arriving;
mod checkpoint;
mod export;
mod request;
mod screens;
pub mod standard;

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::{clock, entropy, metric};
use crate::model::{EpochNanos, Followed, Reading, Sampling, Span, SpanId, TraceContext, TraceId};
use arriving::Opened;

pub use arriving::ReadStamp;
pub use checkpoint::Watched;
pub use export::Exporter;
pub use request::UnderWay;
pub use screens::Following;

/// Spans that wait for their export: some seconds of them where one reading in a hundred is
/// followed at full speed, and 4 MB of memory.
pub const SPANS_WAITING_MAX: usize = 8_192;

/// Makes spans, and hands them to whoever exports them. Clones share all of it.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sampling: Sampling,
    spans: mpsc::Sender<Span>,
    /// Readings that no checkpoint has passed yet.
    opened: Mutex<Opened>,
}

/// Options that hold a tracer are equal where it is the same one.
impl PartialEq for Tracer {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Tracer {
    /// Follows nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Follows these readings; their spans come out of the other end.
    #[must_use]
    pub fn on(sampling: Sampling) -> (Self, mpsc::Receiver<Span>) {
        let (spans, exported) = mpsc::channel(SPANS_WAITING_MAX);
        let inner = Inner {
            sampling,
            spans,
            opened: Mutex::default(),
        };
        (Self(Some(Arc::new(inner))), exported)
    }

    /// Whether anything is followed.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What is to be known of a reading on its way, if it is followed.
    #[must_use]
    pub fn follow(&self, reading: &Reading) -> Option<Arc<Followed>> {
        let inner = self.0.as_ref()?;
        if !inner.sampling.takes(&reading.shard, &reading.position) {
            return None;
        }
        let trace = TraceId::of(&reading.shard, &reading.position);
        Some(Arc::new(Followed {
            context: TraceContext {
                trace,
                span: dice(),
            },
            since: clock::wall_nanos(),
        }))
    }

    /// Hands a span on. Where there is no room it is dropped and counted: nothing waits for it.
    fn emit(&self, span: Span) {
        let Some(inner) = &self.0 else {
            return;
        };
        if inner.spans.try_send(span).is_err() {
            metrics::counter!(metric::TRACE_SPANS, "result" => "dropped").increment(1);
        }
    }
}

/// A step under another one.
fn below(parent: TraceContext) -> TraceContext {
    TraceContext {
        span: dice(),
        ..parent
    }
}

fn dice() -> SpanId {
    SpanId::new(entropy::seed())
}

/// A step from one instant to another, with nothing more said about it yet.
fn step(
    context: TraceContext,
    parent: Option<SpanId>,
    name: &'static str,
    times: (EpochNanos, EpochNanos),
) -> Span {
    Span {
        context,
        parent,
        name,
        kind: crate::model::SpanKind::Internal,
        start: times.0,
        end: times.1,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        failed: false,
    }
}

#[cfg(test)]
mod tests;
