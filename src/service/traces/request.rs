//! A request to a sink, as each followed reading in it sees it.

use std::sync::Arc;

use super::{Tracer, below, step};
use crate::model::{
    EpochNanos, Fault, Followed, Said, Span, SpanEvent, SpanId, SpanKind, TraceContext,
};
use crate::pipeline::Prepared;
use crate::service::clock;

/// Failed attempts that are told of one by one; more are only counted.
const EVENTS_MAX: usize = 16;

/// A request under way; nothing where none of its readings is followed. Dropped without an end, it
/// was recalled.
#[derive(Debug)]
pub struct UnderWay {
    tracer: Tracer,
    name: &'static str,
    kind: SpanKind,
    sink: String,
    readings: u64,
    began: EpochNanos,
    attempts: u64,
    events: Vec<SpanEvent>,
    /// The followed readings: their places in the request, and their steps.
    steps: Vec<(usize, TraceContext, SpanId)>,
}

impl UnderWay {
    /// A request to a store.
    #[must_use]
    pub fn write(tracer: &Tracer, sink: &str, batch: &[Arc<Prepared>]) -> Self {
        Self::begin(tracer, ("write", SpanKind::Client), sink, batch)
    }

    /// A request to a queue.
    #[must_use]
    pub fn send(tracer: &Tracer, sink: &str, batch: &[Arc<Prepared>]) -> Self {
        Self::begin(tracer, ("send", SpanKind::Producer), sink, batch)
    }

    /// A request that nobody follows.
    #[must_use]
    pub fn unseen() -> Self {
        Self::begin(&Tracer::off(), ("file", SpanKind::Client), "", &[])
    }

    fn begin(
        tracer: &Tracer,
        (name, kind): (&'static str, SpanKind),
        sink: &str,
        batch: &[Arc<Prepared>],
    ) -> Self {
        let mut under_way = Self {
            tracer: tracer.clone(),
            name,
            kind,
            sink: String::new(),
            readings: batch.len() as u64,
            began: EpochNanos::default(),
            attempts: 0,
            events: Vec::new(),
            steps: Vec::new(),
        };
        if !tracer.is_on() {
            return under_way;
        }
        let followed = batch.iter().map(|one| one.trace.as_deref()).enumerate();
        let followed: Vec<(usize, &Followed)> =
            followed.filter_map(|(at, one)| Some((at, one?))).collect();
        if followed.is_empty() {
            return under_way;
        }
        sink.clone_into(&mut under_way.sink);
        under_way.began = clock::wall_nanos();
        for (at, Followed { context, since }) in followed {
            let times = (*since, under_way.began);
            let wait = step(below(*context), Some(context.span), "wait", times);
            tracer.emit(Span {
                attributes: vec![("tidewire.sink", Said::Text(under_way.sink.clone()))],
                ..wait
            });
            under_way.steps.push((at, below(*context), context.span));
        }
        under_way
    }

    /// Under what the next step of the first followed reading hangs, and the reading's place.
    pub fn contexts(&self) -> impl Iterator<Item = (usize, TraceContext)> {
        self.steps.iter().map(|(at, context, _)| (*at, *context))
    }

    /// It is tried once more.
    pub fn attempt(&mut self) {
        self.attempts += 1;
    }

    /// An attempt failed and will be repeated.
    pub fn failed(&mut self, fault: Fault) {
        if !self.steps.is_empty() && self.events.len() < EVENTS_MAX {
            self.events.push(SpanEvent {
                at: clock::wall_nanos(),
                name: "attempt failed",
                attributes: vec![("tidewire.fault", Said::Word(fault.as_str()))],
            });
        }
    }

    /// It has its answer: for each place in it a word, and whether that is what it was for.
    pub fn end(&mut self, outcome: impl Fn(usize) -> (&'static str, bool)) {
        if self.steps.is_empty() {
            return;
        }
        let ended = clock::wall_nanos();
        let first = self.steps.first().map(|(_, context, _)| *context);
        for (at, context, parent) in self.steps.drain(..) {
            let (outcome, well) = outcome(at);
            let links = first.filter(|first| *first != context);
            self.tracer.emit(Span {
                kind: self.kind,
                attributes: vec![
                    ("tidewire.sink", Said::Text(self.sink.clone())),
                    ("tidewire.batch_readings", Said::Count(self.readings)),
                    ("tidewire.attempts", Said::Count(self.attempts)),
                    ("tidewire.outcome", Said::Word(outcome)),
                ],
                events: self.events.clone(),
                links: links.into_iter().collect(),
                failed: !well,
                ..step(context, Some(parent), self.name, (self.began, ended))
            });
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.end(|_| ("recalled", false));
    }
}
