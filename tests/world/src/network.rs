//! Which Region is dark, which directed links are cut, how far apart they are, and how their clocks differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::region::Region;

/// The network between Regions.
#[derive(Debug, Default)]
pub struct Network {
    dark: BTreeSet<Region>,
    cut: BTreeSet<(Region, Region)>,
    skew_ms: BTreeMap<Region, i64>,
}

impl Network {
    /// Whether nothing in the Region works.
    #[must_use]
    pub fn is_dark(&self, region: Region) -> bool {
        self.dark.contains(&region)
    }

    /// Whether a packet sent in one Region arrives in the other.
    #[must_use]
    pub fn path_up(&self, from: Region, to: Region) -> bool {
        !self.is_dark(from) && !self.is_dark(to) && !self.cut.contains(&(from, to))
    }

    /// Whether packets pass both ways.
    #[must_use]
    pub fn linked(&self, one: Region, other: Region) -> bool {
        self.path_up(one, other) && self.path_up(other, one)
    }

    /// Time from one Region to the other: half of the usual round trip.
    #[must_use]
    pub fn one_way(&self, from: Region, to: Region) -> Duration {
        let near = |region: Region| [Region::DUBLIN, Region::LONDON, Region::FRANKFURT].contains(&region);
        let ms = match (from, to) {
            (one, other) if one == other => 1,
            (Region::DUBLIN, Region::LONDON) | (Region::LONDON, Region::DUBLIN) => 7,
            (Region::DUBLIN, Region::FRANKFURT) | (Region::FRANKFURT, Region::DUBLIN) => 13,
            (Region::LONDON, Region::FRANKFURT) | (Region::FRANKFURT, Region::LONDON) => 8,
            (Region::INTERNET, other) | (other, Region::INTERNET) if near(other) => 5,
            _ => 40,
        };
        Duration::from_millis(ms)
    }

    pub(crate) fn set_dark(&mut self, region: Region, dark: bool) {
        if dark {
            self.dark.insert(region);
        } else {
            self.dark.remove(&region);
        }
    }

    pub(crate) fn set_cut(&mut self, from: Region, to: Region, cut: bool) {
        if cut {
            self.cut.insert((from, to));
        } else {
            self.cut.remove(&(from, to));
        }
    }

    /// How much a Region's clocks are ahead, in milliseconds.
    #[must_use]
    pub fn skew_ms(&self, region: Region) -> i64 {
        self.skew_ms.get(&region).copied().unwrap_or(0)
    }

    pub(crate) fn set_skew_ms(&mut self, region: Region, skew_ms: i64) {
        self.skew_ms.insert(region, skew_ms);
    }
}
