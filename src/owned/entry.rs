//! [`Entry`] of `HashMap`.

use super::map::HashMap;
use super::ops::out_of_memory;
use crate::api::entry::{Entries, Entry, modify_or_insert, sealed::Sealed};
use crate::reclaim::borrowed::Ref;
use crate::reclaim::guard::pin;
use crate::reclaim::pair::Pair;
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::Way;
use core::hash::{BuildHasher, Hash};

impl<K, V, S> Sealed for HashMap<K, V, S> {}

impl<K: Eq + Hash, V, S: BuildHasher> Entries for HashMap<K, V, S> {
    type Key = K;
    type Value = V;
    type Found<'a>
        = Ref<'a, K, V>
    where
        Self: 'a;
    type Taken<'a>
        = Removed<'a, K, V>
    where
        Self: 'a;

    fn value<'f>(found: &'f Ref<'_, K, V>) -> &'f V {
        found.value()
    }

    fn find(&self, key: &K) -> Option<Ref<'_, K, V>> {
        self.get(key)
    }

    fn find_or_insert(&self, key: K, make: impl FnOnce(&K) -> V) -> Ref<'_, K, V> {
        self.get_or_insert_with_key(key, make)
    }

    fn insert_new(&self, key: K, value: V) -> Result<Ref<'_, K, V>, (K, V)> {
        Self::insert_new(self, key, value)
    }

    fn modify_or_insert(
        &self,
        key: K,
        modify: impl FnMut(&mut V),
        make: impl FnOnce(&K) -> V,
    ) -> Ref<'_, K, V>
    where
        K: Clone,
        V: Clone,
    {
        let update = |key: &K, f: &mut dyn FnMut(&V) -> V| self.update(key, f);
        let insert = |key, value| self.insert_new(key, value);
        modify_or_insert(key, modify, make, update, insert, |key, f| self.compute(key, f).after)
    }

    fn store(&self, key: K, value: V) -> Option<Removed<'_, K, V>> {
        self.insert(key, value)
    }

    fn take(&self, key: &K) -> Option<Removed<'_, K, V>> {
        self.remove(key)
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// Looks at the place of `key`, to decide what to store there. Waits as [`get`](Self::get) does; see [`Entry`].
    ///
    /// ```
    /// let map = hedgerow::HashMap::<&str, u32>::new();
    /// for word in ["rose", "thorn", "rose"] {
    ///     map.entry(word).and_modify(|n| *n += 1).or_insert(1);
    /// }
    /// assert_eq!(map.get_cloned("rose"), Some(2));
    /// ```
    pub fn entry(&self, key: K) -> Entry<'_, Self> {
        Entry::of(self, key)
    }

    /// Inserts an entry for a key that has none, and returns it; else hands key and value back.
    fn insert_new(&self, key: K, value: V) -> Result<Ref<'_, K, V>, (K, V)> {
        let guard = pin();
        let hash = self.hash(&key);
        let fresh = Pair::new(hash, key, value).unwrap_or_else(out_of_memory::<K, V, _, _>);
        let node = fresh.0;
        match self.store_absent(fresh, Way::Waiting, &guard) {
            // SAFETY: published while the guard is held.
            Ok(()) => Ok(unsafe { Ref::of_pair(node, guard) }),
            Err((Ok(_), fresh)) => Err(Pair::into_inner(fresh)),
            Err((Err(why), _)) => out_of_memory::<K, V, _, _>(why),
        }
    }
}
