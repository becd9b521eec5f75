//! Sums and what they narrow down to, as bytes that one invocation leaves for the next: a line of JSON, then the tables.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Narrowed, Sums};
use crate::engine::sketch::{Dirty, Sketch};

/// What was left cannot be read: another version has written it, or it is not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what an earlier step has left cannot be read ({0}); run that step again")]
pub struct Unreadable(String);

impl Sums {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(mut self) -> Vec<u8> {
        let tables = self.sketch.tables();
        packed(&self.told, &tables)
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (told, tables) = unpacked(bytes)?;
        let sketch = Sketch::of_tables(&tables).ok_or_else(|| Unreadable("its tables have an odd size".into()))?;
        Ok(Self { sketch, told })
    }
}

impl Narrowed {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        packed(&self.wanted, &self.dirty.tables())
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (wanted, tables) = unpacked(bytes)?;
        let dirty = Dirty::of_tables(&tables).ok_or_else(|| Unreadable("its tables have an odd size".into()))?;
        Ok(Self { dirty, wanted })
    }
}

fn packed(said: &impl Serialize, tables: &[u64]) -> Vec<u8> {
    // Numbers, strings and lists of them can always be written.
    let mut bytes = serde_json::to_vec(said).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend(tables.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

fn unpacked<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<u64>), Unreadable> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| Unreadable("it has no end".into()))?;
    let said = bytes.get(..end).unwrap_or_default();
    let said = serde_json::from_slice(said).map_err(|error| Unreadable(error.to_string()))?;
    let tables = bytes.get(end + 1..).unwrap_or_default();
    if tables.len() % 8 != 0 {
        return Err(Unreadable("it was cut off".into()));
    }
    let word = |eight: &[u8]| eight.try_into().map_or(0, u64::from_le_bytes);
    Ok((said, tables.chunks(8).map(word).collect()))
}
