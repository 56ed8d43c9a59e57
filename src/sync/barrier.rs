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
#[cfg(feature = "alloc")]
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

    /// What a barrier took lately, in nanoseconds.
    static COST: AtomicUsize = AtomicUsize::new(0);
    /// Above that, somebody was descheduled.
    const MOST_COST: u128 = 1_000_000;

    /// False where the call failed, which it does not once it has been registered.
    pub(super) fn barrier() -> bool {
        let begin = std::time::Instant::now();
        let done = membarrier::barrier();
        let cost = begin.elapsed().as_nanos().min(MOST_COST) as usize;
        // relaxed: an estimate, which may miss a barrier of another thread.
        let before = COST.load(Ordering::Relaxed);
        // relaxed: as above. Half of it is the last one's, so that a machine is soon known.
        COST.store(before.midpoint(cost), Ordering::Relaxed);
        done
    }

    pub(super) fn cost() -> usize {
        // relaxed: as above.
        COST.load(Ordering::Relaxed)
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

    #[cfg(not(all(test, hedgerow_loom)))]
    pub(super) const fn cost() -> usize {
        0
    }
}

/// The operating system's barriers in a model with one reader, which the checker cannot see: the reader executes a
/// full fence when it is asked to, at the first of its points that is not before a chosen one. Running the
/// model for every choice has the barriers served at every place.
#[cfg(all(test, hedgerow_loom))]
pub(crate) struct System {
    /// Where the first barrier is served, and where all further ones.
    at: [usize; 2],
    /// What a barrier is worth in fences.
    worth: usize,
    passed: crate::facade::Unseen,
    barriers: crate::facade::Unseen,
    state: crate::facade::Unseen,
}

#[cfg(all(test, hedgerow_loom))]
impl System {
    const IDLE: usize = 0;
    const ASKED: usize = 1;
    const ENDED: usize = 2;

    pub(crate) fn serving_at(at: usize) -> Self {
        Self::serving_each_at([at, at])
    }

    pub(crate) fn serving_each_at(at: [usize; 2]) -> Self {
        Self { at, worth: 1, passed: 0.into(), barriers: 0.into(), state: Self::IDLE.into() }
    }

    pub(crate) fn worth(self, worth: usize) -> Self {
        Self { worth, ..self }
    }

    /// The reader passes one of the places at which it may be interrupted.
    pub(crate) fn point(&self) {
        // relaxed, here and below: threads of a model run one at a time, and this is no part of it.
        let (passed, barriers) =
            (self.passed.fetch_add(1, Ordering::Relaxed), self.barriers.load(Ordering::Relaxed));
        if passed >= self.at[barriers.min(1)] {
            self.serve();
        }
    }

    fn serve(&self) {
        // relaxed: as above.
        if self.state.load(Ordering::Relaxed) == Self::ASKED {
            // [AB-1] by interruption: pairs with [AB-2].
            atomic::fence(Ordering::SeqCst);
            // relaxed: as above.
            self.state.store(Self::IDLE, Ordering::Relaxed);
        }
    }

    /// The reader ends, and is interrupted no more.
    pub(crate) fn end(&self) {
        // [AB-1] whoever is switched out executes one: pairs with [AB-2].
        atomic::fence(Ordering::SeqCst);
        // relaxed: as above.
        self.state.store(Self::ENDED, Ordering::Relaxed);
    }

    pub(crate) fn barrier(&self) -> bool {
        // [AB-2] the caller's own: pairs with [AB-1].
        atomic::fence(Ordering::SeqCst);
        let (idle, asked) = (Self::IDLE, Self::ASKED);
        // relaxed: as above.
        let begun = self.state.compare_exchange(idle, asked, Ordering::Relaxed, Ordering::Relaxed);
        // relaxed: as above.
        while begun.is_ok() && self.state.load(Ordering::Relaxed) == asked {
            crate::facade::spin_hint();
        }
        // relaxed: as above.
        self.barriers.fetch_add(1, Ordering::Relaxed);
        // [AB-2] as above.
        atomic::fence(Ordering::SeqCst);
        true
    }
}

/// Whether a barrier may be asymmetric at all, on this target and with these features.
pub(crate) const MAY_BE_ASYMMETRIC: bool =
    cfg!(any(all(feature = "std-ext", target_os = "linux"), all(test, hedgerow_loom)));

/// To be called before a thread's first [`light`]: decides what barriers are made of.
pub(crate) fn prepare() {
    system::prepare();
}

/// The reader's side: between the store that announces it and the loads it announces.
#[cfg(feature = "alloc")]
#[inline(always)]
fn light() {
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
fn heavy() -> bool {
    prepare();
    // [AB-2] pairs with [AB-1] where that is a fence, and is cheap where it is not.
    atomic::fence(Ordering::SeqCst);
    // [AB-2] pairs with [AB-1].
    !system::serves() || system::barrier()
}

/// The barriers of one protocol: the process' own, or in a model what stands for them there.
pub(crate) struct Barrier {
    /// What stands for the operating system's barrier, if it is to be had.
    #[cfg(all(test, hedgerow_loom))]
    system: Option<System>,
}

#[cfg_attr(not(all(test, hedgerow_loom)), allow(clippy::unused_self))] // A model has barriers of its own.
impl Barrier {
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(all(test, hedgerow_loom))]
            system: None,
        }
    }

    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn of_system(system: System) -> Self {
        Self { system: Some(system) }
    }

    /// Under the model checker: a place at which the operating system may interrupt a reader.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn point(&self) {
        self.system.iter().for_each(System::point);
    }

    /// Under the model checker: the reader ends.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn end(&self) {
        self.system.iter().for_each(System::end);
    }

    /// As [`light`].
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn light(&self) {
        #[cfg(all(test, hedgerow_loom))]
        if self.system.is_some() {
            return self.point();
        }
        light();
    }

    /// As [`heavy`].
    #[must_use]
    pub(crate) fn heavy(&self) -> bool {
        #[cfg(all(test, hedgerow_loom))]
        if let Some(system) = &self.system {
            return system.barrier();
        }
        heavy()
    }

    /// Whether a light one is none but for the compiler.
    pub(crate) fn is_asymmetric(&self) -> bool {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.is_some();
        #[cfg(not(all(test, hedgerow_loom)))]
        system::serves()
    }

    /// How many fences, of some nanoseconds each, take as long as the system's barrier took lately: a quarter of a
    /// microsecond on a machine, and a quarter of a millisecond in some virtual ones. 64 at least.
    pub(crate) fn worth(&self) -> usize {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().map_or(1, |system| system.worth);
        #[cfg(not(all(test, hedgerow_loom)))]
        (system::cost() / 8).max(64)
    }
}
