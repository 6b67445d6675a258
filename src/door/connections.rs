//! Viewers: the table of connections, and the way to their screens.

use std::future::Future;

use super::fault::CallFailed;
use crate::model::{
    Connection, ConnectionId, Posted, SeatRow, StoredTime, Ticket, TicketHash, Wanted, Wish,
};
use crate::push::seat::Claim;

/// The connection table.
pub trait Connections: Send + Sync + 'static {
    /// Every connection, with paging followed to its end; eventually consistent.
    fn list(&self) -> impl Future<Output = Result<Vec<Connection>, CallFailed>> + Send;

    /// One row, read consistently.
    fn get(
        &self,
        id: &ConnectionId,
    ) -> impl Future<Output = Result<Option<Connection>, CallFailed>> + Send;

    /// Writes a new connection's row.
    fn put(&self, row: &Connection) -> impl Future<Output = Result<(), CallFailed>> + Send;

    /// Replaces `subscriber` where the row exists; false where it does not.
    fn set_wanted(
        &self,
        id: &ConnectionId,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<bool, CallFailed>> + Send;

    /// Deletes a row, only while its `connected_at` is still this one (a connection id can be
    /// used again); false where it was another or gone.
    fn forget(
        &self,
        id: &ConnectionId,
        connected_at: Option<&StoredTime>,
    ) -> impl Future<Output = Result<bool, CallFailed>> + Send;
}

/// The table's tickets, for the gateway.
pub trait Tickets: Send + Sync + 'static {
    /// Spends a ticket: takes its row away, if it runs out after `now_s` (seconds since the epoch),
    /// and says what it grants. `None` where there is none; of any number of callers one gets it.
    fn spend(
        &self,
        ticket: &TicketHash,
        now_s: i64,
    ) -> impl Future<Output = Result<Option<Ticket>, CallFailed>> + Send;
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It was written, over a row with this wish in it.
    Written(Option<Wish>),
    /// Its condition did not hold.
    Refused,
}

/// The table's seats: who serves which queue.
pub trait Seats: Send + Sync + 'static {
    /// A seat's row, read consistently.
    fn seat(&self, queue: &str)
    -> impl Future<Output = Result<Option<SeatRow>, CallFailed>> + Send;

    /// Writes a seat's row on the claim's condition.
    fn claim(
        &self,
        queue: &str,
        claim: &Claim,
    ) -> impl Future<Output = Result<Claimed, CallFailed>> + Send;
}

/// The way to the screens: `@connections`.
pub trait Screens: Send + Sync + 'static {
    /// Sends one frame of text to one viewer.
    fn post(
        &self,
        id: &ConnectionId,
        frame: &str,
    ) -> impl Future<Output = Result<Posted, CallFailed>> + Send;

    /// Ends a connection; `Gone` where it was not there.
    fn hang_up(&self, id: &ConnectionId)
    -> impl Future<Output = Result<Posted, CallFailed>> + Send;
}
