//! Caches of free overflow lines, each for a few threads, so that writers do not share one lock.
//!
//! A large table has [`STRIPES`] lists beside the pool's common one. A thread pops from its own list and pushes to it.
//! Only every [`REFILL`]th line or so goes to or comes from the common list. Measured with sixteen threads that insert
//! and remove: one list for all of them made them slower than one thread alone.
//!
//! A list is locked before the common one. No thread locks two of the lists at a time.

use crate::facade::lock::Lock;
use crate::sync::published::PublishedArray;
use crate::sync::thread_number;

/// How many lists there are. Threads beyond this number share them.
const STRIPES: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };
/// How many lines move between a list and the common one at a time.
pub(super) const REFILL: usize = if cfg!(hedgerow_loom) { 1 } else { 8 };
/// A list that has grown beyond this gives lines to the common one.
pub(super) const KEPT: usize = 2 * REFILL;
/// Smaller tables have no such lists: they would take a notable part of the memory.
pub(super) const LEAST_BINS: usize = 1 << 10;

/// Free lines, linked by their heads.
#[derive(Default)]
pub(super) struct FreeLines {
    /// The first line; 0 for none.
    pub(super) first: usize,
    pub(super) len: usize,
}

/// One list. Aligned to two lines, because processors fetch lines in pairs.
#[repr(align(128))]
pub(super) struct Stripe(pub(super) Lock<FreeLines>);

/// The lists of a table, once it is large.
pub(super) struct LineCaches(PublishedArray<Stripe, STRIPES>);

impl LineCaches {
    crate::facade::const_unless_loom! {
        pub(super) fn new() -> Self {
            Self(PublishedArray::new())
        }
    }

    /// Makes the lists. Without memory for them, the table goes on with the common list.
    pub(super) fn spread(&self) {
        self.0.make(|| Stripe(Lock::new(FreeLines::default())));
    }

    /// Returns this thread's list, if there are lists.
    #[inline]
    pub(super) fn own(&self) -> Option<&Lock<FreeLines>> {
        self.0.get().map(|stripes| &stripes[thread_number::part_of(STRIPES)].0)
    }

    /// Returns all lists.
    pub(super) fn all(&self) -> &[Stripe] {
        self.0.get().map_or(&[], |stripes| stripes)
    }

    /// Returns how many lines the lists can have.
    pub(super) fn capacity(&self) -> usize {
        self.all().len() * KEPT
    }

    /// Returns the bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
