//! Floor 2: the doors. Small traits between what we decide and what AWS does; the real adapters
//! stand behind them in `aws/`, in-memory ones for simulation under `tests/`.

pub mod connections;
pub mod dead_letters;
pub mod fault;
pub mod key_set;
pub mod lease_table;
pub mod put;
pub mod queue;
pub mod spans;
pub mod stream;
pub mod time_series;

pub use fault::{Fault, Faulty};
