//! Bookings that a provider's files leave open: read before a file is settled, and written down once a person was told.

use std::collections::BTreeMap;

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::Timestamp;
use holdfast_domain::reconciliation::{OpenPayment, OpenPayments, Said, carry};
use holdfast_settlement::Settlement;

use crate::Run;
use crate::clearing::{Span, Stopped};

/// Two files of one provider are hardly ever settled at once.
const TRIES: usize = 3;

/// What becomes of a provider's open payments because of a file.
pub(crate) struct Left {
    provider: &'static str,
    run: String,
    listed: OpenPayments,
    said: BTreeMap<String, Said>,
    open: Vec<OpenPayment>,
    until: Timestamp,
}

impl Run<'_> {
    pub(crate) async fn open_payments(&self, provider: &str) -> Result<OpenPayments, Stopped> {
        let read = self.startup.coordination().open_payments(provider).await;
        read.map_err(|error| Stopped::Hindered(error.to_string()))
    }

    /// What a settlement says of the open payments, and what a person is told of them.
    pub(crate) async fn left_open(
        &self,
        provider: &'static str,
        run: &str,
        span: &Span,
        settlement: &Settlement,
    ) -> Result<(Left, Vec<String>), Stopped> {
        let left = Left {
            provider,
            run: run.to_owned(),
            listed: self.open_payments(provider).await?,
            said: settlement.said_of(&span.carried, &span.at_network),
            open: settlement.open_payments(run),
            until: span.judged.to,
        };
        let carried = carry(&left.listed, &left.said, &left.open, (run, left.until), self.startup.now());
        tracing::info!(run, matched = carried.matched, open = carried.next.open().count(), "open payments");
        Ok((left, carried.findings))
    }

    /// From now on the provider's next file settles them.
    pub(crate) async fn remember_open(&self, mut left: Left) -> Result<(), Failure> {
        let coordination = self.startup.coordination();
        for tried in 1.. {
            let Left { provider, run, listed, said, open, until } = &left;
            let carried = carry(listed, said, open, (run, *until), self.startup.now());
            match coordination.save_open_payments(provider, &carried.next).await {
                Ok(()) => break,
                // Another file of the provider was settled meanwhile, or this write was, and its answer got lost.
                Err(CoordinationError::Conflict { .. }) if tried < TRIES => {
                    let read = coordination.open_payments(provider).await;
                    left.listed = read.map_err(|error| Failure::LookBeforeRetry(error.to_string()))?;
                }
                Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
            }
        }
        Ok(())
    }
}
