//! tidewire: live sensor data from a Kinesis stream into a time-series store and onto people's
//! screens, by one small daemon that loses nothing.
//!
//! The house has six floors; imports point down only, and `tests/house.rs` holds that.
//!
//! | floor | modules | what is there |
//! |---|---|---|
//! | 0 | [`model`] | words: ids, positions, readings, messages |
//! | 1 | [`lease`], [`pipeline`], [`decode`], [`push`] | decisions: `step(now, input) -> effects` |
//! | 2 | [`door`] | small traits between decisions and the world |
//! | 3 | [`aws`], [`influx`], [`otlp`] | the adapters behind the doors |
//! | 4 | [`service`] | tasks that wait, decide and carry out |
//! | 5 | `cli`, `local` | the front doors |

pub mod aws;
pub mod cli;
pub mod decode;
pub mod door;
pub mod influx;
pub mod lease;
pub mod model;
pub mod otlp;
pub mod pipeline;
pub mod push;
pub mod service;

#[cfg(feature = "local")]
pub mod local;
