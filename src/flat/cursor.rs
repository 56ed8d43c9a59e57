//! A walk over a map that can be interrupted and continued.

use super::map::FlatMap;
use crate::api::cursor::Cursor;

impl<K: Copy, V: Copy, S> FlatMap<K, V, S> {
    /// Calls `f` with entries, from `cursor` on, until it has seen at least `budget` of them. Returns the cursor to
    /// continue from, or `None` at the end. Each call visits at least one bin, and the entries of each bin are a
    /// consistent snapshot.
    ///
    /// A key that is present from the first call to the last is passed exactly once, even if the table grows in
    /// between; a key that is inserted or removed concurrently at most once. (Redis's `SCAN` may return keys again when
    /// its table has grown; here only `shrink_to_fit` between two calls has that effect.)
    ///
    /// A cursor refers to nothing, so it may be kept for any time or thrown away. It belongs to one map; in another map
    /// it is an arbitrary position. `f` runs while nothing is locked. Allocates a buffer for one bin. Waits while a bin
    /// is being written.
    ///
    /// ```
    /// use hedgerow::flat::Cursor;
    ///
    /// let map: hedgerow::FlatMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let (mut keys, mut place) = (Vec::new(), Some(Cursor::default()));
    /// while let Some(cursor) = place {
    ///     place = map.scan(cursor, 100, |key, _| keys.push(key));
    ///     map.insert(1000 + keys.len() as u32, 0); // allowed
    /// }
    /// assert!((0..1000).all(|key| keys.iter().filter(|&&k| k == key).count() == 1));
    /// ```
    pub fn scan(&self, cursor: Cursor, budget: usize, mut f: impl FnMut(K, V)) -> Option<Cursor> {
        self.table().scan(cursor, budget, |bin| {
            for raw in bin {
                // SAFETY: `scan` calls the closure after the bin's `snapshot` has returned.
                let (key, value) = unsafe { raw.whole() };
                f(key, value);
            }
        })
    }
}
