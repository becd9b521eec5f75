//! Why a measured row differs from what is claimed of it: one sentence, with the numbers that were measured.

use std::time::Duration;

use crate::checker::Measured;
use crate::report::{milliseconds, percent, seconds, tenths};

/// The sentence; nothing where nothing differs. `added` is the latency over one Region: median and 99 of 100.
pub(crate) fn reason(it: &Measured, added: [i64; 2], cost_tenths: u64) -> String {
    let cost = tenths(cost_tenths);
    let rto = it.recovery_of_writes.map_or_else(|| "not before Dublin was back".to_owned(), seconds);
    match it.row {
        "global-table-mrec" => format!(
            "Conditions look at the local copy alone: of {} shared keys two values were acknowledged, and last-writer-wins erased {} acknowledged writes without a trace; the {} that had not reached London surfaced {} later, so that \"lost\" means \"late\".",
            it.conflicts,
            it.overwritten,
            it.lost_at_first_service,
            seconds(crate::timing::RETURN_AT - crate::timing::OUTAGE_AT),
        ),
        "global-table-mrsc" => format!(
            "The table has one line for both modes; with strong consistency nothing was lost and nothing overwritten ({} and {}), every write paid {} more, and a third Region is billed ({cost}).",
            it.lost_at_first_service,
            it.overwritten,
            milliseconds(added[0]),
        ),
        "aurora-global-latency" | "aurora-global-weighted" => format!(
            "Nothing bounds the lag at one second, it was 80 ms here ({} lost); writes were back after {rto}, of which the promotion is AWS's and the rest detection, and AWS itself says \"minutes\"; {}.",
            payments(it.lost_at_first_service),
            if it.routing == "latency" {
                format!("the service away from the writer paid {} more for each write", milliseconds(added[1]))
            } else {
                "London's service is idle until Dublin is dark, and its clients go all the way to Dublin".to_owned()
            },
        ),
        "aurora-read-replica" => format!(
            "This form exists for Aurora MySQL alone (Aurora PostgreSQL has no replica in another Region), so a PostgreSQL ledger cannot have this row; the binary log was {} behind ({} lost for good: {}), and it costs as much as a global database ({cost}) because the standby's instances are the same.",
            seconds(it.oldest_lost),
            payments(it.lost_at_first_service),
            it.gone_for_good,
        ),
        "s3-one-way" => format!(
            "A rule copies one way: {} receipts that London took were never in Dublin, and {} keys that both had hold different objects there; receipts under way ({}) were not lost but late.",
            it.never_in_dublin, it.diverged, it.lost_at_first_service,
        ),
        "s3-two-way" => format!(
            "There is a shared key space as soon as both Regions write one key: {} keys hold two different versions and wait for a person, though none is lost; receipts under way ({}) were not lost but late.",
            it.kept_both, it.lost_at_first_service,
        ),
        "dual-write" => format!(
            "\"Both must acknowledge\" accepts nothing while one is dark: writes were back after {rto}, when a person told London to go alone; {} writes were left in one store and acknowledged to nobody, and {} keys differ between the stores to the end.",
            it.partial, it.diverged,
        ),
        "backup" => format!(
            "The newest copied snapshot was {} old ({} lost for good: {}); the price is not that of storage but of moving full copies every hour ({cost}), and with fewer copies more is lost.",
            age(it.oldest_lost),
            payments(it.lost_at_first_service),
            it.gone_for_good,
        ),
        "dsql" => format!(
            "Not in the table: nothing was lost ({}), {} transactions were broken off with 40001 and tried again, every write paid {} more; {} of the outage's time clients near Dublin were served by London.",
            it.lost_at_first_service,
            it.aborted,
            milliseconds(added[0]),
            percent(it.written[0]),
        ),
        _ => String::new(),
    }
}

fn payments(count: u64) -> String {
    if count == 1 { "1 payment".to_owned() } else { format!("{count} payments") }
}

fn age(age: Duration) -> String {
    format!("{} min {} s", age.as_secs() / 60, age.as_secs() % 60)
}
