//! Many keys at a time, their waits for memory overlapping (see [`window`](crate::table::window)).

use super::map::HashMap;
use crate::reclaim::guard::Guard;
use crate::table::window::{WINDOW, hashes, same_length};
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// The value of each of `keys`, in `values`: as [`get`](Self::get) of each in turn, but a map that is
    /// larger than the caches answers several times sooner.
    ///
    /// Waits and linearizes as `get` does, one key after the other: an answer is never older than one in front of
    /// it. Allocates nothing. The batch is not atomic.
    ///
    /// # Panics
    /// When the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// let guard = hedgerow::owned::pin();
    /// let mut counts = [None; 2];
    /// map.get_many(&["thorn", "rose"], &mut counts, &guard);
    /// assert_eq!(counts, [None, Some(&1)]);
    /// ```
    pub fn get_many<'a, Q>(
        &'a self,
        keys: &[&Q],
        values: &mut [Option<&'a V>],
        guard: &'a Guard<'_>,
    ) where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        same_length(keys.len(), values.len());
        for (keys, values) in keys.chunks(WINDOW).zip(values.chunks_mut(WINDOW)) {
            self.nodes().get_window(
                &hashes(keys.len(), |at| self.hash(keys[at]))[..keys.len()],
                |at, node| node.fields().key.borrow() == keys[at],
                |at, found| values[at] = found.map(|node| &node.fields().value),
                guard,
            );
        }
    }
}
