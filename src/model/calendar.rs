//! The calendar: days of the Gregorian one, and instants as RFC 3339 writes them.

use super::EpochNanos;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What an instant written as text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since the epoch; beyond what 64 bits hold in the years that text can name.
    pub nanos: i128,
    /// Whether the text names its zone. Without one it is read as UTC, and may be anybody's local
    /// time.
    pub has_zone: bool,
}

/// Whether a text must name its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// As RFC 3339 has it: `Z`, `+hh:mm` or `-hh:mm`.
    Required,
    /// As ISO 8601 and its many writers have it: none, or also `+hhmm` and `+hh`.
    Optional,
}

/// `YYYY-MM-DDThh:mm:ss[.fraction][zone]` (RFC 3339, 5.6), a space or `t` for the `T` allowed; digits
/// of the fraction beyond nanoseconds are cut off. `None` where it is anything else, a day that the
/// month does not have among it.
#[must_use]
pub fn instant(text: &str, zone: Zone) -> Option<Moment> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().try_fold(0_i64, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let punctuated = bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b't' | b' ')
        && bytes[13] == b':'
        && bytes[16] == b':';
    // A minute can end with a leap second.
    let in_range = hour < 24 && minute < 60 && second <= 60;
    if !punctuated || !in_range {
        return None;
    }
    let (fraction, named) = fraction(text.get(19..)?)?;
    let east = match (named, zone) {
        ("", Zone::Optional) => 0,
        _ => seconds_east(named, zone)?,
    };
    let seconds = days(year, month, day)? * DAY + hour * 3600 + minute * 60 + second - east;
    Some(Moment {
        nanos: i128::from(seconds) * 1_000_000_000 + fraction,
        has_zone: !named.is_empty(),
    })
}

/// Nanoseconds, and what follows them.
fn fraction(rest: &str) -> Option<(i128, &str)> {
    let Some(after) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let (fraction, zone) = after.split_at(digits);
    let padded = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = padded.fold(0, |nanos, digit| nanos * 10 + i128::from(digit - b'0'));
    Some((nanos, zone))
}

/// Seconds east of Greenwich.
fn seconds_east(named: &str, zone: Zone) -> Option<i64> {
    let two = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (sign, hours, minutes) = match *named.as_bytes() {
        [b'Z' | b'z'] => return Some(0),
        [sign, a, b, b':', c, d] => (sign, two(a, b)?, two(c, d)?),
        [sign, a, b, c, d] if zone == Zone::Optional => (sign, two(a, b)?, two(c, d)?),
        [sign, a, b] if zone == Zone::Optional => (sign, two(a, b)?, 0),
        _ => return None,
    };
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` where there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    // Years counted from March, so that the leap day is the last of its year and the months before
    // it have a regular length.
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(365 * year + leap_days + day_of_year - 719_468)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of a day counted from 1970-01-01; the reverse of [`days`].
fn date_of(day: i64) -> (i64, i64, i64) {
    // Days of four hundred years, after which the calendar repeats itself.
    const ERA: i64 = 146_097;
    let days = day + 719_468;
    let day_of_era = days.rem_euclid(ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + days.div_euclid(ERA) * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A time as RFC 3339 writes it, in UTC, with as many digits as it has.
#[must_use]
pub fn written(at: EpochNanos) -> String {
    let (seconds, nanos) = (
        at.0.div_euclid(1_000_000_000),
        at.0.rem_euclid(1_000_000_000),
    );
    let (year, month, day) = date_of(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let fraction = format!("{nanos:09}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{point}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut last = days(1600, 1, 1).unwrap() - 1;
        for year in 1600..2400 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(next) = days(year, month, day) {
                        assert_eq!(next, last + 1, "{year}-{month}-{day}");
                        last = next;
                    }
                }
            }
        }
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2400, 1, 1), Some(last + 1));
    }

    #[test]
    fn zones_are_as_strict_as_asked() {
        let nanos = |text: &str, zone| instant(text, zone).map(|instant| instant.nanos);
        for (zone, strict) in [
            ("Z", true),
            ("+09:00", true),
            ("+0900", false),
            ("+09", false),
            ("", false),
        ] {
            let text = format!("1970-01-01T09:00:00.000000001{zone}");
            let hours = if zone.starts_with('+') { 0 } else { 9 };
            let at = hours * 3_600_000_000_000 + 1;
            assert_eq!(nanos(&text, Zone::Optional), Some(at), "{zone}");
            assert_eq!(nanos(&text, Zone::Required), strict.then_some(at), "{zone}");
        }
        assert!(
            !instant("2026-01-01 00:00:00", Zone::Optional)
                .unwrap()
                .has_zone
        );
    }

    #[test]
    fn what_no_calendar_has_is_refused() {
        for text in [
            "2026-02-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T99:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+09:60",
            "2026-01-01T00:00:00+9\u{e9}",
            "2026-01-01T00:00:00+\u{e9}:00",
            "2026-01-01T00:00:00ZZ",
            "+026-01-01T00:00:00Z",
            "2026-01-01",
        ] {
            for zone in [Zone::Required, Zone::Optional] {
                assert_eq!(instant(text, zone), None, "{text}");
            }
        }
    }
}
