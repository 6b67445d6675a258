//! Posts: a task each, as many at once as the core allows.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Tasks;
use crate::door::connections::Screens;
use crate::door::fault::{CallFailed, Fault};
use crate::model::{ConnectionId, Millis, Posted};

/// The longest that one call may hold its place; the adapter's own time-out is shorter.
const CALL_MAX: Duration = Duration::from_secs(10);

/// A call that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: ConnectionId,
    pub(super) result: Result<Posted, CallFailed>,
    pub(super) began: Millis,
}

/// Sends frames and tells the main loop how that went. The channel has room for every call that
/// can be under way.
#[derive(Debug)]
pub(super) struct Poster<S> {
    screens: Arc<S>,
    ended: mpsc::Sender<Ended>,
}

impl<S: Screens> Poster<S> {
    pub(super) fn new(screens: Arc<S>, ended: mpsc::Sender<Ended>) -> Self {
        Self { screens, ended }
    }

    pub(super) fn post(&self, tasks: &Tasks, id: ConnectionId, frame: String, began: Millis) {
        let screens = self.screens.clone();
        self.call(tasks, "post", id, began, move |id| async move {
            screens.post(&id, &frame).await
        });
    }

    pub(super) fn hang_up(&self, tasks: &Tasks, id: ConnectionId, began: Millis) {
        let screens = self.screens.clone();
        self.call(tasks, "hang up", id, began, move |id| async move {
            screens.hang_up(&id).await
        });
    }

    fn call<F>(
        &self,
        tasks: &Tasks,
        name: &'static str,
        id: ConnectionId,
        began: Millis,
        work: impl FnOnce(ConnectionId) -> F,
    ) where
        F: Future<Output = Result<Posted, CallFailed>> + Send + 'static,
    {
        let ended = self.ended.clone();
        let work = work(id.clone());
        tasks.spawn(name, async move {
            let result = match tokio::time::timeout(CALL_MAX, work).await {
                Ok(result) => result,
                Err(_) => Err(CallFailed {
                    operation: "PostToConnection",
                    fault: Fault::Transient,
                    message: format!("no answer within {} s", CALL_MAX.as_secs()),
                }),
            };
            // The main loop is gone only once the drain's time is over.
            drop(ended.send(Ended { id, result, began }).await);
        });
    }
}
