//! A global cluster whose databases are real: RDS's calls move them, and what becomes of them is told to RDS.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::region::Region;
use crate::world::World;

/// The writer goes from one Region to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The old writer's Region.
    pub from: Region,
    /// The new one's.
    pub to: Region,
    /// A switchover: the old writer stops, and the new one has everything before it is promoted.
    pub lossless: bool,
}

/// Moves the writer between databases that are not simulated.
#[derive(Clone)]
pub struct Promoter(pub Arc<dyn Fn(Move) -> Promotion + Send + Sync>);
/// A promotion under way.
pub type Promotion = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A real volume of some megabytes is copied in no time.
const COPYING: Duration = Duration::from_secs(3);

impl std::fmt::Debug for Promoter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Promoter")
    }
}

/// Has failovers and switchovers move a real database too: they are done when both that and AWS's own time are over.
///
/// An old primary that is back is then secured and rebuilt by whoever runs it, who says so with [`secured`] and [`rebuilt`].
pub fn promote_with(world: &World, promoter: Promoter) {
    if let Some(global) = world.state().rds.global.as_mut() {
        global.promoter = Some(promoter);
        global.copying = COPYING;
    }
}

/// The volume of an old primary is kept as a snapshot.
pub fn secured(world: &World, old: Region) {
    world.has_snapshot(old, format!("payments-{old}"));
}

/// The old primary follows the new one.
pub fn rebuilt(world: &World, old: Region) {
    world.rejoin(old);
}

impl World {
    pub(super) fn promote_really(&self, Promoter(promoter): Promoter, aws: Duration, how: Move) {
        let world = self.clone();
        tokio::spawn(async move {
            tokio::join!(tokio::time::sleep(aws), promoter(how));
            let event = if how.lossless { "RDS-EVENT-0185" } else { "RDS-EVENT-0238" };
            world.finish_promotion(how.from, how.to, event);
        });
    }
}
