//! What is played live: the same stories as in the simulation, held to the same expectations.

use std::time::Duration;

use drill::scenario::Scenario;

/// A live story.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// The simulated scenario whose set-up it has and whose expectations it is held to.
    pub like: &'static str,
    /// What goes wrong.
    pub fault: Fault,
    /// How long it is watched after that, beside the time that AWS takes.
    pub watched: Duration,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every process in Dublin is killed, and no packet passes.
    DublinDark,
    /// The same, and promote-aurora is killed as soon as RDS has been asked.
    DublinDarkAndPromoterKilled,
    /// No packet passes between Dublin and London.
    LinkCut,
    /// London alone cannot reach Dublin for 43 s.
    OneObserver,
}

/// Every live story.
pub const LIVE: &[Live] = &[
    Live {
        name: "dublin-dark",
        about: "every process in Dublin is killed with SIGKILL, its PostgreSQL too, and the relay goes dark",
        like: "promoter-dies",
        fault: Fault::DublinDark,
        watched: Duration::from_secs(45),
    },
    Live {
        name: "promoter-killed",
        about: "Dublin is killed, and promote-aurora's process is killed while RDS promotes: another one goes on",
        like: "promoter-dies",
        fault: Fault::DublinDarkAndPromoterKilled,
        watched: Duration::from_secs(75),
    },
    Live {
        name: "link-cut",
        about: "the relay between Dublin and London goes dark in both directions, Frankfurt sees both: nothing moves",
        like: "link-cut",
        fault: Fault::LinkCut,
        watched: Duration::from_secs(75),
    },
    Live {
        name: "one-observer",
        about: "London alone cannot reach Dublin for 43 s: nothing moves",
        like: "one-observer-partition",
        fault: Fault::OneObserver,
        watched: Duration::from_secs(75),
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

    /// Whether the primary is lost.
    #[must_use]
    pub fn outage(&self) -> bool {
        match self.fault {
            Fault::DublinDark | Fault::DublinDarkAndPromoterKilled => true,
            Fault::LinkCut | Fault::OneObserver => false,
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
