//! `tidewire replay letters --dry-run`, and how letters are named.

use std::sync::Arc;

use super::letters::{told, unreadable};
use crate::aws::sqs::Queue;
use crate::cli::decode::Shown;
use crate::cli::failure::Failure;
use crate::model::DeadLetter;
use crate::service::replay::desk;
use crate::service::replay::hand::{self, Filter, Report};
use crate::service::settings::Settings;

/// Where a letter's record stood.
pub(super) fn position(letter: &DeadLetter) -> String {
    let sub = match letter.sub {
        0 => String::new(),
        sub => format!(" user record {sub}"),
    };
    let reading = letter
        .i
        .map_or_else(String::new, |i| format!(" reading {i}"));
    format!(
        "{}: {} {}{sub}{reading}",
        letter.stage.as_str(),
        letter.shard,
        letter.seq
    )
}

/// What is to be done about a letter whose data did not fit.
pub(super) fn from_the_stream(letter: &DeadLetter) -> Option<String> {
    let bytes = letter.data_left_out_bytes?;
    let DeadLetter { shard, seq, .. } = letter;
    Some(format!(
        "its {bytes} bytes of data were left out; while the stream has them: tidewire replay stream \
         --shard {shard} --from {seq} --to {seq}"
    ))
}

/// Shows what each letter would become.
pub(super) async fn look(
    letter_box: Arc<Queue>,
    filter: Filter,
    settings: &Settings,
) -> Result<(), Failure> {
    let (ended, code) = super::until_signalled(settings, async |stop| {
        hand::look(letter_box, filter, stop, |letter| {
            println!("{}", becomes(letter, settings));
        })
        .await
    })
    .await?;
    let report = match ended {
        Some(ended) => ended.map_err(unreadable)?,
        None => return told(&Report::default(), None, code),
    };
    eprintln!(
        "{} letters looked at, all left where they were",
        report.taken
    );
    Ok(())
}

/// One letter, its reason, and what it would become.
fn becomes(letter: &DeadLetter, settings: &Settings) -> String {
    let mut text = format!("{}\n  was: {}", position(letter), letter.reason);
    let mut add = |line: &str| text.push_str(&format!("\n  {line}"));
    let Some(record) = desk::record(letter).transpose() else {
        let why = from_the_stream(letter);
        add(&why.unwrap_or_else(|| "its data was left out".to_owned()));
        return text;
    };
    let record = match record {
        Ok(record) => record,
        Err(why) => {
            add(&format!("stays: {why}"));
            return text;
        }
    };
    let shown = Shown::of(record, settings);
    shown
        .notes
        .iter()
        .chain(&shown.problems)
        .for_each(|line| add(&format!("stays: {line}")));
    for line in shown.lines().lines() {
        add(&format!("becomes: {line}"));
    }
    text
}
