//! What is played live: the same stories as in the simulation, held to the same expectations.

use std::time::Duration;

use drill::checker::Outcome;
use drill::scenario::Scenario;
use holdfast_world::Region;

use crate::expect;

/// A live story.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// The simulated scenario whose set-up it has.
    pub like: &'static str,
    /// What goes wrong.
    pub fault: Fault,
    /// How long it is watched after that, beside the time that AWS takes.
    pub watched: Duration,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a story.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// What must come of its simulated twin. What recovery may take is [`OURS_MAX_MS`](crate::expect::OURS_MAX_MS).
    Twin,
    /// Something else.
    Own(fn(&Outcome) -> Vec<String>),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every process in Dublin is killed, and no packet passes.
    DublinDark,
    /// The same, and promote-aurora is killed as soon as RDS has been asked.
    DublinDarkAndPromoterKilled,
    /// Every process in Dublin stands still, and goes on when London has long been promoted.
    RegionFrozen,
    /// No packet passes between Dublin and London.
    LinkCut,
    /// No packet passes one way.
    OneWay {
        /// From here.
        from: Region,
        /// To there.
        to: Region,
    },
    /// London alone cannot reach Dublin for 43 s.
    OneObserver,
    /// Dublin is killed while London lacks its last payments, and is switched on again when London has been promoted.
    DublinReturns,
    /// The same without a loss, and then the writer is moved back.
    FailbackClean,
}

/// Every live story.
pub const LIVE: &[Live] = &[
    Live {
        name: "dublin-dark",
        about: "every process in Dublin is killed with SIGKILL, its PostgreSQL too, and the relay goes dark",
        like: "promoter-dies",
        fault: Fault::DublinDark,
        watched: Duration::from_secs(45),
        expect: Expect::Twin,
    },
    Live {
        name: "promoter-killed",
        about: "Dublin is killed, and promote-aurora's process is killed while RDS promotes: another one goes on",
        like: "promoter-dies",
        fault: Fault::DublinDarkAndPromoterKilled,
        watched: Duration::from_secs(75),
        expect: Expect::Twin,
    },
    Live {
        name: "region-frozen",
        about: "every process in Dublin gets SIGSTOP, and SIGCONT when London has long been promoted: the old writer wakes up and tells nobody anything",
        like: "promoter-dies",
        fault: Fault::RegionFrozen,
        watched: Duration::from_secs(75),
        expect: Expect::Own(expect::recovered_for_good),
    },
    Live {
        name: "link-cut",
        about: "the relay between Dublin and London goes dark in both directions, Frankfurt sees both: nothing moves",
        like: "link-cut",
        fault: Fault::LinkCut,
        watched: Duration::from_secs(75),
        expect: Expect::Twin,
    },
    Live {
        name: "one-way-dark",
        about: "what Dublin sends to London is lost, the other way works: a person is paged, nothing moves",
        like: "link-cut",
        fault: Fault::OneWay { from: Region::DUBLIN, to: Region::LONDON },
        watched: Duration::from_secs(75),
        expect: Expect::Twin,
    },
    Live {
        name: "other-way-dark",
        about: "what London sends to Dublin is lost, the other way works: a person is paged, nothing moves",
        like: "link-cut",
        fault: Fault::OneWay { from: Region::LONDON, to: Region::DUBLIN },
        watched: Duration::from_secs(75),
        expect: Expect::Twin,
    },
    Live {
        name: "one-observer",
        about: "London alone cannot reach Dublin for 43 s: nothing moves",
        like: "one-observer-partition",
        fault: Fault::OneObserver,
        watched: Duration::from_secs(75),
        expect: Expect::Twin,
    },
    Live {
        name: "dublin-returns",
        about: "Dublin is killed with payments that London lacks, and comes back as a primary: nobody writes there, its tail is kept, pg_rewind makes it a standby",
        like: "dublin-returns",
        fault: Fault::DublinReturns,
        // The driver looks once a minute: it finds the snapshot, has it copied, and finds the copy.
        watched: Duration::from_secs(215),
        expect: Expect::Own(expect::the_tail_is_kept),
    },
    Live {
        name: "failback-clean",
        about: "Dublin is killed, comes back, is rebuilt, and a person moves the writer back to it: refused until it is safe, nothing lost",
        like: "dublin-returns",
        fault: Fault::FailbackClean,
        watched: Duration::from_secs(240),
        expect: Expect::Own(expect::there_and_back),
    },
];

impl Live {
    /// The story of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        LIVE.iter().find(|live| live.name == name)
    }

    /// The simulated scenario that it is held to.
    #[must_use]
    pub fn scenario(&self) -> Option<&'static Scenario> {
        Scenario::named(self.like)
    }

    /// What was to come of it and did not.
    #[must_use]
    pub fn unmet(&self, outcome: &Outcome) -> Vec<String> {
        match self.expect {
            Expect::Own(expect) => expect(outcome),
            Expect::Twin => {
                let mut problems = self.scenario().map(|scenario| scenario.unmet(outcome)).unwrap_or_default();
                if self.outage() {
                    problems.extend(expect::writes_are_back(outcome));
                }
                problems
            }
        }
    }

    /// Whether the primary is lost.
    #[must_use]
    pub fn outage(&self) -> bool {
        match self.fault {
            Fault::DublinDark
            | Fault::DublinDarkAndPromoterKilled
            | Fault::RegionFrozen
            | Fault::DublinReturns
            | Fault::FailbackClean => true,
            Fault::LinkCut | Fault::OneWay { .. } | Fault::OneObserver => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_live_story_is_held_to_a_simulated_one() {
        for live in LIVE {
            let scenario = live.scenario().unwrap_or_else(|| panic!("{}: no scenario {}", live.name, live.like));
            assert_eq!(scenario.outage, live.outage(), "{}", live.name);
        }
    }
}
