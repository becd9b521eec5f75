//! What must come of a live story. An empty list is what one hopes for; every entry says what did not hold.

use std::collections::BTreeSet;

use drill::checker::Outcome;
use holdfast_domain::incident::Phase;
use holdfast_domain::price::Price;
use holdfast_world::Region;

/// What recovery may take beside AWS's own promotion.
///
/// Detection is an outage that meets a round of probes of 5 s anywhere, two of which must fail, each of 2 s; then the writer
/// lease of 4 s: 16 s, and a loaded machine on top. With AWS's 45 s the brief's minute has no room for the worst of that, so
/// that it is reported and not judged: what is judged is our part, and more strictly than a minute.
pub const OURS_MAX_MS: i64 = 20_000;

fn unless(problems: &mut Vec<String>, claim: bool, otherwise: impl Into<String>) {
    if !claim {
        problems.push(otherwise.into());
    }
}

/// Of the time without writes, what was not AWS's promotion.
#[must_use]
pub fn ours_ms(outcome: &Outcome) -> Option<i64> {
    let figures = &outcome.waterfall.figures;
    Some(figures.rto_writes_ms? - figures.aws_promotion_ms?)
}

/// Writes are back soon enough, as far as it is up to Holdfast.
pub fn writes_are_back(outcome: &Outcome) -> Vec<String> {
    match ours_ms(outcome) {
        Some(ours) if ours <= OURS_MAX_MS => Vec::new(),
        Some(ours) => {
            vec![format!("writes were away for {ours} ms besides AWS's promotion, more than {OURS_MAX_MS}")]
        }
        None => vec!["writes did not come back".into()],
    }
}

/// One failover, told, with its loss counted to the payment.
pub fn recovered(outcome: &Outcome) -> Vec<String> {
    let mut problems = writes_are_back(outcome);
    let figures = &outcome.waterfall.figures;
    let confirm = figures.first_failed_probe_ms.zip(figures.confirmed_ms).map(|(from, to)| to - from);
    unless(&mut problems, confirm.is_some_and(|ms| ms <= 12_000), format!("confirming took {confirm:?} ms"));
    let paged = figures.confirmed_ms.zip(figures.first_page_sent_ms).map(|(from, to)| to - from);
    unless(&mut problems, paged.is_some_and(|ms| ms <= 5_000), format!("the first page took {paged:?} ms"));
    let calls = outcome.calls("FailoverGlobalCluster");
    unless(&mut problems, calls == 1, format!("FailoverGlobalCluster was sent {calls} times"));
    for part in ["is dark", "Writes work in eu-west-2", &format!("exactly {}", outcome.lost_totals)] {
        let told = outcome.letters.iter().any(|letter| letter.message.contains(part));
        unless(&mut problems, told, format!("nobody was told “{part}”"));
    }
    let loss = outcome.state.incident.as_ref().and_then(|incident| incident.loss.clone());
    let exact = matches!(&loss, Some(Price::Exact(counted)) if counted.lost == outcome.lost_totals);
    unless(&mut problems, exact, format!("the loss is {loss:?}, and {} were lost", outcome.lost_totals));
    problems
}

/// The same, and the writer stays where it went, whatever comes back.
pub fn recovered_for_good(outcome: &Outcome) -> Vec<String> {
    let mut problems = recovered(outcome);
    let moves: Vec<(bool, Region)> = outcome.accepted.iter().map(|it| (it.failover, it.to)).collect();
    unless(&mut problems, moves == [(true, Region::LONDON)], format!("RDS took on {moves:?}"));
    unless(&mut problems, outcome.writer == Some(Region::LONDON), format!("the writer is in {:?}", outcome.writer));
    let phase = outcome.phase();
    let open = matches!(phase, Some(Phase::Restored | Phase::Reconciling));
    unless(&mut problems, open, format!("the incident is {phase:?}"));
    problems
}

/// The same, something was lost, and the snapshot of the old volume is secured.
pub fn the_tail_is_kept(outcome: &Outcome) -> Vec<String> {
    let mut problems = recovered_for_good(outcome);
    unless(&mut problems, !outcome.lost.is_empty(), "nothing was lost: there was nothing to salvage");
    let secured = outcome.state.incident.as_ref().and_then(|incident| incident.secured_snapshot.clone());
    unless(&mut problems, secured.is_some(), "the old volume's snapshot was not copied");
    let copies = outcome.calls("CopyDBClusterSnapshot");
    unless(&mut problems, copies == 1, format!("the snapshot was copied {copies} times"));
    let told = outcome.letters.iter().any(|letter| letter.message.contains("eu-west-1 is back"));
    unless(&mut problems, told, "nobody was told that eu-west-1 is back");
    problems
}

/// The outage was one, the way back was another move, and that lost nothing.
pub fn there_and_back(outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    let moves: Vec<(bool, Region)> = outcome.accepted.iter().map(|it| (it.failover, it.to)).collect();
    let expected = [(true, Region::LONDON), (false, Region::DUBLIN)];
    unless(&mut problems, moves == expected, format!("RDS took on {moves:?}"));
    unless(&mut problems, outcome.writer == Some(Region::DUBLIN), format!("the writer is in {:?}", outcome.writer));
    let phase = outcome.phase();
    unless(&mut problems, phase == Some(Phase::Closed), format!("the last incident is {phase:?}"));
    problems
}

/// What was lost after an outage was lost in it.
#[must_use]
pub fn nothing_lost_since(outage: &Outcome, outcome: &Outcome) -> Vec<String> {
    let keys = |outcome: &Outcome| outcome.lost.iter().map(|lost| lost.key.clone()).collect::<BTreeSet<_>>();
    let since: Vec<String> = keys(outcome).difference(&keys(outage)).cloned().collect();
    if since.is_empty() { Vec::new() } else { vec![format!("lost on the way back: {}", since.join(", "))] }
}
