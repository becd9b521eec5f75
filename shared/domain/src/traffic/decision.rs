//! From what is seen of a Region's traffic to the one next step of its shift. Total: anything may be missing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::promotion::Observed;
use crate::quorum::Quorum;
use crate::traffic::config::ALIAS_KEPT_FOR;
use crate::traffic::{Routing, Shift, ShiftState, Traffic, Way};
use crate::{Region, Timestamp};

/// What one resolver answers for the service's name, asked as if from near a Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// The resolver's host.
    pub resolver: String,
    /// From near where it was asked, where it honours that.
    pub near: Region,
    /// How many addresses of each Region came.
    pub regions: Observed<BTreeMap<Region, u32>>,
    /// Addresses that belong to neither Region.
    pub elsewhere: u32,
}

impl Answers {
    /// Whether there was an answer at all.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        match &self.regions {
            Observed::Seen(regions) => !regions.is_empty() || self.elsewhere > 0,
            Observed::Unseen { .. } => false,
        }
    }

    /// Whether an address of this Region was among them.
    #[must_use]
    pub fn names(&self, region: &Region) -> bool {
        match &self.regions {
            Observed::Seen(regions) => regions.contains_key(region),
            Observed::Unseen { .. } => false,
        }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} near {}: ", self.resolver, self.near)?;
        match &self.regions {
            Observed::Unseen { why } => write!(f, "unknown ({why})"),
            Observed::Seen(regions) if regions.is_empty() && self.elsewhere == 0 => f.write_str("no address"),
            Observed::Seen(regions) => {
                let mut named: Vec<&str> = regions.keys().map(Region::as_str).collect();
                if self.elsewhere > 0 {
                    named.push("an address of neither Region");
                }
                f.write_str(&named.join(" and "))
            }
        }
    }
}

/// What a load balancer counted in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Requests.
    pub count: u64,
    /// When the minute began.
    pub minute: Timestamp,
}

/// What the next step of a shift rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficFacts {
    /// The shift.
    pub shift: Shift,
    /// Whether the object that takes the Region out of DNS is there.
    pub switch_thrown: Observed<bool>,
    /// The weights of the records; absent where they have none.
    pub weights: Option<Observed<BTreeMap<Region, u64>>>,
    /// What the observers say about each data Region.
    pub quorum: BTreeMap<Region, Quorum>,
    /// What each resolver answers.
    pub answers: Vec<Answers>,
    /// The newest whole minute that each Region's load balancer has counted.
    pub requests: BTreeMap<Region, Observed<Requests>>,
}

/// The next step of a shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrafficDecision {
    /// Nothing to do.
    Rest {
        /// Why not.
        why: String,
    },
    /// State what is wanted: the switch, and the weights where there are any.
    Set {
        /// Whether the object is to be there.
        switch_thrown: bool,
        /// The weights; absent where they are as they should be, or of no use.
        weights: Option<BTreeMap<Region, u64>>,
    },
    /// It is set, and not yet seen to have worked.
    Wait {
        /// What is being waited for.
        waiting_for: String,
    },
    /// The stage is seen to have worked: on to the next.
    NextStage {
        /// The share that is to be away then.
        away_percent: u8,
        /// What is seen.
        seen: String,
    },
    /// The last stage is seen to have worked.
    Finish {
        /// What is seen.
        seen: String,
    },
    /// Who carries the traffic is not well: no further stage.
    Hold {
        /// What is wrong.
        why: String,
    },
    /// It should have been seen by now: a person must look. It goes on being looked at.
    TellNotSeen {
        /// What is seen instead.
        seen: String,
    },
}

/// Of all requests, a Region that is out may still have so many, in percent: clients that keep an answer for longer than they may.
const LEFT_OVER_MAX: u64 = 5;
/// A share of requests counts as the wanted one within so many percentage points.
const SHARE_TOLERANCE: u64 = 10;
/// A share of fewer requests than this says nothing.
const REQUESTS_MIN: u64 = 20;

/// The next step.
#[must_use]
pub fn decide(facts: &TrafficFacts, traffic: &Traffic, now: Timestamp) -> TrafficDecision {
    let shift = &facts.shift;
    if shift.is_done() {
        return TrafficDecision::Rest { why: shift.to_string() };
    }
    if let Some(set) = what_to_set(facts, traffic) {
        return set;
    }
    match seen(facts, traffic) {
        Ok(seen) => match shift.then.first() {
            None => TrafficDecision::Finish { seen },
            Some(next) => next_stage(facts, *next, seen),
        },
        Err(not_yet) if crate::age(shift.stage_since, now) > traffic.confirm_within() => match &shift.state {
            ShiftState::NotSeen { seen } if *seen == not_yet => TrafficDecision::Wait { waiting_for: not_yet },
            ShiftState::NotSeen { .. } | ShiftState::Moving | ShiftState::Held { .. } | ShiftState::Done { .. } => {
                TrafficDecision::TellNotSeen { seen: not_yet }
            }
        },
        Err(not_yet) => TrafficDecision::Wait { waiting_for: not_yet },
    }
}

/// The weights that leave so much of a Region's traffic away.
#[must_use]
pub fn weights_for(normal: &BTreeMap<Region, u64>, shift: &Shift) -> BTreeMap<Region, u64> {
    let own = normal.get(&shift.region).copied().unwrap_or(0);
    let away = own.saturating_mul(u64::from(shift.away_percent.min(100))) / 100;
    let mut weights = normal.clone();
    weights.insert(shift.region.clone(), own.saturating_sub(away));
    let other = weights.entry(shift.driver.clone()).or_insert(0);
    *other = other.saturating_add(away);
    weights
}

/// What is not as it is wanted. All of a Region's traffic goes by the switch, which needs no control plane; only shares need weights.
fn what_to_set(facts: &TrafficFacts, traffic: &Traffic) -> Option<TrafficDecision> {
    let shift = &facts.shift;
    let switch_thrown = shift.away_percent == 100;
    let weights = match (&traffic.routing, &facts.weights) {
        (Routing::Weighted { weights: normal, .. }, Some(seen)) if !switch_thrown => {
            let wanted = weights_for(normal, shift);
            (*seen != Observed::Seen(wanted.clone())).then_some(wanted)
        }
        (Routing::Weighted { .. } | Routing::Latency, _) => None,
    };
    let in_place = facts.switch_thrown == Observed::Seen(switch_thrown);
    (!in_place || weights.is_some()).then_some(TrafficDecision::Set { switch_thrown, weights })
}

/// A further stage is begun only towards a Region that is well.
fn next_stage(facts: &TrafficFacts, away_percent: u8, seen: String) -> TrafficDecision {
    let shift = &facts.shift;
    let carrier = match shift.way {
        Way::Evacuate => &shift.driver,
        Way::Restore => &shift.region,
    };
    let unknown = || format!("{seen}; whether {carrier} is well is unknown");
    match facts.quorum.get(carrier) {
        None => TrafficDecision::Wait { waiting_for: unknown() },
        Some(Quorum::Alive) => TrafficDecision::NextStage { away_percent, seen },
        Some(Quorum::Wavering | Quorum::Unknown { .. }) => TrafficDecision::Wait { waiting_for: unknown() },
        Some(ill @ (Quorum::Dark(_) | Quorum::StillHeard { .. } | Quorum::Grey { .. } | Quorum::Split { .. })) => {
            let why = format!("{carrier}: {ill}");
            match &shift.state {
                ShiftState::Held { why: told } if *told == why => TrafficDecision::Wait { waiting_for: why },
                ShiftState::Held { .. } | ShiftState::Moving | ShiftState::NotSeen { .. } | ShiftState::Done { .. } => {
                    TrafficDecision::Hold { why }
                }
            }
        }
    }
}

/// What shows that the stage has worked, or what still speaks against it. Our own write is no evidence.
fn seen(facts: &TrafficFacts, traffic: &Traffic) -> Result<String, String> {
    let dns = dns(facts, traffic)?;
    let requests = requests(facts, traffic)?;
    Ok(format!("{dns}; {requests}"))
}

fn dns(facts: &TrafficFacts, traffic: &Traffic) -> Result<String, String> {
    let shift = &facts.shift;
    let answered: Vec<&Answers> = facts.answers.iter().filter(|answers| answers.was_answered()).collect();
    let Some(one) = answered.first() else {
        let why = facts.answers.first().map_or_else(|| "nobody was asked".to_owned(), ToString::to_string);
        return Err(format!("what DNS answers is unknown: {why}"));
    };
    let region = &shift.region;
    match (shift.away_percent, &traffic.routing) {
        (100, _) => match answered.iter().find(|answers| answers.names(region)) {
            Some(still) => Err(format!("DNS still answers {region} ({still})")),
            None => Ok(format!("DNS answers {region} nowhere ({one})")),
        },
        (_, Routing::Latency) => match answered.iter().find(|answers| answers.names(region)) {
            Some(again) => Ok(format!("DNS answers {region} again ({again})")),
            None => Err(format!("DNS does not answer {region} yet ({one})")),
        },
        // A single answer is a draw of the weights, and shows nothing; the requests do.
        (_, Routing::Weighted { .. }) => Ok(format!("DNS answers by weight ({one})")),
    }
}

fn requests(facts: &TrafficFacts, traffic: &Traffic) -> Result<String, String> {
    let shift = &facts.shift;
    let carried = counted(facts, &shift.driver)?;
    let own = match counted(facts, &shift.region) {
        Ok(own) => own,
        // What is dark is not asked, and serves nobody.
        Err(_) if shift.away_percent == 100 && matches!(facts.quorum.get(&shift.region), Some(Quorum::Dark(_))) => {
            return Ok(format!(
                "{} is dark and was not asked; {} had {} requests in the minute from {:.0}",
                shift.region, shift.driver, carried.count, carried.minute
            ));
        }
        Err(why) => return Err(why),
    };
    let all = own.count.saturating_add(carried.count);
    if all < REQUESTS_MIN {
        return Err(format!("only {all} requests in a minute: too few to tell where they go"));
    }
    let share = own.count.saturating_mul(100) / all;
    let said = format!("{} of {all} requests a minute go to {} ({share} %)", own.count, shift.region);
    let wanted = wanted_share(facts, traffic);
    let there = match (shift.away_percent, shift.way) {
        (100, _) => share <= LEFT_OVER_MAX,
        (_, Way::Evacuate) => share <= wanted.saturating_add(SHARE_TOLERANCE),
        (0, Way::Restore) if traffic.routing == Routing::Latency => share > LEFT_OVER_MAX,
        (_, Way::Restore) => share.saturating_add(SHARE_TOLERANCE) >= wanted,
    };
    if there { Ok(said) } else { Err(said) }
}

/// The share of all requests that the weights give the Region, in percent.
fn wanted_share(facts: &TrafficFacts, traffic: &Traffic) -> u64 {
    let Routing::Weighted { weights: normal, .. } = &traffic.routing else { return 0 };
    let weights = weights_for(normal, &facts.shift);
    let all: u64 = weights.values().fold(0, |sum, weight| sum.saturating_add(*weight));
    let own = weights.get(&facts.shift.region).copied().unwrap_or(0);
    own.saturating_mul(100).checked_div(all).unwrap_or(0)
}

/// A minute that began before the stage could be seen anywhere counts for nothing.
fn counted(facts: &TrafficFacts, region: &Region) -> Result<Requests, String> {
    let unknown = |why: &str| Err(format!("how many requests {region} gets is unknown: {why}"));
    match facts.requests.get(region) {
        None => unknown("nobody has looked"),
        Some(Observed::Unseen { why }) => unknown(why),
        Some(Observed::Seen(requests)) => {
            let since: Duration = ALIAS_KEPT_FOR;
            let from = facts.shift.stage_since.checked_add(since).unwrap_or(facts.shift.stage_since);
            if requests.minute < from {
                return Err(format!(
                    "the newest minute counted in {region} began at {:.0}, before answers from {:.0} had run out",
                    requests.minute, facts.shift.stage_since
                ));
            }
            Ok(*requests)
        }
    }
}

impl fmt::Display for TrafficDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest { why } => f.write_str(why),
            Self::Set { switch_thrown, weights } => {
                write!(f, "the switch {}", if *switch_thrown { "is thrown" } else { "is off" })?;
                match weights {
                    None => Ok(()),
                    Some(weights) => {
                        let all: Vec<String> =
                            weights.iter().map(|(region, weight)| format!("{region} {weight}")).collect();
                        write!(f, ", the weights are {}", all.join(" and "))
                    }
                }
            }
            Self::Wait { waiting_for } => write!(f, "waiting: {waiting_for}"),
            Self::NextStage { away_percent, seen } => write!(f, "{seen}; next, {away_percent} % away"),
            Self::Finish { seen } => write!(f, "done: {seen}"),
            Self::Hold { why } => write!(f, "held: {why}"),
            Self::TellNotSeen { seen } => write!(f, "it should have moved by now: {seen}"),
        }
    }
}
