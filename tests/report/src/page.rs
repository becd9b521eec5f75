//! The page.

use holdfast_domain::incident::Incident;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use crate::sentences::{offset, region, seconds, sums};
use crate::{Kind, Run, charts};

/// How many keys of a reconciliation are shown.
const KEYS_SHOWN: usize = 12;

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub(crate) fn whole(run: &Run, json: &Value) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing is loaded and nothing runs, whatever got into the text.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (run.scenario) " · " (run.verdict_word()) " · Holdfast drill" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (first_screen(run))
                main {
                    (section("time", "Where the time went", waterfall(run)))
                    (section("requests", "What clients were told", requests(run)))
                    (section("replication", "Replication lag, and the price of failing over", charts::replication(run)))
                    (section("losses", "Acknowledged and lost", losses(run)))
                    (section("reconciliation", "Reconciliation", reconciliation(run)))
                    (section("pages", "Pages, as they read", pages(run)))
                    (section("incident", "Incident log", incident(run)))
                    (section("functions", "What each function did", functions(run)))
                    (section("timeline", "Everything of note, in order", html! { pre.wide { @for line in &run.timeline { (line) "\n" } } }))
                    (section("configuration", "Configuration", html! { pre { (pretty(&run.configuration)) } }))
                    (section("repeat", "How to repeat it", repeat(run)))
                }
                script id="run" type="application/json" { (PreEscaped(embedded(json))) }
            }
        }
    };
    markup.into_string()
}

fn section(id: &str, title: &str, body: Markup) -> Markup {
    html! { section id=(id) { h2 { (title) } (body) } }
}

fn first_screen(run: &Run) -> Markup {
    let verdict = run.verdict_word();
    html! {
        header class=(format!("verdict {verdict}")) {
            p.eyebrow {
                span.badge data-figure="verdict" data-value=(verdict) { (verdict) }
                " " (run.scenario) " · seed " span data-figure="seed" data-value=(run.seed) { (run.seed) } " · "
                @match run.kind {
                    Kind::Simulated => "simulated: real functions and SDKs, virtual time",
                    Kind::Live => "live: real processes, real PostgreSQL, real seconds",
                }
            }
            h1 { (run.headline()) }
            p.about { "Scenario: " (run.about) "." }
            @for problem in &run.problems { p.problem { b { "Not held: " } (problem) } }
            (tiles(run))
            ol.story {
                @for moment in run.story() {
                    li {
                        time { (run.clock(run.outage_at_ms + moment.after_outage_ms)) small { (offset(moment.after_outage_ms)) } }
                        span { (moment.what) }
                    }
                }
            }
            nav {
                @for (id, name) in [("time", "time"), ("requests", "requests"), ("replication", "lag and price"), ("losses", "losses"),
                    ("reconciliation", "reconciliation"), ("pages", "pages"), ("incident", "incident log"), ("functions", "functions"), ("timeline", "timeline"),
                    ("configuration", "configuration"), ("repeat", "repeat")] {
                    a href=(format!("#{id}")) { (name) }
                }
            }
        }
    }
}

fn tiles(run: &Run) -> Markup {
    let w = &run.waterfall;
    let ours = w.rto_writes_ms.zip(w.aws_promotion_ms).map(|(all, aws)| all - aws);
    html! {
        div.tiles {
            @if run.outage {
                (tile("writes back after", w.rto_writes_ms, "waterfall.rto_writes_ms", "not within the run"))
                (tile("of which AWS", w.aws_promotion_ms, "waterfall.aws_promotion_ms", "not known"))
                div.tile { span.what { "of which ours" } span.figure { (ours.map_or_else(|| "not known".to_owned(), seconds)) } }
                (tile("a person reads it after", w.first_page_ms, "waterfall.first_page_ms", "nobody was paged"))
            }
            div.tile {
                span.what { "acknowledged and lost" }
                span.figure data-figure="payments.lost_totals.count" data-value=(run.payments.lost_totals.count) { (run.payments.lost_totals.count) }
                span.note { (sums(&run.payments.lost_totals)) }
            }
            div.tile {
                span.what { "payments acknowledged" }
                span.figure data-figure="payments.acknowledged" data-value=(run.payments.acknowledged) { (run.payments.acknowledged) }
                span.note { "in " span data-figure="payments.requests" data-value=(run.payments.requests) { (run.payments.requests) } " requests" }
            }
        }
    }
}

fn tile(what: &str, ms: Option<i64>, figure: &str, absent: &str) -> Markup {
    html! {
        div.tile {
            span.what { (what) }
            @match ms {
                Some(ms) => span.figure data-figure=(figure) data-value=(ms) { (seconds(ms)) }
                None => span.figure.muted { (absent) }
            }
        }
    }
}

fn waterfall(run: &Run) -> Markup {
    let w = &run.waterfall;
    html! {
        @if run.outage {
            p { "Seconds after " (run.clock(run.outage_at_ms)) " UTC, when the Region went dark. Recovery of writes is measured by clients, from the first payment that failed to the first that is durable, at " (w.sampling_ms) " ms." }
            (charts::waterfall(run))
            @if w.rto_reads_dublin_ms.is_some() || w.rto_reads_london_ms.is_some() {
                p { "Reads that rest on DNS alone: clients near Dublin waited "
                    (w.rto_reads_dublin_ms.map_or_else(|| "to the end of the run".to_owned(), seconds))
                    ", clients near London " (w.rto_reads_london_ms.map_or_else(|| "to the end of the run".to_owned(), seconds)) "." }
            }
        } @else {
            p { "Nothing had to be recovered: the primary was not lost." }
        }
    }
}

fn requests(run: &Run) -> Markup {
    html! {
        p { (run.payments.requests) " requests by payment clients; a client that gets no answer or an error tries the other Region with the same key. Each is drawn where the client learned the outcome." }
        (charts::requests(run))
    }
}

fn losses(run: &Run) -> Markup {
    let payments = &run.payments;
    html! {
        p { "Payments that a client was told are made and that the final ledger lacks: " b { (payments.lost_totals) } ". "
            "Listed means that the attempts table still has the payment, so that it can be booked again." }
        @if !payments.lost.is_empty() {
            div.scroll { table {
                thead { tr { th { "attempt" } th { "network reference" } th.number { "amount" } th.number { "acknowledged" } th { "listed" } } }
                tbody { @for lost in &payments.lost { tr data-lost=(lost.key) {
                    td { code { (lost.key) } } td { code { (lost.network_reference) } }
                    td.number { (money(&lost.currency, lost.amount_minor)) }
                    td.number { (offset(lost.acknowledged_after_outage_ms)) }
                    td { @if lost.listed { "yes" } @else { b.bad { "no" } } }
                } } }
            } }
        }
        @if payments.charged_twice.is_empty() { p { "No attempt was charged twice." } }
        @else { p { b { (payments.charged_twice.len()) " attempts were charged more than once: " } (payments.charged_twice.join(", ")) } }
    }
}

fn money(currency: &str, minor: i64) -> String {
    let parsed = holdfast_domain::money::Currency::parse(currency);
    parsed.map_or_else(|_| format!("{minor} {currency}"), |currency| currency.display(minor.into()))
}

fn reconciliation(run: &Run) -> Markup {
    use holdfast_domain::reconciliation::Finding;
    html! {
        @if run.reconciliations.is_empty() { p { "reconcile-ledger told nothing in this run." } }
        @for it in &run.reconciliations {
            article {
                h3 { time { (run.clock(it.at_ms)) " " small { (offset(it.at_ms - run.outage_at_ms)) } } " " (it.summary) }
                @match &it.summary.finding {
                    Finding::Complete(found) => {
                        ul {
                            @for sentence in found.balance.iter().chain(&found.findings) { li { (sentence) } }
                            @if !found.lost_keys.is_empty() { li { "acknowledged and not in the ledger: " code { (some(&found.lost_keys)) } } }
                            @if !found.in_doubt_keys.is_empty() { li { "in doubt: " code { (some(&found.in_doubt_keys)) } } }
                            @for (name, count) in &found.others { li { (name) ": " (count) } }
                            li { (found.proposed) " entries proposed, " (found.refunds) " of them refunds; none is posted by Holdfast" }
                            @if let Some(why) = &found.at_least { li { "There may be more: " (why) } }
                        }
                    }
                    Finding::Unknown { why, resume } => p { b { "Unknown: " } (why) " " (resume) }
                }
                @if let Some(report) = &it.summary.report { p { "Its report: " code { (report) } } }
            }
        }
    }
}

/// The first of many keys; its report and the JSON have all of them.
fn some(keys: &[String]) -> String {
    let more = keys.len().saturating_sub(KEYS_SHOWN);
    let shown = keys.iter().take(KEYS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn pages(run: &Run) -> Markup {
    html! {
        @if run.pages.is_empty() { p { "Nobody was paged." } }
        @for letter in &run.pages {
            article.letter {
                p.meta { time { (run.clock(letter.at_ms)) } " " (offset(letter.at_ms - run.outage_at_ms)) " · through " (region(&letter.region)) }
                h3 { (letter.subject) }
                pre { (letter.message) }
            }
        }
    }
}

fn incident(run: &Run) -> Markup {
    html! {
        @match &run.incident {
            None => p { "There was no incident." }
            Some(incident) => { (incident_of(run, incident)) }
        }
    }
}

fn incident_of(run: &Run, incident: &Incident) -> Markup {
    html! {
        p { (incident) ". Raised by " (incident.raised_by) "." }
        div.scroll { table {
            thead { tr { th { "when" } th { "phase" } th { "what was decided" } } }
            tbody { @for milestone in &incident.history { tr {
                td.when { @if let Some(at) = run.since_outage(milestone.at) { (run.clock(at + run.outage_at_ms)) " " small { (offset(at)) } } }
                td { b { (milestone.phase) } }
                td { (milestone.sentence) }
            } } }
        } }
        @if !run.judgements.is_empty() {
            h3 { "Every decision, and what it rested on" }
            p { "The facts and the policy of each are in the JSON; " code { "drill replay-incident" } " decides them again, also under another policy." }
            div.scroll { table {
                thead { tr { th { "when" } th { "phase" } th { "what the observers said" } th { "lag and price" } th { "decision" } } }
                tbody { @for it in &run.judgements { tr {
                    td.when { @if let Some(at) = run.since_outage(it.at) { (offset(at)) } }
                    td { (it.facts.incident.phase) }
                    td { (it.facts.quorum) }
                    td { (it.facts.lag) "; " (it.facts.price.headline()) }
                    td { (it.decision) }
                } } }
            } }
        }
        dl {
            @if let Some(lag) = &incident.lag { dt { "lag when it was decided" } dd { (lag) } }
            @if let Some(price) = &incident.price { dt { "price when it was decided" } dd { (price) } }
            @if let Some(loss) = &incident.loss { dt { "loss, counted afterwards" } dd { (loss) } }
            @if let Some(order) = &incident.order { dt { "order" } dd { (order) } }
            @if let Some(approval) = &incident.approval { dt { "approved by" } dd { (approval.by) ": " (approval.comment) } }
            @if let Some(veto) = &incident.veto { dt { "vetoed by" } dd { (veto.by) ": " (veto.comment) } }
            @for blocked in &incident.blocked { dt { "blocked" } dd { (blocked) } }
            @if let Some(snapshot) = &incident.secured_snapshot { dt { "old volume" } dd { (snapshot) } }
        }
    }
}

fn functions(run: &Run) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "function" } th { "Region" } th.number { "runs" } th.number { "failed or killed" } th.number { "AWS calls" } } }
            tbody { @for it in &run.functions { tr {
                td { (it.function) } td { (it.region) } td.number { (it.runs) } td.number { (it.failed) } td.number { (it.aws_calls) }
            } } }
        } }
    }
}

fn repeat(run: &Run) -> Markup {
    html! {
        pre { (run.repeat) }
        p { @match run.kind {
            Kind::Simulated => "One seed gives the same run to the byte.",
            Kind::Live => "A live run is not repeated to the byte: it takes real time on a real machine. The seed fixes what is drawn, not how long things take.",
        } }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// JSON that cannot end the element it stands in.
fn embedded(json: &Value) -> String {
    json.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}
