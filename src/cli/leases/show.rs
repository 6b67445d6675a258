//! How leases look: a table for people, JSON for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::lag::Lag;
use crate::lease::lineage::{self, Gate};
use crate::lease::operate::table::Other;
use crate::lease::row::Row;
use crate::model::ShardId;
use crate::service::operator::Watched;

/// Everything `list` shows.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    /// The table's name.
    pub(super) table: &'a str,
    /// What was seen; `watched` is zero where it was only looked at once.
    pub(super) seen: &'a Watched,
    /// Which leases.
    pub(super) shards: &'a [ShardId],
    /// How far behind each is, where asked for.
    pub(super) lags: Option<&'a BTreeMap<ShardId, Lag>>,
    /// After this without a heartbeat a lease expires.
    pub(super) lease_duration: Duration,
}

impl Listing<'_> {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let leases = &self.seen.contents.leases;
        self.shards.iter().filter_map(|shard| leases.get(shard))
    }

    fn watched(&self) -> bool {
        !self.seen.watched.is_zero()
    }

    fn state(&self, row: &Row) -> String {
        let silent = self.watched()
            && self.seen.watched >= self.lease_duration
            && !self.seen.beats(&row.shard);
        match (row.handover(), &row.owner) {
            _ if row.ended() => "ended".to_owned(),
            (_, Some(_)) if silent => "expired".to_owned(),
            (Some(handover), _) => format!("to {}", handover.to),
            (None, Some(_)) => match self.waits(row) {
                true => "owned, waits for parents".to_owned(),
                false => "owned".to_owned(),
            },
            (None, None) if self.waits(row) => "waits for parents".to_owned(),
            (None, None) => "unowned".to_owned(),
        }
    }

    /// By the table alone: a parent without a row may still be in the stream.
    fn waits(&self, row: &Row) -> bool {
        lineage::gate(row, &self.seen.contents.leases, None) == Gate::Shut
    }

    /// The table for people.
    #[must_use]
    pub(super) fn table(&self) -> String {
        let mut heads = vec!["SHARD", "OWNER", "STATE"];
        if self.watched() {
            heads.push("HEARTBEAT");
        }
        if self.lags.is_some() {
            heads.push("BEHIND");
        }
        heads.extend(["PARENTS", "CHILDREN", "CHECKPOINT"]);
        let heads = heads.into_iter().map(str::to_owned).collect();
        let mut lines: Vec<Vec<String>> = vec![heads];
        lines.extend(self.rows().map(|row| self.line(row)));
        let mut text = columns(&lines);
        for other in &self.seen.contents.others {
            // Writing to a string cannot fail.
            writeln!(text, "row `{}` is no lease: {}", other.key, about(other)).ok();
        }
        for unreadable in &self.seen.contents.unreadable {
            writeln!(text, "{unreadable}").ok();
        }
        text
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let owner = row.actual_owner().map_or("-", |owner| owner.as_str());
        let mut line = vec![row.shard.to_string(), owner.to_owned(), self.state(row)];
        if self.watched() {
            line.push(match self.seen.beats.get(row.shard.as_str()) {
                Some(ago) => format!("{:.1} s ago", ago.as_secs_f64()),
                None => format!("none in {:.0} s", self.seen.watched.as_secs_f64()),
            });
        }
        if let Some(lags) = self.lags {
            line.push(match lags.get(&row.shard) {
                Some(Ok(lag)) => format!("{:.1} s", lag.as_secs_f64()),
                Some(Err(_)) => "?".to_owned(),
                None => "-".to_owned(),
            });
        }
        let short = |ids: &std::collections::BTreeSet<ShardId>| match ids.is_empty() {
            true => "-".to_owned(),
            false => ids.iter().map(number).collect::<Vec<_>>().join(","),
        };
        line.extend([short(&row.parents), short(&row.children)]);
        line.push(row.checkpoint.to_string());
        line
    }

    /// One JSON document.
    #[must_use]
    pub(super) fn json(&self) -> Value {
        let contents = &self.seen.contents;
        let others = contents.others.iter().map(|other| {
            json!({ "key": other.key, "entity_type": other.kind, "forbids": other.forbids })
        });
        let unreadable = contents.unreadable.iter();
        json!({
            "table": self.table,
            "watched_s": self.watched().then_some(self.seen.watched.as_secs_f64()),
            "leases": self.rows().map(|row| self.lease(row)).collect::<Vec<_>>(),
            "other_rows": others.collect::<Vec<_>>(),
            "unreadable": unreadable.map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    fn lease(&self, row: &Row) -> Value {
        let beat = self.seen.beats.get(row.shard.as_str());
        let lag = self.lags.and_then(|lags| lags.get(&row.shard));
        json!({
            "shard": row.shard,
            "owner": row.actual_owner(),
            "tidewire": row.tw_owner.is_some() && row.tw_owner == row.owner,
            "handing_over_to": row.handover().map(|handover| handover.to),
            "state": self.state(row),
            "heartbeat_age_s": beat.map(Duration::as_secs_f64),
            "counter": row.counter,
            "owner_switches": row.switches,
            "checkpoint": row.checkpoint.as_kcl(),
            "sub": row.checkpoint.sub(),
            "start_ms": row.start_ms,
            "lag_s": lag.and_then(|lag| lag.as_ref().ok()).map(Duration::as_secs_f64),
            "lag_unknown": lag.and_then(|lag| lag.as_ref().err()),
            "parents": row.parents,
            "children": row.children,
            "hash_range": row.hash_range,
        })
    }
}

/// The number of a shard's id: enough within one stream.
fn number(shard: &ShardId) -> String {
    let digits = shard.as_str().rsplit('-').next().unwrap_or_default();
    match digits.parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => shard.to_string(),
    }
}

/// What a row of KCL 3 is, for a person.
#[must_use]
pub(super) fn about(other: &Other) -> String {
    let kind = match (&other.kind, other.key.as_str()) {
        (Some(kind), _) => kind.clone(),
        (None, "Leader") => "LEADER".to_owned(),
        (None, _) => "a row of KCL 3".to_owned(),
    };
    match &other.forbids {
        Some(why) => format!("{kind}; no tidewire worker takes a lease while it is there: {why}"),
        None => format!("{kind}, ignored"),
    }
}

/// Lines in columns; the last column is not padded.
fn columns(lines: &[Vec<String>]) -> String {
    let count = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            let last = column + 1 == line.len();
            let width = if last { 0 } else { widths[column] };
            let gap = if last { "\n" } else { "  " };
            write!(text, "{cell:width$}{gap}").ok();
        }
    }
    text
}
