//! Floor 1: who is sent what. Decisions about viewers; no tokio, no AWS, no clock.

pub mod permit;
pub mod spread;
