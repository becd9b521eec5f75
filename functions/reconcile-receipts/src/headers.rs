//! What a copy keeps: metadata, storage class, locks; tags are kept by S3 itself, the KMS key is the destination's.

use aws_sdk_s3::operation::copy_object::builders::CopyObjectFluentBuilder;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, MetadataDirective, ObjectLockLegalHoldStatus, ObjectLockMode, ServerSideEncryption, StorageClass,
};
use holdfast_domain::receipts::ORIGIN;

use crate::wire::HeadAnswer;

/// The headers of the source that go with the copy.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    found: HeadAnswer,
    origin: String,
    kms_key: Option<String>,
    pub(crate) has_tags: bool,
}

/// The same setters exist on both builders, which share no trait.
macro_rules! keep {
    ($kept:expr, $request:expr) => {{
        let kept = $kept;
        let text = |name: &str| kept.found.header(name).map(str::to_owned);
        let mut request = $request
            .set_content_type(text("content-type"))
            .set_cache_control(text("cache-control"))
            .set_content_disposition(text("content-disposition"))
            .set_content_encoding(text("content-encoding"))
            .set_content_language(text("content-language"))
            .set_website_redirect_location(text("x-amz-website-redirect-location"))
            .set_expires(kept.date("expires", DateTimeFormat::HttpDate))
            .set_storage_class(text("x-amz-storage-class").map(|it| StorageClass::from(it.as_str())))
            .set_object_lock_mode(text("x-amz-object-lock-mode").map(|it| ObjectLockMode::from(it.as_str())))
            .set_object_lock_retain_until_date(
                kept.date("x-amz-object-lock-retain-until-date", DateTimeFormat::DateTimeWithOffset),
            )
            .set_object_lock_legal_hold_status(
                text("x-amz-object-lock-legal-hold").map(|it| ObjectLockLegalHoldStatus::from(it.as_str())),
            )
            .metadata(ORIGIN, &kept.origin);
        for (name, value) in &kept.found.headers {
            if let Some(name) = name.strip_prefix("x-amz-meta-").filter(|name| *name != ORIGIN) {
                request = request.metadata(name, value);
            }
        }
        if let Some(key) = &kept.kms_key {
            request = request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key);
        }
        request
    }};
}

impl Kept {
    /// What is kept of a source. The policy's key is used where the source is under KMS; without one it is the bucket's default.
    pub(crate) fn new(found: &HeadAnswer, bucket: &str, version: &str, kms_key: Option<&String>) -> Self {
        let is_kms = found.facts().kms;
        Self {
            found: found.clone(),
            origin: format!("{bucket}/{version}"),
            kms_key: kms_key.filter(|_| is_kms).cloned(),
            has_tags: found.header("x-amz-tagging-count").is_some(),
        }
    }

    fn date(&self, name: &str, format: DateTimeFormat) -> Option<DateTime> {
        DateTime::from_str(self.found.header(name)?, format).ok()
    }

    fn checksum_algorithm(&self) -> Option<ChecksumAlgorithm> {
        let checksum = self.found.facts().checksum?;
        Some(ChecksumAlgorithm::from(checksum.algorithm.to_uppercase().as_str()))
    }

    pub(crate) fn on_copy(&self, request: CopyObjectFluentBuilder) -> CopyObjectFluentBuilder {
        // REPLACE, because COPY would not take the origin; everything else is given again.
        keep!(self, request)
            .metadata_directive(MetadataDirective::Replace)
            .set_checksum_algorithm(self.checksum_algorithm())
    }

    pub(crate) fn on_upload(&self, request: CreateMultipartUploadFluentBuilder) -> CreateMultipartUploadFluentBuilder {
        keep!(self, request).set_checksum_algorithm(self.checksum_algorithm())
    }
}
