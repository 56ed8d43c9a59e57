//! `PersistentMap`.
use super::node::{Editable, Kind};
use super::tree::{Place, Tree};
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::marker::PhantomData;

/// The trees of maps.
pub(crate) struct Pairs<K, V>(PhantomData<(K, V)>);

impl<K, V> Kind for Pairs<K, V> {
    type Key = K;
    type Value = V;
    type Bound = K;
}

impl<K: Clone, V: Clone> Editable for Pairs<K, V> {
    fn bound(first: &K) -> K {
        first.clone()
    }
}

/// A map.
pub struct PersistentMap<K, V> {
    tree: Tree<Pairs<K, V>>,
}

impl<K, V> Clone for PersistentMap<K, V> {
    fn clone(&self) -> Self {
        Self { tree: self.tree.clone() }
    }
}

#[inline(always)]
fn search<K: Borrow<Q>, Q: Ord + ?Sized>(keys: &[K], key: &Q) -> Result<usize, usize> {
    keys.binary_search_by(|k| k.borrow().cmp(key))
}

#[inline(always)]
fn child_of<K: Borrow<Q>, Q: Ord + ?Sized>(bounds: &[K], key: &Q) -> usize {
    bounds.partition_point(|bound| bound.borrow().cmp(key) != Ordering::Greater)
}

impl<K, V> PersistentMap<K, V> {
    /// New.
    pub const fn new() -> Self {
        Self { tree: Tree::new() }
    }
    /// Len.
    pub fn len(&self) -> usize {
        self.tree.len()
    }
    /// Bytes.
    pub fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes()
    }
    /// Get.
    #[inline]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let entry = self.tree.find(|bounds| child_of(bounds, key), |keys| search(keys, key).ok());
        Some(entry?.1)
    }
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        self.tree.find_place(|bounds| child_of(bounds, key), |keys| search(keys, key))
    }
    /// Iter.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.tree.entries(0..self.len())
    }
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// Insert.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => {
                let (_, old) = self.tree.get_mut(&place).unwrap();
                Some(core::mem::replace(old, value))
            }
            Err(place) => {
                self.tree.insert_at(&place, key, value).ok().unwrap();
                None
            }
        }
    }
    /// Remove.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        Some(self.tree.remove_at(&place).unwrap().1)
    }
    /// Split.
    pub fn split_off(&mut self, key: &K) -> Self {
        let (Ok(place) | Err(place)) = self.place(key);
        let index = self.tree.index_of(&place);
        let right = self.tree.slice(index..self.len()).unwrap();
        self.tree = self.tree.slice(0..index).unwrap();
        Self { tree: right }
    }
    /// Append.
    pub fn append(&mut self, other: &mut Self) {
        self.tree = self.tree.join(&other.tree, K::clone).unwrap();
        *other = Self::new();
    }
}
