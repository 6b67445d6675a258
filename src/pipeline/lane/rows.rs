//! What only one request of a lane may hold at a time.

use std::collections::BTreeMap;

use super::super::unit::{FlightId, Prepared};

/// What that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Keyed {
    /// A row of this store: two values for one row must not race.
    Rows(usize),
    /// A device's reading: a FIFO queue may take a later entry of a request and not an earlier
    /// one, so that a device has one at a time.
    Devices,
    /// Nothing: a standard queue keeps no order.
    Nothing,
}

/// The rows under way, and in which request.
#[derive(Debug)]
pub(super) struct Rows {
    keyed: Keyed,
    taken: BTreeMap<Box<[u8]>, FlightId>,
}

impl Rows {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self {
            keyed,
            taken: BTreeMap::new(),
        }
    }

    /// The request that holds this reading's row.
    pub(super) fn holder(&self, prepared: &Prepared) -> Option<FlightId> {
        self.taken.get(row(self.keyed, prepared)?).copied()
    }

    pub(super) fn claim(&mut self, prepared: &Prepared, by: FlightId) {
        if let Some(row) = row(self.keyed, prepared) {
            self.taken.insert(row.into(), by);
        }
    }

    pub(super) fn release(&mut self, prepared: &Prepared) {
        if let Some(row) = row(self.keyed, prepared) {
            self.taken.remove(row);
        }
    }

    /// Whether of two readings that say the same for one row one is enough.
    pub(super) fn are_shared(&self) -> bool {
        matches!(self.keyed, Keyed::Rows(_)) && !self.taken.is_empty()
    }

    /// Whether both land on one row.
    pub(super) fn are_one(&self, one: &Prepared, other: &Prepared) -> bool {
        let of = |prepared| row(self.keyed, prepared);
        of(one).is_some_and(|row| Some(row) == of(other))
    }
}

fn row(keyed: Keyed, prepared: &Prepared) -> Option<&[u8]> {
    match keyed {
        Keyed::Rows(store) => prepared.for_store(store).map(|there| &*there.row.0),
        Keyed::Devices => Some(prepared.reading.device.as_str().as_bytes()),
        Keyed::Nothing => None,
    }
}
