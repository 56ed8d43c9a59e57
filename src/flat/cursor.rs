//! A walk over a map that can be put down and taken up again.

use super::map::FlatMap;
use crate::api::cursor::Cursor;

impl<K: Copy, V: Copy, S> FlatMap<K, V, S> {
    /// Shows entries to `f`, from `cursor` on, until at least `budget` of them were shown; returns where to go
    /// on, or None when all were. At least one bin is done each time, and each bin's entries are as they
    /// were at one moment.
    ///
    /// A key that is present from the first call to the last is shown exactly once, however often the table
    /// grows in between; one that comes or goes meanwhile at most once. (Redis' `SCAN` too goes by reversed
    /// hash bits, but shows keys again when its table has grown; `shrink_to_fit` between two calls makes ours
    /// do so too.) The cursor refers to nothing: it may be kept for ever, or thrown away.
    /// It belongs to one map, though: in another one it is just some place.
    ///
    /// `f` runs with nothing locked. Allocates a buffer for one bin. Waits while a writer is inside a bin.
    ///
    /// ```
    /// use hedgerow::flat::Cursor;
    ///
    /// let map: hedgerow::FlatMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let (mut keys, mut place) = (Vec::new(), Some(Cursor::default()));
    /// while let Some(cursor) = place {
    ///     place = map.scan(cursor, 100, |key, _| keys.push(key));
    ///     map.insert(1000 + keys.len() as u32, 0); // nobody minds
    /// }
    /// assert!((0..1000).all(|key| keys.iter().filter(|&&k| k == key).count() == 1));
    /// ```
    pub fn scan(&self, cursor: Cursor, budget: usize, mut f: impl FnMut(K, V)) -> Option<Cursor> {
        self.table().scan(cursor, budget, |bin| {
            for raw in bin {
                // SAFETY: the bin's snapshot has been taken.
                let (key, value) = unsafe { raw.whole() };
                f(key, value);
            }
        })
    }
}
