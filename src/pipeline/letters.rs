//! Dead letters on their way: what they are about is done only once they are filed.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::progress::Entry;
use super::unit::{FlightId, Slot, Unit};
use super::{Answer, SinkId};
use crate::model::{DeadLetter, ShardId, Stage, StreamName};

/// Letters in one request (SQS: ten entries).
const LETTERS_MAX: usize = 10;

/// Requests under way at once: letters are rare, and where they are not, haste helps nobody.
const REQUESTS_MAX: usize = 4;

/// SQS takes 1 MiB a request; a quarter of it is left for names, reasons and JSON's escapes.
const REQUEST_BYTES_MAX: usize = 768 * 1024;

/// The version of letters.
const VERSION: u32 = 1;

/// A reason is a sentence; a store's answer that is a page is cut here.
const REASON_CHARS_MAX: usize = 1_000;

/// One letter to be written.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) unit: Unit,
    /// The sink that refused the reading; none where the whole record does not decode.
    pub(super) sink: Option<SinkId>,
    pub(super) stage: Stage,
    pub(super) reason: String,
    /// The payload's size.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Flight {
    /// What is still to be answered; the last part is the request under way.
    parts: Vec<Vec<Letter>>,
    /// Whether payloads are left out: the queue would not take one with.
    bare: bool,
}

#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: VecDeque<Letter>,
    flights: BTreeMap<FlightId, Flight>,
}

/// What is to be sent: letters, with or without their payloads.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) letters: Vec<Letter>,
    pub(super) bare: bool,
}

impl Letters {
    pub(super) fn push(&mut self, letter: Letter) {
        self.waiting.push_back(letter);
    }

    /// Letters not yet filed, waiting and under way.
    pub(super) fn len(&self) -> u64 {
        let flying = self.flights.values().flat_map(|flight| &flight.parts);
        (self.waiting.len() + flying.map(Vec::len).sum::<usize>()) as u64
    }

    /// The next request, if there is anything to send.
    pub(super) fn take(&mut self, id: FlightId) -> Option<Request> {
        if self.flights.len() >= REQUESTS_MAX {
            return None;
        }
        let mut letters = Vec::new();
        let mut bytes = 0;
        while letters.len() < LETTERS_MAX
            && let Some(letter) = self.waiting.pop_front_if(|letter| {
                letters.is_empty() || bytes + in_base64(letter.bytes) <= REQUEST_BYTES_MAX
            })
        {
            bytes += in_base64(letter.bytes);
            letters.push(letter);
        }
        if letters.is_empty() {
            return None;
        }
        let flight = Flight {
            parts: vec![letters.clone()],
            bare: false,
        };
        self.flights.insert(id, flight);
        Some(Request {
            letters,
            bare: false,
        })
    }

    /// Takes an answer in: the letters that are filed, and what is to be sent next.
    pub(super) fn answered(
        &mut self,
        id: FlightId,
        answer: &Answer,
    ) -> (Vec<Letter>, Option<Request>) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return (Vec::new(), None);
        };
        let mut part = flight.parts.pop().unwrap_or_default();
        let mut filed = Vec::new();
        match answer {
            Answer::Taken(_) => {
                filed = part;
                flight.bare = false;
            }
            Answer::Rejected(_) if part.len() > 1 => {
                let second = part.split_off(part.len() / 2);
                flight.parts.push(second);
                flight.parts.push(part);
            }
            Answer::Rejected(_) => {
                flight.bare = true;
                flight.parts.push(part);
            }
        }
        let next = flight.parts.last().map(|part| Request {
            letters: part.clone(),
            bare: flight.bare,
        });
        if next.is_none() {
            self.flights.remove(&id);
        }
        (filed, next)
    }

    /// Forgets a shard's letters; answers the requests that nobody waits for any more.
    pub(super) fn abandon(&mut self, slot: Slot) -> Vec<FlightId> {
        self.waiting.retain(|letter| letter.unit.slot != slot);
        let mut deserted = Vec::new();
        self.flights.retain(|id, flight| {
            for part in &mut flight.parts {
                // The last part is under way and its answer counts by place only as a whole.
                part.retain(|letter| letter.unit.slot != slot);
            }
            flight.parts.retain(|part| !part.is_empty());
            if flight.parts.is_empty() {
                deserted.push(*id);
            }
            !flight.parts.is_empty()
        });
        deserted
    }

    #[cfg(test)]
    pub(super) fn units(&self) -> Vec<(Unit, Option<SinkId>)> {
        let flying = self
            .flights
            .values()
            .flat_map(|flight| flight.parts.iter().flatten());
        self.waiting
            .iter()
            .chain(flying)
            .map(|letter| (letter.unit, letter.sink))
            .collect()
    }
}

fn in_base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Writes a letter out.
pub(super) fn write(
    letter: &Letter,
    stream: &StreamName,
    shard: &ShardId,
    entry: &Entry,
    bare: bool,
) -> DeadLetter {
    let data = &entry.record.data;
    let with_data = !bare && in_base64(data.len()) <= REQUEST_BYTES_MAX;
    DeadLetter {
        v: VERSION,
        stage: letter.stage,
        reason: letter.reason.chars().take(REASON_CHARS_MAX).collect(),
        stream: stream.clone(),
        shard: shard.clone(),
        seq: entry.record.seq.clone(),
        sub: entry.sub,
        i: letter.sink.map(|_| letter.unit.index),
        partition_key: entry.record.partition_key.clone(),
        arrival_ms: entry.record.arrival,
        data_base64: with_data.then(|| STANDARD.encode(data)),
        data_left_out_bytes: (!with_data).then_some(data.len()),
    }
}
