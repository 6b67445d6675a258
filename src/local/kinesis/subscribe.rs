//! `SubscribeToShard`: records are sent when they are written, not when a timer looks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ferrokinesis::event_stream::{encode_initial_response, encode_subscribe_event};
use ferrokinesis::sequence;
use ferrokinesis::types::ConsumerStatus;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::cbor::Wire;
use super::iterator::Place;
use super::read::{ChildShard, Page, Record, children, find, page};
use super::start::Start;
use super::{Refusal, Shared, parsed};
use crate::local::front::wall_ms;

/// Records an event; an event stays under 16 MiB whatever they hold.
const RECORDS_MAX: usize = 1_000;
/// Without records an event comes this often, so that a consumer hears that it is at the tip.
const BEAT: Duration = Duration::from_secs(1);
/// A consumer's second call for a shard within this time is refused; after it, it takes over (API
/// reference of `SubscribeToShard`).
const TAKE_OVER_AFTER_MS: u64 = 5_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    shard_id: String,
    starting_position: Start,
}

/// One event. At a closed shard's end it names the children and no sequence number to go on from.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    records: Vec<Record<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation_sequence_number: Option<String>,
    millis_behind_latest: u64,
    child_shards: Vec<ChildShard<'a>>,
}

/// What became of one look at the shard.
enum Step {
    Send {
        event: Vec<u8>,
        next: Place,
        idle: bool,
    },
    Last {
        event: Vec<u8>,
    },
    Over,
}

impl Shared {
    pub(super) async fn subscribe(
        self: Arc<Self>,
        body: &[u8],
        wire: Wire,
        shutdown: CancellationToken,
    ) -> Result<Response, Refusal> {
        let request: SubscribeToShard = parsed(body)?;
        let arn = request.consumer_arn;
        let missing = || {
            Refusal::new(
                "ResourceNotFoundException",
                format!("Consumer {arn} does not exist."),
            )
        };
        let consumer = self.store.get_consumer(&arn).await.ok_or_else(missing)?;
        if consumer.consumer_status != ConsumerStatus::Active {
            let message = format!("Consumer {arn} is not ACTIVE.");
            return Err(Refusal::new("ResourceInUseException", message));
        }
        let stream_arn = arn.split("/consumer/").next();
        let name = self.stream_name(None, stream_arn)?;

        let mut books = self.books.lock().await;
        let stream = self.store.get_stream(&name).await?;
        find(&stream, &request.shard_id)?;
        let taken = books.subscribe(
            &arn,
            &request.shard_id,
            self.elapsed_ms(),
            TAKE_OVER_AFTER_MS,
        );
        let Some(ticket) = taken else {
            let message = "Another active subscription exists for this consumer and shard.";
            return Err(Refusal::new("ResourceInUseException", message));
        };
        let start = request.starting_position;
        let place = self
            .place(&mut books, &stream, &request.shard_id, start)
            .await?;
        drop(books);

        let events = self.events(arn, ticket, place, wire, shutdown);
        let kind = [(header::CONTENT_TYPE, "application/vnd.amazon.eventstream")];
        Ok((kind, events).into_response())
    }

    /// The events of a subscription, until it is over, taken over, or shut down.
    fn events(
        self: Arc<Self>,
        arn: String,
        ticket: u64,
        mut place: Place,
        wire: Wire,
        shutdown: CancellationToken,
    ) -> Body {
        let over = tokio::time::Instant::now() + self.options.subscription_lasts;
        let mut beat = tokio::time::Instant::now();
        let events = async_stream::stream! {
            yield Ok::<_, std::io::Error>(Bytes::from(encode_initial_response()));
            while !shutdown.is_cancelled() {
                // Asked for before the look, so that nothing comes between the two unseen.
                let written = self.written.notified();
                tokio::pin!(written);
                written.as_mut().enable();
                let idle = match self.step(&arn, ticket, place, wire).await {
                    Step::Send { event, next, idle } => {
                        // What was written may be another shard's: that is no news here.
                        let now = tokio::time::Instant::now();
                        if !idle || now >= beat {
                            yield Ok(Bytes::from(encode_subscribe_event(&event, wire.event_type())));
                            beat = now + BEAT;
                        }
                        place = next;
                        idle
                    }
                    Step::Last { event } => {
                        yield Ok(Bytes::from(encode_subscribe_event(&event, wire.event_type())));
                        break;
                    }
                    Step::Over => break,
                };
                let now = tokio::time::Instant::now();
                if now >= over {
                    break;
                }
                if idle {
                    tokio::select! {
                        biased;
                        () = shutdown.cancelled() => break,
                        () = written => {}
                        () = tokio::time::sleep_until(over.min(beat)) => {}
                    }
                }
            }
        };
        Body::from_stream(events)
    }

    async fn step(&self, arn: &str, ticket: u64, place: Place, wire: Wire) -> Step {
        // Under one lock, as `GetRecords` does: an empty page of a closed shard is its end.
        let books = self.books.lock().await;
        if !books.subscribed(arn, &place.shard, ticket) {
            return Step::Over;
        }
        let Ok(stream) = self.store.get_stream(&place.stream).await else {
            return Step::Over;
        };
        let Ok((index, shard)) = find(&stream, &place.shard) else {
            return Step::Over;
        };
        let Ok(page) = page(&books.log, &stream, index, &place, RECORDS_MAX) else {
            return Step::Over;
        };
        drop(books);
        let closed = shard.sequence_number_range.ending_sequence_number.is_some();
        if closed && page.records.is_empty() {
            let child_shards = children(&stream, &shard.shard_id);
            return event(wire, &page, None, child_shards)
                .map_or(Step::Over, |event| Step::Last { event });
        }
        let idle = page.records.is_empty();
        let next = page.next(place);
        let Some(event) = event(wire, &page, Some(continuation(&next)), Vec::new()) else {
            return Step::Over;
        };
        Step::Send { event, next, idle }
    }
}

fn event(
    wire: Wire,
    page: &Page,
    continuation: Option<String>,
    children: Vec<ChildShard<'_>>,
) -> Option<Vec<u8>> {
    let event = Event {
        records: page.shown(),
        continuation_sequence_number: continuation,
        millis_behind_latest: page.millis_behind(wall_ms()),
        child_shards: children,
    };
    wire.written(serde_json::to_vec(&event).ok()?)
}

/// A sequence number from which the next subscription goes on, at it or after it: behind the last
/// record and before every later one.
fn continuation(next: &Place) -> String {
    match sequence::parse_sequence(&next.sequence) {
        Ok(last) if next.after => sequence::increment_sequence(&last, None),
        _ => next.sequence.clone(),
    }
}
