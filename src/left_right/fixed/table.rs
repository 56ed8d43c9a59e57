//! `LeftRightTable` itself: what its readers and its writer share.

use super::reader::TableReader;
use super::writer::{Draft, TableWriter};
use crate::api::hasher::DefaultHashBuilder;
use crate::left_right::bucket::Bucket;
use crate::left_right::side::Side;
use crate::sync::barrier;
use crate::sync::cache::CachePadded;
use crate::sync::seat::Seat;
use crate::sync::sides::{Shown, Sides};
use crate::sync::slot::Slot;
use core::cell::UnsafeCell;
use core::fmt;

pub(super) type Fixed<K, V, const BUCKETS: usize> = Side<(K, V), [Bucket<(K, V)>; BUCKETS]>;

/// A [`LeftRightMap`](crate::LeftRightMap) of fixed size, for a `static`: it allocates nothing, ever.
///
/// Keys and values are plain data (`Copy`) and lie in both of its sides: `BUCKETS` buckets of seven each, of which
/// [`capacity`](Self::capacity) are used at most. At most `READERS` readers look at a time, interrupt handlers among
/// them. There is one writer.
///
/// ```
/// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
///
/// static LIMITS: LeftRightTable<u16, u32, 4, 2> =
///     LeftRightTable::with_hasher(DefaultHashBuilder::with_seed(1));
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
pub struct LeftRightTable<K, V, const BUCKETS: usize, const READERS: usize, S = DefaultHashBuilder>
{
    pub(super) sides: Sides,
    tables: [UnsafeCell<Fixed<K, V, BUCKETS>>; 2],
    slots: [CachePadded<Slot>; READERS],
    /// The writer's.
    seat: Seat,
    draft: UnsafeCell<Draft<BUCKETS>>,
    pub(super) hash_builder: S,
}

// SAFETY: readers of any thread look at keys, values and the hasher; cells are written by one thread at a time: the
// protocol of the sides ([LR-1] to [LR-5]) and the writer's seat ([SE-1], [SE-2]) see to it.
unsafe impl<K: Send + Sync, V: Send + Sync, const BUCKETS: usize, const READERS: usize, S: Sync>
    Sync for LeftRightTable<K, V, BUCKETS, READERS, S>
{
}

impl<K: Copy, V: Copy, const BUCKETS: usize, const READERS: usize, S>
    LeftRightTable<K, V, BUCKETS, READERS, S>
{
    /// An empty table that hashes with `hash_builder`; fits a `static`. It does not compile without a bucket.
    ///
    /// ```
    /// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
    /// static TABLE: LeftRightTable<u32, u32, 8, 1> =
    ///     LeftRightTable::with_hasher(DefaultHashBuilder::with_seed(1));
    /// assert!(TABLE.reader().is_some());
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        const { assert!(BUCKETS > 0 && BUCKETS <= 1 << 20, "a table has at least one bucket") };
        let mut slots = [const { Slot::new(0, false) }; READERS];
        let mut number = 0;
        while number < READERS {
            slots[number] = Slot::new(number, false);
            number += 1;
        }
        Self {
            sides: Sides::new(),
            tables: [const { UnsafeCell::new(Side::new([Bucket::EMPTY; BUCKETS])) }; 2],
            slots,
            seat: Seat::new(false),
            draft: UnsafeCell::new(Draft::new()),
            hash_builder,
        }
    }

    /// Entries it takes: three quarters of its slots. O(1).
    ///
    /// ```
    /// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
    /// let table: LeftRightTable<u32, u32, 8, 1> =
    ///     LeftRightTable::with_hasher(DefaultHashBuilder::with_seed(1));
    /// assert_eq!(table.capacity(), 42);
    /// ```
    pub const fn capacity(&self) -> usize {
        Bucket::<(K, V)>::capacity(BUCKETS)
    }

    /// A reader, if not all `READERS` places are taken: for a thread, or an interrupt handler that keeps it.
    ///
    /// Lock-free; O(`READERS`). Its place is given back when it is dropped.
    ///
    /// ```
    /// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
    /// let table: LeftRightTable<u32, u32, 8, 1> =
    ///     LeftRightTable::with_hasher(DefaultHashBuilder::with_seed(1));
    /// let reader = table.reader();
    /// assert!(reader.is_some() && table.reader().is_none());
    /// ```
    pub fn reader(&self) -> Option<TableReader<'_, K, V, BUCKETS, READERS, S>> {
        barrier::prepare();
        let slot = self.slots.iter().find(|slot| slot.claim())?;
        Some(TableReader::new(self, slot))
    }

    /// The writer, if nobody has it. What the last one did not publish is there still.
    ///
    /// Lock-free; O(1). Its place is given back when it is dropped.
    ///
    /// ```
    /// use hedgerow::left_right::{DefaultHashBuilder, LeftRightTable};
    /// let table: LeftRightTable<u32, u32, 8, 1> =
    ///     LeftRightTable::with_hasher(DefaultHashBuilder::with_seed(1));
    /// let writer = table.writer();
    /// assert!(writer.is_some() && table.writer().is_none());
    /// ```
    pub fn writer(&self) -> Option<TableWriter<'_, K, V, BUCKETS, READERS, S>> {
        barrier::prepare();
        self.seat.take().then(|| TableWriter::new(self))
    }

    pub(super) fn leave_writing(&self) {
        self.seat.leave();
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().map(|slot| &**slot)
    }

    /// The side that somebody was told.
    ///
    /// # Safety
    /// Who asks is looking, and was told `shown`, as long as the reference is used; or is the writer, and does not
    /// turn meanwhile.
    #[inline(always)]
    pub(super) unsafe fn side(&self, shown: Shown) -> &Fixed<K, V, BUCKETS> {
        // SAFETY: the writer makes no change to a side that may be looked at.
        unsafe { &*self.tables[shown.side()].get() }
    }

    /// The side that is hidden, to be changed.
    ///
    /// # Safety
    /// The caller is the writer, the last turn is over, and no other reference to the side is used meanwhile.
    #[allow(clippy::mut_from_ref)] // It is in a cell, for the one who writes.
    pub(super) unsafe fn hidden(&self) -> &mut Fixed<K, V, BUCKETS> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.tables[self.sides.shown().hidden()].get() }
    }

    /// The side that is hidden, to be looked at.
    ///
    /// # Safety
    /// The caller is the writer, and neither turns nor changes the side meanwhile.
    pub(super) unsafe fn hidden_as_is(&self) -> &Fixed<K, V, BUCKETS> {
        // SAFETY: nobody changes it meanwhile.
        unsafe { &*self.tables[self.sides.shown().hidden()].get() }
    }

    /// The writer's notes, to be looked at.
    ///
    /// # Safety
    /// The caller is the writer, and asks for no notes to change meanwhile.
    pub(super) unsafe fn draft_as_is(&self) -> &Draft<BUCKETS> {
        // SAFETY: as the caller says.
        unsafe { &*self.draft.get() }
    }

    /// The writer's notes.
    ///
    /// # Safety
    /// The caller is the writer, and uses no other reference to them meanwhile.
    #[allow(clippy::mut_from_ref)] // As above.
    pub(super) unsafe fn draft(&self) -> &mut Draft<BUCKETS> {
        // SAFETY: as the caller says.
        unsafe { &mut *self.draft.get() }
    }
}

impl<K, V, const BUCKETS: usize, const READERS: usize, S> fmt::Debug
    for LeftRightTable<K, V, BUCKETS, READERS, S>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftRightTable").finish_non_exhaustive()
    }
}
