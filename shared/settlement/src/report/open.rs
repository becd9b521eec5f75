//! What a run leaves open for the provider's next one, and what it says of what it was given.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_domain::reconciliation::{OpenPayment, Said, name_of_payment};

use crate::record::Record;

use super::{Break, Settlement, Waiting, What};

impl Settlement {
    /// Bookings that no file of the network has yet, and should not have yet.
    #[must_use]
    pub fn open_payments(&self, run: &str) -> Vec<OpenPayment> {
        let open = self.breaks.iter().filter(|found| is_on_its_way(&found.what)).filter_map(|found| {
            Some(OpenPayment {
                kind: found.kind.to_string(),
                key: found.merchant_ref.clone(),
                reference: found.event_ref.clone(),
                amount_minor: found.gaps.first().map_or(found.at_risk_minor, |(_, minor)| *minor),
                currency: found.currency,
                // What has no time cannot become too old.
                at: found.since?,
                run: run.to_owned(),
                closed: None,
            })
        });
        open.collect()
    }

    /// What became of the bookings that earlier runs left open. `at_network` names those that the file has: what neither the
    /// file nor a break has was not looked at.
    #[must_use]
    pub fn said_of(&self, carried: &[OpenPayment], at_network: &BTreeSet<String>) -> BTreeMap<String, Said> {
        let name = |of: &Break| name_of_payment(&of.kind.to_string(), &of.event_ref, &of.merchant_ref);
        let breaks: BTreeMap<String, &What> = self.breaks.iter().map(|found| (name(found), &found.what)).collect();
        let said = carried.iter().filter_map(|payment| {
            let name = payment.name();
            let said = match breaks.get(&name) {
                Some(what) if is_on_its_way(what) => Said::Open,
                Some(_) => Said::Told,
                None if at_network.contains(&name) => Said::Matched,
                None => return None,
            };
            Some((name, said))
        });
        said.collect()
    }
}

fn is_on_its_way(what: &What) -> bool {
    matches!(what, What::NotKnowableBefore { waiting: Waiting::InTransit { .. }, .. })
}

/// Looks for what earlier runs left open among the records of a file, as they pass by.
pub struct Lookout<'a> {
    payments: &'a [OpenPayment],
    by_reference: BTreeMap<&'a str, Vec<usize>>,
    by_key: BTreeMap<&'a str, Vec<usize>>,
    seen: BTreeSet<usize>,
}

impl<'a> Lookout<'a> {
    /// For these.
    #[must_use]
    pub fn new(payments: &'a [OpenPayment]) -> Self {
        let index = |of: fn(&OpenPayment) -> &str| {
            let mut index: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (place, payment) in payments.iter().enumerate().filter(|(_, payment)| !of(payment).is_empty()) {
                index.entry(of(payment)).or_default().push(place);
            }
            index
        };
        Self { payments, by_reference: index(|it| &it.reference), by_key: index(|it| &it.key), seen: BTreeSet::new() }
    }

    /// A record of the file: the same reference, or the same key and kind.
    pub fn look(&mut self, record: &Record) {
        if self.payments.is_empty() {
            return;
        }
        for text in [&record.event_ref, &record.group_ref] {
            self.seen.extend(self.by_reference.get(text.as_str()).into_iter().flatten());
        }
        if let Some(places) = self.by_key.get(record.merchant_ref.as_str()) {
            let kind = record.kind.to_string();
            self.seen.extend(places.iter().filter(|place| self.payments[**place].kind == kind));
        }
    }

    /// Those that the file has, by their names.
    #[must_use]
    pub fn seen(self) -> BTreeSet<String> {
        self.seen.into_iter().map(|place| self.payments[place].name()).collect()
    }
}
