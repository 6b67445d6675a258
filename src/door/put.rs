//! The writing side of a stream, for `tidewire feed` and `replay`.

use std::future::Future;

use bytes::Bytes;

use super::fault::CallFailed;
use crate::model::{PartitionKey, Sent};

/// A record to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Decides the shard; 1 to 256 characters.
    pub key: PartitionKey,
    /// The payload; with the key at most the stream's record size, 1 MiB unless it was raised.
    pub data: Bytes,
}

impl Entry {
    /// What it counts toward the limits of a request: payload and key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.key.as_str().len()
    }
}

/// Puts records on a stream.
pub trait Put: Send + Sync + 'static {
    /// Puts 1 to 500 records of together at most 10 MiB; outcomes stand in their order. Some may
    /// be taken and others not, and AWS promises no order among those of one request.
    fn put(&self, entries: &[Entry]) -> impl Future<Output = Result<Vec<Sent>, CallFailed>> + Send;
}
