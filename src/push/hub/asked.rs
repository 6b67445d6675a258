//! How often one viewer's row is read because it was said to have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{ConnectionId, Millis};

/// Reads of one row within [`SPAN`] that are done at once. To connect, and to subscribe to one
/// thing after another by hand, takes fewer.
const READS_MAX: u32 = 5;

/// A viewer that changes its mind more often waits for the end of this. Each change can cost a
/// snapshot of everything, which one client could otherwise order hundreds of times a second.
const SPAN: Duration = Duration::from_secs(1);

/// Rows said to have changed.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// When a row's span began, and its reads since.
    spans: BTreeMap<ConnectionId, (Millis, u32)>,
    put_off: BTreeSet<(Millis, ConnectionId)>,
}

impl Asked {
    /// Whether the row is to be read now; else it is once its span is over, however often it is
    /// asked for until then.
    pub(super) fn now(&mut self, id: &ConnectionId, now: Millis) -> bool {
        let (began, reads) = self.spans.entry(id.clone()).or_insert((now, 0));
        if now.since(*began) >= SPAN {
            (*began, *reads) = (now, 0);
        }
        if *reads < READS_MAX {
            *reads += 1;
            return true;
        }
        self.put_off.insert((*began + SPAN, id.clone()));
        false
    }

    /// The next row that was put off and is due.
    pub(super) fn due(&mut self, now: Millis) -> Option<ConnectionId> {
        self.put_off.first().filter(|(at, _)| *at <= now)?;
        let (_, id) = self.put_off.pop_first()?;
        self.spans.insert(id.clone(), (now, 1));
        Some(id)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.put_off.first().map(|(at, _)| *at)
    }

    /// Forgets spans that are over.
    pub(super) fn forget(&mut self, now: Millis) {
        self.spans.retain(|_, (began, _)| now.since(*began) < SPAN);
    }
}
