//! Aggregates of the Kinesis Producer Library: many user records in one record of Kinesis.
//!
//! ```text
//!  F3 89 9A C2 | protobuf AggregatedRecord | MD5 of the protobuf, 16 bytes
//!
//!  AggregatedRecord: 1 partition keys, 2 explicit hash keys, 3 records
//!  Record:           1 index of its partition key, 2 index of its hash key, 3 data, 4 tags
//! ```
//!
//! (KPL's `aggregation-format.md`.) Three fields of protobuf are read by hand: records are slices
//! of the aggregate and are found one by one, so that one of a million takes no memory.

pub(crate) mod wire;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::DecodeError;
use crate::model::{HashKey, PartitionKey, Record};
use wire::{Field, Fields};

/// What an aggregate begins with. No format that is read here does.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// What it ends with.
const MD5_BYTES: usize = 16;

/// Keys in one table: each of them takes some bytes of memory while the aggregate is read. One of
/// 10 MiB has room for so many keys with records that say something.
const KEYS_MAX: usize = 1_000_000;

/// Fields of `AggregatedRecord`.
mod of_aggregate {
    pub(super) const PARTITION_KEY: u32 = 1;
    pub(super) const EXPLICIT_HASH_KEY: u32 = 2;
    pub(super) const RECORD: u32 = 3;
}

/// Fields of `Record`.
mod of_record {
    pub(super) const PARTITION_KEY_INDEX: u32 = 1;
    pub(super) const EXPLICIT_HASH_KEY_INDEX: u32 = 2;
    pub(super) const DATA: u32 = 3;
}

/// An aggregate, found to be whole: its checksum is right and every record in it can be read.
#[derive(Debug)]
pub struct Aggregate {
    record: Record,
    keys: Vec<Slice>,
    hash_keys: Vec<Slice>,
    /// Where the protobuf ends.
    end: usize,
}

/// Where something stands in the record. Records have 10 MiB at most.
#[derive(Clone, Copy, Debug)]
struct Slice {
    from: u32,
    to: u32,
}

/// One record that a producer put, as it came in an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// Its number within the aggregate, from 0.
    pub sub: u64,
    /// The record as if it had come alone: its own key and payload, the aggregate's number and
    /// arrival.
    pub record: Record,
    /// What decides which shard it belongs to: its explicit hash key, or its partition key's MD5.
    pub hash_key: HashKey,
}

impl Aggregate {
    /// Whether a record begins as an aggregate.
    #[must_use]
    pub fn is_begun_by(record: &Record) -> bool {
        record.data.starts_with(&MAGIC)
    }

    /// Opens a record; none where it is no aggregate.
    ///
    /// # Errors
    /// It begins as an aggregate and is none: one dead letter, as for any record that does not
    /// decode. (KCL hands such a record to the application as it is.)
    pub fn open(record: &Record) -> Result<Option<Self>, DecodeError> {
        let data = &record.data[..];
        if !Self::is_begun_by(record) {
            return Ok(None);
        }
        let broken =
            |why: String| DecodeError(format!("the payload begins as a KPL aggregate, but {why}"));
        let end = data
            .len()
            .checked_sub(MD5_BYTES)
            .filter(|end| *end >= MAGIC.len() && u32::try_from(data.len()).is_ok())
            .ok_or_else(|| broken(format!("{} bytes are no aggregate's length", data.len())))?;
        let (body, checksum) = data.split_at(end);
        if Md5::digest(&body[MAGIC.len()..])[..] != *checksum {
            return Err(broken("its MD5 is not that of its content".to_owned()));
        }
        let mut aggregate = Self {
            record: record.clone(),
            keys: Vec::new(),
            hash_keys: Vec::new(),
            end,
        };
        aggregate.tables().map_err(broken)?;
        // Whatever is wrong with one record shows before any of them is passed on.
        let mut at = MAGIC.len();
        let mut count = 0_u64;
        while aggregate
            .next_after(&mut at, count)
            .map_err(broken)?
            .is_some()
        {
            count += 1;
        }
        if count == 0 {
            return Err(broken("it holds no user record".to_owned()));
        }
        Ok(Some(aggregate))
    }

    /// Its user records, in their order.
    #[must_use]
    pub fn user_records(self) -> UserRecords {
        UserRecords {
            at: MAGIC.len(),
            sub: 0,
            aggregate: self,
        }
    }

    fn fields_from(&self, at: usize) -> Fields<'_> {
        Fields::new(&self.record.data[..self.end], at)
    }

    fn tables(&mut self) -> Result<(), String> {
        let mut keys = Vec::new();
        let mut hash_keys = Vec::new();
        let mut fields = self.fields_from(MAGIC.len());
        while let Some((number, field)) = fields.next()? {
            let table = match number {
                of_aggregate::PARTITION_KEY => &mut keys,
                of_aggregate::EXPLICIT_HASH_KEY => &mut hash_keys,
                _ => continue,
            };
            if table.len() >= KEYS_MAX {
                return Err(format!("it holds more than {KEYS_MAX} keys"));
            }
            table.push(slice(field, fields.at())?);
        }
        (self.keys, self.hash_keys) = (keys, hash_keys);
        Ok(())
    }

    /// The user record at or after `at`, which moves behind it.
    fn next_after(&self, at: &mut usize, sub: u64) -> Result<Option<UserRecord>, String> {
        let mut fields = self.fields_from(*at);
        while let Some((number, field)) = fields.next()? {
            *at = fields.at();
            if number == of_aggregate::RECORD {
                let place = slice(field, *at)?;
                return self
                    .user_record(place, sub)
                    .map(Some)
                    .map_err(|why| format!("its user record {sub} {why} (before byte {at})"));
            }
        }
        *at = fields.at();
        Ok(None)
    }

    fn user_record(&self, place: Slice, sub: u64) -> Result<UserRecord, String> {
        let (from, to) = place.range();
        let mut key = None;
        let mut hash_key = None;
        let mut data = None;
        let mut fields = Fields::new(&self.record.data[..to], from);
        while let Some((number, field)) = fields.next()? {
            match (number, field) {
                (of_record::PARTITION_KEY_INDEX, Field::Number(index)) => key = Some(index),
                (of_record::EXPLICIT_HASH_KEY_INDEX, Field::Number(index)) => {
                    hash_key = Some(index)
                }
                (of_record::DATA, field) => data = Some(slice(field, fields.at())?),
                _ => {}
            }
        }
        let key = self.text(&self.keys, key.ok_or("has no partition key")?)?;
        let hash_key = match hash_key {
            Some(index) => self
                .text(&self.hash_keys, index)?
                .parse()
                .map_err(|why| format!("has a hash key that {why}"))?,
            None => HashKey(u128::from_be_bytes(Md5::digest(key).into())),
        };
        let (from, to) = data.ok_or("has no data")?.range();
        Ok(UserRecord {
            sub,
            hash_key,
            record: Record {
                sub,
                partition_key: Some(PartitionKey::from(key)),
                data: self.record.data.slice(from..to),
                ..self.record.clone()
            },
        })
    }

    fn text(&self, table: &[Slice], index: u64) -> Result<&str, String> {
        let place = usize::try_from(index).ok().and_then(|at| table.get(at));
        let (from, to) = place
            .ok_or_else(|| {
                format!(
                    "has the key of number {index}, and there are {}",
                    table.len()
                )
            })?
            .range();
        std::str::from_utf8(&self.record.data[from..to])
            .map_err(|_| format!("has the key of number {index}, which is not UTF-8"))
    }
}

impl Slice {
    fn range(self) -> (usize, usize) {
        // As wide as u32 on every platform that there is.
        (self.from as usize, self.to as usize)
    }
}

/// Bytes of a field that ends at `end`.
fn slice(field: Field<'_>, end: usize) -> Result<Slice, String> {
    let Field::Bytes(bytes) = field else {
        return Err(format!("a field before byte {end} is no string"));
    };
    let offset = |at: usize| u32::try_from(at).map_err(|_| "it is too long".to_owned());
    Ok(Slice {
        from: offset(end - bytes.len())?,
        to: offset(end)?,
    })
}

/// The user records of an aggregate, made one by one.
#[derive(Debug)]
pub struct UserRecords {
    aggregate: Aggregate,
    at: usize,
    sub: u64,
}

impl UserRecords {
    /// Bytes of the aggregate's record.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.aggregate.record.data
    }
}

impl Iterator for UserRecords {
    type Item = UserRecord;

    fn next(&mut self) -> Option<UserRecord> {
        // What cannot be read was refused when the aggregate was opened.
        let next = self.aggregate.next_after(&mut self.at, self.sub).ok()??;
        self.sub += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests;
