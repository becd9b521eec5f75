//! Money in minor units with its ISO 4217 currency. There is no floating point here, and currencies never mix.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::region::excerpt;

/// An ISO 4217 alphabetic currency code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// The text is not a currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISO 4217 currency code; write three capitals, like EUR")]
pub struct NotACurrency(String);

impl Currency {
    /// Parses three capital letters.
    pub fn parse(code: &str) -> Result<Self, NotACurrency> {
        match code.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(NotACurrency(excerpt(code))),
        }
    }

    /// How many decimal digits the currency's minor unit has (ISO 4217 table A.1).
    #[must_use]
    pub fn exponent(self) -> usize {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// Writes an amount in minor units the way a person reads it: `EUR 1,234.50` without the comma.
    #[must_use]
    pub fn display(self, amount_minor: i128) -> String {
        let digits = self.exponent();
        let sign = if amount_minor < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", amount_minor.unsigned_abs(), width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        if digits == 0 { format!("{self} {sign}{whole}") } else { format!("{self} {sign}{whole}.{fraction}") }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl TryFrom<String> for Currency {
    type Error = NotACurrency;
    fn try_from(code: String) -> Result<Self, NotACurrency> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

/// How many payments, and their sum per currency in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of payments.
    pub count: u64,
    /// Sum per currency, in minor units; written as text, because a JSON number may be read as a float.
    #[serde(with = "sums")]
    pub sums_minor: BTreeMap<Currency, i128>,
}

impl Totals {
    /// Adds one payment.
    pub fn add(&mut self, currency: Currency, amount_minor: i64) {
        self.count = self.count.saturating_add(1);
        let sum = self.sums_minor.entry(currency).or_insert(0);
        *sum = sum.saturating_add(i128::from(amount_minor));
    }

    /// Adds a sum of several payments.
    pub fn add_sum(&mut self, currency: Currency, count: u64, sum_minor: i128) {
        self.count = self.count.saturating_add(count);
        let sum = self.sums_minor.entry(currency).or_insert(0);
        *sum = sum.saturating_add(sum_minor);
    }

    /// Whether there is no more of anything here than there.
    #[must_use]
    pub fn is_within(&self, more: &Self) -> bool {
        let sum_in = |totals: &Self, currency| totals.sums_minor.get(&currency).copied().unwrap_or(0);
        self.count <= more.count && self.sums_minor.iter().all(|(currency, sum)| *sum <= sum_in(more, *currency))
    }
}

/// Sums as text; numbers are read as well.
///
/// serde carries no `i128` through a tagged enum such as `Event`: an incident with a counted price would not cross the bus.
mod sums {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Currency;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sum {
        Number(i64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(sums: &BTreeMap<Currency, i128>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(sums.iter().map(|(currency, minor)| (currency, minor.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Currency, i128>, D::Error> {
        let sums = BTreeMap::<Currency, Sum>::deserialize(from)?.into_iter();
        sums.map(|(currency, sum)| match sum {
            Sum::Number(minor) => Ok((currency, minor.into())),
            Sum::Text(minor) => Ok((currency, minor.parse().map_err(D::Error::custom)?)),
        })
        .collect()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} payment{}", self.count, if self.count == 1 { "" } else { "s" })?;
        for (currency, sum) in &self.sums_minor {
            write!(f, ", {}", currency.display(*sum))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, amount_minor: i128, expected: &str) {
        assert_eq!(Currency::parse(code).unwrap().display(amount_minor), expected);
    }

    #[test]
    fn two_digits() {
        check("EUR", 123_450, "EUR 1234.50");
    }
    #[test]
    fn less_than_one_unit() {
        check("EUR", 5, "EUR 0.05");
    }
    #[test]
    fn no_minor_unit() {
        check("JPY", 1234, "JPY 1234");
    }
    #[test]
    fn three_digits() {
        check("KWD", -1234, "KWD -1.234");
    }

    #[test]
    fn currencies_never_mix() {
        let mut totals = Totals::default();
        totals.add(Currency::parse("EUR").unwrap(), 100);
        totals.add(Currency::parse("GBP").unwrap(), 250);
        totals.add(Currency::parse("EUR").unwrap(), 1);
        assert_eq!(totals.to_string(), "3 payments, EUR 1.01, GBP 2.50");
    }

    /// Found by fuzzing: serde carries no `i128` through a tagged enum, and an incident with a counted price was refused as a trigger.
    #[test]
    fn a_counted_sum_crosses_the_bus_whatever_its_size() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "event")]
        enum Bus {
            Counted { totals: Totals },
        }
        for sum in [0, -1, i128::from(i64::MAX), i128::from(i64::MAX) + 1, i128::MIN, i128::MAX] {
            let totals = Totals { count: 1, sums_minor: [(Currency::parse("EUR").unwrap(), sum)].into() };
            let sent = Bus::Counted { totals };
            let printed = serde_json::to_string(&sent).unwrap();
            assert_eq!(serde_json::from_str::<Bus>(&printed).unwrap(), sent, "{printed}");
        }
    }

    #[test]
    fn a_sum_is_text_on_the_wire_and_whole_minor_units() {
        let mut totals = Totals::default();
        totals.add(Currency::parse("EUR").unwrap(), -100);
        assert_eq!(serde_json::to_string(&totals).unwrap(), r#"{"count":1,"sums_minor":{"EUR":"-100"}}"#);
        assert_eq!(serde_json::from_str::<Totals>(r#"{"count":1,"sums_minor":{"EUR":-100}}"#).unwrap(), totals);
        assert!(serde_json::from_str::<Totals>(r#"{"count":1,"sums_minor":{"EUR":"1.5"}}"#).is_err());
        assert!(serde_json::from_str::<Totals>(r#"{"count":1,"sums_minor":{"EUR":1.5}}"#).is_err());
    }

    #[test]
    fn lower_case_and_long_codes_are_refused() {
        assert!(Currency::parse("eur").is_err());
        assert!(Currency::parse("EURO").is_err());
        assert!(Currency::parse("").is_err());
    }

    #[test]
    fn zero_has_no_sign_and_four_digits_are_four() {
        check("EUR", 0, "EUR 0.00");
        check("CLF", 12_345, "CLF 1.2345");
        check("UYW", -1, "UYW -0.0001");
        check("JPY", -1, "JPY -1");
    }
    #[test]
    fn one_payment_is_not_payments() {
        let mut totals = Totals::default();
        assert_eq!(totals.to_string(), "0 payments");
        totals.add(Currency::parse("EUR").unwrap(), 5);
        assert_eq!(totals.to_string(), "1 payment, EUR 0.05");
    }
}
