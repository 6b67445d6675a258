//! Floor 3: the adapters. Each stands behind one door and turns its words into AWS's and back.
//!
//! **Who repeats a failed call.** Never the SDK: its retries are off for every client, because a
//! retry hidden in a call holds a slot, outlives a lease and cannot be seen in a metric. Never an
//! adapter either: it sends one request and names the [`Fault`](crate::door::Fault). The caller
//! decides: the shard's reader, the sinks and queues with backoff while the
//! shard is blocked, leases within their own deadline. Exceptions, all before any data moves: the
//! first discovery of Timestream's endpoint ([`discovery`]), waiting for a resource that was just
//! created, and asking whether what is needed is there ([`provision`]), a stream's consumer among it. A dead letter that its queue refuses goes once more, smaller: that
//! is another request.

pub mod billed;
pub mod connections;
pub mod dead_letters;
pub mod discovery;
pub mod error;
pub mod explain;
pub mod inspect;
pub mod key_set;
pub mod kinesis;
pub mod lease_table;
pub mod lines;
pub mod provision;
pub mod rights;
pub mod screens;
pub mod setup;
pub mod sqs;
pub mod timestream;

pub use error::failed;
pub use explain::{Service, Target, explain};
pub use setup::{Clients, Endpoints, Setup, StaticCredentials};
