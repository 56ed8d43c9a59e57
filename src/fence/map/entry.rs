//! Operations that find or store a value in one step.

use super::fallible::hand_back;
use super::fence_map::FenceMap;
use crate::api::entry::{Entries, Entry, or_insert, sealed::Sealed};
use crate::api::op::{Change, Op};
use crate::error::{OccupiedError, TryInsertError};
use crate::fence::tree::leaf::Leaf;
use crate::fence::tree::rank::Ranking;
use crate::sync::backoff::Backoff;
use crate::sync::words::both;
use equivalent::Comparable;

impl<K, V, R> Sealed for FenceMap<K, V, R> {}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Entries for FenceMap<K, V, R> {
    type Key = K;
    type Value = V;
    type Found<'a>
        = V
    where
        Self: 'a;
    type Taken<'a>
        = V
    where
        Self: 'a;

    fn value(found: &V) -> &V {
        found
    }

    fn find(&self, key: &K) -> Option<V> {
        self.get(key)
    }

    fn find_or_insert(&self, key: K, make: impl FnOnce(&K) -> V) -> V {
        self.found_or(key, make, |_| Op::Keep)
    }

    fn insert_new(&self, key: K, value: V) -> Result<V, (K, V)> {
        self.insert_if_absent(key, value).map(|()| value).map_err(OccupiedError::into_parts)
    }

    fn modify_or_insert(
        &self,
        key: K,
        mut modify: impl FnMut(&mut V),
        make: impl FnOnce(&K) -> V,
    ) -> V {
        self.found_or(key, make, |mut value| {
            modify(&mut value);
            Op::Insert(value)
        })
    }

    fn store(&self, key: K, value: V) -> Option<V> {
        self.insert(key, value)
    }

    fn take(&self, key: &K) -> Option<V> {
        self.remove(key)
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// The value after `modify` was asked about the one that was found, or after the one of `make` was stored.
    #[inline]
    fn found_or(&self, key: K, make: impl FnOnce(&K) -> V, modify: impl FnMut(V) -> Op<V>) -> V {
        let mut made = None;
        let done = self.compute(key, or_insert(key, make, &mut made, modify));
        done.after.expect("the key has a value now")
    }

    /// Looks at the place of `key`, to decide what to store there. Waits as [`get`](Self::get) does; see [`Entry`].
    ///
    /// ```
    /// let map: hedgerow::FenceMap<&str, u32> = [("rose", 1)].into();
    /// assert_eq!(map.entry("rose").and_modify(|n| *n += 1).or_insert(1), 2);
    /// ```
    #[inline]
    pub fn entry(&self, key: K) -> Entry<'_, Self> {
        Entry::of(self, key)
    }

    /// Returns the value of `key`. If there is none, `make` is called, and the map keeps what it returns.
    ///
    /// `make` runs with nothing locked, at most once, and in vain if another thread inserts the key meanwhile: all
    /// callers get the value that is in the map. Blocks and allocates as [`insert`](Self::insert) does if the key is
    /// absent.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<u32, usize>::new();
    /// assert_eq!(map.get_or_insert_with(7, || 4), 4);
    /// assert_eq!(map.get_or_insert_with(7, || unreachable!()), 4);
    /// ```
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V {
        self.found_or(key, |_| make(), |_| Op::Keep)
    }

    /// Returns the value of `key`, and stores `value` if there is none. Blocks and allocates as
    /// [`get_or_insert_with`](Self::get_or_insert_with) does.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<u32, char>::new();
    /// assert_eq!((map.get_or_insert(7, 'a'), map.get_or_insert(7, 'b')), ('a', 'a'));
    /// ```
    pub fn get_or_insert(&self, key: K, value: V) -> V {
        self.get_or_insert_with(key, || value)
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), if `make` succeeds. If another thread inserts the key while
    /// `make` runs, returns that thread's value, or the error of `make`.
    ///
    /// # Errors
    /// The error of `make`. Then nothing is inserted.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<u32, u8>::new();
    /// assert!(map.get_or_try_insert_with(7, || "many".parse()).is_err());
    /// assert_eq!(map.get_or_try_insert_with(7, || "7".parse()), Ok(7));
    /// ```
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        if let Some(found) = self.get(&key) {
            return Ok(found);
        }
        let value = make()?;
        Ok(self.get_or_insert(key, value))
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert); the value of `make` is handed back with the key, None if `make` was not
    /// called.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<u32, u32>::new();
    /// assert_eq!(map.try_get_or_insert_with(1, || 2), Ok(2));
    /// assert_eq!(map.try_get_or_insert_with(1, || unreachable!()), Ok(2));
    /// ```
    pub fn try_get_or_insert_with(
        &self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> Result<V, TryInsertError<K, Option<V>>> {
        let mut made = None;
        let decide = or_insert(key, |_| make(), &mut made, |_| Op::Keep);
        let done = self.alter(&key, Backoff::never(), decide);
        match done {
            Ok(done) => Ok(Self::computed(done).after.expect("the key has a value now")),
            Err(why) => Err(hand_back(&why, key, made)),
        }
    }

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
        let read = |leaf: Leaf<'_, K, V>, at| both(leaf.fetch_key(at), leaf.fetch_value(at));
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
    /// `condition` runs with nothing locked, and again if another thread has changed anything in the key's leaf
    /// meanwhile. Blocks as [`remove`](Self::remove) does.
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
            (removed, Change::Remove) => removed,
            _ => None,
        }
    }
}
