//! What was said to be lost, against what the clients' history and the final ledger show.

use super::Outcome;

impl Outcome {
    /// A page names the key.
    pub(super) fn is_listed(&self, key: &str) -> bool {
        self.letters.iter().any(|letter| letter.message.contains(key))
    }

    /// A run in which the price said `exact`, and the loss differs by one payment or one minor unit, is invalid.
    pub(super) fn said_another_price(&self) -> Vec<String> {
        let Some(incident) = &self.state.incident else { return Vec::new() };
        let said = [incident.price.as_ref(), incident.loss.as_ref()];
        said.into_iter().flatten().filter_map(|price| price.contradicted_by(&self.lost_totals)).collect()
    }
}
