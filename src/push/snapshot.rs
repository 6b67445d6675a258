//! What a viewer is shown when it subscribes.

use std::collections::BTreeSet;

use super::frame::Filling;
use super::index::Sight;
use super::latest::Latest;
use super::part::Part;
use super::window::{Stock, pour};
use crate::model::DeviceId;

/// What a viewer is shown when it subscribes: the latest of each device, as far as known.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Tells it from an earlier one, of which a frame may still be under way.
    pub number: u64,
    shown: u64,
    /// The number up to which it tells; what changes after is news.
    pub(super) until: u64,
    /// A frame of it was accepted: `until` stays from now on.
    begun: bool,
    /// Absent: whatever the viewer sees.
    pub(super) devices: Option<BTreeSet<DeviceId>>,
    /// More was known than one snapshot may carry.
    pub capped: bool,
    /// Not worth a frame where nothing is known: the viewer was there before we were.
    pub optional: bool,
}

impl Snapshot {
    /// Of these devices (absent: all that `sight` sees), at most `readings_max` readings.
    #[must_use]
    pub fn new(
        stock: &Stock,
        sight: &Sight,
        devices: Option<BTreeSet<DeviceId>>,
        readings_max: usize,
        number: u64,
    ) -> Self {
        let mut snapshot = Self {
            number,
            begun: false,
            shown: 0,
            until: stock.latest.head(),
            devices,
            capped: false,
            optional: false,
        };
        let seen: Vec<u64> = snapshot
            .parts(stock)
            .into_iter()
            .filter(|(_, part)| sight.sees(part.device().as_str()))
            .map(|(number, _)| number)
            .collect();
        if let Some(cut) = seen.len().checked_sub(readings_max).filter(|cut| *cut > 0) {
            snapshot.shown = seen[cut - 1];
            snapshot.capped = true;
        }
        snapshot
    }

    /// Fills a frame, the first with what is known by then; the number as in [`Window::fill`](super::window::Window::fill).
    #[must_use]
    pub fn fill<'a>(&mut self, stock: &'a Stock, sight: &Sight, frame: &mut Filling<'a>) -> u64 {
        if !self.begun {
            self.until = stock.latest.head();
        }
        pour(self.parts(stock).into_iter(), self.until, sight, frame)
    }

    /// A frame up to this number was accepted; true where it was the last.
    pub fn shown(&mut self, up_to: u64) -> bool {
        self.shown = self.shown.max(up_to);
        self.begun = true;
        self.is_last(up_to)
    }

    /// Whether a frame up to this number is the last.
    #[must_use]
    pub fn is_last(&self, up_to: u64) -> bool {
        up_to >= self.until
    }

    /// The devices it is still about, for a wider one to take over.
    pub fn into_devices(self) -> Option<BTreeSet<DeviceId>> {
        self.devices
    }

    fn parts<'a>(&self, stock: &'a Stock) -> Vec<(u64, &'a Part)> {
        match &self.devices {
            Some(devices) => parts_of(&stock.latest, devices, self.shown, self.until),
            None => stock.latest.between(self.shown, self.until).collect(),
        }
    }
}

fn parts_of<'a>(
    latest: &'a Latest,
    devices: &BTreeSet<DeviceId>,
    after: u64,
    until: u64,
) -> Vec<(u64, &'a Part)> {
    let mut numbers: Vec<u64> = devices
        .iter()
        .flat_map(|device| latest.numbers(device))
        .copied()
        .filter(|number| *number > after && *number <= until)
        .collect();
    numbers.sort_unstable();
    numbers
        .into_iter()
        .filter_map(|number| Some((number, latest.get(number)?)))
        .collect()
}
