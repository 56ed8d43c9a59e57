//! Figures of a map's memory, and hints about how much of the budget is left.
//!
//! No memory is accessed on the strength of these figures. A decision that must not exceed the budget is made under
//! the lock that protects the allocation.

use super::models::Models;
use crate::facade::atomic::{AtomicBool, AtomicUsize};
use crate::facade::lock::Lock;
use crate::sync::hint::{Gauge, Hint};

/// The resource that the index lacks for one more entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shortage {
    /// A segment. Sweeping may free one.
    Segment,
    Budget,
}

/// Figures and hints about a map's memory.
pub(super) struct Memory {
    pub(super) budget: usize,
    /// Bytes that the index may take before a writer counts them again.
    pub(super) table_bytes: Gauge<AtomicUsize>,
    /// Bins of the index, when a writer last counted them.
    pub(super) bins: Gauge<AtomicUsize>,
    /// Entries that the index may hold before a writer has to count its bytes again.
    pub(super) table_checked_up_to: AtomicUsize,
    /// Held while the index gets a segment.
    pub(super) index_growth: Lock<()>,
    /// Bytes of the map itself, of its counters, and of the buffers of sweeps.
    pub(super) fixed: Gauge<AtomicUsize>,
    pub(super) models_bytes: Gauge<AtomicUsize>,
    /// Bytes that are reserved for training codecs again.
    pub(super) retraining_bytes: Gauge<AtomicUsize>,
    /// The longest record that the buffers of sweeps have room for.
    pub(super) longest: AtomicUsize,
    /// Whether a segment can only be had by sweeping another.
    scarce: Hint<AtomicBool>,
    /// Segments that can be had without sweeping, up to the number that matters.
    room: Hint<AtomicUsize>,
    /// Whether no segment is free, and one can be made.
    growing: Hint<AtomicBool>,
    /// Whether a sweep found nothing that would make room for hot records.
    crowded: Hint<AtomicBool>,
}

impl Memory {
    pub(super) fn new(budget: usize, fixed: usize) -> Self {
        Self {
            budget,
            table_bytes: Gauge::<AtomicUsize>::new(0),
            bins: Gauge::<AtomicUsize>::new(0),
            table_checked_up_to: AtomicUsize::new(0),
            index_growth: Lock::new(()),
            fixed: Gauge::<AtomicUsize>::new(fixed),
            models_bytes: Gauge::<AtomicUsize>::new(0),
            retraining_bytes: Gauge::<AtomicUsize>::new(0),
            longest: AtomicUsize::new(0),
            scarce: Hint::<AtomicBool>::new(false),
            room: Hint::<AtomicUsize>::new(usize::MAX),
            growing: Hint::<AtomicBool>::new(false),
            crowded: Hint::<AtomicBool>::new(false),
        }
    }

    /// Whether a segment can only be had by sweeping another.
    pub(super) fn is_scarce(&self) -> bool {
        self.scarce.load()
    }

    pub(super) fn set_scarce(&self, scarce: bool) {
        self.scarce.store(scarce);
    }

    /// Returns the segments that can be had without sweeping, up to the number that matters.
    pub(super) fn room(&self) -> usize {
        self.room.load()
    }

    pub(super) fn set_room(&self, segments: usize) {
        self.room.store(segments);
    }

    /// Whether no segment is free, and one can be made.
    pub(super) fn is_growing(&self) -> bool {
        self.growing.load()
    }

    pub(super) fn set_growing(&self, growing: bool) {
        self.growing.store(growing);
    }

    /// Whether a sweep found nothing that would make room for hot records, and no record was dropped since.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.load()
    }

    pub(super) fn set_crowded(&self) {
        self.crowded.store(true);
    }

    /// Notes that a record was dropped, or a segment was taken: sweeping may find something again.
    pub(super) fn note_change(&self) {
        // Tested first, so that writers do not contend for the cache line.
        if self.is_crowded() {
            self.crowded.store(false);
        }
    }

    /// Counts the bytes of all models.
    pub(super) fn count_models(&self, models: &Models) {
        self.models_bytes.store(models.bytes());
    }

    /// Returns the bytes that models may take.
    pub(super) fn max_models(&self) -> usize {
        (self.budget / 6).min(MODELS.max(self.budget / 64)).min(2 * MODELS)
    }
}

/// Bytes that models may take in a large budget.
const MODELS: usize = 512 << 10;
