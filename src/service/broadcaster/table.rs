//! The connection table, kept at arm's length from the main loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::report::Seldom;
use super::{TABLE_BACKLOG, Tasks};
use crate::door::connections::Connections;
use crate::model::{ConnectionId, StoredTime};
use crate::push::Input;
use crate::push::viewer::backoff;
use crate::service::clock::Clock;

/// Tasks that read single rows. One connection's reads all go through one of them, so that an older
/// answer cannot overtake a newer one.
pub(super) const LANES: usize = 8;

/// First and longest wait after a failed list.
const LIST_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Least time between two lists, however many rows could not be read one by one.
const LIST_GAP: Duration = Duration::from_millis(500);

/// Failed lists in a row before a person is told.
const FAILURES_BEFORE_WARNING: u32 = 2;

type Deletion = (ConnectionId, Option<StoredTime>);

/// The main loop's side: orders that are never waited for.
#[derive(Debug)]
pub(super) struct Table {
    lanes: Vec<mpsc::Sender<ConnectionId>>,
    deletions: mpsc::Sender<Deletion>,
    relist: Arc<Notify>,
}

impl Table {
    pub(super) fn start<C: Connections>(
        door: Arc<C>,
        tasks: &Tasks,
        clock: &Clock,
        refresh: Duration,
        relist: Arc<Notify>,
        inputs: mpsc::Sender<Input>,
        stop: &CancellationToken,
    ) -> Self {
        let list = list(
            door.clone(),
            clock.clone(),
            refresh,
            relist.clone(),
            inputs.clone(),
            stop.clone(),
        );
        tasks.spawn("list connections", list);
        let mut lanes = Vec::new();
        for _ in 0..LANES {
            let (lane, orders) = mpsc::channel(TABLE_BACKLOG / LANES);
            let read = read_rows(
                door.clone(),
                orders,
                relist.clone(),
                inputs.clone(),
                stop.clone(),
            );
            tasks.spawn("read rows", read);
            lanes.push(lane);
        }
        let (deletions, orders) = mpsc::channel(TABLE_BACKLOG);
        tasks.spawn("forget", forget(door, orders, inputs, stop.clone()));
        Self {
            lanes,
            deletions,
            relist,
        }
    }

    /// Reads one row; where too many wait already, all are listed soon instead.
    pub(super) fn read(&self, id: ConnectionId) {
        let sum = id.as_str().bytes().map(usize::from).sum::<usize>();
        if self.lanes[sum % LANES].try_send(id).is_err() {
            self.relist.notify_one();
        }
    }

    /// Deletes a row; where too many wait already, a later 410 will order it again.
    pub(super) fn forget(&self, id: ConnectionId, connected_at: Option<StoredTime>) {
        if self.deletions.try_send((id, connected_at)).is_err() {
            tracing::debug!("deletion put off: too many are waiting");
        }
    }
}

async fn list<C: Connections>(
    door: Arc<C>,
    clock: Clock,
    refresh: Duration,
    relist: Arc<Notify>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut warned = Seldom::default();
    let mut failures = 0;
    loop {
        let asked = clock.now();
        let rows = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            rows = door.list() => rows,
        };
        let pause = match rows {
            Ok(rows) => {
                failures = 0;
                if inputs.send(Input::Rows { asked, rows }).await.is_err() {
                    return;
                }
                refresh
            }
            Err(error) => {
                failures += 1;
                if failures >= FAILURES_BEFORE_WARNING && warned.may(tokio::time::Instant::now()) {
                    tracing::warn!(failures, %error, "connection table cannot be listed");
                }
                backoff(LIST_WAIT, failures)
            }
        };
        let gap = LIST_GAP.min(pause);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(gap) => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = relist.notified() => {}
            () = tokio::time::sleep(pause - gap) => {}
        }
    }
}

async fn read_rows<C: Connections>(
    door: Arc<C>,
    mut orders: mpsc::Receiver<ConnectionId>,
    relist: Arc<Notify>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    loop {
        let id = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            id = orders.recv() => id,
        };
        let Some(id) = id else { return };
        match door.get(&id).await {
            Ok(row) => {
                if inputs.send(Input::Row { id, row }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "row was not read: all are listed instead");
                relist.notify_one();
            }
        }
    }
}

async fn forget<C: Connections>(
    door: Arc<C>,
    mut orders: mpsc::Receiver<Deletion>,
    inputs: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut warned = Seldom::default();
    loop {
        let order = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            order = orders.recv() => order,
        };
        let Some((id, connected_at)) = order else {
            return;
        };
        match door.forget(&id, connected_at.as_ref()).await {
            Ok(true) => {}
            Ok(false) => {
                if inputs.send(Input::NotForgotten(id)).await.is_err() {
                    return;
                }
            }
            // The row is still listed, so that its next 410 orders this again.
            Err(error) if error.fault.is_worth_again() => {
                tracing::debug!(%error, "row was not deleted");
            }
            Err(error) => {
                if warned.may(tokio::time::Instant::now()) {
                    tracing::warn!(%error, "rows of dead connections cannot be deleted");
                }
            }
        }
    }
}
