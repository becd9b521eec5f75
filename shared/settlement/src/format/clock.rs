//! Times as providers write them. Zones by abbreviation are a fixed table: what is ambiguous is not in it.

use holdfast_domain::Timestamp;
use jiff::civil::Date;

/// Abbreviations that mean one offset only, in seconds east of UTC. `IST` and `CST` mean several, and are refused.
const ZONES: [(&str, i64); 22] = [
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("WET", 0),
    ("BST", 3600),
    ("WEST", 3600),
    ("CET", 3600),
    ("CEST", 7200),
    ("EET", 7200),
    ("EEST", 10_800),
    ("PST", -28_800),
    ("PDT", -25_200),
    ("MST", -25_200),
    ("MDT", -21_600),
    ("EST", -18_000),
    ("EDT", -14_400),
    ("BRT", -10_800),
    ("AEST", 36_000),
    ("AEDT", 39_600),
    ("SGT", 28_800),
    ("HKT", 28_800),
    ("JST", 32_400),
];

/// Seconds east of UTC of a zone's abbreviation.
pub(super) fn offset(zone: &str) -> Option<i64> {
    ZONES.iter().find(|(name, _)| *name == zone).map(|(_, seconds)| *seconds)
}

/// `YYYY-MM-DD HH:MM:SS`, with `T` or a blank, `/` or `-`, a fraction that is left out, and `Z` or `+HH[:]MM` or nothing;
/// `YYYY-MM-DD` alone is midnight. `east` is what holds where the text names no offset.
pub(super) fn instant(text: &str, east: i64) -> Option<Timestamp> {
    instant_of(text.as_bytes(), east, &mut Day::default())
}

/// A day as it was written last, and its number: the rows of a file have few days.
#[derive(Clone, Copy)]
pub(super) struct Day {
    text: [u8; 10],
    number: i64,
}

impl Default for Day {
    fn default() -> Self {
        Self { text: *b"1970-01-01", number: 0 }
    }
}

impl Day {
    #[inline]
    fn of(&mut self, text: [u8; 10]) -> Option<i64> {
        if self.text != text {
            *self = Self { text, number: day_number(&text)? };
        }
        Some(self.number)
    }
}

/// The same of bytes, with the day that was read last.
#[inline]
pub(super) fn instant_of(bytes: &[u8], east: i64, last: &mut Day) -> Option<Timestamp> {
    let day = last.of(*bytes.first_chunk()?)?;
    let rest = bytes.get(10..)?;
    if rest.is_empty() {
        return Timestamp::from_second(day * 86_400 - east).ok();
    }
    let (b'T' | b' ', clock) = rest.split_first()? else { return None };
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock.first_chunk::<8>()? else { return None };
    let (hours, minutes, seconds) = (pair(*h1, *h2)?, pair(*m1, *m2)?, pair(*s1, *s2)?);
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let east = match after_fraction(clock.get(8..)?).trim_ascii() {
        [] => east,
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let minutes = match rest {
                [] => 0,
                [b':', m1, m2] | [m1, m2] => pair(*m1, *m2)?,
                _ => return None,
            };
            let seconds = pair(*h1, *h2)? * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    Timestamp::from_second(day * 86_400 + hours * 3600 + minutes * 60 + seconds - east).ok()
}

fn after_fraction(text: &[u8]) -> &[u8] {
    match text {
        [b'.', digits @ ..] => {
            let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
            &digits[end..]
        }
        _ => text,
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD` or `YYYY/MM/DD`.
fn day_number(text: &[u8]) -> Option<i64> {
    if !matches!((text[4], text[7]), (b'-', b'-') | (b'/', b'/')) {
        return None;
    }
    days(number(&text[..4])?, number(&text[5..7])?, number(&text[8..10])?)
}

/// Days since 1970-01-01 of a day that exists.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    Some(date.duration_since(Date::constant(1970, 1, 1)).as_secs() / 86_400)
}

/// Two digits.
#[inline]
fn pair(tens: u8, ones: u8) -> Option<i64> {
    let digit = |byte: u8| Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10).map(i64::from);
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Digits only.
#[inline]
pub(super) fn number(digits: &[u8]) -> Option<i64> {
    if digits.len() <= crate::decimal::DIGITS_SAFE {
        return crate::decimal::digits(digits);
    }
    digits.iter().try_fold(0_i64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, east: i64, expected: Option<&str>) {
        assert_eq!(instant(text, east).map(|at| at.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn times_of_every_provider_become_utc() {
        check("2026-10-15 14:07:09", 0, Some("2026-10-15T14:07:09Z"));
        check("2026-10-15 14:07:09", 7200, Some("2026-10-15T12:07:09Z"));
        check("2026/10/15 14:07:09 -0700", 0, Some("2026-10-15T21:07:09Z"));
        check("2015-03-10T18:43:50.123+01:00", 0, Some("2015-03-10T17:43:50Z"));
        check("2015-03-10T18:43:50Z", 3600, Some("2015-03-10T18:43:50Z"));
        check("1969-12-31", 0, Some("1969-12-31T00:00:00Z"));
        check("2026-02-28 23:59:59", -28_800, Some("2026-03-01T07:59:59Z"));
    }
    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "2026-02-30 00:00:00", "15/10/2026", "2026-10-15 24:00:00", "2026-10-15 14:07", "2026-10-15 1a:07:09"]
        {
            check(text, 0, None);
        }
    }
    #[test]
    fn an_ambiguous_zone_is_no_zone() {
        assert_eq!(offset("PDT"), Some(-25_200));
        assert_eq!((offset("IST"), offset("CST"), offset("pdt")), (None, None, None));
    }
}
