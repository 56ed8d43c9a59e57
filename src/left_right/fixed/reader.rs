//! Reading.

use super::table::{Fixed, LeftRightTable};
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::left_right::bin::Hashed;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::Slot;
use core::cell::Cell;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// A reader of a [`LeftRightTable`], for one thread or interrupt handler: it can be sent, not shared.
///
/// Reads are wait-free, and meet one published state. They never go back.
pub struct TableReader<
    'a,
    K: Copy,
    V: Copy,
    const BINS: usize,
    const READERS: usize,
    S = FixedHashBuilder,
> {
    table: &'a LeftRightTable<K, V, BINS, READERS, S>,
    slot: &'a Slot,
    known: Cell<SideState>,
}

impl<'a, K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    TableReader<'a, K, V, BINS, READERS, S>
{
    /// Of a slot that was claimed for it.
    pub(super) fn new(
        table: &'a LeftRightTable<K, V, BINS, READERS, S>,
        slot: &'a Slot,
    ) -> Self {
        // So that its own first look is not taken for that of the slot's last owner.
        let known = table.sides.begin_read(slot, SideState::NEVER);
        Sides::end_read(slot);
        Self { table, slot, known: Cell::new(known) }
    }

    /// A view of many keys at once: all of one published state, until the snapshot is dropped. Wait-free.
    ///
    /// Meanwhile the writer can publish once; then its changes are refused until the snapshot is dropped.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader().unwrap();
    /// assert_eq!(reader.enter().len(), 0);
    /// ```
    #[inline]
    pub fn enter(&self) -> TableSnapshot<'_, K, V, BINS, S> {
        let known = self.known.get();
        let shown = self.table.sides.begin_read(self.slot, known);
        if shown != known && Sides::is_outermost_read(self.slot) {
            self.known.set(shown);
        }
        // SAFETY: the reader looks until the snapshot is dropped, and was told this.
        let side = unsafe { self.table.side(shown) };
        TableSnapshot { side, slot: self.slot, hash_builder: &self.table.hash_builder }
    }

    /// A copy of the key's value. Wait-free; O(1) expected.
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

    /// Returns a copy of the key's value, or the default value if the key has none. Wait-free; O(1) expected.
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

    /// The number under which [`TableWriter::stalled_readers`](super::TableWriter::stalled_readers) lists this reader.
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
        // Snapshots that were forgotten hold nothing any more: they borrowed the reader.
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

/// One published state of a [`LeftRightTable`], for as long as it is held. From [`TableReader::enter`].
pub struct TableSnapshot<'a, K: Copy, V: Copy, const BINS: usize, S = FixedHashBuilder> {
    side: &'a Fixed<K, V, BINS>,
    slot: &'a Slot,
    hash_builder: &'a S,
}

impl<K: Copy, V: Copy, const BINS: usize, S> TableSnapshot<'_, K, V, BINS, S> {
    /// The key's value. O(1) expected.
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
        let hash = Hashed::of(key, self.hash_builder);
        let (_, (_, value)) = self.side.find(hash, move |(k, _)| key.equivalent(k))?;
        Some(value)
    }

    /// The number of entries. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.side.len()
    }

    /// Whether there are no entries. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(table.reader().unwrap().enter().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many publishes there were up to this state.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().generation(), 0);
    /// ```
    pub fn generation(&self) -> u64 {
        self.side.generation()
    }

    /// All entries, in no order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.side.entries().map(|(_, (key, value))| (key, value))
    }

    /// Returns an iterator over all keys, in no order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.reader().unwrap().enter().keys().count(), 0);
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns an iterator over all values, in no order.
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
