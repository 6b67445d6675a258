//! The only spawn: tasks have names, are counted, and a panic in one is reported and ends the
//! process's work instead of vanishing.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The tasks of one service; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    failed: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task. If it panics, that is logged and [`Tasks::failed`] fires.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = PanicGuard {
            name,
            failed: self.failed.clone(),
            finished: false,
        };
        let span = tracing::Span::current();
        self.tracker.spawn(
            async move {
                let mut guard = guard;
                work.await;
                guard.finished = true;
            }
            .instrument(span),
        );
    }

    /// Fires when a task has panicked: whoever runs the service then stops it.
    #[must_use]
    pub fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    /// How many tasks are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until every task has ended; no more should be started.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Dropped unfinished: by a panic, or because the runtime went away.
struct PanicGuard {
    name: &'static str,
    failed: CancellationToken,
    finished: bool,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if !self.finished && std::thread::panicking() {
            tracing::error!(
                task = self.name,
                "a task panicked: this is a defect, please report it"
            );
            self.failed.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_seen() {
        let tasks = Tasks::new();
        tasks.spawn("doomed", async { panic!("on purpose") });
        tasks.failed().cancelled().await;
        tasks.ended().await;
    }

    #[tokio::test]
    async fn a_task_that_ends_well_alarms_nobody() {
        let tasks = Tasks::new();
        tasks.spawn("calm", async {});
        tasks.ended().await;
        assert!(!tasks.failed().is_cancelled());
    }
}
