//! How long an outage of a Region takes at worst, by arithmetic from the settings that are in force.
//!
//! Every phase says whose time it is and from which setting it comes. What is not known is unknown: a budget with an
//! unknown phase has no total.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::incident::{Incident, Phase as IncidentPhase, Verb};
use crate::policy::{Mode, Policy};
use crate::promotion::Observed;
use crate::readiness::{Objective, RegionFacts, Setting, Value};

/// observe-region probes so often.
const PROBE_EVERY_MS: u64 = 5_000;
/// A probe is given up after so long.
const PROBE_MAX_MS: u64 = 2_000;
/// Two votes are written and read: two writes to a table that answers over three Regions.
const VOTES_MS: u64 = 500;
/// promote-aurora starts and gathers its evidence; nothing is asked of the dark Region.
const CONFIRM_MS: u64 = 1_500;
/// The fence is raised and RDS is asked: two writes and a call.
const DECIDE_MS: u64 = 1_000;
/// A client tries again after a second, and the payment takes some tens of milliseconds.
const FIRST_WRITE_MS: u64 = 1_500;
/// A checker of Route 53 waits 4 s for a connection and 2 s for an answer (R53 dns-failover-determining-health).
const CHECK_MAX_MS: u64 = 6_000;

/// Whose time a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Holdfast's.
    Ours,
    /// AWS's: nothing here makes it shorter.
    Aws,
    /// A person's.
    Person,
    /// The clients' and the resolvers' before them.
    Clients,
}

/// One phase, at its longest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What happens.
    pub name: String,
    /// Whose time it is.
    pub whose: Whose,
    /// How long it takes at worst, in milliseconds.
    pub takes_ms: Observed<u64>,
    /// The setting that it comes from.
    pub from: String,
    /// The same as something that is compared, which is a finding by itself where it is wrong.
    #[serde(skip)]
    pub compared_as: Option<Setting>,
}

/// The recovery time of reads and of writes, phase by phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// From the first lost write to the first that is acknowledged.
    pub writes: Vec<Phase>,
    /// For a client that knows no other way than DNS, where the Region is dark: its connections end with it.
    pub reads: Vec<Phase>,
    /// The same where the Region still answers and only fails, and a connection is kept until it must be made anew.
    pub reads_kept_open: Vec<Phase>,
    /// How long promotions have taken so far.
    pub promotions: Observed<Promotions>,
}

/// How long promotions took, from when RDS was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotions {
    /// How many there were.
    pub count: usize,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: u64,
    /// Of twenty, nineteen took no longer.
    pub p95_ms: u64,
    /// From RDS's end to the proof that writes work, of twenty nineteen took no longer.
    pub proof_p95_ms: u64,
}

/// What DNS takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dns {
    /// From the outage to the end of the first check that fails: at worst a whole interval and the checker's patience.
    pub first_failure_ms: u64,
    /// Between two checks.
    pub interval_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub threshold: u64,
    /// How long an answer is kept.
    pub ttl_ms: u64,
}

impl Dns {
    /// At worst, with these settings.
    #[must_use]
    pub fn at_worst(interval_ms: u64, threshold: u64, ttl_ms: u64) -> Self {
        Self { first_failure_ms: interval_ms.saturating_add(CHECK_MAX_MS), interval_ms, threshold, ttl_ms }
    }

    /// Until Route 53 answers the Region no longer. One interval less than the threshold lies between the failures.
    #[must_use]
    pub fn detected_ms(&self) -> u64 {
        let between = self.interval_ms.saturating_mul(self.threshold.saturating_sub(1));
        self.first_failure_ms.saturating_add(between)
    }

    /// Until the last resolver has forgotten the Region. The answers' time to live begins when the detection has ended.
    #[must_use]
    pub fn total_ms(&self) -> u64 {
        self.detected_ms().saturating_add(self.ttl_ms)
    }
}

impl Promotions {
    /// From incidents and drills of the past; `None`: none of them promoted anything.
    #[must_use]
    pub fn of<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> Option<Self> {
        let (mut promotions, mut proofs) = (Vec::new(), Vec::new());
        for incident in incidents.into_iter().filter(|it| it.verb == Verb::Failover) {
            let at = |phase: IncidentPhase| incident.history.iter().find(|it| it.phase == phase).map(|it| it.at);
            let took = |from, to| match (at(from), at(to)) {
                (Some(from), Some(to)) => u64::try_from(to.duration_since(from).as_millis()).ok(),
                (None, _) | (_, None) => None,
            };
            promotions.extend(took(IncidentPhase::Promoting, IncidentPhase::Proving));
            proofs.extend(took(IncidentPhase::Proving, IncidentPhase::Restored));
        }
        promotions.sort_unstable();
        proofs.sort_unstable();
        Some(Self {
            count: promotions.len(),
            p50_ms: percentile(&promotions, 50)?,
            p95_ms: percentile(&promotions, 95)?,
            proof_p95_ms: percentile(&proofs, 95)?,
        })
    }
}

/// The nearest rank: one of the values that were seen.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Budget {
    /// From the policy, from what was read of the Region that would be lost, and from the promotions of the past.
    #[must_use]
    pub fn of(policy: &Policy, dark: &RegionFacts, survivor: &RegionFacts, promotions: Observed<Promotions>) -> Self {
        let phase = |name: &str, whose, takes_ms, from: String| Phase {
            name: name.to_owned(),
            whose,
            takes_ms,
            from,
            compared_as: None,
        };
        let compared = |setting: Setting, phase: Phase| Phase { compared_as: Some(setting), ..phase };
        let seen = |facts: &RegionFacts, setting: Setting, name: &str| match facts.number(setting) {
            Some(number) => Observed::Seen(number),
            None => Observed::Unseen { why: format!("{name} could not be read") },
        };
        let rounds = u64::from(policy.failed_probes.max(1)).saturating_mul(PROBE_EVERY_MS);
        let detect = rounds.saturating_add(PROBE_MAX_MS).saturating_add(VOTES_MS);
        let (p95, proof) = match &promotions {
            Observed::Seen(it) => (Observed::Seen(it.p95_ms), Observed::Seen(it.proof_p95_ms)),
            Observed::Unseen { why } => (Observed::Unseen { why: why.clone() }, Observed::Unseen { why: why.clone() }),
        };
        let person = match (policy.mode, policy.approve_countdown_seconds) {
            (Mode::Auto, _) => Observed::Seen(0),
            (Mode::Approve, Some(seconds)) => Observed::Seen(seconds.saturating_mul(1000)),
            (Mode::Approve, None) => Observed::Unseen { why: "it waits for a person, however long that takes".into() },
            (Mode::Observe, _) => Observed::Unseen { why: "in observe mode nothing is promoted".into() },
        };
        let cached = survivor.seen().find(|it| it.setting == Setting::ServiceDnsCache).map(|it| &it.value);
        let cached = match cached {
            Some(Value::Number(seconds)) => Observed::Seen(seconds.saturating_mul(1000)),
            Some(Value::Absent | Value::Flag(_) | Value::Text(_) | Value::Secret(_)) | None => {
                Observed::Unseen { why: "how long the service keeps an address could not be read".into() }
            }
        };
        let writes = vec![
            phase(
                "detect",
                Whose::Ours,
                Observed::Seen(detect),
                format!(
                    "policy.failed_probes = {}, a probe every 5 s, 2 s for each, two observers",
                    policy.failed_probes
                ),
            ),
            phase("confirm", Whose::Ours, Observed::Seen(CONFIRM_MS), "the evidence is gathered once".into()),
            phase("approve", Whose::Person, person, format!("policy.mode = {}", policy.mode)),
            phase("decide", Whose::Ours, Observed::Seen(DECIDE_MS), "the fence and the call to RDS".into()),
            phase("promote", Whose::Aws, p95, "past promotions, of twenty nineteen took no longer".into()),
            phase("route and prove", Whose::Aws, proof, "past proofs, of twenty nineteen took no longer".into()),
            compared(
                Setting::ServiceDnsCache,
                phase("forget the old writer", Whose::Clients, cached, "DNS_CACHE_SECONDS of the service".into()),
            ),
            phase(
                "first write",
                Whose::Clients,
                Observed::Seen(FIRST_WRITE_MS),
                "a client tries again each second".into(),
            ),
        ];
        let interval = seen(dark, Setting::RecordInterval, "the health check's interval");
        let threshold = seen(dark, Setting::RecordThreshold, "the health check's threshold");
        let ttl = seen(dark, Setting::RecordTtl, "the record's time to live");
        let detected = match (&interval, &threshold) {
            (Observed::Seen(interval), Observed::Seen(threshold)) => {
                Observed::Seen(Dns::at_worst(interval.saturating_mul(1000), *threshold, 0).detected_ms())
            }
            (Observed::Unseen { why }, _) | (_, Observed::Unseen { why }) => Observed::Unseen { why: why.clone() },
        };
        let shown = |it: &Observed<u64>| match it {
            Observed::Seen(number) => number.to_string(),
            Observed::Unseen { .. } => "unknown".into(),
        };
        let from = format!("request_interval = {} s, failure_threshold = {}", shown(&interval), shown(&threshold));
        let in_ms = |it: Observed<u64>| match it {
            Observed::Seen(seconds) => Observed::Seen(seconds.saturating_mul(1000)),
            Observed::Unseen { why } => Observed::Unseen { why },
        };
        let keep_alive = seen(dark, Setting::BalancerKeepAlive, "the load balancer's keep-alive");
        let kept = format!(
            "client_keep_alive = {} s, which begins after the last answer that named the Region",
            shown(&keep_alive)
        );
        let reads = [
            compared(Setting::RecordDetection, phase("detect", Whose::Aws, detected, from)),
            compared(
                Setting::RecordTtl,
                phase(
                    "answers expire",
                    Whose::Clients,
                    in_ms(ttl),
                    "the record's time to live, which begins after the detection".into(),
                ),
            ),
        ];
        let kept = phase("connections end", Whose::Clients, in_ms(keep_alive), kept);
        let kept = compared(Setting::BalancerKeepAlive, kept);
        let reads_kept_open = reads.iter().cloned().chain([kept]).collect();
        Self { writes, reads: reads.to_vec(), reads_kept_open, promotions }
    }

    /// What the budget comes to, against the objective, in sentences; empty when both are met. Reads are held to it however
    /// the Region is lost.
    ///
    /// A total that is unknown is not met: nobody has shown that it is.
    #[must_use]
    pub fn over(&self, objective: &Objective) -> Vec<String> {
        let mut over = Vec::new();
        for (what, phases, seconds) in [
            ("writes", &self.writes, objective.writes_seconds),
            ("reads", &self.reads_kept_open, objective.reads_seconds),
        ] {
            match total(phases) {
                Observed::Seen(ms) if ms <= seconds.saturating_mul(1000) => {}
                Observed::Seen(ms) => over.push(format!(
                    "{what} take up to {}, and the objective is {seconds} s: {}",
                    in_seconds(ms),
                    longest(phases)
                )),
                Observed::Unseen { why } => {
                    over.push(format!("how long {what} take is unknown, and the objective is {seconds} s: {why}"));
                }
            }
        }
        over
    }

    /// The budget as a table for a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (what, phases) in [
            ("writes", &self.writes),
            ("reads, by DNS alone, of a dark Region", &self.reads),
            ("reads, by DNS alone, of a Region that answers and only fails", &self.reads_kept_open),
        ] {
            let _ = writeln!(text, "{what}");
            for phase in phases {
                let _ = writeln!(
                    text,
                    "  {:<22} {:>9}  {:<8} {}",
                    phase.name,
                    shown(&phase.takes_ms),
                    phase.whose.name(),
                    phase.from
                );
            }
            let _ = writeln!(text, "  {:<22} {:>9}", "together at worst", shown(&total(phases)));
        }
        let _ = match &self.promotions {
            Observed::Seen(it) => writeln!(
                text,
                "promotions so far: {}, half of them within {}, of twenty nineteen within {}",
                it.count,
                in_seconds(it.p50_ms),
                in_seconds(it.p95_ms)
            ),
            Observed::Unseen { why } => writeln!(text, "promotions so far: unknown, {why}"),
        };
        text.push_str("what is lost is measured, and not promised: Aurora's lag has no bound\n");
        text
    }
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Aws => "AWS",
            Self::Person => "a person",
            Self::Clients => "clients",
        }
    }
}

/// All phases together; unknown as soon as one of them is.
#[must_use]
pub fn total(phases: &[Phase]) -> Observed<u64> {
    let mut sum: u64 = 0;
    for phase in phases {
        match &phase.takes_ms {
            Observed::Seen(ms) => sum = sum.saturating_add(*ms),
            Observed::Unseen { why } => return Observed::Unseen { why: format!("{}: {why}", phase.name) },
        }
    }
    Observed::Seen(sum)
}

/// The phases that are known, each with its milliseconds.
fn known(phases: &[Phase]) -> impl Iterator<Item = (u64, &Phase)> {
    phases.iter().filter_map(|phase| match phase.takes_ms {
        Observed::Seen(ms) => Some((ms, phase)),
        Observed::Unseen { .. } => None,
    })
}

fn longest(phases: &[Phase]) -> String {
    known(phases).max_by_key(|(ms, _)| *ms).map_or_else(String::new, |(ms, phase)| {
        format!("the longest phase is `{}` with {} ({})", phase.name, in_seconds(ms), phase.from)
    })
}

fn shown(takes: &Observed<u64>) -> String {
    match takes {
        Observed::Seen(ms) => in_seconds(*ms),
        Observed::Unseen { .. } => "unknown".into(),
    }
}

/// Whole seconds and tenths, such as `12.5 s`.
fn in_seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

mod objective;

pub use objective::exceeded;

#[cfg(test)]
mod tests;
