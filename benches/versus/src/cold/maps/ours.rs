//! Ours.

use hedgerow::CompressedMap;
use hedgerow::compressed::Merge;

use super::Map;
use crate::cold::rows::Row;

/// `CompressedMap` as it comes; its room is its budget.
pub struct Ours(pub CompressedMap);

impl Map for Ours {
    const NAME: &'static str = "CompressedMap";

    fn new(room: usize, _: &[Row]) -> Self {
        Self(CompressedMap::with_budget(room))
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.0.insert(key, value).is_ok()
    }

    #[inline]
    fn read(&mut self, key: &[u8], into: &mut [u8]) -> Option<usize> {
        self.0.get_into(key, into).expect("whole, and short enough")
    }

    fn hits(&self) -> Option<(usize, usize)> {
        let stats = self.0.stats();
        Some((stats.hits, stats.misses))
    }
}

/// Replaces the end of a value by the last of the changes.
pub struct Tail;

impl Merge for Tail {
    fn merge(&self, _: &[u8], value: Option<&[u8]>, changes: &[&[u8]]) -> Vec<u8> {
        let mut value = value.unwrap_or_default().to_vec();
        changes.last().into_iter().for_each(|change| Self::apply(&mut value, change));
        value
    }
}

impl Tail {
    /// The same to a value at hand.
    pub fn apply(value: &mut [u8], change: &[u8]) {
        let len = value.len().min(change.len());
        let from = value.len() - len;
        value[from..].copy_from_slice(&change[..len]);
    }
}

/// Inserts all rows; whether there was room for them.
pub fn fill(map: &CompressedMap, rows: &[Row]) -> bool {
    rows.iter().all(|(key, value)| map.insert(key, value).is_ok())
}
