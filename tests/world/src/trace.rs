//! What happened: every request on the wire, and every event of note, with its time since the start.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::CallEffect;
use crate::region::Region;

/// One event of note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Since the start.
    pub at: Duration,
    /// Who or what.
    pub actor: String,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} {:<28} {}", self.at.as_secs_f64(), self.actor, self.what)
    }
}

/// Who sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The function's or the program's name.
    pub name: Arc<str>,
    /// Where it runs.
    pub region: Region,
    /// The Lambda invocation, when it is one.
    pub invocation: Option<u64>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Still under way, or its caller died.
    Pending,
    /// The caller got this HTTP status.
    Answered(u16),
    /// It never arrived.
    Lost,
    /// It took effect, but the answer never arrived.
    AnswerLost,
}

/// One request on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// Since the start, when it was sent.
    pub at: Duration,
    /// Who sent it.
    pub caller: Caller,
    /// The service's endpoint prefix, or `http`.
    pub service: &'static str,
    /// The operation, or the path.
    pub operation: String,
    /// Where it was sent.
    pub to: Region,
    /// Whether that Region was dark then.
    pub to_was_dark: bool,
    /// Form parameters, of services that speak the query protocol.
    pub parameters: BTreeMap<String, String>,
    /// The injected fault that struck it.
    pub struck: Option<CallEffect>,
    /// What became of it.
    pub outcome: Outcome,
}
