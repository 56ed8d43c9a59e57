//! Epochs: they tell when no reader can see an entry any more that was taken out of a structure.
//!
//! A reader announces, in a slot of its own, the epoch in which it began ([`Domain::pin`]), and ends the announcement
//! when it is done. A thread that has unlinked entries seals a batch of them ([`Domain::seal`]). It may free the batch
//! once every pinned reader began after that ([`Domain::is_past`]). One epoch is enough, because a batch is sealed
//! *after* its unlinks and after a heavy barrier.
//!
//! # Synchronization
//! - `[EP-1]` a reader's pin (release store, then a light barrier `[AB-1]`) ↔ `[EP-2]` a heavy barrier `[AB-2]` after
//!   the unlinks, then the scan (acquire loads): the scan sees the pin, or the reader sees the unlinks and finds none
//!   of the entries.
//! - `[EP-3]` release store of an unpin ↔ `[EP-2]` the scan's acquire load: a thread that sees the reader gone comes
//!   after all that it read. The store of the *next* pin is a release for the same reason, because the scan may never
//!   see the idle value in between.
//! - `[EP-4]` acquire-release addition to the epoch after the heavy barrier ↔ `[EP-5]` a pin's acquire load: a reader
//!   that begins in a later epoch than the stamp sees the unlinks that it stamps. So a later scan needs no barrier of
//!   its own.

use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::barrier::{self, Barrier};
use crate::sync::cache::CachePadded;
use crate::sync::registry::Registry;
use crate::sync::slot::Slot;

/// Set in a slot's word while its reader is pinned; the rest is the epoch.
const PINNED: usize = 1;
const EPOCH: usize = 2;

/// The readers of the process, or of a model, and their epoch.
pub(crate) struct Domain {
    epoch: CachePadded<AtomicUsize>,
    registry: Registry,
    pub(super) barrier: Barrier,
}

/// The domain of all maps. A thread has one slot for all of them.
#[cfg(not(hedgerow_loom))]
pub(crate) static DOMAIN: Domain = Domain::new();

/// When a batch was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(usize);

impl Stamp {
    /// Returns true if a reader that announced `word` may see entries that were sealed with this stamp.
    fn may_be_seen_by(self, word: usize) -> bool {
        // Epochs wrap around. `seal` keeps those in use within half of all numbers, so the sign of the difference
        // tells.
        word & PINNED != 0 && (word & !PINNED).wrapping_sub(self.0).cast_signed() <= 0
    }
}

impl Domain {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                epoch: CachePadded::new(AtomicUsize::new(0)),
                registry: Registry::new(),
                barrier: Barrier::new(),
            }
        }
    }

    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn with_barrier(barrier: Barrier) -> Self {
        Self { barrier, ..Self::new() }
    }

    /// Claims a slot for a reader, or returns `None` if there is no memory for one.
    pub(crate) fn claim(&self) -> Option<&Slot> {
        barrier::prepare();
        let slot = self.registry.claim()?;
        self.barrier.begin_reading();
        Some(slot)
    }

    /// Returns the slot of this number, so that a model can hand it to a thread.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn slot(&self, number: usize) -> &Slot {
        self.registry.slots().nth(number).unwrap()
    }

    /// Announces that the slot's owner is reading. It must not be pinned already.
    #[inline(always)]
    pub(crate) fn pin(&self, slot: &Slot) {
        // [EP-5] acquire: pairs with [EP-4], so the reader sees the unlinks of all batches sealed before this epoch.
        let epoch = self.epoch.load(Ordering::Acquire);
        #[cfg(all(test, hedgerow_loom))]
        self.barrier.point();
        // [EP-1] release: pairs with [EP-2]. Stands for [EP-3] of the last unpin too, which a scan may never see.
        slot.word.store(epoch | PINNED, Ordering::Release);
        // [AB-1] pairs with [AB-2]: the scan sees the pin, or the reader sees the unlinks.
        self.barrier.light(|| {
            // [AB-3] after the fence of `light`, so a writer that sees this comes after our pins without a fence.
            slot.agree();
        });
    }

    /// Ends the announcement.
    #[inline(always)]
    pub(crate) fn unpin(slot: &Slot) {
        // [EP-3] release: pairs with [EP-2], so all that the reader read comes before an entry is freed.
        slot.word.store(0, Ordering::Release);
    }

    /// Stamps all entries that the caller, and the threads it has synchronized with, have unlinked. Returns `None` if
    /// that is impossible now; the caller may try again.
    pub(crate) fn seal(&self) -> Option<Stamp> {
        // A reader of long ago must not look like one of the future when epochs wrap around. Its garbage has to wait
        // for it anyway, so nothing is sealed then.
        let far = |word: usize, now: usize| {
            word & PINNED != 0 && now.wrapping_sub(word & !PINNED) > usize::MAX >> 2
        };
        // relaxed: compared with slots that are far behind or not at all.
        let now = self.epoch.load(Ordering::Relaxed);
        if usize::BITS < 64 && self.words().any(|(_, word)| far(word, now)) {
            return None;
        }
        // [EP-2] [AB-2] the barrier before the scan: pairs with [EP-1]. Without it the scan could miss a reader that
        // has not seen the unlinks.
        if !self.barrier.heavy(|| self.registry.slots().all(Slot::has_agreed)) {
            return None;
        }
        // [EP-4] acquire and release: pairs with [EP-5], so a reader of the new epoch sees the unlinks.
        Some(Stamp(self.epoch.fetch_add(EPOCH, Ordering::AcqRel)))
    }

    /// Returns true if no reader is left that may see entries sealed with `stamp`.
    pub(crate) fn is_past(&self, stamp: Stamp) -> bool {
        self.words().all(|(_, word)| !stamp.may_be_seen_by(word))
    }

    /// Returns the numbers of the slots whose readers have been pinned since before the last seal, each with the number
    /// of seals since.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // No model calls it.
    pub(crate) fn stalled(&self) -> impl Iterator<Item = (usize, usize)> {
        // [EP-5] acquire: pairs with [EP-4].
        let now = self.epoch.load(Ordering::Acquire);
        self.words().filter(|(_, word)| word & PINNED != 0).filter_map(move |(slot, word)| {
            let seals = now.wrapping_sub(word & !PINNED) / EPOCH;
            (seals > 0 && seals < usize::MAX / 4).then_some((slot.number(), seals))
        })
    }

    fn words(&self) -> impl Iterator<Item = (&Slot, usize)> {
        // [EP-2] acquire: pairs with [EP-1] and [EP-3], so all reads of a reader that is gone come before.
        self.registry.slots().map(|slot| (slot, slot.word.load(Ordering::Acquire)))
    }
}
