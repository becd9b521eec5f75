//! STOP: an inverted health check that watches an object. While the object is there, a Region is out of DNS.

use std::time::Duration;

use crate::region::Region;
use crate::s3;
use crate::world::World;

/// An inverted health check and the object that it watches.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    /// The Region that is out of DNS while the object is there.
    pub of: Region,
    /// Where the bucket is: the other data Region.
    pub held_in: Region,
    /// The bucket.
    pub bucket: &'static str,
    /// The object's key.
    pub key: &'static str,
}

/// How often a checker looks.
const INTERVAL: Duration = Duration::from_secs(10);

impl World {
    /// Starts watching. A failure threshold of one: the first look that finds the object counts.
    pub fn watch_switch(&self, switch: Switch) {
        let world = self.clone();
        tokio::spawn(async move {
            loop {
                // A bucket that cannot be reached looks like a missing object, which an inverted check takes for healthy.
                let reachable = !world.state().network.is_dark(switch.held_in);
                let thrown = reachable && s3::exists(&world, switch.bucket, switch.key);
                world.set_switch(switch.of, thrown);
                tokio::time::sleep(INTERVAL).await;
            }
        });
    }

    fn set_switch(&self, region: Region, thrown: bool) {
        let changed = {
            let thrown_now = &mut self.state().route53.thrown;
            if thrown { thrown_now.insert(region) } else { thrown_now.remove(&region) }
        };
        if changed {
            let verdict = if thrown { "out of DNS: its switch is thrown" } else { "back in DNS: its switch is off" };
            self.record("route53", format!("holds {region} {verdict}"));
        }
    }
}
