//! Operations that find or store a value in one step.

use super::fence_map::FenceMap;
use crate::api::entry::Entry;
use crate::api::op::{EntryChange, Op};
use crate::api::or_insert::{entries_of_copies, or_insert, or_insert_methods};
use crate::error::{OccupiedError, TryInsertError};
use crate::fence::tree::leaf::LeafRef;
use crate::fence::tree::rank::Ranking;
use crate::sync::backoff::Backoff;
use crate::sync::words::both;
use equivalent::Comparable;

entries_of_copies! { [K: Copy + Ord, V: Copy, R: Ranking<K>] FenceMap<K, V, R> }

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    or_insert_methods!(FenceMap);

    /// Returns copies of the map's key and of its value for `key`. Waits as [`get`](Self::get) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, char> = [(7, 'a')].into();
    /// assert_eq!((map.get_key_value(&7), map.get_key_value(&8)), (Some((7, 'a')), None));
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let read = |leaf: LeafRef<'_, K, V>, at| both(leaf.fetch_key(at), leaf.fetch_value(at));
        self.tree().get(self.search_key(key), read)
    }

    /// Returns the value of `key`, or the default value. Inserts nothing. Waits as [`get`](Self::get) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!((map.get_or_default(&7), map.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
        V: Default,
    {
        self.get(key).unwrap_or_default()
    }

    /// Removes `key` if `condition` returns true for its entry, and returns the value that it had.
    ///
    /// `condition` runs while nothing is locked, and again if another thread has changed anything in the key's leaf in
    /// the meantime. Blocks as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!(map.remove_if(&7, |_, n| *n == 0), None);
    /// assert_eq!(map.remove_if(&7, |_, n| *n == 1), Some(1));
    /// ```
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&Q, &V) -> bool) -> Option<V>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let decide = |value: V| if condition(key, &value) { Op::Remove } else { Op::Keep };
        match self.finish(self.alter_there(key, Backoff::spinning(), decide)) {
            (removed, EntryChange::Remove) => removed,
            _ => None,
        }
    }
}
