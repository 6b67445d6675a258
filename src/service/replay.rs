//! Reading again: a range of the stream, or the dead letters, into the sinks, without leases.
//!
//! The reading side is the worker's own ([`crate::service::worker`]); here is what stands in the
//! place of the keeper of leases and of the live stream: which shards are read and in which order
//! ([`range`]), where they end ([`bounded`]), the letters
//! ([`letters`], [`hand`]) as if they were a stream ([`desk`], [`mod@line`]), and what became of what a sink would not take ([`refused`]).

pub mod bounded;
pub mod desk;
pub mod hand;
pub mod letters;
pub mod line;
pub mod range;
pub mod refused;
