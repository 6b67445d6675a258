//! Names of measures, shared: the same dozen names stand in every record.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::DECODED_BYTES_MAX;

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
    /// Memory that the record's readings may still take.
    memory_left: usize,
    /// How many measures the last reading had: the next will have as many.
    measures: usize,
}

impl Names {
    /// A record of so many bytes begins.
    pub(super) fn begin(&mut self, payload: usize) {
        self.left = payload
            .saturating_mul(EXPANSION_MAX)
            .saturating_add(EXPANSION_FREE);
        self.memory_left = DECODED_BYTES_MAX;
    }

    /// Takes account of memory that a reading takes.
    ///
    /// # Errors
    /// The record's readings take too much.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), String> {
        self.memory_left = self.memory_left.checked_sub(bytes).ok_or_else(|| {
            format!(
                "its readings take more than {DECODED_BYTES_MAX} bytes of memory: send it in parts"
            )
        })?;
        Ok(())
    }

    /// How many measures a reading is likely to have.
    pub(super) fn measures_expected(&self) -> usize {
        self.measures
    }

    pub(super) fn expect_measures(&mut self, measures: usize) {
        self.measures = measures;
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

    /// The shared form of a name. It is charged whether it is remembered or not.
    ///
    /// # Errors
    /// The record's readings take too much.
    pub(super) fn share(&mut self, name: &str) -> Result<Arc<str>, String> {
        self.charge(name.len())?;
        if let Some(known) = self.known.get(name) {
            return Ok(Arc::clone(known));
        }
        let shared: Arc<str> = Arc::from(name);
        if self.known.len() < NAMES_MAX && self.bytes + name.len() <= BYTES_MAX {
            self.bytes += name.len();
            self.known.insert(Arc::clone(&shared));
        }
        Ok(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_bytes() {
        let mut names = Names::default();
        names.begin(0);
        names.share(&"n".repeat(BYTES_MAX + 1)).unwrap();
        assert_eq!(names.known.len(), 0);
        (0..2 * NAMES_MAX).for_each(|name| drop(names.share(&name.to_string()).unwrap()));
        assert!(names.known.len() <= NAMES_MAX && names.bytes <= BYTES_MAX);
        assert!(Arc::ptr_eq(
            &names.share("1").unwrap(),
            &names.share("1").unwrap()
        ));
    }
}
