//! Reads of S3 by signed requests over the SDK's own HTTP client: a listing costs a tenth of the SDK's XML-to-struct path.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use holdfast_aws::clients::in_region;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::receipts::{Checksum, ChecksumKind, Head, Looked, ORIGIN, Replication, Side};
use holdfast_domain::topology::DataRegion;

use crate::gate::Gate;
use crate::page::Page;
use crate::signing::{Unsigned, signed};

/// A page of 1,000 versions has 300 kB, and S3 takes a tenth of a second to find them.
const ATTEMPT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(2);
/// Reads are safe to repeat; SlowDown is expected of a busy bucket.
const ATTEMPTS_MAX: u32 = 8;
/// Anything else than SlowDown is given up sooner: a dark Region must not hold a run for minutes.
const ATTEMPTS_ON_FAULT_MAX: u32 = 2;
/// S3 serves 5,500 reads a second and prefix.
const CALLS_MAX: u32 = 64;

/// A read did not succeed; nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WireError {
    /// S3 answered with an error.
    #[error("{operation} on {bucket} is refused with {code}")]
    Refused {
        /// Which call.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// S3's code, or the HTTP status where there is none.
        code: String,
    },
    /// S3 did not answer.
    #[error("{operation} on {bucket} is not answered: {why}")]
    Unanswered {
        /// Which call.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// What happened instead.
        why: String,
    },
    /// The client cannot be used.
    #[error("requests for {bucket} cannot be made: {why}; check credentials and endpoint")]
    Unusable {
        /// The bucket.
        bucket: String,
        /// Why.
        why: String,
    },
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// After this key.
    pub key_marker: Option<String>,
    /// After this version of it.
    pub version_marker: Option<String>,
    /// Only keys that begin so.
    pub prefix: Option<String>,
    /// Keys are rolled up to this.
    pub delimiter: Option<&'static str>,
    /// At most so many.
    pub keys_max: Option<u32>,
}

/// What `HeadObject` answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadAnswer {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: BTreeMap<String, String>,
}

/// One of the two buckets.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Which.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// Its Region.
    pub region: Region,
    base: String,
    sdk: SdkConfig,
    list: Operation<HttpRequest, Answer, Infallible>,
    head: Operation<HttpRequest, Answer, Infallible>,
    pub(crate) gate: Arc<Gate>,
    /// Listings have a gate of their own: looks that nobody polls while a page is waited for must not hold its place.
    lists: Arc<Gate>,
}

#[derive(Debug)]
enum Answer {
    Listed(Result<Page, String>),
    Head(HeadAnswer),
    Error { status: u16, code: String },
}

impl Bucket {
    /// A bucket of the topology.
    pub fn new(sdk: &SdkConfig, side: Side, data: &DataRegion, path_style: bool) -> Result<Self, WireError> {
        let (name, region) = (data.receipts_bucket.clone(), data.region.clone());
        let unusable = |why: &str| WireError::Unusable { bucket: name.clone(), why: why.to_owned() };
        let http = sdk.http_client().ok_or_else(|| unusable("there is no HTTP client"))?;
        let sleep = sdk.sleep_impl().ok_or_else(|| unusable("there is no timer"))?;
        let time = sdk.time_source().ok_or_else(|| unusable("there is no clock"))?;
        let own_endpoint = endpoint(sdk, "S3");
        let base = match (&own_endpoint, path_style) {
            (None, true) => format!("https://s3.{region}.amazonaws.com/{name}"),
            (None, false) => format!("https://{name}.s3.{region}.amazonaws.com"),
            (Some(url), true) => format!("{}/{name}", url.trim_end_matches('/')),
            (Some(url), false) => match url.trim_end_matches('/').split_once("://") {
                Some((scheme, host)) => format!("{scheme}://{name}.{host}"),
                None => return Err(unusable("the endpoint is not a URL")),
            },
        };
        let origin_end = base.find("://").map_or(0, |at| at + 3);
        let origin = base.get(origin_end..).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let origin = format!("{}{origin}", base.get(..origin_end).unwrap_or_default());
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ATTEMPT).operation_timeout(ATTEMPT).build();
        let operation = |name: &'static str, read: fn(&HttpResponse) -> Answer| {
            Operation::builder()
                .service_name("s3")
                .operation_name(name)
                .http_client(http.clone())
                .endpoint_url(&origin)
                .no_auth()
                .no_retry()
                .timeout_config(timeouts.clone())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .sleep_impl(sleep.clone())
                .time_source(time.clone())
                .serializer(|request: HttpRequest| Ok(request))
                .deserializer(move |response: &HttpResponse| Ok(read(response)))
                .build()
        };
        let list = operation("ListObjectVersions", listed);
        let head = operation("HeadObject", head_answer);
        let (gate, lists) = (Arc::new(Gate::new(CALLS_MAX)), Arc::new(Gate::new(CALLS_MAX)));
        Ok(Self { side, name, region, base, sdk: sdk.clone(), list, head, gate, lists })
    }

    /// The SDK's configuration for this bucket's Region.
    pub(crate) fn sdk(&self) -> SdkConfig {
        in_region(&self.sdk, &self.region)
    }

    /// One page of versions.
    pub async fn list(&self, listing: &Listing) -> Result<Page, WireError> {
        let mut query = String::from("encoding-type=url");
        let keys_max = listing.keys_max.map(|keys| keys.to_string());
        for (name, value) in [
            ("delimiter", listing.delimiter),
            ("key-marker", listing.key_marker.as_deref()),
            ("max-keys", keys_max.as_deref()),
            ("prefix", listing.prefix.as_deref()),
            ("version-id-marker", listing.version_marker.as_deref()),
        ] {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={}", encoded(value, false));
            }
        }
        let url = format!("{}/?versions&{query}", self.base);
        match self.send("ListObjectVersions", &self.list, "GET", &url, &[]).await? {
            Answer::Listed(Ok(page)) => Ok(page),
            Answer::Listed(Err(why)) => Err(self.unanswered("ListObjectVersions", why)),
            Answer::Head(_) | Answer::Error { .. } => {
                Err(self.unanswered("ListObjectVersions", "it makes no sense".into()))
            }
        }
    }

    /// What S3 says of one version, or of what is current; an error status is an answer, too.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<HeadAnswer, WireError> {
        let version = version.map(|version| format!("?versionId={}", encoded(version, false))).unwrap_or_default();
        let url = format!("{}/{}{version}", self.base, encoded(key, true));
        match self.send("HeadObject", &self.head, "HEAD", &url, &[("x-amz-checksum-mode", "ENABLED")]).await? {
            Answer::Head(answer) => Ok(answer),
            Answer::Listed(_) | Answer::Error { .. } => Err(self.unanswered("HeadObject", "it makes no sense".into())),
        }
    }

    /// Looks at a version for the decision.
    pub async fn look(&self, key: &str, version: &str) -> Result<Looked, WireError> {
        let answer = self.head(key, Some(version)).await?;
        Ok(match answer.status {
            200 => Looked::Found(answer.facts()),
            403 => Looked::Refused("AccessDenied".into()),
            404 => Looked::Refused("NoSuchVersion".into()),
            status => Looked::Refused(format!("HTTP {status}")),
        })
    }

    fn unanswered(&self, operation: &'static str, why: String) -> WireError {
        WireError::Unanswered { operation, bucket: self.name.clone(), why }
    }

    async fn send(
        &self,
        name: &'static str,
        operation: &Operation<HttpRequest, Answer, Infallible>,
        method: &'static str,
        url: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Answer, WireError> {
        let gate = if method == "GET" { &self.lists } else { &self.gate };
        let _pass = gate.enter().await;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = self.signed(method, url, headers).await?;
            let problem = match operation.invoke(request).await {
                // A HEAD has no body and so no code: S3 answers 503 for SlowDown and 500 for its own faults.
                Ok(Answer::Head(HeadAnswer { status: status @ (429 | 500 | 502 | 503 | 504), .. })) => {
                    Problem::Answered { slow: status == 503 || status == 429, code: format!("HTTP {status}") }
                }
                Ok(Answer::Error { status, code }) => {
                    let slow = status == 429 || code == "SlowDown" || (status == 503 && code.starts_with("HTTP"));
                    if status < 500 && !slow {
                        return Err(WireError::Refused { operation: name, bucket: self.name.clone(), code });
                    }
                    Problem::Answered { slow, code }
                }
                Ok(answer) => {
                    gate.went_well();
                    return Ok(answer);
                }
                Err(error) => Problem::Lost(unanswered_because(&error)),
            };
            let is_slow = matches!(problem, Problem::Answered { slow: true, .. });
            if attempt >= if is_slow { ATTEMPTS_MAX } else { ATTEMPTS_ON_FAULT_MAX } {
                return Err(match problem {
                    Problem::Answered { code, .. } => {
                        WireError::Refused { operation: name, bucket: self.name.clone(), code }
                    }
                    Problem::Lost(why) => self.unanswered(name, why),
                });
            }
            let wait = if is_slow { gate.slow_down(attempt) } else { Duration::from_millis(100) };
            tokio::time::sleep(wait).await;
        }
    }

    async fn signed(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<HttpRequest, WireError> {
        let unusable = |why: String| WireError::Unusable { bucket: self.name.clone(), why };
        let unsigned = Unsigned { method, url, headers, body: &[] };
        signed(&self.sdk, &self.region, &unsigned).await.map_err(unusable)
    }
}

enum Problem {
    Answered { slow: bool, code: String },
    Lost(String),
}

fn unanswered_because(error: &SdkError<Infallible, HttpResponse>) -> String {
    causes(error)
}

/// `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, as the SDK's own S3 client finds them.
pub(crate) fn endpoint(sdk: &SdkConfig, service: &'static str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
    let for_s3 = key.and_then(|key| sdk.service_config().and_then(|config| config.load_config(key)));
    for_s3.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

fn listed(response: &HttpResponse) -> Answer {
    let body = response.body().bytes().unwrap_or_default();
    match response.status().as_u16() {
        200 => Answer::Listed(Page::parse(body).map_err(|error| error.to_string())),
        status => {
            let text = String::from_utf8_lossy(body);
            let code = text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next());
            Answer::Error { status, code: code.map_or_else(|| format!("HTTP {status}"), str::to_owned) }
        }
    }
}

fn head_answer(response: &HttpResponse) -> Answer {
    let headers = response.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Answer::Head(HeadAnswer { status: response.status().as_u16(), headers })
}

impl HeadAnswer {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// What the decision needs.
    pub fn facts(&self) -> Head {
        Head {
            replication: self.header("x-amz-replication-status").and_then(Replication::named),
            origin: self.origin().and_then(|origin| origin.rsplit('/').next()).map(str::to_owned),
            checksum: self.checksum(),
            kms: self.header("x-amz-server-side-encryption").is_some_and(|it| it.starts_with("aws:kms")),
        }
    }

    /// The bucket and version that it is a copy of, when Holdfast made it.
    pub fn origin(&self) -> Option<&str> {
        self.header(&format!("x-amz-meta-{ORIGIN}"))
    }

    fn checksum(&self) -> Option<Checksum> {
        let (name, value) = self.headers.iter().find(|(name, _)| {
            let algorithm = name.strip_prefix("x-amz-checksum-");
            algorithm.is_some_and(|it| !matches!(it, "type" | "mode" | "algorithm"))
        })?;
        let kind = match self.header("x-amz-checksum-type") {
            Some("COMPOSITE") => ChecksumKind::Composite,
            // Older answers have no type; a composite value ends in the number of its parts.
            None if value.contains('-') => ChecksumKind::Composite,
            Some(_) | None => ChecksumKind::FullObject,
        };
        let algorithm = name.strip_prefix("x-amz-checksum-").unwrap_or_default().to_owned();
        Some(Checksum { algorithm, kind, value: value.clone() })
    }
}

/// Percent-encoded as SigV4 wants it; slashes of a path stay.
pub(crate) fn encoded(text: &str, is_path: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if is_path => encoded.push('/'),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&str, &str)]) -> HeadAnswer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HeadAnswer { status: 200, headers }
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Head) {
        assert_eq!(answer(headers).facts(), expected);
    }

    #[test]
    fn what_the_decision_needs_is_read_from_headers() {
        check(&[], Head::default());
        check(
            &[
                ("x-amz-replication-status", "FAILED"),
                ("x-amz-meta-holdfast-origin", "bucket-a/v1"),
                ("x-amz-server-side-encryption", "aws:kms:dsse"),
            ],
            Head { replication: Some(Replication::Failed), origin: Some("v1".into()), kms: true, checksum: None },
        );
    }
    #[test]
    fn a_checksum_has_its_algorithm_and_its_kind() {
        for (value, kind, expected) in [
            ("x==", Some("FULL_OBJECT"), ChecksumKind::FullObject),
            ("x==", None, ChecksumKind::FullObject),
            ("x==-3", None, ChecksumKind::Composite),
            ("x==-3", Some("COMPOSITE"), ChecksumKind::Composite),
        ] {
            let mut headers = vec![("x-amz-checksum-sha256", value)];
            headers.extend(kind.map(|kind| ("x-amz-checksum-type", kind)));
            let checksum = Checksum { algorithm: "sha256".into(), kind: expected, value: value.into() };
            check(&headers, Head { checksum: Some(checksum), ..Head::default() });
        }
        check(&[("x-amz-checksum-type", "FULL_OBJECT")], Head::default());
    }
    #[test]
    fn keys_are_encoded_as_signatures_want_them() {
        assert_eq!(encoded("a b/é+~", true), "a%20b/%C3%A9%2B~");
        assert_eq!(encoded("a/b", false), "a%2Fb");
    }
}
