//! `FlatMap`: hashing and types around `Table`.

use super::iter::{ExtractIf, Iter, Keys, Values};
use super::lookup::{is, value_of};
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use crate::api::op::{Computed, Op};
use crate::api::plain::Plain;
use crate::bins::bin::EntryWords;
use crate::bins::layout::Layout;
use crate::error::{Busy, OccupiedError, TryReserveError};
use crate::sync::backoff::Backoff;
use crate::sync::words::both;
use crate::table::Table;
use crate::table::write::{Altered, EntryChange};
use alloc::alloc::handle_alloc_error;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// Values of more bytes are copied as seldom as possible. Shorter ones are in registers.
const LONG: usize = 64;

/// A concurrent hash map for `Copy` keys and values, whose lookups take no lock, need no guard and write nothing.
///
/// Methods return copies, so a caller never holds anything that another thread could wait for. All methods take
/// `&self`, except [`shrink_to_fit`](Self::shrink_to_fit).
///
/// # Guarantees
/// - Every operation on one key is linearizable, even while the table grows. `iter`, `retain` and `clear` visit bin
///   after bin (a bin is a few entries that share a lock), see each bin as of a single point in time, and return a key
///   that is present throughout exactly once.
/// - A lookup waits only while its bin is being written: a few nanoseconds, unless the writer is preempted there. A
///   lookup of an absent key usually does not wait at all, except while the bin is being split, or if another key of
///   the bin has the same seven-bit tag or has overflowed. [`try_get`](Self::try_get) never waits; it returns [`Busy`].
/// - User code (`Hash`, `Eq`, closures) runs while no lock is held, and may panic or use the map.
/// - Memory is reused within the map, and freed on drop or by [`shrink_to_fit`](Self::shrink_to_fit).
///
/// # Example
/// ```
/// use hedgerow::FlatMap;
///
/// let hits = FlatMap::<&'static str, u64>::new();
/// std::thread::scope(|s| {
///     for _ in 0..2 {
///         s.spawn(|| {
///             for word in ["rose", "briar", "rose"] {
///                 hits.compute(word, |n| hedgerow::Op::Insert(n.unwrap_or(0) + 1));
///             }
///         });
///     }
/// });
/// assert_eq!(hits.get("rose"), Some(4));
/// assert_eq!(hits.get("thorn"), None);
/// ```
// In this order, the hasher is beside the words of the table that every lookup reads.
#[repr(C)]
pub struct FlatMap<K, V, S = DefaultHashBuilder> {
    hash_builder: S,
    table: Table<K, V>,
}

impl<K, V> FlatMap<K, V> {
    /// Returns an empty map; allocates nothing.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<u32, u32>::new();
    /// assert!(map.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self
    where
        K: Plain,
        V: Plain,
    {
        Self::with_hasher(DefaultHashBuilder::default())
    }

    /// Returns an empty map with room for `capacity` entries before it grows.
    ///
    /// With feature `std-ext`, on Linux, room of 2 MiB or more is one allocation, on huge pages if the system has any:
    /// hits are then some 5 to 15 % faster than in a map that has grown.
    ///
    /// # Panics
    /// If the capacity cannot be addressed. If memory runs out, the process aborts, as with std's collections.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<u32, u32>::with_capacity(1000);
    /// map.insert(1, 2);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self
    where
        K: Plain + Eq + Hash,
        V: Plain,
    {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
    }

    /// Does what [`with_capacity`](Self::with_capacity) does, but reports a lack of memory.
    ///
    /// # Errors
    /// If the capacity cannot be addressed, or the allocator has no memory.
    ///
    /// ```
    /// use hedgerow::{FlatMap, error::TryReserveError};
    /// let none = FlatMap::<u64, u64>::try_with_capacity(usize::MAX);
    /// assert_eq!(none.err(), Some(TryReserveError::CapacityOverflow));
    /// ```
    pub fn try_with_capacity(capacity: usize) -> Result<Self, TryReserveError>
    where
        K: Plain + Eq + Hash,
        V: Plain,
    {
        Self::try_with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
            .map_err(|(why, _)| why)
    }
}

impl<K: Copy, V: Copy, S> FlatMap<K, V, S> {
    crate::facade::const_unless_loom! {
        /// Returns an empty map that hashes with `hash_builder`; allocates nothing, and can initialize a `static`.
        ///
        /// ```
        /// use std::hash::{BuildHasherDefault, DefaultHasher};
        /// static MAP: hedgerow::FlatMap<u32, u32, BuildHasherDefault<DefaultHasher>> =
        ///     hedgerow::FlatMap::with_hasher(BuildHasherDefault::new());
        /// MAP.insert(1, 2);
        /// assert_eq!(MAP.get(&1), Some(2));
        /// ```
        #[must_use]
        pub fn with_hasher(hash_builder: S) -> Self {
            Self { hash_builder, table: Table::new() }
        }
    }

    #[inline(always)]
    pub(super) fn table(&self) -> &Table<K, V> {
        &self.table
    }

    pub(super) fn into_table(self) -> Table<K, V> {
        self.table
    }

    /// Returns the map's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// let map = hedgerow::FlatMap::<u32, u32>::new();
    /// map.hasher().hash_one(7);
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hash_builder
    }

    /// Returns the number of entries: exact if there are no concurrent writes, and slightly out of date otherwise.
    ///
    /// Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::from([(1, 'a'), (2, 'b')]) as hedgerow::FlatMap<_, _>;
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns how many entries there is room for before the map grows: a lower bound. Some bins may need overflow
    /// lines before that. Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// assert_eq!(hedgerow::FlatMap::<u32, u32>::new().capacity(), 0);
    /// assert!(hedgerow::FlatMap::<u32, u32>::with_capacity(1000).capacity() >= 1000);
    /// ```
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Returns `true` if [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::FlatMap::<u8, u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    /// Returns an empty map with room for `capacity` entries before it grows, which hashes with `hash_builder`.
    ///
    /// # Panics
    /// If the capacity cannot be addressed. If memory runs out, the process aborts, as with std's collections.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let map = hedgerow::FlatMap::with_capacity_and_hasher(100, RandomState::new());
    /// map.insert("a", 1);
    /// ```
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, hash_builder: S) -> Self {
        match Self::try_with_capacity_and_hasher(capacity, hash_builder) {
            Ok(map) => map,
            Err((why, _)) => Self::fail(why),
        }
    }

    /// Does what [`with_capacity_and_hasher`](Self::with_capacity_and_hasher) does, but reports a lack of memory, and
    /// returns the hasher then.
    ///
    /// # Errors
    /// If the capacity cannot be addressed, or the allocator has no memory.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let none = hedgerow::FlatMap::<u64, u64, _>::try_with_capacity_and_hasher(usize::MAX, RandomState::new());
    /// assert!(none.is_err());
    /// ```
    pub fn try_with_capacity_and_hasher(
        capacity: usize,
        hash_builder: S,
    ) -> Result<Self, (TryReserveError, S)> {
        let mut map = Self::with_hasher(hash_builder);
        if capacity == 0 {
            return Ok(map);
        }
        let bins = match Table::<K, V>::checked_bins(capacity) {
            Ok(bins) => bins,
            Err(why) => return Err((why, map.hash_builder)),
        };
        match Table::with_bins(bins) {
            Ok(table) => map.table = table,
            Err(_) => return Err((TryReserveError::Alloc, map.hash_builder)),
        }
        match map.try_reserve(capacity) {
            Ok(()) => Ok(map),
            Err(why) => Err((why, map.hash_builder)),
        }
    }

    #[inline(always)]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> KeyHash {
        Self::hash_by(&self.hash_builder, key)
    }

    #[inline(always)]
    fn hash_by<Q: Hash + ?Sized>(hash_builder: &S, key: &Q) -> KeyHash {
        KeyHash::spread(hash_builder.hash_one(key), mixes_well::<S>())
    }

    /// Returns the function that a table hashes its keys with when it grows. It has one type for each type of map: see
    /// the module `lookup`.
    #[inline(always)]
    fn rehash(&self) -> impl Fn(&K) -> KeyHash + Copy {
        move |key| self.hash(key)
    }

    #[cold]
    fn fail(why: TryReserveError) -> ! {
        match why {
            TryReserveError::CapacityOverflow => panic!("capacity overflow"),
            TryReserveError::Alloc => handle_alloc_error(core::alloc::Layout::new::<[usize; 16]>()),
        }
    }

    /// Returns a copy of the value of `key`.
    ///
    /// Takes no lock, writes no shared memory, allocates nothing; expected constant time. Waits while the key's bin is
    /// being written, unless the bin's tags show that the key is absent. The load of these tags is the linearization
    /// point.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.get("a"), map.get("b")), (Some(1), None));
    /// ```
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.table.get(self.hash(key), is(key), value_of)
    }

    /// Does what [`get`](Self::get) does, but never waits: for interrupt handlers, and for callers that may not spin.
    ///
    /// # Errors
    /// [`Busy`] if the key's bin is being written.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert_eq!(map.try_get("a"), Ok(Some(1)));
    /// ```
    #[inline]
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.table
            .get_slowly(self.hash(key), is(key), value_of, &mut Backoff::never())
            .map_err(|_| Busy)
    }

    /// Calls `f` on a copy of `key`'s value and returns the result. `f` runs while nothing is locked.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", [1, 2, 3])].into();
    /// assert_eq!(map.get_with("a", |v| v.len()), Some(3));
    /// ```
    #[inline(always)]
    pub fn get_with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key).map(|value| f(&value))
    }

    /// Returns `true` if the map contains `key`. Costs what [`get`](Self::get) does, without copying the value.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert!(map.contains_key("a") && !map.contains_key("b"));
    /// ```
    #[inline(always)]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.table.get(self.hash(key), is(key), |_| core::mem::MaybeUninit::new(())).is_some()
    }

    /// Stores `value` under `key` and returns the value that it replaces. The map keeps the key that it has.
    ///
    /// Blocks while another thread writes to the key's bin. May allocate: an overflow line for a full bin, and growth,
    /// of which each insert does a bounded part. If there is no memory for the entry, the process aborts, as with std's
    /// collections; if there is none for growth, a later insert grows the map.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!((map.insert(1, 'a'), map.insert(1, 'b')), (None, Some('a')));
    /// ```
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Option<V> {
        self.insert_hashed(self.hash(&key), key, value)
    }

    /// Stores `value` under `key` if the key is absent.
    ///
    /// # Errors
    /// [`OccupiedError`] if the key has a value. It hands key and value back, with a copy of the key's value.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<_, _>::default();
    /// assert_eq!(map.insert_if_absent(1, 'a'), Ok(()));
    /// assert_eq!(map.insert_if_absent(1, 'b').unwrap_err().current, 'a');
    /// ```
    #[inline]
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V, V>> {
        let decide = |old: Option<V>| if old.is_none() { Op::Insert(value) } else { Op::Keep };
        let altered = self.alter(self.hash(&key), key, Backoff::spinning(), decide);
        let found = altered.map_or_else(|why| Self::out_of_memory(&why), |(old, _)| old);
        OccupiedError::unless_absent(found, key, value)
    }

    /// Removes `key` and returns its value. Blocks while another thread writes to the key's bin.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.remove("a"), map.remove("a")), (Some(1), None));
    /// ```
    #[inline]
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.alter_present(key, |_| Op::Remove).map(|(value, _)| value)
    }

    /// Replaces the value of `key` by the result of `f`, and returns the new value; None if the key is absent.
    ///
    /// `f` runs while nothing is locked, and again if anything in the key's bin has changed in the meantime, so the
    /// replacement is atomic. An `f` that itself writes to that bin each time it runs never ends.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [("a", 1)].into();
    /// assert_eq!((map.update("a", |n| n + 1), map.update("b", |n| n + 1)), (Some(2), None));
    /// ```
    #[inline]
    pub fn update<Q>(&self, key: &Q, mut f: impl FnMut(V) -> V) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.alter_present(key, |value| Op::Insert(f(value))) {
            Some((_, Op::Insert(new))) => Some(new),
            _ => None,
        }
    }

    /// Changes `key`'s entry as `f` decides from its value, atomically.
    ///
    /// `f` runs while nothing is locked, and again if anything in the key's bin has changed in the meantime. An `f`
    /// that itself writes to that bin each time it runs never ends.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map = hedgerow::FlatMap::<_, u32>::default();
    /// let step = |n: Option<u32>| match n { None => Op::Insert(1), Some(1) => Op::Insert(2), _ => Op::Remove };
    /// assert_eq!(map.compute("a", step).after, Some(1));
    /// assert_eq!(map.compute("a", step).after, Some(2));
    /// assert_eq!(map.compute("a", step).after, None);
    /// ```
    #[inline]
    pub fn compute(&self, key: K, f: impl FnMut(Option<V>) -> Op<V>) -> Computed<V> {
        self.alter(self.hash(&key), key, Backoff::spinning(), f)
            .map_or_else(|why| Self::out_of_memory(&why), Self::computed)
    }

    /// Returns the values before and after a change.
    #[inline]
    pub(super) fn computed((before, change): Altered<K, V>) -> Computed<V> {
        let after = match change {
            EntryChange::Keep => before,
            EntryChange::Value(new) | EntryChange::Entry(_, new) => Some(new),
            EntryChange::Remove => None,
        };
        Computed { before, after }
    }

    #[inline]
    pub(super) fn insert_hashed(&self, hash: KeyHash, key: K, value: V) -> Option<V> {
        if size_of::<V>() > LONG {
            let (rehash, backoff) = (self.rehash(), Backoff::spinning());
            return self
                .table
                .insert_long(hash, &key, &value, is(&key), rehash, backoff)
                .unwrap_or_else(|why| Self::out_of_memory(&why));
        }
        self.alter(hash, key, Backoff::spinning(), |_| Op::Insert(value))
            .map_or_else(|why| Self::out_of_memory(&why), |(old, _)| old)
    }

    #[inline]
    pub(super) fn alter(
        &self,
        hash: KeyHash,
        key: K,
        backoff: Backoff,
        mut decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Altered<K, V>, Failure> {
        let decide = |old: Option<&V>| match (decide(old.copied()), old) {
            (Op::Keep, _) => EntryChange::Keep,
            // `insert` keeps the key that the map has, as std's does.
            (Op::Insert(value), Some(_)) => EntryChange::Value(value),
            (Op::Insert(value), None) => EntryChange::Entry(key, value),
            (Op::Remove, _) => EntryChange::Remove,
        };
        self.table.alter(hash, is(&key), value_of, self.rehash(), backoff, decide)
    }

    #[inline]
    fn alter_present<Q>(&self, key: &Q, decide: impl FnMut(V) -> Op<V>) -> Option<(V, Op<V>)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.alter_hashed(self.hash(key), key, decide)
    }

    #[inline]
    pub(super) fn alter_hashed<Q>(
        &self,
        hash: KeyHash,
        key: &Q,
        decide: impl FnMut(V) -> Op<V>,
    ) -> Option<(V, Op<V>)>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.try_alter_hashed(hash, key, Backoff::spinning(), decide)
            .unwrap_or_else(|why| Self::out_of_memory(&why))
    }

    /// Changes the entry of `key` if it is present. Needs no memory, so a waiting caller gets no error.
    #[inline]
    pub(super) fn try_alter_hashed<Q>(
        &self,
        hash: KeyHash,
        key: &Q,
        backoff: Backoff,
        mut decide: impl FnMut(V) -> Op<V>,
    ) -> Result<Option<(V, Op<V>)>, Failure>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let decide = |old: Option<&V>| match old.map(|&value| decide(value)) {
            None | Some(Op::Keep) => EntryChange::Keep,
            Some(Op::Insert(value)) => EntryChange::Value(value),
            Some(Op::Remove) => EntryChange::Remove,
        };
        let (before, change) =
            self.table.alter(hash, is(key), value_of, self.rehash(), backoff, decide)?;
        let op = match change {
            EntryChange::Keep => Op::Keep,
            EntryChange::Value(value) | EntryChange::Entry(_, value) => Op::Insert(value),
            EntryChange::Remove => Op::Remove,
        };
        Ok(before.map(|before| (before, op)))
    }
}

impl<K: Copy, V: Copy, S> FlatMap<K, V, S> {
    /// Returns an iterator over copies of all entries, in no particular order.
    ///
    /// The entries of each bin are a consistent snapshot. A key that is present from the iterator's beginning to its
    /// end is returned exactly once, however much the map grows; a key that is inserted or removed concurrently at most
    /// once. Allocates a buffer for a few bins. Waits while the next bin is being written.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// let mut all: Vec<_> = map.iter().collect();
    /// all.sort();
    /// assert_eq!(all, [(1, 'a'), (2, 'b')]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::new(&self.table)
    }

    /// Returns an iterator over all keys, with the guarantees of [`iter`](Self::iter).
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// assert_eq!(map.keys().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// Returns an iterator over all values, with the guarantees of [`iter`](Self::iter).
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// assert_eq!(map.values().collect::<Vec<_>>(), ['a']);
    /// ```
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }

    /// Removes every entry, bin by bin; keeps the memory.
    ///
    /// An entry that is inserted concurrently may stay. Blocks while another thread writes to a bin. Allocates nothing.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.table.clear();
    }

    /// Keeps the entries for which `keep` returns true, with the values as `keep` leaves them. To learn how many are
    /// removed, count what [`extract_if`](Self::extract_if) returns.
    ///
    /// `keep` runs while nothing is locked. If a bin changes before its entries are removed, `keep` runs again for the
    /// bin's entries; a `keep` that writes to that bin each time never ends. Allocates a buffer for one bin.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u32, u32> = (0..10).map(|n| (n, n)).collect();
    /// map.retain(|k, v| { *v *= 2; k % 2 == 0 });
    /// assert_eq!((map.len(), map.get(&4), map.get(&5)), (5, Some(8), None));
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.table.retain(keep, |_| {});
    }

    /// Returns statistics of the map. Visits its directory.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u64, u64> = (0..1000).map(|n| (n, n)).collect();
    /// let stats = map.stats();
    /// assert!(stats.len == 1000 && stats.memory_bytes / stats.len < 60);
    /// ```
    pub fn stats(&self) -> FlatStats {
        let usage = self.table.usage();
        FlatStats {
            len: self.len(),
            bins: usage.bins,
            slots_per_bin: Layout::<K, V>::SLOTS,
            overflow_lines: usage.overflow_lines,
            memory_bytes: usage.bytes,
            retired_bytes: usage.retired_bytes,
        }
    }
}

impl<K: Copy + Eq + Hash, V: Copy, S: BuildHasher> FlatMap<K, V, S> {
    /// Returns an iterator that removes the entries for which `wanted` returns true, one for each call of `next`.
    /// Entries that it has not returned stay in the map.
    ///
    /// Each removal is atomic by itself, as [`remove_if`](Self::remove_if) is: `wanted` runs while nothing is locked,
    /// and again if anything in the key's bin has changed in the meantime. The iterator visits entries as
    /// [`iter`](Self::iter) does. Blocks while another thread writes to an entry's bin. Allocates a buffer for a few
    /// bins.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u32, u32> = (0..10).map(|n| (n, n * n)).collect();
    /// let odd: u32 = map.extract_if(|key, _| key % 2 == 1).map(|(_, square)| square).sum();
    /// assert_eq!((odd, map.len()), (165, 5));
    /// ```
    pub fn extract_if<F: FnMut(&K, &V) -> bool>(&self, wanted: F) -> ExtractIf<'_, K, V, S, F> {
        ExtractIf::new(self, wanted)
    }

    /// Returns an iterator that removes all entries, one for each call of `next`. Entries that it has not returned stay
    /// in the map, and so may entries that are inserted concurrently. Blocks and allocates as
    /// [`extract_if`](Self::extract_if) does.
    ///
    /// ```
    /// let map: hedgerow::FlatMap<_, _> = [(1, 'a')].into();
    /// assert_eq!(map.drain().collect::<Vec<_>>(), [(1, 'a')]);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = (K, V)> + use<'_, K, V, S> {
        self.extract_if(|_, _| true)
    }

    /// Removes the entry of `key` if `wanted` returns true for it; returns the entry as it was in the map.
    pub(super) fn take_if(
        &self,
        key: &K,
        mut wanted: impl FnMut(&K, &V) -> bool,
    ) -> Option<(K, V)> {
        let read = |entry: EntryWords<'_, K, V>| both(entry.key(), entry.value());
        let decide = |found: Option<&(K, V)>| match found {
            Some((key, value)) if wanted(key, value) => EntryChange::Remove,
            _ => EntryChange::Keep,
        };
        let (eq, rehash) = (is(key), self.rehash());
        match self.table.alter(self.hash(key), eq, read, rehash, Backoff::spinning(), decide) {
            Ok((taken, EntryChange::Remove)) => taken,
            Ok(_) => None,
            Err(why) => Self::out_of_memory(&why),
        }
    }

    /// Reports that an operation found no memory, as std's collections do.
    #[cold]
    fn out_of_memory<T>(_why: &Failure) -> T {
        // A writer that may wait fails only if there is no memory.
        Self::fail(TryReserveError::Alloc)
    }

    /// Makes room for `additional` more entries, so that inserting them allocates nothing.
    ///
    /// This holds if the keys' hashes are random and no other thread inserts: in fewer than one of a million maps, more
    /// entries than expected fall into full bins, and an insert allocates overflow lines. Keys that collide more often
    /// than random ones may need such lines, too; the table does not grow for them.
    ///
    /// Waits for writers as an insert does. Allocates; if the room is large, as [`with_capacity`](Self::with_capacity)
    /// does.
    ///
    /// # Panics
    /// If the capacity cannot be addressed. If memory runs out, the process aborts, as with std's collections.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<u64, u64>::new();
    /// map.reserve(1000);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(|why| Self::fail(why));
    }

    /// Does what [`reserve`](Self::reserve) does, but reports a lack of memory.
    ///
    /// # Errors
    /// If the capacity cannot be addressed, or the allocator has no memory.
    ///
    /// ```
    /// use hedgerow::{FlatMap, error::TryReserveError};
    /// let map = FlatMap::<u64, u64>::new();
    /// assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        if additional == 0 {
            return Ok(());
        }
        let len = self.len().checked_add(additional).ok_or(TryReserveError::CapacityOverflow)?;
        let wanted = Table::<K, V>::checked_bins(len)?;
        self.table
            .make_room(wanted, &self.rehash(), &mut Backoff::spinning())
            .and_then(|()| self.table.provide_lines(len, &Backoff::spinning()))
            .map_err(|_| TryReserveError::Alloc)
    }

    /// Does some of the growth that the next inserts would do. Returns whether more of it is due.
    ///
    /// Inserts make the map grow by themselves, but an insert that does so initializes up to two segments (of 128 bins
    /// at most) and is slower than the others. Call this often from a main loop, or a thread such as `std_ext::Grower`,
    /// to take that off inserts. It initializes the bins for a thirty-second more entries than there are, so the map is
    /// larger by that much. A call initializes at most `budget` segments; with 0 it only returns whether any are due. A
    /// map of few bins grows in one step, with any budget.
    ///
    /// Waits as a growing insert does. For writers of a bin it spins up to 256 times (some 16,000 pause instructions,
    /// 0.1 to 1 ms depending on the processor), and then leaves the bin to later growth. It waits without limit for the
    /// table's locks, which are held for a few stores. Allocates; if there is no memory, does nothing and returns
    /// false. To free bins, use [`shrink_to_fit`](Self::shrink_to_fit).
    ///
    /// ```
    /// let map: hedgerow::FlatMap<u64, u64> = (0..10_000).map(|n| (n, n)).collect();
    /// while map.grow_step(4) {}
    /// let bins = map.stats().bins;
    /// for n in 10_000..10_300 {
    ///     map.insert(n, n);
    /// }
    /// assert_eq!(map.stats().bins, bins);
    /// ```
    pub fn grow_step(&self, budget: usize) -> bool {
        // Without memory, nothing is due until a later insert or the caller tries again.
        self.table.grow_ahead(budget, &self.rehash(), &mut Backoff::spinning()).unwrap_or(false)
    }

    /// Frees the memory that the entries do not need, by moving them to a new table.
    ///
    /// The new table is made as by [`with_capacity`](Self::with_capacity), which can be a reason to call this once a
    /// large map has its entries.
    ///
    /// Does nothing if there is no memory for the new table. Needs no other memory.
    ///
    /// ```
    /// let mut map: hedgerow::FlatMap<u64, u64> = (0..10_000).map(|n| (n, n)).collect();
    /// map.retain(|k, _| *k < 10);
    /// map.shrink_to_fit();
    /// assert!(map.len() == 10 && map.stats().memory_bytes < 5_000);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        if self.is_empty() {
            self.table = Table::new();
        } else if let Ok(fresh) = self.moved() {
            self.table = fresh;
        }
    }

    /// Moves all entries to a table of the size that they need.
    fn moved(&mut self) -> Result<Table<K, V>, Failure> {
        let wanted = Layout::<K, V>::bins_for(self.len());
        let Self { hash_builder, table } = self;
        let rehash = |key: &K| Self::hash_by(hash_builder, key);
        let fresh = Table::with_bins(wanted)?;
        fresh.make_room(wanted, &rehash, &mut Backoff::spinning())?;
        let mut done = Ok(());
        table.for_each_mut(|key, value| {
            if done.is_ok() {
                let change = |_: Option<&V>| EntryChange::Entry(key, value);
                done = fresh
                    .alter(rehash(&key), is(&key), value_of, rehash, Backoff::spinning(), change)
                    .map(drop);
            }
        });
        done.map(|()| fresh)
    }

    pub(super) fn extend_shared(&self, entries: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

/// Statistics of a [`FlatMap`], from [`FlatMap::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlatStats {
    /// The number of entries: exact if there are no concurrent writes.
    pub len: usize,
    /// The number of bins.
    pub bins: usize,
    /// The number of slots in each bin.
    pub slots_per_bin: usize,
    /// The number of overflow lines in use.
    pub overflow_lines: usize,
    /// The bytes that the map has allocated.
    pub memory_bytes: usize,
    /// Those of the bytes that are unused, but freed only when the map is dropped or shrunk.
    pub retired_bytes: usize,
}
