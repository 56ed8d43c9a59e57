//! Long values, in memory that is theirs: compressed where they are not read lately.

use crate::state::record::Value;
use hedgerow::CompressedMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values shorter than this gain nothing: a ticket and what the other map knows of it take as much.
const SHORTEST: usize = 64;

/// Values by tickets. A ticket is given out once, so whoever finds a record finds the value that it had.
pub(crate) struct ColdStore {
    map: CompressedMap,
    next: AtomicU64,
}

impl ColdStore {
    pub(crate) fn new(budget: usize) -> Self {
        Self { map: CompressedMap::with_budget(budget), next: AtomicU64::new(1) }
    }

    /// Keeps a value, if it is long enough and there is room.
    pub(crate) fn store<'a>(&self, value: &'a [u8]) -> Value<'a> {
        if value.len() < SHORTEST {
            return Value::Inline(value);
        }
        // Relaxed: only that each is another matters.
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        match self.map.insert(&ticket.to_ne_bytes(), &value) {
            Ok(_) => Value::Compressed(ticket, value.len()),
            // No room, or too long for it: then it is kept as it is, and counts as that.
            Err(_) => Value::Inline(value),
        }
    }

    /// What `with` makes of the ticket's value.
    ///
    /// # Panics
    /// The bytes of the value are damaged.
    pub(crate) fn read<R>(&self, ticket: u64, with: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let value = self.map.get_with(&ticket.to_ne_bytes(), with);
        value.expect("memory holds what was compressed into it")
    }

    pub(crate) fn remove(&self, ticket: u64) {
        self.map.remove(&ticket.to_ne_bytes());
    }

    /// Compresses some of what is due. Whether there is more.
    pub(crate) fn step(&self) -> bool {
        self.map.compress_step(1 << 16)
    }

    /// Bytes that the values take, and the index. What removed ones have left is not counted: others are stored there.
    /// O(segments).
    pub(crate) fn memory(&self) -> usize {
        let stats = self.map.stats();
        stats.index + stats.hot + stats.cold
    }
}
