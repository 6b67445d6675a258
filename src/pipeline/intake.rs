//! Records become units on their way to sinks; units come back with their fate.

use std::sync::Arc;

use super::books::Rule;
use super::budget::Brought;
use super::lane::Fate;
use super::letters::Letter;
use super::message::PACKED_ENVELOPE;
use super::state::Pipeline;
use super::unit::{Prepared, PreparedRecord, Slot, Unit};
use super::{PreparedPage, SinkId, SinkKind};
use crate::model::{Millis, RejectionKind, Stage};

impl Pipeline {
    /// A page was read. Of a shard that is being handed back, or is gone, it is ignored: nobody
    /// has passed it.
    pub(super) fn page(&mut self, now: Millis, slot: Slot, page: PreparedPage) {
        let bytes = page.records.iter().map(PreparedRecord::bytes).sum();
        let Some(shard) = self.slots.get_mut(&slot).filter(|shard| !shard.draining) else {
            self.budget.settle(slot, Brought::default());
            return;
        };
        let brought = Brought {
            fetched: page.fetched,
            bytes,
            waiting: page.waiting_bytes,
        };
        self.budget.settle(slot, brought);
        shard.behind_ms = page.behind_ms;
        if shard.progress.is_empty() {
            shard.moved_at = now;
        }
        shard.ended = page.ended;
        let has_ended = shard.ended.is_some();
        for record in page.records {
            self.record(now, slot, record);
        }
        if has_ended {
            self.hurry(slot);
        }
        self.advance(now, slot);
    }

    fn record(&mut self, now: Millis, slot: Slot, record: PreparedRecord) {
        let bytes = record.bytes();
        let sinks = self.sinks();
        let Some(shard) = self.slots.get_mut(&slot) else {
            return;
        };
        let units = match &record.readings {
            Ok(readings) => {
                let counts = sinks.clone().map(|sink| self.options.meant(sink, readings));
                counts.sum()
            }
            Err(_) => 1,
        };
        let payload = record.record.data.len();
        shard.records_read += 1;
        shard.bytes_read += payload as u64;
        shard.last_read = Some(record.record.seq.clone());
        self.books.records.read += 1;
        self.books.records.in_flight += 1;
        let open = u32::try_from(units).expect("a record's readings are limited by decoding");
        let number = shard.progress.push(record.record, record.sub, open, bytes);
        for sink in sinks.clone() {
            let book = &mut self.books.sinks[sink.0];
            book.read += u64::from(record.no_measures);
            (0..record.no_measures).for_each(|_| book.skip(Rule::NoMeasures));
            if let Some(rule) = record.skipped {
                book.read += 1;
                book.skip(rule);
            }
        }
        let unit = Unit {
            slot,
            record: number,
            index: 0,
        };
        let readings = match record.readings {
            Ok(readings) => readings,
            Err(error) => {
                self.books.records.undecodable += 1;
                self.letters.push(Letter {
                    unit,
                    sink: None,
                    stage: Stage::Decode,
                    reason: error.to_string(),
                    bytes: payload,
                });
                return;
            }
        };
        let count = readings.len() as u64;
        shard.readings_read += count;
        for sink in sinks {
            let meant = self.options.meant(sink, &readings) as u64;
            let book = &mut self.books.sinks[sink.0];
            book.read += meant;
            book.in_flight += meant;
            shard.open[sink.0] += meant;
        }
        for prepared in readings {
            let unit = Unit {
                index: prepared.reading.position.index,
                ..unit
            };
            self.hand_on(now, unit, &prepared);
        }
    }

    /// A reading to every sink that it is meant for.
    fn hand_on(&mut self, now: Millis, unit: Unit, prepared: &Arc<Prepared>) {
        for sink in self.sinks() {
            if !self.options.is_meant(sink, prepared) {
                continue;
            }
            match self.known_fate(now, sink, prepared) {
                Some(fate) => self.settle(now, sink, unit, fate),
                None => self.lanes[sink.0].push(unit, Arc::clone(prepared), now),
            }
        }
    }

    /// What is certain before a sink is asked.
    fn known_fate(&self, now: Millis, sink: SinkId, prepared: &Prepared) -> Option<Fate> {
        if let SinkKind::Store(store) = self.options.kind(sink) {
            let refused = prepared.for_store(store)?.refused.as_ref();
            return refused.map(|reason| Fate::Refused {
                kind: RejectionKind::Other,
                reason: reason.clone(),
            });
        }
        if prepared.expires.is_some_and(|at| at <= now) {
            return Some(Fate::Expired);
        }
        let bytes = prepared.live.len() + PACKED_ENVELOPE;
        let bytes_max = self.options.message_bytes_limit;
        (bytes > bytes_max).then(|| Fate::Refused {
            kind: RejectionKind::OverLimit,
            reason: format!(
                "the reading takes {bytes} bytes of a message, {bytes_max} are allowed"
            ),
        })
    }

    /// A unit's way at a sink is over, but for a dead letter.
    pub(super) fn settle(&mut self, now: Millis, sink: SinkId, unit: Unit, fate: Fate) {
        let Some(shard) = self.slots.get(&unit.slot) else {
            return;
        };
        let book = &mut self.books.sinks[sink.0];
        match fate {
            Fate::Acknowledged => book.acknowledged += 1,
            Fate::Expired => book.skip(Rule::MaxAge),
            Fate::Refused { kind, reason } => {
                *self.books.rejections.entry((sink, kind)).or_default() += 1;
                if kind == RejectionKind::Superseded {
                    book.skip(Rule::Superseded);
                } else {
                    let entry = shard.progress.entry(unit.record);
                    self.letters.push(Letter {
                        unit,
                        sink: Some(sink),
                        stage: self.options.stage(sink),
                        reason,
                        bytes: entry.map_or(0, |entry| entry.record.data.len()),
                    });
                    return;
                }
            }
        }
        self.close_unit(now, unit, Some(sink));
    }

    /// A dead letter is filed: what it was about is done.
    pub(super) fn filed(&mut self, now: Millis, letter: &Letter) {
        if !self.slots.contains_key(&letter.unit.slot) {
            return;
        }
        *self.books.letters.entry(letter.stage).or_default() += 1;
        if let Some(sink) = letter.sink {
            self.books.sinks[sink.0].dead_lettered += 1;
        }
        self.close_unit(now, letter.unit, letter.sink);
    }

    fn close_unit(&mut self, now: Millis, unit: Unit, sink: Option<SinkId>) {
        let Some(shard) = self.slots.get_mut(&unit.slot) else {
            return;
        };
        // What is not open cannot be closed: a defect, counted, and nothing else goes wrong by it.
        let is_open = sink.is_none_or(|sink| shard.open[sink.0] > 0);
        if !is_open || !shard.progress.close(unit.record) {
            self.books.broken += 1;
            return;
        }
        if let Some(sink) = sink {
            shard.open[sink.0] -= 1;
            self.books.sinks[sink.0].in_flight -= 1;
        }
        self.advance(now, unit.slot);
    }

    fn advance(&mut self, now: Millis, slot: Slot) {
        let Some(shard) = self.slots.get_mut(&slot) else {
            return;
        };
        let advance = shard.progress.advance();
        if let Some(checkpoint) = advance.checkpoint {
            shard.checkpoint = Some(checkpoint);
            shard.records_done += advance.records;
            shard.moved_at = now;
            self.dirty.insert(slot);
            self.books.records.done += advance.records;
            self.books.records.in_flight -= advance.records;
            self.budget.release(slot, advance.bytes);
        }
    }
}
