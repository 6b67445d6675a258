//! What a server's answer means for the lines that were sent.

use std::time::Duration;

use serde::Deserialize;

use super::Api;
use super::line::{Measurement, type_name};
use crate::model::{Fault, Reading, Rejection, RejectionKind};

/// Characters kept of a server's message: enough for a sentence, too few to flood a log.
const MESSAGE_CHARS_MAX: usize = 600;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// How long the server asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stored,
    /// These were refused, the others are stored.
    Refused(Vec<Rejection>),
    /// These were refused as far as the message tells, and the others stored.
    Suspected(Vec<Rejection>),
    /// Nothing is known to be stored. `Rejected`: smaller parts may be right.
    Failed(Fault, String),
}

/// What the bodies of all versions have in common.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    data: Option<Lines>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Lines {
    Many(Vec<Line>),
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Line {
    /// From 1.
    line_number: usize,
    error_message: String,
}

pub(super) fn judge(
    reply: &Reply,
    sent: &[&Reading],
    measurement: &Measurement,
    api: Api,
) -> Verdict {
    let status = reply.status;
    let body: Body = serde_json::from_str(&reply.body).unwrap_or_default();
    let words = body.message.as_ref().or(body.error.as_ref());
    let words = words.map_or(reply.body.trim(), String::as_str);
    let message = said(status, words);
    match status {
        200..=299 => Verdict::Stored,
        400 | 422 => {
            if let Some(refused) = named(&body, sent) {
                return Verdict::Refused(refused);
            }
            if let Some(suspects) = suspects(words, sent, measurement) {
                return Verdict::Suspected(suspects);
            }
            // Calling everything rejected would turn a wrong setting into a flood of dead letters.
            // 422 is said of what was well understood and does not fit, as one column too many.
            let fault = if status == 422 || is_about_lines(words) {
                Fault::Rejected
            } else {
                Fault::Fatal
            };
            Verdict::Failed(fault, message)
        }
        413 => Verdict::Failed(Fault::Rejected, message),
        401 | 403 => Verdict::Failed(
            Fault::Fatal,
            format!(
                "{message}: the token is missing, wrong or may not write there; set `influx.token` or `influx.token_file`"
            ),
        ),
        404 => Verdict::Failed(Fault::Fatal, format!("{message}: {}", missing(api))),
        429 => Verdict::Failed(Fault::Throttled, message),
        503 if reply.retry_after.is_some() => Verdict::Failed(Fault::Throttled, message),
        408 | 425 | 500..=599 => Verdict::Failed(Fault::Transient, message),
        _ => Verdict::Failed(
            Fault::Fatal,
            format!("{message}: no InfluxDB answers so; check `influx.url` and `influx.api`"),
        ),
    }
}

fn missing(api: Api) -> &'static str {
    match api {
        Api::V2 => {
            "create the bucket, or correct `influx.bucket`, `influx.org`, `influx.url` or `influx.api`"
        }
        Api::V1 | Api::V3 => {
            "create the database, or correct `influx.database`, `influx.url` or `influx.api`"
        }
    }
}

/// Version 3 names lines by number, and has stored the others (`accept_partial`). Where a string
/// holds a line's end, what it counts as a line is not ours to guess.
fn named(body: &Body, sent: &[&Reading]) -> Option<Vec<Rejection>> {
    let is_partial = body.error.as_ref()?.contains("partial write");
    let lines = match body.data.as_ref()? {
        Lines::Many(lines) if is_partial && !lines.is_empty() => lines,
        _ => return None,
    };
    if sent.iter().any(|reading| has_line_end(reading)) {
        return None;
    }
    let mut refused: Vec<Rejection> = Vec::with_capacity(lines.len());
    for line in lines {
        let index = line.line_number.checked_sub(1)?;
        if index >= sent.len() {
            return None;
        }
        if refused.iter().all(|one| one.index != index) {
            refused.push(Rejection {
                index,
                kind: kind(400, &line.error_message),
                reason: shortened(&line.error_message),
            });
        }
    }
    Some(refused)
}

fn has_line_end(reading: &Reading) -> bool {
    use crate::model::Value;
    let mut values = reading.measures.iter();
    values.any(|(_, value)| matches!(value, Value::Text(text) if text.contains('\n')))
}

/// Versions 1 and 2 say how many points were dropped, and describe one of them. Where exactly so
/// many of those sent fit the description, it is these.
fn suspects(words: &str, sent: &[&Reading], measurement: &Measurement) -> Option<Vec<Rejection>> {
    if !words.contains("partial write") {
        return None;
    }
    let dropped: usize = after(words, "dropped=")?
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()?;
    let indices = if words.contains("already exists as type") {
        let field = after(words, "input field \"")?.split('"').next()?;
        let on = after(words, "on measurement \"")?.split('"').next()?;
        let kind = after(words, "is type ")?.split(',').next()?;
        conflicting(sent, measurement, on, field, kind)
    } else if words.contains("points beyond retention policy") {
        oldest(sent, dropped)?
    } else {
        return None;
    };
    if indices.len() != dropped || dropped == 0 {
        return None;
    }
    let refusal = |index| Rejection {
        index,
        kind: kind(400, words),
        reason: shortened(words),
    };
    Some(indices.into_iter().map(refusal).collect())
}

fn conflicting(
    sent: &[&Reading],
    measurement: &Measurement,
    on: &str,
    field: &str,
    kind: &str,
) -> Vec<usize> {
    let fits = |reading: &Reading| {
        let mut measures = reading.measures.iter();
        measurement.of(reading) == Some(on)
            && measures.any(|(name, value)| **name == *field && type_name(value) == kind)
    };
    let places = sent.iter().enumerate();
    places
        .filter(|(_, reading)| fits(reading))
        .map(|(index, _)| index)
        .collect()
}

/// The so many oldest, if that can be told.
fn oldest(sent: &[&Reading], count: usize) -> Option<Vec<usize>> {
    let mut by_time: Vec<usize> = (0..sent.len()).collect();
    by_time.sort_by_key(|index| sent[*index].time);
    let last = *by_time.get(count.checked_sub(1)?)?;
    let next = by_time.get(count);
    if next.is_some_and(|next| sent[*next].time == sent[last].time) {
        return None;
    }
    by_time.truncate(count);
    Some(by_time)
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// Parts of the sentences that complain about lines, not about the request.
const ABOUT_LINES: &[&str] = &[
    "partial write",
    "pars",
    "line protocol",
    "type conflict",
    "column type",
    "field type",
    "already exists as type",
    "retention",
    "timestamp",
    "invalid field",
    "invalid tag",
    "limit exceeded",
    "update to schema would exceed",
];

fn is_about_lines(words: &str) -> bool {
    let words = words.to_lowercase();
    ABOUT_LINES.iter().any(|part| words.contains(part))
}

/// No version gives codes for this, only sentences; one that changes ends as `Other`, which loses
/// nothing but the label.
pub(super) fn kind(status: u16, words: &str) -> RejectionKind {
    let words = words.to_lowercase();
    let has = |part: &str| words.contains(part);
    if has("type conflict") || has("already exists as type") || has("column type") {
        RejectionKind::TypeConflict
    } else if has("retention") {
        RejectionKind::OutsideRetention
    } else if status == 413 || has("limit") || has("exceed") {
        RejectionKind::OverLimit
    } else {
        RejectionKind::Other
    }
}

fn said(status: u16, words: &str) -> String {
    if words.is_empty() {
        format!("HTTP status {status} without a reason")
    } else {
        format!("HTTP status {status}: {}", shortened(words))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
