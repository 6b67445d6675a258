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
    /// Letters in the request under way, those of lost shards included.
    sent: usize,
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
    /// The reason is cut here, so that one that quotes its payload takes no memory while it waits.
    pub(super) fn push(&mut self, mut letter: Letter) {
        if let Some((end, _)) = letter.reason.char_indices().nth(REASON_CHARS_MAX) {
            letter.reason.truncate(end);
            letter.reason.shrink_to_fit();
        }
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
            sent: letters.len(),
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
            Answer::Recalled => flight.parts.push(part),
            // Which of several is to blame is not known, whoever has left since.
            Answer::Rejected(_) if flight.sent > 1 => {
                if part.len() > 1 {
                    let second = part.split_off(part.len() / 2);
                    flight.parts.push(second);
                }
                flight.parts.push(part);
            }
            Answer::Rejected(_) => {
                flight.bare = !part.is_empty();
                flight.parts.push(part);
            }
        }
        flight.parts.retain(|part| !part.is_empty());
        flight.sent = flight.parts.last().map_or(0, Vec::len);
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
                part.retain(|letter| letter.unit.slot != slot);
            }
            // The last part stays though it be empty: it is under way, and its answer is its own.
            let wanted = flight.parts.iter().any(|part| !part.is_empty());
            if !wanted {
                deserted.push(*id);
            }
            wanted
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
        reason: letter.reason.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(slot: u64) -> Letter {
        Letter {
            unit: Unit {
                slot: Slot(slot),
                record: 0,
                index: 0,
            },
            sink: None,
            stage: Stage::Decode,
            reason: "rubbish".to_owned(),
            bytes: 3,
        }
    }

    fn slots(letters: &[Letter]) -> Vec<Slot> {
        letters.iter().map(|letter| letter.unit.slot).collect()
    }

    fn under_way(of: &[u64]) -> Letters {
        let mut letters = Letters::default();
        of.iter().for_each(|slot| letters.push(letter(*slot)));
        letters.take(FlightId(1)).unwrap();
        letters
    }

    const REJECTED: Answer = Answer::Rejected(String::new());
    const TAKEN: Answer = Answer::Taken(Vec::new());

    #[test]
    fn an_answer_about_letters_of_a_lost_shard_says_nothing_about_the_others() {
        let mut letters = under_way(&[0, 1]);
        let (_, next) = letters.answered(FlightId(1), &REJECTED);
        assert_eq!(slots(&next.unwrap().letters), [Slot(0)]);
        assert_eq!(letters.abandon(Slot(0)), []);
        let (filed, next) = letters.answered(FlightId(1), &TAKEN);
        assert_eq!(slots(&filed), []);
        assert_eq!(slots(&next.unwrap().letters), [Slot(1)]);
        let (filed, next) = letters.answered(FlightId(1), &TAKEN);
        assert_eq!((slots(&filed), next.is_none()), (vec![Slot(1)], true));
    }

    #[test]
    fn a_letter_keeps_its_payload_where_one_of_a_lost_shard_may_be_to_blame() {
        let mut letters = under_way(&[0, 1]);
        letters.abandon(Slot(0));
        let (_, next) = letters.answered(FlightId(1), &REJECTED);
        let next = next.unwrap();
        assert_eq!((slots(&next.letters), next.bare), (vec![Slot(1)], false));
        let (_, next) = letters.answered(FlightId(1), &REJECTED);
        assert!(next.unwrap().bare);
    }

    #[test]
    fn a_reason_of_megabytes_is_cut_before_it_waits() {
        let mut letters = Letters::default();
        letters.push(Letter {
            reason: "\u{e9}".repeat(1_000_000),
            ..letter(0)
        });
        assert_eq!(letters.waiting[0].reason.chars().count(), REASON_CHARS_MAX);
    }
}
