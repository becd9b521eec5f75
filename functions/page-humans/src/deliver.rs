//! One page for each state: claimed, sent through every channel, and remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_aws::Failure;
use holdfast_aws::coordination::{Coordination, CoordinationError};
use holdfast_domain::page::message::Message;
use holdfast_domain::page::open::OpenPage;
use holdfast_domain::page::{Delivery, Page, PageRecord, pager, pagerduty};
use serde_json::{Value, json};

use crate::Pager;
use crate::channels::Sent;

/// How often a page that another run has claimed is looked at before it is sent anyway.
const LOOKS_MAX: u32 = 10;
/// Between two looks. Together they are longer than a delivery takes with all its time-outs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often a write is tried that collided with somebody else's.
const WRITES_MAX: u32 = 5;

/// Whether a page is this run's to send.
enum Claim {
    /// It is, and this is what is remembered of its thread.
    Ours(Option<PageRecord>),
    /// It is not, and this is the answer.
    Not(Value),
}

impl Pager<'_> {
    /// Sends a page unless it was sent, and remembers it.
    pub(crate) async fn page(&self, page: Page) -> Result<Value, Failure> {
        let coordination = self.startup.coordination();
        let record = match self.claim(&coordination, &page).await {
            Claim::Ours(record) => record,
            Claim::Not(answer) => return Ok(answer),
        };
        let channels = self.startup.config.paging.channels_for(&page);
        let asked = record.as_ref().map(|record| record.asked.clone()).unwrap_or_default();
        let sent = self.send(&self.message(&page, &[]), &channels, &asked).await;
        let kept = self.keep_open(&coordination, &page, &sent.failed).await;
        if sent.through.is_empty() {
            let failed: Vec<String> = sent.failed.iter().map(|(channel, why)| format!("{channel}: {why}")).collect();
            let problem = format!("nobody was paged ({}); {}", page.headline, failed.join("; "));
            // Without the table nobody else knows of this page: Lambda must try again.
            kept.map_err(|error| Failure::NothingChanged(format!("{problem}; and {error}")))?;
            self.remember(&coordination, &page, record).await;
            tracing::error!(thread = page.thread, kind = page.kind, "{problem}; every minute's run tries again");
            return Ok(json!({"page": page.kind, "sent": false, "why": problem, "again": "every minute"}));
        }
        let is_kept = kept.is_ok();
        if let Err(error) = kept {
            tracing::warn!(thread = page.thread, "what is left to do for this page is not kept: {error}");
        }
        tracing::info!(thread = page.thread, kind = page.kind, through = ?sent.through, "paged: {}", page.headline);
        // A channel that missed it gets it from whoever pages it next: all others then get it twice, which beats a miss.
        let is_whole = is_kept || sent.failed.is_empty();
        let record = if is_whole { self.remember(&coordination, &page, record).await } else { None };
        if record.is_some_and(|record| page.is_overtaken(&record)) {
            self.tell_alert_keepers(&page, &pagerduty::taken_back(&page)).await;
        }
        self.tell_of_failures(&page, &sent).await;
        Ok(json!({"page": page.kind, "sent": true, "through": sent.through, "failed": sent.failed}))
    }

    /// A page as this run sends it for the first time.
    pub(crate) fn message<'a>(&'a self, page: &'a Page, failed: &'a [String]) -> Message<'a> {
        Message {
            page,
            from: &self.startup.region,
            at: self.startup.now(),
            late: None,
            step: 0,
            failed,
            runbook_url: self.startup.config.paging.runbook_url.as_deref(),
        }
    }

    async fn claim(&self, coordination: &Coordination, page: &Page) -> Claim {
        let mut record = None;
        for look in 1..=LOOKS_MAX {
            record = match coordination.page_record(&page.thread).await {
                Ok(record) => record,
                // Fail open: what was sent before is not known, and a duplicate is better than a miss.
                Err(error) => {
                    tracing::warn!(thread = page.thread, "paging without knowing what was sent: {error}");
                    break;
                }
            };
            match page.delivery(record.as_ref(), self.startup.now()) {
                Delivery::Skip => {
                    let why = "already sent, or overtaken";
                    return Claim::Not(json!({"page": page.kind, "sent": false, "why": why}));
                }
                Delivery::Heard => {
                    self.remember(coordination, page, record).await;
                    let why = "already sent, and still going on";
                    return Claim::Not(json!({"page": page.kind, "sent": false, "why": why}));
                }
                Delivery::Wait if look < LOOKS_MAX => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                Delivery::Wait => tracing::warn!(thread = page.thread, "whoever claimed this page did not send it"),
                Delivery::Send => {}
            }
            let claim = page.claimed(record.clone(), self.startup.now());
            match coordination.save_page_record(&page.thread, &claim).await {
                Ok(()) => return Claim::Ours(Some(claim)),
                // Another Region is paging the same; what it writes decides.
                Err(CoordinationError::Conflict { .. }) if look < LOOKS_MAX => {}
                Err(error) => {
                    tracing::warn!(thread = page.thread, "paging without a claim: {error}");
                    break;
                }
            }
        }
        Claim::Ours(record)
    }

    /// Keeps what is left to do for a page: channels that failed, and somebody to acknowledge it.
    async fn keep_open(
        &self,
        coordination: &Coordination,
        page: &Page,
        failed: &BTreeMap<String, String>,
    ) -> Result<(), CoordinationError> {
        let mut tried = 1;
        loop {
            let before = coordination.open_page(&page.thread).await?;
            let Some(open) = OpenPage::after(before, page, failed.clone(), self.startup.now()) else { return Ok(()) };
            match coordination.save_open_page(&open).await {
                Err(CoordinationError::Conflict { .. }) if tried < WRITES_MAX => tried += 1,
                other => return other,
            }
        }
    }

    /// Remembers after sending: whoever dies in between leaves a claim that runs out, and the page is sent twice, not never.
    async fn remember(
        &self,
        coordination: &Coordination,
        page: &Page,
        mut record: Option<PageRecord>,
    ) -> Option<PageRecord> {
        for _ in 0..WRITES_MAX {
            let remembered = page.remembered(record.clone(), self.startup.now());
            match coordination.save_page_record(&page.thread, &remembered).await {
                Ok(()) => return Some(remembered),
                Err(CoordinationError::Conflict { .. }) => {
                    record = coordination.page_record(&page.thread).await.ok().flatten();
                }
                Err(error) => {
                    tracing::warn!(thread = page.thread, "the page was sent but not remembered: {error}");
                    return None;
                }
            }
        }
        None
    }

    /// Tells through the channels that work which one does not. It never fails the page that it is about.
    async fn tell_of_failures(&self, page: &Page, sent: &Sent) {
        if page.section == CHANNEL_FAILING {
            return;
        }
        for (channel, why) in &sent.failed {
            let told = pager::channel_failing(channel, why, &self.startup.region, self.cluster());
            if let Err(failure) = Box::pin(self.page(told)).await {
                tracing::error!(channel, "that it does not take pages could not be told: {failure}");
            }
        }
    }
}

/// The section of pages about channels: about these no page is sent in turn.
const CHANNEL_FAILING: &str = "channel-failing";
