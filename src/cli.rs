//! Floor 5: the subcommands.

pub mod gateway;
//! Floor 5: the command line.

pub mod health;
