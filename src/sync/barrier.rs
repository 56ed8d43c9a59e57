//! An asymmetric barrier: readers pay next to nothing, and whoever waits for readers pays for both.
//!
//! # Synchronization
//! - `[AB-1]` [`light`] between a reader's store and its loads ↔ `[AB-2]` [`heavy`] between a writer's
//!   stores and its loads: either the writer's loads see the reader's store, or the reader's loads see
//!   what the writer stored (store buffering, the one reordering that acquire and release allow).
//!   Nothing follows for two light barriers.
//!
//! Both are `atomic::fence(SeqCst)`, unless the operating system can have every running thread of the
//! process execute a full barrier at a point of its own (Linux' `membarrier`). Then a light barrier
//! only keeps the compiler from reordering: if the reader's point comes after its store, the writer sees
//! that store when the call has returned; if it comes before, all of the reader's loads come after the
//! writer's stores. Which of the two it is gets decided once, before the first light barrier, and holds for
//! all threads.

use crate::facade::atomic::{self, Ordering};
use crate::facade::compiler_fence;

#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
mod system {
    use crate::facade::atomic::{AtomicUsize, Ordering};
    use crate::facade::membarrier;

    const UNDECIDED: usize = 0;
    const FENCES: usize = 1;
    const SYSTEM: usize = 2;

    static MODE: AtomicUsize = AtomicUsize::new(UNDECIDED);

    /// Whether the system does the readers' part. False before `prepare`.
    #[inline(always)]
    pub(super) fn serves() -> bool {
        // relaxed: the mode changes once, before its first use by any thread, and says all there is.
        MODE.load(Ordering::Relaxed) == SYSTEM
    }

    pub(super) fn prepare() {
        // relaxed: as above.
        if MODE.load(Ordering::Relaxed) == UNDECIDED {
            let mode = if membarrier::register() { SYSTEM } else { FENCES };
            // relaxed: whoever comes second keeps the first one's decision.
            let _ = MODE.compare_exchange(UNDECIDED, mode, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// False where the call failed, which it does not once it has been registered.
    pub(super) fn barrier() -> bool {
        membarrier::barrier()
    }
}

#[cfg(not(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom))))]
mod system {
    pub(super) const fn serves() -> bool {
        false
    }

    pub(super) const fn prepare() {}

    pub(super) const fn barrier() -> bool {
        false
    }
}

/// The operating system's barrier in a model with one reader, which the checker cannot see: the reader executes a
/// full fence when it is asked to, at the first of its points that is not before a chosen one. Running the
/// model for every choice has the barrier served at every place.
#[cfg(all(test, hedgerow_loom))]
pub(crate) struct System {
    at: usize,
    passed: crate::facade::Unseen,
    state: crate::facade::Unseen,
}

#[cfg(all(test, hedgerow_loom))]
impl System {
    const ASKED: usize = 1;
    const SERVED: usize = 2;

    pub(crate) fn serving_at(at: usize) -> Self {
        Self { at, passed: 0.into(), state: 0.into() }
    }

    /// The reader passes one of the places at which it may be interrupted.
    pub(crate) fn point(&self) {
        // relaxed, here and below: threads of a model run one at a time, and this is no part of it.
        if self.passed.fetch_add(1, Ordering::Relaxed) >= self.at {
            self.serve();
        }
    }

    fn serve(&self) {
        // relaxed: as above.
        if self.state.load(Ordering::Relaxed) == Self::ASKED {
            // [AB-1] by interruption: pairs with [AB-2].
            atomic::fence(Ordering::SeqCst);
            // relaxed: as above.
            self.state.store(Self::SERVED, Ordering::Relaxed);
        }
    }

    /// The reader ends, and is interrupted no more.
    pub(crate) fn end(&self) {
        // [AB-1] whoever is switched out executes one: pairs with [AB-2].
        atomic::fence(Ordering::SeqCst);
        // relaxed: as above.
        self.state.store(Self::SERVED, Ordering::Relaxed);
    }

    pub(crate) fn barrier(&self) -> bool {
        // [AB-2] the caller's own: pairs with [AB-1].
        atomic::fence(Ordering::SeqCst);
        // relaxed: as above.
        let asked =
            self.state.compare_exchange(0, Self::ASKED, Ordering::Relaxed, Ordering::Relaxed);
        // relaxed: as above.
        while asked.is_ok() && self.state.load(Ordering::Relaxed) == Self::ASKED {
            crate::facade::spin_hint();
        }
        // [AB-2] as above.
        atomic::fence(Ordering::SeqCst);
        true
    }
}

/// To be called before a thread's first [`light`]: decides what barriers are made of.
pub(crate) fn prepare() {
    system::prepare();
}

/// The reader's side: between the store that announces it and the loads it announces.
#[inline(always)]
pub(crate) fn light() {
    if system::serves() {
        // [AB-1] the compiler's part of it: pairs with [AB-2].
        compiler_fence(Ordering::SeqCst);
    } else {
        // [AB-1] pairs with [AB-2].
        atomic::fence(Ordering::SeqCst);
    }
}

/// The other side: between taking something away from readers and looking who may still have it. False
/// where the operating system refused: then nothing follows, and the call may be repeated.
#[must_use]
pub(crate) fn heavy() -> bool {
    prepare();
    // [AB-2] pairs with [AB-1] where that is a fence, and is cheap where it is not.
    atomic::fence(Ordering::SeqCst);
    // [AB-2] pairs with [AB-1].
    !system::serves() || system::barrier()
}
