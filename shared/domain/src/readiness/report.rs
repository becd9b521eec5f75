//! What is told and remembered of a run: people hear of it when it has changed.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Assessment, Capacity, Finding, Unread};
use crate::page::Severity;
use crate::{Region, Timestamp};

/// Findings of one report: DynamoDB keeps 400 kB in an item, and EventBridge carries 1 MB.
const FINDINGS_MAX: usize = 100;

/// How the two Regions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Either could carry everything.
    Ready,
    /// Something would stop one of them.
    NotReady,
    /// Something could not be read.
    Unknown,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessReport {
    /// Where it was looked from.
    pub region: Region,
    /// When the last read ended.
    pub at: Timestamp,
    /// How the two Regions stand.
    pub standing: Standing,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Found, and accepted by somebody.
    pub accepted: Vec<Finding>,
    /// What could not be read.
    pub unknown: Vec<Unread>,
    /// Findings that are not in the list, because it is full.
    pub left_out: usize,
    /// What is new since the report before, by its key.
    pub new: BTreeSet<String>,
    /// What is gone since the report before, by its key.
    pub gone: BTreeSet<String>,
    /// One above the version that it replaces.
    pub version: u64,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Unknown => "unknown",
        })
    }
}

impl ReadinessReport {
    /// The report of a run, after the one before it.
    #[must_use]
    pub fn new(assessment: Assessment, before: Option<&Self>, region: &Region, at: Timestamp) -> Self {
        let standing = match assessment.overall() {
            Capacity::Ready => Standing::Ready,
            Capacity::NotReady { .. } => Standing::NotReady,
            Capacity::Unknown { .. } => Standing::Unknown,
        };
        let Assessment { mut findings, mut accepted, unknown } = assessment;
        let left_out = findings.len().saturating_sub(FINDINGS_MAX);
        findings.truncate(FINDINGS_MAX);
        accepted.truncate(FINDINGS_MAX);
        let mut report = Self {
            region: region.clone(),
            at,
            standing,
            findings,
            accepted,
            unknown,
            left_out,
            new: BTreeSet::new(),
            gone: BTreeSet::new(),
            version: before.map_or(0, |before| before.version).saturating_add(1),
        };
        let (now, then) = (report.keys(), before.map(Self::keys).unwrap_or_default());
        report.new = now.difference(&then).cloned().collect();
        report.gone = then.difference(&now).cloned().collect();
        report
    }

    /// What makes another run the same: findings and failed reads by name, not by their evidence.
    fn keys(&self) -> BTreeSet<String> {
        let unread = self.unknown.iter().map(|unread| format!("unknown/{}/{}", unread.read, unread.region));
        self.findings.iter().map(Finding::key).chain(unread).collect()
    }

    /// Something is new or gone: people are told. A first run that finds nothing is silent.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        !self.new.is_empty() || !self.gone.is_empty()
    }

    /// Why a deployment must not go out, the worst first; empty when it may.
    #[must_use]
    pub fn reasons_not_to_go(&self) -> Vec<String> {
        let critical = self.findings.iter().filter(|finding| finding.severity == Severity::Critical);
        critical.map(ToString::to_string).chain(self.unknown.iter().map(ToString::to_string)).collect()
    }
}
