//! How many names this process has written to the table: it can hold only so many, for ever.

use std::collections::BTreeSet;

/// Distinct `measure_name` values a table holds (AWS: Timestream quotas).
const MEASURE_NAMES_MAX: usize = 8192;
/// Distinct measures of MULTI records a table holds (AWS: Timestream quotas).
const MEASURES_MAX: usize = 1024;

/// Names seen. Both sets stop growing at their limit, and with it the memory (2.4 MB at most).
#[derive(Debug, Default)]
pub(super) struct Names {
    measure_names: Counted,
    measures: Counted,
}

/// A table's limit of which 80 % are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nearly {
    pub(super) kind: &'static str,
    pub(super) seen: usize,
    pub(super) limit: usize,
}

impl Names {
    /// Notes the names of a batch; returns the limits whose 80 % it has just reached.
    pub(super) fn note<'a>(
        &mut self,
        measure_names: impl Iterator<Item = &'a str>,
        measures: impl Iterator<Item = &'a str>,
    ) -> Vec<Nearly> {
        let names = self
            .measure_names
            .note("measure_name", MEASURE_NAMES_MAX, measure_names);
        let measures = self.measures.note("measure", MEASURES_MAX, measures);
        names.into_iter().chain(measures).collect()
    }

    #[cfg(test)]
    fn seen(&self) -> (usize, usize) {
        (self.measure_names.seen.len(), self.measures.seen.len())
    }
}

#[derive(Debug, Default)]
struct Counted {
    seen: BTreeSet<Box<str>>,
    warned: bool,
}

impl Counted {
    fn note<'a>(
        &mut self,
        kind: &'static str,
        limit: usize,
        names: impl Iterator<Item = &'a str>,
    ) -> Option<Nearly> {
        for name in names {
            if self.seen.len() < limit && !self.seen.contains(name) {
                self.seen.insert(name.into());
            }
        }
        let seen = self.seen.len();
        if self.warned || seen < limit / 5 * 4 {
            return None;
        }
        self.warned = true;
        Some(Nearly { kind, seen, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_warns_once_at_four_fifths() {
        let mut names = Names::default();
        let many: Vec<String> = (0..1024).map(|i| format!("m{i}")).collect();
        let some = |count: usize| many.iter().take(count).map(String::as_str);
        assert_eq!(names.note([].into_iter(), some(815)), []);
        let warned = names.note([].into_iter(), some(820));
        assert_eq!(warned.len(), 1);
        assert_eq!(warned[0].kind, "measure");
        assert_eq!(
            names.note(some(1024), some(1024)),
            [],
            "said once; 1,024 names are few"
        );
        assert_eq!(names.seen(), (1024, 1024));
    }
}
