//! One viewer: its row, what it is owed, and how it has answered lately.

use std::time::Duration;

use super::index::Sight;
use super::snapshot::Snapshot;
use super::window::{Stock, Window};
use super::{Now, Options};
use crate::model::{Connection, EpochMillis, Millis, StoredTime};

/// First and longest wait after a 429 (the viewer's buffer is full).
pub const SLOW_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A viewer that has taken nothing for so long, while others have, is let go: its connection is ended.
/// A page that lives connects again, with an empty buffer.
pub const SLOW_MAX: Duration = Duration::from_secs(300);

/// First and longest wait after a call without a usable answer.
pub const FAILED_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// First and longest wait of a viewer after a 403.
pub const FORBIDDEN_WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// Until a young connection that answered 410 is tried again.
pub const YOUNG_WAIT: Duration = Duration::from_secs(2);

/// Failures in a row after which a viewer of every reading is brought to the newest.
pub const FAILED_TRIES_MAX: u32 = 4;

/// The smallest frame that a viewer is brought down to by 413s.
pub const FRAME_BYTES_MIN: usize = 1_024;

/// Where a viewer stands; every viewer is in exactly the collection that its place names.
///
/// ```text
///  Idle -> Timed -> Ready -> Busy -> Idle
///    \________________/        \-> Held (410, but the breaker does not believe it) -> Ready
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Owed nothing.
    Idle,
    /// Waits until then.
    Timed(Millis),
    /// In the queue under this number.
    Ready(u64),
    /// Answered 410 and is tried again once the breaker closes; its number in that queue.
    Held(u64),
    /// A call is under way.
    Busy,
}

/// One viewer.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Tells a connection from an earlier one with the same id.
    pub incarnation: u64,
    /// What it sees.
    pub sight: Sight,
    /// As stored.
    pub connected_at: Option<StoredTime>,
    /// When its token runs out, seconds since the epoch.
    pub expires_at: Option<i64>,
    /// When we first saw its row.
    pub first_seen: Millis,
    /// When a consistent read last showed its row: older snapshots do not overrule it.
    pub confirmed: Option<Millis>,
    /// Where it stands.
    pub place: Place,
    /// What it is owed.
    pub window: Window,
    /// What it is to be shown first.
    pub snapshot: Option<Snapshot>,
    /// Its largest frame.
    pub frame_bytes_max: usize,
    /// The earliest next call after one that met trouble.
    pub not_before: Millis,
    /// The earliest next call because of the last one: what falls due until then goes together.
    pub window_until: Millis,
    /// 429s in a row.
    pub slow: u32,
    /// When the first of them came.
    pub slow_since: Option<Millis>,
    /// Calls without a usable answer in a row.
    pub failed: u32,
}

impl Viewer {
    /// A viewer from its row.
    #[must_use]
    pub fn new(row: &Connection, incarnation: u64, stock: &Stock, o: &Options, now: Now) -> Self {
        let sight = Sight::of(row);
        Self {
            incarnation,
            connected_at: row.connected_at.clone(),
            expires_at: row.expires_at,
            first_seen: now.mono,
            confirmed: None,
            place: Place::Idle,
            window: Window::new(stock, &sight),
            snapshot: None,
            frame_bytes_max: o.frame_bytes_max,
            not_before: Millis(0),
            window_until: Millis(0),
            slow: 0,
            slow_since: None,
            failed: 0,
            sight,
        }
    }

    /// Whether its token has run out.
    #[must_use]
    pub fn is_expired(&self, wall: EpochMillis) -> bool {
        self.expires_at
            .is_some_and(|at| at.saturating_mul(1000) <= wall.0)
    }

    /// Whether it has taken nothing for too long.
    #[must_use]
    pub fn is_deaf(&self, now: Millis) -> bool {
        let too_long = |since: Millis| now.since(since) >= SLOW_MAX;
        self.slow_since.is_some_and(too_long)
    }

    /// Whether a call is due, as soon as its time comes.
    #[must_use]
    pub fn wants_call(&self, stock: &Stock, now: Now) -> bool {
        self.snapshot.is_some() || self.window.owes(stock) || self.is_expired(now.wall)
    }

    /// Whether it lately failed to take what it was sent: such viewers share a part of the posts.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.slow > 0 || self.failed > 0
    }

    /// A frame of the snapshot of that number was taken, up to a reading.
    pub fn told(&mut self, number: u64, up_to: u64, stock: &Stock) {
        let ended = self
            .snapshot
            .take_if(|snapshot| snapshot.number == number && snapshot.shown(up_to));
        if let Some(snapshot) = ended {
            self.window.told_by(&snapshot, stock);
        }
    }

    /// All is well again.
    pub fn recover(&mut self) {
        self.slow = 0;
        self.slow_since = None;
        self.failed = 0;
    }
}

/// The n-th wait in a row (from 1): doubles from the first to the longest.
#[must_use]
pub fn backoff((first, longest): (Duration, Duration), n: u32) -> Duration {
    first
        .saturating_mul(1_u32 << n.saturating_sub(1).min(16))
        .min(longest)
}
