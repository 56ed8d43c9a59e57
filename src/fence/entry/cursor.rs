//! A walk over a map that can be put down and taken up again.

use super::super::cursor::Cursor;
use super::super::range::unbounded;
use super::super::rank::Ranking;
use super::map::OrdMap;
use super::ops::give_up;
use crate::reclaim::guard::Guard;
use alloc::vec::Vec;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Shows entries to `f`, in key order, from `cursor` on, until at least `budget` of them were shown; returns where
    /// to go on, or None when all were. At least one leaf is done each time, and each leaf's entries are as they
    /// were at one moment. The guard need not be held from one call to the next: the cursor has a clone of a key.
    ///
    /// A key that is present from the first call to the last is shown exactly once; one that comes or goes meanwhile
    /// at most once. `f` runs with nothing locked. Allocates a buffer for one leaf. Waits while a writer is
    /// inside a leaf.
    ///
    /// ```
    /// use hedgerow::{fence::Cursor, owned::pin};
    ///
    /// let map: hedgerow::OrdMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let (mut keys, mut place) = (Vec::new(), Some(Cursor::default()));
    /// while let Some(cursor) = place {
    ///     place = map.scan(cursor, 100, &pin(), |key, _| keys.push(*key));
    ///     map.remove(&0); // nobody minds
    /// }
    /// assert!(keys.into_iter().eq(0..1000));
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as in the other maps, one goes in and one comes out"
    )]
    pub fn scan<'a>(
        &'a self,
        cursor: Cursor<K>,
        budget: usize,
        guard: &'a Guard<'_>,
        mut f: impl FnMut(&'a K, &'a V),
    ) -> Option<Cursor<K>> {
        let (mut shown, mut some) = (0, Vec::new());
        let start = cursor.0.as_ref().map(|key| self.sought(key));
        let next = self.tree().snapshot_from(start, unbounded(), &mut some);
        let mut next = next.unwrap_or_else(give_up::<K, V, _, _>);
        loop {
            for (raw, ()) in some.drain(..) {
                let (key, value) = Self::entry(raw, guard);
                f(key, value);
                shown += 1;
            }
            let place = next?;
            if shown >= budget {
                // SAFETY: a bound that was met under the guard.
                return Some(Cursor(place.from.map(|raw| unsafe { raw.key() }.clone())));
            }
            let done = self.tree().snapshot(place, unbounded(), &mut some);
            next = done.unwrap_or_else(give_up::<K, V, _, _>);
        }
    }
}
