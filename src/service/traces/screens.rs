//! The broadcaster's end of a trace: a message received, and the posts that show its reading.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Tracer, below, step};
use crate::model::message::WireReading;
use crate::model::{
    ConnectionId, EpochNanos, Followed, Said, Span, SpanId, SpanKind, TraceContext, TraceId,
};
use crate::service::clock;

/// Posts of one reading that are told of: thousands of viewers may see it.
const POSTS_MAX: usize = 8;

/// Readings kept in mind. A reading that has left is shown without being told of, such as one that a
/// snapshot holds long after.
const READINGS_MAX: usize = 512;

/// Follows readings to screens.
#[derive(Debug)]
pub struct Following {
    tracer: Tracer,
    /// The traces lately received, and how many posts of each were told of; the oldest first.
    lately: VecDeque<(TraceId, usize)>,
    /// Posts under way, one for each viewer: when they began, and the steps that they are.
    posts: BTreeMap<ConnectionId, (EpochNanos, Vec<(TraceContext, SpanId)>)>,
}

impl Following {
    /// By this tracer.
    #[must_use]
    pub fn new(tracer: Tracer) -> Self {
        Self {
            tracer,
            lately: VecDeque::new(),
            posts: BTreeMap::new(),
        }
    }

    /// Whether anything is followed.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.tracer.is_on()
    }

    /// A message was received at `at` that says which reading in it is followed: that one is marked.
    /// In a packed message its place tells which it is; a message of one reading is about that.
    pub fn received(
        &mut self,
        context: TraceContext,
        readings: &mut [WireReading],
        at: EpochNanos,
    ) {
        let alone = readings.len() == 1;
        let found = readings.iter_mut().find(|reading| {
            let here = TraceId::of(&reading.shard, &reading.position()) == context.trace;
            here || (alone && reading.shard.as_str().is_empty())
        });
        let Some(reading) = found else {
            return;
        };
        let (now, receive) = (clock::wall_nanos(), below(context));
        self.tracer.emit(Span {
            kind: SpanKind::Consumer,
            attributes: vec![("messaging.system", Said::Word("aws_sqs"))],
            ..step(receive, Some(context.span), "receive", (at, now))
        });
        reading.trace = Some(Arc::new(Followed {
            context: receive,
            since: now,
        }));
        self.lately.push_back((context.trace, 0));
        if self.lately.len() > READINGS_MAX {
            self.lately.pop_front();
        }
    }

    /// A frame that holds these followed readings goes to a viewer.
    pub fn posting(&mut self, id: &ConnectionId, shown: &[Arc<Followed>]) {
        let mut steps = Vec::new();
        let now = clock::wall_nanos();
        for Followed { context, since } in shown.iter().map(Arc::as_ref) {
            let mut lately = self.lately.iter_mut().rev();
            let told = lately.find(|(trace, told)| *trace == context.trace && *told < POSTS_MAX);
            let Some((_, told)) = told else {
                continue;
            };
            *told += 1;
            let wait = step(below(*context), Some(context.span), "wait", (*since, now));
            self.tracer.emit(Span {
                attributes: vec![("tidewire.sink", Said::Word("screen"))],
                ..wait
            });
            steps.push((below(*context), context.span));
        }
        if !steps.is_empty() {
            self.posts.insert(id.clone(), (now, steps));
        }
    }

    /// The post to this viewer has its answer.
    pub fn posted(&mut self, id: &ConnectionId, outcome: &'static str) {
        let Some((began, steps)) = self.posts.remove(id) else {
            return;
        };
        let now = clock::wall_nanos();
        for (context, parent) in steps {
            self.tracer.emit(Span {
                kind: SpanKind::Client,
                attributes: vec![("tidewire.outcome", Said::Word(outcome))],
                failed: outcome != "accepted",
                ..step(context, Some(parent), "post", (began, now))
            });
        }
    }
}
