//! S3 Batch Operations: `CreateJob` and `DescribeJob` of the S3 Control API, which has an SDK crate of its own that would add
//! megabytes for two calls.

use std::convert::Infallible;
use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::receipts::JobState;
use quick_xml::escape::escape;
use serde::Deserialize;

use crate::signing::{Unsigned, signed};
use crate::wire::endpoint;

/// A control plane takes its time.
const ATTEMPT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(2);
/// S3 carries jobs of a higher number out first; receipts are nobody's bulk load.
const PRIORITY: u32 = 10;

/// Why there is no answer that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// S3 says no; asked again it says the same.
    #[error("{operation} in {region} is refused with {code}: {message}")]
    Refused { operation: &'static str, region: Region, code: String, message: String },
    /// No answer, or a passing error: it may have taken effect, and is safe to repeat.
    #[error("{operation} in {region} is not answered: {why}")]
    Unanswered { operation: &'static str, region: Region, why: String },
}

/// The S3 Control API of one Region, for one account.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    sdk: SdkConfig,
    region: Region,
    account: String,
    base: String,
    send: Operation<HttpRequest, (u16, String), Infallible>,
}

/// What a job is made of. The same token makes the same job.
#[derive(Clone, Debug)]
pub(crate) struct NewJob<'a> {
    pub(crate) token: &'a str,
    pub(crate) role_arn: &'a str,
    /// The manifest's place, and its ETag.
    pub(crate) manifest: (&'a str, &'a str, &'a str),
    /// Where the completion report goes: bucket and prefix.
    pub(crate) report: (&'a str, &'a str),
    pub(crate) description: &'a str,
}

/// What `DescribeJob` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) state: JobState,
    pub(crate) why: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    job_id: String,
}

#[derive(Deserialize)]
struct Shown {
    #[serde(rename = "Job")]
    job: ShownJob,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShownJob {
    status: String,
    #[serde(default)]
    failure_reasons: Reasons,
}

#[derive(Default, Deserialize)]
struct Reasons {
    #[serde(default)]
    member: Vec<Reason>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    #[serde(default)]
    failure_code: String,
    #[serde(default)]
    failure_reason: String,
}

impl Control {
    pub(crate) fn new(sdk: &SdkConfig, region: &Region, account: &str) -> Result<Self, ControlError> {
        let unusable = |why: &str| ControlError::Refused {
            operation: "the S3 Control API",
            region: region.clone(),
            code: "Unusable".into(),
            message: why.to_owned(),
        };
        let http = sdk.http_client().ok_or_else(|| unusable("there is no HTTP client"))?;
        let sleep = sdk.sleep_impl().ok_or_else(|| unusable("there is no timer"))?;
        let time = sdk.time_source().ok_or_else(|| unusable("there is no clock"))?;
        let base = match endpoint(sdk, "S3 Control") {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://{account}.s3-control.{region}.amazonaws.com"),
        };
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ATTEMPT).operation_timeout(ATTEMPT).build();
        let send = Operation::builder()
            .service_name("s3")
            .operation_name("S3Control")
            .http_client(http)
            .endpoint_url(&base)
            .no_auth()
            .no_retry()
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .sleep_impl(sleep)
            .time_source(time)
            .serializer(|request: HttpRequest| Ok(request))
            .deserializer(|response: &HttpResponse| Ok(answer(response)))
            .build();
        Ok(Self { sdk: sdk.clone(), region: region.clone(), account: account.to_owned(), base, send })
    }

    /// Makes a job that replicates what its manifest names, or finds the one that was made with the same token. Sent once.
    pub(crate) async fn create(&self, job: &NewJob<'_>) -> Result<String, ControlError> {
        let (bucket, key, etag) = job.manifest;
        let (report_bucket, report_prefix) = job.report;
        let body = format!(
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?><CreateJobRequest xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">"#,
                "<ConfirmationRequired>false</ConfirmationRequired><Operation><S3ReplicateObject/></Operation>",
                "<Report><Bucket>arn:aws:s3:::{}</Bucket><Format>Report_CSV_20180820</Format><Enabled>true</Enabled>",
                "<Prefix>{}</Prefix><ReportScope>AllTasks</ReportScope></Report>",
                "<ClientRequestToken>{}</ClientRequestToken>",
                "<Manifest><Spec><Format>S3BatchOperations_CSV_20180820</Format><Fields><member>Bucket</member>",
                "<member>Key</member><member>VersionId</member></Fields></Spec>",
                "<Location><ObjectArn>arn:aws:s3:::{}/{}</ObjectArn><ETag>{}</ETag></Location></Manifest>",
                "<Description>{}</Description><Priority>{}</Priority><RoleArn>{}</RoleArn></CreateJobRequest>",
            ),
            escape(report_bucket),
            escape(report_prefix),
            escape(job.token),
            escape(bucket),
            escape(key),
            escape(etag),
            escape(job.description),
            PRIORITY,
            escape(job.role_arn),
        );
        let text = self.call("CreateJob", "POST", "/v20180820/jobs", body.as_bytes()).await?;
        let created: Created = quick_xml::de::from_str(&text).map_err(|error| self.odd("CreateJob", &error))?;
        Ok(created.job_id)
    }

    /// How far a job is.
    pub(crate) async fn describe(&self, id: &str) -> Result<Described, ControlError> {
        let text = self.call("DescribeJob", "GET", &format!("/v20180820/jobs/{id}"), &[]).await?;
        let shown: Shown = quick_xml::de::from_str(&text).map_err(|error| self.odd("DescribeJob", &error))?;
        let why: Vec<String> = shown
            .job
            .failure_reasons
            .member
            .into_iter()
            .map(|reason| format!("{} {}", reason.failure_code, reason.failure_reason).trim().to_owned())
            .collect();
        Ok(Described { state: JobState::named(&shown.job.status), why: (!why.is_empty()).then(|| why.join("; ")) })
    }

    fn odd(&self, operation: &'static str, error: &dyn std::error::Error) -> ControlError {
        ControlError::Unanswered { operation, region: self.region.clone(), why: error.to_string() }
    }

    async fn call(
        &self,
        operation: &'static str,
        method: &'static str,
        path: &str,
        body: &[u8],
    ) -> Result<String, ControlError> {
        let region = self.region.clone();
        let url = format!("{}{path}", self.base);
        let headers = [("x-amz-account-id", self.account.as_str()), ("content-type", "application/xml")];
        let headers = if body.is_empty() { headers.get(..1).unwrap_or_default() } else { headers.as_slice() };
        let unsigned = Unsigned { method, url: &url, headers, body };
        let request = signed(&self.sdk, &self.region, &unsigned).await;
        let unanswered = |why: String| ControlError::Unanswered { operation, region: region.clone(), why };
        let request = request.map_err(&unanswered)?;
        match self.send.invoke(request).await {
            Ok((200, text)) => Ok(text),
            Ok((status, text)) if status >= 500 || status == 429 => Err(unanswered(format!("HTTP {status}: {text}"))),
            Ok((status, text)) => {
                let inside = |tag: &str| {
                    let rest = text.split(&format!("<{tag}>")).nth(1)?;
                    rest.split("</").next().map(str::to_owned)
                };
                let code = inside("Code").unwrap_or_else(|| format!("HTTP {status}"));
                Err(ControlError::Refused { operation, region, code, message: inside("Message").unwrap_or_default() })
            }
            Err(error) => Err(unanswered(causes(&error))),
        }
    }
}

fn answer(response: &HttpResponse) -> (u16, String) {
    let body = response.body().bytes().unwrap_or_default();
    (response.status().as_u16(), String::from_utf8_lossy(body).into_owned())
}
