//! What must hold in the naive world, counted from nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::toys::*;
use super::world::{Flying, World};

impl World {
    /// The invariants that hold after every step, recounted from nothing.
    pub(super) fn check(&self) {
        let pipeline = &self.pipeline;
        let books = pipeline.books();
        assert!(books.balance() && books.broken == 0, "{books:?}");
        let owned = |slot: Slot| pipeline.slots.contains_key(&slot);
        let letters = pipeline.letters.units();
        let mut open = letters.iter().filter(|(_, sink)| sink.is_none()).count() as u64;
        for sink in pipeline.sinks() {
            let lane = pipeline.lanes[sink.0].units();
            let in_lane = lane.iter().filter(|unit| owned(unit.slot)).count();
            let in_letters = letters.iter().filter(|(_, s)| *s == Some(sink)).count();
            let in_flight = (in_lane + in_letters) as u64;
            assert_eq!(books.sinks[sink.0].in_flight, in_flight, "{sink:?}");
            open += in_flight;
        }
        let units: u64 = pipeline
            .slots
            .values()
            .map(|s| s.progress.open_units())
            .sum();
        assert_eq!(units, open);
        self.check_flights();
        // A record is at most some 2,700 bytes here, an answer within the estimate but for those.
        assert!(pipeline.budget_used() <= 8_000 + 2 * 30_000);
    }

    /// P3: one request a shard and sink, and no row in two requests.
    pub(super) fn check_flights(&self) {
        let mut rows = BTreeSet::new();
        let mut shards: BTreeMap<(usize, SinkId), FlightId> = BTreeMap::new();
        for (flight, flying) in &self.flying {
            let (sink, batch) = match flying {
                Flying::Store(store, batch) => (SinkId(*store), batch),
                Flying::Queue(queue, batch) => (SinkId(STORES + *queue), batch),
                Flying::Letters(_) => continue,
            };
            for one in batch {
                let (shard, _) = place(&one.reading.shard, &one.reading.position.seq);
                let owned = self.shards[shard].slot.is_some();
                let other = shards.insert((shard, sink), *flight);
                // Requests shared with a lost ownership of the same shard may linger.
                let lost = self.shards[shard].epoch > 1;
                assert!(!owned || lost || other.is_none_or(|other| other == *flight));
                let row = one.for_store(sink.0).map(|there| (sink, there.row.clone()));
                assert!(row.is_none_or(|row| rows.insert(row)));
            }
        }
    }

    /// L9: whatever a checkpoint passes is done in every sink, or its letter is filed.
    pub(super) fn done(&self, shard: usize, records: usize) {
        for (number, record) in self.shards[shard].records[..records].iter().enumerate() {
            let ToyRecord::Readings(toys) = record else {
                assert!(self.letters.contains(&(Stage::Decode, shard, number, None)));
                continue;
            };
            for (index, toy) in toys.iter().enumerate() {
                let one = prepare(shard, number, index, *toy);
                let i = u32::try_from(index).unwrap();
                let letter = |stage| self.letters.contains(&(stage, shard, number, Some(i)));
                for (store, stage) in [Stage::Timestream, Stage::Influx].into_iter().enumerate() {
                    let Some(there) = one.for_store(store) else {
                        continue;
                    };
                    let row = (store, there.row.clone());
                    let stored = self.stored.get(&row) == Some(&toy.value);
                    assert!(stored || letter(stage), "{one:?} is not done");
                }
                for queue in 0..QUEUES {
                    let live = self.live.contains(&(queue, shard, number, i));
                    assert!(live || letter(Stage::Queue), "{one:?} is not live");
                }
            }
        }
    }

    /// Parts of a split request are decided in stream order, too: a rejected part of several
    /// readings decides nothing yet.
    pub(super) fn in_order_within(&mut self, flight: FlightId, flying: &Flying) {
        let (Flying::Store(_, batch) | Flying::Queue(_, batch)) = flying else {
            return;
        };
        let poison = [Kind::Poison, Kind::QueuePoison];
        let undecided = |one: &Arc<Prepared>| poison.iter().any(|kind| is(one, *kind));
        if batch.len() > 1 && batch.iter().any(undecided) {
            return;
        }
        for one in batch {
            let position = &one.reading.position;
            let (shard, _) = place(&one.reading.shard, &position.seq);
            let here = (position.seq.clone(), position.index);
            let before = self.decided.insert((flight, shard), here.clone());
            assert!(
                before.is_none_or(|before| before < here),
                "{here:?} is late"
            );
        }
    }
}
