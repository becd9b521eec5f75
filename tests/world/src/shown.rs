//! Settings that services show and that nothing here acts upon: what a comparison of two Regions reads.
//!
//! Each is a JSON value by Region and by name; without one a service shows what a sound installation has.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::region::Region;
use crate::world::{State, World};

#[derive(Default)]
pub(crate) struct Shown(BTreeMap<(Region, String), Value>);

impl World {
    /// Has a service show a setting from now on; what it is called is said where the service reads it.
    pub fn show(&self, region: Region, name: &str, value: Value) {
        self.state().shown.0.insert((region, name.to_owned()), value);
    }

    /// Changes what is shown; of what was not set before, `Null` is changed.
    pub fn change_shown(&self, region: Region, name: &str, change: impl FnOnce(&mut Value)) {
        change(self.state().shown.0.entry((region, name.to_owned())).or_default());
    }

    /// The thing is not there any more.
    pub fn hide(&self, region: Region, name: &str) {
        self.state().shown.0.remove(&(region, name.to_owned()));
    }
}

impl State {
    pub(crate) fn shown(&self, region: Region, name: &str) -> Option<&Value> {
        self.shown.0.get(&(region, name.to_owned()))
    }

    /// Everything in a Region whose name begins like this, in order.
    pub(crate) fn all_shown<'a>(
        &'a self,
        region: Region,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let all = self.shown.0.iter().filter(move |((at, name), _)| *at == region && name.starts_with(prefix));
        all.map(|((_, name), value)| (name.as_str(), value))
    }
}
