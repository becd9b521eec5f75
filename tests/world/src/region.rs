//! AWS Regions, interned: comparing and copying one costs nothing.

use std::fmt;

/// An AWS Region by its code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Region(&'static str);

impl Region {
    /// `eu-west-1`
    pub const DUBLIN: Self = Self("eu-west-1");
    /// `eu-west-2`
    pub const LONDON: Self = Self("eu-west-2");
    /// `eu-central-1`
    pub const FRANKFURT: Self = Self("eu-central-1");
    /// `us-east-1`: home of the control planes of Route 53 and IAM.
    pub const N_VIRGINIA: Self = Self("us-east-1");
    /// `us-west-2`: home of the control plane of ARC.
    pub const OREGON: Self = Self("us-west-2");
    /// Where clients, card networks and Route 53's checkers are: no Region at all, and never dark.
    pub const INTERNET: Self = Self("internet");

    const KNOWN: [Self; 6] =
        [Self::DUBLIN, Self::LONDON, Self::FRANKFURT, Self::N_VIRGINIA, Self::OREGON, Self::INTERNET];

    /// The Region of that code, when this world has it.
    #[must_use]
    pub fn named(code: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|region| region.0 == code)
    }

    /// The code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
