//! `BytesMap`: methods that take a guard, and the operations of a pinned map, which return plain slices.

use super::bytes_iter::PinnedBytesIter;
use super::bytes_map::BytesMap;
use crate::api::batch::{WINDOW, hashes, same_length};
use crate::api::cursor::Cursor;
use crate::error::Busy;
use crate::reclaim::borrowed::Pinned;
use crate::reclaim::guard::HasGuard;
use crate::reclaim::handle::OwnedGuard;
use crate::reclaim::methods::guard_methods;
use crate::reclaim::node::Live;
use crate::reclaim::retired::WaitMode;
use core::hash::BuildHasher;

impl<S> BytesMap<S> {
    guard_methods!("BytesMap");
}

impl<S: BuildHasher, G: HasGuard> Pinned<'_, BytesMap<S>, G> {
    /// Returns the key and the value of `key`'s entry.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.pin().get_key_value("rose"), Some((&b"rose"[..], &b"red"[..])));
    /// ```
    #[inline]
    pub fn get_key_value(&self, key: impl AsRef<[u8]>) -> Option<(&[u8], &[u8])> {
        self.map().inner.find(key.as_ref(), self.guard()).map(Live::entry)
    }

    /// Returns the value of `key`, as [`BytesMap::get`] does.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// let map = map.pin();
    /// assert_eq!((map.get("rose"), map.get("thorn")), (Some(&b"red"[..]), None));
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.map().inner.find(key.as_ref(), self.guard()).map(Live::value)
    }

    /// Returns the value of `key` as [`get`](Self::get) does, but never waits.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.pin().try_get("rose"), Ok(Some(&b"red"[..])));
    /// ```
    pub fn try_get(&self, key: impl AsRef<[u8]>) -> Result<Option<&[u8]>, Busy> {
        let mode = WaitMode::NON_BLOCKING;
        let found = self.map().inner.find_in(mode, key.as_ref(), self.guard())?;
        Ok(found.map(Live::value))
    }

    /// Looks up each of `keys`, and stores the results in `values`.
    ///
    /// If the map is larger than the caches, this is several times faster than one [`get`](Self::get) for each key.
    /// Linearizes one key after the other: a result is never older than the one before it. The batch is not atomic.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// let map = map.pin();
    /// let mut colours = [None; 2];
    /// map.get_many(&["thorn", "rose"], &mut colours);
    /// assert_eq!(colours, [None, Some(&b"red"[..])]);
    /// ```
    pub fn get_many<'p>(&'p self, keys: &[impl AsRef<[u8]>], values: &mut [Option<&'p [u8]>]) {
        same_length(keys.len(), values.len());
        let map = &self.map().inner;
        for (keys, values) in keys.chunks(WINDOW).zip(values.chunks_mut(WINDOW)) {
            map.nodes.get_window(
                &hashes(keys.len(), |at| map.hash_of(keys[at].as_ref()))[..keys.len()],
                |at, node| node.key() == keys[at].as_ref(),
                |at, found| values[at] = found.map(Live::value),
                self.guard(),
            );
        }
    }
}

impl<S, G: HasGuard> Pinned<'_, BytesMap<S>, G> {
    /// Returns an iterator over all keys and values, in no particular order; see [`BytesMap::iter`].
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.pin().iter().next(), Some((&b"rose"[..], &b"red"[..])));
    /// ```
    pub fn iter(&self) -> PinnedBytesIter<'_, G> {
        PinnedBytesIter::new(self.map().nodes(), self.holder())
    }

    /// Returns an iterator over all keys; see [`BytesMap::iter`].
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.pin().keys().collect::<Vec<_>>(), [b"rose"]);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns an iterator over all values; see [`BytesMap::iter`].
    ///
    /// ```
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// assert_eq!(map.pin().values().collect::<Vec<_>>(), [b"red"]);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(|(_, value)| value)
    }

    /// Calls `f` with entries from `cursor` on, until `f` got at least `budget` of them. Returns the cursor of the
    /// rest, or `None` at the end. [`FlatMap::scan`](crate::FlatMap::scan) describes the guarantees.
    ///
    /// ```
    /// use hedgerow::owned::Cursor;
    /// let map = hedgerow::BytesMap::from([("rose", "red")]);
    /// let place = map.pin().scan(Cursor::default(), 10, |_, colour| assert_eq!(colour, b"red"));
    /// assert_eq!(place, None);
    /// ```
    pub fn scan<'p>(
        &'p self,
        cursor: Cursor,
        budget: usize,
        mut f: impl FnMut(&'p [u8], &'p [u8]),
    ) -> Option<Cursor> {
        self.map().nodes().scan(cursor, budget, self.guard(), |node| f(node.key(), node.value()))
    }
}

impl<'p, S, G: HasGuard> IntoIterator for &'p Pinned<'_, BytesMap<S>, G> {
    type Item = (&'p [u8], &'p [u8]);
    type IntoIter = PinnedBytesIter<'p, G>;

    fn into_iter(self) -> PinnedBytesIter<'p, G> {
        self.iter()
    }
}
