//! A seqlock in one word: lock bit, version, and a small number that changes with the version.
//!
//! # Synchronization
//! - `[SL-1]` a writer's release `atomic::fence`, after it locked and before its first payload store ↔
//!   `[SL-2]` a reader's acquire `atomic::fence`, after its last payload load and before it loads the
//!   state again: a reader that met any word of a write finds the state locked or moved on, and drops
//!   what it read.
//! - `[SL-3]` a writer's unlocking release store ↔ `[SL-4]` a reader's first, acquire load of the state:
//!   a reader that starts from an unlocked state sees every word of the write that ended with it.
//! - `[SL-5]` a writer's lock is a *relaxed* compare-and-swap from the very state that it read with
//!   `[SL-4]`: what the last writer did is seen since then, and everything read under that state and
//!   still true is proved so by the swap. A word of a later write that was met on the way was stored
//!   under a lock taken from another state, so that the swap fails: it could otherwise come before
//!   that lock, and then our unlock, too, comes before the word was stored.
//! - `[SL-6]` a writer that locks and then writes nothing may put back the state that it locked from, by
//!   a release store: its `[SL-4]` load of that state goes before, so whoever loads it from there sees
//!   the words of the last write too.
//! - `[SL-7]` a writer that holds one lock and has read what another guards *confirms* the latter: a swap of
//!   its state for the same state, which the release fence `[SL-1]` of the lock it holds precedes ↔ `[SL-8]`
//!   the acquire fence behind the next lock, which swaps the value that the confirmation stored. So a thread
//!   that writes there later, or sees that write, also sees that the first lock was taken. Locking the second
//!   lock and giving it back `[SL-6]` has the same effect, but readers have to look again meanwhile.
//!
//! A state comes round again after `2^VERSION_BITS` writes to one bin. A reader that is stopped between
//! its two loads for exactly a multiple of that many writes would take a torn value for whole: 35 bits
//! are four minutes of writes without a pause at 7 ns each; on 32-bit targets 31 bits are minutes at
//! microcontroller speed.

use crate::facade::atomic::{self, AtomicUsize, Ordering};

/// Bits of the word that number overflow lines; on 32-bit targets the number has a word of its own.
const INDEX_BITS: u32 = if usize::BITS == 64 { 28 } else { 0 };
const VERSION_BITS: u32 = usize::BITS - 1 - INDEX_BITS;
const LOCKED: usize = 1;
const VERSION_ONE: usize = 2;
const LOW: usize = usize::MAX >> INDEX_BITS;

/// A state of the lock as it was read.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State(usize);

impl State {
    /// Greatest index that a state can carry.
    pub(crate) const INDEX_MAX: usize =
        if INDEX_BITS == 0 { usize::MAX >> 1 } else { (1 << INDEX_BITS) - 1 };
    /// Whether the index lives in the state word.
    pub(crate) const HAS_INDEX: bool = INDEX_BITS != 0;

    #[inline(always)]
    pub(crate) fn is_locked(self) -> bool {
        self.0 & LOCKED != 0
    }

    /// The number carried beside the version (0 where the target keeps it elsewhere).
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        if Self::HAS_INDEX { self.0 >> (VERSION_BITS + 1) } else { 0 }
    }

    /// How many writes there were, as far as the word can count them.
    #[inline]
    #[cfg(feature = "alloc")]
    pub(crate) fn version(self) -> usize {
        (self.0 & LOW) / VERSION_ONE
    }

    /// The state after a write: one version on, unlocked, carrying `index`.
    #[inline(always)]
    pub(crate) fn next(self, index: usize) -> Self {
        let low = (self.0 & !LOCKED).wrapping_add(VERSION_ONE) & LOW;
        Self(if Self::HAS_INDEX { low | index << (VERSION_BITS + 1) } else { low })
    }
}

/// The word itself.
pub(crate) struct SeqLock<'a>(pub(crate) &'a AtomicUsize);

impl SeqLock<'_> {
    /// Begins a read.
    #[inline(always)]
    pub(crate) fn begin(&self) -> State {
        // [SL-4] acquire: pairs with [SL-3], the words of the last finished write are seen.
        State(self.0.load(Ordering::Acquire))
    }

    /// Whether nothing was written since `state` was read: what was loaded in between is whole.
    #[inline(always)]
    pub(crate) fn validate(&self, state: State) -> bool {
        // [SL-2] acquire fence: pairs with [SL-1]; the payload loads stay before the load below.
        atomic::fence(Ordering::Acquire);
        // A locked state validates only if that lock was given back with nothing written ([SL-6]): else
        // who has seen it sees it again or a later version, and either differs from it with the lock
        // bit cleared, which is the version before.
        // relaxed: the fence above orders it ([SL-2]).
        self.0.load(Ordering::Relaxed) == state.0 & !LOCKED
    }

    /// Locks, if nothing was written since `state` was read.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // Flash is what small targets lack.
    pub(crate) fn try_lock(&self, state: State) -> bool {
        if state.is_locked() {
            return false;
        }
        let locked = state.0 | LOCKED;
        // [SL-5] relaxed: `begin` loaded this very state with acquire, [SL-4].
        let swapped =
            self.0.compare_exchange(state.0, locked, Ordering::Relaxed, Ordering::Relaxed);
        // One fence for both, since it costs no more than either.
        // [SL-1] release fence: pairs with [SL-2]; the locked state is seen before any word we store.
        // [SL-8] acquire fence: pairs with [SL-6] and [SL-7]. The swap may have read the state from a thread
        // that gave the lock back or confirmed it; what that thread did before happens before our write.
        atomic::fence(Ordering::AcqRel);
        swapped.is_ok()
    }

    /// Whether nothing was written since `state` was read, said by a swap that later writers see. The caller holds
    /// another lock, which it has taken since `state` was read. A thread that writes here later sees that lock taken.
    #[inline]
    #[cfg(feature = "alloc")]
    pub(crate) fn confirm(&self, state: State) -> bool {
        // [SL-7] relaxed: the fence [SL-1] of the lock that the caller holds stands before it, and pairs with [SL-8].
        !state.is_locked()
            && self
                .0
                .compare_exchange(state.0, state.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Unlocks where nothing was written since `state` was locked: no reader need look again.
    #[inline]
    pub(crate) fn give_back(&self, state: State) {
        // [SL-6] release: pairs with [SL-4] and [SL-8], and hands on what our own [SL-4] has seen.
        self.0.store(state.0, Ordering::Release);
    }

    /// Unlocks and publishes the write.
    #[inline(always)]
    pub(crate) fn unlock(&self, next: State) {
        // [SL-3] release: pairs with [SL-4] and [SL-5].
        self.0.store(next.0, Ordering::Release);
    }
}
