//! What a replay shows while it runs, and at its end.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::service::replay::refused::Refusals;
use crate::service::worker::Status;

/// How often the line is drawn.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// A line that moves where somebody looks; else nothing.
pub(super) fn line() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What became of the readings, sink by sink.
pub(super) fn sinks(status: &Status) -> String {
    let mut text = String::new();
    for (name, sink) in &status.sinks {
        let book = &sink.book;
        // Writing to a String cannot fail.
        write!(text, ", {name} {} written", book.acknowledged).ok();
        for (rule, count) in &book.skipped {
            write!(text, " {count} skipped ({})", rule.as_str()).ok();
        }
        if let Some(error) = &sink.error {
            write!(text, " (failing: {error})").ok();
        }
    }
    text
}

/// One line for each refusal that is told.
pub(super) fn refused(refusals: &Refusals) -> String {
    let mut text = String::new();
    for one in &refusals.first {
        let sub = if one.sub > 0 {
            format!(" user record {}", one.sub)
        } else {
            String::new()
        };
        let reading = one
            .index
            .map_or_else(String::new, |i| format!(" reading {i}"));
        let (stage, shard, seq, reason) = (one.stage.as_str(), &one.shard, &one.seq, &one.reason);
        writeln!(text, "{stage}: {shard} {seq}{sub}{reading}: {reason}").ok();
    }
    let more = refusals.total().saturating_sub(refusals.first.len() as u64);
    if more > 0 {
        writeln!(text, "and {more} more").ok();
    }
    text
}
