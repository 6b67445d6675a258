//! Rows of the connection table: who comes, who changes, who leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Core, Effect, Now, Place, Viewer};
use crate::model::{Connection, ConnectionId, DeviceId, Millis, StoredTime};
use crate::push::index::Sight;
use crate::push::snapshot::Snapshot;
use crate::push::window::Window;
use crate::push::{Farewell, age};

/// How far an eventually consistent read may lag: DynamoDB says usually within a second. A list
/// asked for sooner than this after a consistent read of one row does not overrule that.
const LAG: Duration = Duration::from_secs(3);

/// How long a row whose deletion was ordered is ignored in lists; then the deletion has failed and
/// the row is treated as any other.
const TOMB: Duration = Duration::from_secs(10);

impl Core {
    pub(super) fn rows(
        &mut self,
        now: Now,
        asked: Millis,
        rows: Vec<Connection>,
        effects: &mut Vec<Effect>,
    ) {
        let listed: BTreeSet<&ConnectionId> = rows.iter().map(|row| &row.id).collect();
        let left: Vec<ConnectionId> = self
            .viewers
            .iter()
            .filter(|(id, viewer)| !listed.contains(id) && overrules(asked, viewer))
            .map(|(id, _)| id.clone())
            .collect();
        for id in left {
            self.remove(&id);
        }
        for row in &rows {
            let overruled = self
                .viewers
                .get(&row.id)
                .is_some_and(|viewer| !overrules(asked, viewer));
            if !overruled {
                self.upsert(now, row, effects);
            }
        }
        self.listed = true;
    }

    pub(super) fn row(
        &mut self,
        now: Now,
        id: &ConnectionId,
        row: Option<Connection>,
        effects: &mut Vec<Effect>,
    ) {
        match row {
            None => {
                self.remove(id);
            }
            Some(row) => {
                self.upsert(now, &row, effects);
                if let Some(viewer) = self.viewers.get_mut(id) {
                    viewer.confirmed = Some(now.mono);
                }
            }
        }
    }

    fn upsert(&mut self, now: Now, row: &Connection, effects: &mut Vec<Effect>) {
        if !self.options.place.serves(&row.id) {
            return;
        }
        let buried = self
            .tombs
            .get(&row.id)
            .is_some_and(|(at, until)| *at == row.connected_at && *until > now.mono);
        if buried {
            return;
        }
        let same = self
            .viewers
            .get(&row.id)
            .map(|viewer| viewer.connected_at == row.connected_at);
        match same {
            Some(true) => self.change(now, row),
            Some(false) => {
                // The id is used again: the new connection starts from nothing.
                self.remove(&row.id);
                self.come(now, row, effects);
            }
            None => self.come(now, row, effects),
        }
    }

    fn come(&mut self, now: Now, row: &Connection, effects: &mut Vec<Effect>) {
        if age::is_too_old(now.mono, row.connected_at.as_ref(), now) {
            self.bury(
                now,
                row.id.clone(),
                row.connected_at.clone(),
                Farewell::TooOld,
                effects,
            );
            return;
        }
        self.counter += 1;
        let mut viewer = Viewer::new(row, self.counter, &self.stock, &self.options, now);
        let room = self.viewers.len() < self.options.viewers_max;
        let entered = room
            && self
                .index
                .insert(&row.id, &viewer.sight, self.options.subscriptions_max)
                .is_ok();
        if !entered {
            self.counts.refused += 1;
            return;
        }
        if self.calls.contains_key(&row.id) {
            viewer.place = Place::Busy;
        }
        self.viewers.insert(row.id.clone(), viewer);
        self.widen(&row.id, None);
        self.arm(now, &row.id);
    }

    fn change(&mut self, now: Now, row: &Connection) {
        let Some(viewer) = self.viewers.get_mut(&row.id) else {
            return;
        };
        viewer.expires_at = row.expires_at;
        let sight = Sight::of(row);
        if viewer.sight == sight {
            return;
        }
        let before = std::mem::replace(&mut viewer.sight, sight.clone());
        // A window of another kind starts empty, so the snapshot has to cover what was owed.
        let restarted = before.is_everything() != sight.is_everything();
        if restarted {
            viewer.window = Window::new(&self.stock, &sight);
        }
        self.resting.remove(&row.id);
        self.index.remove(&row.id, &before);
        if self
            .index
            .insert(&row.id, &sight, self.options.subscriptions_max)
            .is_err()
        {
            self.counts.refused += 1;
            self.displace(&row.id);
            self.viewers.remove(&row.id);
            return;
        }
        self.widen(&row.id, (!restarted).then_some(&before));
        self.arm(now, &row.id);
    }

    /// Orders a snapshot of what a viewer sees and did not see before.
    fn widen(&mut self, id: &ConnectionId, before: Option<&Sight>) {
        let Some(viewer) = self.viewers.get_mut(id) else {
            return;
        };
        let unfinished = viewer.snapshot.take();
        let mut devices = match viewer.sight.exact() {
            None => None,
            Some(ids) => {
                let new: BTreeSet<DeviceId> = ids
                    .filter(|id| before.is_none_or(|before| !before.sees(id)))
                    .map(|id| DeviceId::from(id.as_str()))
                    .collect();
                if new.is_empty() {
                    viewer.snapshot = unfinished;
                    return;
                }
                Some(new)
            }
        };
        if let Some(devices) = &mut devices
            && let Some(more) = unfinished.and_then(Snapshot::into_devices)
        {
            devices.extend(more);
        }
        let max = self.options.snapshot_readings_max;
        self.counter += 1;
        let mut snapshot = Snapshot::new(&self.stock, &viewer.sight, devices, max, self.counter);
        snapshot.optional = !self.listed;
        viewer.snapshot = Some(snapshot);
    }

    /// Forgets a viewer and orders its row's deletion.
    pub(super) fn forget(
        &mut self,
        now: Now,
        id: &ConnectionId,
        why: Farewell,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(viewer) = self.remove(id) {
            self.bury(now, id.clone(), viewer.connected_at, why, effects);
        }
    }

    fn bury(
        &mut self,
        now: Now,
        id: ConnectionId,
        connected_at: Option<StoredTime>,
        why: Farewell,
        effects: &mut Vec<Effect>,
    ) {
        self.counts.forgotten += 1;
        self.tombs
            .insert(id.clone(), (connected_at.clone(), now.mono + TOMB));
        effects.push(Effect::Forget {
            id,
            connected_at,
            why,
        });
    }

    /// Takes a viewer off the books; a call under way ends by itself.
    fn remove(&mut self, id: &ConnectionId) -> Option<Viewer> {
        self.displace(id);
        let viewer = self.viewers.remove(id)?;
        self.index.remove(id, &viewer.sight);
        Some(viewer)
    }
}

/// Whether a list asked for then knows better than what was read of this row alone.
fn overrules(asked: Millis, viewer: &Viewer) -> bool {
    viewer
        .confirmed
        .is_none_or(|confirmed| confirmed + LAG <= asked)
}
