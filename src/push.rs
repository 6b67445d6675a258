//! Floor 1: what to push to whom, and what an answer to a push means.
//!
//! [`Core::step`] owns every decision of the broadcaster: which viewer is owed which reading, when
//! a frame leaves, who waits, who is forgotten. The service above it carries out the [`Effect`]s.
//!
//! ```text
//! readings -> Latest (newest of each measure)  \
//!          -> Recent (all, in order)            > a viewer's Window -> frame -> post -> outcome
//! rows     -> Index (who wants which device)   /                                    |
//!             Breaker: may anybody be posted to, may this row be deleted? <---------+
//! ```

use std::time::Duration;

use crate::model::message::WireReading;
use crate::model::{Connection, ConnectionId, EpochMillis, Millis, Posted, StoredTime};

pub mod age;
pub mod breaker;
pub mod frame;
pub mod hub;
pub mod index;
pub mod latest;
pub mod part;
pub mod permit;
pub mod rate;
pub mod recent;
pub mod seat;
pub mod snapshot;
pub mod spread;
pub mod viewer;
pub mod window;

pub use breaker::{Breaker, Why};
pub use frame::Form;
pub use hub::{Core, Counts};

/// Both clocks, handed in by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: all waiting.
    pub mono: Millis,
    /// The wall clock: ages of readings and rows, expiry of tokens.
    pub wall: EpochMillis,
}

/// Which readings a viewer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The newest of each device's measures; what it overtook within the window is not sent.
    Latest,
    /// Every reading, in the order of arrival, up to a bound per viewer.
    Every,
}

/// A queue's place among `queue.urls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// From 0 on.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

impl Default for QueuePlace {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl QueuePlace {
    /// Whether this queue serves the connection.
    #[must_use]
    pub fn serves(self, connection: &ConnectionId) -> bool {
        spread::queue_of(connection, self.of) == Some(self.index)
    }
}

/// What the core may use, and how it behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Least time between two frames to one viewer; what falls due meanwhile goes together.
    pub window: Duration,
    /// Which readings a viewer is shown.
    pub mode: Mode,
    /// How a frame is written.
    pub form: Form,
    /// Largest frame. API Gateway frames are 32 KB (32,768 bytes), and posts are metered by 32 KB.
    pub frame_bytes_max: usize,
    /// Posts a second at most; none: as many as API Gateway takes.
    pub posts_per_second: Option<u32>,
    /// Which of how many queues this is: viewers of the others are left to their broadcasters.
    pub place: QueuePlace,
    /// Posts under way at once; each holds a connection to API Gateway.
    pub posts_max: usize,
    /// Devices whose latest values are kept for viewers who come later.
    pub cache_devices_max: usize,
    /// Bytes of latest values kept, as estimated by [`part::Part::weight`].
    pub cache_bytes_max: usize,
    /// Readings owed to one viewer at most in [`Mode::Every`]; over it the oldest are dropped.
    pub every_readings_max: usize,
    /// Bytes of readings kept for all viewers together in [`Mode::Every`].
    pub every_bytes_max: usize,
    /// Viewers served; rows beyond are left alone, counted, and said.
    pub viewers_max: usize,
    /// Device ids that all viewers together may have asked for.
    pub subscriptions_max: usize,
    /// Readings in one snapshot at most, the newest.
    pub snapshot_readings_max: usize,
    /// Readings older than this are dropped and counted: screens want what is, not what was.
    /// It compares Kinesis's clock with ours, so it should exceed the error to be expected.
    pub max_age: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(100),
            mode: Mode::Latest,
            form: Form::Joined,
            frame_bytes_max: 32_000,
            posts_per_second: None,
            place: QueuePlace::default(),
            posts_max: 128,
            cache_devices_max: 100_000,
            cache_bytes_max: 64 << 20,
            every_readings_max: 1_000,
            every_bytes_max: 64 << 20,
            viewers_max: 20_000,
            subscriptions_max: 1_000_000,
            snapshot_readings_max: 10_000,
            max_age: None,
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Readings came off the queue.
    Readings(Vec<WireReading>),
    /// The whole connection table was read (eventually consistent).
    Rows {
        /// When the reading of the table began.
        asked: Millis,
        /// All its rows.
        rows: Vec<Connection>,
    },
    /// A control message: this row changed.
    Changed(ConnectionId),
    /// One row was read (consistent).
    Row {
        /// Whose row.
        id: ConnectionId,
        /// The row; absent where there is none.
        row: Option<Connection>,
    },
    /// A post or a hang-up ended.
    Done {
        /// Whose.
        id: ConnectionId,
        /// How.
        outcome: Outcome,
    },
    /// A deletion met another incarnation of the row, or none: look at the row again.
    NotForgotten(ConnectionId),
    /// Time passed.
    Tick,
    /// The service is ending: what is owed leaves now, windows are not waited for.
    Drain,
}

/// How a post or a hang-up ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// API Gateway answered.
    Answered(Posted),
    /// No usable answer: network, 5xx, time-out, 400.
    Failed,
}

impl Outcome {
    /// A label for traces: what metrics call it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(Posted::Accepted) => "accepted",
            Self::Answered(Posted::Gone) => "gone",
            Self::Answered(Posted::Slow) => "slow",
            Self::Answered(Posted::TooLarge) => "too_large",
            Self::Answered(Posted::Forbidden(_)) => "forbidden",
            Self::Failed => "failed",
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Post this frame to this viewer, and report with [`Input::Done`].
    Post {
        /// To whom.
        id: ConnectionId,
        /// The text.
        frame: String,
    },
    /// End this connection, and report with [`Input::Done`].
    HangUp(ConnectionId),
    /// Delete this row on condition of `connected_at`.
    Forget {
        /// Whose row.
        id: ConnectionId,
        /// The condition.
        connected_at: Option<StoredTime>,
        /// Why, as a label.
        why: Farewell,
    },
    /// Read this row, consistently, and report with [`Input::Row`].
    ReadRow(ConnectionId),
    /// A frame of readings was accepted.
    Shown {
        /// Arrival of the oldest reading in it.
        oldest: EpochMillis,
    },
    /// The breaker opened.
    Opened(Why),
    /// The breaker closed: a post was accepted.
    Closed,
}

/// Why a row is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Farewell {
    /// API Gateway answered 410.
    Gone,
    /// The token ran out, and the connection was ended.
    Expired,
    /// Older than a connection can be.
    TooOld,
    /// It took nothing for minutes while others did, and the connection was ended.
    Slow,
}

impl Farewell {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gone, Self::Expired, Self::TooOld, Self::Slow];

    /// A label for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::Slow => "slow",
        }
    }
}
