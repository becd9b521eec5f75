//! What Application Load Balancers count: `RequestCount` for minutes with a request, `ConsumedLCUs` for every minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::region::Region;
use crate::world::World;

/// Requests by the Region of the server, since the minute began.
#[derive(Default)]
pub(crate) struct LoadBalancers {
    counted: BTreeMap<Region, u64>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl World {
    /// Starts counting in a Region; the minute's points are put when it is over, and none while the Region is dark.
    pub fn count_requests(&self, region: Region, load_balancer: &'static str) {
        self.state().load_balancers.counted.insert(region, 0);
        let world = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(MINUTE).await;
                let counted = {
                    let mut state = world.state();
                    let dark = state.network.is_dark(region);
                    state.load_balancers.counted.insert(region, 0).filter(|_| !dark)
                };
                let Some(counted) = counted else { continue };
                let dimension = [("LoadBalancer", load_balancer)];
                world.put_metric(region, "AWS/ApplicationELB", "ConsumedLCUs", &dimension, 1.0);
                if let Ok(counted) = u32::try_from(counted)
                    && counted > 0
                {
                    world.put_metric(region, "AWS/ApplicationELB", "RequestCount", &dimension, f64::from(counted));
                }
            }
        });
    }

    /// A request has reached a server of that Region.
    pub(crate) fn note_request(&self, region: Region) {
        if let Some(counted) = self.state().load_balancers.counted.get_mut(&region) {
            *counted += 1;
        }
    }
}
