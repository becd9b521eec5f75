//! Deliberate bugs, for tests of the tests: what a function sends or is told is changed on the wire, as if its code were
//! wrong. Nothing but the campaign's table of bugs uses this.

use bytes::Bytes;

use crate::region::Region;
use crate::trace::Caller;
use crate::world::World;

/// A request that is about to be sent, or has been obeyed.
#[derive(Clone, Copy, Debug)]
pub struct Wired<'a> {
    /// Who sends it.
    pub caller: &'a Caller,
    /// The service's endpoint prefix.
    pub service: &'static str,
    /// The operation.
    pub operation: &'a str,
    /// Where it goes.
    pub to: Region,
}

/// Changes a request. Returns the Region that it goes to; `None`: it is not sent, and answered as if it had been obeyed.
pub type TamperRequest = fn(&World, &Wired<'_>, &mut http::Request<Bytes>) -> Option<Region>;
/// Changes an answer.
pub type TamperAnswer = fn(&World, &Wired<'_>, &mut http::Response<Bytes>);

/// What is changed on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tamper {
    /// Before it is sent.
    pub request: Option<TamperRequest>,
    /// Before the caller sees it.
    pub answer: Option<TamperAnswer>,
}

impl World {
    /// Puts a deliberate bug on the wire.
    pub fn tamper(&self, tamper: Tamper) {
        self.state().tamper = tamper;
    }

    pub(crate) fn tampering(&self) -> Tamper {
        self.state().tamper
    }
}
