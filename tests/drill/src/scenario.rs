//! The scenarios: what is installed, what goes wrong and when, and what must come of it.

use std::time::Duration;

use holdfast_domain::policy::{Mode, Policy};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, World};
use serde_json::json;

use crate::checker::Outcome;
use crate::deployment::{Deployment, Setup, deploy};
use crate::expect;

mod failback;
mod ledger;
mod paging;
mod replication;
mod traffic;

pub(crate) use failback::FAILBACK_AT;
pub(crate) use traffic::RESTORED_AT;

/// 14:07:00, two minutes after the start of every scenario.
pub const OUTAGE_AT: Duration = Duration::from_secs(120);

/// One story with its moral.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// How long it is watched.
    pub length: Duration,
    /// Whether the primary is lost, so that a failover is the right answer sooner or later.
    pub outage: bool,
    setup: fn(&mut Setup),
    script: fn(&Deployment),
    expect: fn(&Outcome) -> Vec<String>,
}

/// Every scenario, the main one first.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "dublin-dark",
        about: "Dublin goes dark at 14:07 and stays dark; auto mode, AWS takes 45 s to promote; the card network's file lands at 14:11",
        length: Duration::from_secs(420),
        outage: true,
        setup: auto,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
            ledger::the_clearing_file_lands(deployment, OUTAGE_AT + Duration::from_secs(240));
        },
        expect: expect::ledger::every_payment_is_accounted_for,
    },
    Scenario {
        name: "planned-switchover",
        about: "a person moves the writer to London; both Regions are healthy and nothing is lost",
        length: Duration::from_secs(420),
        outage: false,
        setup: approve,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| {
                ask(
                    world,
                    Region::LONDON,
                    json!({"action": "switchover", "to": "eu-west-2", "by": "ada", "comment": "maintenance"}),
                );
            });
        },
        expect: expect::one_lossless_switchover,
    },
    Scenario {
        name: "there-and-back",
        about: "a person moves the writer to London and, five minutes later, back to Dublin; nothing is lost",
        length: Duration::from_secs(720),
        outage: false,
        setup: approve,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| {
                ask(world, Region::LONDON, json!({"action": "switchover", "to": "eu-west-2", "by": "ada"}));
            });
            at(deployment, OUTAGE_AT + Duration::from_secs(300), |world| {
                ask(world, Region::DUBLIN, json!({"action": "switchover", "to": "eu-west-1", "by": "ada"}));
            });
        },
        expect: expect::there_and_back,
    },
    Scenario {
        name: "grey-writer",
        about: "Dublin answers but cannot write: a person is paged, nothing moves",
        length: Duration::from_secs(300),
        outage: false,
        setup: auto,
        script: |deployment| {
            let services = deployment.services.clone();
            at(deployment, OUTAGE_AT, move |world| {
                world.record("eu-west-1", "answers, but its database connections fail");
                if let Some(service) = services.get(&Region::DUBLIN) {
                    service.break_writes(true);
                }
            });
        },
        expect: expect::a_page_and_nothing_moves,
    },
    Scenario {
        name: "one-observer-partition",
        about: "London alone cannot reach Dublin for 43 s: nothing moves",
        length: Duration::from_secs(300),
        outage: false,
        setup: auto,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| world.cut_link(Region::LONDON, Region::DUBLIN));
            at(deployment, OUTAGE_AT + Duration::from_secs(43), |world| {
                world.mend_link(Region::LONDON, Region::DUBLIN);
            });
        },
        expect: expect::nothing_moves,
    },
    Scenario {
        name: "link-cut",
        about: "Dublin and London cannot see each other, Frankfurt sees both: nothing moves",
        length: Duration::from_secs(300),
        outage: false,
        setup: auto,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| {
                world.cut_link(Region::LONDON, Region::DUBLIN);
                world.cut_link(Region::DUBLIN, Region::LONDON);
            });
        },
        expect: expect::a_page_and_nothing_moves,
    },
    Scenario {
        name: "alarm-flap",
        about: "the Route 53 alarm flaps while Dublin is well: nothing moves, nobody is woken",
        length: Duration::from_secs(300),
        outage: false,
        setup: auto,
        script: |deployment| {
            for flap in 0..6u32 {
                let value = if flap % 2 == 0 { "ALARM" } else { "OK" };
                at(deployment, OUTAGE_AT + Duration::from_secs(20) * flap, move |world| {
                    world.set_alarm_state(Region::N_VIRGINIA, "dublin-health-check", value, "a flap");
                });
            }
        },
        expect: expect::nobody_is_woken_and_nothing_moves,
    },
    Scenario {
        name: "promoter-dies",
        about: "Dublin goes dark, and promote-aurora is killed while RDS promotes: it resumes, with one failover call in total",
        length: Duration::from_secs(420),
        outage: true,
        setup: auto,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
            deployment.world.inject(CallFault::new(
                CallMatch {
                    caller: Some("promote-aurora".into()),
                    operation: Some("FailoverGlobalCluster"),
                    ..CallMatch::default()
                },
                0..1,
                CallEffect::KillAfter,
            ));
        },
        expect: expect::one_failover_in_a_minute,
    },
    Scenario {
        name: "approve-mode",
        about: "Dublin goes dark; a person is asked, and approves two minutes later",
        length: Duration::from_secs(480),
        outage: true,
        setup: approve,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
            at(deployment, OUTAGE_AT + Duration::from_secs(120), |world| {
                ask(
                    world,
                    Region::LONDON,
                    json!({"action": "approve", "incident": "e1", "by": "ada", "comment": "Dublin is on fire"}),
                );
            });
        },
        expect: expect::one_approved_failover,
    },
    Scenario {
        name: "veto",
        about: "Dublin goes dark with a two-minute countdown; a person vetoes, and nothing moves",
        length: Duration::from_secs(420),
        outage: true,
        setup: |setup| {
            approve(setup);
            setup.config.policy.approve_countdown_seconds = Some(120);
        },
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
            at(deployment, OUTAGE_AT + Duration::from_secs(60), |world| {
                ask(
                    world,
                    Region::LONDON,
                    json!({"action": "veto", "incident": "e1", "by": "grace", "comment": "it is only the ALB"}),
                );
            });
        },
        expect: expect::a_veto_that_holds,
    },
    Scenario {
        name: "observe-mode",
        about: "Dublin goes dark; the policy is to observe: the shadow log says what would be done, nothing moves",
        length: Duration::from_secs(240),
        outage: true,
        setup: |setup| mode(setup, Mode::Observe),
        script: |deployment| at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN)),
        expect: expect::a_shadow_and_nothing_moves,
    },
    Scenario {
        name: "london-headless",
        about: "Dublin goes dark and London's cluster has no instance: blocked and paged, with the command that helps",
        length: Duration::from_secs(300),
        outage: true,
        setup: |setup| {
            auto(setup);
            setup.standby_instances = 0;
        },
        script: |deployment| at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN)),
        expect: expect::blocked_by_a_headless_target,
    },
    Scenario {
        name: "standby-dark",
        about: "London goes dark: a person is told that there is no standby, nothing moves",
        length: Duration::from_secs(300),
        outage: false,
        setup: auto,
        script: |deployment| at(deployment, OUTAGE_AT, |world| world.go_dark(Region::LONDON)),
        expect: expect::a_page_and_nothing_moves,
    },
    Scenario {
        name: "dublin-returns",
        about: "Dublin goes dark for ten minutes; when it is back its old volume is secured, and nothing fails back by itself",
        length: Duration::from_secs(1500),
        outage: true,
        setup: auto,
        script: |deployment| {
            at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
            at(deployment, OUTAGE_AT + Duration::from_secs(600), |world| world.come_back(Region::DUBLIN));
        },
        expect: expect::the_old_volume_is_secured,
    },
    replication::LAG_SPIKE_THEN_DARK,
    replication::TABLE_STALLED,
    replication::KMS_REVOKED,
    replication::CRR_ONE_WAY,
    replication::MREC_DOUBLE_KEY,
    replication::GATE_REFUSES_SWITCHOVER,
    paging::SNS_DOWN,
    paging::PAGERDUTY_THROTTLED,
    paging::EVERY_CHANNEL_DOWN,
    paging::TWO_PAGERS_AT_ONCE,
    paging::RESOLVE_OVERTAKES_TRIGGER,
    paging::EVENT_STORM,
    traffic::EVACUATE_BY_SWITCH,
    traffic::REFUSE_LAST_REGION,
    failback::FAILBACK_CLEAN,
    failback::FAILBACK_REFUSED_LEDGER_DIRTY,
];

/// What one playing of a scenario may choose.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Everything random is drawn from this.
    pub seed: u64,
    /// Between two payments of each of the two cohorts.
    pub payment_every: Duration,
    /// How long AWS takes to promote.
    pub aws_promotion: Duration,
}

impl Pace {
    /// The drill's own: ten payments a second from each cohort, so that recovery is measured at 100 ms, and the brief's promotion.
    #[must_use]
    pub fn drill(seed: u64) -> Self {
        Self { seed, payment_every: Duration::from_millis(100), aws_promotion: Duration::from_secs(45) }
    }

    /// Few payments: many times faster, for runs that look at safety and not at milliseconds.
    #[must_use]
    pub fn coarse(seed: u64) -> Self {
        Self { payment_every: Duration::from_secs(2), ..Self::drill(seed) }
    }
}

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Changes an installation into the scenario's own.
    pub fn prepare(&self, setup: &mut Setup) {
        (self.setup)(setup);
    }

    /// What was to come of it and did not.
    #[must_use]
    pub fn unmet(&self, outcome: &Outcome) -> Vec<String> {
        (self.expect)(outcome)
    }

    /// Plays it, and gathers what came of it. Call it in a paused single-threaded runtime.
    pub async fn play(&self, pace: Pace, begin: impl FnOnce(&World)) -> Outcome {
        let Pace { seed, payment_every, aws_promotion } = pace;
        let mut setup = Setup {
            promotion: aws_promotion,
            payment_every,
            payments_until: self.length.saturating_sub(Duration::from_secs(30)),
            // Runs that look at safety and not at milliseconds need nobody who only reads.
            readers: payment_every < Duration::from_secs(1),
            ..Setup::standard(seed)
        };
        (self.setup)(&mut setup);
        let deployment = deploy(&setup);
        begin(&deployment.world);
        (self.script)(&deployment);
        tokio::time::sleep(self.length).await;
        let mut outcome = Outcome::gather(self, seed, &setup, &deployment);
        outcome.problems.extend((self.expect)(&outcome));
        deployment.world.close();
        outcome
    }
}

fn at(deployment: &Deployment, when: Duration, act: impl FnOnce(&World) + Send + 'static) {
    deployment.world.after(when, act);
}

/// A person invokes promote-aurora in a Region.
pub(crate) fn ask(world: &World, region: Region, request: serde_json::Value) {
    let world = world.clone();
    tokio::spawn(async move { asked(&world, region, &request).await });
}

/// A person invokes promote-aurora in a Region and waits for the answer. Whether there was one.
pub(crate) async fn asked(world: &World, region: Region, request: &serde_json::Value) -> bool {
    asked_of(world, region, promote_aurora::FUNCTION, request).await
}

/// A person invokes a function in a Region and waits for the answer. Whether there was one.
async fn asked_of(world: &World, region: Region, function: &'static str, request: &serde_json::Value) -> bool {
    world.record("a person", format!("asks {function} in {region}: {request}"));
    let answer = world.invoke(region, function, request.to_string().into()).await;
    let said = match &answer {
        Ok(answer) => answer.to_string(),
        Err(why) => format!("failed: {why}"),
    };
    world.record(function, format!("answers the person: {said}"));
    answer.is_ok()
}

fn mode(setup: &mut Setup, mode: Mode) {
    setup.config.policy = Policy { mode, ..setup.config.policy.clone() };
}

fn auto(setup: &mut Setup) {
    mode(setup, Mode::Auto);
}

fn approve(setup: &mut Setup) {
    mode(setup, Mode::Approve);
}
