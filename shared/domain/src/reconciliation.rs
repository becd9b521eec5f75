//! What reconcile-ledger tells, and the list of attempts that nobody knows the outcome of.
//!
//! The list is for the payments tier: who asks about a key that stands on it is told "in doubt, retry after", and is not charged
//! on a maybe.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

mod open_payment;
mod pace;
mod payout;
mod unfinished;

pub use open_payment::{
    CARRIED_FOR, CARRIED_MAX, Carried, Closed, Closing, Judged, OpenPayment, OpenPayments, SETTLES_WITHIN, Said, carry,
    name_of_payment,
};
pub use pace::Pace;
pub use payout::{
    Arrival, BankEntry, PaidRow, Payout, PayoutBalance, PayoutFound, PayoutState, Payouts, balance_of_payouts,
    find_payouts,
};
pub use unfinished::{INVOCATIONS_MAX, RUNS_MAX, Turn, UNFINISHED_MAX, Unfinished, UnfinishedRuns};

use crate::attempt::Window;
use crate::money::{Currency, Totals};
use crate::{Region, Timestamp};

/// What is laid side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Attempts and the promoted ledger: what was acknowledged and is not there.
    Now,
    /// Ledger, attempts and the card network's file.
    Clearing,
    /// The old volume and the new ledger.
    Salvage,
}

/// A step of a reconciliation that is spread over many invocations. Each may be repeated, and comes to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardStep {
    /// Reads the file once and cuts it: settlement date by slice of merchants' keys.
    Plan,
    /// Adds one shard up.
    Sums,
    /// Adds all sums up: what does not cancel is looked at again.
    Narrow,
    /// Picks out of one shard what did not cancel.
    Rows,
    /// Matches what was picked, and tells what the whole comes to.
    Merge,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "now",
            Self::Clearing => "clearing",
            Self::Salvage => "salvage",
        })
    }
}

/// What a run came to, as it crosses the bus. Its report has the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Which pass.
    pub pass: Pass,
    /// What it was about: an incident such as `e7`, a file's digest, or when it was asked for.
    pub run: String,
    /// Where it ran.
    pub region: Region,
    /// What came of it.
    pub finding: Finding,
    /// Where the report is, as `s3://` address; absent where nothing could be written.
    pub report: Option<String>,
    /// When it was made.
    pub at: Timestamp,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Everything was read.
    Complete(Box<Found>),
    /// It was not, and nothing may be concluded: never "no differences".
    Unknown {
        /// Why not.
        why: String,
        /// Where it can go on, in words.
        resume: String,
    },
}

/// What was found by a run that read everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The stretch of time whose attempts or bookings were looked at.
    pub window: Option<Window>,
    /// Why there may be more than was found; absent where what was found is all.
    pub at_least: Option<String>,
    /// Acknowledged, and not in the ledger.
    pub lost: Totals,
    /// Their keys, the first [`KEYS_SHOWN`].
    pub lost_keys: Vec<String>,
    /// Begun, and nobody knows how they ended.
    pub in_doubt: Totals,
    /// Their keys, the first [`KEYS_SHOWN`].
    pub in_doubt_keys: Vec<String>,
    /// Everything else that does not match, by its name.
    pub others: BTreeMap<String, u64>,
    /// Entries that are proposed; none is ever posted by us.
    pub proposed: u64,
    /// Refunds that are proposed, among them.
    pub refunds: u64,
    /// A sentence for each currency: whether the sides balance once what is proposed is counted.
    pub balance: Vec<String>,
    /// Whether they all do.
    pub balanced: bool,
    /// What the files say about themselves that does not add up.
    pub findings: Vec<String>,
}

/// Keys that an event names; the report has all of them. An event has room for 256 KB.
pub const KEYS_SHOWN: usize = 100;

impl Found {
    /// Whether nobody needs to do anything.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost.count == 0
            && self.in_doubt.count == 0
            && self.others.is_empty()
            && self.balanced
            && self.findings.is_empty()
            && self.at_least.is_none()
    }

    /// Adds a payment that was acknowledged and is not in the ledger.
    pub fn lose(&mut self, key: &str, currency: Currency, amount_minor: i64) {
        self.lost.add(currency, amount_minor);
        show(&mut self.lost_keys, key);
    }

    /// Adds an attempt whose outcome nobody knows.
    pub fn doubt(&mut self, key: &str, currency: Currency, amount_minor: i64) {
        self.in_doubt.add(currency, amount_minor);
        show(&mut self.in_doubt_keys, key);
    }
}

fn show(keys: &mut Vec<String>, key: &str) {
    if keys.len() < KEYS_SHOWN {
        keys.push(key.to_owned());
    }
}

impl Summary {
    /// Whether this says anything that the earlier one did not.
    #[must_use]
    pub fn is_news_after(&self, earlier: Option<&Self>) -> bool {
        let Some(earlier) = earlier else { return true };
        let same = match (&self.finding, &earlier.finding) {
            (Finding::Complete(now), Finding::Complete(before)) => {
                // What was looked at grows with the clock, and is no news.
                let window = now.window;
                **now == Found { window, ..(**before).clone() }
            }
            (Finding::Unknown { .. }, Finding::Unknown { .. }) => true,
            (Finding::Complete(_), Finding::Unknown { .. }) | (Finding::Unknown { .. }, Finding::Complete(_)) => false,
        };
        !same
    }

    /// Whether another run about the same may find more: not everything was read, or something is in doubt.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.finding {
            Finding::Complete(found) => found.in_doubt.count > 0,
            Finding::Unknown { .. } => true,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger, pass {} of {}: ", self.pass, self.run)?;
        match (self.pass, &self.finding) {
            (Pass::Salvage, Finding::Complete(found)) => write!(f, "{}", OfOldVolume(found)),
            (Pass::Now | Pass::Clearing | Pass::Salvage, finding) => write!(f, "{finding}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(found) => write!(f, "{found}"),
            Self::Unknown { why, resume } => write!(f, "unknown ({why}); it can go on from {resume}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at_least.is_some() {
            f.write_str("at least ")?;
        }
        write!(f, "{} acknowledged and not in the ledger", self.lost)?;
        if self.in_doubt.count > 0 {
            write!(f, "; {} in doubt", self.in_doubt.count)?;
        }
        for (what, count) in &self.others {
            write!(f, "; {count} {what}")?;
        }
        if !self.balanced {
            f.write_str("; the sides do NOT balance")?;
        }
        match self.findings.len() {
            0 => Ok(()),
            findings => write!(f, "; {findings} findings about the files"),
        }
    }
}

/// What a look into the old volume came to: it stands in the network's place, and its words would mislead.
pub struct OfOldVolume<'a>(pub &'a Found);

impl fmt::Display for OfOldVolume<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found) = self;
        if found.at_least.is_some() {
            f.write_str("at least ")?;
        }
        write!(f, "the old volume has {} acknowledged and not in the new ledger", found.lost)?;
        for (what, count) in &found.others {
            match what.as_str() {
                "NetworkOnly" => write!(f, "; {count} more that the new ledger lacks and that no attempt tells of")?,
                "LedgerOnly" => write!(f, "; {count} of the same keys that only the new ledger has")?,
                "ChargedInDoubt" => write!(f, "; {count} that were begun, never acknowledged, and booked there")?,
                _ => write!(f, "; {count} {what}, where the old volume stands for the network")?,
            }
        }
        if !found.balanced {
            f.write_str("; old volume and ledger do NOT balance")?;
        }
        Ok(())
    }
}

/// A file that could not be used, and was put aside whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// The object, as `s3://` address. It is never deleted.
    pub object: String,
    /// A digest of its bytes.
    pub digest: String,
    /// What is wrong, with line and byte.
    pub problem: String,
    /// Where a copy was put aside; absent where that failed, and the original is all there is.
    pub quarantined_as: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An attempt that the outage left without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InDoubt {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The merchant's key.
    pub key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// The Region that began it.
    pub region: Region,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// The run that listed it.
    pub run: String,
    /// Who asks is told to come back then.
    pub retry_after: Timestamp,
    /// How it ended, once a pass knows.
    pub settled: Option<Fate>,
}

/// How an attempt in doubt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The ledger has it.
    Booked,
    /// It was acknowledged: whoever asks is told so.
    Acknowledged,
    /// The card network charged it.
    Charged,
    /// The card network's complete file does not have it: it may be tried again.
    NeverCharged,
}

/// An attempt that a pass finds in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The merchant's key.
    pub key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// The Region that began it.
    pub region: Region,
    /// When.
    pub begun_at: Timestamp,
}

/// What must be written so that the list says what a pass has found: new doubts, and those that it settles.
///
/// A key that the pass has not looked at stays as it is. What is settled stays settled.
#[must_use]
pub fn changes_of_list(
    listed: &[InDoubt],
    doubts: &[Doubt],
    fates: &BTreeMap<String, Fate>,
    run: &str,
    retry_after: Timestamp,
) -> Vec<InDoubt> {
    let known: BTreeSet<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
    let settled = listed.iter().filter(|entry| entry.settled.is_none()).filter_map(|entry| {
        let fate = *fates.get(&entry.key)?;
        Some(InDoubt { version: entry.version + 1, settled: Some(fate), ..entry.clone() })
    });
    let fresh = doubts.iter().filter(|doubt| !known.contains(doubt.key.as_str())).map(|doubt| InDoubt {
        version: 1,
        key: doubt.key.clone(),
        amount_minor: doubt.amount_minor,
        currency: doubt.currency,
        region: doubt.region.clone(),
        begun_at: doubt.begun_at,
        run: run.to_owned(),
        retry_after,
        settled: None,
    });
    settled.chain(fresh).collect()
}

/// What the coordination table remembers of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// What it came to last.
    pub summary: Summary,
}

/// What the coordination table remembers of a file, by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// A digest of its bytes.
    pub digest: String,
    /// The object that had these bytes first, as `s3://` address.
    pub object: String,
    /// What was wrong with it; absent where it was settled.
    pub refused: Option<String>,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
    fn eur() -> Currency {
        Currency::parse("EUR").unwrap()
    }
    fn doubt(key: &str) -> Doubt {
        let region = Region::new("eu-west-1").unwrap();
        Doubt { key: key.into(), amount_minor: 100, currency: eur(), region, begun_at: at(1) }
    }
    fn listed(key: &str, version: u64, settled: Option<Fate>) -> InDoubt {
        let fresh = changes_of_list(&[], &[doubt(key)], &BTreeMap::new(), "e1", at(9));
        InDoubt { version, settled, ..fresh[0].clone() }
    }

    #[track_caller]
    fn check(list: &[InDoubt], doubts: &[&str], fates: &[(&str, Fate)], expected: &[(&str, u64, Option<Fate>)]) {
        let doubts: Vec<Doubt> = doubts.iter().map(|key| doubt(key)).collect();
        let fates: BTreeMap<String, Fate> = fates.iter().map(|(key, fate)| ((*key).to_owned(), *fate)).collect();
        let changes = changes_of_list(list, &doubts, &fates, "e1", at(9));
        let found: Vec<(&str, u64, Option<Fate>)> =
            changes.iter().map(|entry| (entry.key.as_str(), entry.version, entry.settled)).collect();
        assert_eq!(found, expected);
        // A second look with the list as it then is changes nothing.
        let mut after: BTreeMap<String, InDoubt> = list.iter().map(|it| (it.key.clone(), it.clone())).collect();
        after.extend(changes.into_iter().map(|it| (it.key.clone(), it)));
        let after: Vec<InDoubt> = after.into_values().collect();
        assert_eq!(changes_of_list(&after, &doubts, &fates, "e1", at(9)), []);
    }

    #[test]
    fn a_new_doubt_is_listed_once() {
        check(&[], &["a"], &[], &[("a", 1, None)]);
        check(&[listed("a", 1, None)], &["a"], &[], &[]);
    }
    #[test]
    fn a_doubt_is_settled_by_the_pass_that_knows_its_fate() {
        check(&[listed("a", 1, None)], &[], &[("a", Fate::Booked)], &[("a", 2, Some(Fate::Booked))]);
    }
    #[test]
    fn what_a_pass_has_not_looked_at_stays_in_doubt() {
        check(&[listed("a", 1, None)], &["b"], &[("c", Fate::Charged)], &[("b", 1, None)]);
    }
    #[test]
    fn what_is_settled_stays_settled() {
        check(&[listed("a", 2, Some(Fate::Booked))], &["a"], &[("a", Fate::NeverCharged)], &[]);
    }

    fn summary(finding: Finding) -> Summary {
        let region = Region::new("eu-west-2").unwrap();
        Summary { pass: Pass::Now, run: "e1".into(), region, finding, report: None, at: at(5) }
    }

    #[test]
    fn a_run_says_in_one_sentence_what_it_found_and_crosses_the_bus_with_its_sums() {
        let mut found = Found { balanced: true, ..Found::default() };
        found.lose("a", eur(), 5495);
        found.doubt("b", eur(), 100);
        let said = summary(Finding::Complete(Box::new(found)));
        assert_eq!(
            said.to_string(),
            "ledger, pass now of e1: 1 payment, EUR 54.95 acknowledged and not in the ledger; 1 in doubt"
        );
        let json = serde_json::to_string(&said).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), said);
    }
    #[test]
    fn a_look_into_the_old_volume_says_what_the_new_ledger_lacks() {
        let mut found = Found { balanced: true, ..Found::default() };
        found.lose("a", eur(), 5495);
        found.others.insert("NetworkOnly".into(), 2);
        let said = Summary { pass: Pass::Salvage, ..summary(Finding::Complete(Box::new(found))) };
        assert_eq!(
            said.to_string(),
            "ledger, pass salvage of e1: the old volume has 1 payment, EUR 54.95 acknowledged and not in the new \
             ledger; 2 more that the new ledger lacks and that no attempt tells of"
        );
    }
    #[test]
    fn a_run_that_was_cut_short_is_unknown_and_open_and_never_clean() {
        let cut = summary(Finding::Unknown { why: "the time is up".into(), resume: "row 7 of ledger".into() });
        assert_eq!(
            cut.to_string(),
            "ledger, pass now of e1: unknown (the time is up); it can go on from row 7 of ledger"
        );
        assert!(cut.is_open());
    }
    #[test]
    fn only_what_differs_from_the_last_time_is_news() {
        let clean = || Found { balanced: true, ..Found::default() };
        let complete = |found| summary(Finding::Complete(Box::new(found)));
        let unknown = summary(Finding::Unknown { why: "w".into(), resume: "r".into() });
        let later = Found { window: Some(Window { from: at(0), to: at(9) }), ..clean() };
        let mut lost = clean();
        lost.lose("a", eur(), 1);
        assert!(complete(clean()).is_news_after(None));
        assert!(!complete(later).is_news_after(Some(&complete(clean()))));
        assert!(complete(lost).is_news_after(Some(&complete(clean()))));
        assert!(complete(clean()).is_news_after(Some(&unknown)));
        assert!(!unknown.is_news_after(Some(&unknown)));
    }
    #[test]
    fn sides_that_do_not_balance_are_not_clean() {
        assert!(Found { balanced: true, ..Found::default() }.is_clean());
        assert!(!Found::default().is_clean());
        assert!(!Found { balanced: true, at_least: Some("MREC".into()), ..Found::default() }.is_clean());
    }
}
