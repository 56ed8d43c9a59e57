//! Operations that find or store a value in one step, and exchanges.

use super::lookup::is;
use super::map::FlatMap;
use crate::api::entry::Entry;
use crate::api::op::Op;
use crate::api::or_insert::{entries_of_copies, or_insert, or_insert_methods};
use crate::bins::bin::EntryWords as Slot;
use crate::error::{OccupiedError, TryInsertError};
use crate::sync::words::both;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

entries_of_copies! { [K: Copy + Eq + Hash, V: Copy, S: BuildHasher] FlatMap<K, V, S> }

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    or_insert_methods!(FlatMap);

    /// Returns copies of the map's key and of its value for `key`. Waits as [`get`](Self::get) does.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u32, char> = [(7, 'a')].into();
    /// assert_eq!((map.get_key_value(&7), map.get_key_value(&8)), (Some((7, 'a')), None));
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let read = |entry: Slot<'_, K, V>| both(entry.key(), entry.value());
        self.table().get(self.hash(key), is(key), read)
    }

    /// Returns the value of `key`, or the default value. Inserts nothing. Waits as [`get`](Self::get) does.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!((map.get_or_default(&7), map.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Default,
    {
        self.get(key).unwrap_or_default()
    }

    /// Removes `key` if `condition` returns true for its entry; returns the value that it had.
    ///
    /// `condition` runs while nothing is locked, and again if anything in the key's bin has changed in the meantime.
    /// Blocks as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!(map.remove_if(&7, |_, n| *n == 0), None);
    /// assert_eq!(map.remove_if(&7, |_, n| *n == 1), Some(1));
    /// ```
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&Q, &V) -> bool) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let decide = |value: V| if condition(key, &value) { Op::Remove } else { Op::Keep };
        match self.alter_hashed(self.hash(key), key, decide) {
            Some((before, Op::Remove)) => Some(before),
            _ => None,
        }
    }

    /// Replaces the value of `key` by `new` if it is `current`; returns the value that the key had. `None` means an
    /// absent key.
    ///
    /// So `(None, Some(v))` inserts if the key is absent, and `(Some(v), None)` removes exactly `v`. `V`'s `Eq` runs
    /// while nothing is locked. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// The value that the key has instead of `current`.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// assert_eq!(map.compare_exchange(1, Some('a'), Some('b')), Ok(Some('a')));
    /// assert_eq!(map.compare_exchange(1, Some('a'), Some('c')), Err(Some('b')));
    /// assert_eq!(map.compare_exchange(1, Some('b'), None), Ok(Some('b')));
    /// assert_eq!(map.get(&1), None);
    /// ```
    pub fn compare_exchange(
        &self,
        key: K,
        current: Option<V>,
        new: Option<V>,
    ) -> Result<Option<V>, Option<V>>
    where
        V: PartialEq,
    {
        let mut same = false;
        let done = self.compute(key, |old| Self::exchange(old, current, new, &mut same));
        if same { Ok(done.before) } else { Err(done.before) }
    }

    /// Returns what an exchange does with `old`, and sets `same` to whether it is `current`.
    #[inline]
    pub(super) fn exchange(
        old: Option<V>,
        current: Option<V>,
        new: Option<V>,
        same: &mut bool,
    ) -> Op<V>
    where
        V: PartialEq,
    {
        *same = old == current;
        match new {
            _ if !*same => Op::Keep,
            Some(new) => Op::Insert(new),
            None => Op::Remove,
        }
    }

    /// Replaces the value of `key` by the result of `f`, as std's atomics do, and returns the old value.
    ///
    /// `f` runs while nothing is locked, and again if anything in the key's bin has changed in the meantime.
    ///
    /// # Errors
    /// The value, unchanged, if `f` returned None; None if the key is absent.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, u32> = [("left", 1)].into();
    /// let take = |n: u32| n.checked_sub(1);
    /// assert_eq!(map.fetch_update("left", take), Ok(1));
    /// assert_eq!(map.fetch_update("left", take), Err(Some(0)));
    /// assert_eq!(map.fetch_update("right", take), Err(None));
    /// ```
    pub fn fetch_update<Q>(
        &self,
        key: &Q,
        mut f: impl FnMut(V) -> Option<V>,
    ) -> Result<V, Option<V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let decide = |old: V| f(old).map_or(Op::Keep, Op::Insert);
        match self.alter_hashed(self.hash(key), key, decide) {
            Some((before, Op::Insert(_))) => Ok(before),
            unchanged => Err(unchanged.map(|(before, _)| before)),
        }
    }
}
