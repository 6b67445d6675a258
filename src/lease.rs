//! Floor 1: who may read which shard.
//!
//! Each shard has a row in a DynamoDB table, KCL's to the attribute ([`row`]). Workers do not talk
//! to each other and have no leader: everything they agree on, they agree on by conditional writes
//! ([`change`]) to that row. [`keeper`] decides, [`crate::service::leases`] carries out, [`talk`] is
//! what the reading side hears and says.
//!
//! ```text
//!            free: unowned, expired, or ours by name only
//!              |  take: counter n -> n+1, the epoch
//!              v
//!   +------ Reading ------ Ended said ----> Ending: children created, then one write:
//!   |          |                            SHARD_END, children named, owner removed
//!   |          |  shutdown, or another worker asks for it
//!   |          v
//!   |       Draining ----- 10 s over -----> asked for: taken back, goes on draining
//!   |          |                            shutdown: abandoned, released as far as written
//!   |          |  Drained said
//!   |          v
//!   |       Drained  ----> finish: to the one who asked | release: nobody's | asking taken back:
//!   |                      a heartbeat, and Reading again under a new epoch
//!   +--> from anywhere: the fence passes, another wrote, or the row is gone -> Revoked
//! ```
//!
//! **Why two workers do not read one shard.** Every write needs the counter that its writer saw
//! last, so of two writers one fails. A holder's right ends `lease_duration - fence_margin` after
//! it *sent* its last heartbeat, on its own stopwatch. Another takes a lease it saw owned only
//! `lease_duration` after it *first saw* the counter, on its own stopwatch, and after a consistent
//! read still shows that counter. A counter is seen after it was written and written after it was
//! sent, so the two times do not overlap as long as the two clocks' rates differ by less than
//! `fence_margin / lease_duration` (5 %). What the clocks *show* never enters.
//! When an answer is lost the write may have been applied or may be applied yet: the row is read
//! consistently and says which ([`classify`]). A write is repeated only with the same condition, so
//! that at most one of the attempts can be applied; the right then counts from the first attempt.
//! What no lease can prevent is a process that stands still between deciding to send and sending:
//! its sinks see a repeat, and its checkpoint is refused.
//!
//! **Why nothing is skipped.** A checkpoint is written by the current owner only, over the value it
//! leads on from, and never back. A shard's end creates its children's leases before the row says
//! `SHARD_END`; a child is granted only when every parent says so, or is gone from the table and
//! from the stream ([`lineage`]). Rows go only by KCL's rule, so a missing row means "done", and
//! where a person deleted one, the comparison with the stream makes it anew.
//!
//! **Why it settles.** A worker takes at most its fair share at first and the rest a moment later;
//! it asks the most loaded for a lease only while that one has two more ([`share`]), each of which
//! lowers the sum of squares. Ended leases, and those still barred by a parent, weigh nothing. Where
//! leases are spread by throughput, the heavy ones move instead ([`weigh`]).
//!
//! The numbered invariants stand in [`invariant`]; `tests/simulation` checks them after
//! every event of thousands of bad days.

pub mod audit;
pub mod change;
pub mod classify;
pub mod invariant;
pub mod item;
pub mod keeper;
pub mod lineage;
pub mod operate;
pub mod options;
pub mod row;
pub mod share;
pub mod talk;
pub mod weigh;

pub use change::{Answer, Author, Change, NewLease};
pub use item::{Item, Value};
pub use keeper::{Effect, Input, Keeper, Listed, Note, Status};
pub use options::{Fleet, Initial, Options, Weight};
pub use row::Row;

/// Why this worker may take no lease from this table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The leases are another stream's.
    #[error(
        "the lease table belongs to another stream: none of its leases (`{example}`, ...) matches a shard of \
         this stream; give this application its own table, or, if the stream was made anew, delete the rows"
    )]
    ForeignTable {
        /// A lease of it.
        example: String,
    },
    /// The leases are keyed by stream and shard, and one stream is read here.
    #[error(
        "the lease table is of a fleet over several streams (lease `{example}`): list them in \
         `source.streams`, or give this application its own table"
    )]
    SeveralStreams {
        /// A lease of it.
        example: String,
    },
    /// The leases are keyed by shard alone, and several streams are read here.
    #[error(
        "the lease table is of a fleet over one stream (lease `{example}`): name that one in \
         `source.stream`, or give this application its own table"
    )]
    OneStream {
        /// A lease of it.
        example: String,
    },
    /// A leader of KCL 3 assigns the leases.
    #[error("{why}")]
    ManagedByKcl3 {
        /// Which row says so, and the remedy.
        why: String,
    },
}
