#![doc = include_str!("../README.md")]

use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::Region;
use holdfast_domain::event::Event;
use holdfast_domain::traffic::{
    OrderFacts, Shift, Traffic, TrafficDecision, TrafficRecord, Way, Wish, decide, reasons_not_to_evacuate,
    reasons_not_to_restore,
};
use holdfast_domain::trigger::{Action, Trigger};
use serde_json::{Value, json};

mod counts;
mod names;
mod observe;
mod weights;

/// The function's name.
pub const FUNCTION: &str = "shift-traffic";

/// What a run works with.
pub(crate) struct Run<'a> {
    startup: &'a Startup,
    traffic: &'a Traffic,
    /// The other data Region: the only one whose traffic this Region's function moves.
    peer: Region,
    dry_run: bool,
}

/// Takes an order, or takes the last one a step further.
#[expect(clippy::wildcard_enum_match_arm, reason = "the domain names the function of every other action")]
pub async fn handle(startup: &Startup, invocation: Invocation) -> Result<Value, Failure> {
    let triggers = startup.triggers(FUNCTION, &invocation).await?;
    let Some(peer) = startup.config.topology.peer_of(&startup.region).map(|peer| peer.region.clone()) else {
        let problem = format!("shift-traffic belongs into a data Region; {} is the witness", startup.region);
        return Err(startup.refuse(FUNCTION, problem).await);
    };
    let Some(traffic) = &startup.config.traffic else {
        let problem = "HOLDFAST_CONFIG has no `traffic`: where the switches and the names are; events/config.example.json shows it";
        return Err(startup.refuse(FUNCTION, problem.into()).await);
    };
    let mut reports = Vec::new();
    for trigger in triggers {
        let mut run = Run { startup, traffic, peer: peer.clone(), dry_run: false };
        reports.push(match trigger {
            Trigger::Schedule { .. } => run.tick().await?,
            Trigger::Manual(request) => {
                run.dry_run = request.dry_run;
                match request.action {
                    Action::Status => run.status().await?,
                    Action::Evacuate { region, by, comment, overrides } => {
                        run.order(run.wish(Way::Evacuate, region, by, comment, overrides)).await?
                    }
                    Action::Restore { region, by, comment, overrides } => {
                        run.order(run.wish(Way::Restore, region, by, comment, overrides)).await?
                    }
                    elsewhere => return Err(startup.refuse(FUNCTION, elsewhere.goes_elsewhere(FUNCTION)).await),
                }
            }
            Trigger::Alarm(_)
            | Trigger::Holdfast(_)
            | Trigger::Rds(_)
            | Trigger::Object { .. }
            | Trigger::Request(_) => {
                let problem = "shift-traffic takes a schedule, {\"action\":\"evacuate\",\"region\":…,\"by\":…}, {\"action\":\"restore\",…} and {\"action\":\"status\"}";
                return Err(startup.refuse(FUNCTION, problem.into()).await);
            }
        });
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

impl Run<'_> {
    fn wish(
        &self,
        way: Way,
        region: Region,
        by: String,
        comment: String,
        overrides: std::collections::BTreeSet<holdfast_domain::blocked::Guard>,
    ) -> Wish {
        Wish { way, region, driver: self.startup.region.clone(), by, comment, overrides }
    }

    /// A person's order: judged, remembered, told, and begun.
    async fn order(&self, wish: Wish) -> Result<Value, Failure> {
        let here = &self.startup.region;
        if wish.region != self.peer {
            let problem = if wish.region == *here {
                format!(
                    "the switch for {here} is in {peer}, where it can be thrown when {here} is dark; send this there: aws lambda invoke --region {peer} --function-name holdfast-shift-traffic:live …",
                    peer = self.peer
                )
            } else {
                format!("{} is no data Region; from {here} the traffic of {} can be moved", wish.region, self.peer)
            };
            return Err(self.startup.refuse(FUNCTION, problem).await);
        }
        let record = self.record().await?;
        let carrier = if wish.way == Way::Evacuate { here } else { &wish.region };
        let votes = self.votes().await;
        let (readiness, answers) = tokio::join!(self.readiness(carrier), self.answers());
        let now = self.startup.now();
        let facts = OrderFacts {
            region: wish.region.clone(),
            other: here.clone(),
            record: record.clone(),
            quorum: self.carrier(carrier, &wish.region, &votes),
            readiness,
            answers,
        };
        let blocked = match wish.way {
            Way::Evacuate => reasons_not_to_evacuate(&facts, self.traffic, &wish.overrides, now),
            Way::Restore => reasons_not_to_restore(&facts, self.traffic, &wish.overrides, now),
        };
        if !blocked.is_empty() {
            for block in &blocked {
                tracing::warn!("{} {} is blocked by {block}", wish.way, wish.region);
            }
            return Ok(json!({"done": "nothing", "blocked": blocked}));
        }
        let at_once = !self.is_well(&wish.region, &votes);
        let Some(next) = record.ordered(wish, self.traffic, at_once, now) else {
            return Ok(json!({"done": "nothing", "why": "just that is wanted already", "shift": record.shift}));
        };
        if self.dry_run {
            return Ok(json!({"done": "nothing", "would": next.shift.as_ref().map(ToString::to_string)}));
        }
        self.save(&next).await?;
        if let Some(shift) = &next.shift {
            tracing::info!(shift = shift.name(), "{shift}");
            self.tell(shift).await?;
        }
        self.step(next).await
    }

    /// Once a minute, and after an order: one step of the shift that this Region drives.
    async fn tick(&self) -> Result<Value, Failure> {
        let record = self.record().await?;
        match &record.shift {
            Some(shift) if shift.driver == self.startup.region && !shift.is_done() => self.step(record).await,
            Some(shift) => Ok(json!({"done": "nothing", "why": shift.to_string()})),
            None => Ok(json!({"done": "nothing", "why": "nobody has ever shifted traffic"})),
        }
    }

    async fn step(&self, record: TrafficRecord) -> Result<Value, Failure> {
        let Some(shift) = record.shift.clone() else { return Ok(json!({"done": "nothing"})) };
        let facts = self.facts(shift.clone()).await;
        let decision = decide(&facts, self.traffic, self.startup.now());
        tracing::info!(shift = shift.name(), away_percent = shift.away_percent, "{decision}");
        if let TrafficDecision::Set { switch_thrown, weights } = &decision {
            self.set_switch(&shift.region, *switch_thrown, &shift).await?;
            if let Some(weights) = weights {
                self.set_weights(weights).await?;
            }
        }
        let said = decision.to_string();
        if let Some(next) = record.after(&decision, self.startup.now()) {
            self.save(&next).await?;
            if let Some(shift) = &next.shift {
                self.tell(shift).await?;
            }
        }
        Ok(json!({"shift": shift.name(), "region": shift.region, "away_percent": shift.away_percent, "decision": said}))
    }

    /// How things stand, and what is seen of it.
    async fn status(&self) -> Result<Value, Failure> {
        let record = self.record().await?;
        let answers = self.answers().await;
        Ok(json!({
            "region": self.startup.region,
            "shift": record.shift,
            "says": record.shift.as_ref().map_or_else(|| "nobody has ever shifted traffic".to_owned(), ToString::to_string),
            "dns": answers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))
    }

    async fn record(&self) -> Result<TrafficRecord, Failure> {
        let record = self.startup.coordination().traffic().await;
        record.map_err(|error| Failure::NothingChanged(error.to_string()))
    }

    async fn save(&self, next: &TrafficRecord) -> Result<(), Failure> {
        match self.startup.coordination().save_traffic(next).await {
            Ok(()) => Ok(()),
            Err(CoordinationError::Conflict { .. }) => Err(Failure::NothingChanged(
                "somebody else has shifted traffic meanwhile; look at the status first".into(),
            )),
            Err(error) => Err(Failure::LookBeforeRetry(error.to_string())),
        }
    }

    async fn tell(&self, shift: &Shift) -> Result<(), Failure> {
        let event = Event::TrafficShifted { shift: Box::new(shift.clone()) };
        let told = self.startup.bus().publish(&event, self.startup.buses()).await;
        told.map(drop).map_err(|error| Failure::LookBeforeRetry(error.to_string()))
    }
}
