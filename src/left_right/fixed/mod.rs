//! `LeftRightTable`: both sides in one value, of fixed size, without an allocator.
//!
//! It runs the map's protocol on the map's bins. It lacks what needs memory: boxes, growth, and changes that are
//! deferred while a reader is stalled. The table refuses those changes instead.

#[cfg(feature = "defmt")]
mod defmt;
mod pending;
mod reader;
#[cfg(feature = "serde")]
mod serde;
mod table;
mod writer;

pub use reader::{TableReader, TableSnapshot};
pub use table::LeftRightTable;
pub use writer::TableWriter;

use super::bin::SideBin;

/// Returns the number of bins of a [`LeftRightTable`] that holds `entries` entries.
///
/// ```
/// use hedgerow::left_right::{LeftRightTable, bins_for};
/// static LIMITS: LeftRightTable<u16, u32, { bins_for(20) }, 2> = LeftRightTable::new();
/// assert!(LIMITS.capacity() >= 20);
/// ```
#[must_use]
pub const fn bins_for(entries: usize) -> usize {
    let slots = entries.saturating_add(entries / 3);
    let bins = slots.div_ceil(SideBin::<()>::SLOTS);
    // The capacity is rounded down, so it may be one entry short.
    let short = bins == 0 || SideBin::<()>::capacity(bins) < entries;
    bins + short as usize
}

mod sealed {
    pub trait Sealed {}
}

/// The types of a table's handles, each with all of the table's parameters. [`ReaderOf`], [`WriterOf`] and
/// [`SnapshotOf`] name them.
pub trait TableTypes: sealed::Sealed {
    /// [`TableReader`].
    type Reader<'a>
    where
        Self: 'a;
    /// [`TableWriter`].
    type Writer<'a>
    where
        Self: 'a;
    /// [`TableSnapshot`].
    type Snapshot<'a>
    where
        Self: 'a;
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S> sealed::Sealed
    for LeftRightTable<K, V, BINS, READERS, S>
{
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S> TableTypes
    for LeftRightTable<K, V, BINS, READERS, S>
{
    type Reader<'a>
        = TableReader<'a, K, V, BINS, READERS, S>
    where
        Self: 'a;
    type Writer<'a>
        = TableWriter<'a, K, V, BINS, READERS, S>
    where
        Self: 'a;
    type Snapshot<'a>
        = TableSnapshot<'a, K, V, BINS, S>
    where
        Self: 'a;
}

/// The reader of a [`LeftRightTable`] of type `T`, named without repeating the table's parameters.
///
/// ```
/// use hedgerow::left_right::{LeftRightTable, ReaderOf, WriterOf, bins_for};
///
/// type Limits = LeftRightTable<u16, u32, { bins_for(20) }, 2>;
/// static LIMITS: Limits = Limits::new();
///
/// struct Control {
///     writer: WriterOf<'static, Limits>,
///     of_interrupt: ReaderOf<'static, Limits>,
/// }
///
/// let (writer, of_interrupt) = (LIMITS.writer().unwrap(), LIMITS.reader().unwrap());
/// let mut control = Control { writer, of_interrupt };
/// control.writer.insert(1, 100).unwrap();
/// control.writer.publish();
/// assert_eq!(control.of_interrupt.get(&1), Some(100));
/// ```
pub type ReaderOf<'a, T> = <T as TableTypes>::Reader<'a>;

/// The writer of a [`LeftRightTable`] of type `T`: see [`ReaderOf`].
pub type WriterOf<'a, T> = <T as TableTypes>::Writer<'a>;

/// A snapshot of a [`LeftRightTable`] of type `T`: see [`ReaderOf`].
pub type SnapshotOf<'a, T> = <T as TableTypes>::Snapshot<'a>;
