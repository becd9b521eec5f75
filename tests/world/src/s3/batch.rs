//! S3 Batch Operations on the S3 Control API: `CreateJob` with Batch Replication, and `DescribeJob`. A job works on virtual
//! time, follows the source's rule as live replication does, and leaves a completion report.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::front::{Asked, decoded};
use super::{Fault, Version, fault, put_object};
use crate::region::Region;
use crate::service::respond;
use crate::world::World;

/// From its creation to its first task.
const PREPARES: Duration = Duration::from_secs(45);
/// From its first task to its report.
const WORKS: Duration = Duration::from_secs(120);

/// Every job, and what goes wrong with the next one.
#[derive(Default)]
pub(super) struct Jobs {
    jobs: BTreeMap<String, Job>,
    given_up_after: Option<usize>,
}

#[derive(Clone)]
struct Job {
    token: String,
    region: Region,
    request: Request,
    status: &'static str,
    succeeded: usize,
    failed: usize,
    why: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    client_request_token: String,
    operation: Operation,
    manifest: Manifest,
    report: Report,
}

#[derive(Clone, Deserialize)]
struct Operation {
    #[serde(rename = "S3ReplicateObject")]
    replicates: Option<Replicates>,
}

#[derive(Clone, Deserialize)]
struct Replicates {}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    location: Location,
}

#[derive(Clone, Deserialize)]
struct Location {
    #[serde(rename = "ObjectArn")]
    arn: String,
    #[serde(rename = "ETag")]
    etag: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    bucket: String,
    prefix: String,
}

/// S3 gives the next job up after so many tasks, as when more than half of them fail.
pub fn give_up_next_job(world: &World, after: usize) {
    world.state().s3.batch.given_up_after = Some(after);
}

/// How many jobs there have been.
#[must_use]
pub fn jobs(world: &World) -> usize {
    world.state().s3.batch.jobs.len()
}

/// Whether a request is for the S3 Control API.
pub(super) fn is_control(request: &http::Request<Bytes>) -> bool {
    request.uri().path().starts_with("/v20180820/jobs")
}

/// `CreateJob` or `DescribeJob`.
pub(super) fn operation(request: &http::Request<Bytes>) -> &'static str {
    if request.method() == http::Method::POST { "CreateJob" } else { "DescribeJob" }
}

pub(super) fn answer(
    world: &World,
    at: Region,
    request: &http::Request<Bytes>,
) -> Result<http::Response<Bytes>, Fault> {
    if request.headers().get("x-amz-account-id").is_none() {
        return Err(fault(400, "InvalidRequest", "x-amz-account-id is missing"));
    }
    if request.method() == http::Method::POST { create(world, at, request) } else { describe(world, at, request) }
}

fn create(world: &World, at: Region, request: &http::Request<Bytes>) -> Result<http::Response<Bytes>, Fault> {
    let text = String::from_utf8_lossy(request.body());
    let asked: Request =
        quick_xml::de::from_str(&text).map_err(|error| fault(400, "MalformedXML", error.to_string()))?;
    if asked.operation.replicates.is_none() {
        return Err(fault(501, "NotImplemented", "this world's Batch Operations replicate, and do nothing else"));
    }
    let (id, is_new) = {
        let batch = &mut world.state().s3.batch;
        let known = batch.jobs.iter().find(|(_, job)| job.token == asked.client_request_token && job.region == at);
        match known {
            Some((id, _)) => (id.clone(), false),
            None => {
                let id = format!("job-{:04}", batch.jobs.len() + 1);
                let token = asked.client_request_token.clone();
                let job = Job { token, region: at, request: asked, status: "New", succeeded: 0, failed: 0, why: None };
                batch.jobs.insert(id.clone(), job);
                (id, true)
            }
        }
    };
    if is_new {
        let job = id.clone();
        world.after(PREPARES, move |world| begin(world, job));
    }
    let body = format!(
        r#"<CreateJobResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><JobId>{id}</JobId></CreateJobResult>"#
    );
    Ok(respond(200, "application/xml", body))
}

fn describe(world: &World, at: Region, request: &http::Request<Bytes>) -> Result<http::Response<Bytes>, Fault> {
    let id = request.uri().path().rsplit('/').next().unwrap_or_default();
    let state = world.state();
    let job = state.s3.batch.jobs.get(id).filter(|job| job.region == at);
    let job = job.ok_or_else(|| fault(404, "NoSuchJob", format!("The specified job does not exist: {id}")))?;
    let why = job.why.as_ref().map(|why| {
        let why = quick_xml::escape::escape(why.as_str());
        format!("<FailureReasons><member><FailureCode>Failed</FailureCode><FailureReason>{why}</FailureReason></member></FailureReasons>")
    });
    let total = job.succeeded + job.failed;
    let body = format!(
        r#"<DescribeJobResult xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Job><JobId>{id}</JobId><Status>{}</Status>{}<ProgressSummary><TotalNumberOfTasks>{total}</TotalNumberOfTasks><NumberOfTasksSucceeded>{}</NumberOfTasksSucceeded><NumberOfTasksFailed>{}</NumberOfTasksFailed></ProgressSummary></Job></DescribeJobResult>"#,
        job.status,
        why.unwrap_or_default(),
        job.succeeded,
        job.failed,
    );
    Ok(respond(200, "application/xml", body))
}

fn set(world: &World, id: &str, change: impl FnOnce(&mut Job)) {
    if let Some(job) = world.state().s3.batch.jobs.get_mut(id) {
        change(job);
    }
}

fn begin(world: &World, id: String) {
    set(world, &id, |job| job.status = "Active");
    world.after(WORKS, move |world| {
        let worked = work(world, &id);
        set(world, &id, |job| match worked {
            Ok((succeeded, failed, gave_up)) => {
                (job.succeeded, job.failed) = (succeeded, failed);
                job.status = if gave_up.is_some() { "Failed" } else { "Complete" };
                job.why = gave_up;
            }
            Err(why) => {
                job.status = "Failed";
                job.why = Some(why.message);
            }
        });
    });
}

/// Rows of a manifest: bucket, key, version.
fn manifest(world: &World, Location { arn, etag }: &Location) -> Result<Vec<(String, String, String)>, Fault> {
    let place = arn.rsplit(":::").next().unwrap_or_default();
    let (bucket, key) = place.split_once('/').unwrap_or_default();
    let mut state = world.state();
    let newest = state.s3.bucket(bucket)?.objects.get(key).and_then(|versions| versions.last());
    let newest = newest.ok_or_else(|| fault(404, "NoSuchKey", "there is no manifest"))?;
    if newest.etag().trim_matches('"') != etag.trim_matches('"') {
        return Err(fault(400, "InvalidManifest", "the manifest's ETag is another one"));
    }
    let text = String::from_utf8_lossy(newest.body.as_deref().unwrap_or_default()).into_owned();
    let row = |line: &str| {
        let mut fields = line.split(',').map(|field| field.trim_matches('"').to_owned());
        Some((fields.next()?, decoded(&fields.next()?), fields.next()?))
    };
    Ok(text.lines().filter_map(row).collect())
}

type Worked = (usize, usize, Option<String>);

fn work(world: &World, id: &str) -> Result<Worked, Fault> {
    let gives_up = world.state().s3.batch.given_up_after.take();
    let job = world.state().s3.batch.jobs.get(id).cloned();
    let job = job.ok_or_else(|| fault(404, "NoSuchJob", id))?;
    let rows = manifest(world, &job.request.manifest.location)?;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (bucket, key, version) in rows.iter().take(gives_up.unwrap_or(usize::MAX)) {
        let line = |status: &str, code: &str, http: u16| format!("{bucket},{key},{version},{status},{code},{http},\n");
        match replicate(world, bucket, key, version) {
            Ok(()) => good.push(line("succeeded", "", 200)),
            Err(code) => bad.push(line("failed", code, 400)),
        }
    }
    let bucket = job.request.report.bucket.rsplit(":::").next().unwrap_or_default().to_owned();
    let folder = format!("{}/job-{id}", job.request.report.prefix);
    let mut results = Vec::new();
    for (status, lines) in [("succeeded", &good), ("failed", &bad)] {
        if !lines.is_empty() {
            let key = format!("{folder}/results/{status}.csv");
            put_object(world, &bucket, &key, Bytes::from(lines.concat()))?;
            results.push(serde_json::json!({"TaskExecutionStatus": status, "Bucket": bucket, "Key": key}));
        }
    }
    let report = serde_json::json!({
        "Format": "Report_CSV_20180820",
        "ReportCreationDate": world.now().to_string(),
        "Results": results,
        "ReportSchema": "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage",
    });
    put_object(world, &bucket, &format!("{folder}/manifest.json"), Bytes::from(report.to_string()))?;
    let gave_up = gives_up.map(|_| "the job had too many failed tasks".to_owned());
    Ok((good.len(), bad.len(), gave_up))
}

/// One task, with the codes of replication-failure-reasons.
fn replicate(world: &World, bucket: &str, key: &str, version: &str) -> Result<(), &'static str> {
    let mut state = world.state();
    let source = state.s3.bucket(bucket).map_err(|_| "SrcBucketNotFound")?;
    let rule = source.rule.clone().ok_or("SrcBucketReplicationConfigMissing")?;
    let versions = source.objects.get_mut(key).ok_or("SrcObjectNotFound")?;
    let found = versions.iter_mut().find(|it| it.id == version).ok_or("SrcObjectNotFound")?;
    if found.about.kms.is_some() && !rule.kms_objects {
        return Err("SrcObjectNotEligible");
    }
    if rule.broken {
        found.status = Some("FAILED");
        return Err("DstPutObjectNotPermitted");
    }
    let replica = Version { status: found.body.as_ref().map(|_| "REPLICA"), ..found.clone() };
    let erased = (rule.destination.to_owned(), key.to_owned(), version.to_owned());
    if state.s3.erased.contains(&erased) {
        return Err("DstObjectHardDeleted");
    }
    state.s3.arrive(rule.destination, key, replica);
    let source = state.s3.bucket(bucket).map_err(|_| "SrcBucketNotFound")?;
    if let Some(found) = source.objects.get_mut(key).and_then(|it| it.iter_mut().find(|it| it.id == version)) {
        found.status = Some("COMPLETED");
    }
    Ok(())
}

/// The error of the S3 Control API.
pub(super) fn error(fault: &Fault) -> String {
    let message = quick_xml::escape::escape(fault.message.as_str());
    format!("<ErrorResponse><Error><Code>{}</Code><Message>{message}</Message></Error></ErrorResponse>", fault.code)
}

/// The bucket and key of a request say nothing here.
pub(super) fn handle(asked: &Asked<'_>, at: Region) -> http::Response<Bytes> {
    match answer(asked.world, at, asked.request) {
        Ok(response) => response,
        Err(fault) => respond(fault.status, "application/xml", error(&fault)),
    }
}
