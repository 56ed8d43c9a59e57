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
//! writer's stores. Which of the two it is gets decided once, before the first light barrier, and mostly holds for
//! good.
//!
//! A sandbox may refuse `membarrier` later on, when readers rely on it already. The first heavy barrier that is refused
//! has all readers execute fences from then on ([`Mode`]): a reader that sees it does. Writers may rely on that when no
//! reader is left that has not seen it. There are two ways to know:
//! - Each reader has said so in its slot, after a fence. That takes one read of each, so an idle one is waited for.
//! - The writer has run on every processor that a thread of the process may run on. That is a heavy barrier like
//!   `membarrier`, once: a thread that runs was switched out for it, and that is a full barrier in each.
//!
//! - `[AB-3]` a refused writer stores the mode, then executes a fence, then loads what slots say (acquire) ↔ a reader
//!   that has seen the mode says so behind a fence (release): the looks before that, which did not fence, come before
//!   what the writer does, and all looks after it fence. A slot that is new to the writer: its owner executes a fence
//!   between claiming it and its first load of the mode, so one of the two sees the other.
//! - `[AB-4]` release store of the mode by a writer that knows of all readers that they fence ↔ acquire load by another
//!   writer, which comes after all looks that did not fence.

use crate::facade::atomic::{self, AtomicUsize, Ordering};
#[cfg(feature = "alloc")]
use crate::facade::compiler_fence;

/// What the barriers of a process are made of, or those of a model.
pub(crate) struct Mode(AtomicUsize);

#[cfg_attr(not(all(feature = "std-ext", target_os = "linux")), allow(dead_code))] // Where it never changes.
impl Mode {
    // A light barrier that is nothing but a fence has a mode below `SYSTEM`.
    /// The system was not asked yet.
    const UNDECIDED: usize = 0;
    /// Every light barrier is a fence.
    const FENCES: usize = 1;
    /// No light barrier is one.
    const SYSTEM: usize = 2;
    /// A light barrier is a fence for each reader that has seen this mode.
    const LEAVING: usize = 3;

    crate::facade::const_unless_loom! {
        fn new(mode: usize) -> Self {
            Self(AtomicUsize::new(mode))
        }
    }

    /// Whether the system does the readers' part, as far as the caller has seen. Once false it stays so for the caller,
    /// and for all that come after it.
    #[inline(always)]
    fn uses_system(&self) -> bool {
        self.seen() == Self::SYSTEM
    }

    #[inline(always)]
    fn seen(&self) -> usize {
        // relaxed: coherence is enough for what a reader sees; see [AB-3] for what a writer may conclude.
        self.0.load(Ordering::Relaxed)
    }

    /// Whether every light barrier is a fence.
    fn all_fence(&self) -> bool {
        // [AB-4] acquire: pairs with the store of `finish_leaving`.
        self.0.load(Ordering::Acquire) == Self::FENCES
    }

    fn decide(&self, uses_system: impl FnOnce() -> bool) {
        // relaxed: decided before the first use by any thread, and it says all there is.
        if self.0.load(Ordering::Relaxed) == Self::UNDECIDED {
            let mode = if uses_system() { Self::SYSTEM } else { Self::FENCES };
            // relaxed: whoever comes second keeps the first one's decision.
            let _ = self.0.compare_exchange(
                Self::UNDECIDED,
                mode,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// The system has refused: readers are to fence.
    #[cold]
    fn leave(&self) {
        let (system, leaving) = (Self::SYSTEM, Self::LEAVING);
        // relaxed: goes before the fence.
        let _ = self.0.compare_exchange(system, leaving, Ordering::Relaxed, Ordering::Relaxed);
        // [AB-3] pairs with the fence of `begin_reading`.
        atomic::fence(Ordering::SeqCst);
    }

    /// All readers are known to fence.
    fn finish_leaving(&self) {
        // [AB-4] release: pairs with the acquire load of `all_fence`.
        self.0.store(Self::FENCES, Ordering::Release);
    }
}

#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
mod system {
    use super::Mode;
    use crate::facade::atomic::{AtomicBool, AtomicUsize, Ordering};
    use crate::facade::membarrier;

    pub(super) static MODE: Mode = Mode::new(Mode::UNDECIDED);

    pub(super) fn prepare() {
        MODE.decide(membarrier::register);
    }

    static MAY_VISIT: AtomicBool = AtomicBool::new(true);

    /// Runs on every processor, which is a barrier; false where the system refuses that too. It is not asked again.
    pub(super) fn visit_processors() -> bool {
        // relaxed: a hint, so that not every batch of garbage asks in vain.
        if !MAY_VISIT.load(Ordering::Relaxed) {
            return false;
        }
        let done = membarrier::visit_processors();
        // relaxed: as above.
        MAY_VISIT.store(done, Ordering::Relaxed);
        done
    }

    /// What a barrier took lately, in nanoseconds.
    static COST: AtomicUsize = AtomicUsize::new(0);
    /// Above that, somebody was descheduled.
    const MOST_COST: u128 = 1_000_000;

    /// False where the call failed: a sandbox has come to refuse it.
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
    pub(super) const fn prepare() {}

    #[cfg(not(all(test, hedgerow_loom)))]
    pub(super) const fn barrier() -> bool {
        false
    }

    #[cfg(not(all(test, hedgerow_loom)))]
    pub(super) const fn visit_processors() -> bool {
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
    cost_in_fences: usize,
    mode: Mode,
    /// It does no barrier.
    refuses: bool,
    /// Then it lets the writer visit every processor, which is one.
    visits: bool,
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
        let mode = Mode::new(Mode::SYSTEM);
        let (passed, barriers, state) = (0.into(), 0.into(), Self::IDLE.into());
        Self { at, cost_in_fences: 1, mode, refuses: false, visits: false, passed, barriers, state }
    }

    pub(crate) fn cost_in_fences(self, cost_in_fences: usize) -> Self {
        Self { cost_in_fences, ..self }
    }

    /// That refuses the writer everything, from the beginning, though readers rely on it.
    pub(crate) fn refusing() -> Self {
        Self { refuses: true, ..Self::serving_at(0) }
    }

    /// That refuses its barrier, but lets the writer visit all processors; the visit is over at this point.
    pub(crate) fn visited_at(at: usize) -> Self {
        Self { refuses: true, visits: true, ..Self::serving_at(at) }
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

/// The barriers of one protocol: the process' own, or in a model what stands for them there.
pub(crate) struct Barrier {
    /// What stands for the operating system's barrier, if it is to be had.
    #[cfg(all(test, hedgerow_loom))]
    system: Option<System>,
}

#[cfg_attr(not(all(test, hedgerow_loom)), allow(clippy::unused_self))] // A model has barriers of its own.
#[allow(clippy::unnecessary_wraps)] // Without an operating system there is no mode.
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

    /// What its barriers are made of; None where all are fences, for good.
    #[inline(always)]
    fn mode(&self) -> Option<&Mode> {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().map(|system| &system.mode);
        #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
        return Some(&system::MODE);
        #[cfg(not(any(all(feature = "std-ext", target_os = "linux"), all(test, hedgerow_loom))))]
        None
    }

    /// The reader's side: between the store that announces it and the loads it announces. Calls `agree` after a fence
    /// if readers have to fence because the system refuses: then the reader's slot is to say so.
    #[cfg(feature = "alloc")]
    #[allow(clippy::comparison_chain)] // A `match` costs two instructions more.
    #[inline(always)]
    pub(crate) fn light(&self, agree: impl FnOnce()) {
        let seen = self.mode().map_or(Mode::FENCES, Mode::seen);
        // One comparison tells the three apart.
        if seen == Mode::SYSTEM {
            // [AB-1] the compiler's part of it: pairs with [AB-2].
            compiler_fence(Ordering::SeqCst);
        } else if seen < Mode::SYSTEM {
            // [AB-1] pairs with [AB-2].
            atomic::fence(Ordering::SeqCst);
        } else {
            Self::fence_and(agree);
        }
        #[cfg(all(test, hedgerow_loom))]
        self.point();
    }

    /// Not inlined: `light` is, into all that takes a guard.
    #[cfg(feature = "alloc")]
    #[cold]
    #[inline(never)]
    fn fence_and(agree: impl FnOnce()) {
        // [AB-1] pairs with [AB-2].
        atomic::fence(Ordering::SeqCst);
        agree();
    }

    /// To be called by the owner of a slot that it has just claimed, before its first [`light`].
    #[cfg(feature = "alloc")]
    pub(crate) fn begin_reading(&self) {
        if self.mode().is_some() {
            // [AB-3] pairs with the fence of `leave`: the writer finds the slot, or its owner the mode.
            atomic::fence(Ordering::SeqCst);
        }
    }

    /// The writer's side: between taking something away from readers and looking which of them may still have it. If
    /// the system refuses its barrier, this asks `all_fence` whether the slots of all readers say that they fence.
    /// Returns false if they do not: then nothing follows, and the call may be repeated.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub(crate) fn heavy(&self, all_fence: impl FnOnce() -> bool) -> bool {
        prepare();
        // [AB-2] pairs with [AB-1] where that is a fence, and is cheap where it is not.
        atomic::fence(Ordering::SeqCst);
        let Some(mode) = self.mode() else { return true };
        // [AB-2] pairs with [AB-1].
        if mode.all_fence() || mode.uses_system() && self.system_barrier() {
            return true;
        }
        mode.leave();
        let done = all_fence() || self.visit_processors();
        if done {
            mode.finish_leaving();
        }
        done
    }

    /// As [`heavy`](Self::heavy), for readers that look at their slots and not at the mode, and have not fenced yet:
    /// only the system can do anything about them.
    #[must_use]
    pub(crate) fn interrupt(&self) -> bool {
        prepare();
        // [AB-2] pairs with [AB-1] where that is a fence.
        atomic::fence(Ordering::SeqCst);
        let Some(mode) = self.mode() else { return true };
        // [AB-2] pairs with [AB-1].
        if self.system_barrier() {
            return true;
        }
        mode.leave();
        let done = self.visit_processors();
        if done {
            mode.finish_leaving();
        }
        done
    }

    fn system_barrier(&self) -> bool {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().is_some_and(|system| !system.refuses && system.barrier());
        #[cfg(not(all(test, hedgerow_loom)))]
        system::barrier()
    }

    /// Runs on every processor, if the system lets it.
    fn visit_processors(&self) -> bool {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().is_some_and(|system| system.visits && system.barrier());
        #[cfg(not(all(test, hedgerow_loom)))]
        system::visit_processors()
    }

    /// Whether a light one is none but for the compiler, as far as the caller has seen.
    #[inline(always)]
    pub(crate) fn is_asymmetric(&self) -> bool {
        MAY_BE_ASYMMETRIC && self.mode().is_some_and(Mode::uses_system)
    }

    /// How many fences, of some nanoseconds each, take as long as the system's barrier took lately: a quarter of a
    /// microsecond on a machine, and a quarter of a millisecond in some virtual ones. 64 at least.
    pub(crate) fn cost_in_fences(&self) -> usize {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().map_or(1, |system| system.cost_in_fences);
        #[cfg(not(all(test, hedgerow_loom)))]
        (system::cost() / 8).max(64)
    }
}
