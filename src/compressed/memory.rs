//! Figures of a map's memory, and hints about how much of the budget is left.
//!
//! No memory is accessed on the strength of these figures. A decision that must not exceed the budget is made under one
//! lock, [`MemoryFigures::giving`], and counted before that is released. The allocation follows.
//!
//! # Synchronization
//! - `[CB-1]` release subtraction of a writer's claim for an entry, after it has counted the entry ↔ `[CB-2]` acquire
//!   addition of the next claim. So a writer finds each entry that was claimed before its own in the index's length or
//!   among the claims, and the two together never pass the number of entries that was reserved.

use super::models::Models;
use crate::facade::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use crate::sync::hint::{Hint, Statistic};

/// The resource that the index lacks for one more entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shortage {
    /// A segment. Sweeping may free one.
    Segment,
    Budget,
}

/// Figures and hints about a map's memory.
pub(super) struct MemoryFigures {
    pub(super) budget: usize,
    /// Bytes that the index may take before a writer counts them again.
    pub(super) table_bytes: Statistic<AtomicUsize>,
    /// Bins of the index, when a writer last counted them.
    pub(super) bins: Statistic<AtomicUsize>,
    /// Entries that the index may hold before a writer has to count its bytes again.
    pub(super) table_checked_up_to: AtomicUsize,
    /// Writers that may add an entry each, and have not counted it yet.
    claims: AtomicUsize,
    /// Held while a thread counts the bytes of the index, or gives it a segment.
    pub(super) index_growth: Lock<()>,
    /// Held while a part of the budget is given out: from the check of the room until it is counted.
    pub(super) giving: Lock<()>,
    /// Bytes of the map itself and of its counters.
    pub(super) fixed: Statistic<AtomicUsize>,
    /// Bytes of the buffers of sweeps.
    pub(super) buffers: Statistic<AtomicUsize>,
    /// Bytes that the buffers of sweeps may take.
    pub(super) reserved_buffers: Statistic<AtomicUsize>,
    pub(super) models_bytes: Statistic<AtomicUsize>,
    /// Bytes that are reserved for training codecs again.
    pub(super) retraining_bytes: Statistic<AtomicUsize>,
    /// The longest record that sweeps can move: the bytes of a buffer for it are reserved.
    pub(super) longest: AtomicUsize,
    /// The longest value for which the bytes of all buffers are reserved. A longer one may be too long to compress.
    pub(super) compressible: AtomicUsize,
    /// Whether a segment can only be had by sweeping another.
    scarce: Hint<AtomicBool>,
    /// Segments that can be had without sweeping, up to the number that matters.
    room: Hint<AtomicUsize>,
    /// Whether no segment is free, and one can be made.
    growing: Hint<AtomicBool>,
    /// Whether a sweep found nothing that would make room for hot records.
    crowded: Hint<AtomicBool>,
}

impl MemoryFigures {
    pub(super) fn new(budget: usize, fixed: usize) -> Self {
        Self {
            budget,
            table_bytes: Statistic::<AtomicUsize>::new(0),
            bins: Statistic::<AtomicUsize>::new(0),
            table_checked_up_to: AtomicUsize::new(0),
            index_growth: Lock::new(()),
            claims: AtomicUsize::new(0),
            giving: Lock::new(()),
            fixed: Statistic::<AtomicUsize>::new(fixed),
            buffers: Statistic::<AtomicUsize>::new(0),
            reserved_buffers: Statistic::<AtomicUsize>::new(0),
            models_bytes: Statistic::<AtomicUsize>::new(0),
            retraining_bytes: Statistic::<AtomicUsize>::new(0),
            longest: AtomicUsize::new(0),
            compressible: AtomicUsize::new(0),
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

    /// Claims one more entry of the index. Returns also how many others are claimed.
    pub(super) fn claim_entry(&self) -> (EntryClaim<'_>, usize) {
        // [CB-2] acquire: pairs with the release in `EntryClaim::drop` [CB-1], so an entry whose claim has ended is
        // counted in the index's length.
        let others = self.claims.fetch_add(1, Ordering::Acquire);
        (EntryClaim(Some(&self.claims)), others)
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

/// A writer's permission to add an entry to the index. It is dropped once the entry is counted.
pub(super) struct EntryClaim<'a>(Option<&'a AtomicUsize>);

impl EntryClaim<'_> {
    /// The permission in a map whose index cannot take more memory than it was given.
    pub(super) const UNCOUNTED: Self = Self(None);
}

impl Drop for EntryClaim<'_> {
    fn drop(&mut self) {
        if let Some(claims) = self.0 {
            // [CB-1] release: pairs with the acquire in `claim_entry` [CB-2].
            claims.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Bytes that models may take in a large budget.
const MODELS: usize = 512 << 10;
