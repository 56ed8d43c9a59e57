//! `FlatTable`: hashing and types around the bins.
//!
//! An empty table is all zeros, so a `static` one is in `.bss`, and flash holds no copy of it. Several choices of the
//! crate follow from that:
//!
//! - The default hasher of a table has size zero.
//! - The first state of a reader's slot is 0, and a slot of a `LeftRightTable` does not store its number.
//! - The writer of a `LeftRightTable` has a flag beside the last swap instead of an `Option`.
//!
//! `tests/fixed_static.rs` and `benches/flash/run` check it. On 32-bit targets flash is scarcer than time. There, all
//! operations call one function through a `dyn` closure, and the `inline` attributes depend on the pointer's width.
#![allow(clippy::type_complexity)] // Results name all that they hand back.

use super::bins::{Altered, ChangeFailure, ResumePosition};
use super::iter::{TableIter, TableKeys, TableValues};
use super::storage::Storage;
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::api::hash::KeyHash;
use crate::api::hasher::mixes_well;
use crate::api::op::{Computed, EntryChange, Op};
use crate::bins::layout::Layout;
use crate::error::{Busy, Full, OccupiedError, TryInsertError};
use crate::flat::lookup::{is, value_of};
use crate::sync::backoff::Backoff;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::mem::MaybeUninit;
use equivalent::Equivalent;

/// A [`FlatMap`](crate::FlatMap) of fixed capacity, for a `static`, which never allocates.
///
/// Keys and values are `Copy`, methods return copies, lookups take no lock and write nothing shared, and all methods
/// take `&self`.
///
/// ```
/// use hedgerow::flat::{FlatTable, bins_for};
///
/// static READINGS: FlatTable<u8, [i16; 3], { bins_for(40) }> = FlatTable::new();
///
/// assert_eq!(READINGS.insert(3, [-1, 0, 1]), Ok(None)); // main loop
/// assert_eq!(READINGS.try_get(&3), Ok(Some([-1, 0, 1]))); // interrupt handler
/// ```
///
/// `BINS` is the number of bins; [`bins_for(40)`](super::bins_for) computes it for 40 entries. A bin has seven slots on
/// 64-bit targets and three on others, so firmware and its tests on a host have room for the same entries. Any number
/// from 1 works; with a power of two, lookups are slightly faster.
///
/// The default hasher has **no secret keys** and has size zero: see [`FixedHashBuilder`]. If attackers can choose keys,
/// pass a hasher with secret keys to [`with_hasher`](Self::with_hasher).
///
/// # Guarantees
/// - Every operation on one key is linearizable, and a value is never torn. [`iter`](Self::iter),
///   [`retain`](Self::retain) and [`clear`](Self::clear) visit entry after entry. An entry never moves, so iteration
///   returns a key that is present throughout exactly once.
/// - A lookup waits only while the bin of the key is being written: a few nanoseconds, unless the writer is preempted
///   there. A lookup of an absent key does not wait, unless another key there has the same seven-bit tag.
///   [`try_get`](Self::try_get) never waits; it returns [`Busy`].
/// - A lookup reads usually one bin, and at most sixteen (32 on 32-bit targets).
/// - User code (`Hash`, `Eq`, closures) runs while no lock is held, and may panic or use the table.
///
/// # Fill
/// A key is stored in the bin that its hash selects or, if that is full, in one of the fifteen after it (31 on 32-bit
/// targets). If all of these are full, the table refuses the key. A table of at most 16 bins can therefore be filled
/// completely. With random `u64` keys, tables of 64 bins refused the first key at 95 % of their
/// [`capacity`](Self::capacity) in the median of 2,000 tables, at 86 % in one of a hundred, and never below 82 %;
/// tables of 4,096 bins at 82 % in the median, and never below 70 % in 400 tables. Keys that all have the same hash
/// share sixteen bins.
///
/// Plan for two thirds, because the fuller the table, the more keys are outside their home bin. At 60 % of 64 bins, a
/// miss took 1.7 ns in a newly filled table, and 2.1 ns after each entry had been replaced a hundred times; at 80 %,
/// 2.1 and 4.0 ns. It does not become slower than that.
///
/// # Size
/// Each bin takes seven entries (three on 32-bit targets) and two words: 128 bytes for `u64 → u64`. A new table is all
/// zeros unless its hasher has keys, so a `static` table is placed in `.bss` and takes no flash. A table that is not in
/// a `static` takes as much stack.
///
/// `insert`, `remove` and `try_get` for `u32 → u32` take 2.0 KiB of flash on a Cortex-M3 and 2.3 KiB on a Cortex-M0
/// (`opt-level = "s"`, with LTO); heapless's `FnvIndexMap` in a critical section takes 1.5 and 1.6 KiB, its `LinearMap`
/// 0.4 and 0.3 KiB. `BENCHMARKS.md` has more. On 32-bit targets the operations for one type of keys share their code
/// and are not inlined.
///
/// ```compile_fail
/// let none = hedgerow::FlatTable::<u8, u8, 0>::new();
/// ```
pub struct FlatTable<K, V, const BINS: usize, S = FixedHashBuilder> {
    hash_builder: S,
    bins: Storage<K, V, BINS>,
}

impl<K: Copy, V: Copy, const BINS: usize> FlatTable<K, V, BINS> {
    crate::facade::const_unless_loom! {
        /// Returns an empty table whose hasher has no secret keys: see [`FixedHashBuilder`]. Can initialize a `static`.
        ///
        /// ```
        /// static TABLE: hedgerow::FlatTable<u32, u32, 16> = hedgerow::FlatTable::new();
        /// assert!(TABLE.is_empty());
        /// ```
        #[allow(clippy::new_without_default)] // `Default` is implemented for all hashers.
        #[must_use]
        pub fn new() -> Self {
            Self::with_hasher(FixedHashBuilder)
        }
    }
}

impl<K: Copy, V: Copy, const BINS: usize, S> FlatTable<K, V, BINS, S> {
    /// The number of slots: the largest number of entries that the table can hold. See [Fill](Self#fill).
    ///
    /// It differs between targets, because a bin has seven slots on 64-bit targets and three on others. A program that
    /// computes the number of bins by [`bins_for`](super::bins_for) has at least as many slots as it asked for, on
    /// every target. A program that names a number of bins can check this at compile time:
    ///
    /// ```
    /// type Levels = hedgerow::FlatTable<u8, i16, 8>;
    /// const _: () = assert!(Levels::CAPACITY >= 24);
    /// ```
    pub const CAPACITY: usize = BINS * Layout::<K, V>::SLOTS;

    crate::facade::const_unless_loom! {
        /// Returns an empty table that hashes with `hash_builder`. Can initialize a `static`.
        ///
        /// A table in a `static` is all zeros, and so takes no flash, if `hash_builder` has size zero, as
        /// `BuildHasherDefault::new()` of any hasher type has. A
        /// [`DefaultHashBuilder`](super::super::DefaultHashBuilder) has keys, and a constant constructor.
        ///
        /// ```
        /// use std::hash::{BuildHasherDefault, DefaultHasher};
        /// static TABLE: hedgerow::FlatTable<u32, u32, 5, BuildHasherDefault<DefaultHasher>> =
        ///     hedgerow::FlatTable::with_hasher(BuildHasherDefault::new());
        /// assert_eq!(TABLE.insert(1, 2), Ok(None));
        /// assert_eq!(TABLE.get(&1), Some(2));
        /// ```
        #[must_use]
        pub fn with_hasher(hash_builder: S) -> Self {
            Self { hash_builder, bins: Storage::new() }
        }
    }

    /// Returns the table's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// hedgerow::FlatTable::<u32, u32, 1>::new().hasher().hash_one(7);
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hash_builder
    }

    /// Returns the number of slots, [`CAPACITY`](Self::CAPACITY).
    ///
    /// ```
    /// use hedgerow::flat::{FlatTable, bins_for};
    /// assert!(FlatTable::<u32, u32, { bins_for(40) }>::new().capacity() >= 40);
    /// ```
    pub const fn capacity(&self) -> usize {
        Self::CAPACITY
    }

    /// Returns the number of entries: exact if there are no concurrent writes, else a sum over bins read at different
    /// times.
    ///
    /// Never waits. Reads every bin, because writers do not count.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 2>::new();
    /// table.insert(1, 'a')?;
    /// assert_eq!(table.len(), 1);
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.bins.len()
    }

    /// Returns `true` if the table is empty. Never waits; reads bins until one has an entry.
    ///
    /// ```
    /// assert!(hedgerow::FlatTable::<u8, u8, 1>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Returns an iterator over copies of all entries, in no particular order.
    ///
    /// Each entry is a consistent snapshot. A key that is present from the iterator's beginning to its end is returned
    /// exactly once. A key that is inserted or removed concurrently may be missed, and one that is removed and inserted
    /// again may be returned again. Waits while the next bin is being written.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(1, 'a')?;
    /// assert_eq!(table.iter().collect::<Vec<_>>(), [(1, 'a')]);
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    pub fn iter(&self) -> TableIter<'_, K, V, BINS> {
        TableIter { bins: &self.bins, position: ResumePosition::default() }
    }

    /// Returns an iterator over copies of all keys, in no particular order, with the guarantees of
    /// [`iter`](Self::iter).
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(1, 'a')?;
    /// assert!(table.keys().eq([1]));
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    pub fn keys(&self) -> TableKeys<'_, K, V, BINS> {
        TableKeys(self.iter())
    }

    /// Returns an iterator over copies of all values, in no particular order, with the guarantees of
    /// [`iter`](Self::iter).
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(1, 'a')?;
    /// assert!(table.values().eq(['a']));
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    pub fn values(&self) -> TableValues<'_, K, V, BINS> {
        TableValues(self.iter())
    }
}

/// Handles the error of a caller that may wait, which cannot happen. A panic would take flash for that.
#[cold]
fn never_refused() -> ! {
    if cfg!(target_pointer_width = "64") {
        unreachable!("a caller that spins is never refused");
    }
    loop {
        crate::facade::spin_hint();
    }
}

impl<K, V, const BINS: usize, S> FlatTable<K, V, BINS, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // Small targets have little flash.
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> KeyHash {
        KeyHash::spread(self.hash_builder.hash_one(key), mixes_well::<S>())
    }

    /// Returns a copy of the value of `key`.
    ///
    /// Takes no lock, writes no shared memory. Waits while the bin that holds the key is being written. The load of
    /// that bin's tags is the linearization point.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<&str, u32, 4>::new();
    /// table.insert("a", 1)?;
    /// assert_eq!((table.get("a"), table.get("b")), (Some(1), None));
    /// # Ok::<(), hedgerow::error::Full<&str, u32>>(())
    /// ```
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.bins.get(self.hash(key), is(key), value_of)
    }

    /// Does what [`get`](Self::get) does, but never waits: for interrupt handlers, and for callers that may not spin.
    ///
    /// # Errors
    /// [`Busy`] if a bin that may hold the key is being written.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, u32, 4>::new();
    /// assert_eq!(table.try_get(&1), Ok(None));
    /// ```
    #[inline]
    pub fn try_get<Q>(&self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.bins
            .get_slowly(self.hash(key), is(key), value_of, &mut Backoff::never())
            .map_err(|_| Busy)
    }

    /// Calls `f` on a copy of `key`'s value and returns the result. `f` runs while nothing is locked.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, [u8; 3], 4>::new();
    /// table.insert(1, [1, 2, 3])?;
    /// assert_eq!(table.get_with(&1, |v| v.len()), Some(3));
    /// # Ok::<(), hedgerow::error::Full<u32, [u8; 3]>>(())
    /// ```
    #[inline(always)]
    pub fn get_with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.get(key).map(|value| f(&value))
    }

    /// Returns a copy of `key`'s value, or the default value if the key is absent. Inserts nothing.
    ///
    /// Waits, and linearizes, as [`get`](Self::get) does.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, u32, 4>::new();
    /// assert_eq!((table.get_or_default(&1), table.len()), (0, 0));
    /// ```
    #[inline(always)]
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Default,
    {
        self.get(key).unwrap_or_default()
    }

    /// Returns `true` if the map contains `key`. Costs what [`get`](Self::get) does, without copying the value.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, u32, 4>::new();
    /// assert!(!table.contains_key(&1));
    /// ```
    #[inline(always)]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.bins.get(self.hash(key), is(key), |_| MaybeUninit::new(())).is_some()
    }

    /// Stores `value` under `key` and returns the value that it replaces. The table keeps the key that it has.
    ///
    /// Blocks while another thread writes to a bin that this has to change.
    ///
    /// # Errors
    /// [`Full`] if the key is absent and there is no room for it; the table is unchanged. The value of a present key
    /// can always be replaced. A table that is nearly full may also refuse a key while other threads remove and insert
    /// other keys, because its bins are looked at one after the other.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// assert_eq!((table.insert(1, 'a'), table.insert(1, 'b')), (Ok(None), Ok(Some('a'))));
    /// ```
    #[inline]
    pub fn insert(&self, key: K, value: V) -> Result<Option<V>, Full<K, V>> {
        self.alter(key, |_| Op::Insert(value)).map(|(old, _)| old)
    }

    /// Does what [`insert`](Self::insert) does, but never waits.
    ///
    /// # Errors
    /// [`TryInsertError::Busy`] if a bin that this has to change is being written, [`TryInsertError::Full`] if there is
    /// no room for a new key. Both hand key and value back, and leave the table unchanged.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// assert_eq!(table.try_insert(1, 'a'), Ok(None));
    /// ```
    #[inline]
    pub fn try_insert(&self, key: K, value: V) -> Result<Option<V>, TryInsertError<K, V>> {
        let done = self.try_alter(key, Backoff::never(), |_| Op::Insert(value));
        done.map(|(old, _)| old).map_err(|why| why.hand_back(key, value))
    }

    /// Stores `value` under `key` if the key is absent. Blocks as [`insert`](Self::insert) does.
    ///
    /// # Errors
    /// [`Full`] if the key is absent and there is no room for it. Within `Ok`, [`OccupiedError`] if the key has a
    /// value: it hands key and value back, with a copy of the key's value.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// assert_eq!(table.insert_if_absent(1, 'a'), Ok(Ok(())));
    /// assert_eq!(table.insert_if_absent(1, 'b').unwrap().unwrap_err().current, 'a');
    /// ```
    #[inline]
    pub fn insert_if_absent(
        &self,
        key: K,
        value: V,
    ) -> Result<Result<(), OccupiedError<K, V, V>>, Full<K, V>> {
        let op = |old: Option<V>| if old.is_none() { Op::Insert(value) } else { Op::Keep };
        self.alter(key, op).map(|(old, _)| OccupiedError::unless_absent(old, key, value))
    }

    /// Returns the value of `key`, and stores `value` if there is none. Blocks as [`insert`](Self::insert) does if the
    /// key is absent.
    ///
    /// # Errors
    /// [`Full`] if the key is absent and there is no room for it.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// assert_eq!((table.get_or_insert(7, 'a')?, table.get_or_insert(7, 'b')?), ('a', 'a'));
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    #[inline]
    pub fn get_or_insert(&self, key: K, value: V) -> Result<V, Full<K, V>> {
        self.get_or_insert_with(key, || value)
    }

    /// Returns the value of `key`. If there is none, calls `make` and stores the value that it returns.
    ///
    /// `make` runs while nothing is locked, at most once, and in vain if another thread inserts the key in the meantime
    /// or if there is no room: all callers get the value that is in the table. Blocks as [`insert`](Self::insert) does
    /// if the key is absent.
    ///
    /// # Errors
    /// [`Full`] with the value that `make` has returned, if there is no room for it.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, usize, 4>::new();
    /// assert_eq!(table.get_or_insert_with(7, || 4)?, 4);
    /// assert_eq!(table.get_or_insert_with(7, || unreachable!())?, 4);
    /// # Ok::<(), hedgerow::error::Full<i32, usize>>(())
    /// ```
    #[inline]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Result<V, Full<K, V>> {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let made = make();
        // Another thread may have inserted the key while `make` ran.
        Ok(self.insert_if_absent(key, made)?.map_or_else(|taken| taken.current, |()| made))
    }

    /// Stores each of `entries` as [`insert`](Self::insert) does, until there is no room for one. Blocks as `insert`
    /// does. Entries become visible one after the other.
    ///
    /// `Extend` is not implemented, because it could not return the entries that found no room.
    ///
    /// # Errors
    /// [`Full`] with the first pair for which there is no room. The pairs before it are stored. Those after it are
    /// still in the iterator, which the caller keeps by passing `&mut` of it.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, char, 1>::new();
    /// let mut entries = (0..).zip('a'..='z');
    /// let refused = table.try_extend(&mut entries).unwrap_err();
    /// assert_eq!(table.len(), refused.key as usize);
    /// assert_eq!(entries.next().unwrap().0, refused.key + 1);
    /// ```
    pub fn try_extend(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<(), Full<K, V>> {
        entries.into_iter().try_for_each(|(key, value)| self.insert(key, value).map(drop))
    }

    /// Removes `key` and returns its value. Blocks while another thread writes to a bin that may hold it.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(1, 'a')?;
    /// assert_eq!((table.remove(&1), table.remove(&1)), (Some('a'), None));
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    #[inline]
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let removed = self.alter_present(key, Backoff::spinning(), |_| Op::Remove);
        removed.ok().flatten().map(|(value, _)| value)
    }

    /// Does what [`remove`](Self::remove) does, but never waits.
    ///
    /// # Errors
    /// [`Busy`] if a bin that may hold the key is being written; the table is unchanged.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(1, 'a')?;
    /// assert_eq!(table.try_remove(&1), Ok(Some('a')));
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    #[inline]
    pub fn try_remove<Q>(&self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let removed = self.alter_present(key, Backoff::never(), |_| Op::Remove)?;
        Ok(removed.map(|(value, _)| value))
    }

    /// Removes `key` if `condition` returns true for its entry; returns the value that it had.
    ///
    /// `condition` runs while nothing is locked, and again if anything in a bin that may hold the key has changed in
    /// the meantime. Blocks as [`remove`](Self::remove) does.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(7, 1)?;
    /// assert_eq!(table.remove_if(&7, |_, n| *n == 0), None);
    /// assert_eq!(table.remove_if(&7, |_, n| *n == 1), Some(1));
    /// # Ok::<(), hedgerow::error::Full<i32, i32>>(())
    /// ```
    #[inline]
    pub fn remove_if<Q>(&self, key: &Q, mut condition: impl FnMut(&Q, &V) -> bool) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let decide = |value: V| if condition(key, &value) { Op::Remove } else { Op::Keep };
        match self.alter_present(key, Backoff::spinning(), decide) {
            Ok(Some((before, Op::Remove))) => Some(before),
            _ => None,
        }
    }

    /// Replaces the value of `key` by the result of `f`, and returns the new value; None if the key is absent.
    ///
    /// `f` runs while nothing is locked, and again if anything in a bin that may hold the key has changed in the
    /// meantime, so the replacement is atomic. An `f` that itself writes there each time it runs never ends. Blocks as
    /// [`insert`](Self::insert) does: interrupt handlers use [`try_update`](Self::try_update).
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert('a', 1)?;
    /// assert_eq!((table.update(&'a', |n| n + 1), table.update(&'b', |n| n + 1)), (Some(2), None));
    /// # Ok::<(), hedgerow::error::Full<char, i32>>(())
    /// ```
    #[inline]
    pub fn update<Q>(&self, key: &Q, mut f: impl FnMut(V) -> V) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        match self.alter_present(key, Backoff::spinning(), |value| Op::Insert(f(value))) {
            Ok(Some((_, Op::Insert(new)))) => Some(new),
            _ => None,
        }
    }

    /// Changes `key`'s entry as `f` decides from its value, atomically.
    ///
    /// `f` runs while nothing is locked, and again if anything in a bin that may hold the key has changed in the
    /// meantime. An `f` that itself writes there each time it runs never ends. Blocks as [`insert`](Self::insert) does:
    /// interrupt handlers use [`try_compute`](Self::try_compute).
    ///
    /// # Errors
    /// [`Full`] if `f` returns an entry for an absent key and there is no room; the table is unchanged.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let table = hedgerow::FlatTable::<_, u32, 4>::new();
    /// let step = |n: Option<u32>| match n { None => Op::Insert(1), Some(1) => Op::Insert(2), _ => Op::Remove };
    /// assert_eq!(table.compute('a', step)?.after, Some(1));
    /// assert_eq!(table.compute('a', step)?.after, Some(2));
    /// assert_eq!(table.compute('a', step)?.after, None);
    /// # Ok::<(), hedgerow::error::Full<char, u32>>(())
    /// ```
    #[inline]
    pub fn compute(
        &self,
        key: K,
        f: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Computed<V>, Full<K, V>> {
        self.alter(key, f).map(Self::computed)
    }

    #[inline]
    pub(super) fn computed((before, change): Altered<K, V>) -> Computed<V> {
        let after = match change {
            EntryChange::Keep => before,
            EntryChange::Value(new) | EntryChange::Entry(_, new) => Some(new),
            EntryChange::Remove => None,
        };
        Computed { before, after }
    }

    /// Removes the entries for which `keep` returns false; `keep` may change the values of the others.
    ///
    /// `keep` runs while nothing is locked, and again for an entry whose bin changed in the meantime. Each entry is
    /// removed or kept by itself. A key that is removed and inserted again concurrently may be shown again. Blocks
    /// while another thread writes to a bin.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<u32, u32, 4>::new();
    /// for n in 0..6 {
    ///     table.insert(n, n)?;
    /// }
    /// table.retain(|key, _| key % 2 == 0);
    /// assert_eq!(table.len(), 3);
    /// # Ok::<(), hedgerow::error::Full<u32, u32>>(())
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &mut V) -> bool) {
        self.bins.retain(|key| self.hash(key), keep);
    }

    /// Removes every entry, one after the other. Entries that other threads insert concurrently may stay or be removed,
    /// including keys that this has removed before.
    ///
    /// ```
    /// let table = hedgerow::FlatTable::<_, _, 4>::new();
    /// table.insert(1, 'a')?;
    /// table.clear();
    /// assert!(table.is_empty());
    /// # Ok::<(), hedgerow::error::Full<i32, char>>(())
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    #[inline]
    fn alter(
        &self,
        key: K,
        decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Altered<K, V>, Full<K, V>> {
        self.try_alter(key, Backoff::spinning(), decide).map_err(|why| match why {
            ChangeFailure::Full(key, value) => Full { key, value },
            ChangeFailure::Busy => never_refused(),
        })
    }

    #[inline]
    pub(super) fn try_alter(
        &self,
        key: K,
        backoff: Backoff,
        mut decide: impl FnMut(Option<V>) -> Op<V>,
    ) -> Result<Altered<K, V>, ChangeFailure<K, V>> {
        let decide = |old: Option<&V>| match (decide(old.copied()), old) {
            (Op::Keep, _) => EntryChange::Keep,
            // `insert` keeps the key that the table has, as std's does.
            (Op::Insert(value), Some(_)) => EntryChange::Value(value),
            (Op::Insert(value), None) => EntryChange::Entry(key, value),
            (Op::Remove, _) => EntryChange::Remove,
        };
        self.bins.alter(self.hash(&key), is(&key), backoff, decide)
    }

    /// Does what `try_alter` does, for an entry that is present or stays absent: it needs no room.
    #[inline]
    pub(super) fn alter_present<Q>(
        &self,
        key: &Q,
        backoff: Backoff,
        mut decide: impl FnMut(V) -> Op<V>,
    ) -> Result<Option<(V, Op<V>)>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let decide = |old: Option<&V>| match old.map(|&value| decide(value)) {
            None | Some(Op::Keep) => EntryChange::Keep,
            Some(Op::Insert(value)) => EntryChange::Value(value),
            Some(Op::Remove) => EntryChange::Remove,
        };
        let altered = self.bins.alter(self.hash(key), is(key), backoff, decide);
        let (before, change) = altered.map_err(|_| Busy)?;
        let op = match change {
            EntryChange::Keep => Op::Keep,
            EntryChange::Value(value) | EntryChange::Entry(_, value) => Op::Insert(value),
            EntryChange::Remove => Op::Remove,
        };
        Ok(before.map(|before| (before, op)))
    }
}

impl<K, V, const BINS: usize, S> Default for FlatTable<K, V, BINS, S>
where
    K: Copy,
    V: Copy,
    S: Default,
{
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V, const BINS: usize, S> fmt::Debug for FlatTable<K, V, BINS, S>
where
    K: Copy + fmt::Debug,
    V: Copy + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, K: Copy, V: Copy, const BINS: usize, S> IntoIterator for &'a FlatTable<K, V, BINS, S> {
    type Item = (K, V);
    type IntoIter = TableIter<'a, K, V, BINS>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
