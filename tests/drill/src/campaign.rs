//! The campaign: runs of the functions' real code under troubles drawn from a seed, hunting for the night that nobody
//! thought of.

use std::time::Duration;

use holdfast_domain::incident::Phase;
use holdfast_domain::policy::Policy;
use holdfast_world::{Region, World, aurora};
use serde_json::json;

use crate::checker::stored_state;
use crate::deployment::{Deployment, Setup, deploy};
use crate::scenario::asked;

pub mod bugs;
mod evidence;
pub mod invariants;
pub mod many;
pub mod plan;
pub mod shrink;
pub mod summary;
pub mod trouble;

use bugs::Bug;
use evidence::{Evidence, kills, troubles_over};
use invariants::{STOOD_DOWN_MAX, Violation, is_terminal, pages_owed, violations, waits_in_vain};
use plan::{Person, Plan};

/// A run whose troubles are over is watched for at least so long.
const WATCHED: Duration = Duration::from_secs(15);
/// A run is given up so long after its last trouble, plus AWS's time to promote: what is not done by then never will be.
const GIVEN_UP: Duration = Duration::from_secs(200);
/// A switchover whose primary is gone is cancelled by AWS after five minutes; what follows takes its time.
const CANCELLED_BY_AWS: Duration = Duration::from_secs(320);

/// A person whose request failed repeats it after this, and so often.
const ASKED_AGAIN: Duration = Duration::from_secs(5);
const ASKED_AGAIN_MAX: u32 = 30;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// From the outage of the primary to writes being back, where both happened.
    pub recovered_after: Option<Duration>,
    /// The phase in which the last incident ended, if there was one.
    pub phase: Option<Phase>,
    /// How long it was watched.
    pub watched: Duration,
    /// The world, for its trace.
    pub world: World,
}

/// Runs a plan on a clock of its own, perhaps with a deliberate bug in it.
pub fn run(plan: &Plan, bug: Option<&Bug>, begin: impl FnOnce(&World)) -> std::io::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(carry_out(plan, bug, begin)))
}

async fn carry_out(plan: &Plan, bug: Option<&Bug>, begin: impl FnOnce(&World)) -> Run {
    let mut setup = plan.setup();
    if let Some(bug) = bug {
        bug.change(&mut setup);
    }
    let deployment = deploy(&setup);
    let world = &deployment.world;
    holdfast_world::dynamodb::keep_journal(world, crate::deployment::TABLE);
    if let Some(bug) = bug {
        world.tamper(bug.tamper());
    }
    begin(world);
    for fault in &plan.faults {
        fault.schedule(&deployment);
    }
    // The day has not just begun: the metrics are there, as the first troubles left them.
    world.after(Duration::from_millis(1), aurora::measure_lag);
    be_on_call(world, plan.person);
    let evidence = watch(plan, &setup, &deployment).await;
    world.close();
    let restored = evidence
        .states
        .iter()
        .find(|(_, state)| state.incident.as_ref().is_some_and(|incident| incident.phase == Phase::Restored));
    let dark = plan.faults.iter().find(|fault| fault.trouble == trouble::Trouble::Dark(plan.primary));
    Run {
        plan: plan.clone(),
        violations: violations(&evidence),
        recovered_after: restored.zip(dark).and_then(|((at, _), dark)| at.checked_sub(dark.from)),
        phase: evidence.states.last().and_then(|(_, state)| state.incident.as_ref()).map(|incident| incident.phase),
        watched: evidence.ended,
        world: evidence.world,
    }
}

/// Watches until nothing more is to come, or until what should have come never will.
async fn watch(plan: &Plan, setup: &Setup, deployment: &Deployment) -> Evidence {
    let switchover = plan.asks_for(trouble::Ask::Switchover);
    let patience = GIVEN_UP + plan.promotion + if switchover { CANCELLED_BY_AWS } else { Duration::ZERO };
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let over = troubles_over(plan, &kills(&deployment.world));
        let now = deployment.world.elapsed();
        if now < over + WATCHED || (now < over + patience && !is_terminal(Some(&stored_state(&deployment.world)))) {
            continue;
        }
        let evidence = Evidence::gather(plan, setup, deployment);
        if now >= over + patience || is_quiet(&evidence) {
            return evidence;
        }
    }
}

/// Nothing is under way, and nobody waits for a page.
fn is_quiet(evidence: &Evidence) -> bool {
    let last = evidence.states.last().map(|(_, state)| state);
    let told = pages_owed(&evidence.states, &evidence.setup.config.topology)
        .iter()
        .all(|owed| owed.until.is_some() || evidence.letters.iter().any(|letter| owed.is_settled_by(letter)));
    let dark = evidence
        .plan
        .faults
        .iter()
        .any(|fault| fault.until.is_none() && fault.trouble == trouble::Trouble::Dark(evidence.plan.primary));
    let phase = last.and_then(|state| state.incident.as_ref()).map(|incident| incident.phase);
    let person_answers = matches!(phase, Some(Phase::AwaitingApproval))
        && (evidence.plan.person != Person::Absent || evidence.plan.countdown_seconds.is_some());
    let unheard = dark && phase.is_none();
    let waits = last.is_some_and(|state| waits_in_vain(&evidence.plan, state));
    let stood_down = !waits || evidence.ended >= evidence.troubles_over() + STOOD_DOWN_MAX;
    // Clients get the time to show whether payments flow.
    let settled = evidence.states.last().is_none_or(|(at, _)| evidence.ended >= *at + WATCHED);
    is_terminal(last) && told && !person_answers && !unheard && stood_down && settled
}

/// The person on call reads each page that asks, and answers until the answer is taken.
fn be_on_call(world: &World, person: Person) {
    let (after, action) = match person {
        Person::Absent => return,
        Person::Approves(after) => (after, "approve"),
        Person::Vetoes(after) => (after, "veto"),
    };
    let world = world.clone();
    tokio::spawn(async move {
        let mut answered: Vec<String> = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for letter in world.inbox() {
                let attribute = |name: &str| letter.attributes.get(name).map(String::as_str).unwrap_or_default();
                let thread = attribute("thread");
                if attribute("kind") != "AwaitingApproval" || answered.iter().any(|it| it == thread) {
                    continue;
                }
                answered.push(thread.to_owned());
                let Some(incident) = thread.rsplit('/').next().map(str::to_owned) else { continue };
                let to = if letter.message.contains("--region eu-west-1") { Region::DUBLIN } else { Region::LONDON };
                let world = world.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let request = json!({"action": action, "incident": incident, "by": "ada"});
                    // Whoever reads "it failed, and nothing has changed" does it again.
                    for _ in 0..ASKED_AGAIN_MAX {
                        if asked(&world, to, &request).await {
                            return;
                        }
                        tokio::time::sleep(ASKED_AGAIN).await;
                    }
                });
            }
        }
    });
}

impl Plan {
    /// The installation.
    pub(crate) fn setup(&self) -> Setup {
        let mut setup = Setup {
            primary: self.primary,
            promotion: self.promotion,
            standby_instances: self.standby_instances,
            payment_every: Duration::from_secs(3),
            readers: false,
            // They only look, and only when the night is over.
            reconcilers: false,
            asynchronous_attempts: self.asynchronous_attempts,
            ..Setup::standard(self.seed)
        };
        setup.config.policy =
            Policy { mode: self.mode, approve_countdown_seconds: self.countdown_seconds, ..setup.config.policy };
        setup
    }

    /// Whether this trouble is part of it.
    pub(crate) fn has(&self, wanted: &trouble::Trouble) -> bool {
        self.faults.iter().any(|fault| fault.trouble == *wanted)
    }

    /// Whether a store stops to replicate.
    pub(crate) fn has_a_store_held(&self) -> bool {
        use trouble::Trouble::{ReceiptsRuleGone, ReplicaWithoutKey, StoreHeld};
        let held =
            |it: &trouble::Fault| matches!(it.trouble, StoreHeld { .. } | ReceiptsRuleGone(_) | ReplicaWithoutKey(_));
        self.faults.iter().any(held)
    }

    /// Whether a person asks for this.
    pub(crate) fn asks_for(&self, wanted: trouble::Ask) -> bool {
        let asks = |it: &trouble::Fault| matches!(it.trouble, trouble::Trouble::Asked { what, .. } if what == wanted);
        self.faults.iter().any(asks)
    }
}
