//! Epochs: when nobody can still be looking at what was taken out of a structure.
//!
//! A reader announces, in a slot of its own, the epoch in which it began ([`Domain::pin`]), and takes that
//! back when it is done. Whoever has unlinked something seals a batch of it ([`Domain::seal`]) and may free
//! it once every reader that is still pinned began after that ([`Domain::is_past`]). One epoch is enough,
//! since a batch is sealed *after* its unlinks and behind a heavy barrier.
//!
//! # Synchronization
//! - `[EP-1]` a reader's pin (release store, then a light barrier `[AB-1]`) ↔ `[EP-2]` a heavy barrier
//!   `[AB-2]` after the unlinks, then the scan (acquire loads): the scan sees the pin, or the reader sees
//!   the unlinks and never meets what was unlinked.
//! - `[EP-3]` the release store of an unpin ↔ `[EP-2]` the scan's acquire load: who sees a reader gone comes
//!   after all that it read. The store of the *next* pin is a release for the same reason: the idle
//!   value in between may never be seen.
//! - `[EP-4]` the epoch is raised by an acquire-release addition after the heavy barrier ↔ `[EP-5]` a pin's
//!   acquire load: a reader that begins in an epoch later than the stamp sees the unlinks that it stamps, so
//!   that a later scan needs no barrier of its own.

use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::barrier::{self, Barrier};
use crate::sync::cache::CachePadded;
use crate::sync::registry::Registry;
use crate::sync::slot::Slot;

/// Set in a slot's word while its reader is pinned; the rest is the epoch.
const PINNED: usize = 1;
const EPOCH: usize = 2;

/// Readers and what is to be freed when they are gone, of the whole process or of one model.
pub(crate) struct Domain {
    epoch: CachePadded<AtomicUsize>,
    registry: Registry,
    pub(super) barrier: Barrier,
}

/// The domain of all maps: one slot serves a thread for all of them.
#[cfg(not(hedgerow_loom))]
pub(crate) static DOMAIN: Domain = Domain::new();

/// When a batch was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(usize);

impl Stamp {
    /// Whether a reader that announced `word` may know what was sealed with this stamp.
    fn may_be_seen_by(self, word: usize) -> bool {
        // Epochs wrap round; `seal` keeps those that are in use within half of all numbers.
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

    /// A slot for a reader; None where there is no memory for one.
    pub(crate) fn claim(&self) -> Option<&Slot> {
        barrier::prepare();
        let slot = self.registry.claim()?;
        self.barrier.begin_reading();
        Some(slot)
    }

    /// The slot of this number, for a model to hand it to a thread.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn slot(&self, number: usize) -> &Slot {
        self.registry.slots().nth(number).unwrap()
    }

    /// Announces the slot's owner. It must not be pinned already.
    #[inline(always)]
    pub(crate) fn pin(&self, slot: &Slot) {
        // [EP-5] acquire: pairs with [EP-4].
        let epoch = self.epoch.load(Ordering::Acquire);
        #[cfg(all(test, hedgerow_loom))]
        self.barrier.point();
        // [EP-1] release: pairs with [EP-2], and stands for [EP-3] of the last unpin.
        slot.word.store(epoch | PINNED, Ordering::Release);
        // [AB-1]
        self.barrier.light(|| {
            // [AB-3] behind the fence of `light`.
            slot.agree();
        });
    }

    /// Takes the announcement back.
    #[inline(always)]
    pub(crate) fn unpin(slot: &Slot) {
        // [EP-3] release: pairs with [EP-2].
        slot.word.store(0, Ordering::Release);
    }

    /// Stamps all that the caller, or whoever it has synchronized with, has unlinked until now. None where
    /// that cannot be done at present.
    pub(crate) fn seal(&self) -> Option<Stamp> {
        // A reader of long ago must not come to look like one of the future: its garbage has to wait
        // for it anyway.
        let far = |word: usize, now: usize| {
            word & PINNED != 0 && now.wrapping_sub(word & !PINNED) > usize::MAX >> 2
        };
        // relaxed: compared with slots that lag behind it by far or not at all.
        let now = self.epoch.load(Ordering::Relaxed);
        if usize::BITS < 64 && self.words().any(|(_, word)| far(word, now)) {
            return None;
        }
        // [EP-2] the barrier before the scan.
        if !self.barrier.heavy(|| self.registry.slots().all(Slot::has_agreed)) {
            return None;
        }
        // [EP-4] acquire and release: pairs with [EP-5].
        Some(Stamp(self.epoch.fetch_add(EPOCH, Ordering::AcqRel)))
    }

    /// Whether no reader is left who could know what was sealed with `stamp`.
    pub(crate) fn is_past(&self, stamp: Stamp) -> bool {
        self.words().all(|(_, word)| !stamp.may_be_seen_by(word))
    }

    /// Numbers of the slots whose readers are pinned since before the last seal, with the number of
    /// seals since.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // No model looks at this.
    pub(crate) fn stalled(&self) -> impl Iterator<Item = (usize, usize)> {
        // [EP-5] acquire: pairs with [EP-4].
        let now = self.epoch.load(Ordering::Acquire);
        self.words().filter(|(_, word)| word & PINNED != 0).filter_map(move |(slot, word)| {
            let seals = now.wrapping_sub(word & !PINNED) / EPOCH;
            (seals > 0 && seals < usize::MAX / 4).then_some((slot.number(), seals))
        })
    }

    fn words(&self) -> impl Iterator<Item = (&Slot, usize)> {
        // [EP-2] acquire: pairs with [EP-1] and [EP-3].
        self.registry.slots().map(|slot| (slot, slot.word.load(Ordering::Acquire)))
    }
}
