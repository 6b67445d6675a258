//! Tables that fit: the columns that matter least go first, then text is cut.

use super::draw::{Ink, Line};
use super::fleet::Tone;
use super::words;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    head: &'static str,
    /// Numbers stand to the right.
    right: bool,
    /// The greatest goes first where there is no room; 0 stays.
    rank: u8,
}

impl Column {
    /// Of text.
    pub(super) const fn text(head: &'static str, rank: u8) -> Self {
        Self {
            head,
            right: false,
            rank,
        }
    }

    /// Of numbers.
    pub(super) const fn number(head: &'static str, rank: u8) -> Self {
        Self {
            head,
            right: true,
            rank,
        }
    }
}

/// A row: a cell for each column.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) tone: Tone,
    pub(super) cells: Vec<String>,
}

/// Between two columns.
const GAP: usize = 2;

/// A text column's last cells (a state, an error) may be cut to this before a column goes.
const LAST_MIN: usize = 12;

/// The head and the rows, each no wider than `width`.
pub(super) fn table(columns: &[Column], rows: &[Row], width: usize) -> Vec<Line> {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = rows.iter().filter_map(|row| row.cells.get(index));
            let widest = cells.map(|cell| words::width(cell)).max();
            widest.unwrap_or(0).max(column.head.len())
        })
        .collect();
    let shown = shown(columns, &widths, width);
    let line = |cell: &dyn Fn(usize) -> String, ink| {
        let mut text = String::new();
        for (place, index) in shown.iter().enumerate() {
            let (cell, widest) = (words::printable(&cell(*index)), widths[*index]);
            let gap = if place == 0 { 0 } else { GAP };
            text.extend(std::iter::repeat_n(' ', gap));
            text += &match columns[*index].right {
                true => format!("{cell:>widest$}"),
                false if place + 1 == shown.len() => cell,
                false => format!("{cell:widest$}"),
            };
        }
        Line {
            text: words::fit(text.trim_end(), width),
            ink,
        }
    };
    let mut lines = vec![line(&|index| columns[index].head.to_owned(), Ink::Head)];
    for row in rows {
        let cell = |index: usize| row.cells.get(index).cloned().unwrap_or_default();
        lines.push(line(&cell, Ink::Plain(row.tone)));
    }
    lines
}

/// Which columns there is room for.
fn shown(columns: &[Column], widths: &[usize], width: usize) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    loop {
        let needed: usize = shown
            .iter()
            .map(|index| match index + 1 == columns.len() {
                true => widths[*index].min(LAST_MIN),
                false => widths[*index],
            } + GAP)
            .sum();
        let least = shown.iter().filter(|index| columns[**index].rank > 0);
        let least = least.max_by_key(|index| columns[**index].rank).copied();
        match least {
            Some(least) if needed > width.saturating_add(GAP) => {
                shown.retain(|index| *index != least);
            }
            _ => return shown,
        }
    }
}
