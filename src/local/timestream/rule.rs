//! The decisions about one valid record: which store takes it, and what an equal key means.
//!
//! The texts are those that callers of AWS report; no enumeration of them is published, so callers
//! match on their words.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// How far ahead of the clock a record may be.
const AHEAD_NS: i64 = 15 * 60 * 1_000_000_000;
const HOUR_NS: i64 = 3_600 * 1_000_000_000;

/// Two contents for one key and no higher version.
pub(super) const SAME_KEY: &str = "A record already exists with the same time, dimensions, measure \
     name, and record version. A higher record version must be specified in order to update the \
     measure value. Specifying record version is supported by the latest SDKs.";

/// How far back a table takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Hours of the memory store; absent: it takes any past time.
    pub(super) memory_hours: Option<i64>,
    /// Days of the magnetic store; absent: writes to it are off.
    pub(super) magnetic_days: Option<i64>,
}

/// Where a record goes by its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Magnetic,
    Outside(String),
}

/// Decides by the record's time alone.
pub(super) fn place(time_ns: i64, now_ns: i64, window: Window) -> Place {
    let until = now_ns.saturating_add(AHEAD_NS);
    let back = |hours: i64| now_ns.saturating_sub(hours.saturating_mul(HOUR_NS));
    let memory = window.memory_hours.map_or(i64::MIN, back);
    let magnetic = window
        .magnetic_days
        .map(|days| back(days.saturating_mul(24)).min(memory));
    if (memory..until).contains(&time_ns) {
        return Place::Memory;
    }
    if magnetic.is_some_and(|since| (since..until).contains(&time_ns)) {
        return Place::Magnetic;
    }
    let (since, store) = match magnetic {
        Some(since) => (since, "data ingestion window"),
        None => (memory, "memory store"),
    };
    Place::Outside(format!(
        "The record timestamp is outside the time range [{}, {}) of the {store}.",
        instant(since),
        instant(until)
    ))
}

fn instant(ns: i64) -> String {
    let instant = DateTime::from_millis(ns.div_euclid(1_000_000));
    instant
        .fmt(Format::DateTime)
        .unwrap_or_else(|_| ns.to_string())
}

/// What becomes of a record whose key is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Same content: accepted, and the higher of the two versions stands.
    Accept(i64),
    /// Other content under a higher version.
    Replace,
    Refuse {
        reason: String,
        existing_version: Option<i64>,
    },
}

/// Decides between what is stored and what comes; `same` says whether the contents are equal, the
/// set of measures included.
pub(super) fn settle(existing_version: i64, same: bool, version: i64) -> Settled {
    if same {
        return Settled::Accept(existing_version.max(version));
    }
    if version > existing_version {
        return Settled::Replace;
    }
    if version == existing_version {
        return Settled::Refuse {
            reason: SAME_KEY.to_owned(),
            existing_version: None,
        };
    }
    Settled::Refuse {
        reason: format!(
            "The record version {version} is lower than the existing version {existing_version}. \
             A higher version is required to update the measure value."
        ),
        existing_version: Some(existing_version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000_000_000;
    const OPEN: Window = Window {
        memory_hours: None,
        magnetic_days: None,
    };
    const AWS: Window = Window {
        memory_hours: Some(6),
        magnetic_days: Some(30),
    };

    #[test]
    fn an_unbounded_memory_store_takes_any_past_and_no_far_future() {
        assert_eq!(place(0, NOW, OPEN), Place::Memory);
        assert_eq!(place(NOW + AHEAD_NS - 1, NOW, OPEN), Place::Memory);
        let Place::Outside(reason) = place(NOW + AHEAD_NS, NOW, OPEN) else {
            panic!("16 minutes ahead is taken");
        };
        assert!(
            reason.ends_with(", 2027-01-15T08:15:00Z) of the memory store."),
            "{reason}"
        );
    }

    #[test]
    fn old_records_go_to_the_magnetic_store_or_nowhere() {
        let seven_hours_ago = NOW - 7 * HOUR_NS;
        assert_eq!(place(seven_hours_ago, NOW, AWS), Place::Magnetic);
        assert_eq!(place(NOW - 6 * HOUR_NS, NOW, AWS), Place::Memory);
        let off = Window {
            magnetic_days: None,
            ..AWS
        };
        let Place::Outside(reason) = place(seven_hours_ago, NOW, off) else {
            panic!("taken although magnetic writes are off");
        };
        assert!(reason.contains("[2027-01-15T02:00:00Z, 2027-01-15T08:15:00Z) of the memory"));
        let Place::Outside(reason) = place(NOW - 31 * 24 * HOUR_NS, NOW, AWS) else {
            panic!("taken although older than the magnetic store");
        };
        assert!(
            reason.ends_with("of the data ingestion window."),
            "{reason}"
        );
    }

    #[test]
    fn versions_decide_between_two_contents_only() {
        assert_eq!(settle(7, true, 1), Settled::Accept(7));
        assert_eq!(settle(7, true, 9), Settled::Accept(9));
        assert_eq!(settle(7, false, 8), Settled::Replace);
        let Settled::Refuse {
            reason,
            existing_version: None,
        } = settle(7, false, 7)
        else {
            panic!("an equal version replaces");
        };
        assert_eq!(reason, SAME_KEY);
        let Settled::Refuse {
            reason,
            existing_version: Some(7),
        } = settle(7, false, 2)
        else {
            panic!("a lower version replaces, or the existing one is not named");
        };
        assert!(reason.starts_with("The record version 2 is lower than the existing version 7."));
    }
}
