//! The records themselves, in an SQLite file: what is kept may be much more than fits into memory, and
//! memory stays the same however much is written. Without a name the file goes with the process.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ferrokinesis::sequence;
use ferrokinesis::types::Stream;
use rusqlite::{Connection, OptionalExtension, params};

use super::Refusal;
use crate::local::sqlite;

/// What a stored record takes beside its key and data: its place twice (in the table and in its
/// index), the times and SQLite's own bookkeeping; measured.
const RECORD_OVERHEAD: u64 = 260;

/// The newest records, by which a shard is called hot: some seconds of a stand under load.
const LATELY: i64 = 5_000;

/// One stored record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) sequence: String,
    pub(super) partition_key: String,
    /// In base64, as it came.
    pub(super) data: String,
    pub(super) arrival_ms: u64,
}

/// A record to store.
#[derive(Debug)]
pub(super) struct Fresh<'a> {
    /// Its shard's number.
    pub(super) shard: i64,
    pub(super) sequence: String,
    pub(super) partition_key: &'a str,
    pub(super) data: &'a str,
}

/// Every stream's records in the order of their arrival; the oldest make room for new ones.
#[derive(Debug)]
pub(super) struct Log {
    db: Connection,
    /// Whether it outlives the process.
    is_kept: bool,
    bytes: u64,
    bytes_max: u64,
}

/// Which stream: one that was deleted and made anew under its name has none of the old one's records.
pub(super) fn incarnation(stream: &Stream) -> String {
    of_name(&stream.stream_name, stream.stream_creation_timestamp.0)
}

/// The same of a stream's name and the second in which it was made, to the millisecond: finer, a
/// number that was written and read again may differ.
pub(super) fn of_name(name: &str, made: f64) -> String {
    format!("{name}/{made:.3}")
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self {
            status: axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            code: "InternalFailure".to_owned(),
            message: format!("the embedded Kinesis cannot keep its records: {error}"),
        }
    }
}

impl Log {
    /// A log that keeps about `bytes_max`, in this file where one is named.
    pub(super) fn open(path: Option<&Path>, bytes_max: u64) -> io::Result<Self> {
        let db = sqlite::open(path)?;
        Self::over(db, path.is_some(), bytes_max).map_err(io::Error::other)
    }

    fn over(db: Connection, is_kept: bool, bytes_max: u64) -> rusqlite::Result<Self> {
        db.execute_batch(
            "create table if not exists record (
                 id integer primary key, stream text not null, shard integer not null,
                 sequence text not null, partition_key text not null, data text not null,
                 arrival_ms integer not null, bytes integer not null);
             create unique index if not exists place on record (stream, shard, sequence);
             create table if not exists tip (
                 stream text not null, shard integer not null, next integer not null,
                 primary key (stream, shard));",
        )?;
        let bytes: i64 = db.query_row("select coalesce(sum(bytes), 0) from record", (), |row| {
            row.get(0)
        })?;
        Ok(Self {
            db,
            is_kept,
            bytes: unsigned(bytes),
            bytes_max,
        })
    }

    /// Stores records, then drops the oldest ones until the rest fits; answers how many.
    pub(super) fn append(
        &mut self,
        stream: &str,
        fresh: &[Fresh<'_>],
        arrival_ms: u64,
    ) -> rusqlite::Result<usize> {
        let writing = self.db.transaction()?;
        let mut bytes = self.bytes;
        {
            let mut insert = writing.prepare_cached(
                "insert into record (stream, shard, sequence, partition_key, data, arrival_ms, bytes)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for record in fresh {
                let size =
                    (record.data.len() + record.partition_key.len()) as u64 + RECORD_OVERHEAD;
                insert.execute(params![
                    stream,
                    record.shard,
                    record.sequence,
                    record.partition_key,
                    record.data,
                    signed(arrival_ms),
                    signed(size),
                ])?;
                bytes += size;
            }
        }
        if self.is_kept {
            keep_tips(&writing, stream, fresh)?;
        }
        let mut oldest = None;
        let mut dropped = 0;
        if bytes > self.bytes_max {
            let mut in_order =
                writing.prepare_cached("select id, bytes from record order by id")?;
            let mut rows = in_order.query(())?;
            while bytes > self.bytes_max
                && let Some(row) = rows.next()?
            {
                oldest = Some(row.get::<_, i64>(0)?);
                bytes -= unsigned(row.get(1)?);
                dropped += 1;
            }
        }
        if let Some(oldest) = oldest {
            writing
                .prepare_cached("delete from record where id <= ?1")?
                .execute([oldest])?;
        }
        writing.commit()?;
        self.bytes = bytes;
        Ok(dropped)
    }

    /// By shard of a stream, the number in a sequence number that none of its records has had yet.
    pub(super) fn tips(&self, stream: &str) -> rusqlite::Result<BTreeMap<i64, u64>> {
        let mut select = self
            .db
            .prepare("select shard, next from tip where stream = ?1")?;
        let rows = select.query_map([stream], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        rows.collect()
    }

    /// When the newest record arrived.
    pub(super) fn last_arrival_ms(&self) -> rusqlite::Result<u64> {
        let newest = "select coalesce(max(arrival_ms), 0) from record";
        let newest: i64 = self.db.query_row(newest, (), |row| row.get(0))?;
        Ok(unsigned(newest))
    }

    /// A shard's records from a sequence number on (`after`: behind it), as many as `limit`.
    pub(super) fn range(
        &self,
        stream: &str,
        shard: i64,
        (sequence, after): (&str, bool),
        limit: usize,
    ) -> rusqlite::Result<Vec<Kept>> {
        let from = if after { ">" } else { ">=" };
        let mut select = self.db.prepare_cached(&format!(
            "select sequence, partition_key, data, arrival_ms from record
             where stream = ?1 and shard = ?2 and sequence {from} ?3 order by sequence limit ?4"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![stream, shard, sequence, limit], |row| {
            Ok(Kept {
                sequence: row.get(0)?,
                partition_key: row.get(1)?,
                data: row.get(2)?,
                arrival_ms: unsigned(row.get(3)?),
            })
        })?;
        rows.collect()
    }

    /// The bytes of the newest records, by shard.
    pub(super) fn lately(&self, stream: &str) -> rusqlite::Result<BTreeMap<i64, u64>> {
        let mut select = self.db.prepare_cached(
            "select shard, sum(bytes) from (
                 select shard, stream, bytes from record order by id desc limit ?2)
             where stream = ?1 group by shard",
        )?;
        let rows = select.query_map(params![stream, LATELY], |row| {
            Ok((row.get(0)?, unsigned(row.get(1)?)))
        })?;
        rows.collect()
    }

    /// The sequence number of a shard's first record that arrived at `from_ms` or later. Arrivals
    /// never go back, so it is the first of that shard behind the place where they reach `from_ms`.
    pub(super) fn first_since(
        &self,
        stream: &str,
        shard: i64,
        from_ms: u64,
    ) -> rusqlite::Result<Option<String>> {
        let since = self.first_id_since(signed(from_ms))?;
        self.db
            .prepare_cached(
                "select sequence from record not indexed
                 where id >= ?1 and stream = ?2 and shard = ?3 order by id limit 1",
            )?
            .query_row(params![since, stream, shard], |row| row.get(0))
            .optional()
    }

    /// The smallest id whose record arrived at `from_ms` or later, or the one behind the last.
    fn first_id_since(&self, from_ms: i64) -> rusqlite::Result<i64> {
        let ends = "select coalesce(min(id), 0), coalesce(max(id) + 1, 0) from record";
        let (mut low, mut high): (i64, i64) = self
            .db
            .prepare_cached(ends)?
            .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut arrival = self
            .db
            .prepare_cached("select arrival_ms from record where id = ?1")?;
        while low < high {
            let middle = low + (high - low) / 2;
            let arrived: i64 = arrival.query_row([middle], |row| row.get(0))?;
            if arrived < from_ms {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// Notes how far each shard's numbers are used up: records may go, their numbers are not given twice.
fn keep_tips(db: &Connection, stream: &str, fresh: &[Fresh<'_>]) -> rusqlite::Result<()> {
    let mut tips: BTreeMap<i64, u64> = BTreeMap::new();
    for record in fresh {
        let place = sequence::parse_sequence(&record.sequence).ok();
        let used = place.and_then(|place| place.seq_ix).unwrap_or(0);
        let next = tips.entry(record.shard).or_default();
        *next = (*next).max(used + 1);
    }
    let mut upsert = db.prepare_cached(
        "insert into tip (stream, shard, next) values (?1, ?2, ?3)
         on conflict (stream, shard) do update set next = max(next, excluded.next)",
    )?;
    for (shard, next) in tips {
        upsert.execute(params![stream, shard, signed(next)])?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(shard: i64, sequence: u32) -> Fresh<'static> {
        Fresh {
            shard,
            sequence: format!("{sequence:03}"),
            partition_key: "k",
            data: "YQ==",
        }
    }

    fn sequences(log: &Log, shard: i64, from: (&str, bool), limit: usize) -> Vec<String> {
        let kept = log.range("s", shard, from, limit).unwrap();
        kept.into_iter().map(|kept| kept.sequence).collect()
    }

    #[test]
    fn a_shard_is_read_from_any_place_and_no_other_shard_with_it() {
        let mut log = Log::open(None, u64::MAX).unwrap();
        log.append("s", &[fresh(0, 1), fresh(1, 2), fresh(0, 3)], 10)
            .unwrap();
        log.append("t", &[fresh(0, 4)], 11).unwrap();
        assert_eq!(sequences(&log, 0, ("", false), 10), ["001", "003"]);
        assert_eq!(sequences(&log, 0, ("001", false), 1), ["001"]);
        assert_eq!(sequences(&log, 0, ("001", true), 10), ["003"]);
        assert_eq!(sequences(&log, 1, ("001", true), 10), ["002"]);
    }

    #[test]
    fn the_oldest_records_are_dropped_and_the_rest_is_found_by_time() {
        let one = RECORD_OVERHEAD + 5;
        let mut log = Log::open(None, 2 * one).unwrap();
        let mut dropped = 0;
        for (sequence, arrival_ms) in [(1, 10), (2, 20), (3, 20), (4, 30)] {
            dropped += log.append("s", &[fresh(0, sequence)], arrival_ms).unwrap();
        }
        assert_eq!(dropped, 2);
        assert_eq!(sequences(&log, 0, ("", false), 10), ["003", "004"]);
        let since = |from_ms| log.first_since("s", 0, from_ms).unwrap();
        assert_eq!(since(0).as_deref(), Some("003"));
        assert_eq!(since(20).as_deref(), Some("003"));
        assert_eq!(since(21).as_deref(), Some("004"));
        assert_eq!(since(31), None);
        assert_eq!(log.first_since("s", 1, 0).unwrap(), None);
    }
}
