//! What came of a run, from the clients' history and the final stores, not from what the functions say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_domain::config::Config;
use holdfast_domain::incident::{ClusterState, Phase};
use holdfast_domain::money::{Currency, Totals};
use holdfast_payments::card_network::Charge;
use holdfast_payments::history::{Operation, Read, Told};
use holdfast_payments::service::ATTEMPTS_TABLE;
use holdfast_report::{Behind, Kind};
use holdfast_world::aurora;
use holdfast_world::dynamodb::all_items;
use holdfast_world::rds::{Accepted, accepted, writer};
use holdfast_world::sns::Letter;
use holdfast_world::{RecordedRequest, Region, World};

use crate::deployment::{Deployment, Setup, TABLE};
use crate::scenario::{OUTAGE_AT, Scenario};
use crate::waterfall::{Waterfall, ms};

mod price;

pub use holdfast_report::{Lost as LostPayment, Verdict};

/// Everything worth reporting.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which scenario.
    pub scenario: &'static str,
    /// What happens in it, in a sentence.
    pub about: &'static str,
    /// On what it was played.
    pub kind: Kind,
    /// Whether the primary was lost.
    pub outage: bool,
    /// Which seed.
    pub seed: u64,
    /// The command that plays it again.
    pub repeat: String,
    /// How long it was watched.
    pub length: Duration,
    /// The configuration that the functions were given.
    pub config: Config,
    /// How far the standby was behind, over time.
    pub replication: Vec<Behind>,
    /// The handle of the world, for traces.
    pub world: World,
    /// What clients were told.
    pub operations: Vec<Operation>,
    /// The state that the drivers share.
    pub state: ClusterState,
    /// What reached people.
    pub letters: Vec<Letter>,
    /// Requests of the functions.
    pub requests: Vec<RecordedRequest>,
    /// Operations that RDS took on.
    pub accepted: Vec<Accepted>,
    /// The Region that holds the writer at the end.
    pub writer: Option<Region>,
    /// Acknowledged payments that the final ledger lacks.
    pub lost: Vec<LostPayment>,
    /// Their sum.
    pub lost_totals: Totals,
    /// Attempts whose keys the network charged more than once.
    pub charged_twice: Vec<String>,
    /// Where the time went.
    pub waterfall: Waterfall,
    /// What was promised and did not hold.
    pub problems: Vec<String>,
}

/// What a run left behind, on whatever it was played.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Which scenario.
    pub scenario: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// On what it was played.
    pub kind: Kind,
    /// Whether the primary was lost.
    pub outage: bool,
    /// Which seed.
    pub seed: u64,
    /// The command that plays it again.
    pub repeat: String,
    /// The installation.
    pub setup: &'a Setup,
    /// The handle of the world.
    pub world: World,
    /// What clients were told.
    pub operations: Vec<Operation>,
    /// What reading clients got.
    pub reads: Vec<Read>,
    /// How far the standby was behind, over time.
    pub replication: Vec<Behind>,
    /// The attempt keys in the ledger of the Region that holds the writer at the end.
    pub booked: BTreeSet<String>,
    /// What the card network remembers.
    pub charges: Vec<Charge>,
}

impl Outcome {
    pub(crate) fn gather(scenario: &Scenario, seed: u64, setup: &Setup, deployment: &Deployment) -> Self {
        let world = deployment.world.clone();
        let booked = writer(&world)
            .map(|region| aurora::rows(&world, region).into_iter().map(|row| row.attempt_key).collect())
            .unwrap_or_default();
        Self::judge(Seen {
            scenario: scenario.name,
            about: scenario.about,
            kind: Kind::Simulated,
            outage: scenario.outage,
            seed,
            repeat: repeat(scenario, seed, setup),
            setup,
            operations: deployment.history.operations(),
            reads: deployment.reads.all(),
            replication: deployment.samples.all(),
            booked,
            charges: deployment.network.charges(),
            world,
        })
    }

    /// What came of a run, from what was seen of it.
    #[must_use]
    pub fn judge(seen: Seen<'_>) -> Self {
        let Seen { scenario, about, kind, outage, seed, repeat, setup, world, operations, reads, .. } = seen;
        let (replication, booked) = (seen.replication, seen.booked);
        let state = stored_state(&world);
        let functions = [
            observe_region::FUNCTION,
            promote_aurora::FUNCTION,
            page_humans::FUNCTION,
            verify_replication::FUNCTION,
            reconcile_ledger::FUNCTION,
        ];
        let requests: Vec<RecordedRequest> =
            world.requests().into_iter().filter(|request| functions.contains(&&*request.caller.name)).collect();
        let lost = lost_payments(&world, &operations, &booked);
        let mut lost_totals = Totals::default();
        for payment in &lost {
            if let Ok(currency) = Currency::parse(&payment.currency) {
                lost_totals.add(currency, payment.amount_minor);
            }
        }
        let mut charges: BTreeMap<String, u32> = BTreeMap::new();
        for charge in seen.charges {
            *charges.entry(charge.attempt_key).or_default() += 1;
        }
        let charged_twice = charges.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| key).collect();
        let waterfall = Waterfall::measure(&world, &state, &operations, &reads, setup, &booked);
        let mut outcome = Self {
            scenario,
            about,
            kind,
            outage,
            seed,
            repeat,
            length: world.elapsed(),
            config: setup.config.clone(),
            replication,
            operations,
            state,
            letters: world.inbox(),
            requests,
            accepted: accepted(&world),
            writer: writer(&world),
            lost,
            lost_totals,
            charged_twice,
            waterfall,
            problems: Vec::new(),
            world,
        };
        outcome.problems = outcome.broken_laws();
        outcome
    }

    /// What must hold in every scenario.
    fn broken_laws(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for request in self.leaning_on_the_dark() {
            let RecordedRequest { caller, service, operation, to, .. } = request;
            problems.push(format!("law 3: {} in {} called {service} {operation} in {to}", caller.name, caller.region));
        }
        for request in self.requests.iter().filter(|request| request.operation == "FailoverGlobalCluster") {
            let parameter = |name: &str| request.parameters.get(name).map(String::as_str).unwrap_or_default();
            let target = parameter("TargetDbClusterIdentifier");
            let wrong = parameter("AllowDataLoss") != "true"
                || !target.starts_with("arn:aws:rds:")
                || !target.contains(&format!(":{}:", request.to));
            if wrong {
                problems.push(format!(
                    "law 2: FailoverGlobalCluster was sent to {} with {:?}",
                    request.to, request.parameters
                ));
            }
        }
        let unlisted: Vec<&str> = self.lost.iter().filter(|lost| !lost.listed).map(|lost| lost.key.as_str()).collect();
        if !unlisted.is_empty() {
            problems.push(format!("acknowledged payments are lost and nothing lists them: {}", unlisted.join(", ")));
        }
        let unsaid: Vec<&str> =
            self.charged_twice.iter().map(String::as_str).filter(|it| !self.is_listed(it)).collect();
        if !unsaid.is_empty() {
            problems.push(format!("charged more than once, and nobody was told: {}", unsaid.join(", ")));
        }
        if let Some(letters) = self.world.dead_letters().first() {
            problems.push(format!("{} in {} gave up: {}", letters.function, letters.region, letters.why));
        }
        problems.extend(self.acknowledged_behind_the_fence());
        problems.extend(self.said_another_price());
        problems
    }

    /// Requests to a dark Region or to a third Region's control plane. Probes of a Region's own web address are how
    /// darkness is known; nothing waits for them.
    fn leaning_on_the_dark(&self) -> impl Iterator<Item = &RecordedRequest> {
        self.requests.iter().filter(|request| {
            let third = [Region::N_VIRGINIA, Region::OREGON].contains(&request.to);
            request.service != "http" && (request.to_was_dark || third)
        })
    }

    /// After the fence and one lease, no write of the old Region is acknowledged into the old volume.
    fn acknowledged_behind_the_fence(&self) -> Option<String> {
        let incident = self.state.incident.as_ref()?;
        let fenced = self.waterfall.phase_at(Phase::Fencing)? + self.config.policy.writer_lease();
        let late = self.lost.iter().find(|lost| {
            let told = i64::try_from((fenced.saturating_sub(OUTAGE_AT)).as_millis()).unwrap_or(i64::MAX);
            lost.acknowledged_after_outage_ms > told
        })?;
        Some(format!("{} was acknowledged in {} after the fence, and is lost", late.key, incident.from))
    }

    /// The phase the last incident is in.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.state.incident.as_ref().map(|incident| incident.phase)
    }

    /// How often a mutating RDS call was sent.
    #[must_use]
    pub fn calls(&self, operation: &str) -> usize {
        self.requests.iter().filter(|request| request.operation == operation).count()
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let acknowledged = self.operations.iter().any(|operation| matches!(operation.told, Told::Acknowledged { .. }));
        match () {
            () if !acknowledged => Verdict::Unknown,
            () if self.problems.is_empty() => Verdict::Valid,
            () => Verdict::Invalid,
        }
    }
}

/// The command that plays it again.
fn repeat(scenario: &Scenario, seed: u64, setup: &Setup) -> String {
    let promotion = setup.promotion.as_secs();
    format!("cargo run -p drill -- {} --seed {seed} --aws-promotion {promotion}", scenario.name)
}

/// The shared state as it is stored, whatever the network.
pub(crate) fn stored_state(world: &World) -> ClusterState {
    let items = all_items(world, TABLE);
    let state = items.iter().find(|item| item.get("sk").is_some_and(|sk| sk["S"] == "state"));
    let body = state.and_then(|item| item.get("body")?["S"].as_str());
    body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
}

pub(crate) fn lost_payments(world: &World, operations: &[Operation], booked: &BTreeSet<String>) -> Vec<LostPayment> {
    let outcomes: BTreeSet<String> = all_items(world, ATTEMPTS_TABLE)
        .iter()
        .filter(|item| item.get("sk").is_some_and(|sk| sk["S"] == "outcome"))
        .filter_map(|item| item.get("pk")?["S"].as_str().map(str::to_owned))
        .collect();
    let mut lost = BTreeMap::new();
    for operation in operations {
        let Told::Acknowledged { network_reference } = &operation.told else { continue };
        if booked.contains(&operation.key) {
            continue;
        }
        lost.entry(operation.key.clone()).or_insert(LostPayment {
            key: operation.key.clone(),
            network_reference: network_reference.clone(),
            amount_minor: operation.amount_minor,
            currency: operation.currency.clone(),
            acknowledged_after_outage_ms: ms(operation.ended) - ms(OUTAGE_AT),
            listed: outcomes.contains(&operation.key),
        });
    }
    lost.into_values().collect()
}
