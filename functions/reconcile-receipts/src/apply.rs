//! One action of a plan: look whether it still stands, then one conditional call, and believe what S3 confirms.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use holdfast_aws::clients::never_retried;
use holdfast_domain::receipts::{Copy, Delete, ORIGIN, Over, ReceiptsPolicy, Side};

use crate::headers::Kept;
use crate::large;
use crate::merge::Pair;
use crate::wire::{HeadAnswer, encoded};

/// S3 says SlowDown so often before an action is given up to the next run.
const ATTEMPTS_MAX: u32 = 8;

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// S3 has it.
    Done,
    /// The key had changed since it was listed: the next run decides.
    MovedOn,
    /// S3 refused, or did not answer.
    Refused(String),
}

/// What actions need.
#[derive(Debug)]
pub(crate) struct Hands<'a> {
    pub(crate) pair: &'a Pair,
    pub(crate) clients: [Client; 2],
    pub(crate) policy: &'a ReceiptsPolicy,
    pub(crate) limits: large::Limits,
}

impl Hands<'_> {
    pub(crate) fn client(&self, side: Side) -> &Client {
        let [dublin, london] = &self.clients;
        match side {
            Side::Dublin => dublin,
            Side::London => london,
        }
    }

    /// Copies a version to the other side, where what is there must still be what was listed.
    pub(crate) async fn copy(&self, to: Side, key: &str, copy: &Copy) -> Outcome {
        let (source, destination) = (self.pair.on(to.other()), self.pair.on(to));
        let found = match self.stands(to, key, copy).await {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        let kept = Kept::new(&found, &source.name, &copy.version, self.policy.kms_keys.get(&destination.region));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = {
                let _pass = destination.gate.enter().await;
                if copy.bytes > self.limits.copy_max_bytes {
                    large::copy(self, to, key, copy, &kept).await
                } else {
                    self.copy_at_once(to, key, copy, &kept).await
                }
            };
            match sent {
                Ok(()) => {
                    destination.gate.went_well();
                    return Outcome::Done;
                }
                Err(Refusal::SlowDown) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(destination.gate.slow_down(attempt)).await;
                }
                Err(Refusal::SlowDown) => return Outcome::Refused("SlowDown".into()),
                Err(Refusal::Code(code)) => return Outcome::Refused(code),
                // Somebody was there before us, perhaps we ourselves in a run that was cut off.
                Err(Refusal::Unmet | Refusal::Unanswered) => {
                    return match destination.head(key, None).await {
                        Ok(current) if current.is_copy_of(&source.name, &copy.version) => Outcome::Done,
                        Ok(_) => Outcome::MovedOn,
                        Err(error) => Outcome::Refused(error.to_string()),
                    };
                }
            }
        }
    }

    /// Looks whether a copy still stands: its source is current, and what it is put over is what the plan has seen. Gives what
    /// the source says of itself.
    ///
    /// S3 has no condition on a delete marker: a delete that comes after this look and before the copy is not seen.
    pub(crate) async fn stands(&self, to: Side, key: &str, copy: &Copy) -> Result<HeadAnswer, Outcome> {
        let (source, destination) = (self.pair.on(to.other()), self.pair.on(to));
        let (found, current) = futures_util::future::join(source.head(key, None), destination.head(key, None)).await;
        let (found, current) = match (found, current) {
            (Ok(found), Ok(current)) => (found, current),
            (Err(error), _) | (_, Err(error)) => return Err(Outcome::Refused(error.to_string())),
        };
        if current.is_copy_of(&source.name, &copy.version) {
            return Err(Outcome::Done);
        }
        // An ETag alone may be that of two versions: the version id must be the one that the plan has seen.
        let is_over = match &copy.over {
            Over::Object { over_version, .. } => current.status == 200 && current.version() == Some(over_version),
            // A marker that the plan has not seen is a later delete, and is not undone.
            Over::Nothing { over_marker } if current.is_marker() => {
                over_marker.as_ref().is_some_and(|seen| current.version().is_none_or(|now| now == seen))
            }
            Over::Nothing { .. } => current.status == 404,
        };
        if found.status != 200 || found.version() != Some(&copy.version) || !is_over {
            return Err(Outcome::MovedOn);
        }
        Ok(found)
    }

    async fn copy_at_once(&self, to: Side, key: &str, copy: &Copy, kept: &Kept) -> Result<(), Refusal> {
        let request = self
            .client(to)
            .copy_object()
            .bucket(&self.pair.on(to).name)
            .key(key)
            .copy_source(self.copy_source(to.other(), key, &copy.version));
        let request = match &copy.over {
            Over::Nothing { .. } => request.if_none_match("*"),
            Over::Object { over_etag, .. } => request.if_match(format!("\"{over_etag}\"")),
        };
        kept.on_copy(request)
            .customize()
            .config_override(once())
            .send()
            .await
            .map(drop)
            .map_err(|error| refusal(&error))
    }

    /// Bucket, key and version as the copy-source header wants them.
    pub(crate) fn copy_source(&self, side: Side, key: &str, version: &str) -> String {
        format!("{}/{}?versionId={}", self.pair.on(side).name, encoded(key, true), encoded(version, false))
    }

    /// Makes a delete on the side that still has the object, if the marker is still current on the other side.
    pub(crate) async fn delete(&self, key: &str, delete: &Delete) -> Outcome {
        let (marked, destination) = (self.pair.on(delete.to.other()), self.pair.on(delete.to));
        let (marker, current) = futures_util::future::join(marked.head(key, None), destination.head(key, None)).await;
        let (marker, current) = match (marker, current) {
            (Ok(marker), Ok(current)) => (marker, current),
            (Err(error), _) | (_, Err(error)) => return Outcome::Refused(error.to_string()),
        };
        if !marker.is_marker() || marker.version().is_some_and(|version| *version != delete.marker) {
            return Outcome::MovedOn;
        }
        if current.status == 404 {
            return Outcome::Done;
        }
        if current.status != 200 || current.version() != Some(&delete.version) {
            return Outcome::MovedOn;
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = {
                let _pass = destination.gate.enter().await;
                let request = self.client(delete.to).delete_object().bucket(&destination.name).key(key);
                let request = request.if_match(format!("\"{}\"", delete.etag));
                request.customize().config_override(once()).send().await
            };
            match sent.map_err(|error| refusal(&error)) {
                Ok(_) => {
                    destination.gate.went_well();
                    return Outcome::Done;
                }
                Err(Refusal::SlowDown) if attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(destination.gate.slow_down(attempt)).await;
                }
                Err(Refusal::SlowDown) => return Outcome::Refused("SlowDown".into()),
                Err(Refusal::Code(code)) => return Outcome::Refused(code),
                Err(Refusal::Unmet | Refusal::Unanswered) => {
                    return match destination.head(key, None).await {
                        Ok(current) if current.status == 404 => Outcome::Done,
                        Ok(_) => Outcome::MovedOn,
                        Err(error) => Outcome::Refused(error.to_string()),
                    };
                }
            }
        }
    }
}

/// Mutations are sent once: what a lost answer has done is looked at.
pub(crate) fn once() -> aws_sdk_s3::config::Builder {
    Config::builder().retry_config(never_retried())
}

/// Why S3 did not do it.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not now.
    SlowDown,
    /// The precondition does not hold.
    Unmet,
    /// Another reason, by S3's code.
    Code(String),
    /// No answer: it may have happened.
    Unanswered,
}

pub(crate) fn refusal<E>(error: &SdkError<E>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.as_service_error() {
        Some(service) => match service.code() {
            Some("SlowDown" | "TooManyRequests" | "503") => Refusal::SlowDown,
            // 404: what was to be replaced is no longer current. 409: somebody writes at this moment.
            Some("PreconditionFailed" | "NoSuchKey" | "ConditionalRequestConflict") => Refusal::Unmet,
            Some("InternalError" | "ServiceUnavailable") => Refusal::Unanswered,
            Some(code) => Refusal::Code(code.to_owned()),
            None => Refusal::Code("an answer without a code".into()),
        },
        None => Refusal::Unanswered,
    }
}

impl HeadAnswer {
    fn version(&self) -> Option<&String> {
        self.headers.get("x-amz-version-id")
    }

    fn is_marker(&self) -> bool {
        self.status == 404 && self.header("x-amz-delete-marker") == Some("true")
    }

    fn is_copy_of(&self, bucket: &str, version: &str) -> bool {
        let origin = self.origin().and_then(|origin| origin.rsplit_once('/'));
        origin == Some((bucket, version)) && self.headers.contains_key(&format!("x-amz-meta-{ORIGIN}"))
    }
}
