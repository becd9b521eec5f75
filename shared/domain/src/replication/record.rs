//! What is remembered between rounds, and what of a new round is news.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::canary::Canary;
use super::table::CliffStage;
use super::{Kind, Link, StoreState, Verdict};
use crate::Timestamp;
use crate::attempt::Doubled;

/// One link's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// Which.
    pub link: Link,
    /// The last verdict.
    pub verdict: Verdict,
    /// Since when its kind is what it is.
    pub since: Timestamp,
    /// When it was last looked at.
    pub checked_at: Timestamp,
    /// It has been told that it is unknown for long.
    pub told_long: bool,
    /// People have been told that it does not replicate, and not yet that it does again.
    pub told_stalled: bool,
    /// The stage of its cliff that has been told.
    pub told_cliff: Option<CliffStage>,
}

/// All that is remembered: one item of the coordination table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationRecord {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The links that were ever looked at.
    pub links: Vec<LinkRecord>,
    /// The canaries of each direction.
    pub canaries: Vec<(Link, Canary)>,
    /// The keys that more than one Region has accepted, as far as they were found: the newest, and no more than `DOUBLES_MAX`.
    #[serde(default)]
    pub doubles: Vec<Doubled>,
}

/// So many doubled keys are listed; a table that has more has lost its meaning, and the count says so.
const DOUBLES_MAX: usize = 200;

/// A link has changed, and somebody may need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub link: Link,
    /// What it was; absent when it was never looked at.
    pub was: Option<Kind>,
    /// What it is.
    pub verdict: Verdict,
    /// Since when.
    pub since: Timestamp,
    /// It is not a new state, but an unknown one that lasts.
    pub lasts: bool,
    /// It replicates again after people were told that it does not.
    pub recovered: bool,
    /// The cliff has come nearer.
    pub cliff_stage: Option<CliffStage>,
}

/// An unknown that lasts this long is told: five rounds.
const UNKNOWN_FOR_LONG: Duration = Duration::from_secs(300);

impl ReplicationRecord {
    /// What is remembered of a link.
    #[must_use]
    pub fn link(&self, link: &Link) -> Option<&LinkRecord> {
        self.links.iter().find(|record| record.link == *link)
    }

    /// The canaries of a direction.
    pub fn canary(&mut self, link: &Link) -> &mut Canary {
        let position = self.canaries.iter().position(|(known, _)| known == link);
        let position = position.unwrap_or_else(|| {
            self.canaries.push((link.clone(), Canary::default()));
            self.canaries.len() - 1
        });
        &mut self.canaries[position].1
    }

    /// Remembers keys that were accepted twice. What comes back was not known before.
    pub fn note_doubles(&mut self, found: Vec<Doubled>) -> Vec<Doubled> {
        let news: Vec<Doubled> =
            found.into_iter().filter(|it| !self.doubles.iter().any(|known| known.key == it.key)).collect();
        self.doubles.extend(news.iter().cloned());
        let too_many = self.doubles.len().saturating_sub(DOUBLES_MAX);
        self.doubles.drain(..too_many);
        news
    }

    /// Another round has written meanwhile: its version counts, and the higher of each direction's canaries.
    pub fn yield_to(&mut self, stored: Self) {
        self.version = stored.version;
        for (link, theirs) in stored.canaries {
            let ours = self.canary(&link);
            ours.sent = ours.sent.max(theirs.sent);
            if theirs.arrived > ours.arrived {
                ours.arrived = theirs.arrived;
                ours.under_way.retain(|sent| sent.sequence > theirs.arrived);
            }
        }
        let known = self.doubles.clone();
        self.doubles = stored.doubles;
        self.note_doubles(known);
    }

    /// Remembers a verdict about a Region that is known to be dark: that it stays unknown is no news for people, who know why.
    pub fn note_in_the_dark(&mut self, link: &Link, verdict: Verdict, now: Timestamp) -> Option<Change> {
        let change = self.note(link, verdict, now);
        if let Some(record) = self.links.iter_mut().find(|record| record.link == *link) {
            record.told_long = false;
        }
        change.filter(|change| !change.lasts)
    }

    /// Remembers a verdict. What comes back is news: a state that differs, an unknown that lasts, a cliff that is nearer.
    pub fn note(&mut self, link: &Link, verdict: Verdict, now: Timestamp) -> Option<Change> {
        let before = self.link(link).cloned();
        let was = before.as_ref().map(|record| record.verdict.state.kind());
        let is = verdict.state.kind();
        let since = match &before {
            Some(record) if was == Some(is) => record.since,
            Some(_) | None => now,
        };
        let stage = verdict.cliff.as_ref().map(|cliff| cliff.stage(now));
        let told_stage = before.as_ref().and_then(|record| record.told_cliff);
        let cliff_stage = stage.filter(|stage| told_stage.is_none_or(|told| told < *stage));
        let told_long = was == Some(is) && before.as_ref().is_some_and(|record| record.told_long);
        let lasts = is == Kind::Unknown && !told_long && crate::age(since, now) >= UNKNOWN_FOR_LONG;
        let differs = match was {
            Some(was) => was != is,
            None => is != Kind::InSync,
        };
        let told_stalled = before.as_ref().is_some_and(|record| record.told_stalled);
        let recovered = told_stalled && is == Kind::InSync;
        let record = LinkRecord {
            link: link.clone(),
            verdict: verdict.clone(),
            since,
            checked_at: now,
            told_long: told_long || lasts,
            told_stalled: (told_stalled && !recovered) || is == Kind::Stalled,
            // A replica that has recovered and fails again begins a new countdown.
            told_cliff: stage.and(cliff_stage.or(told_stage)),
        };
        match self.links.iter_mut().find(|record| record.link == *link) {
            Some(known) => *known = record,
            None => self.links.push(record),
        }
        let news = differs || lasts || cliff_stage.is_some();
        news.then(|| Change {
            link: link.clone(),
            was,
            verdict,
            since,
            lasts: lasts && !differs,
            recovered,
            cliff_stage,
        })
    }
}

impl Change {
    /// A person must know: it does not replicate, it works again, nobody can say for long, or a replica is about to go.
    #[must_use]
    pub fn concerns_people(&self) -> bool {
        let stalled = self.verdict.state.kind() == Kind::Stalled && self.was != Some(Kind::Stalled);
        stalled || self.recovered || self.lasts || self.cliff_stage.is_some()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, verdict, .. } = self;
        write!(f, "{link} is {}", verdict.state)?;
        if let Some(cliff) = &verdict.cliff {
            write!(f, "; {cliff}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LinkRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.link, self.verdict.state)
    }
}

impl StoreState {
    /// How far behind, for a metric; absent where that is not known.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        match self {
            Self::InSync { lag } | Self::Lagging { lag, .. } => Some(*lag),
            Self::Stalled { .. } | Self::Unknown { .. } => None,
        }
    }
}
