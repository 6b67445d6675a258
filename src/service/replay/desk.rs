//! Letters as if they were a stream: the shards they came from, with what is left of their records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::decode::aggregate::Aggregate;
use crate::decode::{self, Decoder};

use crate::door::dead_letters::DeadLetters;
use crate::door::fault::{CallFailed, Fault};
use crate::door::stream::{Error, NoSubscription, Page, ShardIterator, Stream};
use crate::model::{DeadLetter, EpochMillis, Record, SequenceNumber, Shard, ShardId, Start};

/// Which record a letter is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// The record.
    pub seq: SequenceNumber,
    /// The user record within it.
    pub sub: u64,
}

/// The record that a letter carries; none where its data was left out.
///
/// # Errors
/// Its data is not base64.
pub fn record(letter: &DeadLetter) -> Result<Option<Record>, String> {
    let Some(data) = &letter.data_base64 else {
        return Ok(None);
    };
    let data = STANDARD.decode(data);
    let data = data.map_err(|error| format!("its data is not base64: {error}"))?;
    Ok(Some(Record {
        seq: letter.seq.clone(),
        sub: letter.sub,
        partition_key: letter.partition_key.clone(),
        arrival: letter.arrival_ms,
        data: Bytes::from(data),
    }))
}

/// A letter on its way through the pipeline.
#[derive(Clone, Debug)]
struct Sent {
    /// The message's id.
    id: String,
    about: About,
    /// Its user records are told one by one: the last is not known.
    aggregate: bool,
    /// The reading; none: all of the record's.
    index: Option<u32>,
}

/// A letter that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// The message's id.
    pub id: String,
    /// Why it stays, if it does.
    pub stays: Option<String>,
}

#[derive(Debug, Default)]
struct OfShard {
    /// Not read yet.
    records: VecDeque<Record>,
    /// Read or not, in their order; not yet through.
    sent: VecDeque<Sent>,
}

/// Readings of one record (none: all of it), and why each was refused.
type Refused = Vec<(Option<u32>, String)>;

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<ShardId, OfShard>,
    /// No more letters come.
    closed: bool,
    /// What was refused, which reading of it (none: the whole record), and why.
    refused: BTreeMap<(ShardId, About), Refused>,
    /// Which readings of a record are wanted; none: all.
    wanted: BTreeMap<(ShardId, About), BTreeSet<u32>>,
    /// Wanted readings that the record really made.
    made: BTreeSet<(ShardId, About, u32)>,
}

/// The letters of one stage. It is the stream that they are read from, and the queue that takes
/// what is refused again.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
    /// Where no store is there to see which readings a record makes.
    decoder: Option<Mutex<Decoder>>,
}

impl Desk {
    /// Of letters that go to a queue alone.
    #[must_use]
    pub fn for_a_queue(options: Arc<decode::Options>) -> Self {
        Self {
            state: Mutex::default(),
            decoder: Some(Mutex::new(Decoder::new(options))),
        }
    }

    /// Whether the record makes that reading, where nobody else will see it. What an aggregate's
    /// user records make is not looked at: the letter of one of them carries it alone.
    fn makes(&self, shard: &ShardId, record: &Record, index: u32) -> bool {
        let Some(decoder) = &self.decoder else {
            return false;
        };
        if Aggregate::is_begun_by(record) {
            return true;
        }
        let mut decoder = decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let decoded = decoder.decode(shard, record, record.sub);
        decoded.is_ok_and(|decoded| {
            let mut readings = decoded.readings.iter();
            readings.any(|reading| reading.position.index == index)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a letter with its payload on the way; whether its shard is a new one.
    ///
    /// # Errors
    /// It has no payload, or not in base64.
    pub fn put(&self, id: &str, letter: &DeadLetter) -> Result<bool, String> {
        let record = record(letter)?.ok_or("its data was left out")?;
        let about = About {
            seq: letter.seq.clone(),
            sub: letter.sub,
        };
        let made = letter
            .i
            .filter(|index| self.makes(&letter.shard, &record, *index));
        let mut state = self.state();
        let is_new = !state.shards.contains_key(&letter.shard);
        if let Some(index) = made {
            let (shard, about) = (letter.shard.clone(), about.clone());
            state.made.insert((shard, about, index));
        }
        if let Some(index) = letter.i {
            let key = (letter.shard.clone(), about.clone());
            state.wanted.entry(key).or_default().insert(index);
        }
        let shard = state.shards.entry(letter.shard.clone()).or_default();
        shard.sent.push_back(Sent {
            id: id.to_owned(),
            about,
            aggregate: Aggregate::is_begun_by(&record),
            index: letter.i,
        });
        shard.records.push_back(record);
        Ok(is_new)
    }

    /// No more letters come: shards end with what they have.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Letters that are not through.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.state()
            .shards
            .values()
            .map(|shard| shard.sent.len())
            .sum()
    }

    /// Whether a reading is what a letter is about; it is then noted as made.
    pub fn wants(&self, shard: &ShardId, about: &About, index: u32) -> bool {
        let mut state = self.state();
        let key = (shard.clone(), about.clone());
        let wants = match state.wanted.get(&key) {
            Some(wanted) => wanted.contains(&index),
            None => true,
        };
        if wants {
            let (shard, about) = key;
            state.made.insert((shard, about, index));
        }
        wants
    }

    /// Everything up to a record is done; none: all of the shard.
    pub fn done(&self, shard: &ShardId, upto: Option<&About>) -> Vec<Through> {
        let mut state = self.state();
        let Some(of_shard) = state.shards.get_mut(shard) else {
            return Vec::new();
        };
        let count = match upto {
            None => of_shard.sent.len(),
            Some(upto) => {
                // Of several letters about one record the first: that the others are done, too, is
                // said by what comes after them.
                let is_it = |sent: &Sent| match sent.aggregate {
                    true => sent.about.seq == upto.seq,
                    false => sent.about == *upto,
                };
                let place = of_shard.sent.iter().position(is_it);
                let whole = place.is_some_and(|at| !of_shard.sent[at].aggregate);
                place.map_or(0, |at| at + usize::from(whole))
            }
        };
        let through: Vec<Sent> = of_shard.sent.drain(..count).collect();
        let through = through.into_iter().map(|sent| Through {
            stays: state.stays(shard, &sent),
            id: sent.id,
        });
        through.collect()
    }
}

impl State {
    /// Why a letter that went through stays in its queue.
    fn stays(&self, shard: &ShardId, sent: &Sent) -> Option<String> {
        let of_it = self.refused.iter().filter(|((of, about), _)| {
            let same = match sent.aggregate {
                true => about.seq == sent.about.seq,
                false => *about == sent.about,
            };
            of == shard && same
        });
        let is_meant =
            |index: &Option<u32>| index.is_none() || sent.index.is_none() || *index == sent.index;
        let mut of_it = of_it.flat_map(|(_, refused)| refused);
        if let Some((_, why)) = of_it.find(|(index, _)| is_meant(index)) {
            return Some(why.clone());
        }
        let index = sent.index?;
        let made = (shard.clone(), sent.about.clone(), index);
        (!self.made.contains(&made)).then(|| {
            format!("under these settings its record makes no reading {index} for this sink")
        })
    }
}

impl Stream for Desk {
    type Subscription = NoSubscription;

    /// Not known, so that no user record is taken for another shard's.
    async fn shards(&self) -> Result<Vec<Shard>, Error> {
        Ok(Vec::new())
    }

    /// Letters have no clock, and nobody asks for it.
    async fn server_time(&self) -> Result<EpochMillis, Error> {
        Err(Error::Call(CallFailed {
            operation: "ListShards",
            fault: Fault::Fatal,
            message: "dead letters are no stream of Kinesis".to_owned(),
        }))
    }

    async fn iterator(&self, shard: &ShardId, _start: &Start) -> Result<ShardIterator, Error> {
        Ok(ShardIterator(shard.to_string()))
    }

    async fn records(&self, iterator: &ShardIterator, limit: u32) -> Result<Page, Error> {
        let mut state = self.state();
        let closed = state.closed;
        let shard = state
            .shards
            .entry(ShardId::from(iterator.0.as_str()))
            .or_default();
        let count = usize::try_from(limit).unwrap_or(usize::MAX);
        let count = count.min(shard.records.len());
        let records: Vec<Record> = shard.records.drain(..count).collect();
        let ends = closed && shard.records.is_empty();
        Ok(Page {
            records,
            next: (!ends).then(|| iterator.clone()),
            behind_ms: 0,
            children: Vec::new(),
        })
    }
}

/// What is refused again stays in its queue, as it is: no second letter about it is written.
impl DeadLetters for Desk {
    async fn file(&self, letters: &[DeadLetter]) -> Result<(), CallFailed> {
        let mut state = self.state();
        for letter in letters {
            let about = About {
                seq: letter.seq.clone(),
                sub: letter.sub,
            };
            let why = format!("{}: {}", letter.stage.as_str(), letter.reason);
            let refused = state.refused.entry((letter.shard.clone(), about));
            refused.or_default().push((letter.i, why));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
