//! The root of a second crate over the same sources: the words and the decisions about leases, and
//! nothing above them. `tests/simulation` compiles it by itself and optimised, so that what is
//! simulated is what runs, and that these two floors need no runtime is held by the compiler.

pub mod lease;
pub mod model;
