//! One page of `ListObjectVersions`, in document order: the SDK splits versions from delete markers and loses it.

use std::ops::Range;

use holdfast_domain::Timestamp;
use holdfast_domain::receipts::{Content, Looked, Version};
use quick_xml::Reader;
use quick_xml::events::Event;

/// The page cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the listing is not what S3 documents: {0}; is this an S3 endpoint?")]
pub struct PageError(String);

/// A page: one block of bytes and where everything is in it.
#[derive(Debug, Default)]
pub struct Page {
    text: Vec<u8>,
    entries: Vec<Entry>,
    prefixes: Vec<Span>,
    next: Option<(Span, Option<Span>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    from: u32,
    to: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.from as usize..self.to as usize
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: Span,
    version: Span,
    etag: Span,
    modified: Span,
    size: u64,
    is_marker: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Key,
    Version,
    ETag,
    Modified,
    Size,
    Prefix,
    NextKey,
    NextVersion,
    Encoding,
    Truncated,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        match name {
            "Key" => Some(Self::Key),
            "VersionId" => Some(Self::Version),
            "ETag" => Some(Self::ETag),
            "LastModified" => Some(Self::Modified),
            "Size" => Some(Self::Size),
            "Prefix" => Some(Self::Prefix),
            "NextKeyMarker" => Some(Self::NextKey),
            "NextVersionIdMarker" => Some(Self::NextVersion),
            "EncodingType" => Some(Self::Encoding),
            "IsTruncated" => Some(Self::Truncated),
            _ => None,
        }
    }
}

impl Page {
    /// Reads a page.
    pub fn parse(xml: &[u8]) -> Result<Self, PageError> {
        let broken = |why: &dyn std::fmt::Display| PageError(why.to_string());
        let text = std::str::from_utf8(xml).map_err(|error| broken(&error))?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = false;
        // Keys, ids and dates are half of the document at most.
        let mut page = Self { text: Vec::with_capacity(xml.len() / 2), ..Self::default() };
        let (mut entry, mut field) = (Entry::default(), None);
        let (mut from, mut in_prefixes, mut is_listing) = (0, false, false);
        let (mut next_key, mut next_version, mut is_encoded, mut is_truncated) = (None, None, false, false);
        loop {
            match reader.read_event().map_err(|error| broken(&error))? {
                Event::Start(start) => match start.local_name().as_ref() {
                    "Version" => entry = Entry::default(),
                    "DeleteMarker" => entry = Entry { is_marker: true, ..Entry::default() },
                    "CommonPrefixes" => in_prefixes = true,
                    "ListVersionsResult" => is_listing = true,
                    name => {
                        field = Field::named(name);
                        from = page.text.len();
                    }
                },
                Event::Text(text) if field.is_some() => page.text.extend_from_slice(text.as_bytes()),
                Event::GeneralRef(name) if field.is_some() => page.push_reference(&name, field),
                Event::End(end) => match (end.local_name().as_ref(), field.take()) {
                    ("Version" | "DeleteMarker", _) => page.entries.push(entry),
                    ("CommonPrefixes", _) => in_prefixes = false,
                    (_, None) => {}
                    (_, Some(field)) => {
                        let span = page.span(from).ok_or_else(|| broken(&"it is longer than 4 GB"))?;
                        match field {
                            Field::Key => entry.key = page.same_key(span),
                            Field::Version => entry.version = span,
                            Field::ETag => entry.etag = page.without_quotes(span),
                            Field::Modified => entry.modified = span,
                            Field::Size => {
                                let size = page.str(span).parse();
                                entry.size = size.map_err(|_| broken(&"a size is not a number"))?;
                                page.text.truncate(from);
                            }
                            Field::Prefix if in_prefixes => page.prefixes.push(span),
                            Field::Prefix => page.text.truncate(from),
                            Field::NextKey => next_key = Some(span),
                            Field::NextVersion => next_version = Some(span).filter(|it| it.from < it.to),
                            Field::Encoding => is_encoded = page.str(span) == "url",
                            Field::Truncated => is_truncated = page.str(span) == "true",
                        }
                    }
                },
                Event::Eof => break,
                Event::Empty(_)
                | Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_) => {}
            }
        }
        if !is_listing {
            return Err(broken(&"there is no ListVersionsResult"));
        }
        if is_truncated && next_key.is_none() {
            return Err(broken(&"it is cut off and does not say where it goes on"));
        }
        if is_encoded {
            page.decode(&mut next_key);
        }
        page.next = next_key.filter(|_| is_truncated).map(|key| (key, next_version));
        Ok(page)
    }

    fn span(&self, from: usize) -> Option<Span> {
        Some(Span { from: u32::try_from(from).ok()?, to: u32::try_from(self.text.len()).ok()? })
    }

    /// A key that has several versions is kept once.
    fn same_key(&mut self, span: Span) -> Span {
        match self.entries.last() {
            Some(last) if self.bytes(last.key) == self.bytes(span) => {
                self.text.truncate(span.range().start);
                last.key
            }
            Some(_) | None => span,
        }
    }

    fn without_quotes(&self, span: Span) -> Span {
        match self.bytes(span) {
            [b'"', .., b'"'] => Span { from: span.from + 1, to: span.to - 1 },
            _ => span,
        }
    }

    fn push_reference(&mut self, name: &str, field: Option<Field>) {
        let character = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "apos" => '\'',
            // Around an ETag.
            "quot" if field == Some(Field::ETag) => return,
            "quot" => '"',
            number => {
                let number = number.trim_start_matches('#');
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                code.ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        };
        self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Undoes S3's URL encoding of keys, in place: it only ever gets shorter.
    fn decode(&mut self, next_key: &mut Option<Span>) {
        let mut decoded_last: Option<(Span, Span)> = None;
        for entry in 0..self.entries.len() {
            let Some(raw) = self.entries.get(entry).map(|entry| entry.key) else { continue };
            let key = match decoded_last {
                Some((before, after)) if before.from == raw.from => after,
                Some(_) | None => decode(&mut self.text, raw),
            };
            decoded_last = Some((raw, key));
            if let Some(entry) = self.entries.get_mut(entry) {
                entry.key = key;
            }
        }
        for prefix in &mut self.prefixes {
            *prefix = decode(&mut self.text, *prefix);
        }
        if let Some(key) = next_key {
            *key = decode(&mut self.text, *key);
        }
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    fn str(&self, span: Span) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    /// How many versions are on it.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The key at a place, as bytes: S3 sorts by them.
    pub fn key(&self, place: usize) -> &[u8] {
        self.entries.get(place).map(|entry| self.bytes(entry.key)).unwrap_or_default()
    }

    /// The version id at a place.
    pub fn version_id(&self, place: usize) -> &[u8] {
        self.entries.get(place).map(|entry| self.bytes(entry.version)).unwrap_or_default()
    }

    /// Everything that the listing says of the version at a place.
    pub fn version(&self, place: usize) -> Option<Version> {
        let entry = self.entries.get(place)?;
        let content = Content { size: entry.size, etag: self.str(entry.etag).to_owned() };
        Some(Version {
            id: self.str(entry.version).to_owned(),
            modified: self.str(entry.modified).parse().unwrap_or(Timestamp::UNIX_EPOCH),
            content: (!entry.is_marker).then_some(content),
            looked: Looked::No,
        })
    }

    /// Prefixes up to the delimiter.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(|span| self.str(*span))
    }

    /// Where the next page begins: after this key, or after this version of it.
    pub fn next(&self) -> Option<(&str, Option<&str>)> {
        self.next.map(|(key, version)| (self.str(key), version.map(|version| self.str(version))))
    }
}

fn decode(text: &mut [u8], span: Span) -> Span {
    let Some(bytes) = text.get_mut(span.range()) else { return span };
    let Some(first) = bytes.iter().position(|byte| matches!(byte, b'%' | b'+')) else { return span };
    let (mut read, mut write) = (first, first);
    while let Some(&byte) = bytes.get(read) {
        let hex = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let (decoded, used) = match (byte, hex(read + 1), hex(read + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(b'?'), 3),
            (b'+', _, _) => (b' ', 1),
            (other, _, _) => (other, 1),
        };
        if let Some(place) = bytes.get_mut(write) {
            *place = decoded;
        }
        (read, write) = (read + used, write + 1);
    }
    Span { to: span.from + u32::try_from(write).unwrap_or(u32::MAX), ..span }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn keys(xml: &str, expected: &[&str]) {
        let page = Page::parse(format!("<ListVersionsResult>{xml}</ListVersionsResult>").as_bytes()).unwrap();
        let found: Vec<String> =
            (0..page.count()).map(|place| String::from_utf8_lossy(page.key(place)).into_owned()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn versions_and_markers_stay_in_the_order_of_the_document() {
        let xml = r#"<ListVersionsResult xmlns="x"><Name>b</Name><Prefix>p</Prefix><IsTruncated>true</IsTruncated>
            <NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>
            <DeleteMarker><Key>k</Key><VersionId>3</VersionId><IsLatest>true</IsLatest><LastModified>2026-11-24T14:07:05.000Z</LastModified><Owner><ID>o</ID></Owner></DeleteMarker>
            <Version><Key>k</Key><VersionId>1</VersionId><LastModified>2026-11-24T14:07:04.000Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>12</Size></Version>
            <CommonPrefixes><Prefix>q/</Prefix></CommonPrefixes></ListVersionsResult>"#;
        let page = Page::parse(xml.as_bytes()).unwrap();
        let marker = page.version(0).unwrap();
        assert_eq!((marker.id.as_str(), marker.content), ("3", None));
        assert_eq!(marker.modified.as_second(), 1_795_529_225);
        let object = page.version(1).unwrap();
        assert_eq!(object.content, Some(Content { size: 12, etag: "abc".into() }));
        assert_eq!(page.prefixes().collect::<Vec<_>>(), ["q/"]);
        assert_eq!(page.next(), Some(("k", Some("1"))));
    }
    #[test]
    fn keys_are_what_was_written_whatever_the_encoding() {
        let version = |key: &str| format!("<Version><Key>{key}</Key></Version>");
        keys(&version("a&amp;b&#x41;%41"), &["a&bA%41"]);
        let encoded = format!("{}{}{}", version("a%26b+c/%C3%A9"), version("a%26b+c/%C3%A9"), version("plain"));
        keys(&format!("<EncodingType>url</EncodingType>{encoded}"), &["a&b c/é", "a&b c/é", "plain"]);
        keys(&format!("{encoded}<EncodingType>url</EncodingType>"), &["a&b c/é", "a&b c/é", "plain"]);
    }
    #[test]
    fn a_last_page_says_nothing_of_a_next_one() {
        let page = Page::parse(
            b"<ListVersionsResult><IsTruncated>false</IsTruncated><NextKeyMarker></NextKeyMarker></ListVersionsResult>",
        );
        assert_eq!(page.unwrap().next(), None);
    }
    #[test]
    fn what_is_no_listing_is_refused() {
        for xml in
            ["", "<html></html>", "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>", "<a"]
        {
            assert!(Page::parse(xml.as_bytes()).is_err(), "{xml}");
        }
    }
}
