//! What became of a reading or message at a sink.

use super::trace::TraceContext;

/// Why the store refused one reading while taking the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Index of the reading in the batch that was sent.
    pub index: usize,
    /// What kind of refusal, as far as it can be told.
    pub kind: RejectionKind,
    /// The store's own words, for the dead letter.
    pub reason: String,
}

/// Kinds of refusal. AWS gives only text; what matches none is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectionKind {
    /// Older than the store keeps, or too far in the future.
    OutsideRetention,
    /// The key exists with another value at the same version.
    Duplicate,
    /// The key exists at a higher version: this reading is superseded, not lost.
    Superseded,
    /// A measure's type differs from the table's.
    TypeConflict,
    /// The table is full of names or dimensions.
    OverLimit,
    /// Anything else.
    Other,
}

impl RejectionKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OutsideRetention,
        Self::Duplicate,
        Self::Superseded,
        Self::TypeConflict,
        Self::OverLimit,
        Self::Other,
    ];

    /// A label for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutsideRetention => "outside_retention",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::TypeConflict => "type_conflict",
            Self::OverLimit => "over_limit",
            Self::Other => "other",
        }
    }
}

/// Where a reading lands: two readings with equal keys are the same row.
///
/// For Timestream: dimensions (device and further ones), time, measure name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub Vec<u8>);

/// A message to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Its body.
    pub body: String,
    /// Whose order or whose share it concerns: the device. A FIFO queue demands one; a standard
    /// queue deals fairly with several.
    pub group: Option<String>,
    /// By what a FIFO queue knows a message that it has already: its reading's position.
    pub once: Option<String>,
    /// The trace of a reading in it, for whoever receives it.
    pub trace: Option<TraceContext>,
}

impl From<String> for Outgoing {
    fn from(body: String) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

/// What became of one entry of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The queue has it.
    Accepted,
    /// The service failed on this entry: send it again.
    Again(String),
    /// The entry is wrong as it stands (`SenderFault`): the reason, for a dead letter.
    Refused(String),
}
