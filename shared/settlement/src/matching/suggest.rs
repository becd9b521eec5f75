//! Amount and date: they only ever suggest.

use std::collections::BTreeMap;

use holdfast_domain::money::Currency;

use super::world::World;
use crate::record::{Kind, Position, Side};
use crate::report::{Break, Suggestion, What};

/// What two records must share to be candidates.
type Alike = (Kind, Currency, i64);

/// More candidates than anybody reads.
const CANDIDATES_MAX: usize = 64;

impl World<'_> {
    /// Tells a person which leftovers of ledger and network may be one: the same amount within some days.
    pub(super) fn suggest(&mut self) {
        let mut alike: BTreeMap<Alike, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (place, found) in self.breaks.iter().enumerate() {
            let key = (found.kind, found.currency, found.at_risk_minor);
            if matches!(found.what, What::LedgerOnly { .. }) {
                alike.entry(key).or_default().0.push(place);
            } else if matches!(found.what, What::NetworkOnly { .. }) {
                alike.entry(key).or_default().1.push(place);
            }
        }
        let mut suggested = Vec::new();
        for (ledger, network) in alike.values().filter(|(ledger, network)| !ledger.is_empty() && !network.is_empty()) {
            for (own, others, side) in [(ledger, network, Side::Network), (network, ledger, Side::Ledger)] {
                for place in own.iter().take(CANDIDATES_MAX) {
                    suggested.extend(self.candidates(*place, own, others, side).map(|suggestion| (*place, suggestion)));
                }
            }
        }
        for (place, suggestion) in suggested {
            self.breaks[place].suggestion = Some(suggestion);
        }
    }

    fn candidates(&self, place: usize, own: &[usize], others: &[usize], side: Side) -> Option<Suggestion> {
        let near = |of: usize, among: &[usize]| -> Vec<usize> {
            among
                .iter()
                .copied()
                .take(CANDIDATES_MAX)
                .filter(|other| self.close(&self.breaks[of], &self.breaks[*other]))
                .collect()
        };
        let found = near(place, others);
        match found.as_slice() {
            [] => None,
            [only] if near(*only, own).len() == 1 => position(&self.breaks[*only], side).map(Suggestion::Probably),
            several => Some(Suggestion::Ambiguous(several.len())),
        }
    }

    fn close(&self, one: &Break, other: &Break) -> bool {
        let (Some(one), Some(other)) = (one.since, other.since) else { return false };
        one.duration_since(other).abs().as_hours() <= self.policy.suggest_within_days * 24
    }
}

fn position(of: &Break, side: Side) -> Option<Position> {
    of.evidence.iter().find(|(told_by, _)| *told_by == side).map(|(_, position)| *position)
}
