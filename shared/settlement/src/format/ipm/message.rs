//! One IPM message: its type, its bitmap, and its data elements.

use holdfast_domain::Timestamp;

use super::exponents_of;
use crate::currencies::Exponents;
use crate::format::clock;
use crate::format::fault::Fault;

/// How long a data element is.
#[derive(Clone, Copy)]
enum Length {
    Fixed(usize),
    /// So many digits before it say how long it is.
    Counted(usize),
}

/// The layout of each element that a clearing file has, from the open configuration of `cardutil`.
fn layout(element: u8) -> Option<Length> {
    Some(match element {
        2 | 31 | 32 | 33 | 43 | 93 | 94 | 95 | 100 => Length::Counted(2),
        48 | 54 | 55 | 62 | 63 | 72 | 105 | 111 | 123 | 124 | 125 | 127 => Length::Counted(3),
        3 | 38 | 73 => Length::Fixed(6),
        4 | 5 | 6 | 12 | 22 | 37 => Length::Fixed(12),
        9 | 10 | 41 | 71 => Length::Fixed(8),
        14 | 25 | 26 => Length::Fixed(4),
        23 | 24 | 40 | 49 | 50 | 51 => Length::Fixed(3),
        30 => Length::Fixed(24),
        42 => Length::Fixed(15),
        _ => return None,
    })
}

/// A message whose elements are found, and decoded when they are asked for.
pub(super) struct Message<'a> {
    pub(super) kind: String,
    ebcdic: bool,
    elements: Vec<(u8, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Finds the elements. An error says how far into the record it is.
    pub(super) fn parse(record: &'a [u8]) -> Result<Self, (usize, Fault)> {
        let (kind, bitmap) = (record.get(..4).unwrap_or_default(), record.get(4..20).unwrap_or_default());
        let ebcdic = kind.first().is_some_and(|byte| *byte >= 0xf0);
        let mut message = Self {
            kind: decode(kind, ebcdic, "the message type").map_err(|fault| (0, fault))?,
            ebcdic,
            elements: Vec::new(),
        };
        if let Some(found) = kind.iter().copied().find(|byte| !is_digit(*byte, ebcdic)) {
            return Err((0, bad(found, "the message type", "digit", ebcdic)));
        }
        let mut at = 20;
        for element in 2..=128_u8 {
            let (byte, bit) = (usize::from(element - 1) / 8, (element - 1) % 8);
            if bitmap.get(byte).is_none_or(|bits| bits & (0x80 >> bit) == 0) {
                continue;
            }
            let length = match layout(element).ok_or((at, Fault::UnknownElement { element }))? {
                Length::Fixed(length) => length,
                Length::Counted(digits) => {
                    let count = slice(record, at, digits)?;
                    let mut length = 0;
                    for byte in count {
                        if !is_digit(*byte, ebcdic) {
                            return Err((at, bad(*byte, &format!("the length of DE{element}"), "digit", ebcdic)));
                        }
                        length = length * 10 + usize::from(byte & 0x0f);
                    }
                    at += digits;
                    length
                }
            };
            message.elements.push((element, slice(record, at, length)?));
            at += length;
        }
        if at == record.len() {
            Ok(message)
        } else {
            Err((0, Fault::RecordLength { found: record.len() as u64, expected: at as u64 }))
        }
    }

    /// Whether a record is the file's trailer.
    pub(super) fn is_trailer(record: &'a [u8]) -> bool {
        Self::parse(record)
            .is_ok_and(|message| message.kind == "1644" && message.text(24).is_ok_and(|function| function == "695"))
    }

    fn element(&self, element: u8) -> Option<&'a [u8]> {
        self.elements.iter().find(|(number, _)| *number == element).map(|(_, value)| *value)
    }

    /// An element as text; empty where the message does not have it.
    pub(super) fn text(&self, element: u8) -> Result<String, Fault> {
        self.element(element).map_or(Ok(String::new()), |value| decode(value, self.ebcdic, &format!("DE{element}")))
    }

    /// An element as a number; every byte of it must be a digit.
    pub(super) fn number(&self, element: u8) -> Result<Option<i64>, Fault> {
        let Some(value) = self.element(element) else { return Ok(None) };
        let mut number = 0_i64;
        for byte in value {
            if !is_digit(*byte, self.ebcdic) {
                return Err(bad(*byte, &format!("DE{element}"), "digit", self.ebcdic));
            }
            number = number * 10 + i64::from(byte & 0x0f);
        }
        Ok(Some(number))
    }

    /// A private data subelement of DE48, 62 or 123 to 125: tag (4), length (3), value, again and again.
    pub(super) fn detail(&self, tag: &str) -> Result<Option<String>, Fault> {
        for element in [48, 62, 123, 124, 125] {
            let text = self.text(element)?;
            let mut rest = text.as_str();
            while let (Some(found), Some(length)) = (rest.get(..4), rest.get(4..7)) {
                let end = length.parse::<usize>().ok().and_then(|length| length.checked_add(7));
                let Some((value, after)) = end.and_then(|end| Some((rest.get(7..end)?, rest.get(end..)?))) else {
                    return Err(Fault::Truncated { inside: "a private data subelement" });
                };
                if found == tag {
                    return Ok(Some(value.to_owned()));
                }
                rest = after;
            }
        }
        Ok(None)
    }

    /// The decimals that the message itself gives its currencies (PDS0148); ISO 4217 where it does not.
    pub(super) fn exponents(&self) -> Result<Exponents, Fault> {
        Ok(self.detail("0148")?.map_or_else(Exponents::iso, |groups| exponents_of(&groups)))
    }
}

fn slice(record: &[u8], at: usize, length: usize) -> Result<&[u8], (usize, Fault)> {
    let missing = Fault::RecordLength { found: record.len() as u64, expected: (at + length) as u64 };
    record.get(at..at + length).ok_or((at, missing))
}

fn is_digit(byte: u8, ebcdic: bool) -> bool {
    if ebcdic { (0xf0..=0xf9).contains(&byte) } else { byte.is_ascii_digit() }
}

fn bad(found: u8, field: &str, expected: &'static str, ebcdic: bool) -> Fault {
    Fault::BadByte { field: field.to_owned(), found, expected, encoding: if ebcdic { "EBCDIC" } else { "ASCII" } }
}

fn decode(bytes: &[u8], ebcdic: bool, field: &str) -> Result<String, Fault> {
    let decode_one = |byte: &u8| {
        let character = if ebcdic { from_ebcdic(*byte) } else { Some(char::from(*byte)).filter(|c| !c.is_control()) };
        character.ok_or_else(|| bad(*byte, field, "character", ebcdic))
    };
    bytes.iter().map(decode_one).collect()
}

/// The characters of code page 500 that clearing files are written in; the accented ones are `?`, as no reference has them.
pub(in crate::format) fn from_ebcdic(byte: u8) -> Option<char> {
    const PUNCTUATION: [(u8, char); 26] = [
        (0x40, ' '),
        (0x4b, '.'),
        (0x4c, '<'),
        (0x4d, '('),
        (0x4e, '+'),
        (0x4f, '!'),
        (0x50, '&'),
        (0x5b, '$'),
        (0x5c, '*'),
        (0x5d, ')'),
        (0x5e, ';'),
        (0x60, '-'),
        (0x61, '/'),
        (0x6b, ','),
        (0x6c, '%'),
        (0x6d, '_'),
        (0x6e, '>'),
        (0x6f, '?'),
        (0x7a, ':'),
        (0x7b, '#'),
        (0x7c, '@'),
        (0x7d, '\''),
        (0x7e, '='),
        (0x7f, '"'),
        (0xe0, '\\'),
        (0xbb, '|'),
    ];
    let letter = |first: u8, start: u8| Some(char::from(first + (byte - start)));
    match byte {
        0xf0..=0xf9 => letter(b'0', 0xf0),
        0xc1..=0xc9 => letter(b'A', 0xc1),
        0xd1..=0xd9 => letter(b'J', 0xd1),
        0xe2..=0xe9 => letter(b'S', 0xe2),
        0x81..=0x89 => letter(b'a', 0x81),
        0x91..=0x99 => letter(b'j', 0x91),
        0xa2..=0xa9 => letter(b's', 0xa2),
        0x00..=0x3f | 0xff => None,
        _ => Some(PUNCTUATION.iter().find(|(code, _)| *code == byte).map_or('?', |(_, character)| *character)),
    }
}

/// `YYMMDDhhmmss` of this century. The file names no zone, so it is taken as UTC: good to a day, which is all that it is used for.
pub(super) fn local_time(text: &str) -> Option<Timestamp> {
    let part = |from: usize| text.get(from..from + 2).and_then(|digits| clock::number(digits.as_bytes()));
    let day = clock::days(2000 + part(0)?, part(2)?, part(4)?)?;
    let (hour, minute, second) = (part(6)?, part(8)?, part(10)?);
    (hour < 24 && minute < 60 && second < 60)
        .then(|| Timestamp::from_second(day * 86_400 + hour * 3600 + minute * 60 + second).ok())
        .flatten()
}
