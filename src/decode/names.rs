//! Names of measures, shared: the same dozen names stand in every record.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Timestream takes 1,024 measures a table; a sender of random names must not fill memory.
const NAMES_MAX: usize = 4_096;

/// Bytes of all names remembered, for the same reason: each shard's decoder remembers its own.
const BYTES_MAX: usize = 64 * 1024;

/// Flattened names may take this many times the bytes of their payload. A name that stands once
/// is repeated in that of everything below it: a record of a megabyte could otherwise become
/// hundreds of gigabytes. Names of a hundred bytes over arrays of short numbers stay within.
const EXPANSION_MAX: usize = 32;

/// What small payloads may take besides.
const EXPANSION_FREE: usize = 4 * 1024;

/// Names seen so far, and how much the names of the record at hand may still take.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: BTreeSet<Arc<str>>,
    bytes: usize,
    left: usize,
}

impl Names {
    /// A record of so many bytes begins.
    pub(super) fn begin(&mut self, payload: usize) {
        self.left = payload
            .saturating_mul(EXPANSION_MAX)
            .saturating_add(EXPANSION_FREE);
    }

    /// Takes account of a flattened name, remembered or not: what is said about a record does not
    /// depend on others.
    ///
    /// # Errors
    /// The record's names take too much.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            format!("its nested names, written out, take over {EXPANSION_MAX} times its size")
        })?;
        Ok(())
    }

    /// The shared form of a name.
    pub(super) fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = Arc::from(name);
        if self.known.len() < NAMES_MAX && self.bytes + name.len() <= BYTES_MAX {
            self.bytes += name.len();
            self.known.insert(Arc::clone(&shared));
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_bytes() {
        let mut names = Names::default();
        names.share(&"n".repeat(BYTES_MAX + 1));
        assert_eq!(names.known.len(), 0);
        (0..2 * NAMES_MAX).for_each(|name| drop(names.share(&name.to_string())));
        assert!(names.known.len() <= NAMES_MAX && names.bytes <= BYTES_MAX);
        assert!(Arc::ptr_eq(&names.share("1"), &names.share("1")));
    }
}
