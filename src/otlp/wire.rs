//! Spans in protobuf's binary form: `opentelemetry/proto/collector/trace/v1/trace_service.proto`,
//! `.../trace/v1/trace.proto`, `.../common/v1/common.proto` and `.../resource/v1/resource.proto`,
//! whose field numbers stand here. `checks/traces` holds this against OpenTelemetry's own.

use crate::decode::aggregate::wire::{Field, Fields};
use crate::model::span::Attribute;
use crate::model::{EpochNanos, Said, Span, SpanEvent, TraceContext};

/// What the spans are written by (OpenTelemetry's instrumentation scope).
const SCOPE: &str = "tidewire";

/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u64 = 2;

/// The sampled flag of W3C Trace Context: what is not followed has no span.
const SAMPLED: u32 = 1;

/// Bytes that most spans take: room for them is made beforehand.
const SPAN_BYTES: usize = 384;

/// `ExportTraceServiceRequest`.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut request = Message::with_room(spans.len() * SPAN_BYTES);
    request.message(1, |of_one_resource| {
        of_one_resource.message(1, |message| {
            for (name, value) in resource {
                message.message(1, |pair| text_pair(pair, name, value));
            }
        });
        of_one_resource.message(2, |of_one_scope| {
            of_one_scope.message(1, |scope| {
                scope.bytes(1, SCOPE.as_bytes());
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for one in spans {
                of_one_scope.message(2, |message| span(message, one));
            }
        });
    });
    request.0
}

fn span(message: &mut Message, span: &Span) {
    context(message, &span.context);
    if let Some(parent) = &span.parent {
        message.bytes(4, parent.bytes());
    }
    message.bytes(5, span.name.as_bytes());
    message.number(6, span.kind as u64);
    message.time(7, span.start);
    message.time(8, span.end.max(span.start));
    attributes(message, 9, &span.attributes);
    for event in &span.events {
        message.message(11, |message| happened(message, event));
    }
    for link in &span.links {
        message.message(13, |message| {
            context(message, link);
            message.fixed32(6, SAMPLED);
        });
    }
    if span.failed {
        message.message(15, |status| status.number(3, STATUS_ERROR));
    }
    message.fixed32(16, SAMPLED);
}

/// Spans and links begin alike.
fn context(message: &mut Message, context: &TraceContext) {
    message.bytes(1, context.trace.bytes());
    message.bytes(2, context.span.bytes());
}

fn happened(message: &mut Message, event: &SpanEvent) {
    message.time(1, event.at);
    message.bytes(2, event.name.as_bytes());
    attributes(message, 3, &event.attributes);
}

fn attributes(message: &mut Message, field: u32, attributes: &[Attribute]) {
    for (name, said) in attributes {
        message.message(field, |pair| match said {
            Said::Text(text) => text_pair(pair, name, text),
            Said::Word(word) => text_pair(pair, name, word),
            Said::Count(count) => {
                pair.bytes(1, name.as_bytes());
                pair.message(2, |value| value.number(3, *count));
            }
        });
    }
}

/// `KeyValue` with a text.
fn text_pair(pair: &mut Message, name: &str, text: &str) {
    pair.bytes(1, name.as_bytes());
    pair.message(2, |value| value.bytes(1, text.as_bytes()));
}

/// How many spans `ExportTraceServiceResponse` says were rejected; what is no such message says of
/// none.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let field = |bytes, wanted| {
        let mut fields = Fields::new(bytes, 0);
        let mut found = None;
        while let Ok(Some((number, field))) = fields.next() {
            if number == wanted {
                found = Some(field);
            }
        }
        found
    };
    let Some(Field::Bytes(partial)) = field(answer, 1) else {
        return 0;
    };
    match field(partial, 1) {
        Some(Field::Number(rejected)) => rejected,
        _ => 0,
    }
}

/// A message being written.
struct Message(Vec<u8>);

impl Message {
    fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field's number and wire type.
    fn key(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    fn number(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn time(&mut self, field: u32, at: EpochNanos) {
        self.key(field, 1);
        let nanos = u64::try_from(at.0).unwrap_or(0);
        self.0.extend_from_slice(&nanos.to_le_bytes());
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self(Vec::new());
        write(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{SpanId, SpanKind};

    #[test]
    fn what_was_rejected_is_read_and_rubbish_says_nothing() {
        let mut answer = Message(Vec::new());
        answer.message(1, |partial| {
            partial.number(1, 300);
            partial.bytes(2, b"too many");
        });
        assert_eq!(rejected(&answer.0), 300);
        assert_eq!(rejected(&[]), 0);
        assert_eq!(rejected(b"<html>"), 0);
    }

    /// A field of a given wire type: its key, for lengths its length, and what it holds.
    fn field(number: u8, kind: u8, holds: &[u8]) -> Vec<u8> {
        // Numbers from 16 on take a second byte of the key.
        let mut all = match number {
            0..16 => vec![number << 3 | kind],
            _ => vec![(number & 0xf) << 3 | kind | 0x80, number >> 4],
        };
        if kind == 2 {
            all.push(u8::try_from(holds.len()).unwrap());
        }
        all.extend_from_slice(holds);
        all
    }

    fn all(fields: &[Vec<u8>]) -> Vec<u8> {
        fields.concat()
    }

    /// Byte by byte, by the numbers in `trace.proto` and `common.proto`.
    #[test]
    fn each_part_of_a_span_has_its_field() {
        let traceparent = "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01";
        let own = TraceContext::parse(traceparent).unwrap();
        let other = TraceContext {
            span: SpanId::new(8),
            ..own
        };
        let parent = SpanId::new(9);
        let written = Span {
            context: own,
            parent: Some(parent),
            name: "send",
            kind: SpanKind::Producer,
            start: EpochNanos(0x0102),
            end: EpochNanos(0x0304),
            attributes: vec![("n", Said::Count(5)), ("w", Said::Word("x"))],
            events: vec![SpanEvent {
                at: EpochNanos(9),
                name: "e",
                attributes: vec![("t", Said::Text("y".to_owned()))],
            }],
            links: vec![other],
            failed: true,
        };
        let text = |name: &str, value: &str| {
            all(&[
                field(1, 2, name.as_bytes()),
                field(2, 2, &field(1, 2, value.as_bytes())),
            ])
        };
        let count = all(&[field(1, 2, b"n"), field(2, 2, &field(3, 0, &[5]))]);
        let event = all(&[
            field(1, 1, &[9, 0, 0, 0, 0, 0, 0, 0]),
            field(2, 2, b"e"),
            field(3, 2, &text("t", "y")),
        ]);
        let link = all(&[
            field(1, 2, other.trace.bytes()),
            field(2, 2, other.span.bytes()),
            field(6, 5, &[1, 0, 0, 0]),
        ]);
        let wanted = all(&[
            field(1, 2, own.trace.bytes()),
            field(2, 2, own.span.bytes()),
            field(4, 2, parent.bytes()),
            field(5, 2, b"send"),
            // PRODUCER
            field(6, 0, &[4]),
            field(7, 1, &[2, 1, 0, 0, 0, 0, 0, 0]),
            field(8, 1, &[4, 3, 0, 0, 0, 0, 0, 0]),
            field(9, 2, &count),
            field(9, 2, &text("w", "x")),
            field(11, 2, &event),
            field(13, 2, &link),
            // STATUS_CODE_ERROR
            field(15, 2, &field(3, 0, &[2])),
            field(16, 5, &[1, 0, 0, 0]),
        ]);
        let mut message = Message(Vec::new());
        span(&mut message, &written);
        assert_eq!(message.0, wanted);
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _unless_it_panics = rejected(&bytes);
        }
    }
}
