//! Batches of keys: the size of the windows that a map looks up together.
//!
//! A lookup that misses the caches waits for memory at every pointer that it follows. A batch prefetches one level
//! for all keys of a window, then the next level for all of them, so that the waits overlap. (Chen, Ailamaki, Gibbons
//! and Mowry call this group prefetching: *Improving hash join performance through prefetching*, 2004.)

use crate::api::hash::KeyHash;

/// The number of keys in a window: about as many cache lines as a core can wait for at once.
pub(crate) const WINDOW: usize = 16;
/// The smallest number of keys for which prefetching pays. A map looks up fewer keys one by one.
pub(crate) const MIN_BATCH: usize = 4;

/// Returns the hashes of a window's first `count` keys. The other places hold any hash.
// A loop over places, not an iterator with a known length: see `Table::get_window`.
#[inline(always)]
pub(crate) fn hashes(count: usize, hash: impl Fn(usize) -> KeyHash) -> [KeyHash; WINDOW] {
    let mut hashes = [KeyHash(0); WINDOW];
    for (at, place) in hashes.iter_mut().enumerate().take(count) {
        *place = hash(at);
    }
    hashes
}

/// Panics unless a batch has as many places for values as keys.
pub(crate) fn same_length(keys: usize, values: usize) {
    assert!(keys == values, "{keys} keys, but room for {values} answers");
}
