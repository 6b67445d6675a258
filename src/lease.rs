//! Floor 1: who may read which shard.

pub mod change;
pub mod classify;
pub mod invariant;
pub mod item;
pub mod keeper;
pub mod lineage;
pub mod options;
pub mod row;
pub mod share;
pub mod talk;

pub use change::{Answer, Author, Change, NewLease};
pub use item::{Item, Value};
pub use keeper::{Effect, Input, Keeper, Listed, Note, Status};
pub use options::{Initial, Options};
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
    /// A leader of KCL 3 assigns the leases.
    #[error("{why}")]
    ManagedByKcl3 {
        /// Which row says so, and the remedy.
        why: String,
    },
}
