//! How far the standby was behind, once a second, and which acknowledged payments it lacked at that moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_domain::money::{Currency, Totals};
use holdfast_payments::history::{History, Told};
use holdfast_report::Behind;
use holdfast_world::{Region, World, aurora};

use crate::waterfall::ms;

/// Between two samples. Not a whole number of payments, so that no sample falls on one.
const EVERY: Duration = Duration::from_millis(997);

/// Every sample so far.
#[derive(Clone, Debug, Default)]
pub struct Samples(Arc<Mutex<Vec<Behind>>>);

/// The payments that clients were told are made and that the standby did not have when it was last looked at.
#[derive(Debug, Default)]
pub struct Exposed {
    known: usize,
    lacking: BTreeMap<String, (String, i64)>,
}

impl Samples {
    /// Samples a world until it ends.
    pub(crate) fn take(&self, world: &World, history: &History, primary: Region) {
        let (world, history, samples) = (world.clone(), history.clone(), self.clone());
        let standby = if primary == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN };
        tokio::spawn(async move {
            let mut exposed = Exposed::default();
            loop {
                exposed.listen(&history);
                exposed.keep(|key| !aurora::holds(&world, standby, key));
                let lag_ms = aurora::lag(&world, standby).map(ms);
                samples.add(Behind { at_ms: ms(world.elapsed()), lag_ms, price: Some(exposed.totals()) });
                tokio::time::sleep(EVERY).await;
            }
        });
    }

    /// Adds a sample.
    pub fn add(&self, sample: Behind) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Behind> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Exposed {
    /// Takes what was acknowledged since.
    pub fn listen(&mut self, history: &History) {
        let new = history.since(self.known);
        self.known += new.len();
        for operation in new.into_iter().filter(|it| matches!(it.told, Told::Acknowledged { .. })) {
            self.lacking.insert(operation.key, (operation.currency, operation.amount_minor));
        }
    }

    /// Forgets those that the standby has.
    pub fn keep(&mut self, is_lacking: impl Fn(&str) -> bool) {
        self.lacking.retain(|key, _| is_lacking(key));
    }

    /// The keys that are left.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.lacking.keys().cloned().collect()
    }

    /// How many are left, and their sum.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (currency, amount_minor) in self.lacking.values() {
            if let Ok(currency) = Currency::parse(currency) {
                totals.add(currency, *amount_minor);
            }
        }
        totals
    }
}
