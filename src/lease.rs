//! Floor 1: who may read which shard.

pub mod talk;
