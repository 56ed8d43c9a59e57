//! A scan of a map in several calls.

use super::fence_map::FenceMap;
use crate::fence::tree::range::unbounded;
use crate::fence::tree::rank::Ranking;
use crate::fence::tree::walk::Resume;
use alloc::vec::Vec;
use core::ops::Bound;

/// A position in a scan of a [`FenceMap`], for [`FenceMap::scan`]: a key, and whether it was returned.
///
/// The default one is the start. A cursor borrows nothing, so it may be kept for any time, or dropped.
///
/// ```
/// use hedgerow::fence::Cursor;
/// let map: hedgerow::FenceMap<u32, char> = [(1, 'a'), (2, 'b'), (3, 'c')].into();
/// map.scan(Cursor::from(2), 1, |key, _| assert!(key >= 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor<K>(pub(crate) Bound<K>);

impl<K> Default for Cursor<K> {
    fn default() -> Self {
        Self(Bound::Unbounded)
    }
}

impl<K> From<K> for Cursor<K> {
    /// Returns the position right before `key`.
    fn from(key: K) -> Self {
        Self(Bound::Included(key))
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Passes entries to `f`, in key order, from `cursor` on, until there were at least `budget` of them. Returns where
    /// to continue, or None at the end. Each call does at least one leaf, and each leaf is a consistent snapshot.
    ///
    /// A key that stays in the map from the first call to the last is passed exactly once; a key that is inserted or
    /// removed concurrently at most once. `f` runs while nothing is locked. Allocates a buffer for one leaf. Waits
    /// while a leaf is being written.
    ///
    /// ```
    /// use hedgerow::fence::Cursor;
    ///
    /// let map: hedgerow::FenceMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let (mut keys, mut place) = (Vec::new(), Some(Cursor::default()));
    /// while let Some(cursor) = place {
    ///     place = map.scan(cursor, 100, |key, _| keys.push(key));
    ///     map.remove(&0); // the scan goes on
    /// }
    /// assert!(keys.into_iter().eq(0..1000));
    /// ```
    pub fn scan(
        &self,
        cursor: Cursor<K>,
        budget: usize,
        mut f: impl FnMut(K, V),
    ) -> Option<Cursor<K>> {
        let (mut resume, mut shown, mut some) = (Resume::new(cursor.0), 0, Vec::new());
        loop {
            some.clear();
            let next = self.finish(self.tree().copy_next_leaf(resume, unbounded(), &mut some));
            for &(key, value) in &some {
                f(key, value);
            }
            shown += some.len();
            resume = next?;
            if shown >= budget {
                return Some(Cursor(resume.from));
            }
        }
    }
}
