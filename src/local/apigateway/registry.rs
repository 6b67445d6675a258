//! The open connections and what may be sent to each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::event::Viewer;

/// One open connection as the rest of the server holds it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) viewer: Viewer,
    /// Milliseconds since the epoch of the last message in either direction.
    active_ms: AtomicI64,
    outgoing: mpsc::Sender<Utf8Bytes>,
    /// Asks for a closing handshake.
    pub(super) close: CancellationToken,
    /// Drops the socket as if the network had.
    pub(super) kill: CancellationToken,
}

/// What became of a message for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    Taken,
    /// There is no such connection, or none any more.
    Gone,
    /// The viewer does not read: its buffer is full.
    Full,
}

/// The open connections by id.
#[derive(Debug, Default)]
pub(super) struct Registry {
    links: Mutex<BTreeMap<String, Arc<Link>>>,
}

impl Registry {
    /// Opens a connection for posts; `outgoing_max` messages may wait for its viewer.
    pub(super) fn open(
        &self,
        viewer: Viewer,
        outgoing_max: usize,
    ) -> (Arc<Link>, mpsc::Receiver<Utf8Bytes>) {
        let (outgoing, frames) = mpsc::channel(outgoing_max.max(1));
        let link = Arc::new(Link {
            active_ms: AtomicI64::new(viewer.connected_ms),
            viewer,
            outgoing,
            close: CancellationToken::new(),
            kill: CancellationToken::new(),
        });
        self.lock()
            .insert(link.viewer.connection_id.clone(), Arc::clone(&link));
        (link, frames)
    }

    pub(super) fn remove(&self, connection_id: &str) {
        self.lock().remove(connection_id);
    }

    pub(super) fn get(&self, connection_id: &str) -> Option<Arc<Link>> {
        self.lock().get(connection_id).cloned()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn post(&self, connection_id: &str, text: Utf8Bytes) -> Posted {
        let Some(link) = self.get(connection_id) else {
            return Posted::Gone;
        };
        match link.outgoing.try_send(text) {
            Ok(()) => Posted::Taken,
            Err(mpsc::error::TrySendError::Full(_)) => Posted::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Posted::Gone,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    pub(super) fn touch(&self, now_ms: i64) {
        self.active_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn active_ms(&self) -> i64 {
        self.active_ms.load(Ordering::Relaxed)
    }
}
