//! What is wanted of one Region's traffic, and how far that has come.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blocked::Guard;
use crate::traffic::{Traffic, TrafficDecision};
use crate::{Region, Timestamp};

/// What the coordination table remembers: the last order, whoever gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficRecord {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The last order; absent where there never was one.
    pub shift: Option<Shift>,
}

/// Which way traffic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Away from the Region.
    Evacuate,
    /// Back to it.
    Restore,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Evacuate => "evacuate",
            Self::Restore => "restore",
        })
    }
}

/// One order: a Region's traffic away or back, in stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Counts up: the order's name is `t<id>`.
    pub id: u64,
    /// Away or back.
    pub way: Way,
    /// Whose traffic.
    pub region: Region,
    /// The other data Region: what leaves goes there, and its function drives.
    pub driver: Region,
    /// Who asked.
    pub by: String,
    /// Why.
    pub comment: String,
    /// Guards that this person vouches for.
    pub overrides: BTreeSet<Guard>,
    /// When.
    pub ordered_at: Timestamp,
    /// The share of the Region's traffic that is to be away now, in percent.
    pub away_percent: u8,
    /// Shares of the stages that follow.
    pub then: Vec<u8>,
    /// When the present stage was ordered.
    pub stage_since: Timestamp,
    /// How far the present stage is.
    pub state: ShiftState,
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ShiftState {
    /// It is set, or about to be; nobody has seen traffic move.
    Moving,
    /// It should have been seen to move by now, and was not.
    NotSeen {
        /// What is seen.
        seen: String,
    },
    /// The Region that takes the traffic is not well: no further stage is begun.
    Held {
        /// What is wrong.
        why: String,
    },
    /// DNS and the load balancers' counts say that it has moved, all stages.
    Done {
        /// What they say.
        seen: String,
        /// When that was seen.
        at: Timestamp,
    },
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Away or back.
    pub way: Way,
    /// Whose traffic.
    pub region: Region,
    /// The other data Region.
    pub driver: Region,
    /// Who asks.
    pub by: String,
    /// Why.
    pub comment: String,
    /// Guards that this person vouches for.
    pub overrides: BTreeSet<Guard>,
}

impl TrafficRecord {
    /// The share of a Region's traffic that is to be away, in percent.
    #[must_use]
    pub fn away_percent(&self, region: &Region) -> u8 {
        self.shift.as_ref().filter(|shift| shift.region == *region).map_or(0, |shift| shift.away_percent)
    }

    /// The record once a wish is an order; `None` where just that is wanted already.
    ///
    /// `at_once` leaves the stages out: a Region that is in trouble is not left in steps, and no control plane is asked.
    #[must_use]
    pub fn ordered(&self, wish: Wish, traffic: &Traffic, at_once: bool, now: Timestamp) -> Option<Self> {
        let away = self.away_percent(&wish.region);
        let same = self.shift.as_ref().filter(|shift| shift.region == wish.region && shift.way == wish.way);
        let mut stages: Vec<u8> = match wish.way {
            Way::Evacuate if at_once => vec![100],
            Way::Evacuate => traffic.stages_away().into_iter().filter(|stage| *stage > away).collect(),
            Way::Restore => traffic.stages_back().into_iter().filter(|stage| *stage < away || *stage == 0).collect(),
        };
        let under_way = same.is_some_and(|shift| !at_once || shift.then.is_empty());
        let never_left =
            wish.way == Way::Restore && self.shift.as_ref().is_none_or(|shift| shift.region != wish.region);
        if under_way || never_left || stages.is_empty() {
            return None;
        }
        let first = stages.remove(0);
        let Wish { way, region, driver, by, comment, overrides } = wish;
        let shift = Shift {
            id: self.shift.as_ref().map_or(1, |shift| shift.id.saturating_add(1)),
            way,
            region,
            driver,
            by,
            comment,
            overrides,
            ordered_at: now,
            away_percent: first,
            then: stages,
            stage_since: now,
            state: ShiftState::Moving,
        };
        Some(Self { version: self.version + 1, shift: Some(shift) })
    }

    /// The record after a step; `None` where the step changes nothing that is worth remembering.
    #[must_use]
    pub fn after(&self, decision: &TrafficDecision, now: Timestamp) -> Option<Self> {
        let shift = self.shift.clone()?;
        let next = match decision {
            TrafficDecision::Rest { .. } | TrafficDecision::Set { .. } | TrafficDecision::Wait { .. } => return None,
            TrafficDecision::NextStage { away_percent, .. } => Shift {
                away_percent: *away_percent,
                then: shift.then.iter().skip(1).copied().collect(),
                stage_since: now,
                state: ShiftState::Moving,
                ..shift
            },
            TrafficDecision::Finish { seen } => {
                Shift { state: ShiftState::Done { seen: seen.clone(), at: now }, ..shift }
            }
            TrafficDecision::Hold { why } => Shift { state: ShiftState::Held { why: why.clone() }, ..shift },
            TrafficDecision::TellNotSeen { seen } => {
                Shift { state: ShiftState::NotSeen { seen: seen.clone() }, ..shift }
            }
        };
        Some(Self { version: self.version + 1, shift: Some(next) })
    }
}

impl Shift {
    /// Its name in pages and logs.
    #[must_use]
    pub fn name(&self) -> String {
        format!("t{}", self.id)
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self.state {
            ShiftState::Done { .. } => true,
            ShiftState::Moving | ShiftState::NotSeen { .. } | ShiftState::Held { .. } => false,
        }
    }

    /// Whether any of the Region's traffic is, or is to be, away.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        self.way == Way::Evacuate || !self.is_done()
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}, asked by {}", self.name(), self.way, self.region, self.by)?;
        match &self.state {
            ShiftState::Moving => write!(f, "; {} % is to be away, not seen yet", self.away_percent),
            ShiftState::NotSeen { seen } => {
                write!(f, "; {} % should be away, and is not seen to be: {seen}", self.away_percent)
            }
            ShiftState::Held { why } => write!(f, "; held at {} % away: {why}", self.away_percent),
            ShiftState::Done { seen, .. } => write!(f, "; done: {seen}"),
        }
    }
}
