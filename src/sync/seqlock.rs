//! A seqlock in one word: lock bit, version, and a small number that changes with the version.
//!
//! # Synchronization
//! - `[SL-1]` a writer's release `atomic::fence`, after it locked and before its first payload store ↔ `[SL-2]` a
//!   reader's acquire `atomic::fence`, after its last payload load and before it loads the state again: a reader that
//!   has loaded any word of a write finds the state locked or changed, and drops what it read.
//! - `[SL-3]` a writer's unlocking release store ↔ `[SL-4]` a reader's first, acquire load of the state: a reader that
//!   starts from an unlocked state sees every word of the write that ended with it.
//! - `[SL-5]` a writer locks by a *relaxed* compare-and-swap from the state that it loaded with `[SL-4]`. It has seen
//!   the last write since that load, and the swap proves that its reads under that state still hold. If it has
//!   loaded a word of a later write, that write's lock was taken from another state, and the swap fails. A success
//!   would place this lock, and its unlock, before the store of that word.
//! - `[SL-6]` a writer that locks and writes nothing may put back the state that it locked from, by a release store.
//!   Its `[SL-4]` load of that state comes before, so a thread that loads the state from this store sees the words of
//!   the last write too.
//! - `[SL-7]` a writer that holds one lock, and has read what another guards, *confirms* the other: it swaps the
//!   other's state for the same state, after the release fence `[SL-1]` of the lock that it holds ↔ `[SL-8]` the
//!   acquire fence after the next lock, which swaps the value that the confirmation stored. So a thread that writes
//!   there later, or sees that write, also sees that the first lock was taken. Locking the other lock and putting its
//!   state back `[SL-6]` has the same effect, but makes readers retry.
//!
//! A state repeats after `2^VERSION_BITS` writes to one bin. A reader that is stopped between its two loads for exactly
//! a multiple of that many writes would accept a torn value. 35 bits last four minutes of writes without a pause, at 7
//! ns each. On 32-bit targets, 31 bits last minutes at microcontroller speed.

use crate::facade::atomic::{self, AtomicUsize, Ordering};

/// Bits of the word for the index of a bin's first overflow line. On 32-bit targets that index has a word of its own.
const INDEX_BITS: u32 = if usize::BITS == 64 { 28 } else { 0 };
const VERSION_BITS: u32 = usize::BITS - 1 - INDEX_BITS;
const LOCKED: usize = 1;
const VERSION_ONE: usize = 2;
const LOW: usize = usize::MAX >> INDEX_BITS;

/// A state of the lock, as a thread has loaded it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StateWord(usize);

impl StateWord {
    /// The greatest index that a state can carry.
    pub(crate) const INDEX_MAX: usize =
        if INDEX_BITS == 0 { usize::MAX >> 1 } else { (1 << INDEX_BITS) - 1 };
    /// Whether the state word has the index.
    pub(crate) const HAS_INDEX: bool = INDEX_BITS != 0;

    #[inline(always)]
    pub(crate) fn is_locked(self) -> bool {
        self.0 & LOCKED != 0
    }

    /// Returns the index beside the version, or 0 if the target stores it elsewhere.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        if Self::HAS_INDEX { self.0 >> (VERSION_BITS + 1) } else { 0 }
    }

    /// Returns the number of writes, as far as the word can count them.
    #[inline]
    #[cfg(feature = "alloc")]
    pub(crate) fn version(self) -> usize {
        (self.0 & LOW) / VERSION_ONE
    }

    /// Returns the state after a write: the next version, unlocked, with `index`.
    #[inline(always)]
    pub(crate) fn next(self, index: usize) -> Self {
        let low = (self.0 & !LOCKED).wrapping_add(VERSION_ONE) & LOW;
        Self(if Self::HAS_INDEX { low | index << (VERSION_BITS + 1) } else { low })
    }
}

/// The lock in its word.
pub(crate) struct SeqLock<'a>(pub(crate) &'a AtomicUsize);

impl SeqLock<'_> {
    /// Begins a read.
    #[inline(always)]
    pub(crate) fn begin(&self) -> StateWord {
        // [SL-4] acquire: pairs with [SL-3], so the words of the last finished write are seen.
        StateWord(self.0.load(Ordering::Acquire))
    }

    /// Returns true if nothing was written since `state` was loaded. The words loaded in between are not torn then.
    #[inline(always)]
    pub(crate) fn validate(&self, state: StateWord) -> bool {
        // [SL-2] acquire fence: pairs with [SL-1]; the payload loads stay before the load below.
        atomic::fence(Ordering::Acquire);
        // A locked state validates only if its lock was given back with nothing written ([SL-6]). Otherwise this loads
        // the locked state again or a later version. Both differ from `state` without the lock bit, which is the
        // version before.
        // relaxed: the fence above orders it ([SL-2]).
        self.0.load(Ordering::Relaxed) == state.0 & !LOCKED
    }

    /// Locks, if nothing was written since `state` was loaded.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // Small targets lack flash.
    pub(crate) fn try_lock(&self, state: StateWord) -> bool {
        if state.is_locked() {
            return false;
        }
        let locked = state.0 | LOCKED;
        // [SL-5] relaxed: `begin` loaded this very state with acquire, [SL-4].
        let swapped =
            self.0.compare_exchange(state.0, locked, Ordering::Relaxed, Ordering::Relaxed);
        // One fence for both, because it costs no more than either.
        // [SL-1] release fence: pairs with [SL-2], so a reader that loads a word stored below sees the lock.
        // [SL-8] acquire fence: pairs with [SL-6] and [SL-7]. The swap may have loaded the state from a thread that
        // gave the lock back or confirmed it. All its work before happens before our write.
        atomic::fence(Ordering::AcqRel);
        swapped.is_ok()
    }

    /// Returns true if nothing was written since `state` was loaded, and proves it to later writers. The caller holds
    /// another lock, which it took after that load. A thread that writes here later sees that lock taken.
    #[inline]
    #[cfg(feature = "alloc")]
    pub(crate) fn confirm(&self, state: StateWord) -> bool {
        // [SL-7] relaxed: the fence [SL-1] of the caller's lock comes before, and pairs with [SL-8].
        !state.is_locked()
            && self
                .0
                .compare_exchange(state.0, state.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Unlocks if nothing was written since `state` was locked. Readers need not retry.
    #[inline]
    pub(crate) fn give_back(&self, state: StateWord) {
        // [SL-6] release: pairs with [SL-4] and [SL-8], and passes on the writes that our own [SL-4] load has seen.
        self.0.store(state.0, Ordering::Release);
    }

    /// Unlocks and publishes the write.
    #[inline(always)]
    pub(crate) fn unlock(&self, next: StateWord) {
        // [SL-3] release: pairs with [SL-4] and [SL-5], so a thread that loads this state sees all words of the write.
        self.0.store(next.0, Ordering::Release);
    }
}
