//! Which broadcaster serves a queue: one seat for each queue, a row of the connection table.

/// A broadcaster process: a UUID of its own for each start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderId(pub String);

/// A seat's row. Each write of who holds it raises the counter by one, so that it names that state;
/// a wish is written beside it and raises nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatRow {
    /// Who serves the queue; none: it was let go.
    pub holder: Option<HolderId>,
    /// How many times the row was claimed, renewed or let go.
    pub counter: u64,
    /// Who would like to serve the queue instead. The holder's next renewal takes it away.
    pub wish: Option<Wish>,
    /// For whom it was let go; the others give that one time.
    pub next: Option<HolderId>,
}

/// A process that serves fewer queues than the holder of a seat asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who asks.
    pub by: HolderId,
    /// How many seats it has.
    pub held: usize,
}
