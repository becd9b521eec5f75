//! Exact decimal numbers as files write them: digits and where the point stands. Nothing here is ever a float.

use std::fmt;

/// A decimal number: `units` × 10^-`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// All digits with their sign.
    pub units: i64,
    /// How many of the digits stand behind the point; at most [`SCALE_MAX`].
    pub scale: u8,
}

/// More digits behind the point than any provider writes; ten to this power still fits an `i64`.
pub const SCALE_MAX: u8 = 12;

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAmount {
    /// Something else than a sign, digits and one point.
    #[error("it is no decimal number; write it like 1234.50")]
    NotDecimal,
    /// It does not fit an `i64`.
    #[error("it has more digits than 64 bits hold")]
    TooLarge,
    /// A part of a minor unit is left.
    #[error("it has {found} decimals and the currency has {allowed}")]
    TooManyDecimals {
        /// Decimals that are not zero at the end.
        found: u8,
        /// The currency's exponent.
        allowed: u8,
    },
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { units: 0, scale: 0 };

    /// Reads `-1234.50`. Blanks around it are left out; groups of thousands are refused.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, NotAnAmount> {
        let text = text.trim_ascii();
        plain(text).map_or_else(|| Self::parse_any(text), Ok)
    }

    #[cold]
    fn parse_any(text: &[u8]) -> Result<Self, NotAnAmount> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (mut units, mut scale, mut point, mut seen) = (0_i64, 0_u8, false, false);
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    let digit = i64::from(byte - b'0');
                    units = units.checked_mul(10).and_then(|u| u.checked_add(digit)).ok_or(NotAnAmount::TooLarge)?;
                    scale += u8::from(point);
                    seen = true;
                    if scale > SCALE_MAX {
                        return Err(NotAnAmount::TooLarge);
                    }
                }
                b'.' if !point => point = true,
                _ => return Err(NotAnAmount::NotDecimal),
            }
        }
        if !seen {
            return Err(NotAnAmount::NotDecimal);
        }
        Ok(Self { units: if negative { -units } else { units }, scale })
    }

    /// Whole minor units of a currency with `exponent` decimals. Nothing is ever rounded.
    #[inline]
    pub fn to_minor(self, exponent: u8) -> Result<i64, NotAnAmount> {
        if self.scale == exponent {
            return Ok(self.units);
        }
        self.to_other_scale(exponent)
    }

    fn to_other_scale(self, exponent: u8) -> Result<i64, NotAnAmount> {
        if self.scale <= exponent {
            return self.units.checked_mul(power(exponent - self.scale)).ok_or(NotAnAmount::TooLarge);
        }
        let step = power(self.scale - exponent);
        if self.units % step == 0 {
            return Ok(self.units / step);
        }
        let mut shortest = self;
        while shortest.units % 10 == 0 {
            shortest = Self { units: shortest.units / 10, scale: shortest.scale - 1 };
        }
        Err(NotAnAmount::TooManyDecimals { found: shortest.scale, allowed: exponent })
    }

    /// The exact sum, with as many decimals as the finer of the two; `None` where it does not fit.
    #[inline]
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.scale == other.scale {
            return Some(Self { units: self.units.checked_add(other.units)?, scale: self.scale });
        }
        // Most fees of a row are nothing.
        if other.units == 0 && other.scale < self.scale {
            return Some(self);
        }
        if self.units == 0 && self.scale < other.scale {
            return Some(other);
        }
        let scale = self.scale.max(other.scale);
        let at_scale = |of: Self| of.units.checked_mul(power(scale - of.scale));
        Some(Self { units: at_scale(self)?.checked_add(at_scale(other)?)?, scale })
    }

    /// The number with the other sign.
    #[inline]
    #[must_use]
    pub fn negated(self) -> Self {
        Self { units: self.units.saturating_neg(), ..self }
    }

    /// The number times 10^[`SCALE_MAX`]: exact numbers of any scale can be added so.
    #[must_use]
    pub fn widened(self) -> i128 {
        i128::from(self.units) * i128::from(power(SCALE_MAX.saturating_sub(self.scale)))
    }
}

/// So many bytes taken for digits fit an `i64`, even where they are none.
pub(crate) const DIGITS_SAFE: usize = 16;

/// Digits alone, [`DIGITS_SAFE`] at most: without a look at each whether it still fits.
#[inline]
pub(crate) fn digits(digits: &[u8]) -> Option<i64> {
    let mut value = 0_i64;
    let mut others = false;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        others |= digit > 9;
        value = value * 10 + i64::from(digit);
    }
    (!others).then_some(value)
}

/// What almost every amount is: digits, perhaps a point, and two digits.
#[inline]
fn plain(text: &[u8]) -> Option<Decimal> {
    if text.is_empty() || text.len() > DIGITS_SAFE {
        return None;
    }
    match text {
        [whole @ .., b'.', tens, ones] if !whole.is_empty() => {
            let units = digits(whole)? * 100 + digits(&[*tens, *ones])?;
            Some(Decimal { units, scale: 2 })
        }
        _ => Some(Decimal { units: digits(text)?, scale: 0 }),
    }
}

#[inline]
fn power(exponent: u8) -> i64 {
    const POWERS: [i64; 16] = {
        let mut powers = [1; 16];
        let mut place = 1;
        while place < 16 {
            powers[place] = powers[place - 1] * 10;
            place += 1;
        }
        powers
    };
    POWERS[usize::from(exponent.min(15))]
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wide_text(self.widened(), self.scale))
    }
}

/// A widened sum as text with at least `digits_min` decimals.
#[must_use]
pub(crate) fn wide_text(widened: i128, digits_min: u8) -> String {
    let one = i128::from(power(SCALE_MAX));
    let sign = if widened < 0 { "-" } else { "" };
    let fraction = format!("{:012}", (widened % one).unsigned_abs());
    let kept = fraction.trim_end_matches('0').len().max(usize::from(digits_min));
    let whole = (widened / one).unsigned_abs();
    if kept == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &fraction[..kept.min(12)]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, exponent: u8, expected: Result<i64, NotAnAmount>) {
        assert_eq!(Decimal::parse(text.as_bytes()).and_then(|d| d.to_minor(exponent)), expected, "{text}");
    }

    #[test]
    fn amounts_become_whole_minor_units() {
        check("43.46", 2, Ok(4346));
        check("-43.4", 2, Ok(-4340));
        check(" 905 ", 0, Ok(905));
        check("1.234", 3, Ok(1234));
        check("+.5", 2, Ok(50));
        check("1.", 2, Ok(100));
    }
    #[test]
    fn zeros_behind_the_currencys_decimals_are_no_decimals() {
        check("8.85000", 2, Ok(885));
        check("905.00", 0, Ok(905));
        check("0.000", 2, Ok(0));
    }
    #[test]
    fn a_part_of_a_minor_unit_is_refused_and_never_rounded() {
        check("1.2345", 3, Err(NotAnAmount::TooManyDecimals { found: 4, allowed: 3 }));
        check("1.2340", 2, Err(NotAnAmount::TooManyDecimals { found: 3, allowed: 2 }));
        check("0.5", 0, Err(NotAnAmount::TooManyDecimals { found: 1, allowed: 0 }));
    }
    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1,000.00", "1e5", "NaN", "12.3.4", "--1", "€5"] {
            check(text, 2, Err(NotAnAmount::NotDecimal));
        }
    }
    #[test]
    fn what_does_not_fit_is_refused() {
        check("92233720368547758.07", 2, Ok(i64::MAX));
        check("92233720368547758.08", 2, Err(NotAnAmount::TooLarge));
        check("9223372036854775807", 2, Err(NotAnAmount::TooLarge));
        check("0.0000000000001", 2, Err(NotAnAmount::TooLarge));
    }
    #[test]
    fn fees_keep_every_digit() {
        let fee = Decimal::parse(b"-0.028514").unwrap();
        assert_eq!(fee.to_string(), "-0.028514");
        assert_eq!(wide_text(fee.widened() * 2, 2), "-0.057028");
        assert_eq!(Decimal::parse(b"5.00").unwrap().to_string(), "5.00");
        let sum = |one: &[u8], other: &[u8]| Decimal::parse(one).unwrap().checked_add(Decimal::parse(other).unwrap());
        assert_eq!(sum(b"0.25", b"1.005").map(|sum| sum.to_string()).as_deref(), Some("1.255"));
        assert_eq!(sum(b"-1", b"1.0").map(|sum| sum.units), Some(0));
        assert_eq!(sum(b"9223372036854775807", b"0.1"), None);
    }
}
