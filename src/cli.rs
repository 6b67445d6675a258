//! Floor 5: the command line.

pub mod failure;
pub mod feed;
pub mod gateway;
pub mod health;
