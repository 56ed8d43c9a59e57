//! `LeftRightTable` itself: the part that its readers and its writer share.

use super::pending::PendingChanges;
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::left_right::bin::SideBin;
use crate::left_right::side::TableSide;
use crate::sync::cache::CachePadded;
use crate::sync::claim::Claim;
use crate::sync::sides::{SideState, Sides};
use crate::sync::slot::ReaderSlot;
use core::cell::UnsafeCell;
use core::fmt;

pub(super) type Fixed<K, V, const BINS: usize> = TableSide<(K, V), [SideBin<(K, V)>; BINS]>;

/// A [`LeftRightMap`](crate::LeftRightMap) of fixed capacity, for a `static`, which never allocates.
///
/// Keys and values are `Copy`, and both sides store them. Each side has `BINS` bins of seven slots, of which at most
/// [`CAPACITY`](Self::CAPACITY) are used. There is one writer, and at most `READERS` readers exist at a time, interrupt
/// handlers included.
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
/// [`bins_for(20)`](super::bins_for) computes the number of bins for 20 entries. [`ReaderOf`](super::ReaderOf) and
/// [`WriterOf`](super::WriterOf) name the types of the handles by the type of the table.
///
/// The default hasher has **no secret keys** and has size zero: see [`FixedHashBuilder`]. If attackers can choose keys,
/// pass a hasher with secret keys to [`with_hasher`](Self::with_hasher).
///
/// # Size
/// The table has two sides of `BINS` bins, and one cache line for each reader. A bin takes seven entries and eight
/// bytes, rounded up to whole lines of 64 bytes. A new table is all zeros unless its hasher has keys, so a `static`
/// table is placed in `.bss` and takes no flash.
pub struct LeftRightTable<K, V, const BINS: usize, const READERS: usize, S = FixedHashBuilder> {
    pub(super) sides: Sides,
    tables: [UnsafeCell<Fixed<K, V, BINS>>; 2],
    pub(super) slots: [CachePadded<ReaderSlot>; READERS],
    /// Held by the writer.
    pub(super) writing: Claim,
    pending: UnsafeCell<PendingChanges<BINS>>,
    pub(super) hash_builder: S,
}

// SAFETY: readers of any thread read keys, values and the hasher. One thread at a time writes the cells: the protocol
// of the sides ([LR-1] to [LR-5]) and the writer's claim ([SE-1], [SE-2]) ensure that.
unsafe impl<K: Send + Sync, V: Send + Sync, const BINS: usize, const READERS: usize, S: Sync> Sync
    for LeftRightTable<K, V, BINS, READERS, S>
{
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize>
    LeftRightTable<K, V, BINS, READERS>
{
    /// Creates an empty table whose hasher has no secret keys: see [`FixedHashBuilder`]. Usable in a `static`. A table
    /// without a bin, or of more than 2^20 bins, does not compile.
    ///
    /// ```
    /// static TABLE: hedgerow::LeftRightTable<u32, u32, 8, 1> = hedgerow::LeftRightTable::new();
    /// assert!(TABLE.reader().is_some());
    /// ```
    #[allow(clippy::new_without_default)] // `Default` is implemented for all hashers.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_hasher(FixedHashBuilder)
    }
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    LeftRightTable<K, V, BINS, READERS, S>
{
    /// The most entries that the table holds: three quarters of its slots, on all targets.
    ///
    /// ```
    /// type Limits = hedgerow::LeftRightTable<u16, u32, 8, 1>;
    /// const _: () = assert!(Limits::CAPACITY == 42);
    /// ```
    pub const CAPACITY: usize = SideBin::<(K, V)>::capacity(BINS);

    /// Creates an empty table that hashes with `hash_builder`. Usable in a `static`. A table without a bin does not
    /// compile.
    ///
    /// A `static` table is all zeros, and takes no flash, if `hash_builder` has size zero.
    ///
    /// ```
    /// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
    /// let table: LeftRightTable<u32, u32, 8, 1, _> =
    ///     LeftRightTable::with_hasher(DefaultHashBuilder::default());
    /// assert!(table.reader().is_some());
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        const { assert!(BINS > 0, "a table has at least one bin") };
        const { assert!(BINS <= 1 << 20, "a table has at most 2^20 bins") };
        Self {
            sides: Sides::new(),
            tables: [const { UnsafeCell::new(TableSide::new([SideBin::EMPTY; BINS])) }; 2],
            // Slots of fixed tables have no numbers, which would not be zeros: `number_of` computes them.
            slots: [const { ReaderSlot::new(0, false, 0) }; READERS],
            writing: Claim::new(false),
            pending: UnsafeCell::new(PendingChanges::new()),
            hash_builder,
        }
    }

    /// Returns the most entries that the table holds, [`CAPACITY`](Self::CAPACITY). O(1).
    ///
    /// ```
    /// use hedgerow::left_right::{LeftRightTable, bins_for};
    /// assert!(LeftRightTable::<u32, u32, { bins_for(40) }, 1>::new().capacity() >= 40);
    /// ```
    pub const fn capacity(&self) -> usize {
        Self::CAPACITY
    }

    /// Returns all readers' slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = &ReaderSlot> {
        self.slots.iter().map(|slot| &**slot)
    }

    /// Returns the number of the reader that owns `slot`, a slot of this table.
    pub(super) fn number_of(&self, slot: &ReaderSlot) -> usize {
        let at = core::ptr::from_ref(slot).addr() - self.slots.as_ptr().addr();
        at / size_of::<CachePadded<ReaderSlot>>()
    }

    /// Returns the side that `state` names as the read side.
    ///
    /// # Safety
    /// While the reference is used, the caller is in a read section that returned `state`, or is the writer and does
    /// not swap the sides.
    #[inline(always)]
    pub(super) unsafe fn side(&self, state: SideState) -> &Fixed<K, V, BINS> {
        // SAFETY: the writer does not change a side that a reader may be in.
        unsafe { &*self.tables[state.read_index()].get() }
    }

    /// Returns the write side, to be changed.
    ///
    /// # Safety
    /// The caller is the writer, the last swap is over, and no other reference to the side is used at the same time.
    #[allow(clippy::mut_from_ref)] // The side is in a cell that only the writer uses.
    pub(super) unsafe fn write_side_mut(&self) -> &mut Fixed<K, V, BINS> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.tables[self.sides.state().write_index()].get() }
    }

    /// Returns the write side, to be read.
    ///
    /// # Safety
    /// The caller is the writer, and neither swaps nor changes the side while the reference is used.
    pub(super) unsafe fn write_side(&self) -> &Fixed<K, V, BINS> {
        // SAFETY: the caller promises that the side does not change while the reference is used.
        unsafe { &*self.tables[self.sides.state().write_index()].get() }
    }

    /// Returns the writer's pending changes, to be read.
    ///
    /// # Safety
    /// The caller is the writer, and does not call `pending_mut` while the reference is used.
    pub(super) unsafe fn pending(&self) -> &PendingChanges<BINS> {
        // SAFETY: as the caller says.
        unsafe { &*self.pending.get() }
    }

    /// Returns the writer's pending changes.
    ///
    /// # Safety
    /// The caller is the writer, and uses no other reference to them at the same time.
    #[allow(clippy::mut_from_ref)] // The changes are in a cell that only the writer uses.
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
