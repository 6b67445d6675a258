//! Floor 5: the subcommands.

pub mod gateway;
