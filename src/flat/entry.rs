//! One key's place in a map, there or not: what std's `Entry` is for, without a lock to hold.

use super::map::FlatMap;
use crate::api::op::Op;
use crate::error::TryInsertError;
use crate::sync::backoff::Backoff;
use crate::table::Failure;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A key and what is to be done to its value; made by [`FlatMap::entry`].
///
/// Nothing is looked up or locked until one of the methods that end the chain is called; that method then
/// does everything at once, atomically, by [`compute`](FlatMap::compute). An entry that is dropped before
/// does nothing.
#[must_use = "an entry does nothing until `or_insert` or another method that ends the chain"]
pub struct Entry<'a, K, V, S, M = fn(&mut V)> {
    map: &'a FlatMap<K, V, S>,
    key: K,
    modify: Option<M>,
}

impl<'a, K, V, S> Entry<'a, K, V, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Has `f` change the value where there is one, when the chain ends.
    ///
    /// `f` runs with nothing locked, and again on the new value if the entry changed meanwhile.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// for word in ["rose", "briar", "rose"] {
    ///     map.entry(word).and_modify(|n| *n += 1).or_insert(1);
    /// }
    /// assert_eq!((map.get("rose"), map.get("briar")), (Some(2), Some(1)));
    /// ```
    pub fn and_modify<M: FnMut(&mut V)>(self, f: M) -> Entry<'a, K, V, S, M> {
        Entry { map: self.map, key: self.key, modify: Some(f) }
    }
}

impl<K, V, S, M> Entry<'_, K, V, S, M>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
    M: FnMut(&mut V),
{
    /// The key.
    ///
    /// ```
    /// assert_eq!(hedgerow::FlatMap::<u32, u32>::new().entry(7).key(), &7);
    /// ```
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Inserts `value` where there is none; returns the value that is there afterwards.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!((map.entry(1).or_insert('a'), map.entry(1).or_insert('b')), ('a', 'a'));
    /// ```
    pub fn or_insert(self, value: V) -> V {
        self.or_insert_with(|| value)
    }

    /// As [`or_insert`](Self::or_insert), with the value that `f` makes. `f` runs at most once, with nothing
    /// locked, and in vain where another thread inserts the key meanwhile.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<u32, u32>::new();
    /// assert_eq!(map.entry(1).or_insert_with(|| 2), 2);
    /// assert_eq!(map.entry(1).or_insert_with(|| unreachable!()), 2);
    /// ```
    pub fn or_insert_with(self, f: impl FnOnce() -> V) -> V {
        self.or_insert_with_key(|_| f())
    }

    /// As [`or_insert_with`](Self::or_insert_with), with a value made from the key.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!(map.entry("rose").or_insert_with_key(|word| word.len()), 4);
    /// ```
    pub fn or_insert_with_key(mut self, f: impl FnOnce(&K) -> V) -> V {
        let (map, key, mut made) = (self.map, self.key, None);
        let done = map.compute(key, self.decision(f, &mut made));
        done.after.or(made).expect("the key has a value now")
    }

    /// As [`or_insert`](Self::or_insert), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](FlatMap::try_insert), which hands key and `value` back.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!((map.entry(1).try_or_insert('a'), map.entry(1).try_or_insert('b')), (Ok('a'), Ok('a')));
    /// ```
    pub fn try_or_insert(self, value: V) -> Result<V, TryInsertError<K, V>> {
        let key = self.key;
        self.settle(|_| value, &mut None).map_err(|why| why.hand_back(key, value))
    }

    /// As [`or_insert_with`](Self::or_insert_with), but neither waits nor aborts.
    ///
    /// # Errors
    /// As [`try_insert`](FlatMap::try_insert); what `f` made is handed back with the key, None where it was
    /// not asked.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<u32, u32>::new();
    /// assert_eq!(map.entry(1).try_or_insert_with(|| 2), Ok(2));
    /// assert_eq!(map.entry(1).try_or_insert_with(|| unreachable!()), Ok(2));
    /// ```
    pub fn try_or_insert_with(
        self,
        f: impl FnOnce() -> V,
    ) -> Result<V, TryInsertError<K, Option<V>>> {
        let (key, mut made) = (self.key, None);
        self.settle(|_| f(), &mut made).map_err(|why| why.hand_back(key, made))
    }

    /// What is to be done to the value, or to its absence; `made` is what `f` made, once it was asked.
    fn decision<'s>(
        &'s mut self,
        f: impl FnOnce(&K) -> V + 's,
        made: &'s mut Option<V>,
    ) -> impl FnMut(Option<V>) -> Op<V> + 's {
        let (key, mut make) = (self.key, Some(f));
        move |old| {
            let Some(mut value) = old else {
                if let Some(make) = make.take() {
                    *made = Some(make(&key));
                }
                return made.map_or(Op::Keep, Op::Insert);
            };
            let Some(modify) = &mut self.modify else { return Op::Keep };
            modify(&mut value);
            Op::Insert(value)
        }
    }

    /// Does it without waiting.
    fn settle(mut self, f: impl FnOnce(&K) -> V, made: &mut Option<V>) -> Result<V, Failure> {
        let (map, key) = (self.map, self.key);
        let done = map.alter(map.hash(&key), key, Backoff::never(), self.decision(f, made))?;
        Ok(FlatMap::<K, V, S>::computed(done).after.expect("the key has a value now"))
    }

    /// Inserts the default value where there is none; returns the value that is there afterwards.
    ///
    /// ```
    /// assert_eq!(hedgerow::FlatMap::<u32, u32>::new().entry(1).or_default(), 0);
    /// ```
    pub fn or_default(self) -> V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Only what [`and_modify`](Entry::and_modify) said: the value afterwards, None where there is none.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 1)].into();
    /// let double = |n: &mut i32| *n *= 2;
    /// assert_eq!((map.entry(1).and_modify(double).get(), map.entry(2).and_modify(double).get()), (Some(2), None));
    /// ```
    pub fn get(self) -> Option<V> {
        let Some(mut modify) = self.modify else { return self.map.get(&self.key) };
        self.map.update(&self.key, |mut value| {
            modify(&mut value);
            value
        })
    }
}

impl<K: fmt::Debug, V, S, M> fmt::Debug for Entry<'_, K, V, S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    /// The place of `key`, there or not, for `or_insert` and its kin. Locks and looks up nothing yet.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<&str, u32> = [("rose", 1)].into();
    /// assert_eq!(map.entry("rose").and_modify(|n| *n += 1).or_insert(1), 2);
    /// ```
    pub fn entry(&self, key: K) -> Entry<'_, K, V, S> {
        Entry { map: self, key, modify: None }
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
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let decide = |old: V| f(old).map_or(Op::Keep, Op::Insert);
        match self.alter_hashed(self.hash(key), key, decide) {
            Some((before, Op::Insert(_))) => Ok(before),
            unchanged => Err(unchanged.map(|(before, _)| before)),
        }
    }
}
