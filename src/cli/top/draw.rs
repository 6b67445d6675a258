//! How a fleet looks: a pure function from what is known, and the size of the place, to lines.

use super::columns::{Column, Row, table};
use super::fleet::{BroadcasterLine, Counts, Fleet, ShardLine, Tone, WorkerLine};
use super::words;

/// One line, no wider than the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Printable ASCII only, whatever the fleet says of itself.
    pub(super) text: String,
    /// How it is meant.
    pub(super) ink: Ink,
}

/// How a line is meant, where there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// The head of a table.
    Head,
    /// Anything else.
    Plain(Tone),
}

/// Where it is drawn; a pipe has no end in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Columns.
    pub(super) width: usize,
    /// Lines.
    pub(super) height: usize,
}

impl Size {
    /// A pipe's.
    pub(super) const ENDLESS: Self = Self {
        width: usize::MAX,
        height: usize::MAX,
    };
}

/// Draws it. Where it does not all fit, the worst of each table is kept, and it is said how many
/// more there are.
pub(super) fn draw(fleet: &Fleet, size: Size) -> Vec<Line> {
    let mut lines = head(fleet);
    lines.truncate(size.height.saturating_mul(2).div_ceil(5).max(3));
    let mut left = size.height.saturating_sub(lines.len());
    if !fleet.broadcasters.is_empty() {
        let part = part(left, 6);
        let rows = fleet.broadcasters.iter().map(broadcaster).collect();
        push(
            &mut lines,
            &mut left,
            part,
            "broadcasters",
            &BROADCASTERS,
            rows,
            size.width,
        );
    }
    if !fleet.workers.is_empty() {
        let part = part(left, 3);
        let rows = fleet.workers.iter().map(worker).collect();
        push(
            &mut lines, &mut left, part, "workers", &WORKERS, rows, size.width,
        );
    }
    if !fleet.shards.is_empty() {
        let rows = fleet.shards.iter().map(shard).collect();
        let part = left;
        push(
            &mut lines, &mut left, part, "shards", &SHARDS, rows, size.width,
        );
    }
    lines.truncate(size.height);
    for line in &mut lines {
        line.text = words::fit(&line.text, size.width);
    }
    lines
}

/// A part of what is left, and enough for one row of a table at least.
fn part(left: usize, of: usize) -> usize {
    (left / of).max(4).min(left)
}

/// An empty line, the table, and how many more rows there would be, in at most `most` lines.
fn push(
    lines: &mut Vec<Line>,
    left: &mut usize,
    most: usize,
    what: &str,
    columns: &[Column],
    mut rows: Vec<Row>,
    width: usize,
) {
    // An empty line and the head.
    let Some(room) = most.checked_sub(2).filter(|room| *room > 0) else {
        return;
    };
    let count = rows.len();
    let more = match count > room {
        true => count - (room - 1),
        false => 0,
    };
    rows.truncate(count - more);
    let mut drawn = vec![plain(String::new(), Tone::Well)];
    drawn.extend(table(columns, &rows, width));
    if more > 0 {
        drawn.push(plain(format!("and {more} more {what}"), Tone::Well));
    }
    *left = left.saturating_sub(drawn.len());
    lines.append(&mut drawn);
}

fn plain(text: String, tone: Tone) -> Line {
    Line {
        text,
        ink: Ink::Plain(tone),
    }
}

fn head(fleet: &Fleet) -> Vec<Line> {
    let table = fleet.table.as_ref();
    let table = table.map_or_else(String::new, |table| format!("lease table {table}, "));
    let over = match fleet.rates_over_s {
        Some(over) => format!("rates over {}", words::seconds(Some(over))),
        None => "no rates before the next look".to_owned(),
    };
    let (leases, rates) = (&fleet.leases, &fleet.rates);
    let bad = leases.unowned + leases.expired > 0;
    let mut lines = vec![
        Line {
            text: format!("tidewire top: {table}look {}, {over}", fleet.looks),
            ink: Ink::Head,
        },
        plain(
            format!("leases   {}; {}", counts(leases), workers(fleet)),
            if bad { Tone::Bad } else { Tone::Well },
        ),
        plain(
            format!(
                "traffic  {} records/s, {}/s, {} rows/s; {} behind at most",
                words::count(rates.records_per_s),
                words::bytes(rates.bytes_per_s),
                words::count(rates.rows_per_s),
                words::seconds(fleet.behind_s),
            ),
            Tone::Well,
        ),
    ];
    for silent in &fleet.silent {
        let was: Vec<&str> = silent.was.iter().map(|worker| worker.as_str()).collect();
        let was = match was.is_empty() {
            true => String::new(),
            false => format!(" (it was {})", was.join(", ")),
        };
        let text = format!("{}{was} does not answer: {}", silent.url, silent.why);
        lines.push(plain(text, Tone::Bad));
    }
    let remarks = fleet.remarks.iter();
    lines.extend(remarks.map(|remark| plain(remark.clone(), Tone::Warn)));
    lines
}

fn counts(counts: &Counts) -> String {
    let mut text = format!("{} open: {} held", counts.open, counts.held);
    let others = [
        (counts.unowned, "unowned"),
        (counts.expired, "expired"),
        (counts.waiting, "waiting for parents"),
        (counts.moving, "moving"),
    ];
    for (count, what) in others.iter().filter(|(count, _)| *count > 0) {
        text += &format!(", {count} {what}");
    }
    if counts.ended > 0 {
        text += &format!("; {} done", counts.ended);
    }
    text
}

fn workers(fleet: &Fleet) -> String {
    let (living, all) = (
        fleet.workers.iter().filter(|worker| worker.lives),
        fleet.workers.len(),
    );
    let of = match living.count() {
        living if living < all => format!("{living} of "),
        _ => String::new(),
    };
    let each = match fleet.leases.wanted_each {
        Some((least, most)) if least == most => format!(", {least} wanted each"),
        Some((least, most)) => format!(", {least} to {most} wanted each"),
        None => String::new(),
    };
    let workers = if all == 1 { "worker" } else { "workers" };
    let alive = if of.is_empty() { "" } else { " alive" };
    format!("{of}{all} {workers}{alive}{each}")
}

const WORKERS: [Column; 10] = [
    Column::text("WORKER", 0),
    Column::number("LEASES", 0),
    Column::number("BEHIND", 1),
    Column::number("HEARTBEAT", 5),
    Column::number("CHECKPOINT", 3),
    Column::number("RECORDS/S", 2),
    Column::number("BYTES/S", 4),
    Column::number("ROWS/S", 3),
    Column::number("BUDGET", 6),
    Column::text("STATE", 1),
];

fn worker(line: &WorkerLine) -> Row {
    Row {
        tone: line.tone,
        cells: vec![
            line.worker.to_string(),
            line.leases.to_string(),
            words::seconds(line.behind_s),
            words::seconds(line.heartbeat_s),
            words::seconds(line.checkpoint_age_s),
            words::count(line.rates.records_per_s),
            words::bytes(line.rates.bytes_per_s),
            words::count(line.rates.rows_per_s),
            line.budget_percent
                .map_or_else(words::unknown, |percent| format!("{percent} %")),
            line.state.clone(),
        ],
    }
}

const SHARDS: [Column; 9] = [
    Column::text("SHARD", 0),
    Column::text("OWNER", 2),
    Column::number("BEHIND", 0),
    Column::number("HEARTBEAT", 5),
    Column::number("CHECKPOINT", 3),
    Column::number("RECORDS/S", 1),
    Column::number("BYTES/S", 4),
    Column::number("READINGS/S", 6),
    Column::text("STATE", 0),
];

fn shard(line: &ShardLine) -> Row {
    let owner = line.owner.as_ref();
    let bytes = words::bytes(line.rates.bytes_per_s);
    Row {
        tone: line.tone,
        cells: vec![
            line.shard.to_string(),
            owner.map_or_else(words::unknown, ToString::to_string),
            words::seconds(line.behind_s),
            words::seconds(line.heartbeat_s),
            words::seconds(line.checkpoint_age_s),
            words::count(line.rates.records_per_s),
            match line.bytes_from_table {
                true => format!("~{bytes}"),
                false => bytes,
            },
            words::count(line.rates.readings_per_s),
            line.state.clone(),
        ],
    }
}

const BROADCASTERS: [Column; 9] = [
    Column::text("BROADCASTER", 0),
    Column::number("QUEUES", 3),
    Column::number("VIEWERS", 0),
    Column::number("POSTS/S", 0),
    Column::number("410/S", 2),
    Column::number("429/S", 2),
    Column::number("FAILED/S", 2),
    Column::number("BEHIND", 1),
    Column::text("STATE", 1),
];

fn broadcaster(line: &BroadcasterLine) -> Row {
    Row {
        tone: line.tone,
        cells: vec![
            line.url.clone(),
            line.queues.to_string(),
            line.viewers.to_string(),
            words::count(line.posts_per_s),
            words::count(line.gone_per_s),
            words::count(line.slow_per_s),
            words::count(line.failed_per_s),
            words::seconds(line.behind_s),
            line.state.clone(),
        ],
    }
}
