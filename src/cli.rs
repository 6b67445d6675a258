//! Floor 5: the subcommands.

pub mod failure;
pub mod gateway;
