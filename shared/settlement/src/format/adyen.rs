//! Adyen's "Settlement details" report: CSV, one file per merchant account and payout batch, or several in one.
//!
//! Source: Adyen's documentation of the report's columns and record types. Columns are found by name, as merchants add and reorder them.

use std::collections::BTreeMap;
use std::io::{BufRead, Seek};

use holdfast_domain::money::Currency;

use super::fault::FormatError;
use super::finding::{Finding, Problem};
use super::table::{Column, Table};
use super::{Fault, Rows, clock};
use crate::currencies::Exponents;
use crate::decimal::{Decimal, NotAnAmount, wide_text};
use crate::record::{Kind, Position, Record, Side};

/// Which of Adyen's references our ledger keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Of the capture or refund itself: the modification's PSP reference. It is unique per movement.
    #[default]
    Modification,
    /// Of the payment. Several captures of one payment share it.
    Payment,
}

/// Types by their lower-case name; the case varies from report to report.
const TYPES: [(&str, Kind); 30] = [
    ("settled", Kind::Capture),
    ("settledexternally", Kind::Capture),
    ("refunded", Kind::Refund),
    ("refundedexternally", Kind::Refund),
    ("chargeback", Kind::Chargeback),
    ("chargebackexternally", Kind::Chargeback),
    ("secondchargeback", Kind::Chargeback),
    ("chargebackreversed", Kind::ChargebackReversal),
    ("chargebackreversedexternally", Kind::ChargebackReversal),
    ("refundedreversed", Kind::RefundReversal),
    ("settledreversed", Kind::CaptureReversal),
    ("settledexternallyreversed", Kind::CaptureReversal),
    ("fee", Kind::Fee),
    ("invoicededuction", Kind::Fee),
    ("misccosts", Kind::Fee),
    ("paymentcost", Kind::Fee),
    ("settlecost", Kind::Fee),
    ("paymentfees", Kind::Fee),
    ("chargebackfee", Kind::Fee),
    ("refundfee", Kind::Fee),
    ("balancetransfer", Kind::Adjustment),
    ("depositcorrection", Kind::Adjustment),
    ("reserveadjustment", Kind::Adjustment),
    ("manualcorrected", Kind::Adjustment),
    ("matchedstatement", Kind::Adjustment),
    ("capturedfailed", Kind::CaptureReversal),
    ("merchantpayout", Kind::Payout),
    ("paidout", Kind::Payout),
    ("paidoutreversed", Kind::Payout),
    ("internalcompanypayout", Kind::Payout),
];

struct Columns {
    account: Column,
    psp: Column,
    merchant: Column,
    created: Column,
    zone: Column,
    kind: Column,
    modification: Column,
    gross_currency: Column,
    gross: [Column; 2],
    net_currency: Column,
    net: [Column; 2],
    fees: [Column; 4],
    batch: Column,
    booked: Option<(Column, Option<Column>)>,
}

/// A settlement detail report being read.
pub struct SettlementDetails<R> {
    table: Table<R>,
    columns: Columns,
    identity: Identity,
    exponents: Exponents,
    records: u64,
    last_kind: (Vec<u8>, Kind),
    last_zone: (String, i64),
    batch: Batch,
    done: BTreeMap<(String, String), Batch>,
    findings: Vec<Finding>,
    facts_only: bool,
}

/// What the rows of one batch sum to.
#[derive(Clone, Default)]
struct Batch {
    key: Option<(Vec<u8>, Vec<u8>)>,
    line: u64,
    /// Per net currency: rows without payouts, and payouts, widened.
    sums: Vec<(Currency, i128, i128, bool)>,
}

impl<R: BufRead> SettlementDetails<R> {
    /// Reads the header. `file` is the name that errors and findings carry.
    pub fn open(file: &str, from: R, identity: Identity) -> Result<Self, FormatError> {
        let table = Table::open(file, from, b',')?;
        let column = |name: &str| table.column(name);
        let booked = match table.optional("Booking Date")? {
            Some(date) => Some((date, table.optional("Booking Date TimeZone")?)),
            None => None,
        };
        let columns = Columns {
            account: column("Merchant Account")?,
            psp: column("Psp Reference")?,
            merchant: column("Merchant Reference")?,
            created: column("Creation Date")?,
            zone: column("TimeZone")?,
            kind: column("Type")?,
            modification: column("Modification Reference")?,
            gross_currency: column("Gross Currency")?,
            gross: [column("Gross Debit (GC)")?, column("Gross Credit (GC)")?],
            net_currency: column("Net Currency")?,
            net: [column("Net Debit (NC)")?, column("Net Credit (NC)")?],
            fees: [
                column("Commission (NC)")?,
                column("Markup (NC)")?,
                column("Scheme Fees (NC)")?,
                column("Interchange (NC)")?,
            ],
            batch: column("Batch Number")?,
            booked,
        };
        Ok(Self {
            table,
            columns,
            identity,
            exponents: Exponents::adyen(),
            records: 0,
            last_kind: (Vec::new(), Kind::Capture),
            last_zone: ("UTC".to_owned(), 0),
            batch: Batch::default(),
            done: BTreeMap::new(),
            findings: Vec::new(),
            facts_only: false,
        })
    }

    fn kind(&mut self) -> Result<Kind, FormatError> {
        let found = self.table.bytes(&self.columns.kind);
        if found == self.last_kind.0 {
            return Ok(self.last_kind.1);
        }
        let known = TYPES.iter().find(|(name, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        let Some((_, kind)) = known else { return Err(self.table.unknown_type(&self.columns.kind)) };
        self.last_kind = (found.to_vec(), *kind);
        Ok(*kind)
    }

    /// Reads the present row.
    fn take(&mut self, into: &mut Record) -> Result<(), FormatError> {
        self.table.begin(into);
        into.side = Side::Network;
        into.kind = self.kind()?;
        let account_row = into.kind == Kind::Payout || into.kind.family() == crate::record::Family::Account;
        if self.facts_only && !account_row {
            return self.take_facts(into);
        }
        let columns = &self.columns;
        let net_currency = self.table.currency(&columns.net_currency)?;
        let (debit, credit) = (self.table.decimal(&columns.net[0])?, self.table.decimal(&columns.net[1])?);
        let net = credit.checked_add(debit.negated()).ok_or_else(|| too_large(&self.table, &columns.net[1]))?;
        let of_net = account_row && self.table.bytes(&columns.gross_currency).is_empty();
        if of_net {
            into.currency = net_currency;
            into.amount_minor = signed(&self.table, &columns.net, net_currency, &self.exponents)?;
        } else {
            into.currency = self.table.currency(&columns.gross_currency)?;
            into.amount_minor = signed(&self.table, &columns.gross, into.currency, &self.exponents)?;
        }
        let mut fee = Decimal::ZERO;
        for column in &columns.fees {
            fee = fee.checked_add(self.table.decimal(column)?).ok_or_else(|| too_large(&self.table, column))?;
        }
        into.fee = Some(fee);
        into.net = Some((net, net_currency));
        let table = &self.table;
        table.append(&columns.psp, &mut into.group_ref);
        self.name(into);
        if table.bytes(&columns.zone) != self.last_zone.0.as_bytes() {
            self.last_zone = (table.text(&columns.zone).to_owned(), east(table, &columns.zone)?);
        }
        let east = self.last_zone.1;
        into.at = table.time(&columns.created, east)?;
        if let Some((date, zone)) = &columns.booked {
            let east = zone.as_ref().map_or(Ok(east), |zone| self::east(table, zone))?;
            into.booked_at = table.time(date, east)?;
        }
        table.append(&columns.batch, &mut into.batch);
        self.count(into.kind, net_currency, net.widened())
    }

    /// The references by which the row is matched.
    #[inline]
    fn name(&self, into: &mut Record) {
        let (table, columns) = (&self.table, &self.columns);
        table.append(&columns.merchant, &mut into.merchant_ref);
        match self.identity {
            Identity::Modification if !table.bytes(&columns.modification).is_empty() => {
                table.append(&columns.modification, &mut into.event_ref);
            }
            Identity::Modification | Identity::Payment => table.append(&columns.psp, &mut into.event_ref),
        }
    }

    /// What a fingerprint needs of a payment's row.
    fn take_facts(&mut self, into: &mut Record) -> Result<(), FormatError> {
        into.currency = self.table.currency(&self.columns.gross_currency)?;
        into.amount_minor = signed(&self.table, &self.columns.gross, into.currency, &self.exponents)?;
        self.name(into);
        Ok(())
    }

    /// Adds the row to its batch, and looks at the numbers of the batches.
    fn count(&mut self, kind: Kind, currency: Currency, net: i128) -> Result<(), FormatError> {
        let (account, number) = (self.table.bytes(&self.columns.account), self.table.bytes(&self.columns.batch));
        let same = self.batch.key.as_ref().is_some_and(|(a, n)| a == account && n == number);
        if !same {
            let key = (account.to_vec(), number.to_vec());
            self.close_batch();
            self.begin_batch(key)?;
        }
        let place = self.batch.sums.iter().position(|(of, ..)| *of == currency);
        let sum = match place {
            Some(place) => &mut self.batch.sums[place],
            None => {
                self.batch.sums.push((currency, 0, 0, false));
                let last = self.batch.sums.len() - 1;
                &mut self.batch.sums[last]
            }
        };
        if kind == Kind::Payout {
            sum.2 += net;
            sum.3 = true;
        } else {
            sum.1 += net;
        }
        Ok(())
    }

    fn begin_batch(&mut self, key: (Vec<u8>, Vec<u8>)) -> Result<(), FormatError> {
        let account = String::from_utf8_lossy(&key.0).into_owned();
        let Some(number) = clock::number(&key.1).filter(|_| !key.1.is_empty()) else {
            return Err(self.table.fault(Fault::UnknownType {
                column: self.columns.batch.name.clone(),
                found: super::fault::excerpt(&key.1),
            }));
        };
        let line = self.table.place().line;
        let text = (account.clone(), String::from_utf8_lossy(&key.1).into_owned());
        if let Some(begun) = self.done.remove(&text) {
            self.note(Problem::BatchAgain { account, batch: number.unsigned_abs() });
            self.batch = begun;
        } else {
            self.batch = Batch { key: Some(key), line, sums: Vec::new() };
        }
        Ok(())
    }

    fn close_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some((account, number)) = &batch.key {
            let key = (String::from_utf8_lossy(account).into_owned(), String::from_utf8_lossy(number).into_owned());
            self.done.insert(key, batch);
        }
    }

    fn note(&mut self, problem: Problem) {
        let line = self.table.place().line;
        self.findings.push(Finding { file: self.table.file.clone(), line, problem });
    }
}

impl<R: BufRead> Rows for SettlementDetails<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        if !self.table.next()? {
            self.close_batch();
            return self.table.end(self.records);
        }
        self.take(into)?;
        self.records += 1;
        Ok(true)
    }

    fn facts_only(&mut self) {
        self.facts_only = true;
    }

    fn findings(&mut self) -> Vec<Finding> {
        let mut found = std::mem::take(&mut self.findings);
        let file = &self.table.file;
        let mut note = |line, problem| found.push(Finding { file: file.clone(), line, problem });
        let mut before: Option<(&str, u64)> = None;
        let mut numbers: Vec<(&str, u64, &Batch)> =
            self.done.iter().map(|((account, n), batch)| (account.as_str(), n.parse().unwrap_or(0), batch)).collect();
        numbers.sort_by_key(|(account, number, _)| (*account, *number));
        for (account, number, batch) in numbers {
            if let Some((_, after)) = before.filter(|(of, after)| *of == account && after + 1 != number) {
                note(batch.line, Problem::BatchGap { account: account.to_owned(), after, before: number });
            }
            before = Some((account, number));
            let of = format!("batch {number} of {account}");
            for (currency, rows, payouts, paid) in &batch.sums {
                if !paid {
                    note(batch.line, Problem::NoPayout { of: of.clone() });
                } else if rows + payouts != 0 {
                    let (rows, says) = (wide_text(*rows, 0), wide_text(-payouts, 0));
                    note(
                        batch.line,
                        Problem::ControlTotal { of: of.clone(), currency: currency.to_string(), rows, says },
                    );
                }
            }
        }
        found
    }
}

impl<R: BufRead + Seek> super::Fetch for SettlementDetails<R> {
    fn read_at(&mut self, place: Position, into: &mut Record) -> Result<bool, FormatError> {
        self.table.seek(place)?;
        if !self.table.next()? {
            return Ok(false);
        }
        self.take(into)?;
        Ok(true)
    }
}

fn too_large<R: BufRead>(table: &Table<R>, column: &Column) -> FormatError {
    table.no_amount(column, "any currency", NotAnAmount::TooLarge)
}

/// Credit less debit, in minor units.
fn signed<R: BufRead>(
    table: &Table<R>,
    [debit, credit]: &[Column; 2],
    currency: Currency,
    exponents: &Exponents,
) -> Result<i64, FormatError> {
    let (debit_minor, credit_minor) =
        (table.minor(debit, currency, exponents)?, table.minor(credit, currency, exponents)?);
    credit_minor
        .checked_sub(debit_minor)
        .ok_or_else(|| table.no_amount(credit, &currency.to_string(), NotAnAmount::TooLarge))
}

fn east<R: BufRead>(table: &Table<R>, zone: &Column) -> Result<i64, FormatError> {
    let name = table.text(zone);
    clock::offset(name).ok_or_else(|| {
        table.fault(Fault::Time {
            column: zone.name.clone(),
            found: super::fault::excerpt(name.as_bytes()),
            expected: "a zone with one offset, such as UTC, CET or PDT",
        })
    })
}
