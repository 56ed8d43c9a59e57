//! `LeftRightTable` itself: what its readers and its writer share.

use super::reader::TableReader;
use super::writer::{PendingChanges, TableWriter};
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::left_right::bin::Bin;
use crate::left_right::side::Side;
use crate::sync::barrier;
use crate::sync::cache::CachePadded;
use crate::sync::claim::Claim;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::Slot;
use core::cell::UnsafeCell;
use core::fmt;

pub(super) type Fixed<K, V, const BINS: usize> = Side<(K, V), [Bin<(K, V)>; BINS]>;

/// A [`LeftRightMap`](crate::LeftRightMap) of fixed size, for a `static`: it allocates nothing, ever.
///
/// Keys and values are plain data (`Copy`) and lie in both of its sides: `BINS` bins of seven slots each, of
/// which [`CAPACITY`](Self::CAPACITY) are used at most. At most `READERS` readers look at a time, interrupt handlers
/// among them. There is one writer.
///
/// ```
/// use hedgerow::left_right::{LeftRightTable, bins_for};
///
/// type Limits = LeftRightTable<u16, u32, { bins_for(20) }, 2>;
/// static LIMITS: Limits = Limits::new();
///
/// let mut writer = LIMITS.writer().unwrap();
/// writer.insert(1, 100).unwrap();
/// writer.insert(2, 200).unwrap();
/// let reader = LIMITS.reader().unwrap(); // an interrupt handler's, say
/// assert_eq!(reader.get(&1), None);
/// writer.publish();
/// let both = reader.enter();
/// assert_eq!((both.get(&1), both.get(&2)), (Some(&100), Some(&200)));
/// ```
///
/// [`bins_for(20)`](super::bins_for) is the number of bins of a table that takes 20 entries.
/// [`ReaderOf`](super::ReaderOf) and [`WriterOf`](super::WriterOf) name the types of handles by the table's.
///
/// The default hasher is **not keyed** and has size zero: see [`FixedHashBuilder`]. For keys that an attacker chooses,
/// pass a keyed hasher to [`with_hasher`](Self::with_hasher).
///
/// # Size
/// Two sides of `BINS` bins, each of seven entries and eight bytes, in whole lines of 64 bytes; and a line for
/// each reader. All of it is zero to begin with, so a `static` lies in `.bss` and takes no flash, unless its hasher has
/// a key.
pub struct LeftRightTable<K, V, const BINS: usize, const READERS: usize, S = FixedHashBuilder> {
    pub(super) sides: Sides,
    tables: [UnsafeCell<Fixed<K, V, BINS>>; 2],
    slots: [CachePadded<Slot>; READERS],
    /// The writer's.
    writing: Claim,
    pending: UnsafeCell<PendingChanges<BINS>>,
    pub(super) hash_builder: S,
}

// SAFETY: readers of any thread look at keys, values and the hasher; cells are written by one thread at a time: the
// protocol of the sides ([LR-1] to [LR-5]) and the writer's seat ([SE-1], [SE-2]) see to it.
unsafe impl<K: Send + Sync, V: Send + Sync, const BINS: usize, const READERS: usize, S: Sync>
    Sync for LeftRightTable<K, V, BINS, READERS, S>
{
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize>
    LeftRightTable<K, V, BINS, READERS>
{
    /// Makes an empty table, whose hasher is not keyed: see [`FixedHashBuilder`]. Fits a `static`. It does not compile
    /// without a bin.
    ///
    /// ```
    /// static TABLE: hedgerow::LeftRightTable<u32, u32, 8, 1> = hedgerow::LeftRightTable::new();
    /// assert!(TABLE.reader().is_some());
    /// ```
    #[allow(clippy::new_without_default)] // There is one, for all hashers.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_hasher(FixedHashBuilder)
    }
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    LeftRightTable<K, V, BINS, READERS, S>
{
    /// The most entries that the table takes: three quarters of its slots, on all targets.
    ///
    /// ```
    /// type Limits = hedgerow::LeftRightTable<u16, u32, 8, 1>;
    /// const _: () = assert!(Limits::CAPACITY == 42);
    /// ```
    pub const CAPACITY: usize = Bin::<(K, V)>::capacity(BINS);

    /// Makes an empty table that hashes with `hash_builder`. Fits a `static`. It does not compile without a bin.
    ///
    /// A table in a `static` is all zeros, and so takes no flash, if `hash_builder` has size zero.
    ///
    /// ```
    /// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
    /// let table: LeftRightTable<u32, u32, 8, 1, _> =
    ///     LeftRightTable::with_hasher(DefaultHashBuilder::default());
    /// assert!(table.reader().is_some());
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        const { assert!(BINS > 0 && BINS <= 1 << 20, "a table has at least one bin") };
        Self {
            sides: Sides::new(),
            tables: [const { UnsafeCell::new(Side::new([Bin::EMPTY; BINS])) }; 2],
            // Their numbers would not be zeros: `number_of` knows them.
            slots: [const { Slot::new(0, false) }; READERS],
            writing: Claim::new(false),
            pending: UnsafeCell::new(PendingChanges::new()),
            hash_builder,
        }
    }

    /// Returns the most entries that the table takes, [`CAPACITY`](Self::CAPACITY). O(1).
    ///
    /// ```
    /// use hedgerow::left_right::{LeftRightTable, bins_for};
    /// assert!(LeftRightTable::<u32, u32, { bins_for(40) }, 1>::new().capacity() >= 40);
    /// ```
    pub const fn capacity(&self) -> usize {
        Self::CAPACITY
    }

    /// A reader, if not all `READERS` places are taken: for a thread, or an interrupt handler that keeps it.
    ///
    /// Lock-free; O(`READERS`). Its place is given back when it is dropped.
    ///
    /// ```
    /// let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let reader = table.reader();
    /// assert!(reader.is_some() && table.reader().is_none());
    /// ```
    pub fn reader(&self) -> Option<TableReader<'_, K, V, BINS, READERS, S>> {
        barrier::prepare();
        let slot = self.slots.iter().find(|slot| slot.claim())?;
        Some(TableReader::new(self, slot))
    }

    /// The writer, if nobody has it. What the last one did not publish is there still.
    ///
    /// Lock-free; O(1). Its place is given back when it is dropped.
    ///
    /// ```
    /// let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let writer = table.writer();
    /// assert!(writer.is_some() && table.writer().is_none());
    /// ```
    pub fn writer(&self) -> Option<TableWriter<'_, K, V, BINS, READERS, S>> {
        barrier::prepare();
        self.writing.take().then(|| TableWriter::new(self))
    }

    pub(super) fn release_writing(&self) {
        self.writing.release();
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().map(|slot| &**slot)
    }

    /// The number of a reader whose slot is `slot`, one of these.
    pub(super) fn number_of(&self, slot: &Slot) -> usize {
        let at = core::ptr::from_ref(slot).addr() - self.slots.as_ptr().addr();
        at / size_of::<CachePadded<Slot>>()
    }

    /// The side that somebody was told.
    ///
    /// # Safety
    /// Who asks is looking, and was told `shown`, as long as the reference is used; or is the writer, and does not
    /// turn meanwhile.
    #[inline(always)]
    pub(super) unsafe fn side(&self, state: SideState) -> &Fixed<K, V, BINS> {
        // SAFETY: the writer makes no change to a side that may be looked at.
        unsafe { &*self.tables[state.read_index()].get() }
    }

    /// The side that is hidden, to be changed.
    ///
    /// # Safety
    /// The caller is the writer, the last turn is over, and no other reference to the side is used meanwhile.
    #[allow(clippy::mut_from_ref)] // It is in a cell, for the one who writes.
    pub(super) unsafe fn write_side_mut(&self) -> &mut Fixed<K, V, BINS> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.tables[self.sides.state().write_index()].get() }
    }

    /// The side that is hidden, to be looked at.
    ///
    /// # Safety
    /// The caller is the writer, and neither turns nor changes the side meanwhile.
    pub(super) unsafe fn write_side(&self) -> &Fixed<K, V, BINS> {
        // SAFETY: nobody changes it meanwhile.
        unsafe { &*self.tables[self.sides.state().write_index()].get() }
    }

    /// The writer's notes, to be looked at.
    ///
    /// # Safety
    /// The caller is the writer, and asks for no notes to change meanwhile.
    pub(super) unsafe fn pending(&self) -> &PendingChanges<BINS> {
        // SAFETY: as the caller says.
        unsafe { &*self.pending.get() }
    }

    /// The writer's notes.
    ///
    /// # Safety
    /// The caller is the writer, and uses no other reference to them meanwhile.
    #[allow(clippy::mut_from_ref)] // As above.
    pub(super) unsafe fn pending_mut(&self) -> &mut PendingChanges<BINS> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.pending.get() }
    }
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S: Default> Default
    for LeftRightTable<K, V, BINS, READERS, S>
{
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V, const BINS: usize, const READERS: usize, S> fmt::Debug
    for LeftRightTable<K, V, BINS, READERS, S>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftRightTable").finish_non_exhaustive()
    }
}
