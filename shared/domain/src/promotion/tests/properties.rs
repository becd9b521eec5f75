//! What holds whatever is known and whatever is missing.

use proptest::prelude::*;

use super::*;

fn any_facts() -> impl Strategy<Value = Facts> {
    let phase = proptest::sample::select(Phase::ALL.to_vec());
    let quorum = proptest::sample::select(vec![
        Quorum::Dark(proof()),
        Quorum::Alive,
        Quorum::Wavering,
        Quorum::Grey { since: None },
        Quorum::StillHeard { beats_since: 5 },
        Quorum::Split { against: region("eu-west-2"), in_favour: region("eu-central-1") },
        Quorum::Unknown { why: "dark".into(), evidence_age: None },
    ]);
    (phase, quorum, any::<[bool; 9]>(), 0u64..400).prop_map(|(phase, quorum, flags, lag_age)| {
        let [cluster_seen, target_seen, lag_known, headless, busy, approved, ordered, switched, vetoed] = flags;
        let mut facts = facts(phase);
        facts.quorum = quorum;
        if headless {
            target(&mut facts).instances.clear();
        }
        if busy {
            let operation = Operation { status: "pending".into(), to: None, data_loss_allowed: lag_known };
            cluster(&mut facts).operation = Some(operation);
        }
        if switched {
            facts.incident.verb = Verb::Switchover;
        }
        if approved {
            facts.incident.approval = approval(&[]);
        }
        if ordered {
            called(20, 1)(&mut facts);
        }
        if vetoed {
            facts.incident.veto = Some(Veto { by: "grace".into(), comment: String::new(), at: at(0) });
        }
        facts.lag = if lag_known {
            Lag::Known { lag: Duration::ZERO, age: Duration::from_secs(lag_age) }
        } else {
            Lag::Unknown { why: "dark".into() }
        };
        if !cluster_seen {
            facts.global_cluster = Observed::Unseen { why: "dark".into() };
        }
        if !target_seen {
            facts.target_cluster = Observed::Unseen { why: "dark".into() };
        }
        facts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Every subset of dead nodes and missing evidence has a decision, and none of them moves blindly.
    #[test]
    fn decisions_are_total_and_a_fence_needs_evidence(facts in any_facts(), mode in 0..3) {
        let mode = [Mode::Observe, Mode::Approve, Mode::Auto][usize::try_from(mode).unwrap()];
        let decision = decide(&facts, &policy(mode), at(0));
        prop_assert!(!decision.to_string().is_empty());
        if let Decision::Fence(order) = &decision {
            prop_assert!(mode != Mode::Observe);
            prop_assert!(facts.incident.veto.is_none());
            prop_assert!(matches!(facts.global_cluster, Observed::Seen(_)));
            prop_assert!(matches!(&facts.target_cluster, Observed::Seen(target) if !target.instances.is_empty()));
            match order {
                Order::Failover(_) => prop_assert!(matches!(facts.quorum, Quorum::Dark(_))),
                Order::Switchover(_) => prop_assert!(matches!(facts.quorum, Quorum::Alive)),
            }
            // A switchover loses nothing that anybody would have to accept: it is asked for by whoever raised it.
            let loses = order.allows_data_loss() && facts.incident.approval.is_none();
            prop_assert!(mode == Mode::Auto || !loses);
            if facts.incident.approval.is_none() {
                prop_assert_eq!(facts.lag.within(Duration::from_secs(10), Duration::from_secs(180)), Ok(()));
            }
        }
        if let Decision::Promote { .. } = &decision {
            prop_assert!(facts.incident.order.is_some());
        }
        if let Decision::GiveBack { .. } = &decision {
            let unseen = matches!(facts.quorum, Quorum::Dark(_) | Quorum::Unknown { .. });
            prop_assert!(!unseen && !facts.target_is_sole_writer());
        }
    }

    /// Whatever is decided is a step that the transition table allows.
    #[test]
    fn every_decision_is_a_legal_step(facts in any_facts()) {
        let phase = facts.incident.phase;
        let next = match decide(&facts, &policy(Mode::Auto), at(0)) {
            Decision::Dismiss(_) | Decision::GiveBack { .. } => Phase::Dismissed,
            Decision::Block(_) if phase == Phase::Blocked => return Ok(()),
            Decision::Block(_) => Phase::Blocked,
            Decision::Confirm(_) => Phase::Confirmed,
            Decision::AskApproval { .. } => Phase::AwaitingApproval,
            Decision::Fence(_) => Phase::Fencing,
            Decision::Promote { .. } | Decision::AddInstance { .. } if phase == Phase::Promoting => return Ok(()),
            Decision::AddInstance { .. } => unreachable!("an instance is asked for only after a restore"),
            Decision::Promote { .. } => Phase::Promoting,
            Decision::Prove => Phase::Proving,
            Decision::Fail { .. } => Phase::Failed,
            Decision::CloseItself => Phase::Closed,
            Decision::SecureOldVolume if phase == Phase::Reconciling => return Ok(()),
            Decision::SecureOldVolume => Phase::Reconciling,
            Decision::RecordLoss(_) | Decision::WriteFenceRow | Decision::LookAgain { .. } | Decision::Rest { .. } => return Ok(()),
        };
        prop_assert!(phase.edge(next).is_some(), "{phase} to {next}");
    }
}
