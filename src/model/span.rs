//! Spans: the steps of a trace, as a collector is told of them.

use super::time::EpochNanos;
use super::trace::{SpanId, TraceContext};

/// One step of one reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace and its own id.
    pub context: TraceContext,
    /// The step that it is a part of; none: it is a way from its arrival on.
    pub parent: Option<SpanId>,
    /// What is done.
    pub name: &'static str,
    /// Towards whom.
    pub kind: SpanKind,
    /// By the wall clock of whoever wrote it; an arrival by that of Kinesis.
    pub start: EpochNanos,
    /// By the same clock.
    pub end: EpochNanos,
    /// What else is to be said. Never a reading's values, a token, or a connection's id.
    pub attributes: Vec<Attribute>,
    /// What happened on the way.
    pub events: Vec<SpanEvent>,
    /// Steps of other traces that were done by the same request.
    pub links: Vec<TraceContext>,
    /// Set where it did not come to what it was for.
    pub failed: bool,
}

/// A name and what it is.
pub type Attribute = (&'static str, Said);

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Text.
    Text(String),
    /// One of a few words.
    Word(&'static str),
    /// A count.
    Count(u64),
}

/// What happened on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEvent {
    /// When.
    pub at: EpochNanos,
    /// What.
    pub name: &'static str,
    /// What else is to be said.
    pub attributes: Vec<Attribute>,
}

/// Towards whom a step is done, as OpenTelemetry numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Within the process.
    Internal = 1,
    /// A request to somebody else.
    Client = 3,
    /// A message sent.
    Producer = 4,
    /// A message, or record, received.
    Consumer = 5,
}
