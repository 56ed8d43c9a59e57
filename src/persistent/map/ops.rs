//! The map, its lookups and its changes.

use crate::error::{TryInsertError, TryReserveError};
use crate::memory::AllocError;
use crate::persistent::node::{Editable, Kind};
use crate::persistent::tree::{Place, Tree};
use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::marker::PhantomData;
use core::mem;

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

/// An ordered map as a value: a clone takes a few nanoseconds, and shares all entries with the original.
///
/// The map is a B+-tree. A change copies the nodes on the way to the changed entry, at most one for each level, unless
/// no other map shares them. So a map without clones is changed in place, as std's `BTreeMap` is; and each clone is a
/// *version*, which stays as it is and costs only what has changed since. See [the module](crate::persistent).
///
/// It has most methods of [`BTreeMap`](std::collections::BTreeMap), with the same meaning;
/// [`docs::api`](crate::docs::api#persistentmap-and-stds-btreemap) lists the differences. Changes need `K: Clone` and
/// `V: Clone`. A map is `Send` and `Sync` if `K` and `V` are both.
///
/// ```
/// use hedgerow::persistent::PersistentMap;
///
/// let mut stock = PersistentMap::from([("apples", 12), ("pears", 4)]);
/// let yesterday = stock.clone();
/// stock.insert("pears", 9);
/// stock.remove("apples");
/// assert_eq!(yesterday.get("apples"), Some(&12));
/// assert_eq!(yesterday.get("pears"), Some(&4));
/// assert_eq!(stock.iter().collect::<Vec<_>>(), [(&"pears", &9)]);
/// ```
///
/// # Errors and panics
/// If memory runs out, the process aborts, as with std's collections; `try_` methods return an error instead. If
/// `Clone` or `Ord` panics, the map is as before (`append`, `extend` and `retain` consist of many changes, and keep
/// those that were made). Keys that are ordered inconsistently may be lost or found twice, but cause no undefined
/// behaviour.
pub struct PersistentMap<K, V> {
    pub(crate) tree: Tree<Pairs<K, V>>,
}

/// Ends the process for lack of memory, as std's collections do.
pub(crate) fn out_of_memory(_why: AllocError) -> ! {
    handle_alloc_error(Layout::new::<[usize; 64]>())
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
    /// Returns an empty map. Allocates nothing.
    pub const fn new() -> Self {
        Self { tree: Tree::new() }
    }

    /// Returns the number of entries. O(1).
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries. Other versions keep theirs.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Returns whether both maps are the same version: neither has been changed since one was cloned from the other.
    /// O(1).
    ///
    /// If it returns `false`, the maps may still have equal entries.
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::from([(1, 'a')]);
    /// let version = map.clone();
    /// assert!(map.ptr_eq(&version));
    /// map.insert(2, 'b');
    /// assert!(!map.ptr_eq(&version));
    /// ```
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.tree.is_same(&other.tree)
    }

    /// Returns the bytes that the map's nodes take from the allocator, including those that it shares with other
    /// versions, without what keys and values own. O(n / 64).
    pub fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes()
    }

    pub(crate) fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        self.tree.find_place(|bounds| child_of(bounds, key), |keys| search(keys, key))
    }

    /// Returns the value of a key. O(log n).
    #[inline]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Returns the entry of a key. O(log n).
    #[inline]
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.tree.find(|bounds| child_of(bounds, key), |keys| search(keys, key).ok())
    }

    /// Returns whether the map has a key. O(log n).
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// Stores a value, and returns the one that it replaces. Keeps the old key, as std does. O(log n).
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::new();
    /// assert_eq!(map.insert(7, "seven"), None);
    /// assert_eq!(map.insert(7, "sieben"), Some("seven"));
    /// ```
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.insert_by(key, value).unwrap_or_else(|(why, ..)| out_of_memory(why))
    }

    fn insert_by(&mut self, key: K, value: V) -> Result<Option<V>, (AllocError, K, V)> {
        match self.place(&key) {
            Ok(place) => match self.tree.get_mut(&place) {
                Ok((_, old)) => Ok(Some(mem::replace(old, value))),
                Err(why) => Err((why, key, value)),
            },
            Err(place) => self.tree.insert_at(&place, key, value).map(|()| None),
        }
    }

    /// As [`insert`](Self::insert), but returns key and value if there is no memory.
    ///
    /// # Errors
    /// [`TryInsertError::Alloc`].
    pub fn try_insert(&mut self, key: K, value: V) -> Result<Option<V>, TryInsertError<K, V>> {
        self.insert_by(key, value).map_err(|(_, key, value)| TryInsertError::Alloc { key, value })
    }

    /// Returns the value of a key, for changes. Copies the nodes on the way if other versions share them. O(log n).
    ///
    /// ```
    /// let mut map = hedgerow::persistent::PersistentMap::from([("a", 1)]);
    /// let version = map.clone();
    /// *map.get_mut("a").unwrap() += 1;
    /// assert_eq!((map["a"], version["a"]), (2, 1));
    /// ```
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        let entry = self.tree.get_mut(&place);
        Some(entry.unwrap_or_else(|why| out_of_memory(why)).1)
    }

    /// Removes a key, and returns its value. O(log n).
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Removes a key, and returns its entry. O(log n).
    pub fn remove_entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        Some(self.remove_place(&place))
    }

    pub(crate) fn remove_place(&mut self, place: &Place) -> (K, V) {
        self.tree.remove_at(place).unwrap_or_else(|why| out_of_memory(why))
    }

    /// As [`remove_entry`](Self::remove_entry), but returns an error if there is no memory. A removal needs memory to
    /// copy the nodes that other versions share.
    ///
    /// # Errors
    /// [`TryReserveError::Alloc`].
    pub fn try_remove_entry<Q: Ord + ?Sized>(
        &mut self,
        key: &Q,
    ) -> Result<Option<(K, V)>, TryReserveError>
    where
        K: Borrow<Q>,
    {
        let Ok(place) = self.place(key) else { return Ok(None) };
        self.tree.remove_at(&place).map(Some).map_err(|AllocError| TryReserveError::Alloc)
    }

    /// Keeps the entries for which `keep` returns `true`.
    ///
    /// Copies all nodes that other versions share, because `keep` may change values. If `keep` panics, the entries that
    /// it has not seen yet stay.
    pub fn retain<F: FnMut(&K, &mut V) -> bool>(&mut self, keep: F) {
        self.tree.retain_mut(keep).unwrap_or_else(|why| out_of_memory(why));
    }
}
