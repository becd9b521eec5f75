//! The bank's leg: what a provider says it paid out is one entry on the bank's statement, or it has not arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::money::Currency;

/// A reference that is shorter than this may stand in a remittance text by chance.
const WORD_MIN: usize = 6;

/// What a provider says it has paid out, and whether the bank has it. Open ones are carried from statement to statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payout {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The provider.
    pub provider: String,
    /// Its name for the payout, such as `po_1`.
    pub reference: String,
    /// What the provider writes into the transfer; empty where it does not say.
    pub remittance: String,
    /// Minor units that must arrive: what is left of the payments after fees.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// When the provider sent it.
    pub paid_at: Timestamp,
    /// The run that has read of it.
    pub run: String,
    /// How it arrived, once a statement shows it.
    pub arrived: Option<Arrival>,
}

/// A payout on a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The statement, as `s3://` address.
    pub statement: String,
    /// The bank's minor units.
    pub amount_minor: i64,
    /// When it was booked.
    pub at: Option<Timestamp>,
}

/// An entry of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankEntry {
    /// Whatever the bank names it by: end-to-end id, transaction id, its own reference.
    pub references: Vec<String>,
    /// The transfer's text.
    pub remittance: String,
    /// Minor units; more is to us.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// When it was booked.
    pub at: Option<Timestamp>,
}

/// What a payout comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum PayoutState {
    /// The bank has all of it.
    Arrived,
    /// The bank has another amount.
    OtherAmount,
    /// It is not on the statement, and need not be yet.
    OnItsWay,
    /// It should be on the statement by now.
    Overdue,
}

/// A payout with what was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutFound {
    /// The payout; arrived where the statement has it.
    pub payout: Payout,
    /// What it comes to.
    pub state: PayoutState,
}

impl Payout {
    /// Its place in the list.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider, self.reference)
    }

    fn is(&self, entry: &BankEntry) -> bool {
        let named = |text: &str| !text.is_empty() && (text == self.reference || text == self.remittance);
        let inside = |word: &str| word.len() >= WORD_MIN && entry.remittance.contains(word);
        entry.currency == self.currency
            && (entry.references.iter().any(|text| named(text))
                || named(&entry.remittance)
                || inside(&self.reference)
                || inside(&self.remittance))
    }
}

/// A row of a provider's file, as far as it says what leaves for the bank.
#[derive(Clone, Copy, Debug)]
pub struct PaidRow<'a> {
    /// Whether it is the payout's own row, and not one of the payments that it is made of.
    pub is_payout: bool,
    /// Its reference.
    pub reference: &'a str,
    /// The payout that it is part of.
    pub payout: &'a str,
    /// The text that the provider writes into the transfer.
    pub text: &'a str,
    /// The provider's batch.
    pub batch: &'a str,
    /// Signed minor units of a payout's own row: what leaves is negative.
    pub amount_minor: i64,
    /// Of which currency.
    pub currency: Currency,
    /// What a payment leaves after fees, in trillionths of the main unit, and of which currency: providers write more decimals
    /// than the currency has.
    pub net: Option<(i128, Currency)>,
    /// When.
    pub at: Option<Timestamp>,
}

/// Decimals of [`PaidRow::net`].
const NET_DECIMALS: u32 = 12;
/// Payouts that are remembered of one file. A provider makes one a day.
const PAYOUTS_MAX: usize = 2_000;

/// What a provider's file says was paid out, added up row by row: its payout rows, or where a payout has none the sum of what
/// is left of its payments.
#[derive(Clone, Debug, Default)]
pub struct Payouts {
    sums: BTreeMap<(String, Currency), Sum>,
}

/// What one payout sums to while a file is read.
#[derive(Clone, Debug, Default)]
struct Sum {
    /// What its own rows say, and the text of the last one.
    said: Option<(i64, String, Option<Timestamp>)>,
    /// What the rows of its payments leave after fees.
    net: Option<i128>,
    latest: Option<Timestamp>,
}

impl Payouts {
    /// Adds a row.
    pub fn add(&mut self, row: &PaidRow<'_>) {
        if row.is_payout {
            let names = [row.reference, row.payout, row.text, row.batch];
            let Some(name) = names.into_iter().find(|text| !text.is_empty()) else { return };
            let sum = self.sums.entry((name.to_owned(), row.currency)).or_default();
            let before = sum.said.as_ref().map_or(0, |(amount, ..)| *amount);
            sum.said = Some((before.saturating_sub(row.amount_minor), row.text.to_owned(), row.at));
        } else if !row.payout.is_empty()
            && let Some((net, currency)) = row.net
        {
            let sum = self.sums.entry((row.payout.to_owned(), currency)).or_default();
            sum.net = Some(sum.net.unwrap_or(0).saturating_add(net));
            sum.latest = sum.latest.max(row.at);
        }
    }

    /// The payouts that money moved for, the first 2,000.
    #[must_use]
    pub fn paid(self, provider: &str, run: &str, now: Timestamp) -> Vec<Payout> {
        let payouts = self.sums.into_iter().filter_map(|((reference, currency), sum)| {
            let (amount_minor, remittance, paid_at) = match sum.said {
                Some(said) => said,
                // Added up whole, and rounded once.
                None => (minor_of(sum.net?, currency)?, String::new(), sum.latest),
            };
            Some(Payout {
                version: 1,
                provider: provider.to_owned(),
                reference,
                remittance,
                amount_minor,
                currency,
                paid_at: paid_at.unwrap_or(now),
                run: run.to_owned(),
                arrived: None,
            })
        });
        payouts.filter(|payout| payout.amount_minor != 0).take(PAYOUTS_MAX).collect()
    }
}

/// Minor units of an exact sum, rounded half away from zero; `None` where they are more than 64 bits.
fn minor_of(trillionths: i128, currency: Currency) -> Option<i64> {
    let digits = NET_DECIMALS.checked_sub(u32::try_from(currency.exponent()).ok()?)?;
    let unit = 10_i128.checked_pow(digits)?;
    let half = if trillionths < 0 { -(unit / 2) } else { unit / 2 };
    i64::try_from(trillionths.checked_add(half)? / unit).ok()
}

/// Finds payouts on a statement that is complete up to `until`. By reference only: amount and date never identify. Each entry
/// is one payout's.
#[must_use]
pub fn find_payouts(
    open: &[Payout],
    entries: &[BankEntry],
    statement: &str,
    until: Timestamp,
    transit_max: std::time::Duration,
) -> Vec<PayoutFound> {
    let mut taken = BTreeSet::new();
    let mut order: Vec<&Payout> = open.iter().collect();
    order.sort_by_key(|payout| (payout.paid_at, payout.name()));
    let found = order.into_iter().map(|payout| {
        let fits = |exact: bool| {
            entries.iter().enumerate().find(|(place, entry)| {
                !taken.contains(place) && payout.is(entry) && (!exact || entry.amount_minor == payout.amount_minor)
            })
        };
        let Some((place, entry)) = fits(true).or_else(|| fits(false)) else {
            let due = payout.paid_at.checked_add(transit_max).unwrap_or(Timestamp::MAX);
            let state = if due <= until { PayoutState::Overdue } else { PayoutState::OnItsWay };
            return PayoutFound { payout: payout.clone(), state };
        };
        taken.insert(place);
        let arrived = Arrival { statement: statement.to_owned(), amount_minor: entry.amount_minor, at: entry.at };
        let state =
            if entry.amount_minor == payout.amount_minor { PayoutState::Arrived } else { PayoutState::OtherAmount };
        let payout = Payout { version: payout.version + 1, arrived: Some(arrived), ..payout.clone() };
        PayoutFound { payout, state }
    });
    found.collect()
}

/// One currency of what was paid out: all of it is in one of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutBalance {
    /// The currency.
    pub currency: Currency,
    /// What the providers say.
    pub paid_out_minor: i128,
    /// What the bank has of it.
    pub arrived_minor: i128,
    /// What need not be there yet.
    pub on_its_way_minor: i128,
    /// What should be.
    pub overdue_minor: i128,
}

impl PayoutBalance {
    /// What is in none of the columns: the bank has other amounts than the providers say.
    #[must_use]
    pub fn residual_minor(&self) -> i128 {
        self.paid_out_minor - self.arrived_minor - self.on_its_way_minor - self.overdue_minor
    }
}

/// The balance of each currency.
#[must_use]
pub fn balance_of_payouts(found: &[PayoutFound]) -> Vec<PayoutBalance> {
    let mut lines: BTreeMap<Currency, PayoutBalance> = BTreeMap::new();
    for PayoutFound { payout, state } in found {
        let currency = payout.currency;
        let blank =
            PayoutBalance { currency, paid_out_minor: 0, arrived_minor: 0, on_its_way_minor: 0, overdue_minor: 0 };
        let line = lines.entry(currency).or_insert(blank);
        let amount = i128::from(payout.amount_minor);
        line.paid_out_minor += amount;
        match state {
            PayoutState::Arrived | PayoutState::OtherAmount => {
                line.arrived_minor += payout.arrived.as_ref().map_or(0, |it| i128::from(it.amount_minor));
            }
            PayoutState::OnItsWay => line.on_its_way_minor += amount,
            PayoutState::Overdue => line.overdue_minor += amount,
        }
    }
    lines.into_values().collect()
}

impl fmt::Display for PayoutBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |minor: i128| self.currency.display(minor);
        write!(
            f,
            "paid out {} = at the bank {} + on its way {} + overdue {}",
            money(self.paid_out_minor),
            money(self.arrived_minor),
            money(self.on_its_way_minor),
            money(self.overdue_minor)
        )?;
        match self.residual_minor() {
            0 => Ok(()),
            residual => write!(f, ", and {} more", money(residual)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }
    fn eur() -> Currency {
        Currency::parse("EUR").unwrap()
    }
    fn payout(reference: &str, amount_minor: i64, day: i64) -> Payout {
        Payout {
            version: 1,
            provider: "stripe".into(),
            reference: reference.into(),
            remittance: String::new(),
            amount_minor,
            currency: eur(),
            paid_at: at(day),
            run: "r".into(),
            arrived: None,
        }
    }
    fn entry(reference: &str, remittance: &str, amount_minor: i64) -> BankEntry {
        let references = vec![reference.to_owned()];
        BankEntry { references, remittance: remittance.into(), amount_minor, currency: eur(), at: Some(at(3)) }
    }

    #[track_caller]
    fn check(open: &[Payout], entries: &[BankEntry], expected: &[(&str, PayoutState)], balance: &str) {
        let found = find_payouts(open, entries, "s3://b/k", at(5), Duration::from_secs(4 * 86_400));
        let states: Vec<(&str, PayoutState)> =
            found.iter().map(|it| (it.payout.reference.as_str(), it.state)).collect();
        assert_eq!(states, expected);
        assert_eq!(balance_of_payouts(&found)[0].to_string(), balance);
    }

    use PayoutState::{Arrived, OnItsWay, OtherAmount, Overdue};

    #[test]
    fn a_payout_is_one_entry_of_its_reference_and_amount() {
        check(
            &[payout("po_1", 9080, 1)],
            &[entry("po_1", "", 9080), entry("other", "", 9080)],
            &[("po_1", Arrived)],
            "paid out EUR 90.80 = at the bank EUR 90.80 + on its way EUR 0.00 + overdue EUR 0.00",
        );
    }
    #[test]
    fn amount_and_date_never_identify() {
        check(
            &[payout("po_1", 9080, 1)],
            &[entry("po_2", "", 9080)],
            &[("po_1", Overdue)],
            "paid out EUR 90.80 = at the bank EUR 0.00 + on its way EUR 0.00 + overdue EUR 90.80",
        );
    }
    #[test]
    fn what_was_sent_lately_is_on_its_way() {
        check(
            &[payout("po_1", 100, 4)],
            &[],
            &[("po_1", OnItsWay)],
            "paid out EUR 1.00 = at the bank EUR 0.00 + on its way EUR 1.00 + overdue EUR 0.00",
        );
    }
    #[test]
    fn another_amount_is_told_and_does_not_balance() {
        check(
            &[payout("po_1", 9080, 1)],
            &[entry("po_1", "", 9000)],
            &[("po_1", OtherAmount)],
            "paid out EUR 90.80 = at the bank EUR 90.00 + on its way EUR 0.00 + overdue EUR 0.00, and EUR 0.80 more",
        );
    }
    #[test]
    fn an_entry_is_one_payouts_and_the_one_of_its_amount_first() {
        check(
            &[payout("payout-7", 50, 1), payout("payout-7x", 70, 1)],
            &[entry("", "transfer payout-7x", 70), entry("", "transfer payout-7", 50)],
            &[("payout-7", Arrived), ("payout-7x", Arrived)],
            "paid out EUR 1.20 = at the bank EUR 1.20 + on its way EUR 0.00 + overdue EUR 0.00",
        );
    }
    #[test]
    fn a_short_reference_is_not_looked_for_inside_a_text() {
        check(
            &[payout("po_1", 50, 1)],
            &[entry("", "depo_1234", 50)],
            &[("po_1", Overdue)],
            "paid out EUR 0.50 = at the bank EUR 0.00 + on its way EUR 0.00 + overdue EUR 0.50",
        );
    }

    /// A row of a file: its payout's own, by an amount of minor units, or a payment's, by what it leaves in trillionths.
    fn row<'a>(own: Option<i64>, names: [&'a str; 4], net: i128, currency: &str, day: i64) -> PaidRow<'a> {
        let [reference, payout, text, batch] = names;
        let currency = Currency::parse(currency).unwrap();
        PaidRow {
            is_payout: own.is_some(),
            reference,
            payout,
            text,
            batch,
            amount_minor: own.unwrap_or(0),
            currency,
            net: own.is_none().then_some((net, currency)),
            at: Some(at(day)),
        }
    }
    fn own<'a>(minor: i64, names: [&'a str; 4]) -> PaidRow<'a> {
        row(Some(minor), names, 0, "EUR", 3)
    }
    fn part<'a>(payout: &'a str, net: i128, currency: &str) -> PaidRow<'a> {
        row(None, ["ch_1", payout, "order-1", "b"], net, currency, 2)
    }

    #[track_caller]
    fn check_paid(rows: &[PaidRow<'_>], expected: &[(&str, &str, i64)]) {
        let mut payouts = Payouts::default();
        rows.iter().for_each(|row| payouts.add(row));
        let paid = payouts.paid("stripe", "r", at(9));
        let found: Vec<(&str, &str, i64)> =
            paid.iter().map(|it| (it.reference.as_str(), it.remittance.as_str(), it.amount_minor)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_payouts_own_row_says_what_leaves() {
        check_paid(&[own(-9_800, ["po_1", "po_1", "", ""])], &[("po_1", "", 9_800)]);
        check_paid(&[own(-9_800, ["", "", "TX1, batch 7", "7"])], &[("TX1, batch 7", "TX1, batch 7", 9_800)]);
        check_paid(&[own(-9_800, ["", "", "", "7"])], &[("7", "", 9_800)]);
        check_paid(&[own(-9_800, ["", "", "", ""])], &[]);
    }
    #[test]
    fn its_own_row_counts_and_not_its_payments_beside_it() {
        let parts = part("po_1", 50_000_000_000_000, "EUR");
        check_paid(&[parts, own(-4_800, ["po_1", "po_1", "", ""])], &[("po_1", "", 4_800)]);
    }
    #[test]
    fn rows_of_one_payout_are_added_up_and_what_came_back_is_nothing() {
        check_paid(&[own(-500, ["po_1", "", "", ""]), own(-20, ["po_1", "", "", ""])], &[("po_1", "", 520)]);
        check_paid(&[own(-500, ["po_1", "", "", ""]), own(500, ["po_1", "", "", ""])], &[]);
    }
    #[test]
    fn without_a_row_of_its_own_it_is_what_its_payments_leave_rounded_once() {
        let rows = [part("po_2", 48_995_000_000_000, "EUR"), part("po_2", 9_995_000_000_000, "EUR")];
        check_paid(&rows, &[("po_2", "", 5_899)]);
        check_paid(&[part("", 1_000_000_000_000, "EUR")], &[]);
    }
    #[test]
    fn currencies_of_one_payout_stay_apart() {
        let rows = [part("po_2", 1_000_000_000_000, "EUR"), part("po_2", 905_400_000_000_000, "JPY")];
        check_paid(&rows, &[("po_2", "", 100), ("po_2", "", 905)]);
    }
    #[test]
    fn a_sum_is_rounded_half_away_from_zero() {
        for (trillionths, currency, minor) in [
            (90_804_900_000_000, "EUR", 9_080),
            (90_805_000_000_000, "EUR", 9_081),
            (-90_805_000_000_000, "EUR", -9_081),
            (905_400_000_000_000, "JPY", 905),
            (1_234_500_000_000, "KWD", 1_235),
        ] {
            assert_eq!(minor_of(trillionths, Currency::parse(currency).unwrap()), Some(minor));
        }
        assert_eq!(minor_of(i128::MAX, eur()), None);
    }
}
