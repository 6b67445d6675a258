//! The newest of every device's measures.
//!
//! Each change gets a number. A device's known measures are spread over the readings they came
//! with, each measure in exactly one of them, so that two readings of one instant with different
//! measures both stand, and an older value never replaces a newer one.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::part::Part;
use crate::model::DeviceId;

/// Readings that one device's measures may be spread over: each series (set of dimensions) and each
/// set of measures takes one. Over it the one changed longest ago is dropped.
pub const PARTS_PER_DEVICE_MAX: usize = 64;

/// Latest values, by number of change and by device.
#[derive(Debug)]
pub struct Latest {
    parts: BTreeMap<u64, Part>,
    devices: BTreeMap<DeviceId, Vec<u64>>,
    bytes: usize,
    devices_max: usize,
    bytes_max: usize,
    head: u64,
    evicted: u64,
}

impl Latest {
    /// Nothing known yet, within these bounds.
    #[must_use]
    pub fn new(devices_max: usize, bytes_max: usize) -> Self {
        Self {
            parts: BTreeMap::new(),
            devices: BTreeMap::new(),
            bytes: 0,
            devices_max,
            bytes_max,
            head: 0,
            evicted: 0,
        }
    }

    /// Takes a reading in; false where it says nothing newer than what is known.
    pub fn apply(&mut self, mut part: Part) -> bool {
        let device = part.device().clone();
        let numbers = self.devices.get(&device).cloned().unwrap_or_default();
        for number in numbers {
            let Some(known) = self.parts.get_mut(&number) else {
                continue;
            };
            if !known.same_series(&part) {
                continue;
            }
            let weight = known.weight();
            known.settle_with(&mut part);
            let now_empty = known.is_empty();
            self.bytes = self.bytes + known.weight() - weight;
            if now_empty {
                self.remove(number);
            }
        }
        if part.is_empty() {
            return false;
        }
        self.head += 1;
        self.bytes += part.weight();
        self.parts.insert(self.head, part);
        let numbers = self.devices.entry(device).or_default();
        numbers.push(self.head);
        if numbers.len() > PARTS_PER_DEVICE_MAX {
            let oldest = numbers[0];
            self.evict(oldest);
        }
        self.keep_bounds();
        true
    }

    fn keep_bounds(&mut self) {
        while self.devices.len() > self.devices_max || self.bytes > self.bytes_max {
            let Some((&oldest, _)) = self.parts.first_key_value() else {
                return;
            };
            self.evict(oldest);
        }
    }

    fn evict(&mut self, number: u64) {
        self.remove(number);
        self.evicted += 1;
    }

    fn remove(&mut self, number: u64) {
        let Some(part) = self.parts.remove(&number) else {
            return;
        };
        self.bytes -= part.weight();
        if let Some(numbers) = self.devices.get_mut(part.device()) {
            numbers.retain(|n| *n != number);
            if numbers.is_empty() {
                self.devices.remove(part.device());
            }
        }
    }

    /// The number of the last change; 0 before the first.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Changes after `after`, up to and with `until`, in order.
    pub fn between(&self, after: u64, until: u64) -> impl Iterator<Item = (u64, &Part)> {
        let start = after.saturating_add(1);
        let end = until.saturating_add(1).max(start);
        self.parts
            .range(start..end)
            .map(|(number, part)| (*number, part))
    }

    /// The numbers under which a device's measures stand, ascending.
    #[must_use]
    pub fn numbers(&self, device: &DeviceId) -> &[u64] {
        self.devices.get(device).map_or(&[], Vec::as_slice)
    }

    /// All readings in the order of devices, then numbers, from this device on.
    pub fn by_device(&self, from: Option<&DeviceId>) -> impl Iterator<Item = (u64, &Part)> {
        let start = from.map_or(Bound::Unbounded, Bound::Included);
        self.devices
            .range::<DeviceId, _>((start, Bound::Unbounded))
            .flat_map(|(_, numbers)| numbers)
            .filter_map(|number| Some((*number, self.parts.get(number)?)))
    }

    /// One reading by number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Part> {
        self.parts.get(&number)
    }

    /// Devices known.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Bytes taken, as estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Readings dropped because a bound was reached.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}
