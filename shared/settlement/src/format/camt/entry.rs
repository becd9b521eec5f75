//! One entry of a bank's message, and the statement that it stands in.

use holdfast_domain::Timestamp;
use holdfast_domain::money::Currency;

use crate::currencies::{self, Exponents};
use crate::decimal::{Decimal, wide_text};
use crate::format::clock;
use crate::format::fault::{Fault, excerpt};
use crate::format::finding::Problem;
use crate::record::{Kind, Position, Record, Side, Status};

/// A statement's balances and what its booked entries sum to.
#[derive(Default)]
pub(super) struct Statement {
    pub(super) name: String,
    balance: Money,
    code: String,
    opening: Option<(i128, Currency)>,
    closing: Option<(i128, Currency)>,
    /// Booked entries in the first entry's currency, widened; `None` once currencies mix.
    moved: Option<i128>,
    moved_in: Option<Currency>,
    mixed: bool,
}

/// An amount without its side yet.
#[derive(Clone, Default)]
struct Money {
    amount: Option<(Decimal, Currency)>,
    text: String,
    debit: Option<bool>,
}

impl Money {
    fn take(&mut self, text: &str, currency: Option<&str>) -> Result<(), Fault> {
        let code = currency.ok_or(Fault::NoElement { element: "Ccy", inside: "Amt" })?;
        let unknown = || Fault::UnknownCurrency { found: excerpt(code.as_bytes()) };
        let currency = currencies::by_code(code.as_bytes()).ok_or_else(unknown)?;
        let decimal = Decimal::parse(text.as_bytes()).map_err(|why| no_amount(text, currency, why))?;
        self.amount = Some((decimal, currency));
        text.clone_into(&mut self.text);
        Ok(())
    }

    fn take_side(&mut self, text: &str) -> Result<(), Fault> {
        self.debit = Some(match text {
            "CRDT" => false,
            "DBIT" => true,
            _ => return Err(Fault::UnknownType { column: "CdtDbtInd".to_owned(), found: excerpt(text.as_bytes()) }),
        });
        Ok(())
    }

    fn widened(&self) -> Option<(i128, Currency)> {
        let (decimal, currency) = self.amount?;
        Some((if self.debit? { -decimal.widened() } else { decimal.widened() }, currency))
    }
}

fn no_amount(text: &str, currency: Currency, why: crate::decimal::NotAnAmount) -> Fault {
    Fault::Amount { column: "Amt".to_owned(), found: excerpt(text.as_bytes()), currency: currency.to_string(), why }
}

impl Statement {
    pub(super) fn take_balance(&mut self, inside: &[&str], text: &str, currency: Option<&str>) -> Result<(), Fault> {
        match inside {
            ["Tp", "CdOrPrtry", "Cd"] => text.clone_into(&mut self.code),
            ["Amt"] => self.balance.take(text, currency)?,
            ["CdtDbtInd"] => self.balance.take_side(text)?,
            [] => {
                let balance = std::mem::take(&mut self.balance).widened();
                match std::mem::take(&mut self.code).as_str() {
                    "OPBD" | "PRCD" => self.opening = balance,
                    "CLBD" => self.closing = balance,
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn book(&mut self, money: (i128, Currency)) {
        let same = *self.moved_in.get_or_insert(money.1) == money.1;
        self.mixed |= !same;
        self.moved = Some(self.moved.unwrap_or(0) + money.0);
    }

    /// What does not add up. Only a statement has balances: a notification is not asked for them.
    pub(super) fn check(&self, has_balances: bool) -> Option<Problem> {
        let of = self.name.clone();
        match (self.opening, self.closing) {
            (Some((opening, opens_in)), Some((closing, closes_in))) => {
                let expected = opening + self.moved.unwrap_or(0);
                let one_currency =
                    opens_in == closes_in && !self.mixed && self.moved_in.is_none_or(|of| of == opens_in);
                let expected_text = format!("{opens_in} {}", wide_text(expected, 0));
                let closing_text = format!("{closes_in} {}", wide_text(closing, 0));
                (!one_currency || expected != closing).then_some(Problem::Balance {
                    of,
                    expected: expected_text,
                    closing: closing_text,
                })
            }
            (None, _) | (_, None) => has_balances.then_some(Problem::NoBalance { of }),
        }
    }
}

/// An entry between its first and its last element.
#[derive(Default)]
pub(super) struct Entry {
    money: Money,
    status: String,
    booked: String,
    valued: String,
    reference: String,
    details: Vec<Details>,
}

/// One transaction of an entry.
#[derive(Default)]
struct Details {
    money: Money,
    end_to_end: String,
    instruction: String,
    transaction: String,
    uetr: String,
    servicer: String,
    remittance: String,
}

impl Entry {
    pub(super) fn begin_details(&mut self) {
        self.details.push(Details::default());
    }

    pub(super) fn take(&mut self, inside: &[&str], text: &str, currency: Option<&str>) -> Result<(), Fault> {
        match inside {
            ["Amt"] => self.money.take(text, currency)?,
            ["CdtDbtInd"] => self.money.take_side(text)?,
            ["Sts"] if !text.is_empty() => text.clone_into(&mut self.status),
            ["Sts", "Cd"] => text.clone_into(&mut self.status),
            ["BookgDt", "Dt" | "DtTm"] => text.clone_into(&mut self.booked),
            ["ValDt", "Dt" | "DtTm"] => text.clone_into(&mut self.valued),
            ["AcctSvcrRef"] => text.clone_into(&mut self.reference),
            ["NtryDtls", "TxDtls", rest @ ..] => {
                let Some(details) = self.details.last_mut() else { return Ok(()) };
                details.take(rest, text, currency)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The entry as one record; or as one for each transaction, where their amounts are given and sum to the entry's.
    pub(super) fn records(&self, begun: Position, statement: &mut Statement) -> Result<Vec<Record>, Fault> {
        let missing = |element| Fault::NoElement { element, inside: "Ntry" };
        if self.money.amount.is_none() {
            return Err(missing("Amt"));
        }
        let (widened, currency) = self.money.widened().ok_or_else(|| missing("CdtDbtInd"))?;
        let status = match self.status.as_str() {
            "BOOK" => Status::Final,
            "PDNG" | "INFO" | "FUTR" => Status::Pending,
            "" => return Err(missing("Sts")),
            other => return Err(Fault::UnknownType { column: "Sts".to_owned(), found: excerpt(other.as_bytes()) }),
        };
        if status == Status::Final {
            statement.book((widened, currency));
        }
        let mut whole = Record::blank(Side::Network);
        (whole.position, whole.kind, whole.status, whole.currency) = (begun, Kind::Payout, status, currency);
        whole.at = time("ValDt", &self.valued)?;
        whole.booked_at = time("BookgDt", &self.booked)?;
        whole.group_ref.clone_from(&self.reference);
        whole.batch.clone_from(&statement.name);
        let parts: Option<Vec<(i128, Currency)>> = self.details.iter().map(|part| self.part(part).widened()).collect();
        let parts = parts.filter(|parts| parts.len() > 1 && parts.iter().all(|(_, of)| *of == currency));
        let parts = parts.filter(|parts| parts.iter().map(|(amount, _)| amount).sum::<i128>() == widened);
        if parts.is_none() {
            minor(&self.money, &mut whole)?;
            if let Some(details) = self.details.first().filter(|_| self.details.len() == 1) {
                details.name(&mut whole);
            }
            if whole.event_ref.is_empty() {
                whole.event_ref.clone_from(&self.reference);
            }
            return Ok(vec![whole]);
        }
        let each = self.details.iter().zip(0_u64..).map(|(details, place)| {
            let mut record = whole.clone();
            // Each has a place of its own within the entry, so that it can be found again.
            record.position.byte += place;
            minor(&self.part(details), &mut record)?;
            details.name(&mut record);
            Ok(record)
        });
        each.collect()
    }

    /// A transaction's money; where it names no side, the entry's.
    fn part(&self, details: &Details) -> Money {
        let mut money = details.money.clone();
        money.debit = money.debit.or(self.money.debit);
        money
    }
}

fn minor(money: &Money, into: &mut Record) -> Result<(), Fault> {
    let wrong = |why| no_amount(&money.text, into.currency, why);
    let minor = Exponents::iso().minor_of_text(into.currency, money.text.as_bytes()).map_err(wrong)?;
    into.amount_minor = if money.debit == Some(true) { -minor } else { minor };
    Ok(())
}

fn time(column: &str, text: &str) -> Result<Option<Timestamp>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    clock::instant(text, 0).map(Some).ok_or_else(|| Fault::Time {
        column: column.to_owned(),
        found: excerpt(text.as_bytes()),
        expected: "an ISO 8601 date or time",
    })
}

impl Details {
    fn take(&mut self, inside: &[&str], text: &str, currency: Option<&str>) -> Result<(), Fault> {
        match inside {
            ["Amt"] => self.money.take(text, currency)?,
            ["CdtDbtInd"] => self.money.take_side(text)?,
            ["Refs", "EndToEndId"] => text.clone_into(&mut self.end_to_end),
            ["Refs", "InstrId"] => text.clone_into(&mut self.instruction),
            ["Refs", "TxId"] => text.clone_into(&mut self.transaction),
            ["Refs", "UETR"] => text.clone_into(&mut self.uetr),
            ["Refs", "AcctSvcrRef"] => text.clone_into(&mut self.servicer),
            ["RmtInf", "Ustrd"] | ["RmtInf", "Strd", "CdtrRefInf", "Ref"] => text.clone_into(&mut self.remittance),
            _ => {}
        }
        Ok(())
    }

    /// The references, the payer's own first; `NOTPROVIDED` is the rulebook's word for none.
    fn name(&self, record: &mut Record) {
        let said = |text: &&String| !text.is_empty() && *text != "NOTPROVIDED";
        let references = [&self.end_to_end, &self.instruction, &self.transaction, &self.uetr, &self.servicer];
        if let Some(reference) = references.into_iter().find(said) {
            record.event_ref.clone_from(reference);
        }
        record.merchant_ref.clone_from(&self.remittance);
    }
}
