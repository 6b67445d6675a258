//! What waits at a lane, and what bounds the requests it leaves in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::super::unit::{Prepared, Unit};
use super::rows::Keyed;
use crate::model::Millis;

/// What bounds a request.
#[derive(Clone, Debug)]
pub(in super::super) struct Limits {
    pub(in super::super) items_max: usize,
    /// Sum of the items' message forms at a queue, of the memory they take at a store.
    pub(in super::super) bytes_max: usize,
    pub(in super::super) window: Duration,
    pub(in super::super) requests_max: usize,
    /// What of a reading only one request may hold at a time.
    pub(in super::super) keyed: Keyed,
}

/// One shard's readings that have not left yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) items: VecDeque<Item>,
    /// Of all items.
    pub(super) bytes: usize,
    /// A request under way holds readings of this shard.
    pub(super) busy: bool,
    /// Send at once: the shard is to be handed back, or has ended.
    pub(super) urgent: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) unit: Unit,
    pub(super) since: Millis,
    pub(super) prepared: Arc<Prepared>,
    /// What it counts toward a request's bytes.
    pub(super) bytes: usize,
}

impl Limits {
    pub(super) fn weight(&self, prepared: &Prepared) -> usize {
        match self.keyed {
            Keyed::Rows(_) => prepared.bytes(),
            Keyed::Devices | Keyed::Nothing => prepared.live.len() + 1,
        }
    }
}

impl Waiting {
    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push_back(item);
    }

    pub(super) fn pop(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.bytes -= item.bytes;
        }
    }
}
