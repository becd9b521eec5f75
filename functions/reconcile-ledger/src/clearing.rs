//! The pass *clearing*: ledger and attempts against the card network's file, as soon as it lands.
//!
//! A file is read to its end before anything else is done about it. One that cannot be used is copied aside and told, and
//! nothing of it is used; one whose bytes were settled before is refused.

use std::collections::BTreeSet;
use std::io::Write as _;

use holdfast_aws::Failure;
use holdfast_aws::attempts::{Attempts, AttemptsError};
use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::ledger::{Selection, Through};
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::{Attempt, WINDOW_MINUTES_MAX, Window};
use holdfast_domain::event::Event;
use holdfast_domain::reconciliation::{FileRecord, Finding, OpenPayment, Pass, RefusedFile, SETTLES_WITHIN};
use holdfast_settlement::format::ledger::HEADER;
use holdfast_settlement::format::{Fault, FormatError, Rows};
use holdfast_settlement::record::{Record, Side};
use holdfast_settlement::report::Lookout;
use holdfast_settlement::{Break, Go, Judged, Policy, Progress, Reconciliation, Report, RunError, Settlement, What};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::effects::Outcome;
use crate::objects::{DownloadError, Downloaded};
use crate::shards::SHARDS;
use crate::sources::{self, Format};
use crate::spool::Spool;
use crate::{Run, bank, unread};

/// Where the card network's files land, in a folder for each provider.
const FOLDER: &str = "holdfast/clearing/";
/// Marks that are kept in memory, at 300 bytes each.
const MARKS_MAX: usize = 500_000;
/// Rows between two looks at the clock.
const LOOK_EVERY: u64 = 1 << 16;
/// Keys that are looked up outside of the file's days. More of them mean that the days are wrong.
const KEYS_MAX: usize = 200_000;

/// A file that was asked for.
pub(crate) struct Asked<'a> {
    pub(crate) key: &'a str,
    pub(crate) format: Format,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    /// The folder of what the steps of a run in shards come to.
    pub(crate) steps: &'static str,
}

/// What a file's records say of when they happened, and what earlier files have to do with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) window: Window,
    /// Whose bookings belong to it: the last payments are booked a moment after they were charged.
    pub(crate) books: Window,
    /// Those of them that no earlier file of the provider was settled with: they are laid beside, and judged.
    pub(crate) judged: Window,
    /// What happened up to here and is not in the file is not coming.
    pub(crate) complete_until: Timestamp,
    pub(crate) rows: u64,
    /// Bookings that earlier files left open, which are judged too.
    pub(crate) carried: Vec<OpenPayment>,
    /// Those of them that this file has, by their names.
    pub(crate) at_network: BTreeSet<String>,
}

/// Why there is no report of a file.
pub(crate) enum Stopped {
    /// The file itself cannot be used.
    Broken(String),
    /// Something else stood in the way; the file may be good.
    Hindered(String),
    /// It was cut short, and can go on from there.
    CutShort { why: String, resume: String },
}

impl From<FormatError> for Stopped {
    fn from(error: FormatError) -> Self {
        // What could not be read from the disk says nothing of the file.
        if matches!(error.fault, Fault::Io(_)) {
            Self::Hindered(error.to_string())
        } else {
            Self::Broken(error.to_string())
        }
    }
}

impl From<RunError> for Stopped {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Source(error) => error.into(),
            RunError::SameFileTwice { .. }
            | RunError::SettledBefore { .. }
            | RunError::HardlyAnythingMatches { .. }
            | RunError::Spill(_)
            | RunError::TooManySources(_) => Self::Hindered(holdfast_aws::failure::causes(&error)),
        }
    }
}

impl Run<'_> {
    /// An object has landed in a bucket; only files in the providers' folders are ours.
    pub(crate) async fn landed(&self, bucket: &str, key: &str) -> Result<Value, Failure> {
        if bucket != self.bucket() || !key.starts_with(FOLDER) {
            let why =
                format!("s3://{bucket}/{key} is no file of the card network: those are in {}", self.address(FOLDER));
            return Ok(json!({"done": "nothing", "why": why}));
        }
        self.clearing_by_hand(key, None, None).await
    }

    pub(crate) async fn clearing_by_hand(
        &self,
        key: &str,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Value, Failure> {
        let folder = key.strip_prefix(FOLDER).and_then(|rest| rest.split_once('/')).map(|(folder, _)| folder);
        let format = folder.and_then(Format::of_folder);
        if format.is_none() && folder != Some(bank::FOLDER) {
            let problem = format!(
                "`{key}` is in no folder of a known provider; put it under {FOLDER}<provider>/, which is one of: {}",
                Format::FOLDERS
            );
            return Err(self.startup.refuse(crate::FUNCTION, problem).await);
        }
        let file = match self.download(key).await {
            Ok(file) => file,
            Err(error @ (DownloadError::Missing(_) | DownloadError::TooLarge { .. })) => {
                return Err(self.startup.refuse(crate::FUNCTION, error.to_string()).await);
            }
            Err(error @ DownloadError::Unavailable { .. }) => return Err(Failure::NothingChanged(error.to_string())),
        };
        let known = self.startup.coordination().clearing_file(&file.digest).await.map_err(unread)?;
        if let Some(known) = &known
            && let Some(refusal) = self.seen_before(key, known).await?
        {
            return Ok(refusal);
        }
        match format {
            Some(format) => self.settle_file(&Asked { key, format, from, to, steps: SHARDS }, &file).await,
            None => self.settle_statement(key, &file).await,
        }
    }

    /// The answer for a file whose bytes were here before.
    async fn seen_before(&self, key: &str, known: &FileRecord) -> Result<Option<Value>, Failure> {
        let object = self.address(key);
        let why = match &known.refused {
            Some(problem) => format!("its bytes were refused at {:.0}: {problem}", known.at),
            None => {
                format!("its bytes are those of {}, which was settled at {:.0}; leave it out", known.object, known.at)
            }
        };
        if known.object != object && !self.dry_run {
            let refused = RefusedFile {
                object,
                digest: known.digest.clone(),
                problem: why.clone(),
                quarantined_as: None,
                at: self.startup.now(),
            };
            self.publish(&Event::ClearingFileRefused { refused }).await?;
        }
        Ok(Some(json!({"done": "nothing", "refused": why})))
    }

    async fn settle_file(&self, asked: &Asked<'_>, file: &Downloaded) -> Result<Value, Failure> {
        let run = file.run("clearing");
        self.begin(asked, file, &run).await;
        let answer = match self.lay_side_by_side(asked, file, &run).await {
            Ok(outcome) => self.conclude_file(asked, file, &run, outcome).await?,
            Err(Stopped::Broken(problem)) => self.put_aside(asked.key, file, problem).await?,
            Err(Stopped::Hindered(why)) if !self.time_left().is_zero() => {
                self.conclude(self.unknown(Pass::Clearing, &run, why)).await?
            }
            // An export that had no time says the same.
            Err(Stopped::Hindered(why) | Stopped::CutShort { why, .. }) => {
                let resume = "the next scheduled invocation, which goes on by itself and in shards".to_owned();
                let finding = Finding::Unknown { why, resume };
                let answer = self.conclude(Outcome::new(self.summary(Pass::Clearing, &run, finding))).await?;
                self.leave_off(&run).await;
                return Ok(answer);
            }
        };
        self.end(&run).await;
        Ok(answer)
    }

    /// Tells what a file came to, and remembers what it leaves for later ones and for the bank's statements, and its bytes.
    pub(crate) async fn conclude_file(
        &self,
        asked: &Asked<'_>,
        file: &Downloaded,
        run: &str,
        mut outcome: Outcome,
    ) -> Result<Value, Failure> {
        let left = outcome.left.take();
        let answer = self.conclude(outcome).await?;
        if self.dry_run {
            return Ok(answer);
        }
        if let Some(left) = left {
            self.remember_open(left).await?;
        }
        match self.payouts_of(asked.format, asked.key, file, run) {
            Ok(payouts) => self.remember_payouts(&payouts).await?,
            // It was read to its end a moment ago: this is the disk and not the file.
            Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
        }
        self.remember(asked.key, file, None).await?;
        Ok(answer)
    }

    /// A provider's file, by its key.
    pub(crate) fn asked_for<'a>(&self, key: &'a str) -> Option<Asked<'a>> {
        let folder = key.strip_prefix(FOLDER).and_then(|rest| rest.split_once('/')).map(|(folder, _)| folder);
        let format = folder.and_then(Format::of_folder)?;
        Some(Asked { key, format, from: None, to: None, steps: SHARDS })
    }

    async fn lay_side_by_side(&self, asked: &Asked<'_>, file: &Downloaded, run: &str) -> Result<Outcome, Stopped> {
        let span = self.span(asked, file, run).await?;
        let (marks, mut at_least) = match self.marks(&span.window).await {
            Ok(marks) => (marks, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut books = Spool::new();
        self.export_bookings(span.judged, &mut books).await?;
        let policy = self.policy_of(asked, &span, self.startup.now());
        let first = self.run_engine(asked, file, &policy, &[&books], &marks)?;
        // What the ledger had booked on other days is asked for by key, and laid beside.
        let (keys, nameless) = wanted(&first, &span.carried);
        if nameless > 0 {
            at_least = Some(format!(
                "{nameless} records without our key were looked for in the ledger's bookings of these days only"
            ));
        }
        let settlement = if keys.is_empty() {
            first
        } else if keys.len() > KEYS_MAX {
            at_least = Some(format!("{} keys are too many to be looked up on other days", keys.len()));
            first
        } else {
            let mut others = Spool::new();
            self.export(Selection::Keys { keys, outside: Some(span.judged) }, &mut others).await?;
            self.run_engine(asked, file, &policy, &[&books, &others], &marks)?
        };
        tracing::info!(run, rows = span.rows, "the file was read to its end");
        self.settled(asked, run, (&span, &marks, at_least), settlement).await
    }

    /// What a run over everything comes to.
    pub(crate) async fn settled(
        &self,
        asked: &Asked<'_>,
        run: &str,
        (span, marks, at_least): (&Span, &[Attempt], Option<String>),
        settlement: Settlement,
    ) -> Result<Outcome, Stopped> {
        let mut found = settlement.found(marks, &[], span.window, at_least);
        let (left, findings) = self.left_open(asked.format.name(), run, span, &settlement).await?;
        found.findings.extend(findings);
        let doubts = settlement.doubts(marks);
        let mut outcome = Outcome::new(self.summary(Pass::Clearing, run, Finding::Complete(Box::new(found))));
        outcome.doubts = doubts;
        outcome.retry_after = self.next_file();
        outcome.left = Some(left);
        outcome.settlement = Some(settlement);
        Ok(outcome)
    }

    pub(crate) fn policy_of(&self, asked: &Asked<'_>, span: &Span, now: Timestamp) -> Policy {
        let carried = span.carried.iter().map(OpenPayment::name).collect();
        Policy {
            settles_within: SignedDuration::try_from(SETTLES_WITHIN).unwrap_or(SignedDuration::ZERO),
            judged: Some(Judged { window: span.judged, carried }),
            ..Policy::new(asked.format.name(), now, Some(span.complete_until), self.next_file())
        }
    }

    /// Reads the file once, whole: nothing is done about a file that breaks off in its last line.
    pub(crate) async fn span(&self, asked: &Asked<'_>, file: &Downloaded, run: &str) -> Result<Span, Stopped> {
        let open = self.open_payments(asked.format.name()).await?;
        let carried = open.inputs_of(run);
        let mut lookout = Lookout::new(&carried);
        let mut rows = asked.format.open(asked.key, &file.spool)?;
        let mut record = Record::blank(Side::Network);
        let (mut first, mut last, mut count) = (Timestamp::MAX, Timestamp::MIN, 0_u64);
        let mut watch = self.watch();
        while rows.read(&mut record)? {
            count += 1;
            lookout.look(&record);
            if let Some(at) = record.at.or(record.booked_at) {
                (first, last) = (first.min(at), last.max(at));
            }
            let bytes = Some((record.position.byte, file.spool.bytes()));
            if count.is_multiple_of(LOOK_EVERY)
                && let Go::Stop(why) = watch.go(Progress { source: asked.key, rows_done: count, pass: 1, bytes })
            {
                return Err(Stopped::CutShort { why, resume: format!("line {}", record.position.line) });
            }
        }
        let (from, to) = (asked.from.unwrap_or(first), asked.to.unwrap_or(last));
        if from > to {
            return Err(Stopped::Broken(format!("{}: none of its {count} records says when it happened", asked.key)));
        }
        // Whether something was charged must not hang on which of two clocks was ahead when the file was cut.
        let margin = self.startup.config.policy.clock_margin();
        let complete_until = asked.to.unwrap_or_else(|| last.checked_sub(margin).unwrap_or(last));
        let books = Window { from, to: to.checked_add(margin).unwrap_or(to) };
        // A file begins with what the one before was too late for: most bookings of those minutes were settled with that one.
        let after_earlier =
            |until: Timestamp| until.checked_add(SignedDuration::from_nanos(1)).unwrap_or(until).max(from);
        let judged_from = open.judged_before(run).filter(|_| asked.from.is_none()).map_or(from, after_earlier);
        let judged = Window { from: judged_from, to: books.to };
        let at_network = lookout.seen();
        Ok(Span { window: Window { from, to }, books, judged, complete_until, rows: count, carried, at_network })
    }

    fn run_engine(
        &self,
        asked: &Asked<'_>,
        file: &Downloaded,
        policy: &Policy,
        books: &[&Spool],
        marks: &[Attempt],
    ) -> Result<Settlement, Stopped> {
        let mut run = Reconciliation::new(policy.clone())
            .limits(sources::limits())
            .network(asked.format.source(asked.key, &file.spool))
            .attempts(marks.iter().cloned());
        for (books, name) in books.iter().zip(["ledger", "ledger, other days"]) {
            run = run.ledger(sources::ledger(name, books));
        }
        let mut watch = self.watch();
        match run.run(&mut |progress| watch.go(progress))? {
            Report::Complete(settlement) => Ok(settlement),
            Report::Unknown { why, resume } => {
                let resume = format!("row {} of {}", resume.position.line, resume.source);
                Err(Stopped::CutShort { why, resume })
            }
        }
    }

    /// The bookings of a stretch of time. Where earlier files have had all of it, there is nothing to ask for.
    pub(crate) async fn export_bookings(&self, window: Window, to: &mut Spool) -> Result<(), Stopped> {
        if window.from > window.to {
            return writeln!(to, "{HEADER}").map_err(|error| Stopped::Hindered(error.to_string()));
        }
        self.export(Selection::Window(window), to).await
    }

    pub(crate) async fn export(&self, rows: Selection, to: &mut Spool) -> Result<(), Stopped> {
        let exported = self.ledger.export(Through::Writer, rows, self.export_max(), to).await;
        exported.map(drop).map_err(|error| Stopped::Hindered(error.to_string()))
    }

    /// Every mark of the window, an hour at a time; or why they could not be had, so that nothing rests on their absence.
    pub(crate) async fn marks(&self, window: &Window) -> Result<Vec<Attempt>, String> {
        let attempts = Attempts::new(&self.startup.sdk, &self.startup.config.topology);
        let hour = SignedDuration::from_mins(WINDOW_MINUTES_MAX - 10);
        let (mut marks, mut from) = (Vec::new(), window.from);
        while from <= window.to {
            let end = from.checked_add(hour).unwrap_or(window.to);
            let to = end.min(window.to);
            let read = attempts.in_window(&Window { from, to }).await;
            let without = |error: AttemptsError| format!("the attempts could not be laid beside: {error}");
            let read = read.map_err(without)?;
            marks.extend(read.into_iter().filter(|mark| mark.at >= from && mark.at <= to));
            if marks.len() > MARKS_MAX || self.time_left().is_zero() {
                return Err(format!("the attempts until {to:.0} are more than one run can lay beside"));
            }
            let Ok(next) = to.checked_add(SignedDuration::from_nanos(1)) else { break };
            from = next;
        }
        Ok(marks)
    }

    /// Copies a broken file aside, tells a person, and remembers its bytes.
    pub(crate) async fn put_aside(&self, key: &str, file: &Downloaded, problem: String) -> Result<Value, Failure> {
        tracing::warn!(key, "a file cannot be used: {problem}");
        if self.dry_run {
            return Ok(json!({"would": "put the file aside", "refused": problem}));
        }
        let quarantined_as = match self.quarantine(key, file).await {
            Ok(copy) => Some(copy),
            Err(why) => {
                tracing::error!(key, "the file could not be copied aside: {why}");
                None
            }
        };
        let refused = RefusedFile {
            object: self.address(key),
            digest: file.digest.clone(),
            problem: problem.clone(),
            quarantined_as,
            at: self.startup.now(),
        };
        let answer = json!({"done": "put aside", "refused": problem, "copy": refused.quarantined_as});
        self.publish(&Event::ClearingFileRefused { refused }).await?;
        self.remember(key, file, Some(problem)).await?;
        Ok(answer)
    }

    /// From here on a file with these bytes is not taken again.
    pub(crate) async fn remember(&self, key: &str, file: &Downloaded, refused: Option<String>) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        let (digest, object) = (file.digest.clone(), self.address(key));
        let record = FileRecord { version: 1, digest, object, refused, at: self.startup.now() };
        match self.startup.coordination().save_clearing_file(&record).await {
            // Another run has had the same bytes at once, and has come to the same.
            Ok(()) | Err(CoordinationError::Conflict { .. }) => Ok(()),
            Err(error) => Err(Failure::LookBeforeRetry(error.to_string())),
        }
    }
}

/// Keys that the ledger may have booked on other days, those that are carried among them, and how many records without a key it
/// may have too.
pub(crate) fn wanted(settlement: &Settlement, carried: &[OpenPayment]) -> (Vec<String>, usize) {
    let of_other_days = |what: &What| match what {
        What::NetworkOnly { .. }
        | What::LostInFailover { .. }
        | What::NeverCharged
        | What::DuplicateCharge { .. }
        | What::GroupSum { .. }
        | What::NotKnowableBefore { .. } => true,
        What::LedgerOnly { .. }
        | What::AmountMismatch { .. }
        | What::CurrencyMismatch { .. }
        | What::StatusMismatch { .. }
        | What::ReferenceMismatch { .. }
        | What::DuplicateBooking
        | What::RepeatedByNetwork => false,
    };
    let open = settlement.breaks.iter().filter(|found| of_other_days(&found.what));
    let carried = carried.iter().map(|payment| payment.key.as_str());
    let keys = open.map(|found| found.merchant_ref.as_str()).chain(carried);
    let keys: BTreeSet<&str> = keys.filter(|key| !key.is_empty()).collect();
    let nameless = |found: &&Break| matches!(found.what, What::NetworkOnly { .. }) && found.merchant_ref.is_empty();
    (keys.into_iter().map(str::to_owned).collect(), settlement.breaks.iter().filter(nameless).count())
}
