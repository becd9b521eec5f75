//! Both buckets' inventories side by side, in place of a listing that would take too long.
//!
//! Nothing documents the order of an inventory's rows or files. Files are merged by key, each as far as it is needed; a file
//! whose own rows are not in key order is told by its name, and nothing is concluded from it.

use std::cmp::Ordering;

use aws_sdk_s3::Client;
use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use holdfast_aws::failure::causes;
use holdfast_domain::receipts::{
    AtScale, Class, Decision, Facts, InventoryError, Lists, Manifest, OWN_PREFIX, PlanLine, ReceiptsPolicy, Tally,
    Version, decide, younger_than_the_lists,
};
use holdfast_domain::{Timestamp, age};
use serde::{Deserialize, Serialize};

use crate::merge::{Pair, looked, note};
use crate::wire::{Bucket, Listing, WireError};

mod files;

pub(crate) use files::List;

/// Keys that are looked at beyond the inventories at once.
const LOOKS_AT_ONCE: usize = 64;
/// Deliveries of one configuration that are listed to find the newest.
const DELIVERIES_MAX: usize = 1000;

/// An inventory cannot be used. Nothing was concluded from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error(
        "{bucket} has no complete inventory under {place}; configure one (CSV, all versions, into the bucket itself)"
    )]
    NotDelivered { bucket: String, place: String },
    #[error(
        "the newest inventory of {bucket} was begun {hours} hours ago, and policy.receipts.at_scale allows {max}; see why S3 delivers no newer one"
    )]
    TooOld { bucket: String, hours: u64, max: u64 },
    #[error("s3://{bucket}/{key} cannot be read: {why}")]
    Unreadable { bucket: String, key: String, why: String },
    #[error("s3://{bucket}/{key}: {why}")]
    Manifest { bucket: String, key: String, why: InventoryError },
    #[error("s3://{bucket}/{key}, row {row}: {why}; nothing of this inventory is used")]
    Broken { bucket: String, key: String, row: u64, why: String },
    #[error(
        "s3://{bucket}/{key}, row {row}: the keys are not in order, and are not put into it here; plan from a listing by prefix instead"
    )]
    Unordered { bucket: String, key: String, row: u64 },
    #[error(
        "more than {max} files of {bucket}'s inventory hold the same stretch of keys; plan from a listing by prefix instead"
    )]
    TooEntangled { bucket: String, max: usize },
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Which inventories a run is planned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    pub(crate) dublin: String,
    pub(crate) london: String,
    pub(crate) lists: Lists,
}

/// The newest complete inventories of both buckets.
pub(crate) async fn choose(
    pair: &Pair,
    clients: &[Client; 2],
    at_scale: &AtScale,
    now: Timestamp,
) -> Result<Chosen, ListError> {
    let [in_dublin, in_london] = clients;
    let (dublin, london) =
        join(newest(&pair.dublin, in_dublin, at_scale), newest(&pair.london, in_london, at_scale)).await;
    let ((dublin, of_dublin), (london, of_london)) = (dublin?, london?);
    for (bucket, manifest) in [(&pair.dublin, &of_dublin), (&pair.london, &of_london)] {
        let old = age(manifest.created, now);
        if old > at_scale.inventory_age_max() {
            let (hours, max) = (old.as_secs() / 3600, at_scale.inventory_age_max_seconds / 3600);
            return Err(ListError::TooOld { bucket: bucket.name.clone(), hours, max });
        }
    }
    Ok(Chosen { dublin, london, lists: Lists { dublin: of_dublin.created, london: of_london.created } })
}

/// The newest delivery that is complete: its `manifest.checksum` comes last.
async fn newest(bucket: &Bucket, client: &Client, at_scale: &AtScale) -> Result<(String, Manifest), ListError> {
    let place = format!("{}/{}/{}/", at_scale.inventory_prefix, bucket.name, at_scale.inventory_id);
    let mut listing = Listing { prefix: Some(place.clone()), delimiter: Some("/"), ..Listing::default() };
    let mut folders: Vec<String> = Vec::new();
    loop {
        let page = bucket.list(&listing).await?;
        folders.extend(page.prefixes().map(str::to_owned));
        match page.next() {
            Some((key, version)) if folders.len() < DELIVERIES_MAX => {
                listing.key_marker = Some(key.to_owned());
                listing.version_marker = version.map(str::to_owned);
            }
            Some(_) | None => break,
        }
    }
    // Their names are the times of their beginning; `data/` and `hive/` are none.
    folders.retain(|folder| folder.trim_end_matches('/').ends_with('Z'));
    folders.sort();
    for folder in folders.iter().rev() {
        if bucket.head(&format!("{folder}manifest.checksum"), None).await?.status == 200 {
            let key = format!("{folder}manifest.json");
            let manifest = read_manifest(bucket, client, &key).await?;
            return Ok((key, manifest));
        }
    }
    Err(ListError::NotDelivered { bucket: bucket.name.clone(), place })
}

async fn read_manifest(bucket: &Bucket, client: &Client, key: &str) -> Result<Manifest, ListError> {
    let (name, key) = (bucket.name.clone(), key.to_owned());
    let json = match client.get_object().bucket(&name).key(&key).send().await {
        Ok(answer) => answer.body.collect().await.map_err(|error| error.to_string()),
        Err(error) => Err(causes(&error)),
    };
    match json {
        Ok(json) => {
            Manifest::parse(&json.into_bytes(), &name).map_err(|why| ListError::Manifest { bucket: name, key, why })
        }
        Err(why) => Err(ListError::Unreadable { bucket: name, key, why }),
    }
}

/// Opens a list where an earlier invocation has left it: without the files that are used up.
pub(crate) async fn open<'a>(
    bucket: &'a Bucket,
    client: &'a Client,
    manifest: &str,
    used_up: &[u32],
) -> Result<List<'a>, ListError> {
    let read = read_manifest(bucket, client, manifest).await?;
    List::open(bucket, client, read, used_up).await
}

/// A key with all of its versions.
type Group = (String, Vec<Version>);

/// Compares two inventories in key order.
pub(crate) struct ListComparison<'a> {
    pair: &'a Pair,
    policy: &'a ReceiptsPolicy,
    as_of: Timestamp,
    dublin: List<'a>,
    london: List<'a>,
    next_dublin: Option<Group>,
    next_london: Option<Group>,
    begun: bool,
    after: Option<String>,
}

/// What was decided since the last time.
#[derive(Debug, Default)]
pub(crate) struct Advanced {
    pub(crate) tally: Tally,
    pub(crate) after: Option<String>,
    pub(crate) finished: bool,
}

impl<'a> ListComparison<'a> {
    pub(crate) fn new(
        pair: &'a Pair,
        policy: &'a ReceiptsPolicy,
        as_of: Timestamp,
        (dublin, london): (List<'a>, List<'a>),
        after: Option<String>,
    ) -> Self {
        Self { pair, policy, as_of, dublin, london, next_dublin: None, next_london: None, begun: false, after }
    }

    /// Files of which nothing is needed any more, in Dublin's and in London's list.
    pub(crate) fn used_up(&self) -> [Vec<u32>; 2] {
        [self.dublin.used_up(), self.london.used_up()]
    }

    /// Goes on for so many keys, or to the end. All that it has begun is decided when it returns.
    pub(crate) async fn advance(
        &mut self,
        keys_wanted: u64,
        line: &mut (dyn FnMut(PlanLine) + Send),
    ) -> Result<Advanced, ListError> {
        if !self.begun {
            self.begun = true;
            let (dublin, london) = join(self.dublin.next(), self.london.next()).await;
            (self.next_dublin, self.next_london) = (dublin?, london?);
        }
        let mut tally = Tally::default();
        let mut looking = FuturesUnordered::new();
        let (mut keys, mut in_sync) = (0_u64, 0_u64);
        while keys < keys_wanted {
            let Some((key, facts)) = self.take().await? else { break };
            if key.starts_with(OWN_PREFIX) || self.after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            keys += 1;
            self.after = Some(key.clone());
            match (facts.dublin.first(), facts.london.first()) {
                (Some(dublin), Some(london)) if dublin.id == london.id && dublin.id != "null" => in_sync += 1,
                _ => match younger_than_the_lists(&facts, self.policy, self.as_of) {
                    Some(pending) => note(&mut tally, key, pending, line),
                    None => match decide(&facts, self.policy, self.as_of) {
                        Decision::Settled(verdict) => note(&mut tally, key, verdict, line),
                        Decision::Look(wanted) => {
                            looking.push(looked(self.pair, self.policy, self.as_of, key, facts, wanted));
                        }
                    },
                },
            }
            if looking.len() >= LOOKS_AT_ONCE
                && let Some(settled) = looking.next().await
            {
                let (key, verdict) = settled?;
                note(&mut tally, key, verdict, line);
            }
        }
        while let Some(settled) = looking.next().await {
            let (key, verdict) = settled?;
            note(&mut tally, key, verdict, line);
        }
        tally.add(Class::InSync, in_sync, 0);
        let finished = self.next_dublin.is_none() && self.next_london.is_none();
        Ok(Advanced { tally, after: self.after.clone(), finished })
    }

    /// The next key of either list.
    async fn take(&mut self) -> Result<Option<(String, Facts)>, ListError> {
        let order = match (&self.next_dublin, &self.next_london) {
            (Some((dublin, _)), Some((london, _))) => dublin.cmp(london),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(None),
        };
        let (mut key, mut facts) = (String::new(), Facts::default());
        if order != Ordering::Greater
            && let Some(group) = self.next_dublin.take()
        {
            (key, facts.dublin) = group;
            self.next_dublin = self.dublin.next().await?;
        }
        if order != Ordering::Less
            && let Some(group) = self.next_london.take()
        {
            (key, facts.london) = group;
            self.next_london = self.london.next().await?;
        }
        Ok(Some((key, facts)))
    }
}
