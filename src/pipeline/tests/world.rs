//! The naive world: a stream, a store and queues that do as they should, and books of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::toys::*;
use crate::model::{Checkpoint, Millis, RowKey, SequenceNumber};

/// A request under way, as the world sees it.
#[derive(Debug)]
pub(super) enum Flying {
    Store(usize, Vec<Arc<Prepared>>),
    Queue(usize, Vec<Arc<Prepared>>),
    Letters(Vec<DeadLetter>),
}

pub(super) struct World {
    pub(super) pipeline: Pipeline,
    pub(super) now: Millis,
    pub(super) shards: Vec<ToyShard>,
    pub(super) flying: BTreeMap<FlightId, Flying>,
    pub(super) stored: BTreeMap<(usize, RowKey), u8>,
    /// (queue, shard, record, reading) that a queue took.
    pub(super) live: BTreeSet<(usize, usize, usize, u32)>,
    /// (stage, shard, record, reading) that were filed.
    pub(super) letters: BTreeSet<(Stage, usize, usize, Option<u32>)>,
    /// Per sink, shard and epoch: the last place sent.
    pub(super) sent: BTreeMap<(SinkId, usize, u64), Option<(SequenceNumber, u32)>>,
    /// Requests that are to fail.
    pub(super) recalled: BTreeSet<FlightId>,
    pub(super) flights_seen: BTreeSet<FlightId>,
    /// Per request and shard: the last place decided.
    pub(super) decided: BTreeMap<(FlightId, usize), (SequenceNumber, u32)>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut options = Options::new(StreamName::from("toys"), QUEUES);
        options.stores = vec![
            StoreOptions {
                batch_max: 4,
                requests_max: 3,
                ..StoreOptions::new(Stage::Timestream)
            },
            StoreOptions {
                batch_max: 7,
                bytes_max: 3_000,
                window: Duration::from_millis(300),
                requests_max: 2,
                ..StoreOptions::new(Stage::Influx)
            },
        ];
        options.queue_requests_max = 2;
        options.message_bytes_max = 600;
        options.message_bytes_limit = 600;
        options.budget_bytes = 8_000;
        options.reads_max = 2;
        Self {
            pipeline: Pipeline::new(options),
            now: Millis(1_000_000),
            shards: (0..SHARDS).map(|_| ToyShard::default()).collect(),
            flying: BTreeMap::new(),
            stored: BTreeMap::new(),
            live: BTreeSet::new(),
            letters: BTreeSet::new(),
            sent: BTreeMap::new(),
            recalled: BTreeSet::new(),
            flights_seen: BTreeSet::new(),
            decided: BTreeMap::new(),
        }
    }

    pub(super) fn step(&mut self, input: Input) {
        let effects = self.pipeline.step(self.now, input);
        for effect in effects {
            self.effect(effect);
        }
        self.check();
    }

    pub(super) fn grant(&mut self, shard: usize) {
        let toy = &mut self.shards[shard];
        if toy.slot.is_some() || toy.ended {
            return;
        }
        toy.epoch += 1;
        toy.handed_on = toy.checkpoint;
        toy.draining = false;
        toy.permit = None;
        let epoch = LeaseCounter(toy.epoch);
        let start = Start::TrimHorizon;
        let shard = id(shard);
        self.step(Input::Granted {
            shard,
            epoch,
            start,
        });
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::StartReading { slot, shard, .. } => {
                let (shard, _) = place(&shard, &seq(0));
                self.shards[shard].slot = Some(slot);
            }
            Effect::Read { slot, limit } => {
                let toy = self.shards.iter_mut().find(|toy| toy.slot == Some(slot));
                toy.expect("only owned shards are read").permit = Some(limit);
            }
            Effect::StopReading(_) => {}
            Effect::Write {
                flight,
                store,
                batch,
            } => {
                let bytes: usize = batch.iter().map(|one| one.bytes()).sum();
                assert!(batch.len() <= [4, 7][store]);
                assert!(store == 0 || batch.len() == 1 || bytes <= 3_000);
                self.left(flight, SinkId(store), &batch);
                self.flying.insert(flight, Flying::Store(store, batch));
            }
            Effect::Send {
                flight,
                queue,
                batch,
            } => {
                let bytes: usize = batch.iter().map(|one| one.live.len() + 1).sum();
                assert!(bytes <= 600);
                self.left(flight, SinkId(STORES + queue), &batch);
                self.flying.insert(flight, Flying::Queue(queue, batch));
            }
            Effect::File { flight, letters } => {
                assert!((1..=10).contains(&letters.len()));
                self.flying.insert(flight, Flying::Letters(letters));
            }
            Effect::Cancel(flight) => drop(self.flying.remove(&flight)),
            Effect::Recall(flight) => drop(self.recalled.insert(flight)),
            Effect::Say(say) => self.said(say),
        }
    }

    /// Stream order per shard and sink, each reading once; what a request is split into follows
    /// within it.
    pub(super) fn left(&mut self, flight: FlightId, sink: SinkId, batch: &[Arc<Prepared>]) {
        if !self.flights_seen.insert(flight) {
            return;
        }
        for one in batch {
            let position = &one.reading.position;
            let (shard, _) = place(&one.reading.shard, &position.seq);
            let seen = self.sent.entry((sink, shard, self.shards[shard].epoch));
            let seen = seen.or_default();
            let here = (position.seq.clone(), position.index);
            let last = seen.replace(here.clone());
            assert!(last.is_none_or(|last| last < here), "{here:?} is late");
        }
    }

    pub(super) fn said(&mut self, say: Say) {
        match say {
            Say::Checkpoint {
                shard,
                epoch,
                checkpoint,
            } => self.checkpoint(&shard, epoch, &checkpoint),
            Say::Drained {
                shard,
                epoch,
                checkpoint,
            } => {
                if let Some(checkpoint) = checkpoint {
                    self.checkpoint(&shard, epoch, &checkpoint);
                }
                let (shard, _) = place(&shard, &seq(0));
                let toy = &mut self.shards[shard];
                assert!(toy.ended || toy.checkpoint == toy.handed_on);
                toy.slot = None;
            }
            Say::Rate { .. } => panic!("the pipeline tells no rates"),
            Say::Ended { shard, .. } => {
                let (shard, _) = place(&shard, &seq(0));
                let records = self.shards[shard].records.len();
                self.done(shard, records);
                self.shards[shard].ended = true;
                self.shards[shard].slot = None;
            }
        }
    }

    pub(super) fn checkpoint(
        &mut self,
        shard: &ShardId,
        epoch: LeaseCounter,
        checkpoint: &Checkpoint,
    ) {
        let Checkpoint::At { seq, .. } = checkpoint else {
            panic!("{checkpoint:?}");
        };
        let (shard, record) = place(shard, seq);
        assert_eq!(self.shards[shard].epoch, epoch.0);
        assert!(record + 1 > self.shards[shard].checkpoint, "moved back");
        self.shards[shard].checkpoint = record + 1;
        self.done(shard, record + 1);
    }

    pub(super) fn answer(&mut self, which: usize) {
        let under_way = self.flying.len().max(1);
        let Some(flight) = self.flying.keys().nth(which % under_way).copied() else {
            return;
        };
        let flying = self.flying.remove(&flight).unwrap();
        if which.is_multiple_of(3) {
            self.step(Input::Throttled(flight));
        }
        if self.recalled.remove(&flight) && which.is_multiple_of(2) {
            let answer = Answer::Recalled;
            return self.step(Input::Answered { flight, answer });
        }
        self.in_order_within(flight, &flying);
        let answer = match flying {
            Flying::Store(_, batch) if batch.iter().any(|one| is(one, Kind::Poison)) => {
                Answer::Rejected("poison".to_owned())
            }
            Flying::Store(store, batch) => Answer::Taken(self.store(store, &batch)),
            Flying::Queue(_, batch) if batch.iter().any(|one| is(one, Kind::QueuePoison)) => {
                Answer::Rejected("poison".to_owned())
            }
            Flying::Queue(queue, batch) => {
                for one in batch {
                    let position = &one.reading.position;
                    let (shard, record) = place(&one.reading.shard, &position.seq);
                    self.live.insert((queue, shard, record, position.index));
                }
                Answer::Taken(Vec::new())
            }
            // The dead-letter queue takes these alone and bare only.
            Flying::Letters(letters)
                if letters.iter().any(|letter| {
                    letter.stage == Stage::Decode
                        && (letters.len() > 1 || letter.data_base64.is_some())
                }) =>
            {
                Answer::Rejected("rubbish".to_owned())
            }
            Flying::Letters(letters) => {
                for letter in letters {
                    let (shard, record) = place(&letter.shard, &letter.seq);
                    self.letters.insert((letter.stage, shard, record, letter.i));
                }
                Answer::Taken(Vec::new())
            }
        };
        self.step(Input::Answered { flight, answer });
    }

    /// As Timestream: the first value of a row stays, an equal one is fine.
    pub(super) fn store(&mut self, store: usize, batch: &[Arc<Prepared>]) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for (index, one) in batch.iter().enumerate() {
            let value = value_of(one);
            let row = (store, one.for_store(store).unwrap().row.clone());
            if *self.stored.entry(row).or_insert(value) != value {
                refusals.push(Refusal {
                    index,
                    kind: RejectionKind::Duplicate,
                    reason: "another value is there".to_owned(),
                });
            }
        }
        refusals
    }

    pub(super) fn read(&mut self, shard: usize) {
        let toy = &mut self.shards[shard];
        let Some(slot) = toy.slot else {
            return self.grant(shard);
        };
        let Some(limit) = toy.permit.take() else {
            let waits = toy.draining || (toy.closed && toy.handed_on == toy.records.len());
            if !waits {
                self.step(Input::Ready {
                    slot,
                    event_bytes: None,
                });
            }
            return;
        };
        let from = toy.handed_on;
        let read = toy
            .records
            .len()
            .min(from + usize::try_from(limit).unwrap());
        // The rest of a long answer waits to be decoded.
        let to = read.min(from + 3);
        let page = PreparedPage {
            records: (from..to)
                .map(|number| prepared_record(shard, number, toy))
                .collect(),
            fetched: (to - from) as u64,
            waiting_bytes: 5_000 * (read - to) as u64,
            ended: (toy.closed && to == toy.records.len()).then(Vec::new),
            behind_ms: 0,
        };
        if !toy.draining {
            toy.handed_on = to;
        }
        self.step(Input::Page { slot, page });
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Put(shard, record) => {
                let toy = &mut self.shards[shard];
                if !toy.closed {
                    toy.records.push(record);
                }
            }
            Op::Read(shard) => self.read(shard),
            Op::Answer(which) => self.answer(which),
            Op::Wait(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                self.step(Input::Tick);
            }
            Op::Lose(shard) if self.shards[shard].slot.is_some() => {
                let toy = &mut self.shards[shard];
                let epoch = LeaseCounter(toy.epoch);
                let late = toy.permit.take().and(toy.slot.take());
                toy.slot = None;
                let toy = &self.shards[shard];
                let page = PreparedPage {
                    records: (toy.handed_on..toy.records.len())
                        .map(|number| prepared_record(shard, number, toy))
                        .collect(),
                    ..PreparedPage::default()
                };
                let shard = id(shard);
                self.step(Input::Revoked { shard, epoch });
                // The reader did not know yet.
                if let Some(slot) = late {
                    self.step(Input::Page { slot, page });
                }
            }
            Op::HandBack(shard) if self.shards[shard].slot.is_some() => {
                let epoch = LeaseCounter(self.shards[shard].epoch);
                self.shards[shard].draining = true;
                let shard = id(shard);
                self.step(Input::Drain { shard, epoch });
            }
            Op::Lose(_) | Op::HandBack(_) => {}
            Op::Split(shard) => self.shards[shard].closed = true,
        }
    }

    /// Nothing goes wrong any more: everything must get done.
    pub(super) fn settle(&mut self) {
        for _ in 0..3_000 {
            for shard in 0..SHARDS {
                self.read(shard);
            }
            self.answer(0);
            self.now = self.now + Duration::from_millis(600);
            self.step(Input::Tick);
            let done = |toy: &ToyShard| toy.ended || toy.checkpoint == toy.records.len();
            if self.shards.iter().all(done) && self.flying.is_empty() {
                return;
            }
        }
        panic!("it got stuck: {:?} {:?}", self.shards, self.flying);
    }
}
