//! Many keys at a time.

use super::super::rank::Ranking;
use super::map::FenceEntryMap;
use crate::reclaim::guard::Guard;
use crate::table::window::same_length;
use core::borrow::Borrow;

impl<K: Ord + Clone, V, R: Ranking<K>> FenceEntryMap<K, V, R> {
    /// The value of each of `keys`, in `values`: as [`get`](Self::get) of each in turn.
    ///
    /// Each key is an operation of its own: a batch is not atomic.
    ///
    /// # Panics
    /// When the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::FenceEntryMap<String, u32> = [("rose".into(), 1)].into();
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
        Q: Ord + ?Sized,
        R: Ranking<Q>,
    {
        same_length(keys.len(), values.len());
        for (key, value) in keys.iter().zip(values) {
            *value = self.get(key, guard);
        }
    }
}
