//! Both buckets' versions side by side in key order. Memory is one page per side, whatever the buckets hold.

use std::cmp::Ordering;
use std::pin::pin;

use futures_util::future::{Either, join, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use holdfast_domain::Timestamp;
use holdfast_domain::receipts::{
    Class, Decision, Facts, Looked, OWN_PREFIX, PlanLine, ReceiptsPolicy, Side, Tally, Verdict, Version, Wanted, decide,
};

use crate::page::Page;
use crate::shards::Range;
use crate::wire::{Bucket, Listing, WireError};

/// Keys of one range that are looked at beyond the listing at once.
const LOOKS_AT_ONCE: usize = 32;
/// More versions of one key than these are not taken into account: nobody writes a receipt a thousand times.
const VERSIONS_MAX: usize = 1000;
/// The version id of what was written before versioning was switched on names nothing.
const NULL_VERSION: &[u8] = b"null";

/// Both buckets.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The first data Region's.
    pub dublin: Bucket,
    /// The second's.
    pub london: Bucket,
}

impl Pair {
    /// One of them.
    pub fn on(&self, side: Side) -> &Bucket {
        match side {
            Side::Dublin => &self.dublin,
            Side::London => &self.london,
        }
    }
}

/// One side's place in a range.
struct Cursor<'a> {
    bucket: &'a Bucket,
    page: Page,
    at: usize,
    /// Entries of the page that are in the range.
    end: usize,
    /// What to list next; `None` when there is no more.
    next: Option<Listing>,
    upto: Option<String>,
    /// A key that is done with, and whose versions may go on on the next page.
    passed: Vec<u8>,
    pages: u64,
}

impl<'a> Cursor<'a> {
    fn new(bucket: &'a Bucket, range: &Range) -> Self {
        let next = Some(Listing { key_marker: range.after.clone(), ..Listing::default() });
        Self {
            bucket,
            page: Page::default(),
            at: 0,
            end: 0,
            next,
            upto: range.upto.clone(),
            passed: Vec::new(),
            pages: 0,
        }
    }

    /// Lists until there is a key or no more.
    async fn fill(&mut self) -> Result<(), WireError> {
        loop {
            while self.at < self.end && !self.passed.is_empty() && self.page.key(self.at) == self.passed.as_slice() {
                self.at += 1;
            }
            if self.at < self.end {
                return Ok(());
            }
            let Some(listing) = self.next.take() else { return Ok(()) };
            // The old page goes before the new one comes.
            self.page = Page::default();
            self.load(self.bucket.list(&listing).await?);
        }
    }

    fn load(&mut self, page: Page) {
        self.pages += 1;
        let mut end = page.count();
        let beyond = |key: &[u8]| self.upto.as_ref().is_some_and(|upto| key > upto.as_bytes());
        let mut next = page.next();
        while end > 0 && beyond(page.key(end - 1)) {
            end -= 1;
            next = None;
        }
        let is_own = |key: &[u8]| key.starts_with(OWN_PREFIX.as_bytes());
        let mut at = 0;
        while end > 0 && is_own(page.key(end - 1)) {
            end -= 1;
        }
        while at < end && is_own(page.key(at)) {
            at += 1;
        }
        self.next = next.map(|(key, version)| Listing {
            key_marker: Some(key.to_owned()),
            version_marker: version.map(str::to_owned),
            ..Listing::default()
        });
        (self.page, self.at, self.end) = (page, at, end);
    }

    fn key(&self) -> Option<&[u8]> {
        (self.at < self.end).then(|| self.page.key(self.at))
    }

    fn is_done(&self) -> bool {
        self.at >= self.end && self.next.is_none()
    }

    /// Goes on to the next key of the page.
    fn pass(&mut self) {
        let at = self.at;
        self.at += 1;
        while self.at < self.end && self.page.key(self.at) == self.page.key(at) {
            self.at += 1;
        }
        if self.at >= self.end {
            self.passed.clear();
            self.passed.extend_from_slice(self.page.key(at));
        }
    }

    /// Takes all versions of the present key, newest first, over as many pages as they are on.
    async fn take(&mut self) -> Result<Vec<Version>, WireError> {
        let Some(key) = self.key().map(<[u8]>::to_vec) else { return Ok(Vec::new()) };
        let mut versions = Vec::new();
        while self.key() == Some(&key) {
            if versions.len() < VERSIONS_MAX {
                versions.extend(self.page.version(self.at));
            }
            self.at += 1;
            if self.at >= self.end {
                self.passed.clear();
                self.fill().await?;
            }
        }
        self.passed = key;
        Ok(versions)
    }
}

/// Where a comparison stands when it may be interrupted.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Everything up to this key is decided.
    pub after: Option<String>,
    /// What was decided since the last time.
    pub tally: Tally,
    /// Pages that were listed since the last time.
    pub pages: u64,
    /// The range is finished.
    pub finished: bool,
}

/// Compares a range. `line` takes each key that is not in sync; `paused` says at a page's end whether to stop there.
pub struct Comparison<'a> {
    pair: &'a Pair,
    policy: &'a ReceiptsPolicy,
    now: Timestamp,
    dublin: Cursor<'a>,
    london: Cursor<'a>,
    tally: Tally,
    in_sync: u64,
    pages_before: u64,
}

impl<'a> Comparison<'a> {
    /// Begins with a range.
    pub fn new(pair: &'a Pair, policy: &'a ReceiptsPolicy, now: Timestamp, range: &Range) -> Self {
        let (dublin, london) = (Cursor::new(&pair.dublin, range), Cursor::new(&pair.london, range));
        Self { pair, policy, now, dublin, london, tally: Tally::default(), in_sync: 0, pages_before: 0 }
    }

    /// Goes on for at least so many pages, or to the end of the range. All that it has begun is decided when it returns.
    pub async fn advance(
        &mut self,
        pages_wanted: u64,
        line: &mut (dyn FnMut(PlanLine) + Send),
    ) -> Result<Progress, WireError> {
        let mut looking = FuturesUnordered::new();
        let mut tally = Tally::default();
        loop {
            // Looks go on while pages are waited for. The order is fixed: the same answers come to the same run.
            let (dublin, london) = {
                let mut pages = pin!(join(self.dublin.fill(), self.london.fill()));
                loop {
                    if looking.is_empty() {
                        break pages.await;
                    }
                    match select(pages.as_mut(), looking.next()).await {
                        Either::Left((filled, _)) => break filled,
                        Either::Right((settled, _)) => {
                            if let Some(settled) = settled {
                                let (key, verdict) = settled?;
                                note(&mut tally, key, verdict, line);
                            }
                        }
                    }
                }
            };
            dublin?;
            london?;
            while let Some((key, facts)) = self.next_doubtful().await? {
                match decide(&facts, self.policy, self.now) {
                    Decision::Settled(verdict) => note(&mut tally, key, verdict, line),
                    Decision::Look(wanted) => {
                        looking.push(looked(self.pair, self.policy, self.now, key, facts, wanted))
                    }
                }
                if looking.len() >= LOOKS_AT_ONCE
                    && let Some(settled) = looking.next().await
                {
                    let (key, verdict) = settled?;
                    note(&mut tally, key, verdict, line);
                }
            }
            let finished = self.dublin.is_done() && self.london.is_done();
            let listed = self.dublin.pages + self.london.pages - self.pages_before;
            if finished || listed >= pages_wanted {
                while let Some(settled) = looking.next().await {
                    let (key, verdict) = settled?;
                    note(&mut tally, key, verdict, line);
                }
                drop(looking);
                self.tally.merge(&tally);
                return Ok(self.progress(finished, listed));
            }
        }
    }

    fn progress(&mut self, finished: bool, pages: u64) -> Progress {
        self.pages_before += pages;
        let mut tally = std::mem::take(&mut self.tally);
        tally.add(Class::InSync, std::mem::take(&mut self.in_sync), 0);
        // A side that has used its page up has decided everything up to that page's last key, and so has the other.
        let after = [&self.dublin, &self.london].into_iter().filter(|side| side.key().is_none()).map(|it| &it.passed);
        let after = after.max().filter(|key| !key.is_empty()).map(|key| String::from_utf8_lossy(key).into_owned());
        Progress { after, tally, pages, finished }
    }

    /// The next key whose current versions differ; `None` when a side needs its next page.
    async fn next_doubtful(&mut self) -> Result<Option<(String, Facts)>, WireError> {
        loop {
            let order = match (self.dublin.key(), self.london.key()) {
                (Some(dublin), Some(london)) => dublin.cmp(london),
                (Some(_), None) if self.london.is_done() => Ordering::Less,
                (None, Some(_)) if self.dublin.is_done() => Ordering::Greater,
                (Some(_), None) | (None, Some(_)) | (None, None) => return Ok(None),
            };
            if order == Ordering::Equal {
                let current = self.dublin.page.version_id(self.dublin.at);
                if current == self.london.page.version_id(self.london.at) && current != NULL_VERSION {
                    self.in_sync += 1;
                    self.dublin.pass();
                    self.london.pass();
                    continue;
                }
            }
            let key = if order == Ordering::Greater { self.london.key() } else { self.dublin.key() };
            let key = String::from_utf8_lossy(key.unwrap_or_default()).into_owned();
            let facts = match order {
                Ordering::Less => Facts { dublin: self.dublin.take().await?, london: Vec::new() },
                Ordering::Greater => Facts { dublin: Vec::new(), london: self.london.take().await? },
                Ordering::Equal => {
                    let (dublin, london) = join(self.dublin.take(), self.london.take()).await;
                    Facts { dublin: dublin?, london: london? }
                }
            };
            return Ok(Some((key, facts)));
        }
    }
}

/// Looks at what the decision asks for until it is made.
pub(crate) async fn looked(
    pair: &Pair,
    policy: &ReceiptsPolicy,
    now: Timestamp,
    key: String,
    mut facts: Facts,
    mut wanted: Vec<Wanted>,
) -> Result<(String, Verdict), WireError> {
    loop {
        let looks = wanted.iter().map(|Wanted { side, place }| {
            let version = facts.on(*side).get(*place).map(|version| version.id.clone()).unwrap_or_default();
            let (bucket, key) = (pair.on(*side), key.as_str());
            async move { bucket.look(key, &version).await }
        });
        let looked: Vec<Result<Looked, WireError>> = futures_util::future::join_all(looks).await;
        for (Wanted { side, place }, looked) in wanted.iter().zip(looked) {
            if let Some(version) = facts.on_mut(*side).get_mut(*place) {
                version.looked = looked?;
            }
        }
        match decide(&facts, policy, now) {
            Decision::Settled(verdict) => return Ok((key, verdict)),
            Decision::Look(more) => wanted = more,
        }
    }
}

pub(crate) fn note(tally: &mut Tally, key: String, verdict: Verdict, line: &mut (dyn FnMut(PlanLine) + Send)) {
    tally.add(verdict.class(), 1, verdict.bytes());
    if verdict.class() != Class::InSync {
        line(PlanLine { key, says: verdict.to_string(), verdict });
    }
}
