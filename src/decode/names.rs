//! Names of measures, shared: the same dozen names stand in every record.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Timestream takes 1,024 measures a table; a sender of random names must not fill memory.
const NAMES_MAX: usize = 4_096;

/// Names seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: BTreeSet<Arc<str>>,
}

impl Names {
    /// The shared form of a name.
    pub(super) fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = Arc::from(name);
        if self.known.len() < NAMES_MAX {
            self.known.insert(Arc::clone(&shared));
        }
        shared
    }
}
