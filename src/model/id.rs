//! Names of things, each its own type so that one cannot stand in for another.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A Kinesis data stream's name (1 to 128 characters of `[a-zA-Z0-9_.-]`).
    StreamName
}
text_id! {
    /// A Kinesis shard's id, `shardId-` and twelve digits; where a fleet reads several streams,
    /// with the stream before it, as KCL keys its leases ([`super::StreamId`]). It names the shard
    /// the same in leases, messages, letters, metrics and logs.
    ShardId
}
text_id! {
    /// One incarnation of one worker process; never the host name alone, since two processes of
    /// one host, or one host before and after a restart, must not be taken for each other.
    WorkerId
}
text_id! {
    /// An API Gateway WebSocket connection's id.
    ConnectionId
}
text_id! {
    /// The device that made a reading.
    DeviceId
}
text_id! {
    /// A Kinesis record's partition key. Streams that spread records by themselves leave it out.
    PartitionKey
}

/// KCL's `leaseCounter`: heartbeat, optimistic lock and fencing token in one. It only rises.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LeaseCounter(pub u64);

impl LeaseCounter {
    /// The counter that the next write stores.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for LeaseCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
