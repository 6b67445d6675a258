//! Text that must never be shown.

pub use crate::model::Secret;
