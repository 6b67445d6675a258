//! What only one request of a lane may hold at a time.

use std::collections::BTreeMap;

use super::super::unit::{FlightId, Prepared};
use crate::model::RowKey;

/// What that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Keyed {
    /// A row of this store: two values for one row must not race.
    Rows(usize),
    /// Nothing: a queue keeps whatever it gets.
    Nothing,
}

/// The rows under way, and in which request.
#[derive(Debug)]
pub(super) struct Rows {
    keyed: Keyed,
    taken: BTreeMap<RowKey, FlightId>,
}

impl Rows {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self {
            keyed,
            taken: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The request that holds this reading's row.
    pub(super) fn holder(&self, prepared: &Prepared) -> Option<FlightId> {
        self.taken.get(self.row(prepared)?).copied()
    }

    pub(super) fn claim(&mut self, prepared: &Prepared, by: FlightId) {
        if let Some(row) = self.row(prepared) {
            self.taken.insert(row.clone(), by);
        }
    }

    pub(super) fn release(&mut self, prepared: &Prepared) {
        if let Keyed::Rows(store) = self.keyed
            && let Some(there) = prepared.stores.get(store)
        {
            self.taken.remove(&there.row);
        }
    }

    /// Whether both land on one row.
    pub(super) fn are_one(&self, one: &Prepared, other: &Prepared) -> bool {
        self.row(one)
            .is_some_and(|row| Some(row) == self.row(other))
    }

    fn row<'a>(&self, prepared: &'a Prepared) -> Option<&'a RowKey> {
        match self.keyed {
            Keyed::Rows(store) => prepared.stores.get(store).map(|there| &there.row),
            Keyed::Nothing => None,
        }
    }
}
