//! Streams that outlive the process: ferrokinesis writes each change of a stream, its shards or its
//! consumers to a directory. What it does not write is how far the numbers of the records' sequence
//! numbers are used up, which the log knows.

use std::io;
use std::path::{Path, PathBuf};

use ferrokinesis::persistence::{Persistence, WalEntry};
use ferrokinesis::store::{DurableStateOptions, Store};

use super::log::{self, Log};

/// The directory of the streams, beside the records.
const STREAMS: &str = "streams";
/// A snapshot is taken at most so often: streams change seldom.
const SNAPSHOT_S: u64 = 3600;

/// The file of the records in a server's directory.
pub(super) fn records(directory: &Path) -> PathBuf {
    directory.join("records.sqlite")
}

/// How ferrokinesis keeps its streams there.
pub(super) fn durable(directory: &Path) -> DurableStateOptions {
    DurableStateOptions {
        state_dir: directory.join(STREAMS),
        snapshot_interval_secs: SNAPSHOT_S,
        max_retained_bytes: None,
    }
}

/// Brings the numbers that are used up to where the log has them, before the streams are read.
pub(super) fn mend(directory: &Path, log: &Log) -> io::Result<()> {
    let path = directory.join(STREAMS);
    let damaged = |error: &dyn std::fmt::Display| {
        let path = path.display();
        let why = format!("{path} cannot be used ({error})");
        io::Error::new(io::ErrorKind::InvalidData, why)
    };
    let kept = Persistence::new(path.clone())?;
    let Some((snapshot, changes)) = kept.load().map_err(|error| damaged(&error))? else {
        return Ok(());
    };
    let newest = changes.into_iter().next_back();
    let mut snapshot = newest.map_or(snapshot, |WalEntry::Snapshot(newest)| newest);
    for stream in &mut snapshot.streams {
        let made = stream.stream_creation_timestamp.0;
        let tips = log.tips(&log::of_name(&stream.stream_name, made));
        let tips = tips.map_err(|error| damaged(&error))?;
        for (shard, counter) in (0_i64..).zip(&mut stream.shard_counters) {
            *counter = (*counter).max(tips.get(&shard).copied().unwrap_or(0));
        }
    }
    kept.write_snapshot(&snapshot)
}

/// Whether the streams were read.
pub(super) fn check(store: &Store) -> io::Result<()> {
    store.check_ready().map_err(|error| {
        let why = format!("the streams cannot be read: {error}");
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}
