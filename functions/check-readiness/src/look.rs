//! One look at both data Regions: every read at once, and each with its own end.

use holdfast_aws::Startup;
use holdfast_domain::Timestamp;
use holdfast_domain::readiness::RegionFacts;

use crate::side::{Side, sides};
use crate::{dns, functions, ledger, receipts, secrets, service, tables};

/// Both Regions, as they were read; `None`: the topology does not have two.
pub(crate) async fn look(startup: &Startup) -> Option<[RegionFacts; 2]> {
    let sides = sides(startup)?;
    let now = startup.now();
    let [one, other] = &sides;
    let (mut one, mut other, records) = tokio::join!(
        Box::pin(region(startup, one, now)),
        Box::pin(region(startup, other, now)),
        Box::pin(dns::records(&sides))
    );
    let [of_one, of_other] = records;
    one.reads.extend(of_one);
    other.reads.extend(of_other);
    Some([one, other])
}

async fn region(startup: &Startup, side: &Side, now: Timestamp) -> RegionFacts {
    let (service, ledger, tables, receipts, functions, secrets) = tokio::join!(
        // Each on the heap: all calls of a run together are more than a thread's stack.
        Box::pin(service::service(side, now)),
        Box::pin(ledger::ledger(side)),
        Box::pin(tables::tables(side)),
        Box::pin(receipts::receipts(side)),
        Box::pin(functions::functions(side)),
        Box::pin(secrets::secrets(side, &startup.config.paging)),
    );
    let reads = [service, ledger, tables, receipts, functions, secrets].into_iter().flatten().collect();
    RegionFacts { region: side.data.region.clone(), reads }
}
