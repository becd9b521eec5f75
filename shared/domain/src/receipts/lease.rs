//! One apply at a time, whichever Region drives it. Each write is conditional, so that two would harm nothing; but each would
//! count what the other has done as "moved on", and both would pay for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Region, Timestamp};

/// Who applies, and until when at the latest: the end of its invocation, after which Lambda has ended it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyLease {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The invocation. A retry of it has the same id, and goes on.
    pub holder: String,
    /// Where it runs.
    pub region: Region,
    /// The holder is gone after this.
    pub until: Timestamp,
}

impl ApplyLease {
    /// Takes it, or says who has it.
    pub fn taken(
        current: Option<&Self>,
        holder: &str,
        region: &Region,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Self> {
        match current {
            Some(other) if other.until > now && (other.holder != holder || other.region != *region) => {
                Err(other.clone())
            }
            Some(_) | None => Ok(Self {
                version: current.map_or(0, |lease| lease.version) + 1,
                holder: holder.to_owned(),
                region: region.clone(),
                until,
            }),
        }
    }

    /// Given back.
    #[must_use]
    pub fn released(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, until: now, ..self.clone() }
    }
}

impl fmt::Display for ApplyLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "receipts are being applied from {} until {:.0} at the latest", self.region, self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }
    fn held() -> ApplyLease {
        ApplyLease::taken(None, "a", &region("eu-west-1"), at(900), at(0)).unwrap()
    }

    #[track_caller]
    fn check(holder: &str, from: &str, now: i64, takes: bool) {
        let taken = ApplyLease::taken(Some(&held()), holder, &region(from), at(2000), at(now));
        assert_eq!(taken.is_ok(), takes);
        match taken {
            Ok(lease) => assert_eq!((lease.version, lease.until), (2, at(2000))),
            Err(other) => {
                let said = "receipts are being applied from eu-west-1 until 1970-01-01T00:15:00Z at the latest";
                assert_eq!(other.to_string(), said);
            }
        }
    }

    #[test]
    fn one_applies_at_a_time_and_whoever_is_gone_holds_nobody_up() {
        check("b", "eu-west-2", 10, false);
        check("a", "eu-west-2", 10, false);
        check("a", "eu-west-1", 10, true);
        check("b", "eu-west-2", 900, true);
        let released = held().released(at(10));
        assert!(ApplyLease::taken(Some(&released), "b", &region("eu-west-2"), at(2000), at(10)).is_ok());
    }
}
