//! Many keys at a time, with waits for memory that overlap (see [`batch`](crate::api::batch)).
//!
//! Each key is an operation of its own: a batch is not atomic.

use super::map::FlatMap;
use crate::api::batch::{MIN_BATCH, WINDOW, hashes, same_length};
use crate::api::hash::KeyHash;
use crate::api::op::Op;
use core::convert::Infallible;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::{array, fmt};
use equivalent::Equivalent;

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    /// Looks up each of `keys` and stores the results in `values`, as one [`get`](Self::get) after the other would. In
    /// a table that is larger than the caches this is several times faster.
    ///
    /// Waits and linearizes as `get` does, one key after the other: an answer is never older than those before it.
    /// Allocates nothing. The batch is not atomic. A batch of fewer than four keys is no faster, nor is one
    /// in a table of up to 512 KiB.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// let mut values = [None; 3];
    /// map.get_many(&[2, 3, 1], &mut values);
    /// assert_eq!(values, [Some('b'), None, Some('a')]);
    /// ```
    pub fn get_many<Q>(&self, keys: &[Q], values: &mut [Option<V>])
    where
        Q: Hash + Equivalent<K>,
    {
        same_length(keys.len(), values.len());
        for (keys, values) in keys.chunks(WINDOW).zip(values.chunks_mut(WINDOW)) {
            if keys.len() < MIN_BATCH || self.table().is_in_cache() {
                keys.iter().zip(values).for_each(|(key, value)| *value = self.get(key));
                continue;
            }
            self.table().get_window(
                &hashes(keys.len(), |at| self.hash(&keys[at]))[..keys.len()],
                |at, key| keys[at].equivalent(key),
                |entry| entry.value(),
                |_| {},
                |at, value| values[at] = value,
            );
        }
    }

    /// Stores each of `entries`, and the values that they replace in `before`, as one [`insert`](Self::insert) after
    /// the other would, but faster in a table that is larger than the caches.
    ///
    /// Blocks, allocates and grows the table as `insert` does. Of two entries with the same key the later stays.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// let mut before = [None; 2];
    /// map.insert_many(&[(1, 'b'), (2, 'c')], &mut before);
    /// assert_eq!((before, map.get(&1), map.get(&2)), ([Some('a'), None], Some('b'), Some('c')));
    /// ```
    pub fn insert_many(&self, entries: &[(K, V)], before: &mut [Option<V>]) {
        let insert = |hash, &(key, value): &(K, V)| Ok(self.insert_hashed(hash, key, value));
        let Ok(()) =
            self.alter_many::<_, Infallible>(entries, before, |(key, _)| self.hash(key), insert);
    }

    /// Removes each of `keys`, and stores the values that they had in `before`, as one [`remove`](Self::remove) after
    /// the other would, but faster in a table that is larger than the caches.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// let mut before = [None; 2];
    /// map.remove_many(&[2, 3], &mut before);
    /// assert_eq!((before, map.len()), ([Some('b'), None], 1));
    /// ```
    pub fn remove_many<Q>(&self, keys: &[Q], before: &mut [Option<V>])
    where
        Q: Hash + Equivalent<K>,
    {
        let remove = |hash, key: &Q| {
            Ok(self.alter_hashed(hash, key, |_| Op::Remove).map(|(value, _)| value))
        };
        let Ok(()) = self.alter_many::<_, Infallible>(keys, before, |key| self.hash(key), remove);
    }

    /// Calls `one` for each of `items`, with the bins prefetched, and stores the results in `before`. Ends with the
    /// first error, and returns it with the number of its item.
    #[inline(always)]
    pub(super) fn alter_many<T, E>(
        &self,
        items: &[T],
        before: &mut [Option<V>],
        hash: impl Fn(&T) -> KeyHash,
        mut one: impl FnMut(KeyHash, &T) -> Result<Option<V>, E>,
    ) -> Result<(), (usize, E)> {
        same_length(items.len(), before.len());
        let windows = items.chunks(WINDOW).zip(before.chunks_mut(WINDOW));
        for (window, (items, before)) in windows.enumerate() {
            let hashes = hashes(items.len(), |at| hash(&items[at]));
            if items.len() >= MIN_BATCH && !self.table().is_in_cache() {
                self.table().prefetch_window(&hashes[..items.len()]);
            }
            for (at, (item, before)) in items.iter().zip(before).enumerate() {
                *before = one(hashes[at], item).map_err(|why| (window * WINDOW + at, why))?;
            }
        }
        Ok(())
    }

    /// Returns an iterator over the keys of `keys`, each with its value. It looks up a window of keys at a time.
    ///
    /// It takes up to sixteen keys before it looks up the first, and keeps them, with their values, in the iterator
    /// itself. Otherwise as [`get_many`](Self::get_many). If `Hash`, `Eq` or `keys` panics, no key is lost: the next
    /// call looks up the keys that were taken, again.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = (0..100).map(|n| (n, n * n)).collect();
    /// let sum: u64 = map.get_each(10..20).filter_map(|(_, square)| square).sum();
    /// assert_eq!(sum, (10..20).map(|n| n * n).sum());
    /// ```
    pub fn get_each<I>(&self, keys: I) -> GetEach<'_, I::IntoIter, K, V, S>
    where
        I: IntoIterator<Item = K>,
    {
        GetEach {
            map: self,
            keys: keys.into_iter(),
            window: [None; WINDOW],
            next: WINDOW,
            taken: 0,
        }
    }
}

/// An iterator over keys with their values, from [`FlatMap::get_each`].
#[derive(Clone)]
pub struct GetEach<'a, I, K, V, S> {
    map: &'a FlatMap<K, V, S>,
    keys: I,
    /// The answers that are not returned yet, from `next` up to the first None. If `next` is `WINDOW`, all are None,
    /// except keys that were taken and not looked up.
    window: [Option<(K, Option<V>)>; WINDOW],
    next: usize,
    /// The number of keys, the first of `window`, that a lookup which panicked has left without an answer.
    taken: usize,
}

impl<I, K, V, S> Iterator for GetEach<'_, I, K, V, S>
where
    I: Iterator<Item = K>,
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    type Item = (K, Option<V>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == WINDOW {
            self.refill();
        }
        let answer = self.window[self.next].take();
        self.next += usize::from(answer.is_some());
        answer
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ready = self.window[self.next..].iter().flatten().count() + self.taken;
        let (least, most) = self.keys.size_hint();
        (least.saturating_add(ready), most.and_then(|most| most.checked_add(ready)))
    }
}

impl<I, K, V, S> GetEach<'_, I, K, V, S>
where
    I: Iterator<Item = K>,
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Takes the next keys and looks them up.
    fn refill(&mut self) {
        // Not 0 after a panic: then the keys of the last call are looked up first.
        if self.taken == 0 {
            for (slot, key) in self.window.iter_mut().zip(self.keys.by_ref()) {
                *slot = Some((key, None));
                self.taken += 1;
            }
        }
        let len = self.taken;
        let window = &mut self.window;
        let keys: [Option<K>; WINDOW] = array::from_fn(|at| window[at].map(|(key, _)| key));
        let hash = |at: usize| keys[at].map_or(KeyHash(0), |key| self.map.hash(&key));
        let hashes = hashes(len, hash);
        self.map.table().get_window(
            &hashes[..len],
            |at, key| keys[at] == Some(*key),
            |entry| entry.value(),
            |_| {},
            |at, value| window[at] = keys[at].map(|key| (key, value)),
        );
        (self.next, self.taken) = (0, 0);
    }
}

impl<I, K, V, S> FusedIterator for GetEach<'_, I, K, V, S>
where
    I: FusedIterator<Item = K>,
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
}

impl<I, K, V, S> fmt::Debug for GetEach<'_, I, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetEach").finish_non_exhaustive()
    }
}
