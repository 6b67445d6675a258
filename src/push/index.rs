//! Who wants which device. Finding a reading's viewers costs by how many there are, not by how many
//! viewers exist: exact ids and prefixes are looked up, never tried one after another.

use std::collections::{BTreeMap, BTreeSet};

use super::permit::{ANY_SUFFIX, common, permits};
use crate::model::{Connection, ConnectionId, DeviceId, Wanted};

/// What one viewer may and wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    wanted: Wanted,
    /// What the patterns among the wanted begin with.
    prefixes: Vec<String>,
    allowed: Option<Vec<String>>,
}

impl Sight {
    /// As a row says.
    #[must_use]
    pub fn of(row: &Connection) -> Self {
        let prefixes = match &row.wanted {
            Wanted::All => Vec::new(),
            Wanted::Devices(ids) => ids
                .iter()
                .filter_map(|id| id.strip_suffix(ANY_SUFFIX))
                .map(str::to_owned)
                .collect(),
        };
        Self {
            wanted: row.wanted.clone(),
            prefixes,
            allowed: row.allowed.clone(),
        }
    }

    /// Whether it wants this device and may see it.
    #[must_use]
    pub fn sees(&self, device: &str) -> bool {
        let wants = match &self.wanted {
            Wanted::All => true,
            Wanted::Devices(ids) => {
                ids.contains(device) || self.prefixes.iter().any(|begin| device.starts_with(begin))
            }
        };
        wants && self.may_see(device)
    }

    fn may_see(&self, device: &str) -> bool {
        permits(self.allowed.as_deref(), device)
    }

    /// Whether it is every device there is or will be.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.wanted == Wanted::All
            && self
                .allowed
                .as_ref()
                .is_none_or(|patterns| patterns.iter().any(|p| p == "*"))
    }

    /// The exact ids in it, where it consists of them.
    #[must_use]
    pub fn exact(&self) -> Option<impl Iterator<Item = &String>> {
        match &self.wanted {
            Wanted::Devices(ids) if self.prefixes.is_empty() => {
                Some(ids.iter().filter(|id| self.may_see(id)))
            }
            _ => None,
        }
    }

    /// The keys it stands under in the index.
    fn keys(&self) -> Vec<Key> {
        if self.is_everything() {
            return vec![Key::Everything];
        }
        match (&self.wanted, &self.allowed) {
            (Wanted::Devices(ids), None) => ids.iter().map(|id| Key::of(id)).collect(),
            (Wanted::Devices(ids), Some(rights)) => {
                let pairs = ids
                    .iter()
                    .flat_map(|id| rights.iter().map(move |right| (right, id)));
                let both = pairs.filter_map(|(right, id)| common(right, id));
                both.map(Key::of).collect()
            }
            (Wanted::All, None) => vec![Key::Everything],
            (Wanted::All, Some(rights)) => rights.iter().map(|right| Key::of(right)).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Everything,
    Device(DeviceId),
    Prefix(String),
}

impl Key {
    fn of(entry: &str) -> Self {
        match entry.strip_suffix(ANY_SUFFIX) {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Device(DeviceId::from(entry)),
        }
    }
}

/// The index is full: the row stays unserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Viewers by what they see.
#[derive(Debug, Default)]
pub struct Index {
    everything: BTreeSet<ConnectionId>,
    devices: BTreeMap<DeviceId, BTreeSet<ConnectionId>>,
    prefixes: BTreeMap<String, BTreeSet<ConnectionId>>,
    /// How many prefixes there are of each length in bytes.
    lengths: BTreeMap<usize, usize>,
    subscriptions: usize,
}

impl Index {
    /// Enters a viewer; the same sight must be handed to [`Index::remove`].
    ///
    /// # Errors
    ///
    /// [`Full`] where `subscriptions_max` entries would be exceeded; nothing is entered then.
    pub fn insert(
        &mut self,
        id: &ConnectionId,
        sight: &Sight,
        subscriptions_max: usize,
    ) -> Result<(), Full> {
        let keys = sight.keys();
        if self.subscriptions + keys.len() > subscriptions_max {
            return Err(Full);
        }
        for key in keys {
            let fresh = match key {
                Key::Everything => self.everything.insert(id.clone()),
                Key::Device(device) => self.devices.entry(device).or_default().insert(id.clone()),
                Key::Prefix(prefix) => {
                    let length = prefix.len();
                    let viewers = self.prefixes.entry(prefix).or_default();
                    if viewers.is_empty() {
                        *self.lengths.entry(length).or_default() += 1;
                    }
                    viewers.insert(id.clone())
                }
            };
            self.subscriptions += usize::from(fresh);
        }
        Ok(())
    }

    /// Takes a viewer out.
    pub fn remove(&mut self, id: &ConnectionId, sight: &Sight) {
        for key in sight.keys() {
            let was_there = match key {
                Key::Everything => self.everything.remove(id),
                Key::Device(device) => take_out(&mut self.devices, &device, id).0,
                Key::Prefix(prefix) => {
                    let (was_there, last) = take_out(&mut self.prefixes, &prefix, id);
                    if last && let Some(count) = self.lengths.get_mut(&prefix.len()) {
                        *count -= 1;
                        if *count == 0 {
                            self.lengths.remove(&prefix.len());
                        }
                    }
                    was_there
                }
            };
            self.subscriptions -= usize::from(was_there);
        }
    }

    /// Viewers who see everything; the same for each device.
    #[cfg(test)]
    pub(super) fn everything(&self) -> &BTreeSet<ConnectionId> {
        &self.everything
    }

    /// Viewers who see this device without seeing everything; one can come twice.
    pub fn of<'a>(&'a self, device: &'a DeviceId) -> impl Iterator<Item = &'a ConnectionId> {
        let by_prefix = self.lengths.keys().filter_map(|length| {
            let prefix = device.as_str().get(..*length)?;
            self.prefixes.get(prefix)
        });
        self.devices
            .get(device)
            .into_iter()
            .chain(by_prefix)
            .flatten()
    }

    /// Entries in all.
    #[cfg(test)]
    pub(super) fn subscriptions(&self) -> usize {
        self.subscriptions
    }
}

/// Whether the viewer stood under the key, and whether it was the last to.
fn take_out<K: Ord>(
    map: &mut BTreeMap<K, BTreeSet<ConnectionId>>,
    key: &K,
    id: &ConnectionId,
) -> (bool, bool) {
    let Some(viewers) = map.get_mut(key) else {
        return (false, false);
    };
    let was_there = viewers.remove(id);
    let last = viewers.is_empty();
    if last {
        map.remove(key);
    }
    (was_there, last)
}
