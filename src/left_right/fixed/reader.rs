//! Readers of a fixed table, and their snapshots.

use super::table::{Fixed, LeftRightTable};
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::facade::ScheduledRef;
use crate::left_right::bin::MixedHash;
use crate::sync::barrier;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::ReaderSlot;
use core::cell::Cell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use equivalent::Equivalent;

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    LeftRightTable<K, V, BINS, READERS, S>
{
    /// Returns a reader for one thread or interrupt handler, or `None` if the table already has `READERS` readers.
    /// Lock-free; O(`READERS`). Dropping the reader makes room for another.
    ///
    /// ```
    /// let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader();
    /// assert!(reader.is_some() && table.reader().is_none());
    /// ```
    pub fn reader(&self) -> Option<TableReader<'_, K, V, BINS, READERS, S>> {
        barrier::prepare();
        let _operation = self.sides.scheduled.operation();
        let slot = self.slots.iter().find(|slot| slot.claim())?;
        Some(TableReader::new(self, slot))
    }
}

/// A reader of a [`LeftRightTable`], for one thread or interrupt handler. It can be sent to another thread, not shared.
///
/// Reads are wait-free. A read sees one published state, and no later read sees an older one.
pub struct TableReader<
    'a,
    K: Copy,
    V: Copy,
    const BINS: usize,
    const READERS: usize,
    S = FixedHashBuilder,
> {
    table: &'a LeftRightTable<K, V, BINS, READERS, S>,
    slot: &'a ReaderSlot,
    known: Cell<SideState>,
}

impl<'a, K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    TableReader<'a, K, V, BINS, READERS, S>
{
    /// Makes a reader that owns `slot`, which the caller has claimed for it.
    pub(super) fn new(
        table: &'a LeftRightTable<K, V, BINS, READERS, S>,
        slot: &'a ReaderSlot,
    ) -> Self {
        // This read section replaces the state that the slot's last owner stored. Otherwise the writer could take the
        // new reader's first read section for one of the last owner.
        let known = table.sides.begin_read(slot, SideState::NEVER);
        Sides::end_read(slot);
        Self { table, slot, known: Cell::new(known) }
    }

    /// Returns a snapshot for reading many keys: all reads see one published state. Wait-free.
    ///
    /// While the snapshot is held, the writer can publish once. The table refuses the changes after that publish until
    /// the snapshot is dropped.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader().unwrap();
    /// assert_eq!(reader.enter().len(), 0);
    /// ```
    #[inline]
    pub fn enter(&self) -> TableSnapshot<'_, K, V, BINS, S> {
        let known = self.known.get();
        let state = self.table.sides.begin_read(self.slot, known);
        // A nested read section does not store its state in the slot, so the next outer one must not rely on it.
        if state != known && Sides::is_outermost_read(self.slot) {
            self.known.set(state);
        }
        // SAFETY: the read section that returned `state` ends when the snapshot is dropped.
        let side = unsafe { self.table.side(state) };
        let hash_builder = &self.table.hash_builder;
        let scheduled = self.table.sides.scheduled.by_ref();
        TableSnapshot { side, slot: self.slot, scheduled, hash_builder, reader: PhantomData }
    }

    /// Returns a copy of the value of `key`. Wait-free; O(1) expected.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader().unwrap();
    /// assert_eq!(reader.get(&7), None);
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        S: BuildHasher,
    {
        self.enter().get(key).copied()
    }

    /// Returns a copy of the value of `key`, or the default value if there is none. Wait-free; O(1) expected.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader().unwrap();
    /// assert_eq!(reader.get_or_default(&7), 0);
    /// ```
    #[inline]
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        S: BuildHasher,
        V: Default,
    {
        self.get(key).unwrap_or_default()
    }

    /// Returns the number under which [`TableWriter::stalled_readers`](super::TableWriter::stalled_readers) lists this
    /// reader.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().reader_id(), 0);
    /// ```
    pub fn reader_id(&self) -> usize {
        self.table.number_of(self.slot)
    }
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S> Drop
    for TableReader<'_, K, V, BINS, READERS, S>
{
    fn drop(&mut self) {
        let _operation = self.table.sides.scheduled.operation();
        // A forgotten snapshot has not ended its read section. It borrowed the reader, so no thread uses it now.
        Sides::end_all_reads(self.slot);
        self.slot.release();
    }
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S> fmt::Debug
    for TableReader<'_, K, V, BINS, READERS, S>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableReader").field("reader", &self.reader_id()).finish_non_exhaustive()
    }
}

/// One published state of a [`LeftRightTable`], for as long as the snapshot is held. Made by [`TableReader::enter`].
///
/// It stays on the thread of its reader.
pub struct TableSnapshot<'a, K: Copy, V: Copy, const BINS: usize, S = FixedHashBuilder> {
    side: &'a Fixed<K, V, BINS>,
    slot: &'a ReaderSlot,
    scheduled: ScheduledRef<'a>,
    hash_builder: &'a S,
    /// Stands for the borrowed reader, which threads cannot share. If another thread dropped the snapshot, the two
    /// would count the slot's read sections at once, by loads and stores that lose each other's counts. The writer
    /// would then change a side that is read.
    reader: PhantomData<&'a Cell<SideState>>,
}

impl<K: Copy, V: Copy, const BINS: usize, S> TableSnapshot<'_, K, V, BINS, S> {
    /// Returns the value of `key`. O(1) expected.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader().unwrap();
    /// assert_eq!(reader.enter().get(&7), None);
    /// ```
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        S: BuildHasher,
    {
        let hash = MixedHash::of(key, self.hash_builder);
        let (_, (_, value)) = self.side.find(hash, move |(k, _)| key.equivalent(k))?;
        Some(value)
    }

    /// Returns the number of entries. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.side.len()
    }

    /// Returns true if there are no entries. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(table.reader().unwrap().enter().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of publishes up to this state.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().generation(), 0);
    /// ```
    pub fn generation(&self) -> u64 {
        self.side.generation()
    }

    /// Returns an iterator over all entries, in no particular order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.side.entries().map(|(_, (key, value))| (key, value))
    }

    /// Returns an iterator over all keys, in no particular order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().keys().count(), 0);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns an iterator over all values, in no particular order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().values().count(), 0);
    /// ```
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Copy, V: Copy, const BINS: usize, S> Drop for TableSnapshot<'_, K, V, BINS, S> {
    #[inline]
    fn drop(&mut self) {
        let _operation = self.scheduled.operation();
        Sides::end_read(self.slot);
    }
}

impl<K, V, const BINS: usize, S> fmt::Debug for TableSnapshot<'_, K, V, BINS, S>
where
    K: Copy + fmt::Debug,
    V: Copy + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
