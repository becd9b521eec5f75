//! The currencies of ISO 4217 with their numbers, and how many decimals each provider gives them.

use holdfast_domain::money::Currency;

use crate::decimal::{Decimal, NotAnAmount};

/// ISO 4217 list one (active codes), alphabetic and numeric, in alphabetic order. `XXX` and test codes are left out on purpose.
const ISO_4217: &str = "AED784 AFN971 ALL008 AMD051 ANG532 AOA973 ARS032 AUD036 AWG533 AZN944 BAM977 BBD052 BDT050 \
    BGN975 BHD048 BIF108 BMD060 BND096 BOB068 BRL986 BSD044 BTN064 BWP072 BYN933 BZD084 CAD124 CDF976 CHF756 CLF990 \
    CLP152 CNY156 COP170 CRC188 CUP192 CVE132 CZK203 DJF262 DKK208 DOP214 DZD012 EGP818 ERN232 ETB230 EUR978 FJD242 \
    FKP238 GBP826 GEL981 GHS936 GIP292 GMD270 GNF324 GTQ320 GYD328 HKD344 HNL340 HTG332 HUF348 IDR360 ILS376 INR356 \
    IQD368 IRR364 ISK352 JMD388 JOD400 JPY392 KES404 KGS417 KHR116 KMF174 KPW408 KRW410 KWD414 KYD136 KZT398 LAK418 \
    LBP422 LKR144 LRD430 LSL426 LYD434 MAD504 MDL498 MGA969 MKD807 MMK104 MNT496 MOP446 MRU929 MUR480 MVR462 MWK454 \
    MXN484 MYR458 MZN943 NAD516 NGN566 NIO558 NOK578 NPR524 NZD554 OMR512 PAB590 PEN604 PGK598 PHP608 PKR586 PLN985 \
    PYG600 QAR634 RON946 RSD941 RUB643 RWF646 SAR682 SBD090 SCR690 SDG938 SEK752 SGD702 SHP654 SLE925 SOS706 SRD968 \
    SSP728 STN930 SVC222 SYP760 SZL748 THB764 TJS972 TMT934 TND788 TOP776 TRY949 TTD780 TWD901 TZS834 UAH980 UGX800 \
    USD840 UYI940 UYU858 UYW927 UZS860 VED926 VES928 VND704 VUV548 WST882 XAF950 XCD951 XCG532 XOF952 XPF953 YER886 \
    ZAR710 ZMW967 ZWG924";

/// The currency of an alphabetic code in any case; `None` where ISO 4217 has none.
#[must_use]
pub fn by_code(code: &[u8]) -> Option<Currency> {
    let &[a, b, c] = code else { return None };
    let capitals = [a, b, c].map(|byte| byte.to_ascii_uppercase());
    let table = ISO_4217.as_bytes();
    let (mut low, mut high) = (0, table.len().div_ceil(7));
    while low < high {
        let middle = low.midpoint(high);
        match table.get(middle * 7..middle * 7 + 3)?.cmp(&capitals) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Currency::parse(std::str::from_utf8(&capitals).ok()?).ok(),
        }
    }
    None
}

/// The currency of a numeric code such as `978`; of two codes with one number (`ANG`, `XCG`) the present one.
#[must_use]
pub fn by_number(number: &str) -> Option<Currency> {
    let found = ISO_4217.split(' ').rev().find(|entry| entry.get(3..) == Some(number))?;
    Currency::parse(found.get(..3)?).ok()
}

/// How many decimals a provider gives each currency: ISO 4217, and where the provider differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exponents {
    differing: Vec<(Currency, u8)>,
}

/// Where Adyen's "currency codes" page differs from ISO 4217: these amounts are written with so many decimals.
const ADYEN: [(&str, u8); 4] = [("CLP", 2), ("CVE", 0), ("IDR", 0), ("ISK", 2)];

impl Exponents {
    /// ISO 4217 as it is.
    #[must_use]
    pub fn iso() -> Self {
        Self::default()
    }

    /// ISO 4217 with Adyen's differences.
    #[must_use]
    pub fn adyen() -> Self {
        Self::with(ADYEN.iter().filter_map(|(code, digits)| Some((by_code(code.as_bytes())?, *digits))))
    }

    /// ISO 4217 with the differences given.
    #[must_use]
    pub fn with(differing: impl IntoIterator<Item = (Currency, u8)>) -> Self {
        Self { differing: differing.into_iter().collect() }
    }

    /// Decimals of the currency's minor unit at this provider.
    #[inline]
    #[must_use]
    pub fn of(&self, currency: Currency) -> u8 {
        let differing = self.differing.iter().find(|(of, _)| *of == currency);
        differing.map_or_else(|| iso(currency), |(_, digits)| *digits)
    }

    /// A provider's decimal text in minor units of ISO 4217: at most the provider's decimals, and nothing rounded.
    #[inline]
    pub fn minor_of_text(&self, currency: Currency, text: &[u8]) -> Result<i64, NotAnAmount> {
        let decimal = Decimal::parse(text)?;
        match self.differing.iter().find(|(of, _)| *of == currency) {
            None => decimal.to_minor(iso(currency)),
            Some((_, provider)) => self.minor_of_units(currency, decimal.to_minor(*provider)?),
        }
    }

    /// A provider's minor units in minor units of ISO 4217.
    pub fn minor_of_units(&self, currency: Currency, units: i64) -> Result<i64, NotAnAmount> {
        Decimal { units, scale: self.of(currency) }.to_minor(iso(currency))
    }
}

fn iso(currency: Currency) -> u8 {
    u8::try_from(currency.exponent()).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_the_table_is_in_order() {
        let codes: Vec<&str> = ISO_4217.split_ascii_whitespace().map(|entry| &entry[..3]).collect();
        assert!(codes.is_sorted() && codes.len() > 150);
        for code in codes {
            assert_eq!(by_code(code.as_bytes()).map(|c| c.to_string()).as_deref(), Some(code));
            assert!(by_code(code.to_lowercase().as_bytes()).is_some());
        }
    }
    #[test]
    fn what_iso_4217_does_not_have_is_no_currency() {
        for code in ["EURO", "", "XXX", "BTC", "E R", "ZZZ", "AAA"] {
            assert_eq!(by_code(code.as_bytes()), None, "{code}");
        }
        assert_eq!(by_number("000"), None);
    }
    #[test]
    fn numbers_of_the_card_networks_are_found() {
        for (number, code) in
            [("978", "EUR"), ("826", "GBP"), ("392", "JPY"), ("414", "KWD"), ("008", "ALL"), ("532", "XCG")]
        {
            assert_eq!(by_number(number).map(|c| c.to_string()).as_deref(), Some(code));
        }
    }
    #[test]
    fn a_providers_exponent_overrides_the_standards() {
        let of = |exponents: &Exponents, code: &str| exponents.of(by_code(code.as_bytes()).unwrap());
        for (code, iso, adyen) in
            [("CLP", 0, 2), ("ISK", 0, 2), ("CVE", 2, 0), ("IDR", 2, 0), ("EUR", 2, 2), ("KWD", 3, 3)]
        {
            assert_eq!((of(&Exponents::iso(), code), of(&Exponents::adyen(), code)), (iso, adyen), "{code}");
        }
    }
    #[test]
    fn amounts_are_counted_as_iso_4217_counts_them() {
        let adyen = |code: &str, text: &str| {
            Exponents::adyen().minor_of_text(by_code(code.as_bytes()).unwrap(), text.as_bytes())
        };
        assert_eq!(adyen("EUR", "10.50"), Ok(1050));
        assert_eq!(adyen("CLP", "100.00"), Ok(100), "Adyen writes CLP with two decimals, and ISO 4217 has none");
        assert_eq!(adyen("IDR", "1000"), Ok(100_000));
        assert!(adyen("CLP", "100.50").is_err(), "half a peso is no peso");
        assert!(adyen("IDR", "1000.5").is_err(), "Adyen's rupiah has no decimals");
    }
}
