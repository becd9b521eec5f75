//! Key ranges to list side by side. Wherever the boundaries are, each key is in exactly one range: they only share the work out.

use futures_util::future::try_join_all;
use holdfast_domain::receipts::OWN_PREFIX;
use serde::{Deserialize, Serialize};

use crate::wire::{Bucket, Listing, WireError};

/// Enough ranges that the longest does not keep the others waiting.
const RANGES_WANTED: usize = 32;
/// Ranges beyond this only cost half a page each.
const RANGES_MAX: usize = 128;
/// Rounds of looking for boundaries; each costs one latency.
const ROUNDS_MAX: usize = 8;
/// Behind every key of Holdfast's own.
const AFTER_OWN: &str = "holdfast/~";

/// Keys after `after`, up to and with `upto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Absent: from the beginning.
    pub after: Option<String>,
    /// Absent: to the end.
    pub upto: Option<String>,
}

/// Ranges that cover every key but Holdfast's own.
pub async fn ranges(bucket: &Bucket) -> Result<Vec<Range>, WireError> {
    let mut boundaries = by_delimiter(bucket).await?;
    if boundaries.len() < RANGES_WANTED / 4 {
        boundaries.extend(by_measuring(bucket).await?);
    }
    Ok(cover(boundaries))
}

/// Cuts the key space at the boundaries and leaves Holdfast's own keys out.
fn cover(mut boundaries: Vec<String>) -> Vec<Range> {
    boundaries.retain(|boundary| !boundary.starts_with(OWN_PREFIX) && !boundary.is_empty());
    boundaries.sort();
    boundaries.dedup();
    let step = boundaries.len().div_ceil(RANGES_MAX).max(1);
    let mut cuts: Vec<String> = boundaries.into_iter().step_by(step).collect();
    cuts.extend([OWN_PREFIX.to_owned(), AFTER_OWN.to_owned()]);
    cuts.sort();
    let mut ranges = Vec::new();
    let mut after = None;
    for cut in cuts.into_iter().map(Some).chain([None]) {
        if after.as_deref() != Some(OWN_PREFIX) {
            ranges.push(Range { after: after.clone(), upto: cut.clone() });
        }
        after = cut;
    }
    ranges
}

/// Folders, level by level, until there are enough of them.
async fn by_delimiter(bucket: &Bucket) -> Result<Vec<String>, WireError> {
    let mut folders = vec![String::new()];
    for _ in 0..ROUNDS_MAX {
        let listings = folders.iter().map(|folder| Listing {
            prefix: (!folder.is_empty()).then(|| folder.clone()),
            delimiter: Some("/"),
            ..Listing::default()
        });
        let listings: Vec<Listing> = listings.collect();
        let pages = try_join_all(listings.iter().map(|listing| bucket.list(listing))).await?;
        // A page of folders that goes on says nothing of what lies behind it.
        let is_cut_off = pages.iter().any(|page| page.next().is_some());
        let found: Vec<String> = pages
            .iter()
            .flat_map(|page| page.prefixes())
            .filter(|folder| *folder != OWN_PREFIX)
            .map(str::to_owned)
            .collect();
        if found.is_empty() {
            break;
        }
        folders = found;
        if folders.len() >= RANGES_WANTED || is_cut_off {
            break;
        }
    }
    folders.retain(|folder| !folder.is_empty());
    Ok(folders)
}

/// For a flat key space: asks what comes after points that lie apart, where the keys begin to differ.
async fn by_measuring(bucket: &Bucket) -> Result<Vec<String>, WireError> {
    let Some(first) = next_key(bucket, AFTER_OWN.to_owned()).await? else { return Ok(Vec::new()) };
    let mut boundaries: Vec<String> = vec![first.clone()];
    let mut stems = vec![common_stem(bucket, &first).await?];
    for _ in 0..3 {
        let probes = stems.iter().flat_map(|stem| CHARACTERS.chars().map(move |next| format!("{stem}{next}")));
        let found = try_join_all(probes.map(|probe| next_key(bucket, probe))).await?;
        let mut found: Vec<String> = found.into_iter().flatten().collect();
        found.sort();
        found.dedup();
        let next: Vec<String> = found.iter().filter_map(|key| stem_below(&stems, key)).collect();
        boundaries.extend(found);
        stems = next;
        stems.dedup();
        if boundaries.len() >= RANGES_WANTED || stems.is_empty() {
            break;
        }
    }
    Ok(boundaries)
}

/// Where keys are told apart in practice: digits and letters of either case.
const CHARACTERS: &str = "0123456789ACEGIKMOQSUWYacegikmoqsuwy";

/// One character more than the stem that the key begins with.
fn stem_below(stems: &[String], key: &str) -> Option<String> {
    let stem = stems.iter().find(|stem| key.starts_with(stem.as_str()))?;
    let next = key.get(stem.len()..)?.chars().next()?;
    Some(format!("{stem}{next}"))
}

/// The longest beginning of the first key behind which no other key lies: all keys share it. All lengths are asked at once.
async fn common_stem(bucket: &Bucket, first: &str) -> Result<String, WireError> {
    let stems: Vec<&str> = first.char_indices().map(|(at, _)| first.get(..at).unwrap_or_default()).take(64).collect();
    let behind = stems.iter().map(|stem| next_key(bucket, format!("{stem}\u{10ffff}")));
    let behind = try_join_all(behind).await?;
    let shared = stems.iter().zip(behind).skip(1).take_while(|(_, behind)| behind.is_none()).map(|(stem, _)| *stem);
    Ok(shared.last().unwrap_or_default().to_owned())
}

async fn next_key(bucket: &Bucket, after: String) -> Result<Option<String>, WireError> {
    let listing = Listing { key_marker: Some(after), keys_max: Some(1), ..Listing::default() };
    let page = bucket.list(&listing).await?;
    Ok((page.count() > 0).then(|| String::from_utf8_lossy(page.key(0)).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(range: &Range, key: &str) -> bool {
        range.after.as_deref().is_none_or(|after| key > after) && range.upto.as_deref().is_none_or(|upto| key <= upto)
    }

    #[test]
    fn each_key_is_in_one_range_and_our_own_are_in_none() {
        for boundaries in [vec![], vec!["m"], vec!["a/", "holdfast/x", "m", "m", "z"], vec!["holdfast/", "holdfast/~"]]
        {
            let ranges = cover(boundaries.into_iter().map(str::to_owned).collect());
            for key in ["", "a", "a/", "a/1", "h", "holdfast", "holdfastA", "m", "m1", "z", "zz", "é"] {
                assert_eq!(ranges.iter().filter(|range| is_in(range, key)).count(), 1, "{key} in {ranges:?}");
            }
            for key in ["holdfast/canary-from-eu-west-1", "holdfast/reconcile/r/plan/0-0.ndjson"] {
                assert_eq!(ranges.iter().filter(|range| is_in(range, key)).count(), 0, "{key} in {ranges:?}");
            }
        }
    }
    #[test]
    fn there_are_never_too_many_ranges() {
        let boundaries = (0..10_000).map(|number| format!("k{number:05}")).collect();
        assert!(cover(boundaries).len() <= RANGES_MAX + 2);
    }
}
