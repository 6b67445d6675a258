//! Frames: what one post carries, never over its bound.

use std::sync::Arc;

use super::part::Part;
use crate::model::{EpochMillis, Followed};

/// How a frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"type":"readings","readings":[..]}`.
    Joined,
    /// One bare flat object a frame, for the blog's page.
    Single,
}

/// Bytes that an envelope takes at most: the longest is
/// `{"type":"snapshot","readings":[],"complete":false,"more":true}`.
pub const ENVELOPE_BYTES_MAX: usize = 64;

/// Parts chosen for one frame, in ascending number.
#[derive(Debug)]
pub struct Filling<'a> {
    form: Form,
    bytes_max: usize,
    bytes: usize,
    parts: Vec<&'a Part>,
}

impl<'a> Filling<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(form: Form, bytes_max: usize) -> Self {
        Self {
            form,
            bytes_max,
            bytes: ENVELOPE_BYTES_MAX,
            parts: Vec::new(),
        }
    }

    /// Takes one more part, unless the frame would be too large; the first always goes in, since a
    /// viewer's bound can shrink below a part's size after a 413.
    pub fn take(&mut self, part: &'a Part) -> bool {
        let bytes = part.text(self.form).len() + 1;
        let fits = match self.form {
            Form::Joined => self.bytes + bytes <= self.bytes_max,
            Form::Single => false,
        };
        if !fits && !self.parts.is_empty() {
            return false;
        }
        self.bytes += bytes;
        self.parts.push(part);
        true
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.bytes = ENVELOPE_BYTES_MAX;
        self.parts.clear();
    }

    /// How many parts are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Arrival of the oldest reading in it.
    #[must_use]
    pub fn oldest(&self) -> Option<EpochMillis> {
        self.parts.iter().map(|p| p.reading().arrival_ms).min()
    }

    /// The traces of readings in it that are followed.
    #[must_use]
    pub fn followed(&self) -> Vec<Arc<Followed>> {
        let traces = self.parts.iter().map(|part| &part.reading().trace);
        traces.flatten().cloned().collect()
    }

    /// Puts the parts into stream order within each shard.
    pub fn in_stream_order(&mut self) {
        self.parts.sort_by(|a, b| {
            a.reading()
                .shard
                .cmp(&b.reading().shard)
                .then_with(|| a.place_cmp(b))
        });
    }

    /// Puts the newest last, so that a viewer who keeps one value per device ends with the newest.
    pub fn newest_last(&mut self) {
        self.parts.sort_by(|a, b| a.age_cmp(b));
    }

    /// The frame of new readings.
    #[must_use]
    pub fn readings(&self) -> String {
        if self.form == Form::Single {
            return self.joined();
        }
        format!("{{\"type\":\"readings\",\"readings\":[{}]}}", self.joined())
    }

    /// A frame of a snapshot. `more`: further frames of the same snapshot follow. `complete`: it is
    /// the last, and nothing that the viewer wants is unknown to us.
    #[must_use]
    pub fn snapshot(&self, complete: bool, more: bool) -> String {
        if self.form == Form::Single {
            return self.joined();
        }
        let more = if more { ",\"more\":true" } else { "" };
        format!(
            "{{\"type\":\"snapshot\",\"readings\":[{}],\"complete\":{complete}{more}}}",
            self.joined()
        )
    }

    fn joined(&self) -> String {
        let mut text = String::with_capacity(self.bytes);
        for part in &self.parts {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(part.text(self.form));
        }
        text
    }
}
