//! Every decision's sentence: the log line, the milestone and the page.

use super::*;

#[track_caller]
fn says(said: impl fmt::Display, expected: &str) {
    assert_eq!(said.to_string(), expected);
}

fn block(guard: Guard) -> Blocked {
    Blocked { guard, evidence: "e".into(), evidence_age: None, override_with: "o".into() }
}

#[test]
fn every_decision_has_its_sentence() {
    let failover = "fail over to arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2; loss accepted by ada for this incident; price unknown (x)";
    says(
        Decision::Dismiss(Dismissal::NotTheWriter),
        "dismissed: the Region does not hold the writer; there is nothing to promote, but redundancy is gone until it returns",
    );
    says(Decision::Dismiss(Dismissal::Recovered), "dismissed: the Region answers and writes again");
    says(Decision::Block(vec![block(Guard::Quorum)]), "blocked by quorum: e; to go on: o");
    says(
        Decision::Block(vec![block(Guard::Quorum), block(Guard::LagHigh), block(Guard::Frozen)]),
        "blocked by quorum: e; to go on: o; and by lag_high: e; to go on: o; and by frozen: e; to go on: o",
    );
    says(
        Decision::Confirm(Some(proof())),
        "confirmed dark: unreachable from  since 2027-01-15T07:59:52Z, oldest vote 1 s old",
    );
    says(Decision::Confirm(None), "confirmed on a person's word");
    says(
        Decision::AskApproval { veto_until: Some(at(60)), reason: "r".into() },
        "a person is asked (r); it goes on at 2027-01-15T08:01:00Z unless vetoed",
    );
    says(Decision::AskApproval { veto_until: None, reason: "r".into() }, "a person is asked (r)");
    says(Decision::Fence(order()), &format!("fencing off the old writer, then {failover}"));
    says(Decision::Promote { order: order(), attempt: 1 }, &format!("asking RDS to {failover}"));
    says(Decision::Promote { order: order(), attempt: 2 }, &format!("asking RDS for the 2. time to {failover}"));
    says(
        Decision::GiveBack { seen: "s".into() },
        "the old writer stays: RDS has moved nothing, and its Region is no longer dark: s",
    );
    says(Decision::Prove, "RDS is done; proving that writes work");
    says(Decision::WriteFenceRow, "writing the fence row through the writer endpoint");
    says(Decision::LookAgain { waiting_for: "w".into(), slow: false }, "waiting: w");
    says(Decision::LookAgain { waiting_for: "w".into(), slow: true }, "waiting longer than planned: w");
    says(Decision::CloseItself, "closed: a planned move that is proven leaves nothing to reconcile");
    says(Decision::SecureOldVolume, "looking for the snapshot of the old volume");
    says(Decision::Fail { reason: "r".into() }, "failed: r");
    says(Decision::Rest { why: "w".into() }, "nothing to do: w");
}
