//! How old a row is, from a `connected_at` that anybody may have written.

use std::time::Duration;

use super::Now;
use crate::model::calendar::{self, Zone};
use crate::model::{EpochMillis, Millis, StoredTime};

/// A post in a connection's first moments can meet a 410, because the connection opens only once
/// the `$connect` integration has answered.
pub const YOUNG: Duration = Duration::from_secs(10);

/// API Gateway ends a connection after two hours; five minutes allow for wrong clocks.
pub const OLDEST: Duration = Duration::from_secs(2 * 3600 + 5 * 60);

/// How wrong the clock may be that stamped `connected_at` before a row counts as no longer young.
pub const CLOCK_ERROR: Duration = Duration::from_secs(120);

/// The year 2001 in seconds: numbers below are no times.
const SANE_SECONDS_MIN: i64 = 978_307_200;

/// A stored time, and whether its zone is beyond doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The instant.
    pub at: EpochMillis,
    /// Numbers and texts with a zone are sure; a text without one may be anybody's local time.
    pub sure: bool,
}

/// What `connected_at` says: seconds or milliseconds since the epoch as number or digits, or ISO
/// 8601 text. `None` for what is none of these.
#[must_use]
pub fn stamp(stored: &StoredTime) -> Option<Stamp> {
    match stored {
        StoredTime::Number(text) => number(text),
        StoredTime::Text(text) => number(text).or_else(|| iso(text)),
    }
}

fn number(text: &str) -> Option<Stamp> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let value: i64 = whole.parse().ok()?;
    let millis = match value {
        v if v < SANE_SECONDS_MIN => return None,
        v if v < 100_000_000_000 => v.checked_mul(1000)?,
        v if v < 100_000_000_000_000 => v,
        v if v < 100_000_000_000_000_000 => v / 1000,
        v => v / 1_000_000,
    };
    Some(Stamp {
        at: EpochMillis(millis),
        sure: true,
    })
}

/// ISO 8601 text, with or without its zone, some writers' comma before the fraction allowed.
fn iso(text: &str) -> Option<Stamp> {
    let instant = calendar::instant(&text.replacen(',', ".", 1), Zone::Optional)?;
    let millis = instant.nanos.div_euclid(1_000_000);
    Some(Stamp {
        at: EpochMillis(i64::try_from(millis).ok()?),
        sure: instant.has_zone,
    })
}

/// Whether a first 410 must not be believed: seen for less than ten seconds, unless its own stamp
/// makes it older than that by more than clocks may be wrong.
#[must_use]
pub fn is_young(first_seen: Millis, connected_at: Option<&StoredTime>, now: Now) -> bool {
    let seen = now.mono.since(first_seen);
    let stamped = connected_at
        .and_then(stamp)
        .map_or(Duration::ZERO, |stamp| since(stamp.at, now.wall));
    seen < YOUNG && stamped < YOUNG + CLOCK_ERROR
}

/// Whether no connection can be that old.
#[must_use]
pub fn is_too_old(first_seen: Millis, connected_at: Option<&StoredTime>, now: Now) -> bool {
    let stamped = connected_at
        .and_then(stamp)
        .filter(|stamp| stamp.sure)
        .map_or(Duration::ZERO, |stamp| since(stamp.at, now.wall));
    now.mono.since(first_seen) > OLDEST || stamped > OLDEST
}

fn since(earlier: EpochMillis, now: EpochMillis) -> Duration {
    Duration::from_millis(u64::try_from(now.0.saturating_sub(earlier.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<(i64, bool)> {
        stamp(&StoredTime::Text(text.to_owned())).map(|stamp| (stamp.at.0, stamp.sure))
    }

    #[test]
    fn stamps_are_understood_however_they_were_written() {
        let number = |text: &str| stamp(&StoredTime::Number(text.to_owned())).map(|it| it.at.0);
        assert_eq!(number("1800000000"), Some(1_800_000_000_000));
        assert_eq!(number("1800000000.25"), Some(1_800_000_000_000));
        assert_eq!(number("1800000000123"), Some(1_800_000_000_123));
        assert_eq!(number("1800000000123456"), Some(1_800_000_000_123));
        assert_eq!(number("1800000000123456789"), Some(1_800_000_000_123));
        assert_eq!(number("1"), None);
        assert_eq!(text("1800000000"), Some((1_800_000_000_000, true)));
        assert_eq!(
            text("2027-01-15T08:00:00Z"),
            Some((1_800_000_000_000, true))
        );
        assert_eq!(
            text("2027-01-15 08:00:00.123456"),
            Some((1_800_000_000_123, false))
        );
        assert_eq!(
            text("2027-01-15T17:00:00.5+09:00"),
            Some((1_800_000_000_500, true))
        );
        assert_eq!(
            text("2027-01-15T03:30:00-0430"),
            Some((1_800_000_000_000, true))
        );
        assert_eq!(
            text("2024-02-29T00:00:00Z"),
            Some((1_709_164_800_000, true))
        );
        assert_eq!(text("1970-01-01T00:00:00Z"), Some((0, true)));
        for rubbish in [
            "",
            "soon",
            "2027-01-15",
            "2027-13-01T00:00:00Z",
            "2027-02-31T00:00:00Z",
            "2027-01-15T99:00:00Z",
            "2027-01-15T08:00:00X",
            "2027-01-15T08:00:00+9é",
        ] {
            assert_eq!(text(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn a_local_time_without_its_zone_never_makes_a_row_too_old() {
        let now = Now {
            mono: Millis(1_000_000_000),
            wall: EpochMillis(1_800_000_000_000),
        };
        let nine_hours_behind = StoredTime::Text("2027-01-14T23:00:00".to_owned());
        assert!(!is_too_old(now.mono, Some(&nine_hours_behind), now));
        let sure = StoredTime::Text("2027-01-14T23:00:00Z".to_owned());
        assert!(is_too_old(now.mono, Some(&sure), now));
        let long_seen = now.mono - (OLDEST + Duration::from_secs(1));
        assert!(is_too_old(long_seen, None, now));
    }
}
