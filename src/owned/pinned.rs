//! `HashMap`: methods that take a guard, and the operations of a pinned map, which return plain references.

use super::iter::{PinnedIter, PinnedKeys, PinnedValues};
use super::map::HashMap;
use crate::api::batch::{WINDOW, hashes, same_length};
use crate::api::cursor::Cursor;
use crate::error::{Busy, TryInsertError};
use crate::reclaim::borrowed::Pinned;
use crate::reclaim::errors::into_error;
use crate::reclaim::guard::HasGuard;
use crate::reclaim::handle::OwnedGuard;
use crate::reclaim::map::NodeMap;
use crate::reclaim::methods::{guard_methods, pinned_lookup_methods, pinned_methods};
use crate::reclaim::node::Live;
use crate::reclaim::pair::out_of_memory;
use crate::reclaim::retired::WaitMode;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K, V, S> HashMap<K, V, S> {
    guard_methods!("HashMap<&str, &str>");
}

impl<K: Eq + Hash, V, S: BuildHasher, G: HasGuard> Pinned<'_, HashMap<K, V, S>, G> {
    pinned_lookup_methods!(HashMap.inner, where [Q: Hash + Equivalent<K> + ?Sized]);
    pinned_methods!(HashMap.inner);

    /// Returns the value of `key` as [`get`](Self::get) does, but never waits.
    ///
    /// Use it in interrupt handlers, and in code that must not spin.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.pin().try_get("rose"), Ok(Some(&1)));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<&V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let found = self.map().inner.find_in(WaitMode::NON_BLOCKING, key, self.guard())?;
        Ok(found.map(Live::value))
    }

    /// Looks up each of `keys`, and stores the results in `values`.
    ///
    /// If the map is larger than the caches, this is several times faster than one [`get`](Self::get) for each key.
    /// Waits and linearizes as `get` does, one key after the other: a result is never older than the one before it. The
    /// batch is not atomic. Allocates nothing.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// let map = map.pin();
    /// let mut counts = [None; 2];
    /// map.get_many(&["thorn", "rose"], &mut counts);
    /// assert_eq!(counts, [None, Some(&1)]);
    /// ```
    pub fn get_many<'p, Q>(&'p self, keys: &[&Q], values: &mut [Option<&'p V>])
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        same_length(keys.len(), values.len());
        let map = &self.map().inner;
        for (keys, values) in keys.chunks(WINDOW).zip(values.chunks_mut(WINDOW)) {
            map.nodes.get_window(
                &hashes(keys.len(), |at| map.hash_of(keys[at]))[..keys.len()],
                |at, node| keys[at].equivalent(node.key()),
                |at, found| values[at] = found.map(Live::value),
                self.guard(),
            );
        }
    }
}

impl<K, V, S, G: HasGuard> Pinned<'_, HashMap<K, V, S>, G> {
    /// Returns an iterator over all entries, in no particular order; see [`HashMap::iter`].
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// let map = map.pin();
    /// let mut all: Vec<_> = map.iter().collect();
    /// all.sort();
    /// assert_eq!(all, [(&1, &'a'), (&2, &'b')]);
    /// ```
    pub fn iter(&self) -> PinnedIter<'_, K, V, G> {
        PinnedIter::new(self.map().nodes(), self.holder())
    }

    /// Returns an iterator over all keys; see [`HashMap::iter`].
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.pin().keys().collect::<Vec<_>>(), [&1]);
    /// ```
    pub fn keys(&self) -> PinnedKeys<'_, K, V, G> {
        PinnedKeys(self.iter())
    }

    /// Returns an iterator over all values; see [`HashMap::iter`].
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.pin().values().collect::<Vec<_>>(), [&'a']);
    /// ```
    pub fn values(&self) -> PinnedValues<'_, K, V, G> {
        PinnedValues(self.iter())
    }

    /// Calls `f` with entries from `cursor` on, until `f` got at least `budget` of them. Returns the cursor of the
    /// rest, or `None` at the end.
    ///
    /// [`FlatMap::scan`](crate::FlatMap::scan) describes the guarantees. The caller may drop the guard between calls.
    ///
    /// ```
    /// use hedgerow::owned::Cursor;
    ///
    /// let map: hedgerow::HashMap<u32, String> = (0..100).map(|n| (n, n.to_string())).collect();
    /// let (mut shown, mut place) = (0, Some(Cursor::default()));
    /// while let Some(cursor) = place {
    ///     place = map.pin().scan(cursor, 10, |_, _| shown += 1);
    /// }
    /// assert_eq!(shown, 100);
    /// ```
    pub fn scan<'p>(
        &'p self,
        cursor: Cursor,
        budget: usize,
        mut f: impl FnMut(&'p K, &'p V),
    ) -> Option<Cursor> {
        self.map().nodes().scan(cursor, budget, self.guard(), |node| f(node.key(), node.value()))
    }
}

impl<'p, K, V, S, G: HasGuard> IntoIterator for &'p Pinned<'_, HashMap<K, V, S>, G> {
    type Item = (&'p K, &'p V);
    type IntoIter = PinnedIter<'p, K, V, G>;

    fn into_iter(self) -> PinnedIter<'p, K, V, G> {
        self.iter()
    }
}
