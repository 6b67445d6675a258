//! Floor 0: the words everything else speaks. Plain data; no tokio, no AWS, no clock.

pub mod bill;
pub mod calendar;
pub mod connection;
pub mod dead_letter;
pub mod fate;
pub mod fault;
pub mod hash;
pub mod id;
pub mod message;
pub mod percent;
pub mod position;
pub mod reading;
pub mod seat;
pub mod secret;
pub mod shard;
pub mod span;
pub mod stream_id;
pub mod ticket;
pub mod time;
pub mod trace;

pub use connection::{Connection, Posted, StoredTime, Wanted};
pub use dead_letter::{DeadLetter, Stage};
pub use fate::{Outgoing, Rejection, RejectionKind, RowKey, Sent};
pub use fault::Fault;
pub use id::{ConnectionId, DeviceId, LeaseCounter, PartitionKey, ShardId, StreamName, WorkerId};
pub use position::{Checkpoint, Position, SequenceNumber};
pub use reading::{Reading, Value};
pub use seat::{HolderId, SeatRow, Wish};
pub use secret::Secret;
pub use shard::{ChildShard, HashKey, HashRange, Record, Shard, Start};
pub use span::{Said, Span, SpanEvent, SpanKind};
pub use stream_id::{NotAStreamId, StreamId};
pub use ticket::{Ticket, TicketHash};
pub use time::{EpochMillis, EpochNanos, Millis};
pub use trace::{Followed, Sampling, SpanId, TraceContext, TraceId};
