//! Faults of single calls: errors, lost requests and answers, delays, and the death of the caller.

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

/// A fault that strikes the calls numbered `from` up to but excluding `until` among those that match.
#[derive(Clone, Debug)]
pub struct CallFault {
    /// Which calls.
    pub matches: CallMatch,
    /// The first one struck, counted from 0.
    pub from: u64,
    /// The first one spared again.
    pub until: u64,
    /// What strikes them.
    pub effect: CallEffect,
    pub(crate) seen: u64,
}

impl CallFault {
    /// Strikes the matching calls in the given range.
    #[must_use]
    pub fn new(matches: CallMatch, calls: std::ops::Range<u64>, effect: CallEffect) -> Self {
        Self { matches, from: calls.start, until: calls.end, effect, seen: 0 }
    }

    /// Counts a call, and strikes it if it is in range.
    pub(crate) fn strikes(
        &mut self,
        caller: &Caller,
        to: Region,
        service: &str,
        operation: &str,
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
        (number >= self.from && number < self.until).then_some(self.effect)
    }
}
