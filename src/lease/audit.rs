//! The hash space that leases cover: holes in it mean records that nobody reads.
//!
//! KCL's `PeriodicShardSyncManager` looks every two minutes, on its leader, and acts on a hole it
//! saw three times. Every worker of ours looks at each scan; since scans may be stale, a hole
//! counts once it was the same in several, and the stream's listing has the last word.

use super::row::Row;

/// A part of the hash space, first and last key.
pub type Range = (u128, u128);

/// In how many scans a hole must be the same. A row is missing for a second at most in stale ones.
pub const HOLE_SCANS: u8 = 5;

/// The hash keys of a lease; `None` for rows of old KCL versions, which lack them.
#[must_use]
pub fn range_of(row: &Row) -> Option<Range> {
    let (first, last) = row.hash_range.as_ref()?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The parts of 0 to 2^128 - 1 that none of these ranges covers.
#[must_use]
pub fn holes(covered: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut covered: Vec<_> = covered.collect();
    covered.sort_unstable();
    let mut holes = Vec::new();
    let mut next = Some(0_u128);
    for (first, last) in covered {
        let Some(from) = next else { break };
        if first > from {
            holes.push((from, first - 1));
        }
        next = last.checked_add(1).map(|after| after.max(from));
    }
    holes.extend(next.map(|from| (from, u128::MAX)));
    holes
}

/// What was seen of holes so far.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    hole: Option<Range>,
    scans: u8,
}

impl Audit {
    /// Takes note of a scan's first hole; answers with it once it was seen often enough, and then
    /// again after as many scans more. A hole that shifts is counted anew.
    pub fn look(&mut self, hole: Option<Range>) -> Option<Range> {
        if hole.is_none() || hole != self.hole {
            *self = Self { hole, scans: 0 };
        }
        self.scans += u8::from(hole.is_some());
        if self.scans < HOLE_SCANS {
            return None;
        }
        self.scans = 0;
        hole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_is_left_over() {
        let all = (0, u128::MAX);
        assert_eq!(holes([all].into_iter()), []);
        assert_eq!(holes([].into_iter()), [all]);
        assert_eq!(holes([(0, 9), (5, 19)].into_iter()), [(20, u128::MAX)]);
        let three = [(10, 19), (40, u128::MAX), (15, 18)];
        assert_eq!(holes(three.into_iter()), [(0, 9), (20, 39)]);
    }

    #[test]
    fn a_hole_counts_once_it_was_the_same_in_five_scans() {
        let mut audit = Audit::default();
        let mut looks = |hole| (0..4).all(|_| audit.look(hole).is_none());
        assert!(looks(Some((1, 2))), "seen too seldom");
        assert!(looks(Some((1, 3))), "it shifted");
        assert!(looks(None), "it closed");
        assert!(looks(Some((1, 2))));
        assert_eq!(audit.look(Some((1, 2))), Some((1, 2)));
        assert_eq!(audit.look(Some((1, 2))), None, "told, and counted anew");
    }
}
