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
    let (mut one, mut other, records) =
        tokio::join!(region(startup, one, now), region(startup, other, now), dns::records(&sides));
    let [of_one, of_other] = records;
    one.reads.extend(of_one);
    other.reads.extend(of_other);
    Some([one, other])
}

async fn region(startup: &Startup, side: &Side, now: Timestamp) -> RegionFacts {
    let (service, ledger, tables, receipts, functions, secrets) = tokio::join!(
        service::service(side, now),
        ledger::ledger(side),
        tables::tables(side),
        receipts::receipts(side),
        functions::functions(side),
        secrets::secrets(side, &startup.config.paging),
    );
    let reads = [service, ledger, tables, receipts, functions, secrets].into_iter().flatten().collect();
    RegionFacts { region: side.data.region.clone(), reads }
}
