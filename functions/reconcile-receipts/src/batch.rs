//! Hands copies over to S3 Batch Replication, watches the jobs across invocations, and folds their completion reports in.
//!
//! Each job is written down before it is made: manifest first, then its intent with the token, then `CreateJob`. A run that
//! dies in between makes the same job again with the same token, which S3 knows.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use futures_util::stream::{StreamExt as _, iter};
use holdfast_aws::failure::causes;
use holdfast_domain::receipts::{Job, JobState, PlanLine, Side, Ways, replicated_from};
use holdfast_domain::{Timestamp, age};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::apply::{Hands, Outcome, once};
use crate::control::{Control, ControlError, NewJob};
use crate::run::{Run, RunError};
use crate::store::{RunRecord, ShardRecord};
use crate::wire::encoded;

/// A manifest is kept in memory until it is written.
const MANIFEST_BYTES: usize = 16 << 20;
/// Lines that are looked at once before they are handed over.
const LOOKS_AT_ONCE: usize = 64;
/// Between two looks at the jobs: they take minutes at least.
const POLL: Duration = Duration::from_secs(30);
/// S3 writes the completion report about when a job ends; after this long there will be none.
const REPORT_WAIT: Duration = Duration::from_secs(600);

/// The jobs of a run, and how much of its plan is in them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct JobsRecord {
    /// Objects of each range's plan that are handed over.
    pub(crate) handed: Vec<u32>,
    pub(crate) jobs: Vec<JobRecord>,
    /// Keys that were there already.
    pub(crate) done: u64,
    pub(crate) moved_on: u64,
    pub(crate) refused: BTreeMap<String, u64>,
}

/// One job, from its intent on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    pub(crate) job: Job,
    token: String,
    manifest: String,
    etag: String,
    /// When it was first seen to have ended.
    ended: Option<Timestamp>,
    /// Its completion report is in `job`.
    folded: bool,
}

/// A manifest that is being filled.
#[derive(Default)]
struct Manifest {
    text: String,
    keys: u64,
}

impl Run<'_> {
    /// Which ways Batch Replication may be given: those with a rule that selects everything.
    pub(crate) async fn ways(&self) -> Result<Ways, RunError> {
        if self.policy().at_scale.as_ref().is_none_or(|at_scale| at_scale.batch_role_arn.is_none()) {
            return Ok(Ways::default());
        }
        let (dublin, london) =
            futures_util::future::join(self.replicates_from(Side::Dublin), self.replicates_from(Side::London)).await;
        Ok(Ways { from_dublin: dublin?, from_london: london? })
    }

    async fn replicates_from(&self, side: Side) -> Result<bool, RunError> {
        let (source, destination) = (self.pair.on(side), self.pair.on(side.other()));
        let answer = self.client(side).get_bucket_replication().bucket(&source.name).send().await;
        let configuration = match &answer {
            Ok(answer) => answer.replication_configuration(),
            Err(error) if error.code() == Some("ReplicationConfigurationNotFoundError") => None,
            // A rule that cannot be read is not an absent one: copies by the million would follow from it.
            Err(error) => return Err(RunError::Rules { bucket: source.name.clone(), why: causes(error) }),
        };
        Ok(configuration.map(|it| it.rules()).unwrap_or_default().iter().any(|rule| {
            let goes_there = rule.destination().and_then(|it| it.bucket().rsplit(':').next());
            let selects_all = rule.filter().is_none_or(|filter| {
                filter.prefix().is_none_or(str::is_empty) && filter.tag().is_none() && filter.and().is_none()
            });
            rule.status().as_str() == "Enabled" && goes_there == Some(destination.name.as_str()) && selects_all
        }))
    }

    /// Hands over what may be, and makes the jobs.
    pub(crate) async fn hand_over(
        &self,
        run: &RunRecord,
        shards: &[ShardRecord],
        jobs: &mut JobsRecord,
    ) -> Result<(), RunError> {
        jobs.handed.resize(shards.len(), 0);
        self.create_what_is_intended(run, jobs).await?;
        let mut filling: BTreeMap<Side, Manifest> = BTreeMap::new();
        let mut filled = jobs.clone();
        for (number, shard) in shards.iter().enumerate() {
            for chunk in jobs.handed.get(number).copied().unwrap_or(0)..shard.chunks {
                if self.time_is_up() {
                    break;
                }
                let lines = self.store().lines(&run.run, number, chunk).await?;
                self.fill(run.ways, lines, &mut filling, &mut filled).await;
                if let Some(handed) = filled.handed.get_mut(number) {
                    *handed = chunk + 1;
                }
                if filling.values().any(|manifest| manifest.text.len() >= MANIFEST_BYTES) {
                    self.intend(run, &mut filling, &mut filled).await?;
                    self.create_what_is_intended(run, &mut filled).await?;
                    jobs.clone_from(&filled);
                }
            }
        }
        self.intend(run, &mut filling, &mut filled).await?;
        self.create_what_is_intended(run, &mut filled).await?;
        *jobs = filled;
        Ok(())
    }

    /// Everything that can be is handed over.
    pub(crate) fn is_handed_over(run: &RunRecord, shards: &[ShardRecord], jobs: &JobsRecord) -> bool {
        let handed = shards
            .iter()
            .enumerate()
            .all(|(number, shard)| jobs.handed.get(number).copied().unwrap_or(0) >= shard.chunks);
        run.ways == Ways::default() || handed
    }

    async fn fill(
        &self,
        ways: Ways,
        lines: Vec<PlanLine>,
        filling: &mut BTreeMap<Side, Manifest>,
        jobs: &mut JobsRecord,
    ) {
        let hands = self.hands();
        let hands = &hands;
        let looks = lines.into_iter().filter_map(|line| Some((replicated_from(&line.verdict, ways)?, line)));
        // Lists are eventually consistent: whether a line still stands is looked at before S3 is given it.
        let looks = looks.map(|(from, line)| async move { (from, stands(hands, &line, from).await, line) });
        let looks: Vec<_> = looks.collect();
        let mut looked = iter(looks).buffered(LOOKS_AT_ONCE);
        while let Some((from, stands, line)) = looked.next().await {
            match stands {
                Ok(version) => {
                    let manifest = filling.entry(from).or_default();
                    let bucket = &self.pair.on(from).name;
                    manifest.text.push_str(&format!("{bucket},{},{version}\n", encoded(&line.key, false)));
                    manifest.keys += 1;
                }
                Err(Outcome::Done) => jobs.done += 1,
                Err(Outcome::MovedOn) => jobs.moved_on += 1,
                Err(Outcome::Refused(code)) => *jobs.refused.entry(code).or_default() += 1,
            }
        }
    }

    /// Writes manifests and intents down. From now on the jobs will be made, whoever dies.
    async fn intend(
        &self,
        run: &RunRecord,
        filling: &mut BTreeMap<Side, Manifest>,
        jobs: &mut JobsRecord,
    ) -> Result<(), RunError> {
        for (from, Manifest { text, keys }) in std::mem::take(filling) {
            let key = format!("{}/manifest-{:03}.csv", self.store().folder_of(&run.run), jobs.jobs.len());
            let token = format!("{:032x}", xxh3_128(format!("{}\n{key}\n{text}", run.run).as_bytes()));
            let etag = self.put_manifest(from, &key, text).await?;
            let state = JobState::Working;
            let job = Job { id: None, from, state, keys, done: 0, refused: BTreeMap::new(), why: None };
            jobs.jobs.push(JobRecord { job, token, manifest: key, etag, ended: None, folded: false });
        }
        self.store().save_jobs(&run.run, jobs).await?;
        Ok(())
    }

    /// In the bucket that replicates: a job, its manifest and its report are in one Region.
    async fn put_manifest(&self, from: Side, key: &str, text: String) -> Result<String, RunError> {
        let bucket = &self.pair.on(from).name;
        let put = self.client(from).put_object().bucket(bucket).key(key).body(ByteStream::from(text.into_bytes()));
        let put = put.customize().config_override(once()).send().await;
        let etag = put.map_err(|error| causes(&error)).and_then(|it| it.e_tag.ok_or_else(|| "it has no ETag".into()));
        etag.map_err(|why| RunError::Manifest { bucket: bucket.clone(), key: key.to_owned(), why })
    }

    async fn create_what_is_intended(&self, run: &RunRecord, jobs: &mut JobsRecord) -> Result<(), RunError> {
        let Some(role_arn) = self.role() else { return Ok(()) };
        for number in 0..jobs.jobs.len() {
            let Some(record) = jobs.jobs.get_mut(number).filter(|it| it.job.id.is_none() && !it.folded) else {
                continue;
            };
            let from = record.job.from;
            let bucket = self.pair.on(from).name.clone();
            let report = format!("{}/reports", self.store().folder_of(&run.run));
            let new = NewJob {
                token: &record.token,
                role_arn,
                manifest: (&bucket, &record.manifest, &record.etag),
                report: (&bucket, &report),
                description: &format!("Holdfast receipts {}, {}", run.run, record.manifest),
            };
            match self.control(from)?.create(&new).await {
                Ok(id) => record.job.id = Some(id),
                // Nothing of it will be done: the next run decides again.
                Err(ControlError::Refused { code, message, .. }) => {
                    record.job.state = JobState::Failed;
                    record.job.why = Some(message);
                    record.job.fold(0, BTreeMap::from([(code, record.job.keys)]));
                    record.folded = true;
                }
                Err(error @ ControlError::Unanswered { .. }) => return Err(RunError::Control(error)),
            }
            self.store().save_jobs(&run.run, jobs).await?;
        }
        Ok(())
    }

    /// Looks at the jobs until all have ended or the time is up. Whether all have.
    pub(crate) async fn watch(&self, run: &RunRecord, jobs: &mut JobsRecord) -> Result<bool, RunError> {
        loop {
            for number in 0..jobs.jobs.len() {
                let Some(record) = jobs.jobs.get_mut(number).filter(|it| !it.folded) else { continue };
                let Some(id) = record.job.id.clone() else { continue };
                let described = self.control(record.job.from)?.describe(&id).await;
                let described = match described {
                    Ok(described) => described,
                    // It is asked again.
                    Err(ControlError::Unanswered { why, .. }) => {
                        tracing::warn!(job = id, why, "a job was not described");
                        continue;
                    }
                    Err(error @ ControlError::Refused { .. }) => return Err(RunError::Control(error)),
                };
                record.job.state = described.state;
                record.job.why = described.why;
                if described.state.has_ended() {
                    let now = self.now();
                    let waited = age(*record.ended.get_or_insert(now), now);
                    let report = self.report_of(run, record.job.from, &id).await?;
                    if let Some((done, refused)) = report.or_else(|| (waited > REPORT_WAIT).then(Default::default)) {
                        record.job.fold(done, refused);
                        record.folded = true;
                        tracing::info!(run = run.run, "{}", record.job);
                    }
                }
                self.store().save_jobs(&run.run, jobs).await?;
            }
            if jobs.jobs.iter().all(|it| it.folded) {
                return Ok(true);
            }
            if self.time_left() < POLL {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A job's completion report: how many succeeded, and the others by code. `None` while there is none.
    async fn report_of(
        &self,
        run: &RunRecord,
        from: Side,
        id: &str,
    ) -> Result<Option<(u64, BTreeMap<String, u64>)>, RunError> {
        let folder = format!("{}/reports/job-{id}", self.store().folder_of(&run.run));
        let (client, bucket) = (self.client(from), &self.pair.on(from).name);
        let Some(json) = get(client, bucket, &format!("{folder}/manifest.json")).await? else { return Ok(None) };
        let unread = |key: &str, why: String| RunError::Manifest { bucket: bucket.clone(), key: key.to_owned(), why };
        let report: Report = serde_json::from_slice(&json).map_err(|error| unread(&folder, error.to_string()))?;
        let columns: Vec<&str> = report.schema.split(',').map(str::trim).collect();
        let place = |name: &str| {
            let found = columns.iter().position(|column| *column == name);
            found.ok_or_else(|| unread(&folder, format!("its schema has no column {name}")))
        };
        let (status, code) = (place("TaskStatus")?, place("ErrorCode")?);
        let (mut done, mut refused) = (0_u64, BTreeMap::<String, u64>::new());
        for part in &report.results {
            let text = get(client, &part.bucket, &part.key).await?;
            let text = text.ok_or_else(|| unread(&part.key, "it is gone".into()))?;
            let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_slice());
            let mut row = csv::StringRecord::new();
            while rows.read_record(&mut row).map_err(|error| unread(&part.key, error.to_string()))? {
                match row.get(status) {
                    Some("succeeded") => done += 1,
                    _ => *refused.entry(row.get(code).unwrap_or("Unknown").to_owned()).or_default() += 1,
                }
            }
        }
        Ok(Some((done, refused)))
    }

    fn role(&self) -> Option<&str> {
        self.policy().at_scale.as_ref()?.batch_role_arn.as_deref()
    }

    fn control(&self, side: Side) -> Result<Control, RunError> {
        let account = self.policy().at_scale.as_ref().and_then(|at_scale| at_scale.account()).unwrap_or_default();
        Control::new(&self.pair.on(side).sdk(), &self.pair.on(side).region, account).map_err(RunError::Control)
    }
}

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "ReportSchema")]
    schema: String,
    #[serde(rename = "Results", default)]
    results: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    bucket: String,
    key: String,
}

/// Whether a line may still be handed over, and the version that is.
async fn stands(hands: &Hands<'_>, line: &PlanLine, from: Side) -> Result<String, Outcome> {
    let Some(copy) = line.verdict.copy() else { return Err(Outcome::MovedOn) };
    hands.stands(from.other(), &line.key, copy).await.map(|_| copy.version.clone())
}

async fn get(client: &Client, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, RunError> {
    let unread = |why: String| RunError::Manifest { bucket: bucket.to_owned(), key: key.to_owned(), why };
    match client.get_object().bucket(bucket).key(key).send().await {
        Ok(answer) => {
            let body = answer.body.collect().await.map_err(|error| unread(error.to_string()))?;
            Ok(Some(body.into_bytes().to_vec()))
        }
        Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
        Err(error) => Err(unread(causes(&error))),
    }
}
