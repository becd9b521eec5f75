//! The decision about one key.

use super::policy::Conflicts;
use super::{
    Content, Copy, Delete, Facts, Head, Looked, Over, Reason, ReceiptsPolicy, Replication, Sameness, Side, Verdict,
    Version, compare,
};
use crate::{Timestamp, age};

/// How many noncurrent versions of each side are looked at for an origin before a key is called a conflict.
const ORIGINS_LOOKED_AT_MAX: usize = 8;

/// A version that must be looked at before anything can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub side: Side,
    /// Its place, newest first.
    pub place: usize,
}

/// What is known about one key so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The listing cannot decide: these versions must be looked at.
    Look(Vec<Wanted>),
    /// Decided.
    Settled(Verdict),
}

/// Decides about one key, or says what must be looked at first. It ends: what was looked at is not asked for again.
#[must_use]
pub fn decide(facts: &Facts, policy: &ReceiptsPolicy, now: Timestamp) -> Decision {
    match judge(facts, policy, now) {
        Ok(verdict) => Decision::Settled(verdict),
        Err(wanted) => Decision::Look(wanted),
    }
}

/// Decides about one key, looking by `look`: for tests and for callers that have everything at hand.
pub fn settle(
    facts: &mut Facts,
    policy: &ReceiptsPolicy,
    now: Timestamp,
    mut look: impl FnMut(Side, &Version) -> Looked,
) -> Verdict {
    loop {
        match decide(facts, policy, now) {
            Decision::Settled(verdict) => return verdict,
            Decision::Look(wanted) => {
                for Wanted { side, place } in wanted {
                    if let Some(version) = facts.on_mut(side).get_mut(place) {
                        version.looked = look(side, version);
                    }
                }
            }
        }
    }
}

/// A verdict, or what must be looked at before there can be one.
type Judged = Result<Verdict, Vec<Wanted>>;

fn judge(facts: &Facts, policy: &ReceiptsPolicy, now: Timestamp) -> Judged {
    let by = Judge { facts, policy, now };
    match (facts.dublin.first(), facts.london.first()) {
        (None, None) => Ok(Verdict::InSync),
        (Some(head), None) => by.only_on(Side::Dublin, head),
        (None, Some(head)) => by.only_on(Side::London, head),
        (Some(dublin), Some(london)) => by.both(dublin, london),
    }
}

struct Judge<'a> {
    facts: &'a Facts,
    policy: &'a ReceiptsPolicy,
    now: Timestamp,
}

impl Judge<'_> {
    fn only_on(&self, side: Side, head: &Version) -> Judged {
        match &head.content {
            // Deleted here and absent there: nothing is current on either side.
            None => Ok(Verdict::InSync),
            Some(content) => {
                self.send(side, head, content, Over::Nothing { over_marker: None }, Reason::OnlyThere, false)
            }
        }
    }

    fn both(&self, dublin: &Version, london: &Version) -> Judged {
        if dublin.is(london) {
            return Ok(Verdict::InSync);
        }
        let knows = |side: Side, version: &Version| self.facts.on(side).iter().any(|known| known.is(version));
        let dublin_is_known = knows(Side::London, dublin);
        let london_is_known = knows(Side::Dublin, london);
        match (&dublin.content, &london.content) {
            (None, None) => Ok(Verdict::InSync),
            _ if dublin_is_known && !london_is_known => self.forward(Side::London, london, dublin),
            _ if london_is_known && !dublin_is_known => self.forward(Side::Dublin, dublin, london),
            (None, Some(object)) => self.marker_and_object(Side::Dublin, dublin, london, object, london_is_known),
            (Some(object), None) => self.marker_and_object(Side::London, london, dublin, object, dublin_is_known),
            (Some(in_dublin), Some(in_london)) => self.two_objects((dublin, in_dublin), (london, in_london)),
        }
    }

    /// One side is only behind: what is current on `from` becomes current on the other, too.
    fn forward(&self, from: Side, head: &Version, behind: &Version) -> Judged {
        match &head.content {
            Some(content) => {
                let reason = if behind.content.is_none() { Reason::WrittenAfterDelete } else { Reason::Behind };
                self.send(from, head, content, over(behind), reason, false)
            }
            None => Ok(self.delete(from, head, behind)),
        }
    }

    /// Neither is only behind, and one side has deleted: the later of the two wins.
    fn marker_and_object(
        &self,
        marker_on: Side,
        marker: &Version,
        object: &Version,
        content: &Content,
        object_is_known: bool,
    ) -> Judged {
        let object_on = marker_on.other();
        if marker.modified > object.modified {
            return Ok(self.delete(marker_on, marker, object));
        }
        if object.modified > marker.modified {
            let reason = Reason::WrittenAfterDelete;
            return self.send(object_on, object, content, over(marker), reason, object_is_known);
        }
        // Listings know whole seconds; which came first within one cannot be learned.
        let (dublin, london) = match marker_on {
            Side::Dublin => (marker, object),
            Side::London => (object, marker),
        };
        Ok(Verdict::Conflict { dublin: dublin.id.clone(), london: london.id.clone(), bytes: content.size })
    }

    fn two_objects(&self, dublin: (&Version, &Content), london: (&Version, &Content)) -> Judged {
        let (in_dublin, in_london) = match self.looked_at(&[(Side::Dublin, dublin.0, 0), (Side::London, london.0, 0)]) {
            Ok(heads) => heads,
            Err(Unseen::Look(wanted)) => return Err(wanted),
            Err(Unseen::Refused(at, code)) => {
                let bytes = dublin.1.size.max(london.1.size);
                return Ok(Verdict::Failed { at, code, bytes });
            }
        };
        let sameness = compare((dublin.1, in_dublin), (london.1, in_london));
        if sameness == Sameness::Same {
            return Ok(Verdict::InSync);
        }
        for (from, version, content, head) in
            [(Side::Dublin, dublin.0, dublin.1, in_dublin), (Side::London, london.0, london.1, in_london)]
        {
            if head.replication == Some(Replication::Pending) && self.is_young(version) {
                return Ok(self.pending(from, version, content.size));
            }
        }
        // A copy of ours deeper in a history may yet show that one side is only behind.
        let origins = self.origins_to_look_at();
        if !origins.is_empty() {
            return Err(origins);
        }
        let bytes = dublin.1.size.max(london.1.size);
        let prefer = |from: Side| {
            let ((winner, content), loser) = match from {
                Side::Dublin => (dublin, london.0),
                Side::London => (london, dublin.0),
            };
            let copy =
                Copy { version: winner.id.clone(), bytes: content.size, over: over(loser), reason: Reason::Preferred };
            Verdict::copy_to(from.other(), copy)
        };
        let (dublin_id, london_id) = (dublin.0.id.clone(), london.0.id.clone());
        Ok(match (self.policy.conflicts, sameness) {
            (Conflicts::PreferDublin, _) => prefer(Side::Dublin),
            (Conflicts::PreferLondon, _) => prefer(Side::London),
            (Conflicts::PreferNewest, _) if dublin.0.modified > london.0.modified => prefer(Side::Dublin),
            (Conflicts::PreferNewest, _) if london.0.modified > dublin.0.modified => prefer(Side::London),
            (Conflicts::Report | Conflicts::PreferNewest, Sameness::Unknown(why)) => {
                Verdict::Uncheckable { dublin: dublin_id, london: london_id, why: why.to_owned(), bytes }
            }
            (Conflicts::Report | Conflicts::PreferNewest, Sameness::Different | Sameness::Same) => {
                Verdict::Conflict { dublin: dublin_id, london: london_id, bytes }
            }
        })
    }

    /// Sends what is current on `from` to the other side, unless S3 is about to, or says that it was there.
    fn send(
        &self,
        from: Side,
        head: &Version,
        content: &Content,
        over: Over,
        reason: Reason,
        is_there: bool,
    ) -> Judged {
        let found = match &head.looked {
            Looked::No => return Err(vec![Wanted { side: from, place: 0 }]),
            Looked::Refused(code) => {
                return Ok(Verdict::Failed { at: from, code: code.clone(), bytes: content.size });
            }
            Looked::Found(found) => found,
        };
        let copy = |reason| {
            Ok(Verdict::copy_to(from.other(), Copy { version: head.id.clone(), bytes: content.size, over, reason }))
        };
        match found.replication {
            None => copy(reason),
            Some(Replication::Failed) => copy(Reason::ReplicationFailed),
            // The two listings are not of one moment: what has just arrived may be missing from the earlier one.
            Some(Replication::Pending | Replication::Completed | Replication::Replica)
                if self.is_young(head) && !is_there =>
            {
                Ok(self.pending(from, head, content.size))
            }
            Some(Replication::Pending) => copy(Reason::Overdue),
            Some(Replication::Completed | Replication::Replica) if is_there => copy(reason),
            Some(Replication::Completed | Replication::Replica) if self.policy.restore_erased => copy(Reason::Erased),
            Some(Replication::Completed | Replication::Replica) => {
                Ok(Verdict::Erased { from: from.other(), version: head.id.clone(), bytes: content.size })
            }
        }
    }

    fn delete(&self, from: Side, marker: &Version, object: &Version) -> Verdict {
        if self.is_young(marker) {
            return self.pending(from, marker, 0);
        }
        let (etag, bytes) = object.content.as_ref().map_or((String::new(), 0), |it| (it.etag.clone(), it.size));
        Verdict::DeletePropagates(Delete {
            to: from.other(),
            marker: marker.id.clone(),
            version: object.id.clone(),
            etag,
            bytes,
        })
    }

    fn pending(&self, from: Side, version: &Version, bytes: u64) -> Verdict {
        let age_seconds = age(version.modified, self.now).as_secs();
        Verdict::Pending { from, version: version.id.clone(), age_seconds, bytes }
    }

    fn is_young(&self, version: &Version) -> bool {
        age(version.modified, self.now) <= self.policy.pending_age_max()
    }

    fn looked_at<'v>(&self, versions: &[(Side, &'v Version, usize); 2]) -> Result<(&'v Head, &'v Head), Unseen> {
        let mut wanted = Vec::new();
        for (side, version, place) in versions {
            match &version.looked {
                Looked::No => wanted.push(Wanted { side: *side, place: *place }),
                Looked::Refused(code) => return Err(Unseen::Refused(*side, code.clone())),
                Looked::Found(_) => {}
            }
        }
        match (versions[0].1.head(), versions[1].1.head()) {
            (Some(one), Some(other)) => Ok((one, other)),
            (None, _) | (_, None) => Err(Unseen::Look(wanted)),
        }
    }

    fn origins_to_look_at(&self) -> Vec<Wanted> {
        let unseen = |side: Side| {
            let older = self.facts.on(side).iter().enumerate().skip(1).take(ORIGINS_LOOKED_AT_MAX);
            older
                .filter(|(_, version)| version.content.is_some() && version.looked == Looked::No)
                .map(move |(place, _)| Wanted { side, place })
        };
        Side::BOTH.into_iter().flat_map(unseen).collect()
    }
}

enum Unseen {
    Look(Vec<Wanted>),
    Refused(Side, String),
}

fn over(current: &Version) -> Over {
    match &current.content {
        None => Over::Nothing { over_marker: Some(current.id.clone()) },
        Some(content) => Over::Object { over_version: current.id.clone(), over_etag: content.etag.clone() },
    }
}
