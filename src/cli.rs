//! Floor 5: the command line.

pub mod broadcaster;
pub mod failure;
pub mod gateway;
pub mod health;
pub mod options;
pub mod parts;
pub mod worker;
