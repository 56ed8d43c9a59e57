//! Epochs: they tell when no reader can see an entry any more that was taken out of a structure.
//!
//! Heavy barriers are numbered in the order in which they begin. The *epoch* is the greatest number of a barrier that
//! has ended. A reader announces, in a slot of its own, the epoch in which it began ([`Domain::pin`]), and ends the
//! announcement when it is done. A thread that has unlinked entries stamps a batch of them with the number of the
//! barrier that was the last to begin ([`Domain::stamp`]), so every later barrier comes after the unlinks. It may free
//! the batch once one of them has ended, and every pinned reader began after that ([`Domain::is_past`]).
//!
//! Any thread's barrier serves the batches of all. A barrier interrupts every processor that runs a thread of the
//! process, and the system executes one at a time: when each batch had a barrier of its own, sixteen threads spent most
//! of their time on 80,000 of them a second.
//!
//! # Synchronization
//! - `[EP-1]` a reader's pin (release store, then a light barrier `[AB-1]`) ↔ `[EP-2]` a heavy barrier `[AB-2]` after
//!   the unlinks, then the scan (acquire loads): the scan sees the pin, or the reader sees the unlinks and finds none
//!   of the entries.
//! - `[EP-3]` release store of an unpin ↔ `[EP-2]` the scan's acquire load: a thread that sees the reader gone comes
//!   after all that it read. The store of the *next* pin is a release for the same reason, because the scan may never
//!   see the idle value in between.
//! - `[EP-4]` the epoch is set, by a release exchange, after the heavy barrier ↔ `[EP-5]` a pin's acquire load: a
//!   reader that begins in a later epoch than the stamp sees the unlinks that it stamps. `[EP-5]` is also the acquire
//!   load before a scan: the scan comes after the barrier, also if another thread executed it.
//! - `[EP-6]` a stamp is the result of a release addition of nothing ↔ `[EP-7]` the acquire addition with which a
//!   barrier begins: a barrier with a greater number than the stamp comes after the stamped unlinks. Both are
//!   read-modify-writes, and nothing else writes the word, so a barrier reads from the release sequence of every stamp
//!   before it, whatever stamps and barriers came in between.

use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::barrier::{self, Barrier};
use crate::sync::cache::CachePadded;
use crate::sync::registry::Registry;
use crate::sync::slot::ReaderSlot;

/// Set in a slot's word while its reader is pinned; the rest is the epoch.
const PINNED: usize = 1;
/// The distance between two epochs in a slot's word.
const ONE_EPOCH: usize = 2;
/// Numbers wrap around: no pinned reader may be farther behind than this.
const FAR: usize = usize::MAX / 4;

/// The readers of the process, of a collector, or of a model, and their epoch.
pub(crate) struct Domain {
    /// The greatest number of a barrier that has ended.
    epoch: CachePadded<AtomicUsize>,
    /// The number of the last barrier that has begun. On a line of its own: readers load the epoch only.
    begun: CachePadded<AtomicUsize>,
    registry: Registry,
    pub(super) barrier: Barrier,
    /// The cost of a barrier in a unit test, whose outcome must not depend on the machine.
    #[cfg(all(test, not(hedgerow_loom)))]
    pub(crate) barrier_in_fences: AtomicUsize,
}

/// The domain of all maps without a collector of their own. A thread has one slot for all of them.
#[cfg(not(hedgerow_loom))]
pub(crate) static DOMAIN: Domain = Domain::new();

/// When entries were unlinked: before each barrier with a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(usize);

impl Stamp {
    /// Returns true if the barrier of this number comes after the unlinks.
    fn is_before(self, barrier: usize) -> bool {
        is_less(self.0, barrier)
    }

    /// Returns true if a reader that announced `word` may see the unlinked entries.
    fn may_be_seen_by(self, word: usize) -> bool {
        word & PINNED != 0 && !self.is_before(word & !PINNED)
    }
}

/// Compares the numbers of two barriers. Numbers wrap around. `pass_barrier` keeps those in use within half of them, so
/// the sign of the difference tells.
fn is_less(one: usize, other: usize) -> bool {
    other.wrapping_sub(one).cast_signed() > 0
}

impl Domain {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                epoch: CachePadded::new(AtomicUsize::new(0)),
                begun: CachePadded::new(AtomicUsize::new(0)),
                registry: Registry::new(),
                barrier: Barrier::new(),
                #[cfg(all(test, not(hedgerow_loom)))]
                barrier_in_fences: AtomicUsize::new(0),
            }
        }
    }

    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn with_barrier(barrier: Barrier) -> Self {
        Self { barrier, ..Self::new() }
    }

    /// Claims a slot for a reader, or returns `None` if there is no memory for one.
    pub(crate) fn claim(&self) -> Option<&ReaderSlot> {
        self.claim_from(0)
    }

    /// As `claim`, but tries the slots from a number on. Threads that begin at different ones do not contend.
    pub(crate) fn claim_from(&self, start: usize) -> Option<&ReaderSlot> {
        barrier::prepare();
        let slot = self.registry.claim_from(start)?;
        // [AB-3] Once is enough for all owners of a slot: the later ones come after the first by [SE-2].
        if slot.is_new() {
            self.barrier.begin_reading();
            slot.note_known();
        }
        Some(slot)
    }

    /// Returns true if the slot is one of this domain. A guard of another slot keeps none of this domain's garbage.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // No model takes guards.
    pub(crate) fn has(&self, slot: &ReaderSlot) -> bool {
        slot.registry() == self.registry.id()
    }

    /// Returns the slot of this number, so that a model can hand it to a thread.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn slot(&self, number: usize) -> &ReaderSlot {
        self.registry.slots().nth(number).unwrap()
    }

    /// Announces that the slot's owner is reading. It must not be pinned already.
    #[inline(always)]
    pub(crate) fn pin(&self, slot: &ReaderSlot) {
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
    pub(crate) fn unpin(slot: &ReaderSlot) {
        // [EP-3] release: pairs with [EP-2], so all that the reader read comes before an entry is freed.
        slot.word.store(0, Ordering::Release);
    }

    /// Stamps all entries that the caller, and the threads it has synchronized with, have unlinked.
    pub(crate) fn stamp(&self) -> Stamp {
        // [EP-6] release, and a write, so that [EP-7] of the next barrier reads from it: the barrier comes after the
        // unlinks.
        Stamp(self.begun.fetch_add(0, Ordering::Release))
    }

    /// Executes a heavy barrier, for all stamps of this moment. Returns false if that is impossible now; the caller may
    /// try again.
    pub(crate) fn pass_barrier(&self) -> bool {
        // Numbers wrap around, and a reader that began half of all numbers ago would look as if it had begun later. It
        // keeps all newer garbage, so a barrier would free nothing: there is none until the reader has ended.
        let far =
            |word: usize, now: usize| word & PINNED != 0 && now.wrapping_sub(word & !PINNED) > FAR;
        // relaxed: compared with slots that are far behind or not at all.
        let now = self.begun.load(Ordering::Relaxed);
        if usize::BITS < 64 && self.words().any(|(_, word)| far(word, now)) {
            return false;
        }
        // [EP-7] acquire: pairs with [EP-6], so the barrier comes after the unlinks of all lesser stamps.
        let number = self.begun.fetch_add(ONE_EPOCH, Ordering::Acquire).wrapping_add(ONE_EPOCH);
        // [EP-2] [AB-2] the barrier before the scan: pairs with [EP-1]. Without it the scan could miss a reader that
        // has not seen the unlinks.
        if !self.barrier.heavy(|| self.registry.slots().all(ReaderSlot::has_agreed)) {
            return false;
        }
        // A guess: every earlier barrier has ended, and no later one.
        let mut epoch = number.wrapping_sub(ONE_EPOCH);
        // [EP-4] release: pairs with [EP-5], so a reader of the new epoch sees the unlinks of all lesser stamps, which
        // this thread has seen by [EP-7]. relaxed if it fails: the value only tells whether to try again.
        while let Err(other) =
            self.epoch.compare_exchange_weak(epoch, number, Ordering::Release, Ordering::Relaxed)
        {
            // If a barrier that began later has ended first, the epoch is past this one's number, and that barrier
            // served the same stamps.
            if !is_less(other, number) {
                break;
            }
            epoch = other;
        }
        true
    }

    /// Begins a barrier that never ends: its thread is descheduled, or the system has refused it.
    #[cfg(all(test, feature = "std", not(hedgerow_loom)))]
    pub(crate) fn begin_endless_barrier(&self) {
        self.begun.fetch_add(ONE_EPOCH, Ordering::AcqRel);
    }

    /// Pretends that barriers have begun and ended.
    #[cfg(all(test, feature = "std", not(hedgerow_loom)))]
    pub(crate) fn skip_barriers(&self, count: usize) {
        self.begun.fetch_add(count * ONE_EPOCH, Ordering::AcqRel);
        self.epoch.fetch_add(count * ONE_EPOCH, Ordering::AcqRel);
    }

    /// Returns the number of barriers that have begun.
    #[cfg(all(test, feature = "std", not(hedgerow_loom)))]
    pub(crate) fn barriers(&self) -> usize {
        self.begun.load(Ordering::Relaxed) / ONE_EPOCH
    }

    /// Returns how many fences take as long as a barrier took lately.
    pub(crate) fn barrier_in_fences(&self) -> usize {
        #[cfg(all(test, not(hedgerow_loom)))]
        // relaxed: set before other threads have the domain.
        return self.barrier_in_fences.load(Ordering::Relaxed);
        #[cfg(not(all(test, not(hedgerow_loom))))]
        self.barrier.cost_in_fences()
    }

    /// Stamps entries as `stamp` does, and executes the barrier for them. Returns `None` if that is impossible now.
    pub(crate) fn seal(&self) -> Option<Stamp> {
        let stamp = self.stamp();
        self.pass_barrier().then_some(stamp)
    }

    /// Returns true if a barrier that serves the stamp has ended. Its readers may still be pinned.
    pub(crate) fn is_served(&self, stamp: Stamp) -> bool {
        // [EP-5] acquire: pairs with [EP-4], so a scan comes after the barrier.
        stamp.is_before(self.epoch.load(Ordering::Acquire))
    }

    /// Returns true if a barrier that serves the stamp has begun: it will end soon, unless the system refuses it.
    pub(crate) fn is_being_served(&self, stamp: Stamp) -> bool {
        // relaxed: the caller decides whether to execute a barrier, and concludes nothing else.
        stamp.is_before(self.begun.load(Ordering::Relaxed))
    }

    /// Returns true if a barrier has served the stamp, and no reader is left that may see the entries.
    pub(crate) fn is_past(&self, stamp: Stamp) -> bool {
        self.is_served(stamp) && self.words().all(|(_, word)| !stamp.may_be_seen_by(word))
    }

    /// Returns the numbers of the slots whose readers have been pinned since before the last barrier, each with the
    /// number of barriers since.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // No model calls it.
    pub(crate) fn stalled(&self) -> impl Iterator<Item = (usize, usize)> {
        // [EP-5] acquire: pairs with [EP-4].
        let now = self.epoch.load(Ordering::Acquire);
        self.words().filter(|(_, word)| word & PINNED != 0).filter_map(move |(slot, word)| {
            // A pin that is newer than `now` is a negative number of epochs behind.
            let behind = now.wrapping_sub(word & !PINNED).cast_signed();
            (behind > 0).then_some((slot.number(), behind.cast_unsigned() / ONE_EPOCH))
        })
    }

    fn words(&self) -> impl Iterator<Item = (&ReaderSlot, usize)> {
        // [EP-2] acquire: pairs with [EP-1] and [EP-3], so all reads of a reader that is gone come before.
        self.registry.slots().map(|slot| (slot, slot.word.load(Ordering::Acquire)))
    }
}
