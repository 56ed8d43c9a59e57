//! bbtree.

use std::ops::ControlFlow;

use super::Tree;
use crate::work::trees::BATCH;

/// bbtree's shared map.
pub struct BbTree(bbtree::BBTreeMap<u64, u64>);

impl Tree for BbTree {
    const NAME: &'static str = "bbtree";

    fn new() -> Self {
        Self(bbtree::BBTreeMap::new())
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.0.get_copied(&key)
    }

    #[inline]
    fn get_many(&self, keys: &[u64; BATCH], see: impl FnMut(Option<u64>)) {
        self.0.get_many_copied(keys.each_ref()).into_iter().for_each(see);
    }

    #[inline]
    fn insert(&self, key: u64, value: u64) {
        assert!(self.0.insert(key, value).is_ok(), "there is memory");
    }

    #[inline]
    fn remove(&self, key: u64) -> bool {
        self.0.remove(&key).is_some()
    }

    #[inline]
    fn scan(&self, from: u64, to: u64, mut see: impl FnMut(u64)) {
        self.0.scan::<u64, ()>(from..=to, |_, &value| {
            see(value);
            ControlFlow::Continue(())
        });
    }

    fn each(&self, mut see: impl FnMut(u64)) {
        self.0.scan::<u64, ()>(.., |_, &value| {
            see(value);
            ControlFlow::Continue(())
        });
    }
}
