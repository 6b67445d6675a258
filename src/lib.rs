//! tidewire: live sensor data from a Kinesis stream into a time-series store and onto people's
//! screens, by one small daemon that loses nothing.

#[cfg(feature = "local")]
pub mod local;
