//! A value that is found or stored in one step, and exchanges.

use super::map::FlatMap;
use crate::api::entry::{Entries, Entry, or_insert, sealed::Sealed};
use crate::api::op::Op;
use crate::bins::bin::Entry as Slot;
use crate::error::{OccupiedError, TryInsertError};
use crate::sync::backoff::Backoff;
use crate::sync::words::both;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

impl<K, V, S> Sealed for FlatMap<K, V, S> {}

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> Entries for FlatMap<K, V, S> {
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

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
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
    /// let map: hedgerow::FlatMap<&str, u32> = [("rose", 1)].into();
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
    /// let map = hedgerow::FlatMap::<u32, usize>::new();
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
    /// let map = hedgerow::FlatMap::<u32, char>::new();
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
    /// let map = hedgerow::FlatMap::<u32, u8>::new();
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
    /// let map = hedgerow::FlatMap::<u32, u32>::new();
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
        let done = self.alter(self.hash(&key), key, Backoff::never(), decide);
        match done {
            Ok(done) => Ok(Self::computed(done).after.expect("the key has a value now")),
            Err(why) => Err(why.hand_back(key, made)),
        }
    }

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
        self.table().get(self.hash(key), move |k| key.equivalent(k), read)
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
    /// `condition` runs with nothing locked, and again if anything in the key's bin changed meanwhile. Blocks as
    /// [`remove`](Self::remove) does.
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

    /// Replaces what `key` has by `new` if it is `current`, absence (None) included; either way tells what
    /// it had.
    ///
    /// So `(None, Some(v))` inserts where there is nothing, `(Some(v), None)` removes exactly `v`. `V`'s `Eq` runs
    /// with nothing locked. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// What the key has instead of `current`.
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

    /// What becomes of `old` in an exchange; says in `same` whether it is `current`.
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

    /// Replaces the value of `key` by what `f` makes of it, as std's atomics do; returns the value before.
    ///
    /// `f` runs with nothing locked, and again if anything in the key's bin changed meanwhile.
    ///
    /// # Errors
    /// The value, unchanged, where `f` returned None; None where the key has no value.
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
