//! What a file says about itself that does not add up, though every row of it can be read.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something about a file that a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Where, as far as there is a place.
    pub line: u64,
    /// What.
    pub problem: Problem,
}

/// What does not add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Problem {
    /// The rows of a batch or payout are not what was paid out.
    ControlTotal {
        /// The batch, payout or statement.
        of: String,
        /// The currency.
        currency: String,
        /// Sum of the rows, as decimal text.
        rows: String,
        /// What the file says it is.
        says: String,
    },
    /// Batch numbers are consecutive: a file is missing.
    BatchGap {
        /// The merchant account.
        account: String,
        /// The batch before the gap.
        after: u64,
        /// The batch after the gap.
        before: u64,
    },
    /// A batch begins again after another one: a file was glued together, or read twice.
    BatchAgain {
        /// The merchant account.
        account: String,
        /// The batch.
        batch: u64,
    },
    /// A batch has rows but no payout row.
    NoPayout {
        /// The batch.
        of: String,
    },
    /// The opening and closing balances and the entries between do not add up.
    Balance {
        /// The statement.
        of: String,
        /// Opening balance and entries.
        expected: String,
        /// Closing balance.
        closing: String,
    },
    /// A statement without opening or closing balance: nothing checks that it is whole.
    NoBalance {
        /// The statement.
        of: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: ", self.file, self.line)?;
        match &self.problem {
            Problem::ControlTotal { of, currency, rows, says } => {
                write!(f, "the rows of {of} sum to {currency} {rows}, and the file says {says}")
            }
            Problem::BatchGap { account, after, before } => write!(
                f,
                "batch {before} of {account} follows batch {after}: {} missing; fetch what is between",
                before.saturating_sub(*after).saturating_sub(1)
            ),
            Problem::BatchAgain { account, batch } => {
                write!(f, "batch {batch} of {account} begins a second time; look whether a file was read twice")
            }
            Problem::NoPayout { of } => write!(f, "{of} has no payout row, so nothing checks its sum"),
            Problem::Balance { of, expected, closing } => {
                write!(f, "statement {of} opens and moves to {expected}, and closes with {closing}")
            }
            Problem::NoBalance { of } => write!(f, "statement {of} has no opening or closing balance to check it by"),
        }
    }
}
