//! Event times from numbers and text, exactly: no float stands between the digits and the
//! nanoseconds, since one of 64 bits cannot tell nanoseconds of this century apart.

use crate::model::EpochNanos;
use crate::model::calendar::{self, Zone};

use super::TimeUnit;

/// Reads the text of a number, or of a date, as a time; the error says what is wrong with it.
pub(super) fn parse(text: &str, unit: TimeUnit) -> Result<EpochNanos, String> {
    let nanos = match unit {
        TimeUnit::Rfc3339 => {
            let instant = calendar::instant(text, Zone::Required);
            instant.ok_or("is not a time by RFC 3339")?.nanos
        }
        TimeUnit::Seconds => decimal(text, 9)?,
        TimeUnit::Millis => decimal(text, 6)?,
        TimeUnit::Micros => decimal(text, 3)?,
        TimeUnit::Nanos => decimal(text, 0)?,
    };
    of_nanos(nanos)
}

/// Nanoseconds since the epoch as a time.
pub(super) fn of_nanos(nanos: i128) -> Result<EpochNanos, String> {
    i64::try_from(nanos)
        .map(EpochNanos)
        .map_err(|_| "lies outside the years 1677 to 2262: is the time unit right?".to_owned())
}

/// A decimal number times ten to `scale`; digits beyond are cut off.
pub(super) fn decimal(text: &str, scale: usize) -> Result<i128, String> {
    let bad = || "is not a number".to_owned();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| bad())?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(bad());
    }
    // The value is the joined digits with the point after this many of them.
    let point = i64::try_from(whole.len() + scale).map_err(|_| bad())? + i64::from(exponent);
    let mut value: i128 = 0;
    let joined = whole.bytes().chain(fraction.bytes());
    for digit in joined
        .map(Some)
        .chain(std::iter::repeat(None))
        .take(usize::try_from(point.clamp(0, POINT_MAX)).unwrap_or(0))
    {
        let digit = digit.map_or(0, |byte| i128::from(byte - b'0'));
        value = value.saturating_mul(10).saturating_add(digit);
    }
    Ok(if negative { -value } else { value })
}

/// A number of more digits is out of every range anyway.
const POINT_MAX: i64 = 400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Result<i64, String> {
        parse(text, TimeUnit::Millis).map(|time| time.0)
    }

    #[test]
    fn every_digit_of_a_number_counts() {
        assert_eq!(millis("1372896000000"), Ok(1_372_896_000_000_000_000));
        assert_eq!(millis("1372896000000.25"), Ok(1_372_896_000_000_250_000));
        assert_eq!(millis("1.372896e12"), Ok(1_372_896_000_000_000_000));
        assert_eq!(millis("-1"), Ok(-1_000_000));
        let seconds = parse("1372896000.123456789", TimeUnit::Seconds);
        assert_eq!(seconds, Ok(EpochNanos(1_372_896_000_123_456_789)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "1.2.3",
            "abc",
            "1e",
            "99999999999999999999",
            "1e300",
        ] {
            assert!(millis(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_read_as_their_instants() {
        let date = |text| parse(text, TimeUnit::Rfc3339).map(|time| time.0);
        assert_eq!(date("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(date("2013-07-04T00:00:00Z"), Ok(1_372_896_000_000_000_000));
        assert_eq!(
            date("2013-07-04T02:00:00.5+02:00"),
            Ok(1_372_896_000_500_000_000)
        );
        assert_eq!(date("1969-12-31T23:59:59.999999999Z"), Ok(-1));
        assert_eq!(date("2000-02-29T00:00:00Z"), Ok(951_782_400_000_000_000));
        for text in [
            "2013-02-29T00:00:00Z",
            "2013-07-04",
            "2013-07-04T00:00:00",
            "2013-07-04T00:00:00.Z",
            "2013-07-04T25:00:00Z",
            "2013-07-04T00:00:00+2:00",
        ] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            for unit in [TimeUnit::Seconds, TimeUnit::Nanos, TimeUnit::Rfc3339] {
                prop_assert_eq!(parse(&text, unit), parse(&text, unit));
            }
        }

        #[test]
        fn what_was_written_is_read(nanos in any::<i64>()) {
            let text = calendar::written(EpochNanos(nanos));
            prop_assert_eq!(parse(&text, TimeUnit::Rfc3339), Ok(EpochNanos(nanos)), "{}", text);
        }

        #[test]
        fn whole_nanoseconds_come_back(nanos in any::<i64>()) {
            prop_assert_eq!(parse(&nanos.to_string(), TimeUnit::Nanos), Ok(EpochNanos(nanos)));
        }
    }
}
