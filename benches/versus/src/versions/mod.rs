//! Ordered maps and sequences as values, whose clones are versions.

pub mod apart;
mod maps;
mod sequences;

use hedgerow::{PersistentMap, PersistentVec};
use imbl::{OrdMap, Vector};
use rpds::RedBlackTreeMapSync;
use std::collections::BTreeMap;

use crate::keys;
use crate::rivals::Role;
use crate::work::{Row, texts};

/// A key that is made of its number.
pub trait Key: Ord + Clone + Send + Sync + 'static {
    /// The key with this number; their order has nothing to do with that of the numbers.
    fn make(number: u64) -> Self;
}

impl Key for u64 {
    fn make(number: u64) -> Self {
        keys::key(number)
    }
}

impl Key for String {
    fn make(number: u64) -> Self {
        texts::key(number)
    }
}

/// A map whose clone is a version.
pub trait Versioned<K>: Clone + Send + Sync + 'static {
    /// As tables call it.
    const NAME: &'static str;
    /// Its role in the comparison.
    const ROLE: Role = Role::Peer;
    /// Whether a clone is O(1).
    const SHARES: bool = true;
    /// Whether it can find the changes between two versions without looking at all entries.
    const DIFFERS: bool = false;

    /// Empty.
    fn new() -> Self;
    /// The value of `key`.
    fn get(&self, key: &K) -> Option<u64>;
    /// Sets `key` to `value`, there or not.
    fn insert(&mut self, key: K, value: u64);
    /// Removes `key`; says whether it was there.
    fn remove(&mut self, key: &K) -> bool;
    /// Shows the values of all keys from `from` to `to`, both included, in order.
    fn scan(&self, from: &K, to: &K, see: impl FnMut(u64));
    /// Shows all values, in order of their keys.
    fn each(&self, see: impl FnMut(u64));
    /// The number of entries that are not the same in `newer`.
    fn changes(&self, newer: &Self) -> usize;
}

/// A sequence whose clone is a version.
pub trait Sequence: Clone + Send + Sync + 'static {
    /// As tables call it.
    const NAME: &'static str;
    /// Its role in the comparison.
    const ROLE: Role = Role::Peer;
    /// Whether a clone is O(1).
    const SHARES: bool = true;

    /// Empty.
    fn new() -> Self;
    /// The element at `index`.
    fn get(&self, index: usize) -> Option<u64>;
    /// Overwrites the element at `index`.
    fn set(&mut self, index: usize, value: u64);
    /// Adds an element at the end.
    fn push(&mut self, value: u64);
    /// Inserts an element before that at `index`.
    fn insert(&mut self, index: usize, value: u64);
    /// Removes the element at `index`.
    fn remove(&mut self, index: usize) -> u64;
    /// Cuts the sequence at `index`, and joins its parts in the other order.
    fn turn(&mut self, index: usize);
    /// Shows all elements.
    fn each(&self, see: impl FnMut(u64));
}

/// Is shown types of maps, one after the other.
pub trait Visitor<K> {
    /// The next.
    fn visit<M: Versioned<K>>(&mut self);
}

/// All maps, in the order of the tables.
pub fn maps<K: Key>(visitor: &mut impl Visitor<K>) {
    visitor.visit::<BTreeMap<K, u64>>();
    visitor.visit::<PersistentMap<K, u64>>();
    visitor.visit::<OrdMap<K, u64>>();
    visitor.visit::<RedBlackTreeMapSync<K, u64>>();
}

/// Is shown types of sequences, one after the other.
pub trait SequenceVisitor {
    /// The next.
    fn visit<S: Sequence>(&mut self);
}

/// All sequences, in the order of the tables.
pub fn sequences(visitor: &mut impl SequenceVisitor) {
    visitor.visit::<Vec<u64>>();
    visitor.visit::<PersistentVec<u64>>();
    visitor.visit::<Vector<u64>>();
}

/// Whether a copy of all entries for each version is too much work.
pub(crate) fn copies_too_much(shares: bool, row: &Row) -> bool {
    !shares && row.n > 1 << 10
}

#[cfg(test)]
mod tests {
    use super::{Key, Sequence, SequenceVisitor, Versioned, Visitor, maps, sequences};
    use crate::keys::Rng;
    use std::collections::BTreeMap;

    struct Witness;

    impl<K: Key> Visitor<K> for Witness {
        fn visit<M: Versioned<K>>(&mut self) {
            let (mut map, mut model) = (M::new(), BTreeMap::new());
            let mut rng = Rng::new(5);
            let mut kept = Vec::new();
            for step in 0..20_000 {
                let key = K::make(rng.below(2000));
                if rng.below(10) < 4 {
                    assert_eq!(map.remove(&key), model.remove(&key).is_some(), "{}", M::NAME);
                } else {
                    map.insert(key.clone(), step);
                    model.insert(key.clone(), step);
                }
                assert_eq!(map.get(&key), model.get(&key).copied(), "{}", M::NAME);
                if step % 1000 == 0 {
                    kept.push((map.clone(), model.clone()));
                }
            }
            for (map, model) in &kept {
                let mut seen = Vec::new();
                map.each(|value| seen.push(value));
                assert!(seen.iter().eq(model.values()), "{}", M::NAME);
                let keys: Vec<&K> = model.keys().collect();
                if let [_, from, .., to, _] = keys[..] {
                    seen.clear();
                    map.scan(from, to, |value| seen.push(value));
                    assert!(seen.iter().eq(model.range(from..=to).map(|(_, v)| v)), "{}", M::NAME);
                }
            }
            let (mut newer, key) = (map.clone(), K::make(9999));
            newer.insert(key, 1);
            assert_eq!((map.changes(&newer), newer.changes(&newer)), (1, 0), "{}", M::NAME);
        }
    }

    impl SequenceVisitor for Witness {
        fn visit<S: Sequence>(&mut self) {
            let (mut sequence, mut model) = (S::new(), Vec::new());
            let mut rng = Rng::new(6);
            for step in 0..20_000 {
                let index = rng.below(model.len() as u64 + 1) as usize;
                match rng.below(10) {
                    0..3 => (sequence.push(step), model.push(step)).0,
                    3..6 => (sequence.insert(index, step), model.insert(index, step)).0,
                    _ if index == model.len() => {}
                    6..8 => assert_eq!(sequence.remove(index), model.remove(index), "{}", S::NAME),
                    8 => (sequence.set(index, step), model[index] = step).0,
                    _ => (sequence.turn(index), model.rotate_left(index)).0,
                }
                let expected = model.as_slice().get(index).copied();
                assert_eq!(sequence.get(index), expected, "{}", S::NAME);
            }
            let mut seen = Vec::new();
            sequence.each(|value| seen.push(value));
            assert_eq!(seen, model, "{}", S::NAME);
        }
    }

    #[test]
    fn every_map_and_sequence_does_what_stds_do() {
        maps::<u64>(&mut Witness);
        maps::<String>(&mut Witness);
        sequences(&mut Witness);
    }
}
