//! The bank's leg: what the providers' files say was paid out, against the bank's statement. One payout is one entry.
//!
//! A provider's file says how much leaves for the bank; what it says is remembered, and carried from statement to statement
//! until the bank has it.

use std::time::Duration;

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Window;
use holdfast_domain::reconciliation::{
    BankEntry, Finding, Found, PaidRow, Pass, Payout, PayoutState, Payouts, balance_of_payouts, find_payouts,
};
use holdfast_settlement::format::camt::BankMessage;
use holdfast_settlement::format::{FormatError, Rows};
use holdfast_settlement::record::{Kind, Record, Side, Status};
use serde_json::{Value, json};

use crate::clearing::Stopped;
use crate::effects::Outcome;
use crate::objects::Downloaded;
use crate::sources::Format;
use crate::{Run, sources, unread};

/// The folder of the bank's statements and notifications.
pub(crate) const FOLDER: &str = "bank";
/// A transfer inside Europe takes a day; a long weekend lies between at worst.
const TRANSIT_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

impl Run<'_> {
    /// What a provider's file says was paid out: its payout rows, or where there are none the sums of what is left.
    pub(crate) fn payouts_of(
        &self,
        format: Format,
        key: &str,
        file: &Downloaded,
        run: &str,
    ) -> Result<Vec<Payout>, FormatError> {
        let mut rows = format.open(key, &file.spool)?;
        let mut payouts = Payouts::default();
        let mut record = Record::blank(Side::Network);
        while rows.read(&mut record)? {
            payouts.add(&PaidRow {
                is_payout: record.kind == Kind::Payout,
                reference: &record.event_ref,
                payout: &record.payout,
                text: &record.merchant_ref,
                batch: &record.batch,
                amount_minor: record.amount_minor,
                currency: record.currency,
                net: record.net.map(|(net, currency)| (net.widened(), currency)),
                at: record.time(),
            });
        }
        Ok(payouts.paid(format.name(), run, self.startup.now()))
    }

    /// From now on the bank's statements are looked through for them.
    pub(crate) async fn remember_payouts(&self, payouts: &[Payout]) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        let coordination = self.startup.coordination();
        for payout in payouts {
            match coordination.save_payout(payout).await {
                // It is known, and perhaps arrived already.
                Ok(()) | Err(CoordinationError::Conflict { .. }) => {}
                Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
            }
        }
        Ok(())
    }

    /// A statement of the bank has landed.
    pub(crate) async fn settle_statement(&self, key: &str, file: &Downloaded) -> Result<Value, Failure> {
        let run = file.run("bank");
        let (entries, from, until) = match self.entries(key, file) {
            Ok(read) => read,
            Err(Stopped::Broken(problem)) => return self.put_aside(key, file, problem).await,
            Err(Stopped::Hindered(why) | Stopped::CutShort { why, .. }) => {
                return self.conclude(self.unknown(Pass::Clearing, &run, why)).await;
            }
        };
        let listed = self.startup.coordination().payouts().await.map_err(unread)?;
        let open: Vec<Payout> = listed.into_iter().filter(|payout| payout.arrived.is_none()).collect();
        let found = find_payouts(&open, &entries, &self.address(key), until, TRANSIT_MAX);
        let balance = balance_of_payouts(&found);
        let mut said = Found { window: Some(Window { from, to: until }), ..Found::default() };
        let mut lines = Vec::new();
        for it in &found {
            let name = match it.state {
                PayoutState::Arrived | PayoutState::OnItsWay => None,
                PayoutState::OtherAmount => Some("PayoutOfOtherAmount"),
                PayoutState::Overdue => Some("PayoutOverdue"),
            };
            if let Some(name) = name {
                *said.others.entry(name.to_owned()).or_default() += 1;
            }
            lines.push(json!({"state": it.state, "payout": it.payout}).to_string());
        }
        said.balance = balance.iter().map(ToString::to_string).collect();
        said.balanced = said.others.is_empty() && balance.iter().all(|line| line.residual_minor() == 0);
        let mut outcome = Outcome::new(self.summary(Pass::Clearing, &run, Finding::Complete(Box::new(said))));
        outcome.lines = Some(lines.join("\n"));
        let answer = self.conclude(outcome).await?;
        // What has arrived is not looked for again, once somebody was told.
        for it in found.iter().filter(|it| it.payout.arrived.is_some()) {
            self.remember_payouts(std::slice::from_ref(&it.payout)).await?;
        }
        self.remember(key, file, None).await?;
        Ok(answer)
    }

    /// The booked entries of a statement, and the time that it covers.
    fn entries(&self, key: &str, file: &Downloaded) -> Result<(Vec<BankEntry>, Timestamp, Timestamp), Stopped> {
        let mut rows = BankMessage::open(key, sources::reader(key, &file.spool)?);
        let mut record = Record::blank(Side::Network);
        let (mut entries, mut first, mut last) = (Vec::new(), Timestamp::MAX, Timestamp::MIN);
        while rows.read(&mut record)? {
            if let Some(at) = record.booked_at.or(record.at) {
                (first, last) = (first.min(at), last.max(at));
            }
            // What is only announced may still change.
            if record.status != Status::Final {
                continue;
            }
            entries.push(BankEntry {
                references: vec![record.event_ref.clone(), record.group_ref.clone()],
                remittance: record.merchant_ref.clone(),
                amount_minor: record.amount_minor,
                currency: record.currency,
                at: record.booked_at.or(record.at),
            });
        }
        if first > last {
            return Err(Stopped::Broken(format!("{key}: none of its entries says when it was booked")));
        }
        match rows.findings().first() {
            // A statement that does not add up is not known to be whole.
            Some(finding) => Err(Stopped::Broken(finding.to_string())),
            None => Ok((entries, first, last)),
        }
    }
}
