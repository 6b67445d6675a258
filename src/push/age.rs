//! How old a row is, from a `connected_at` that anybody may have written.

use std::time::Duration;

use super::Now;
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

/// `2024-05-01T12:34:56[.789][Z|+02:00]`, a space for the `T` allowed.
fn iso(text: &str) -> Option<Stamp> {
    let bytes = text.as_bytes();
    let field = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        part.parse().ok()
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 19 || separators.iter().any(|(at, sign)| bytes[*at] != *sign) {
        return None;
    }
    let days = days_from_civil(field(0, 4)?, field(5, 7)?, field(8, 10)?)?;
    let seconds = days * 86_400 + field(11, 13)? * 3600 + field(14, 16)? * 60 + field(17, 19)?;
    let rest = text.get(19..)?;
    let digits = rest
        .strip_prefix(['.', ','])
        .map_or(0, |f| f.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = rest.split_at(if digits > 0 { digits + 1 } else { 0 });
    let millis: i64 = match fraction.get(1..) {
        Some(digits) => format!("{digits:0<3}").get(..3)?.parse().ok()?,
        None => 0,
    };
    let (offset, sure) = zone_seconds(zone)?;
    Some(Stamp {
        at: EpochMillis((seconds - offset) * 1000 + millis),
        sure,
    })
}

fn zone_seconds(zone: &str) -> Option<(i64, bool)> {
    if zone.is_empty() {
        return Some((0, false));
    }
    if zone == "Z" || zone == "z" {
        return Some((0, true));
    }
    let sign = match zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone.chars().skip(1).filter(|c| *c != ':').collect();
    let number: i64 = digits.parse().ok()?;
    match digits.len() {
        2 => Some((sign * number * 3600, true)),
        4 => Some((sign * (number / 100 * 3600 + number % 100 * 60), true)),
        _ => None,
    }
}

/// Days since the epoch of a date in the Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Count years from March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
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
