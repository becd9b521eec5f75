//! S3: the card network's files come from there, and reports and copies of broken files go there.

use std::io::Write as _;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::timeout::TimeoutConfig;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::reconciliation::Summary;
use holdfast_settlement::Settlement;
use xxhash_rust::xxh3::Xxh3;

use crate::Run;
use crate::spool::Spool;

/// Where reports go.
pub(crate) const REPORTS: &str = "holdfast/reconcile-ledger";
/// Where copies of files go that cannot be used.
const QUARANTINE: &str = "holdfast/quarantine";
/// One upload, or the first byte of a download.
const CALL_MAX: Duration = Duration::from_secs(60);
/// The next piece of a download.
const PIECE_MAX: Duration = Duration::from_secs(20);
/// The largest file: one of this size fits into `/tmp` beside an export of the ledger.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// A file that was downloaded.
pub(crate) struct Downloaded {
    pub(crate) spool: Spool,
    /// Of its bytes, 32 hexadecimal digits.
    pub(crate) digest: String,
}

impl Downloaded {
    /// The run that settles it: the same for the same bytes.
    pub(crate) fn run(&self, kind: &str) -> String {
        format!("{kind}-{}", self.digest.get(..12).unwrap_or(&self.digest))
    }
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// It is not there.
    #[error("there is no object {0}; look at its key")]
    Missing(String),
    /// It cannot be handled here.
    #[error("{object} has {bytes} bytes, more than the {FILE_BYTES_MAX} that one run takes; split it by day")]
    TooLarge {
        /// Which.
        object: String,
        /// Its size.
        bytes: u64,
    },
    /// No answer, or an error of the service.
    #[error("GetObject of {object} failed: {why}")]
    Unavailable {
        /// Which.
        object: String,
        /// The SDK's words.
        why: String,
    },
}

impl Run<'_> {
    /// This Region's bucket.
    pub(crate) fn bucket(&self) -> &str {
        let here = self.startup.config.topology.data_region(&self.startup.region);
        here.map_or("", |data| data.receipts_bucket.as_str())
    }

    /// An object's address.
    pub(crate) fn address(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket())
    }

    /// Streams an object into a spool.
    pub(crate) async fn download(&self, key: &str) -> Result<Downloaded, DownloadError> {
        let object = self.address(key);
        let unavailable = |why: String| DownloadError::Unavailable { object: object.clone(), why };
        let config = Config::builder().timeout_config(patient());
        let sent =
            self.s3().get_object().bucket(self.bucket()).key(key).customize().config_override(config).send().await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Err(DownloadError::Missing(object)),
            Err(error) => return Err(unavailable(causes(&error))),
        };
        let bytes = answer.content_length().and_then(|length| u64::try_from(length).ok());
        if let Some(bytes) = bytes.filter(|bytes| *bytes > FILE_BYTES_MAX) {
            return Err(DownloadError::TooLarge { object, bytes });
        }
        let (mut body, mut spool, mut digest) = (answer.body, Spool::new(), Xxh3::new());
        loop {
            let piece = match tokio::time::timeout(PIECE_MAX, body.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(error))) => return Err(unavailable(causes(&error))),
                Err(_) => return Err(unavailable(format!("nothing came for {} s", PIECE_MAX.as_secs()))),
            };
            digest.update(&piece);
            spool.write_all(&piece).map_err(|error| unavailable(format!("it could not be kept: {error}")))?;
            if spool.bytes() > FILE_BYTES_MAX {
                return Err(DownloadError::TooLarge { object, bytes: spool.bytes() });
            }
        }
        // A download that ended early is not a short file.
        if bytes.is_some_and(|bytes| bytes != spool.bytes()) {
            return Err(unavailable(format!("it ended after {} bytes", spool.bytes())));
        }
        Ok(Downloaded { spool, digest: format!("{:032x}", digest.digest128()) })
    }

    /// Copies a file that cannot be used aside. The original stays.
    pub(crate) async fn quarantine(&self, key: &str, file: &Downloaded) -> Result<String, String> {
        let name = key.rsplit('/').next().unwrap_or(key);
        let aside = format!("{QUARANTINE}/{}/{name}", file.digest);
        let body = match file.spool.path() {
            Some(path) => ByteStream::from_path(path).await.map_err(|error| error.to_string())?,
            None => ByteStream::from(file.spool.memory().to_vec()),
        };
        self.put(&aside, body).await?;
        Ok(self.address(&aside))
    }

    /// Writes the report and returns its place. Written again it is the same.
    pub(crate) async fn write_report(&self, summary: &Summary, settlement: &Settlement) -> Result<String, String> {
        let folder = format!("{REPORTS}/{}/", summary.run);
        let (mut breaks, mut csv, mut proposals) = (Vec::new(), Vec::new(), Vec::new());
        let written = settlement
            .write_breaks_ndjson(&mut breaks)
            .and_then(|()| settlement.write_breaks_csv(&mut csv))
            .and_then(|()| settlement.write_proposals_ndjson(&mut proposals));
        written.map_err(|error| error.to_string())?;
        let summary = serde_json::to_vec_pretty(&serde_json::json!({
            "summary": summary, "sources": settlement.sources, "presence": settlement.presence,
            "conservation": settlement.conservation, "findings": settlement.findings,
        }));
        let summary = summary.map_err(|error| error.to_string())?;
        // The summary last: where it is, the others are.
        for (name, bytes) in
            [("breaks.ndjson", breaks), ("breaks.csv", csv), ("proposals.ndjson", proposals), ("summary.json", summary)]
        {
            self.put(&format!("{folder}{name}"), ByteStream::from(bytes)).await?;
        }
        Ok(self.address(&folder))
    }

    /// Writes lines as a report and returns its place.
    pub(crate) async fn write_lines(&self, summary: &Summary, lines: &str) -> Result<String, String> {
        let folder = format!("{REPORTS}/{}/", summary.run);
        self.put(&format!("{folder}payouts.ndjson"), ByteStream::from(lines.as_bytes().to_vec())).await?;
        let json = serde_json::to_vec_pretty(summary).map_err(|error| error.to_string())?;
        self.put(&format!("{folder}summary.json"), ByteStream::from(json)).await?;
        Ok(self.address(&folder))
    }

    pub(crate) async fn put(&self, key: &str, body: ByteStream) -> Result<(), String> {
        let put = self.s3().put_object().bucket(self.bucket()).key(key).body(body);
        let once = Config::builder().timeout_config(patient()).retry_config(never_retried());
        let sent = put.customize().config_override(once).send().await;
        sent.map(drop).map_err(|error| format!("PutObject of {} failed: {}", self.address(key), causes(&error)))
    }

    fn s3(&self) -> Client {
        Client::new(&self.startup.sdk)
    }
}

/// Files are larger than what the other functions send and read.
fn patient() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .read_timeout(PIECE_MAX)
        .operation_attempt_timeout(CALL_MAX)
        .operation_timeout(CALL_MAX)
        .build()
}
