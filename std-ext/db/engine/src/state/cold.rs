//! The store of compressed values: values that were not read lately are compressed.

use crate::state::value::stored_string::StringValue;
use hedgerow::CompressedMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shorter values are not stored here: the ticket and the index entry would take as much.
const SHORTEST: usize = 64;

/// Values by ticket. A ticket is never reused, so a record's ticket always leads to the value that it was stored for.
pub struct ColdStore {
    map: CompressedMap,
    next: AtomicU64,
}

impl ColdStore {
    pub fn new(budget: usize) -> Self {
        Self { map: CompressedMap::with_budget(budget), next: AtomicU64::new(1) }
    }

    /// Stores a value if it is long enough and there is room. Otherwise returns it as an inline value.
    pub fn store<'a>(&self, value: &'a [u8]) -> StringValue<'a> {
        if value.len() < SHORTEST {
            return StringValue::Inline(value);
        }
        // Relaxed: tickets only have to be unique.
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        match self.map.insert(&ticket.to_ne_bytes(), &value) {
            Ok(_) => StringValue::Compressed(ticket, value.len()),
            // The store is full, or the value is too long for it. The record gets the value itself, and counts its
            // memory.
            Err(_) => StringValue::Inline(value),
        }
    }

    /// Calls `with` with the value of a ticket and returns the result.
    ///
    /// # Panics
    /// If the compressed bytes are damaged.
    pub fn read<R>(&self, ticket: u64, with: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let value = self.map.get_with(&ticket.to_ne_bytes(), with);
        value.expect("memory holds what was compressed into it")
    }

    pub fn remove(&self, ticket: u64) {
        self.map.remove(&ticket.to_ne_bytes());
    }

    /// Does some of the compression that is due. Returns whether there is more.
    pub fn step(&self) -> bool {
        self.map.compress_step(1 << 16)
    }

    /// Returns the bytes of values and index. Space that removed values have left is not counted, since new values
    /// reuse it. O(segments).
    pub fn memory(&self) -> usize {
        let stats = self.map.stats();
        stats.index + stats.hot + stats.cold
    }
}
