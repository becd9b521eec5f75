//! The charts: bars of a Gantt chart in HTML, areas in SVG. All co-ordinates are whole numbers; the browser scales them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};

use crate::sentences::{offset, region, seconds};
use crate::{Outcomes, Run};

/// The height of a chart in its own units.
const HEIGHT: i64 = 1000;
/// Before the outage and after the last milestone, at 100 ms, so much is shown.
const MARGIN_MS: i64 = 10_000;

/// A share of a whole, as CSS wants it.
fn percent(part: i64, whole: i64) -> String {
    let hundredths = part.clamp(0, whole.max(1)) * 10_000 / whole.max(1);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// One bar of the waterfall.
struct Stage {
    phase: &'static str,
    what: &'static str,
    figure: &'static str,
    from_ms: i64,
    to_ms: Option<i64>,
    whose: &'static str,
}

/// Where the time went, as a Gantt chart.
pub(crate) fn waterfall(run: &Run) -> Markup {
    let stages = stages(run);
    let end = stages.iter().filter_map(|stage| stage.to_ms).max().unwrap_or(0).max(1);
    let step = step(end);
    html! {
        div.gantt role="table" aria-label="Where the time went" {
            @for stage in &stages {
                div.row role="row" {
                    div.label role="cell" { b { (stage.phase) } " " span { (stage.what) } }
                    div.track role="cell" {
                        @for tick in (0..=end).step_by(usize::try_from(step).unwrap_or(1)) {
                            i.grid style=(format!("left:{}", percent(tick, end))) {}
                        }
                        @if let Some(to) = stage.to_ms {
                            i class=(format!("bar {}", stage.whose)) style=(format!("left:{};width:{}", percent(stage.from_ms, end), percent(to - stage.from_ms, end))) {}
                        }
                    }
                    div.at role="cell" {
                        @match stage.to_ms {
                            Some(at) => { span data-figure=(stage.figure) data-value=(at) { (offset(at)) } " " small { "took " (seconds(at - stage.from_ms)) } }
                            None => span.muted { "did not happen" }
                        }
                    }
                }
            }
            div.row.axis {
                div.label {}
                div.track { @for tick in (0..=end - end / 25).step_by(usize::try_from(step).unwrap_or(1)) {
                    span.tick style=(format!("left:{}", percent(tick, end))) { (tick / 1000) " s" }
                } }
                div.at {}
            }
        }
        p.legend { span.key.ours {} "Holdfast and the payments tier " span.key.aws {} "AWS" }
    }
}

fn stages(run: &Run) -> Vec<Stage> {
    let w = &run.waterfall;
    let list = [
        ("detect", "first failed probe", "waterfall.first_failed_probe_ms", w.first_failed_probe_ms, "ours"),
        ("detect", "two observers agree, London is told", "waterfall.suspected_ms", w.suspected_ms, "ours"),
        ("confirm", "promote-aurora confirms", "waterfall.confirmed_ms", w.confirmed_ms, "ours"),
        ("decide", "RDS is asked", "waterfall.rds_called_ms", w.rds_called_ms, "ours"),
        ("promote", "RDS has promoted", "waterfall.promoted_ms", w.promoted_ms, "aws"),
        ("route", "the writer endpoint has moved", "waterfall.endpoint_moved_ms", w.endpoint_moved_ms, "aws"),
        (
            "first write",
            "a payment is acknowledged",
            "waterfall.first_durable_payment_ms",
            w.first_durable_payment_ms,
            "ours",
        ),
        ("prove", "the fence row is written", "waterfall.restored_ms", w.restored_ms, "ours"),
    ];
    let mut previous = 0;
    list.into_iter()
        .map(|(phase, what, figure, to_ms, whose)| {
            // Clients and the driver try at the same time, each from the moment at which the endpoint has moved.
            let side_by_side = phase == "prove";
            let began = if side_by_side { w.endpoint_moved_ms.unwrap_or(previous) } else { previous };
            if !side_by_side {
                previous = to_ms.unwrap_or(previous);
            }
            Stage { phase, what, figure, from_ms: began.min(to_ms.unwrap_or(began)), to_ms, whose }
        })
        .collect()
}

/// Between two ticks: four to ten of them.
fn step(end_ms: i64) -> i64 {
    let steps = [1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000];
    steps.into_iter().find(|step| end_ms / step <= 8).unwrap_or(3_600_000)
}

/// Milestones that are marked in charts over time.
fn marks(run: &Run) -> Vec<(&'static str, i64, &'static str)> {
    let w = &run.waterfall;
    let promoted = w.promoted_ms.or(w.endpoint_moved_ms);
    let list = [
        ("A", Some(0), if run.outage { "dark" } else { "it begins" }),
        ("B", w.rds_called_ms, "RDS is asked"),
        ("C", promoted, "RDS has promoted"),
        ("D", w.first_durable_payment_ms.filter(|_| run.outage), "first durable payment"),
    ];
    list.into_iter().filter_map(|(letter, at, what)| Some((letter, at?, what))).collect()
}

/// The stretch that is shown: milliseconds after the outage.
struct Window {
    from: i64,
    to: i64,
}

/// From the first request to the end.
fn whole(run: &Run) -> Window {
    let outcomes = run.requests.regions.values();
    let buckets =
        outcomes.flat_map(|it| [&it.acknowledged, &it.refused, &it.unanswered]).filter_map(|it| it.keys().next());
    let first = buckets.min().map_or(0, |bucket| bucket * run.requests.bucket_ms / 1000 * 1000);
    Window { from: first - run.outage_at_ms, to: run.length_ms - run.outage_at_ms }
}

/// Every request by Region and outcome.
pub(crate) fn requests(run: &Run) -> Markup {
    let whole = whole(run);
    let last = marks(run).iter().map(|(_, at, _)| *at).max();
    let near = Window { from: (-MARGIN_MS).max(whole.from), to: (last.unwrap_or(0) + MARGIN_MS).min(whole.to) };
    html! {
        @if last.is_some() {
            h3 { "Around it, per " (run.requests.bucket_ms) " ms" }
            (request_panels(run, &near, run.requests.bucket_ms))
            (legend_of_marks(run))
        }
        h3 { "The whole run, per second" }
        (request_panels(run, &whole, 1000))
        p.legend {
            span.key.acknowledged {} "acknowledged " span.key.refused {} "refused (an error, nothing made) " span.key.unanswered {} "no answer"
        }
    }
}

fn request_panels(run: &Run, window: &Window, width_ms: i64) -> Markup {
    let first = (window.from + run.outage_at_ms) / width_ms;
    let buckets = ((window.to - window.from) / width_ms).max(1);
    let regions: Vec<(&String, [BTreeMap<i64, u64>; 3])> = run
        .requests
        .regions
        .iter()
        .map(|(region, it)| (region, regrouped(it, run.requests.bucket_ms, width_ms)))
        .collect();
    let shown = |bucket: &i64| (first..first + buckets).contains(bucket);
    let tallest = |counts: &[BTreeMap<i64, u64>; 3]| {
        let keys = counts.iter().flat_map(BTreeMap::keys).copied().filter(shown);
        keys.map(|bucket| counts.iter().filter_map(|it| it.get(&bucket)).sum::<u64>()).max().unwrap_or(0)
    };
    let top = regions.iter().map(|(_, counts)| tallest(counts)).max().unwrap_or(0).max(1);
    html! {
        @for (name, counts) in &regions {
            figure.panel {
                figcaption { b { (region(name)) } span.max { "up to " (top) } }
                div.plot {
                    svg viewBox=(format!("0 0 {buckets} {top}")) preserveAspectRatio="none" role="img"
                        aria-label=(format!("Requests to {name} by outcome")) {
                        @for (class, path) in stacked(counts, first, buckets, top) { path class=(class) d=(path) {} }
                    }
                    (mark_lines(run, window))
                }
            }
        }
        (axis(window))
    }
}

/// Acknowledged, refused and unanswered, in wider buckets.
fn regrouped(outcomes: &Outcomes, bucket_ms: i64, width_ms: i64) -> [BTreeMap<i64, u64>; 3] {
    [&outcomes.acknowledged, &outcomes.refused, &outcomes.unanswered].map(|counts| {
        let mut wider = BTreeMap::new();
        for (bucket, count) in counts {
            *wider.entry(bucket * bucket_ms / width_ms).or_insert(0) += count;
        }
        wider
    })
}

fn stacked(counts: &[BTreeMap<i64, u64>; 3], first: i64, buckets: i64, top: u64) -> Vec<(&'static str, String)> {
    let mut paths = ["acknowledged", "refused", "unanswered"].map(|class| (class, String::new())).to_vec();
    for bucket in first..first + buckets {
        let mut under = 0;
        for ((_, path), counted) in paths.iter_mut().zip(counts) {
            let count = counted.get(&bucket).copied().unwrap_or(0);
            if count > 0 {
                let _ = write!(path, "M{} {}h1v-{count}h-1z", bucket - first, top - under);
                under += count;
            }
        }
    }
    paths
}

fn mark_lines(run: &Run, window: &Window) -> Markup {
    html! {
        @for (letter, at, what) in marks(run).into_iter().filter(|(_, at, _)| (window.from..=window.to).contains(at)) {
            i class=(format!("mark {letter}")) style=(format!("left:{}", percent(at - window.from, window.to - window.from))) title=(what) { (letter) }
        }
    }
}

fn legend_of_marks(run: &Run) -> Markup {
    html! {
        p.legend { @for (letter, at, what) in marks(run) { span.letter { (letter) } (what) " " span.muted { (offset(at)) } " " } }
    }
}

fn axis(window: &Window) -> Markup {
    let length = (window.to - window.from).max(1);
    let step = step(length);
    let first = window.from.div_euclid(step) * step + if window.from.rem_euclid(step) == 0 { 0 } else { step };
    html! {
        div.axis.time { @for tick in (first..=window.to - length / 25).step_by(usize::try_from(step).unwrap_or(1)) {
            span.tick style=(format!("left:{}", percent(tick - window.from, length))) { (tick / 1000) " s" }
        } }
    }
}

/// How far the standby was behind, and what a failover would have cost, over the whole run.
pub(crate) fn replication(run: &Run) -> Markup {
    let window = whole(run);
    let lags: Vec<(i64, Option<i64>)> = run.replication.iter().map(|it| (it.at_ms, it.lag_ms)).collect();
    let prices: Vec<(i64, Option<i64>)> = run
        .replication
        .iter()
        .map(|it| (it.at_ms, it.price.as_ref().map(|price| i64::try_from(price.count).unwrap_or(i64::MAX))))
        .collect();
    html! {
        (series(run, &window, "Replication lag of the standby", "ms", "lag", &lags))
        (series(run, &window, "Price: acknowledged, and not in the standby at that moment", "payments", "price", &prices))
        (axis(&window))
        p.legend { span.key.unknown {} "nobody can measure it: unknown, not zero" }
        (legend_of_marks(run))
    }
}

fn series(run: &Run, window: &Window, title: &str, unit: &str, class: &str, points: &[(i64, Option<i64>)]) -> Markup {
    let most = points.iter().filter_map(|(_, value)| *value).max().unwrap_or(0);
    let (top, begin, end) = (most.max(1), window.from + run.outage_at_ms, run.length_ms.max(1));
    let (mut area, mut gaps) = (String::new(), String::new());
    for (index, (at, value)) in points.iter().enumerate() {
        let width = points.get(index + 1).map_or(end, |(next, _)| *next).saturating_sub(*at).max(0);
        match value {
            Some(value) => {
                let high = value * HEIGHT / top;
                let _ = write!(area, "M{at} {HEIGHT}h{width}v-{high}h-{width}z");
            }
            None => {
                let _ = write!(gaps, "M{at} 0h{width}v{HEIGHT}h-{width}z");
            }
        }
    }
    html! {
        figure.panel {
            figcaption { b { (title) } span.max { "up to " (most) " " (unit) } }
            div.plot {
                svg viewBox=(format!("{begin} 0 {} {HEIGHT}", end - begin)) preserveAspectRatio="none" role="img" aria-label=(title) {
                    path.unknown d=(gaps) {}
                    path class=(class) d=(area) {}
                }
                (mark_lines(run, window))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(part: i64, whole: i64, expected: &str) {
        assert_eq!(percent(part, whole), expected);
    }

    #[test]
    fn a_share_has_two_decimals_and_stays_within_the_whole() {
        check(1, 3, "33.33%");
        check(4, 3, "100.00%");
        check(-1, 3, "0.00%");
        check(5, 0, "100.00%");
    }

    #[test]
    fn outcomes_are_stacked_from_the_bottom() {
        let counts = [BTreeMap::from([(3, 2)]), BTreeMap::new(), BTreeMap::from([(3, 1)])];
        let paths = stacked(&counts, 2, 4, 5);
        assert_eq!(
            paths,
            [
                ("acknowledged", "M1 5h1v-2h-1z".to_owned()),
                ("refused", String::new()),
                ("unanswered", "M1 3h1v-1h-1z".to_owned()),
            ]
        );
    }

    #[test]
    fn wider_buckets_lose_no_request() {
        let counts: BTreeMap<i64, u64> = (0..95).map(|bucket| (bucket, 2)).collect();
        let outcomes = Outcomes { acknowledged: counts, ..Outcomes::default() };
        let [wider, ..] = regrouped(&outcomes, 100, 1000);
        assert_eq!(wider.values().sum::<u64>(), 190);
        assert_eq!(wider.get(&9), Some(&10));
    }
}
