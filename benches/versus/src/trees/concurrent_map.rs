//! concurrent-map.

use super::Tree;
use crate::work::Row;

/// concurrent-map's handle. Each thread wants its own, made from another's, which
/// what runs here has no place for; so it is asked by one thread only.
pub struct Concurrent(concurrent_map::ConcurrentMap<u64, u64>);

// SAFETY: not shared in truth: `can` says for how many threads it is.
unsafe impl Sync for Concurrent {}

impl Tree for Concurrent {
    const NAME: &'static str = "concurrent-map";

    fn new() -> Self {
        Self(concurrent_map::ConcurrentMap::new())
    }

    fn can(row: &Row) -> bool {
        row.threads == 1
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.range::<u64, _>(from..=to).for_each(|(_, value)| see(value));
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.iter().for_each(|(_, value)| see(value));
    }
}
