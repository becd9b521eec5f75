//! Two buckets of receipts that nobody stores: each key, its versions and its bytes are worked out from its number.

use std::fmt::Write as _;

/// How the two buckets differ.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    /// Numbers; nearly all of them are keys on both sides.
    pub keys: u64,
    /// Keys begin with no folder.
    pub flat: bool,
}

/// What became of a key. About one in a hundred is not [`Kind::Same`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The same version on both sides.
    Same,
    /// Only in the first bucket: S3 has not replicated it in time.
    OnlyFirstOverdue,
    /// Only in the first bucket: S3 has given it up.
    OnlyFirstFailed,
    /// Only in the second bucket: written during the outage.
    OnlySecond,
    /// Deleted in the second bucket during the outage.
    DeletedInSecond,
    /// Deleted in the first bucket before it failed.
    DeletedInFirst,
    /// Deleted and written again in the second bucket.
    RewrittenInSecond,
    /// Written differently on both sides.
    Conflict,
    /// Put in parts on both sides with the same size: nothing to compare.
    Uncheckable,
    /// The second bucket has a newer version.
    SecondNewer,
    /// S3 is replicating it right now.
    Pending,
}

/// One version in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// Its ETag without quotation marks; `None` for a delete marker.
    pub etag: Option<String>,
    /// Its date, in seconds since 1970.
    pub modified: u64,
    /// `x-amz-replication-status`.
    pub status: Option<&'static str>,
}

/// Bytes of every receipt.
pub const SIZE: u64 = 51_200;
/// 2026-11-24T00:00:00Z, before which all was replicated.
const BEFORE: u64 = 1_795_478_400;
/// The outage.
const DURING: u64 = BEFORE + 50_820;

/// A number without a pattern (the finaliser of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// What became of a number.
#[must_use]
pub fn kind(number: u64) -> Kind {
    match scatter(number) % 10_000 {
        0..20 => Kind::OnlyFirstOverdue,
        20..30 => Kind::OnlyFirstFailed,
        30..50 => Kind::OnlySecond,
        50..65 => Kind::DeletedInSecond,
        65..75 => Kind::DeletedInFirst,
        75..79 => Kind::RewrittenInSecond,
        79..85 => Kind::Conflict,
        85..88 => Kind::Uncheckable,
        88..96 => Kind::SecondNewer,
        96..100 => Kind::Pending,
        _ => Kind::Same,
    }
}

impl Population {
    /// Keys in the order of their numbers, which is S3's own order.
    pub fn write_key(&self, number: u64, key: &mut String) {
        key.clear();
        let unlike = scatter(number) & 0xFFFF_FFFF;
        if self.flat {
            let _ = write!(key, "receipt-{number:010}-{unlike:08x}.json");
        } else {
            let per_day = self.keys.div_ceil(30).max(1);
            let day = number / per_day + 1;
            let _ = write!(key, "receipts/2026/11/{day:02}/{number:010}-{unlike:08x}.json");
        }
    }

    /// The number of a key, if it is one.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        let number = key.rsplit('/').next()?.trim_start_matches("receipt-").split('-').next()?.parse().ok()?;
        let mut again = String::new();
        self.write_key(number, &mut again);
        (number < self.keys && again == key).then_some(number)
    }

    /// The first number whose key is not below `bound` (or above it, when `after`).
    #[must_use]
    pub fn seek(&self, bound: &str, after: bool) -> u64 {
        let (mut low, mut high) = (0, self.keys);
        let mut key = String::new();
        while low < high {
            let middle = low + (high - low) / 2;
            self.write_key(middle, &mut key);
            let below = if after { key.as_str() <= bound } else { key.as_str() < bound };
            if below {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The versions of a number in a bucket, newest first. `now` dates what is pending.
pub fn versions(number: u64, second: bool, now: u64, versions: &mut Vec<Version>) {
    versions.clear();
    let version = |salt: u64, modified: u64, status| Version {
        id: format!("{:016x}{:016x}", scatter(number.wrapping_mul(31) + salt), scatter(number + salt)),
        etag: Some(format!("{:016x}{:016x}", scatter(number + 7 * salt), scatter(number * 3 + salt))),
        modified,
        status,
    };
    let marker = |salt: u64, modified: u64| Version { etag: None, status: None, ..version(salt, modified, None) };
    let first = || version(1, BEFORE, Some(if second { "REPLICA" } else { "COMPLETED" }));
    match (kind(number), second) {
        (Kind::Same, _) => versions.push(first()),
        (Kind::OnlyFirstOverdue, false) => versions.push(version(2, DURING, Some("PENDING"))),
        (Kind::OnlyFirstFailed, false) => versions.push(version(2, DURING, Some("FAILED"))),
        (Kind::Pending, false) => versions.push(version(2, now.saturating_sub(60), Some("PENDING"))),
        (Kind::OnlySecond, true) => versions.push(version(3, DURING, None)),
        (Kind::OnlyFirstOverdue | Kind::OnlyFirstFailed | Kind::Pending, true) | (Kind::OnlySecond, false) => {}
        (Kind::DeletedInSecond, true) | (Kind::DeletedInFirst, false) => {
            versions.extend([marker(4, DURING), first()]);
        }
        (Kind::RewrittenInSecond, true) => {
            versions.extend([version(5, DURING + 60, None), marker(4, DURING), first()]);
        }
        (Kind::SecondNewer, true) => versions.extend([version(5, DURING, None), first()]),
        (Kind::DeletedInSecond | Kind::RewrittenInSecond | Kind::SecondNewer, false) | (Kind::DeletedInFirst, true) => {
            versions.push(first())
        }
        (Kind::Conflict, _) => {
            versions.extend([version(if second { 6 } else { 8 }, DURING, None), first()]);
        }
        (Kind::Uncheckable, _) => {
            let mut parts = version(if second { 6 } else { 8 }, DURING, None);
            parts.etag = parts.etag.map(|etag| format!("{etag}-2"));
            versions.push(parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_and_found_again() {
        for flat in [false, true] {
            let population = Population { keys: 1000, flat };
            let (mut before, mut key) = (String::new(), String::new());
            for number in 0..1000 {
                population.write_key(number, &mut key);
                assert!(before < key);
                assert_eq!(population.number(&key), Some(number));
                assert_eq!((population.seek(&key, false), population.seek(&key, true)), (number, number + 1));
                before.clone_from(&key);
            }
        }
    }
    #[test]
    fn about_one_in_a_hundred_differs_and_each_kind_occurs() {
        let kinds: std::collections::BTreeSet<Kind> = (0..100_000).map(kind).collect();
        assert_eq!(kinds.len(), 11);
        let differ = (0..100_000).filter(|number| kind(*number) != Kind::Same).count();
        assert!((900..1100).contains(&differ), "{differ}");
    }
}
