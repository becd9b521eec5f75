//! What goes wrong in a live run, and what is done about it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use drill::checker::Outcome;
use drill::deployment::Function;
use drill::scenario::OUTAGE_AT;
use holdfast_domain::incident::Phase;
use holdfast_payments::history::{History, Operation, Told};
use holdfast_world::rds::accepted;
use holdfast_world::{Region, World};

use crate::ledger::{self, Booked};
use crate::parts::{Parts, blocking};
use crate::processes::signal;
use crate::proof::{marks_of, told_too_late};
use crate::run::LiveError;
use crate::scenario::Fault;
use crate::{expect, failback, returns};

/// How long Dublin stands still, or stays dark before somebody switches it on again.
pub(crate) const AWAY: Duration = Duration::from_secs(40);
/// The database of a machine that is paused stops before the processes in front of it: some of their requests are with it.
const PAUSED_LATER: Duration = Duration::from_millis(300);
/// So long before the outage London stops getting what Dublin writes, where something is to be lost.
const TAIL: Duration = Duration::from_millis(800);

/// From what clients were told, and the keys in the ledger: what came of it. In this order: what is told later may be booked
/// later.
pub(crate) type Judge = Box<dyn Fn(Vec<Operation>, BTreeSet<String>) -> io::Result<Outcome>>;

/// A run while it is played.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) parts: Parts,
    pub(crate) history: History,
    /// What AWS takes to promote.
    pub(crate) aws_promotion: Duration,
    /// Judges the run as it stands.
    pub(crate) judge: Judge,
    /// What was promised and did not hold.
    pub(crate) problems: Vec<String>,
    /// Payments that only the old primary had.
    pub(crate) salvaged: Option<BTreeSet<String>>,
    /// What came of the outage, where something else follows.
    pub(crate) outage: Option<Outcome>,
    /// When what stood still went on.
    pub(crate) woken: Option<Duration>,
}

impl Stage {
    pub(crate) fn new(world: World, parts: Parts, history: History, aws_promotion: Duration, judge: Judge) -> Self {
        let problems = Vec::new();
        Self { world, parts, history, aws_promotion, judge, problems, salvaged: None, outage: None, woken: None }
    }

    /// Adds what the story itself has found to what came of it.
    pub(crate) fn conclude(&mut self, outcome: &mut Outcome) {
        let lost: BTreeSet<String> = outcome.lost.iter().map(|lost| lost.key.clone()).collect();
        if let Some(salvaged) = self.salvaged.take() {
            let same = salvaged == lost;
            self.holds(same, format!("the snapshot alone has {salvaged:?}, and {lost:?} are lost"));
        }
        if let Some(outage) = self.outage.take() {
            outcome.problems.extend(expect::recovered(&outage));
            outcome.problems.extend(expect::nothing_lost_since(&outage, outcome));
            outcome.problems.extend(outage.problems);
            // The way back has no outage of its own: where the time went is told of the first one.
            outcome.waterfall = outage.waterfall;
        }
        outcome.problems.append(&mut self.problems);
    }

    /// Notes it in the story.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.world.record("live-drill", what);
    }

    /// It is a problem unless it holds.
    pub(crate) fn holds(&mut self, claim: bool, otherwise: impl Into<String>) {
        if !claim {
            let otherwise = otherwise.into();
            self.say(format!("finds: {otherwise}"));
            self.problems.push(otherwise);
        }
    }

    /// Waits for a moment of the story.
    pub(crate) async fn until(&self, when: Duration) {
        tokio::time::sleep(when.saturating_sub(self.world.elapsed())).await;
    }

    /// The moment at which Dublin is there again.
    pub(crate) async fn until_dublin_is_back(&self) {
        self.until(OUTAGE_AT + AWAY + self.aws_promotion).await;
    }

    /// Plays what goes wrong, and what is done about it.
    pub(crate) async fn play(&mut self, fault: Fault) -> Result<(), LiveError> {
        if fault == Fault::DublinReturns {
            self.until(OUTAGE_AT.saturating_sub(TAIL)).await;
            self.hold_the_stream(true);
        }
        self.until(OUTAGE_AT).await;
        let world = self.world.clone();
        match fault {
            Fault::DublinDark => self.parts.kill(&world, Region::DUBLIN),
            Fault::DublinDarkAndPromoterKilled => {
                kill_the_promoter(world.clone());
                self.parts.kill(&world, Region::DUBLIN)
            }
            Fault::LinkCut => {
                world.cut_link(Region::LONDON, Region::DUBLIN);
                world.cut_link(Region::DUBLIN, Region::LONDON);
                Ok(())
            }
            Fault::OneWay { from, to } => {
                world.cut_link(from, to);
                Ok(())
            }
            Fault::OneObserver => {
                world.cut_link(Region::LONDON, Region::DUBLIN);
                world.after(Duration::from_secs(43), |world| world.mend_link(Region::LONDON, Region::DUBLIN));
                Ok(())
            }
            Fault::RegionFrozen => {
                self.freeze_dublin().await?;
                self.until_dublin_is_back().await;
                self.thaw_dublin().await
            }
            Fault::DublinReturns => {
                self.parts.kill(&world, Region::DUBLIN)?;
                // What was under way is lost with the Region.
                self.hold_the_stream(false);
                returns::switch_on(self).await?;
                returns::secure_and_rebuild(self).await
            }
            Fault::FailbackClean => {
                self.parts.kill(&world, Region::DUBLIN)?;
                returns::switch_on(self).await?;
                failback::refused(self).await?;
                returns::secure_and_rebuild(self).await?;
                failback::fail_back(self).await
            }
        }
    }

    fn hold_the_stream(&self, held: bool) {
        self.parts.switches.stream_held.store(held, std::sync::atomic::Ordering::Relaxed);
    }

    /// Every process in Dublin stands still: nothing is refused, nothing is closed, nothing is said.
    async fn freeze_dublin(&mut self) -> Result<(), LiveError> {
        self.say("eu-west-1 stands still: SIGSTOP to its PostgreSQL, its payments API and its functions");
        let database = self.parts.database(Region::DUBLIN)?;
        blocking(move || database.freeze()).await?;
        tokio::time::sleep(PAUSED_LATER).await;
        self.signal_api("-STOP")?;
        Ok(self.parts.pool.freeze(Region::DUBLIN)?)
    }

    /// They go on where they were: for the old writer it is still the moment of the outage.
    async fn thaw_dublin(&mut self) -> Result<(), LiveError> {
        self.say("eu-west-1 goes on: SIGCONT, and its old writer knows of nothing");
        self.woken = Some(self.world.elapsed());
        let database = self.parts.database(Region::DUBLIN)?;
        blocking(move || database.thaw()).await?;
        tokio::time::sleep(PAUSED_LATER).await;
        self.signal_api("-CONT")?;
        Ok(self.parts.pool.thaw(Region::DUBLIN)?)
    }

    fn signal_api(&self, which: &str) -> Result<(), LiveError> {
        let processes: Vec<u32> = self.parts.services.get(&Region::DUBLIN).map(|api| api.id()).into_iter().collect();
        Ok(signal(which, &processes)?)
    }

    /// What woke up too late: the old writer may have committed what it was asked before; it must have told nobody.
    pub(crate) async fn nothing_said_by_the_zombie(
        &mut self,
        outcome: &Outcome,
        rows: &BTreeMap<String, Booked>,
    ) -> Result<(), LiveError> {
        let Some(woken) = self.woken else { return Ok(()) };
        let (socket, london) = (self.parts.socket(Region::DUBLIN), self.parts.socket(Region::LONDON));
        let start = self.world.start();
        let ms_of = |at: Duration| start.checked_add(at).unwrap_or(start).as_millisecond();
        let late = ledger::booked_since(&socket, ms_of(woken)).await?;
        let elsewhere = ledger::booked_since(&london, 0).await?;
        let marks = marks_of(&self.world, Region::DUBLIN);
        let told = told_too_late(&late, &marks, &elsewhere);
        let in_flight = outcome
            .operations
            .iter()
            .filter(|it| it.sent_to == Region::DUBLIN.as_str() && it.started < OUTAGE_AT + PAUSED_LATER)
            .filter(|it| it.ended > OUTAGE_AT && matches!(it.told, Told::Nothing))
            .count();
        self.say(format!(
            "finds: {in_flight} clients had no answer of eu-west-1 when it stood still; its database committed {} bookings after \
             it went on, those that London had asked of it too, and told {} of them before eu-west-2 had them; {} \
             are booked in eu-west-2 as well",
            late.len(),
            told.len(),
            late.keys().filter(|key| elsewhere.contains_key(*key)).count()
        ));
        let told = told.join(", ");
        self.holds(!late.is_empty(), "the old writer had nothing left to do when it went on: the story shows nothing");
        self.holds(told.is_empty(), format!("the old writer committed and told after the fence: {told}"));
        // Whatever is marked as made is in the ledger, or in the list of the lost.
        let lost: BTreeSet<&str> = outcome.lost.iter().map(|lost| lost.key.as_str()).collect();
        let unsaid: Vec<&str> =
            marks.keys().map(String::as_str).filter(|key| !rows.contains_key(*key) && !lost.contains(key)).collect();
        self.say(format!(
            "finds: {} payments are marked as made and in neither the ledger nor the list of the lost",
            unsaid.len()
        ));
        let fenced = outcome.waterfall.phase_at(Phase::Fencing).unwrap_or(woken) + outcome.config.policy.writer_lease();
        let fenced_ms = ms_of(fenced);
        let unsaid: Vec<&str> =
            unsaid.into_iter().filter(|key| marks.get(*key).is_some_and(|at| *at > fenced_ms)).collect();
        self.holds(
            unsaid.is_empty(),
            format!("marked as made behind the fence, and in no ledger: {}", unsaid.join(", ")),
        );
        Ok(())
    }

    /// One server takes writes, and it is the one that RDS names; an old one that only woke up is known to be one.
    pub(crate) async fn one_writer(&mut self, at: Region) {
        for (region, database) in self.parts.databases.clone() {
            if database.processes().is_empty() {
                continue;
            }
            let socket = self.parts.socket(region);
            let standby = match ledger::connect(&socket).await {
                Ok(client) => ledger::in_recovery(&client).await.ok(),
                Err(_) => None,
            };
            let zombie = self.woken.is_some() && region != at;
            let good = zombie || standby == Some(region != at);
            self.holds(good, format!("{region} is a standby: {standby:?}, and the writer is in {at}"));
        }
    }
}

fn kill_the_promoter(world: World) {
    tokio::spawn(async move {
        // Not before RDS has it: a request that dies on its way is rightly made again.
        while accepted(&world).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.kill_function(Region::LONDON, Function::Promote.name());
    });
}
