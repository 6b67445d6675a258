//! Whether the main loops turn: those of leasing, reading and pushing touch their beat at each turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::Millis;
use crate::service::clock::Clock;

/// A watched loop turns at least so often, however little there is to do.
pub const TURN_EVERY: Duration = Duration::from_secs(1);

/// How long a watched loop may be silent before `/livez` says so. None of them waits for a call,
/// so that one that is silent for longer hangs.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The loops that must turn; clones share them.
#[derive(Clone, Debug)]
pub struct Beats {
    clock: Clock,
    watched: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    last: Arc<AtomicU64>,
}

/// One loop's handle, touched at every turn. Dropped, it is watched no more: a loop that ended on
/// purpose is not a loop that hangs.
#[derive(Debug)]
pub struct Beat {
    clock: Clock,
    last: Arc<AtomicU64>,
}

impl Beats {
    /// Nothing to watch yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            watched: Arc::default(),
        }
    }

    /// The clock by which silence is measured.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Watches a loop, which counts as having turned just now.
    #[must_use]
    pub fn watch(&self, name: &'static str) -> Beat {
        let last = Arc::new(AtomicU64::new(self.clock.now().0));
        let watched = Watched {
            name,
            last: Arc::clone(&last),
        };
        self.list().push(watched);
        Beat {
            clock: self.clock.clone(),
            last,
        }
    }

    /// The loops that have been silent for too long, and for how long.
    #[must_use]
    pub fn silent(&self) -> Vec<(&'static str, Duration)> {
        let now = self.clock.now();
        let mut watched = self.list();
        watched.retain(|watched| Arc::strong_count(&watched.last) > 1);
        watched
            .iter()
            .map(|watched| {
                (
                    watched,
                    now.since(Millis(watched.last.load(Ordering::Relaxed))),
                )
            })
            .filter(|(_, silence)| *silence > SILENCE_MAX)
            .map(|(watched, silence)| (watched.name, silence))
            .collect()
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beat {
    /// The loop has turned.
    pub fn touch(&self) {
        self.last.store(self.clock.now().0, Ordering::Relaxed);
    }
}
