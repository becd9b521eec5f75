//! Faults of single calls: errors, lost requests and answers, delays, and the death of the caller.

use std::ops::Range;
use std::time::Duration;

use crate::region::Region;
use crate::trace::Caller;

/// Which calls a fault strikes. Absent fields match everything.
#[derive(Clone, Debug, Default)]
pub struct CallMatch {
    /// The caller's name.
    pub caller: Option<String>,
    /// Where the caller runs.
    pub from: Option<Region>,
    /// Where the call goes.
    pub to: Option<Region>,
    /// The service's endpoint prefix.
    pub service: Option<&'static str>,
    /// The operation.
    pub operation: Option<&'static str>,
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEffect {
    /// The service answers with an error and does nothing.
    Error {
        /// HTTP status.
        status: u16,
        /// The error code in the body.
        code: &'static str,
    },
    /// The request does not arrive.
    LoseRequest,
    /// A connection is made and nothing ever comes: the service does nothing.
    Hang,
    /// The service acts, the answer does not arrive.
    LoseAnswer,
    /// The answer comes so much later.
    Delay(Duration),
    /// The caller dies before the request leaves.
    KillBefore,
    /// The service acts, and the caller dies before it hears.
    KillAfter,
    /// The service acts twice; the second answer is returned.
    Duplicate,
}

/// A fault of the calls that match, by their number, or by their time and chance.
#[derive(Clone, Debug)]
pub struct CallFault {
    matches: CallMatch,
    which: Which,
    effect: CallEffect,
    seen: u64,
}

#[derive(Clone, Debug)]
enum Which {
    /// The calls with these numbers, counted from 0.
    Numbered(Range<u64>),
    /// Calls sent in this time since the start, so many of a thousand.
    During(Range<Duration>, u64),
}

impl CallFault {
    /// Strikes the matching calls whose numbers are in the range, counted from 0.
    #[must_use]
    pub fn new(matches: CallMatch, calls: Range<u64>, effect: CallEffect) -> Self {
        Self { matches, which: Which::Numbered(calls), effect, seen: 0 }
    }

    /// Strikes so many of a thousand matching calls that are sent in this time since the start.
    #[must_use]
    pub fn during(matches: CallMatch, time: Range<Duration>, permille: u64, effect: CallEffect) -> Self {
        Self { matches, which: Which::During(time, permille), effect, seen: 0 }
    }

    /// It is a matter of chance.
    pub(crate) fn is_random(&self) -> bool {
        matches!(self.which, Which::During(..))
    }

    /// Counts a call, and strikes it if it is meant. `chance` is a number below 1000.
    pub(crate) fn strikes(
        &mut self,
        caller: &Caller,
        to: Region,
        service: &str,
        operation: &str,
        now: Duration,
        chance: u64,
    ) -> Option<CallEffect> {
        let CallMatch { caller: by, from, to: there, service: at, operation: doing } = &self.matches;
        let fits = by.as_deref().is_none_or(|by| by == &*caller.name)
            && from.is_none_or(|from| from == caller.region)
            && there.is_none_or(|there| there == to)
            && at.is_none_or(|at| at == service)
            && doing.is_none_or(|doing| doing == operation);
        if !fits {
            return None;
        }
        let number = self.seen;
        self.seen += 1;
        let meant = match &self.which {
            Which::Numbered(calls) => calls.contains(&number),
            Which::During(time, permille) => time.contains(&now) && chance < *permille,
        };
        meant.then_some(self.effect)
    }
}
