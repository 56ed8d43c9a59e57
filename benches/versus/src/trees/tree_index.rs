//! scc's tree.

use scc::Guard;

use super::Tree;

/// scc's `TreeIndex`, read without locks.
pub struct Index(scc::TreeIndex<u64, u64>);

impl Tree for Index {
    const NAME: &'static str = "TreeIndex";

    fn new() -> Self {
        Self(scc::TreeIndex::new())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.peek_with(&key, |_, value| *value)
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        self.0.upsert_sync(key, value);
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove_sync(&key)
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.range(from..=to, &Guard::new()).for_each(|(_, value)| see(*value));
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.iter(&Guard::new()).for_each(|(_, value)| see(*value));
    }
}
