//! A response body that is let through one message at a time.
//!
//! The SDK's receiver takes in whatever has come when it is asked. An event may have megabytes, so a
//! reader must know what it is about to take in before it does: the gate reads the length that every
//! message of an event stream begins with, and hands the message on, and nothing of the next one,
//! only when the receiver asks for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

/// Every message begins with its own length, of four bytes.
const LENGTH_BYTES: usize = 4;
/// The least length: two lengths, two checksums (the event stream encoding of AWS).
const MESSAGE_BYTES_MIN: usize = 16;
/// The greatest that is believed: an answer's 10 MiB in base64, with its JSON, twice.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the first message is, where no event comes first.
const INITIAL: &[u8] = b"initial-response";
/// It says so in its headers, which come first.
const FIRST_BYTES_MAX: usize = 1_024;

/// The gate of one subscription; clones share it. It is empty until an answer has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<Source>>);

#[derive(Debug, Default)]
struct Source {
    body: Option<SdkBody>,
    /// What has come and is not handed on.
    held: Bytes,
    /// What is missing of the message that is being handed on.
    left: usize,
    /// Whether the first message announces the events; unknown before it has come.
    announces: Option<bool>,
    /// The beginning of the first message, until that is known.
    first: Vec<u8>,
}

impl Gate {
    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a message begins to arrive: its length in bytes. `None`: there is none any more.
    pub(super) async fn arrived(&self) -> Result<Option<u64>, BoxError> {
        std::future::poll_fn(|context| self.source().poll_arrived(context)).await
    }

    /// Whether the first message, which has been handed on, was an event.
    pub(super) fn began_with_an_event(&self) -> bool {
        self.source().announces == Some(false)
    }
}

impl Source {
    /// Whether more has come; not, when the body is over.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BoxError>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Ok(false));
        };
        loop {
            let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(context)) else {
                return Poll::Ready(Ok(false));
            };
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if self.held.is_empty() {
                self.held = data;
            } else {
                let mut both = BytesMut::with_capacity(self.held.len() + data.len());
                both.extend_from_slice(&self.held);
                both.extend_from_slice(&data);
                self.held = both.freeze();
            }
            return Poll::Ready(Ok(true));
        }
    }

    /// The length of the message that begins with what is held, once its first bytes are there.
    fn next_length(&self) -> Result<Option<usize>, BoxError> {
        let Some(bytes) = self.held.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*bytes))?;
        if !(MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(format!("a message of {length} bytes").into());
        }
        Ok(Some(length))
    }

    fn poll_arrived(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<u64>, BoxError>> {
        loop {
            if let Some(length) = self.next_length()? {
                return Poll::Ready(Ok(Some(length as u64)));
            }
            if !ready!(self.poll_more(context))? {
                return Poll::Ready(match self.held.is_empty() {
                    true => Ok(None),
                    false => Err("it ends within a message".into()),
                });
            }
        }
    }

    fn look_at_first(&mut self, part: &[u8]) {
        if self.announces.is_some() {
            return;
        }
        let more = part.len().min(FIRST_BYTES_MAX - self.first.len());
        self.first.extend_from_slice(&part[..more]);
        if self.left == 0 || self.first.len() == FIRST_BYTES_MAX {
            let first = std::mem::take(&mut self.first);
            let says_so = first.windows(INITIAL.len()).any(|bytes| bytes == INITIAL);
            self.announces = Some(says_so);
        }
    }

    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            if self.left == 0 {
                match self.next_length() {
                    Ok(length) => self.left = length.unwrap_or(0),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            let part = self.left.min(self.held.len());
            if part > 0 {
                self.left -= part;
                let part = self.held.split_to(part);
                self.look_at_first(&part);
                return Poll::Ready(Some(Ok(part)));
            }
            match ready!(self.poll_more(context)) {
                Ok(true) => {}
                Ok(false) if self.held.is_empty() => return Poll::Ready(None),
                Ok(false) => return Poll::Ready(Some(Ok(std::mem::take(&mut self.held)))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl Body for Gate {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let part = ready!(self.source().poll_part(context));
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }
}

impl Intercept for Gate {
    fn name(&self) -> &'static str {
        "Gate"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response_mut();
        if answer.status().is_success() {
            let gate = SdkBody::from_body_1_x(self.clone());
            self.source().body = Some(std::mem::replace(answer.body_mut(), gate));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Parts that come one by one.
    struct Parts(VecDeque<Bytes>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
        }
    }

    fn message(length: u32, filled_with: u8) -> Vec<u8> {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.resize(length as usize, filled_with);
        bytes
    }

    fn gate(bytes: &[u8], parts_of: usize) -> Gate {
        let parts = bytes.chunks(parts_of).map(Bytes::copy_from_slice).collect();
        let gate = Gate::default();
        gate.source().body = Some(SdkBody::from_body_1_x(Parts(parts)));
        gate
    }

    async fn part(gate: &mut Gate) -> Option<Result<Bytes, BoxError>> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *gate).poll_frame(context)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().expect("data")))
    }

    #[tokio::test]
    async fn messages_are_announced_and_come_one_at_a_time_however_they_are_cut() {
        let bytes = [message(16, 1), message(40, 2), message(17, 3)].concat();
        for parts_of in [1, 3, 5, 16, 20, 1_000] {
            let mut gate = gate(&bytes, parts_of);
            for (length, filled_with) in [(16, 1), (40, 2), (17, 3)] {
                assert_eq!(gate.arrived().await.unwrap(), Some(length));
                assert_eq!(gate.arrived().await.unwrap(), Some(length), "asked twice");
                let mut taken = Vec::new();
                while (taken.len() as u64) < length {
                    taken.extend(part(&mut gate).await.unwrap().unwrap());
                }
                let whole = message(u32::try_from(length).unwrap(), filled_with);
                assert_eq!(taken, whole, "in parts of {parts_of}");
            }
            assert_eq!(gate.arrived().await.unwrap(), None);
            assert!(part(&mut gate).await.is_none());
        }
    }

    #[tokio::test]
    async fn what_is_cut_off_or_no_message_is_an_error_not_a_wait() {
        let cut_off = gate(&message(40, 1)[..2], 100);
        assert!(cut_off.arrived().await.is_err());
        for length in [0, 15, u32::MAX] {
            let mut absurd = gate(&length.to_be_bytes(), 100);
            assert!(absurd.arrived().await.is_err());
            assert!(part(&mut absurd).await.unwrap().is_err());
        }
    }

    #[tokio::test]
    async fn the_first_message_may_be_an_event() {
        for (first, is_event) in [
            (&b"initial-response"[..], false),
            (b"an-event-of-ours", true),
        ] {
            let mut bytes = 20_u32.to_be_bytes().to_vec();
            bytes.extend_from_slice(first);
            let mut gate = gate(&bytes, 7);
            for _ in 0..3 {
                assert!(!gate.began_with_an_event());
                part(&mut gate).await.unwrap().unwrap();
            }
            assert_eq!(gate.began_with_an_event(), is_event);
        }
    }
}
