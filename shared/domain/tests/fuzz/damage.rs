//! Seeded damage: what networks, hands and hostile senders do to a payload.

use serde_json::{Map, Value};

/// A stream of numbers that depends on its seed alone (SplitMix64).
pub(crate) struct Damage(u64);

impl Damage {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Texts that parsers and terminals stumble over.
const ODD_TEXTS: [&str; 16] = [
    "",
    " ",
    "\n",
    "line\r\nline\u{85}line\u{2028}line",
    "\u{0}\u{7}\u{1b}[31mred",
    "\u{202e}dlroW",
    "\u{feff}eu-west-1",
    "e\u{301}é\u{200d}👩‍👩‍👧",
    "<you>",
    "'; --payload '{\"action\":\"freeze\"}'",
    "{\"action\":\"status\"}",
    "eu-west-1",
    "RDS-EVENT-0391",
    "-9223372036854775809",
    "9999-12-31T23:59:59.999999999Z",
    "-009999-01-01T00:00:00Z",
];
const ODD_JSON: [&str; 16] = [
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e999",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "170141183460469231731687303715884105727",
    "-170141183460469231731687303715884105728",
    "[]",
    "{}",
    "{\"secs\":18446744073709551615,\"nanos\":4294967295}",
    "[[[[[]]]]]",
];

/// One of the seeds, damaged: as JSON three times of four, and as bytes once in a while.
pub(crate) fn damaged(seeds: &[Vec<u8>], damage: &mut Damage) -> Vec<u8> {
    let seed = &seeds[damage.below(seeds.len())];
    let mut bytes = match serde_json::from_slice::<Value>(seed) {
        Ok(mut json) if damage.below(4) > 0 => {
            for _ in 0..=damage.below(6) / 4 {
                let other = &seeds[damage.below(seeds.len())];
                damage_json(&mut json, other, damage);
            }
            json.to_string().into_bytes()
        }
        Ok(_) | Err(_) => {
            let mut bytes = seed.clone();
            for _ in 0..=damage.below(6) / 4 {
                damage_bytes(&mut bytes, seeds, damage);
            }
            bytes
        }
    };
    match damage.below(40) {
        0 => damage_bytes(&mut bytes, seeds, damage),
        1 => repeat_a_field(&mut bytes, damage),
        2 => bytes = in_an_envelope(&bytes),
        _ => {}
    }
    bytes
}

fn damage_bytes(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], damage: &mut Damage) {
    let position = damage.below(bytes.len());
    match damage.below(8) {
        0 => bytes.truncate(position),
        1 => drop(bytes.drain(..position)),
        2 => {
            let other = &seeds[damage.below(seeds.len())];
            bytes.truncate(position);
            bytes.extend_from_slice(&other[damage.below(other.len())..]);
        }
        3 => insert(bytes, position, damage.one_of(&ODD_TEXTS).as_bytes()),
        4 => insert(bytes, position, damage.one_of(&ODD_JSON).as_bytes()),
        5 => {
            let end = (position + damage.below(12)).min(bytes.len());
            drop(bytes.drain(position..end));
        }
        6 => {
            let opening = damage.one_of(&["[", "{\"a\":", "\"", "\\"]);
            let times = 1 + damage.below(300);
            insert(bytes, position, opening.repeat(times).as_bytes());
        }
        _ => {
            if let Some(byte) = bytes.get_mut(position) {
                *byte ^= 1 << damage.below(8);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, position: usize, inserted: &[u8]) {
    bytes.splice(position..position, inserted.iter().copied());
}

/// Damages one value somewhere in the tree: removed, replaced, grown, or taken from another sample.
fn damage_json(json: &mut Value, other: &[u8], damage: &mut Damage) {
    let descends = damage.below(5) > 0;
    match json {
        Value::Object(fields) if !fields.is_empty() && descends => {
            let key = fields.keys().nth(damage.below(fields.len())).cloned().unwrap_or_default();
            match damage.below(12) {
                0 => drop(fields.remove(&key)),
                1 => rename(fields, &key, damage.one_of(&ODD_TEXTS)),
                2 => drop(fields.insert(damage.one_of(&ODD_TEXTS).to_owned(), odd(other, damage))),
                _ => damage_json(&mut fields[&key], other, damage),
            }
        }
        Value::Array(items) if !items.is_empty() && descends => {
            let index = damage.below(items.len());
            match damage.below(6) {
                0 => drop(items.remove(index)),
                1 => items.extend(vec![items[index].clone(); damage.below(80)]),
                _ => damage_json(&mut items[index], other, damage),
            }
        }
        Value::String(text) => match damage.below(4) {
            0 => text.push_str(damage.one_of(&ODD_TEXTS)),
            1 => *text = text.repeat(damage.below(90)),
            2 => *text = damage.one_of(&ODD_TEXTS).to_owned(),
            _ => *json = odd(other, damage),
        },
        Value::Number(number) if damage.below(2) == 0 => *json = number.as_i64().map(|it| it.wrapping_neg()).into(),
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            *json = odd(other, damage);
        }
    }
}

fn rename(fields: &mut Map<String, Value>, key: &str, to: &str) {
    if let Some(value) = fields.remove(key) {
        fields.insert(to.to_owned(), value);
    }
}

/// A value that is seldom meant: an extreme, an odd text, or a field of another sample.
fn odd(other: &[u8], damage: &mut Damage) -> Value {
    match damage.below(3) {
        0 => serde_json::from_str(damage.one_of(&ODD_JSON)).unwrap_or(Value::Null),
        1 => damage.one_of(&ODD_TEXTS).into(),
        _ => match serde_json::from_slice(other) {
            Ok(Value::Object(fields)) => fields.values().nth(damage.below(fields.len())).cloned().unwrap_or_default(),
            Ok(value) => value,
            Err(_) => Value::Null,
        },
    }
}

/// The first field of the object once more at its end, which a tree of values cannot hold.
fn repeat_a_field(bytes: &mut Vec<u8>, damage: &mut Damage) {
    if let Ok(Value::Object(fields)) = serde_json::from_slice(bytes)
        && let Some((key, value)) = fields.iter().nth(damage.below(fields.len()))
        && bytes.pop().is_some()
    {
        let value = if damage.below(2) == 0 { value.clone() } else { Value::Null };
        bytes.extend_from_slice(format!(",{}:{value}}}", Value::from(key.as_str())).as_bytes());
    }
}

/// An EventBridge event and an SNS message around a payload, each as AWS sends it.
fn in_an_envelope(payload: &[u8]) -> Vec<u8> {
    let message = String::from_utf8_lossy(payload);
    let sns = serde_json::json!({
        "Type": "Notification", "MessageId": "x", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Subject": "s", "Message": message,
        "Timestamp": "2026-11-24T14:09:00.000Z", "SignatureVersion": "1", "Signature": "x", "SigningCertUrl": "https://x",
        "UnsubscribeUrl": "https://x", "MessageAttributes": {}
    });
    let record = serde_json::json!({
        "EventVersion": "1.0", "EventSubscriptionArn": "arn:aws:sns:us-east-1:1:t:x", "EventSource": "aws:sns", "Sns": sns
    });
    serde_json::json!({ "Records": [record] }).to_string().into_bytes()
}
