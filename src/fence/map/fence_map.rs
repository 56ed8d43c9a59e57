//! `FenceMap` itself, and its operations on one key. For operations on the order of keys see
//! [`ordered`](super::ordered).

use crate::api::failure::Failure;
use crate::api::op::{Altered, Computed, EntryChange, Op};
use crate::api::plain::Plain;
use crate::error::{Busy, OccupiedError};
use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::leaf::LeafRef;
use crate::fence::tree::rank::{ByType, Ranking, rank_of_borrowed, to_word};
use crate::fence::tree::search::{KeyQuery, SearchKey};
use crate::fence::tree::stats::FenceStats;
use crate::sync::backoff::Backoff;
use alloc::alloc::handle_alloc_error;
use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};
use equivalent::Comparable;

/// A concurrent ordered map for `Copy` keys and values, whose lookups take no lock, need no guard and write nothing.
///
/// Methods return copies, so a caller never holds anything that keeps memory alive or causes a deadlock. All methods
/// take `&self`, except [`with_splits`](Self::with_splits), which builds a map. Entries are stored in key order in
/// leaves of up to 128 entries, each with a lock for its writers.
///
/// # Guarantees
/// - Every operation on one key is linearizable, and so are [`first_key_value`](Self::first_key_value),
///   [`floor`](Self::floor) and similar methods, [`pop_first`](Self::pop_first), [`range`](Self::range),
///   [`remove_range`](Self::remove_range), [`apply_batch`](Self::apply_batch) and
///   [`snapshot_many`](Self::snapshot_many). A range is a consistent snapshot of the entries between two keys.
/// - [`iter`](Self::iter), [`iter_range`](Self::iter_range), [`retain`](Self::retain) and [`clear`](Self::clear) visit
///   entries in key order, and every key that stays in the map exactly once. The first two copy eight entries at a
///   time, the others see each leaf as of a single point in time.
/// - A lookup waits only while its leaf is being written: tens of nanoseconds, unless the writer is preempted there.
///   [`try_get`](Self::try_get) never waits; it returns [`Busy`].
/// - User code (`Ord`, [`Ranking`], closures) runs while no lock is held, and may panic or use the map. If `Ord` or the
///   ranking is inconsistent, results are wrong, and nothing worse.
/// - Empty leaves are merged and reused. Memory is freed when the map is dropped.
///
/// # Limits
/// Keys and values have at most 64 KiB each; larger ones do not compile, and belong in an [`OrdMap`](crate::OrdMap).
/// Entries are copied to the stack: without optimizations, up to 128 of them in an operation and 256 in an iterator.
/// Entries of more than 8 KiB then need threads with more than 2 MiB of stack.
///
/// ```compile_fail,E0080
/// let map = hedgerow::FenceMap::<[u8; 150_000], u64>::new();
/// ```
///
/// # Keys
/// A [`Ranking`] maps each key to a number, and the map compares these numbers first. [`ByType`], the default, supports
/// integers, `&str`, byte arrays and other types. Keys of types that it does not support work as well, but are compared
/// by `Ord` alone, which is several times slower in a large map; pass a ranking for them to
/// [`with_ranking`](Self::with_ranking).
///
/// # Example
/// ```
/// use hedgerow::FenceMap;
///
/// let readings = FenceMap::<u64, f32>::new();
/// std::thread::scope(|s| {
///     for sensor in 0..2 {
///         let readings = &readings;
///         s.spawn(move || {
///             for n in 0..500 {
///                 readings.insert(n * 2 + sensor, n as f32);
///             }
///         });
///     }
/// });
/// assert_eq!(readings.range(100..103).collect::<Vec<_>>(), [(100, 50.0), (101, 50.0), (102, 51.0)]);
/// assert_eq!(readings.last_key_value(), Some((999, 499.0)));
/// ```
pub struct FenceMap<K, V, R = ByType> {
    tree: FenceTree<K, V, R>,
}

// User code runs only while the map is in a state that a panic may leave behind.
impl<K, V, R: UnwindSafe> UnwindSafe for FenceMap<K, V, R> {}
impl<K, V, R: RefUnwindSafe> RefUnwindSafe for FenceMap<K, V, R> {}

impl<K, V> FenceMap<K, V> {
    crate::facade::const_unless_loom! {
        /// Returns an empty map. Allocates nothing, and fits a `static`.
        ///
        /// ```
        /// static MAP: hedgerow::FenceMap<u32, u32> = hedgerow::FenceMap::new();
        /// MAP.insert(1, 2);
        /// assert_eq!(MAP.get(&1), Some(2));
        /// ```
        #[must_use]
        pub fn new() -> Self
        where
            K: Plain,
            V: Plain,
        {
            Self::with_ranking(ByType)
        }
    }
}

impl<K: Copy, V: Copy, R> FenceMap<K, V, R> {
    crate::facade::const_unless_loom! {
        /// Returns an empty map that ranks its keys by `ranking`. Allocates nothing.
        ///
        /// ```
        /// use std::net::SocketAddrV4;
        ///
        /// struct ByAddress;
        /// impl hedgerow::fence::Ranking<SocketAddrV4> for ByAddress {
        ///     fn rank(&self, key: &SocketAddrV4) -> u64 {
        ///         u64::from(key.ip().to_bits()) << 32 | u64::from(key.port()) << 16
        ///     }
        /// }
        ///
        /// let peers = hedgerow::FenceMap::with_ranking(ByAddress);
        /// peers.insert("10.0.0.1:80".parse().unwrap(), 'a');
        /// assert_eq!(peers.get(&"10.0.0.1:80".parse().unwrap()), Some('a'));
        /// ```
        #[must_use]
        pub fn with_ranking(ranking: R) -> Self {
            Self { tree: FenceTree::new(ranking) }
        }
    }

    #[inline(always)]
    pub(crate) fn tree(&self) -> &FenceTree<K, V, R> {
        &self.tree
    }

    /// Returns the map's ranking.
    ///
    /// ```
    /// use hedgerow::fence::Ranking;
    /// let map = hedgerow::FenceMap::<u64, ()>::new();
    /// assert_eq!(map.ranking().rank(&7u64), 7);
    /// ```
    pub fn ranking(&self) -> &R {
        &self.tree.policy
    }

    /// Returns the number of entries: exact if there are no concurrent writes, and slightly out of date otherwise.
    ///
    /// Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns `true` if [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::FenceMap::<u8, u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Returns statistics of the map. Takes the locks of its allocator's lists, which no reader takes.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<u64, u64> = (0..10_000).map(|n| (n, n)).collect();
    /// let stats = map.stats();
    /// assert!(stats.len == 10_000 && stats.memory_bytes / stats.len < 25);
    /// ```
    pub fn stats(&self) -> FenceStats {
        self.tree.stats()
    }

    /// Returns a copy of the value of `key`.
    ///
    /// Takes no lock, writes no shared memory, allocates nothing; logarithmic time. Waits while the key's leaf is being
    /// written. Linearizes when the leaf's version is validated last.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.get(&"a"), map.get(&"b")), (Some(1), None));
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.tree.get(self.search_key(key), |leaf, at| leaf.fetch_value(at))
    }

    /// As [`get`](Self::get), but never waits: for interrupt handlers, and for callers that must not spin.
    ///
    /// # Errors
    /// [`Busy`] if the key's leaf is being written, or has changed 64 times while it was read.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert_eq!(map.try_get(&"a"), Ok(Some(1)));
    /// ```
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.tree
            .get_by_search(
                self.search_key(key),
                |leaf, at| leaf.fetch_value(at),
                &mut Backoff::never(),
            )
            .map_err(|_| Busy)
    }

    /// Returns the result of `f` for a copy of `key`'s value. `f` runs while nothing is locked.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", [1, 2, 3])].into();
    /// assert_eq!(map.get_with(&"a", |v| v.len()), Some(3));
    /// ```
    #[inline]
    pub fn get_with<Q, T>(&self, key: &Q, f: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.get(key).map(|value| f(&value))
    }

    /// Returns `true` if the map contains `key`. Costs as much as [`get`](Self::get), without copying the value.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert!(map.contains_key(&"a") && !map.contains_key(&"b"));
    /// ```
    #[inline]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.tree.get(self.search_key(key), |_, _| MaybeUninit::new(())).is_some()
    }

    /// Stores `value` under `key` and returns the value that it replaces. If the key is in the map, the old key stays.
    ///
    /// Blocks while another thread writes to the key's leaf. If the key's leaf is full, it may allocate a leaf and
    /// space for it in the fences. Running out of memory is handled as in std's collections. Logarithmic time, plus
    /// moving up to a leaf of entries by one place. Linearizes when the leaf is locked.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<_, _>::default();
    /// assert_eq!((map.insert(1, 'a'), map.insert(1, 'b')), (None, Some('a')));
    /// ```
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        self.finish(self.alter(&key, Backoff::spinning(), |_| Op::Insert(value))).0
    }

    /// Stores `value` under `key` unless the key has a value. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value. It hands key and value back, with a copy of the key's value.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<_, _>::default();
    /// assert_eq!(map.insert_if_absent(1, 'a'), Ok(()));
    /// assert_eq!(map.insert_if_absent(1, 'b').unwrap_err().current, 'a');
    /// ```
    #[inline]
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V, V>> {
        let decide = |old: Option<V>| if old.is_none() { Op::Insert(value) } else { Op::Keep };
        let found = self.finish(self.alter(&key, Backoff::spinning(), decide)).0;
        OccupiedError::unless_absent(found, key, value)
    }

    /// Removes `key` and returns its value. Blocks while another thread writes to its leaf. Allocates nothing.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.remove(&"a"), map.remove(&"a")), (Some(1), None));
    /// ```
    #[inline]
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        self.finish(self.alter_there(key, Backoff::spinning(), |_| Op::Remove)).0
    }

    /// Replaces the value of `key` by the result of `f` and returns the new value. None if the key has no value.
    ///
    /// `f` runs while nothing is locked, and again if another thread has changed anything in the key's leaf in the
    /// meantime. So the replacement is atomic. An `f` that itself writes to that leaf each time never ends. Blocks
    /// while another thread writes to the leaf. Allocates nothing.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.update(&"a", |n| n + 1), map.update(&"b", |n| n + 1)), (Some(2), None));
    /// ```
    #[inline]
    pub fn update<Q>(&self, key: &Q, f: impl FnMut(V) -> V) -> Option<V>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        Self::updated(self.finish(self.alter_there(key, Backoff::spinning(), Self::updating(f))))
    }

    /// Applies the decision of `f` to `key`'s entry, atomically. `f` gets the key's value.
    ///
    /// `f` runs while nothing is locked, and again if another thread has changed anything in the key's leaf in the
    /// meantime. An `f` that itself writes to that leaf each time never ends. Blocks and allocates as
    /// [`insert`](Self::insert) does.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::FenceMap::<_, u32>::default();
    /// let step = |n: Option<u32>| match n { None => Op::Insert(1), Some(1) => Op::Insert(2), _ => Op::Remove };
    /// assert_eq!(map.compute("a", step).after, Some(1));
    /// assert_eq!(map.compute("a", step).after, Some(2));
    /// assert_eq!(map.compute("a", step).after, None);
    /// ```
    #[inline]
    pub fn compute(&self, key: K, f: impl FnMut(Option<V>) -> Op<V>) -> Computed<V> {
        Self::computed(self.finish(self.alter(&key, Backoff::spinning(), f)))
    }

    /// Replaces the value of `key` by `new` if it is `current`, and returns the value that the key had. `None` means no
    /// value.
    ///
    /// So `(None, Some(v))` inserts if there is no value, and `(Some(v), None)` removes exactly `v`. `V`'s `Eq` runs
    /// while nothing is locked. Blocks and allocates as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// The value that the key has instead of `current`.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a')].into();
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
        let done = self.compute(key, |old| {
            same = old == current;
            match new {
                _ if !same => Op::Keep,
                Some(new) => Op::Insert(new),
                None => Op::Remove,
            }
        });
        if same { Ok(done.before) } else { Err(done.before) }
    }

    #[inline]
    pub(crate) fn alter(
        &self,
        key: &K,
        backoff: Backoff,
        mut decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Altered<K, V>, Failure> {
        let decide = |old: Option<&V>| match (decide(old.copied()), old) {
            (Op::Keep, _) => EntryChange::Keep,
            // The key that is in the map stays.
            (Op::Insert(value), Some(_)) => EntryChange::Value(value),
            (Op::Insert(value), None) => EntryChange::Entry(*key, value),
            (Op::Remove, _) => EntryChange::Remove,
        };
        let read = |leaf: LeafRef<'_, K, V>, at| leaf.fetch_value(at);
        self.tree.alter(self.tree.search_key(key), read, backoff, decide, |_| ())
    }

    /// As `alter`, for a borrowed form of a key. Calls `decide` only if there is an entry, so it needs no key to
    /// insert.
    #[inline]
    pub(crate) fn alter_there<Q>(
        &self,
        key: &Q,
        backoff: Backoff,
        mut decide: impl FnMut(V) -> Op<V>,
    ) -> Result<Altered<K, V>, Failure>
    where
        Q: Comparable<K> + ?Sized,
        R: Ranking<Q>,
    {
        let decide = |old: Option<&V>| match old.map(|&old| decide(old)) {
            None | Some(Op::Keep) => EntryChange::Keep,
            Some(Op::Insert(value)) => EntryChange::Value(value),
            Some(Op::Remove) => EntryChange::Remove,
        };
        let read = |leaf: LeafRef<'_, K, V>, at| leaf.fetch_value(at);
        self.tree.alter(self.search_key(key), read, backoff, decide, |_| ())
    }

    /// Returns a key in any form with its rank, to search for it.
    #[inline(always)]
    pub(crate) fn search_key<'q, Q>(&self, key: &'q Q) -> SearchKey<KeyQuery<'q, Q>>
    where
        Q: ?Sized,
        R: Ranking<Q>,
    {
        SearchKey {
            key: KeyQuery(key),
            rank: to_word::<K>(rank_of_borrowed::<K, Q, R>(self.ranking(), key)),
        }
    }

    pub(crate) fn updating(mut f: impl FnMut(V) -> V) -> impl FnMut(V) -> Op<V> {
        move |value| Op::Insert(f(value))
    }

    pub(crate) fn updated((_, change): Altered<K, V>) -> Option<V> {
        if let EntryChange::Value(new) = change { Some(new) } else { None }
    }

    pub(crate) fn computed((before, change): Altered<K, V>) -> Computed<V> {
        let after = match change {
            EntryChange::Keep => before,
            EntryChange::Value(new) | EntryChange::Entry(_, new) => Some(new),
            EntryChange::Remove => None,
        };
        Computed { before, after }
    }

    /// Returns the result of an operation that waits, and so fails only if memory runs out.
    #[inline]
    pub(crate) fn finish<T>(&self, done: Result<T, Failure>) -> T {
        done.unwrap_or_else(|_| self.out_of_memory())
    }

    #[cold]
    #[expect(clippy::unused_self, reason = "says which map's leaf it is about")]
    fn out_of_memory(&self) -> ! {
        handle_alloc_error(Layout::new::<[usize; 16]>())
    }

    pub(crate) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}
