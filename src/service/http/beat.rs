//! Whether the main loops turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::Millis;
use crate::service::clock::Clock;

/// The loops that must turn; clones share them.
#[derive(Clone, Debug)]
pub struct Beats {
    clock: Clock,
    watched: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    silence_max: Duration,
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

    /// Watches a loop, which counts as having turned just now. Being silent for longer than
    /// `silence_max` is death: choose several times the loop's longest honest wait.
    #[must_use]
    pub fn watch(&self, name: &'static str, silence_max: Duration) -> Beat {
        let last = Arc::new(AtomicU64::new(self.clock.now().0));
        let watched = Watched {
            name,
            silence_max,
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
            .filter(|(watched, silence)| *silence > watched.silence_max)
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
