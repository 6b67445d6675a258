//! Which broadcaster serves a queue: one seat for each queue, a row of the connection table.

/// A broadcaster process: a UUID of its own for each start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderId(pub String);

/// A seat's row. Each write raises the counter by one, so that it names the row's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// Who serves the queue; none: it was let go.
    pub holder: Option<HolderId>,
    /// How many times the row was written.
    pub counter: u64,
}
