//! Ordered maps of numbers, each with its own cheapest way to do an operation.

mod bbtree;
mod btree;
mod concurrent_map;
mod congee;
mod imbl;
mod masstree;
mod ours;
mod skipmap;
mod tree_index;

use crate::rivals::Role;
use crate::work::Row;
use crate::work::trees::BATCH;

pub use bbtree::BbTree;
pub use btree::{Locked, Yard};
pub use concurrent_map::Concurrent;
pub use congee::Congee;
pub use imbl::LockedImbl;
pub use masstree::Masstree;
pub use ours::{AtOnce, Fence, Ord, Snap};
pub use skipmap::Skipmap;
pub use tree_index::Index;

/// An ordered map. An insertion need not return the old value, because not all can.
pub trait Tree: Sized + Send + Sync + 'static {
    /// As tables call it.
    const NAME: &'static str;
    /// Its role in the comparison.
    const ROLE: Role = Role::Peer;

    /// Whether `snapshot` is O(1).
    const SNAPSHOTS: bool = false;

    /// Empty.
    fn new() -> Self;
    /// Whether it does such work.
    fn can(_: &Row) -> bool {
        true
    }
    /// The value of `key`.
    fn get(&self, key: u64) -> Option<u64>;
    /// Shows the value of each key, or its absence: a loop, where a map has nothing
    /// better.
    #[inline]
    fn get_many(&self, keys: &[u64; BATCH], see: impl FnMut(Option<u64>)) {
        keys.iter().map(|&key| self.get(key)).for_each(see);
    }
    /// Sets `key` to `value`, there or not.
    fn insert(&self, key: u64, value: u64);
    /// Removes `key`; says whether it was there.
    fn remove(&self, key: u64) -> bool;
    /// Shows the values of all keys from `from` to `to`, both included, in order of
    /// their keys; there are [`SCANNED`](crate::work::trees::SCANNED) of them.
    fn scan(&self, from: u64, to: u64, see: impl FnMut(u64));
    /// Shows all values, in order of their keys.
    fn each(&self, see: impl FnMut(u64));
    /// Takes a consistent view of all entries, and drops it.
    fn snapshot(&self) {
        let mut copy = Vec::new();
        self.each_at_once(|value| copy.push(value));
        drop(std::hint::black_box(copy));
    }
    /// Shows all values of a consistent view.
    fn each_at_once(&self, see: impl FnMut(u64)) {
        self.each(see);
    }
}

/// Is shown types of maps, one after the other.
pub trait Visitor {
    /// The next.
    fn visit<T: Tree>(&mut self);
}

/// All of them, in the order of the tables.
pub fn all(visitor: &mut impl Visitor) {
    visitor.visit::<Yard>();
    visitor.visit::<Fence>();
    visitor.visit::<AtOnce>();
    visitor.visit::<BbTree>();
    visitor.visit::<Congee>();
    visitor.visit::<Masstree>();
    visitor.visit::<Index>();
    visitor.visit::<Concurrent>();
    visitor.visit::<Skipmap>();
    visitor.visit::<Locked>();
}

/// Those that have snapshots, and what one would use instead.
pub fn with_snapshots(visitor: &mut impl Visitor) {
    visitor.visit::<Yard>();
    visitor.visit::<Snap>();
    visitor.visit::<Ord>();
    visitor.visit::<LockedImbl>();
    visitor.visit::<Skipmap>();
    visitor.visit::<Locked>();
}

#[cfg(test)]
mod tests {
    use super::{Tree, Visitor, all, with_snapshots};
    use crate::keys::{self, Rng};
    use crate::work::trees::{BATCH, SCANNED};
    use std::collections::BTreeMap;

    struct Witness;

    impl Visitor for Witness {
        fn visit<T: Tree>(&mut self) {
            let (map, mut model) = (T::new(), BTreeMap::new());
            let mut rng = Rng::new(3);
            for step in 0..60_000 {
                let key = keys::key(rng.below(4_000));
                // Grows, then shrinks a little.
                if rng.below(10) < if step < 40_000 { 3 } else { 6 } {
                    assert_eq!(map.remove(key), model.remove(&key).is_some(), "{}", T::NAME);
                } else {
                    map.insert(key, step);
                    model.insert(key, step);
                }
                assert_eq!(map.get(key), model.get(&key).copied(), "{}", T::NAME);
            }
            let keys: Vec<u64> = model.keys().copied().collect();
            for keys in keys.windows(SCANNED) {
                let (from, to) = (keys[0], keys[SCANNED - 1]);
                let mut seen = Vec::new();
                map.scan(from, to, |value| seen.push(value));
                assert!(seen.iter().eq(model.range(from..=to).map(|(_, v)| v)), "{}", T::NAME);
            }
            let mut seen = Vec::new();
            map.each(|value| seen.push(value));
            assert!(seen.iter().eq(model.values()), "{}", T::NAME);
            seen.clear();
            map.each_at_once(|value| seen.push(value));
            assert!(seen.iter().eq(model.values()), "{}", T::NAME);
            map.snapshot();
            let some: [u64; BATCH] = std::array::from_fn(|i| keys::key(i as u64 * 300));
            let mut seen = Vec::new();
            map.get_many(&some, |value| seen.push(value));
            assert!(seen.into_iter().eq(some.iter().map(|key| model.get(key).copied())));
        }
    }

    #[test]
    fn every_map_does_what_a_btree_map_does() {
        all(&mut Witness);
        with_snapshots(&mut Witness);
    }
}
