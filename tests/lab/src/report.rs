//! The table for a terminal, with claims beside measurements, and every figure as CSV.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use crate::checker::Measured;
use crate::cost::{Prices, prices};
use crate::reasons::reason;
use crate::rows::{BASELINE, Row, named};

/// Seconds and tenths.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{}.{} s", duration.as_secs(), duration.subsec_millis() / 100)
}

/// Whole milliseconds.
pub(crate) fn milliseconds(ms: i64) -> String {
    format!("{ms} ms")
}

/// A share in per cent with one decimal.
pub(crate) fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A factor with one decimal.
pub(crate) fn tenths(tenths: u64) -> String {
    format!("{}.{}×", tenths / 10, tenths % 10)
}

/// What a row's write takes longer in the service than the baseline's: median and 99 of 100, in milliseconds.
fn added(it: &Measured, baseline: &Measured) -> [i64; 2] {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    [0, 1].map(|rank| signed(it.service_ms[rank]) - signed(baseline.service_ms[rank]))
}

struct Judged<'a> {
    row: &'static Row,
    measured: &'a Measured,
    added: [i64; 2],
    cost_tenths: u64,
}

/// The rows of the table, each beside the baseline.
fn judged<'a>(all: &'a [Measured], prices: &Prices) -> Vec<Judged<'a>> {
    let Some(baseline) = all.iter().find(|it| it.row == BASELINE.name) else { return Vec::new() };
    let rows = all.iter().filter_map(|measured| Some((named(measured.row)?, measured)));
    rows.map(|(row, measured)| Judged {
        row,
        measured,
        added: added(measured, baseline),
        cost_tenths: prices.multiplier_tenths(row.plan, measured.in_dublin),
    })
    .collect()
}

/// The table, the sentences, and what routing changes.
#[must_use]
pub fn text(all: &[Measured]) -> String {
    let prices = prices();
    let judged = judged(all, &prices);
    let mut text = String::new();
    let seed = all.first().map_or(0, |it| it.seed);
    let _ = writeln!(
        text,
        "Dublin is dark from 14:07 to 14:37; seed {seed}. Above what was measured, below what the brief's table claims.\n"
    );
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["option", "RPO", "RTO", "writes in the outage", "conflicts", "latency +", "cost"]);
    for it in &judged {
        let claim = |of: fn(&crate::rows::Claim) -> &'static str| it.row.claim.map_or("(not in the table)", of);
        table.add_row([
            it.row.title.to_owned(),
            format!("{}\n{}", rpo(it.measured), claim(|claim| claim.rpo)),
            format!("{}\n{}", rto(it.measured), claim(|claim| claim.rto)),
            format!("{}\n{}", availability(it.measured), claim(|claim| claim.availability)),
            format!("{}\n{}", conflicts(it.measured), claim(|claim| claim.conflicts)),
            format!("p50 {}\np99 {}", milliseconds(it.added[0]), milliseconds(it.added[1])),
            format!("{}\n{}", tenths(it.cost_tenths), claim(|claim| claim.cost)),
        ]);
    }
    let _ = writeln!(text, "{table}\n\nWhy they differ");
    for it in &judged {
        let sentence = reason(it.measured, it.added, it.cost_tenths);
        if !sentence.is_empty() {
            let _ = writeln!(text, "  {}: {sentence}", it.row.name);
        }
    }
    let _ = write!(text, "{}", routing(&judged));
    text
}

fn rpo(it: &Measured) -> String {
    match it.lost_at_first_service {
        0 => "nothing".into(),
        1 => format!("1 write, {}", seconds(it.oldest_lost)),
        count => format!("{count} writes, {}", seconds(it.oldest_lost)),
    }
}

fn rto(it: &Measured) -> String {
    let say = |recovery: Option<Duration>| recovery.map_or_else(|| "none".to_owned(), seconds);
    format!("writes {}, reads {}", say(it.recovery_of_writes), say(it.recovery_of_reads))
}

fn availability(it: &Measured) -> String {
    format!("Dublin {}, London {}", percent(it.written[0]), percent(it.written[1]))
}

fn conflicts(it: &Measured) -> String {
    let mut parts = Vec::new();
    for (count, what) in [
        (it.conflicts, "accepted twice"),
        (it.overwritten, "overwritten"),
        (it.kept_both, "kept both"),
        (it.partial, "partial"),
        (it.aborted, "broken off"),
        (it.refused_as_taken, "refused"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

/// The two global databases differ in their routing alone.
fn routing(judged: &[Judged<'_>]) -> String {
    let of = |name: &str| judged.iter().find(|it| it.row.name == name).map(|it| it.measured);
    let (Some(latency), Some(weighted)) = (of("aurora-global-latency"), of("aurora-global-weighted")) else {
        return String::new();
    };
    let mut text = String::from("\nRouting (Aurora Global Database; what DNS alone does)\n");
    for it in [latency, weighted] {
        let mean = it.client_mean_tenth_ms;
        let [dublin, london] = it.first_tries_failed_for;
        let _ = writeln!(
            text,
            "  {}: first tries failed for {} near Dublin and {} near London; a write took {}.{} ms on average before the outage; {} of all requests went to Dublin, which is what a bad deploy there breaks.",
            it.routing,
            seconds(dublin),
            seconds(london),
            mean / 10,
            mean % 10,
            percent(it.in_dublin),
        );
    }
    text
}

/// Every figure of every row.
pub fn csv(all: &[Measured]) -> Result<Vec<u8>, csv::Error> {
    let prices = prices();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "row",
        "seed",
        "routing",
        "lost_at_first_service",
        "oldest_lost_ms",
        "rto_writes_ms",
        "rto_reads_ms",
        "written_near_dublin_permille",
        "written_near_london_permille",
        "conflicts",
        "overwritten",
        "kept_both",
        "refused_as_taken",
        "resurfaced",
        "gone_for_good",
        "never_in_dublin",
        "diverged",
        "partial",
        "aborted",
        "added_p50_ms",
        "added_p99_ms",
        "client_mean_tenth_ms",
        "first_tries_failed_near_dublin_ms",
        "first_tries_failed_near_london_ms",
        "requests_in_dublin_permille",
        "cost_micro_usd",
        "cost_one_region_micro_usd",
        "cost_multiplier_tenths",
        "claimed_rpo",
        "claimed_rto",
        "claimed_availability",
        "claimed_conflicts",
        "claimed_cost",
    ])?;
    for Judged { row, measured: it, added, cost_tenths } in judged(all, &prices) {
        let ms = |duration: Duration| duration.as_millis().to_string();
        let perhaps = |duration: Option<Duration>| duration.map(ms).unwrap_or_default();
        let claim = |of: fn(&crate::rows::Claim) -> &'static str| row.claim.map_or("", of).to_owned();
        writer.write_record([
            it.row.to_owned(),
            it.seed.to_string(),
            it.routing.to_owned(),
            it.lost_at_first_service.to_string(),
            ms(it.oldest_lost),
            perhaps(it.recovery_of_writes),
            perhaps(it.recovery_of_reads),
            it.written[0].to_string(),
            it.written[1].to_string(),
            it.conflicts.to_string(),
            it.overwritten.to_string(),
            it.kept_both.to_string(),
            it.refused_as_taken.to_string(),
            it.resurfaced.to_string(),
            it.gone_for_good.to_string(),
            it.never_in_dublin.to_string(),
            it.diverged.to_string(),
            it.partial.to_string(),
            it.aborted.to_string(),
            added[0].to_string(),
            added[1].to_string(),
            it.client_mean_tenth_ms.to_string(),
            ms(it.first_tries_failed_for[0]),
            ms(it.first_tries_failed_for[1]),
            it.in_dublin.to_string(),
            prices.bill(row.plan, it.in_dublin).to_string(),
            prices.bill(row.plan.in_one_region(), it.in_dublin).to_string(),
            cost_tenths.to_string(),
            claim(|claim| claim.rpo),
            claim(|claim| claim.rto),
            claim(|claim| claim.availability),
            claim(|claim| claim.conflicts),
            claim(|claim| claim.cost),
        ])?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}
