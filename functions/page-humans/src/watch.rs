//! Once a minute, in every Region: what the state owes, what a channel has missed, and who is called next.

use std::collections::BTreeSet;

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::event::Event;
use holdfast_domain::page::message::Message;
use holdfast_domain::page::open::{Chore, OpenPage};
use serde_json::{Value, json};

use crate::Pager;

/// Open pages that one run sends again; more are left to the next minute and to the other Regions.
const CHORES_MAX: usize = 20;

impl Pager<'_> {
    /// Events can get lost, so the state itself is looked at; and every page that is not done with.
    pub(crate) async fn watch(&self) -> Result<Value, Failure> {
        let owed = self.catch_up().await;
        let open = self.see_to_open_pages().await;
        // A dead man's switch: whoever misses these alarms. A pager that cannot read its table does not count as alive.
        if let (Ok(_), Ok((_, unread))) = (&owed, &open) {
            let region = self.startup.region.as_str();
            let left = u64::try_from(*unread).unwrap_or(u64::MAX);
            let metrics = [("PagerHeartbeat", "Count", 1), ("PagesOpen", "Count", left)];
            self.startup.metrics.emit(self.startup.now(), &[("Region", region)], &metrics);
        }
        let sent = open.map_or_else(|error| json!({"unknown": error.to_string()}), |(chores, _)| json!(chores));
        let mut told = owed?;
        if let Some(fields) = told.as_object_mut() {
            fields.insert("open".into(), sent);
        }
        Ok(told)
    }

    async fn catch_up(&self) -> Result<Value, Failure> {
        let nothing = |why: String| Ok(json!({"page": null, "why": why}));
        let state = match self.startup.coordination().cluster_state().await {
            Ok(state) => state,
            // The next minute looks again, and so does every other Region.
            Err(error) => return nothing(error.to_string()),
        };
        match state.incident {
            Some(incident) if incident.may_owe_a_page(self.startup.now()) => {
                self.event(&Event::IncidentAdvanced { incident: Box::new(incident) }).await
            }
            Some(_) | None => nothing("no incident owes a page".into()),
        }
    }

    /// What was done for each page that is not done with, and how many there are.
    async fn see_to_open_pages(&self) -> Result<(Vec<Value>, usize), CoordinationError> {
        let open = self.startup.coordination().open_pages().await?;
        let mut done = Vec::new();
        for page in open.iter().take(CHORES_MAX) {
            match page.chore(&self.startup.config.paging, self.startup.now()) {
                Chore::Rest => {}
                Chore::Done => {
                    // Whoever has changed it since sees to it.
                    if let Err(error) = self.startup.coordination().close_page(page).await {
                        tracing::info!(thread = page.page.thread, "not forgotten yet: {error}");
                    }
                }
                Chore::Send { channels, steps, late } => {
                    done.extend(self.send_again(page, &channels, steps, late).await);
                }
            }
        }
        Ok((done, open.len()))
    }

    async fn send_again(
        &self,
        open: &OpenPage,
        channels: &BTreeSet<String>,
        steps: usize,
        late: bool,
    ) -> Option<Value> {
        let coordination = self.startup.coordination();
        let claim = open.claimed(self.startup.now());
        match coordination.save_open_page(&claim).await {
            Ok(()) => {}
            // Another Region has it in hand.
            Err(CoordinationError::Conflict { .. }) => return None,
            Err(error) => tracing::warn!(thread = open.page.thread, "sending again without a claim: {error}"),
        }
        let failed: Vec<String> = open.undelivered.iter().map(|(channel, why)| format!("{channel}: {why}")).collect();
        let late = if late { open.late_by(self.startup.now()) } else { None };
        let step = if steps > open.steps_taken { steps } else { 0 };
        let message = Message { late, step, ..self.message(&open.page, &failed) };
        let record = coordination.page_record(&open.page.thread).await.ok().flatten();
        let asked = record.map(|record| record.asked).unwrap_or_default();
        let sent = self.send(&message, channels, &asked).await;
        tracing::info!(thread = open.page.thread, step, through = ?sent.through, "paged again: {}", message.headline());
        let tried = claim.tried(channels, steps, sent.failed.clone());
        if let Err(error) = coordination.save_open_page(&tried).await {
            tracing::warn!(thread = open.page.thread, "what was sent again is not remembered: {error}");
        }
        Some(json!({"thread": open.page.thread, "step": step, "through": sent.through, "failed": sent.failed}))
    }
}
