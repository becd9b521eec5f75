//! Where the time went: detect, confirm, decide, promote, route, first write; AWS's own time apart from ours.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

use holdfast_domain::incident::{ClusterState, Phase};
use holdfast_payments::history::{Operation, Read, Told};
use holdfast_report::Waterfall as Figures;
use holdfast_world::rds::accepted;
use holdfast_world::{Region, World};

use crate::deployment::Setup;
use crate::scenario::OUTAGE_AT;

/// Where the time went, and when each phase was entered.
#[derive(Clone, Debug, Default)]
pub struct Waterfall {
    /// Milliseconds after 14:07:00.
    pub figures: Figures,
    phases: Vec<(Phase, Duration)>,
}

impl Deref for Waterfall {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.figures
    }
}

/// Whole milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Waterfall {
    pub(crate) fn measure(
        world: &World,
        state: &ClusterState,
        operations: &[Operation],
        reads: &[Read],
        setup: &Setup,
        booked: &BTreeSet<String>,
    ) -> Self {
        let offset = |at: Duration| ms(at) - ms(OUTAGE_AT);
        let start = world.now().checked_sub(world.elapsed()).unwrap_or_default();
        let since_start = |at: jiff::Timestamp| Duration::try_from(at.duration_since(start)).unwrap_or_default();
        let incident = state.incident.as_ref();
        let phases: Vec<(Phase, Duration)> = incident
            .map(|incident| incident.history.iter().map(|it| (it.phase, since_start(it.at))).collect())
            .unwrap_or_default();
        let phase_at = |wanted: Phase| phases.iter().find(|(phase, _)| *phase == wanted).map(|(_, at)| *at);
        let entry_at =
            |what: &str| world.entries().iter().find(|entry| entry.what.contains(what)).map(|entry| entry.at);
        let called = world
            .requests()
            .iter()
            .find(|request| ["FailoverGlobalCluster", "SwitchoverGlobalCluster"].contains(&request.operation.as_str()))
            .map(|request| request.at);
        let promoted = entry_at("has promoted");
        // What CloudWatch itself mails from us-east-1 is not ours.
        let letters: Vec<_> = world.inbox().into_iter().filter(|letter| letter.region != Region::N_VIRGINIA).collect();
        let suspected =
            world.published().iter().find(|(_, _, event)| event["detail-type"] == "RegionSuspected").map(|it| it.0);
        let first_failed = operations
            .iter()
            .filter(|it| it.ended >= OUTAGE_AT && !matches!(it.told, Told::Acknowledged { .. }))
            .map(|it| it.started)
            .min();
        // A payment that was first tried before the outage may be acknowledged during it, from its mark, while no write works.
        let tried_before: BTreeSet<&str> =
            operations.iter().filter(|it| it.started < OUTAGE_AT).map(|it| it.key.as_str()).collect();
        let first_durable = first_failed.and_then(|failed| {
            let mut durable: Vec<&Operation> = operations
                .iter()
                .filter(|it| {
                    let is_new = it.started > failed && !tried_before.contains(it.key.as_str());
                    is_new && matches!(it.told, Told::Acknowledged { .. }) && booked.contains(&it.key)
                })
                .collect();
            durable.sort_by_key(|it| it.ended);
            durable.first().map(|it| it.ended)
        });
        let began = accepted(world).first().map(|it| it.at);
        let figures = Figures {
            first_failed_probe_ms: incident
                .and_then(|it| it.proof.as_ref())
                .map(|proof| offset(since_start(proof.since))),
            suspected_ms: suspected.map(offset),
            confirmed_ms: phase_at(Phase::Confirmed).map(offset),
            rds_called_ms: called.map(offset),
            promoted_ms: promoted.map(offset),
            endpoint_moved_ms: entry_at("points the global writer endpoint").map(offset),
            restored_ms: phase_at(Phase::Restored).map(offset),
            first_page_ms: letters.iter().map(|letter| letter.at).min().map(offset),
            first_page_sent_ms: letters.iter().map(|letter| letter.sent).min().map(offset),
            first_failed_payment_ms: first_failed.map(offset),
            first_durable_payment_ms: first_durable.map(offset),
            rto_writes_ms: first_failed.zip(first_durable).map(|(failed, durable)| ms(durable) - ms(failed)),
            rto_reads_dublin_ms: read_gap(reads, Region::DUBLIN),
            rto_reads_london_ms: read_gap(reads, Region::LONDON),
            aws_promotion_ms: began.zip(promoted).map(|(began, promoted)| ms(promoted) - ms(began)),
            sampling_ms: ms(setup.payment_every),
        };
        Self { figures, phases }
    }

    /// When a phase was first entered, since the start of the run.
    #[must_use]
    pub fn phase_at(&self, wanted: Phase) -> Option<Duration> {
        self.phases.iter().find(|(phase, _)| *phase == wanted).map(|(_, at)| *at)
    }
}

/// From the first failed read to the first one that works again; 0 when none failed.
fn read_gap(reads: &[Read], near: Region) -> Option<i64> {
    let mut mine: Vec<&Read> = reads.iter().filter(|read| read.near == near && read.ended >= OUTAGE_AT).collect();
    mine.sort_by_key(|read| read.started);
    let Some(failed) = mine.iter().find(|read| !read.answered) else { return Some(0) };
    let works = mine.iter().find(|read| read.answered && read.started > failed.started)?;
    Some(ms(works.ended) - ms(failed.started))
}
