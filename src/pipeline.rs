//! Decisions about records on their way.

pub mod feeding;
