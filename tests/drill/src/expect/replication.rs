//! What must come of the scenarios about replication and about the price of failing over.

use holdfast_domain::price::Price;

use super::{Claims, failed_over, told};
use crate::checker::Outcome;

/// With a strongly consistent attempts table the loss is known to the payment, and people are told.
pub(super) fn the_loss_is_counted_exactly(outcome: &Outcome, claims: &mut Claims) {
    let loss = outcome.state.incident.as_ref().and_then(|incident| incident.loss.clone());
    let exact = matches!(&loss, Some(Price::Exact(counted)) if counted.lost == outcome.lost_totals);
    claims.holds(exact, format!("the loss is {loss:?}, and {} were lost", outcome.lost_totals));
    told(outcome, claims, &format!("exactly {}", outcome.lost_totals));
}

/// Twenty seconds of payments stand on the page that asks, and they are what is lost in the end.
pub(crate) fn the_price_on_the_page_is_what_is_lost(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    failed_over(outcome, &mut claims);
    let lost = &outcome.lost_totals;
    claims.holds(lost.count > 50, format!("{lost} were lost: the lag was no spike"));
    told(outcome, &mut claims, &format!("Loss if promoted now: {lost}"));
    let acceptance = outcome.state.incident.as_ref().and_then(|incident| incident.order.as_ref());
    let signed = acceptance.is_some_and(|order| order.to_string().contains(&format!("price {lost}")));
    claims.holds(signed, format!("the acceptance does not name the price: {acceptance:?}"));
    claims.0
}
