//! Readings as they arrive: read, decoded, and kept in mind until a checkpoint has passed them.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::{Tracer, below, step};
use crate::model::{Checkpoint, EpochNanos, Position, Said, ShardId, Span, SpanKind, TraceContext};
use crate::pipeline::PreparedRecord;
use crate::service::clock;

/// Readings kept in mind until a checkpoint passes them; over it the oldest is told of as it
/// stands. At one checkpoint in three seconds that is a thousand followed readings a second.
const OPENED_MAX: usize = 4_096;

/// When a read began and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadStamp {
    began: EpochNanos,
    ended: EpochNanos,
}

/// The oldest first.
#[derive(Debug, Default)]
pub(super) struct Opened(VecDeque<Arrived>);

/// A reading that arrived.
#[derive(Clone, Debug)]
struct Arrived {
    context: TraceContext,
    shard: ShardId,
    position: Position,
    at: EpochNanos,
}

impl Arrived {
    fn is_passed_by(&self, checkpoint: &Checkpoint) -> bool {
        let record = Checkpoint::At {
            seq: self.position.seq.clone(),
            sub: self.position.sub,
        };
        record <= *checkpoint
    }

    /// The step that all others are parts of.
    fn span(&self, outcome: &'static str, end: EpochNanos) -> Span {
        let Position { seq, sub, index } = &self.position;
        Span {
            kind: SpanKind::Consumer,
            attributes: vec![
                ("messaging.system", Said::Word("aws_kinesis")),
                ("tidewire.shard_id", Said::Text(self.shard.to_string())),
                ("tidewire.sequence_number", Said::Text(seq.to_string())),
                ("tidewire.sub_sequence_number", Said::Count(*sub)),
                ("tidewire.index", Said::Count(u64::from(*index))),
                ("tidewire.outcome", Said::Word(outcome)),
            ],
            ..step(self.context, None, "reading", (self.at, end))
        }
    }
}

impl Tracer {
    /// Begins a read.
    #[must_use]
    pub fn reading(&self) -> ReadStamp {
        let began = match self.is_on() {
            true => clock::wall_nanos(),
            false => EpochNanos::default(),
        };
        ReadStamp {
            began,
            ended: began,
        }
    }

    /// Ends it.
    #[must_use]
    pub fn read(&self, stamp: ReadStamp) -> ReadStamp {
        match self.is_on() {
            true => ReadStamp {
                ended: clock::wall_nanos(),
                ..stamp
            },
            false => stamp,
        }
    }

    /// Records were read so, and decoded from `began` on: says so of those that are followed.
    pub fn arrived(&self, records: &[PreparedRecord], read: ReadStamp, began: ReadStamp) {
        if !self.is_on() {
            return;
        }
        let readings = records.iter().flat_map(|record| &record.readings).flatten();
        for prepared in readings {
            let Some(followed) = &prepared.trace else {
                continue;
            };
            let (root, reading) = (followed.context, &prepared.reading);
            let part = |name, times| step(below(root), Some(root.span), name, times);
            let times = (read.began, read.ended);
            self.emit(Span {
                kind: SpanKind::Client,
                ..part("read", times)
            });
            self.emit(part("decode", (began.began, followed.since)));
            self.open(Arrived {
                context: root,
                shard: reading.shard.clone(),
                position: reading.position.clone(),
                at: EpochNanos::from_millis(reading.arrival.0).unwrap_or_default(),
            });
        }
    }

    fn open(&self, arrived: Arrived) {
        let Some(inner) = &self.0 else {
            return;
        };
        let oldest = {
            let mut opened = inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.0.push_back(arrived);
            (opened.0.len() > OPENED_MAX).then(|| opened.0.pop_front())
        };
        if let Some(oldest) = oldest.flatten() {
            self.emit(oldest.span("out of sight", clock::wall_nanos()));
        }
    }

    /// A checkpoint of this shard was written, from `began` on: what it passes has come to its end.
    pub(super) fn passed(&self, shard: &ShardId, checkpoint: &Checkpoint, began: EpochNanos) {
        let ended = clock::wall_nanos();
        for arrived in self.close(|one| one.shard == *shard && one.is_passed_by(checkpoint)) {
            let root = arrived.context;
            let write = Span {
                kind: SpanKind::Client,
                ..step(below(root), Some(root.span), "checkpoint", (began, ended))
            };
            self.emit(write);
            self.emit(arrived.span("done", ended));
        }
    }

    /// Nothing more will be heard: says of what is still on its way that it was left.
    pub fn leave(&self) {
        let now = clock::wall_nanos();
        for arrived in self.close(|_| true) {
            self.emit(arrived.span("left to the next owner", now));
        }
    }

    fn close(&self, is_closed: impl Fn(&Arrived) -> bool) -> Vec<Arrived> {
        let Some(inner) = &self.0 else {
            return Vec::new();
        };
        let mut opened = inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let mut closed = Vec::new();
        opened.0.retain(|one| {
            let closes = is_closed(one);
            if closes {
                closed.push(one.clone());
            }
            !closes
        });
        closed
    }
}
