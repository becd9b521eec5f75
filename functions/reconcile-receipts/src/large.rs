//! Copies in parts: S3 copies no more than 5 GB at once.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use holdfast_domain::receipts::{Copy, Over, Side};

use crate::apply::{Hands, Refusal, once, refusal};
use crate::headers::Kept;
use crate::wire::encoded;

/// Sizes, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest object that is copied at once.
    pub copy_max_bytes: u64,
    /// The size of a part.
    pub part_bytes: u64,
}

impl Limits {
    /// S3's own: 5 GB at once, and parts that make the 10,000 that S3 allows reach 5 TB.
    pub const S3: Self = Self { copy_max_bytes: 5 << 30, part_bytes: 512 << 20 };
}

/// Parts that are copied side by side.
const PARTS_AT_ONCE: usize = 8;

/// Copies in parts, and gives up what it has begun when it cannot end it.
pub(crate) async fn copy(hands: &Hands<'_>, to: Side, key: &str, copy: &Copy, kept: &Kept) -> Result<(), Refusal> {
    let (client, bucket) = (hands.client(to), &hands.pair.on(to).name);
    let tags = if kept.has_tags { Some(tags(hands, to.other(), key, &copy.version).await?) } else { None };
    let create = client.create_multipart_upload().bucket(bucket).key(key).set_tagging(tags);
    let created = kept.on_upload(create).customize().config_override(once()).send().await;
    let upload = created.map_err(|error| refusal(&error))?.upload_id.unwrap_or_default();
    let copied = parts(hands, to, key, copy, &upload).await;
    if copied.is_err() {
        let abort = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(&upload);
        // What cannot be given up is the bucket's lifecycle rule's to clear away.
        let _ = abort.customize().config_override(once()).send().await;
    }
    copied
}

async fn parts(hands: &Hands<'_>, to: Side, key: &str, copy: &Copy, upload: &str) -> Result<(), Refusal> {
    let (client, bucket) = (hands.client(to), &hands.pair.on(to).name);
    let size = hands.limits.part_bytes.max(1);
    let count = i32::try_from(copy.bytes.div_ceil(size)).unwrap_or(i32::MAX);
    let ranges = (1..=count).zip((0..copy.bytes).step_by(usize::try_from(size).unwrap_or(usize::MAX)));
    let ranges: Vec<(i32, u64)> = ranges.collect();
    let part = |(number, from): (i32, u64)| async move {
        let last = from.saturating_add(size).min(copy.bytes) - 1;
        let request = client
            .upload_part_copy()
            .bucket(bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .copy_source(hands.copy_source(to.other(), key, &copy.version))
            .copy_source_range(format!("bytes={from}-{last}"));
        let answer = request.customize().config_override(once()).send().await.map_err(|error| refusal(&error))?;
        let result = answer.copy_part_result;
        let done = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(result.as_ref().and_then(|it| it.e_tag.clone()))
            .set_checksum_crc64_nvme(result.as_ref().and_then(|it| it.checksum_crc64_nvme.clone()))
            .set_checksum_crc32(result.as_ref().and_then(|it| it.checksum_crc32.clone()))
            .set_checksum_crc32_c(result.as_ref().and_then(|it| it.checksum_crc32_c.clone()))
            .set_checksum_sha1(result.as_ref().and_then(|it| it.checksum_sha1.clone()))
            .set_checksum_sha256(result.as_ref().and_then(|it| it.checksum_sha256.clone()))
            .build();
        Ok::<_, Refusal>(done)
    };
    let parts: Vec<CompletedPart> = iter(ranges).map(part).buffered(PARTS_AT_ONCE).try_collect().await?;
    let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload).multipart_upload(whole);
    let complete = match &copy.over {
        Over::Nothing { .. } => complete.if_none_match("*"),
        Over::Object { over_etag, .. } => complete.if_match(format!("\"{over_etag}\"")),
    };
    complete.customize().config_override(once()).send().await.map(drop).map_err(|error| refusal(&error))
}

/// A multipart upload does not take its source's tags by itself.
async fn tags(hands: &Hands<'_>, side: Side, key: &str, version: &str) -> Result<String, Refusal> {
    let bucket = &hands.pair.on(side).name;
    let request = hands.client(side).get_object_tagging().bucket(bucket).key(key).version_id(version);
    let answer = request.send().await.map_err(|error| refusal(&error))?;
    let pairs =
        answer.tag_set().iter().map(|tag| format!("{}={}", encoded(tag.key(), false), encoded(tag.value(), false)));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}
