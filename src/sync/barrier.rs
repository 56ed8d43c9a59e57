//! An asymmetric barrier: readers pay next to nothing, and a thread that waits for readers pays for both.
//!
//! # Synchronization
//! - `[AB-1]` a [`light`](Barrier::light) barrier between a reader's store and its loads ↔ `[AB-2]` a
//!   [`heavy`](Barrier::heavy) barrier between a writer's stores and its loads: either the writer's loads see the
//!   reader's store, or the reader's loads see the writer's stores. (This is store buffering, the one reordering that
//!   acquire and release allow.) Two light barriers guarantee nothing.
//!
//! Both are `atomic::fence(SeqCst)`, unless the operating system can make every running thread of the process execute a
//! full barrier (`membarrier` on Linux). Then a light barrier only keeps the compiler from reordering. If the system
//! interrupts the reader after its store, the writer sees that store when the call has returned. If before, all loads
//! of the reader come after the writer's stores. The choice is made once, before the first light barrier, and mostly
//! holds for good.
//!
//! A sandbox may refuse `membarrier` later, when readers rely on it already. The first heavy barrier that is refused
//! switches all readers to fences ([`BarrierMode`]). A reader follows when it sees the new mode. Writers may rely on
//! the fences when every reader has seen it, which a writer can know in two ways:
//! - Each reader has said so in its slot, after a fence. That takes one read by each reader, so idle readers are waited
//!   for. A writer knows this of the readers of its own collector alone.
//! - The writer has run on every processor that a thread of the process may run on. That is a heavy barrier, once: a
//!   running thread was switched out for the writer, and a context switch is a full barrier.
//!
//! - `[AB-3]` a refused writer stores the mode, executes a fence, and then loads the slots (acquire) ↔ a reader that
//!   has seen the mode says so in its slot, after a fence (release): the writer comes after the reader's pins without a
//!   fence, and all later pins have one. The owner of a new slot executes a fence between claiming it and its first
//!   load of the mode, so either the writer finds the slot or the owner sees the mode. Later owners of the slot come
//!   after that fence, because they got the slot from its first owner.
//! - `[AB-4]` release store of the mode by a writer that knows that all readers fence ↔ acquire load by another writer:
//!   the other writer comes after all pins without a fence.

use crate::facade::atomic::{self, AtomicUsize, Ordering};
#[cfg(feature = "alloc")]
use crate::facade::compiler_fence;

/// How the light barriers of the process, or of a model, are made.
pub(crate) struct BarrierMode(AtomicUsize);

#[cfg_attr(not(all(feature = "std-ext", target_os = "linux")), allow(dead_code))] // The mode never changes there.
impl BarrierMode {
    // The modes below `SYSTEM` are those whose light barrier is a fence and nothing else: see `light`.
    /// The system has not been asked yet. Light barriers are fences.
    const UNDECIDED: usize = 0;
    /// Every light barrier is a fence.
    const FENCES: usize = 1;
    /// The system interrupts readers, so no light barrier is a fence.
    const SYSTEM: usize = 2;
    /// The system has refused: a light barrier is a fence for each reader that has seen this mode.
    const LEAVING: usize = 3;

    crate::facade::const_unless_loom! {
        fn new(mode: usize) -> Self {
            Self(AtomicUsize::new(mode))
        }
    }

    /// Returns true if the system interrupts readers, as far as the caller has seen. Once this is false, it stays false
    /// for the caller and for all threads that synchronize with it.
    #[inline(always)]
    fn uses_system(&self) -> bool {
        self.seen() == Self::SYSTEM
    }

    #[inline(always)]
    fn seen(&self) -> usize {
        // relaxed: a reader needs coherence alone. For the conclusions of a writer, see [AB-3].
        self.0.load(Ordering::Relaxed)
    }

    /// Returns true if every light barrier is a fence.
    fn all_fence(&self) -> bool {
        // [AB-4] acquire: pairs with the store of `finish_leaving`, so the caller comes after all pins without a fence.
        self.0.load(Ordering::Acquire) == Self::FENCES
    }

    fn decide(&self, uses_system: impl FnOnce() -> bool) {
        // relaxed: decided before the first light barrier of any thread, and the mode is the whole message.
        if self.0.load(Ordering::Relaxed) == Self::UNDECIDED {
            let mode = if uses_system() { Self::SYSTEM } else { Self::FENCES };
            // relaxed: if another thread decided first, its decision stands.
            let _ = self.0.compare_exchange(
                Self::UNDECIDED,
                mode,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Switches readers to fences, because the system has refused its barrier.
    #[cold]
    fn begin_leaving(&self) {
        let (system, leaving) = (Self::SYSTEM, Self::LEAVING);
        // relaxed: the fence below orders it.
        let _ = self.0.compare_exchange(system, leaving, Ordering::Relaxed, Ordering::Relaxed);
        // [AB-3] pairs with the fence of `begin_reading`: the slots loaded from here on include the slot of every
        // reader that has not seen the mode.
        atomic::fence(Ordering::SeqCst);
    }

    /// Notes that all readers are known to fence.
    fn finish_leaving(&self) {
        // [AB-4] release: pairs with the acquire load of `all_fence`.
        self.0.store(Self::FENCES, Ordering::Release);
    }
}

#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
mod system {
    use super::BarrierMode;
    use crate::facade::atomic::{AtomicBool, AtomicUsize};
    use crate::facade::membarrier;
    use crate::sync::hint::Hint;

    pub(super) static MODE: BarrierMode = BarrierMode::new(BarrierMode::UNDECIDED);

    pub(super) fn prepare() {
        MODE.decide(membarrier::register);
    }

    /// Cleared when the system refuses, so that later batches of garbage do not request barriers in vain.
    static MAY_VISIT: Hint<AtomicBool> = Hint::<AtomicBool>::new(true);

    /// Runs on every processor, which is a heavy barrier. Returns false if the system refuses that, or refused before.
    pub(super) fn visit_processors() -> bool {
        if !MAY_VISIT.load() {
            return false;
        }
        let done = membarrier::visit_processors();
        MAY_VISIT.store(done);
        done
    }

    /// The time of recent barriers, in nanoseconds. An estimate: two threads at a time may lose a measurement.
    static COST: Hint<AtomicUsize> = Hint::<AtomicUsize>::new(0);
    /// Greatest cost that is noted, in nanoseconds: a thread that took longer was descheduled.
    const MOST_COST: u128 = 1_000_000;

    /// Executes the system's barrier. Returns false if the call failed, because a sandbox refuses it.
    pub(super) fn barrier() -> bool {
        let begin = std::time::Instant::now();
        let done = membarrier::barrier();
        let cost = begin.elapsed().as_nanos().min(MOST_COST) as usize;
        // The last measurement counts for half, so that the estimate soon fits the machine.
        COST.store(COST.load().midpoint(cost));
        done
    }

    pub(super) fn cost() -> usize {
        COST.load()
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

/// The operating system's barrier in a model with one reader, because the checker has no `membarrier`. The reader
/// executes a full fence on request, at the first of its points that is not before a chosen one. A model runs once for
/// each choice, so that the barrier is served at every point.
#[cfg(all(test, hedgerow_loom))]
pub(crate) struct System {
    /// The point that serves the first barrier, and the one that serves all further ones.
    at: [usize; 2],
    /// How many fences cost as much as a barrier.
    cost_in_fences: usize,
    mode: BarrierMode,
    /// The system refuses its barrier.
    refuses: bool,
    /// If it refuses, it still lets the writer visit every processor, which is a barrier.
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
        let mode = BarrierMode::new(BarrierMode::SYSTEM);
        let (passed, barriers, state) = (0.into(), 0.into(), Self::IDLE.into());
        Self { at, cost_in_fences: 1, mode, refuses: false, visits: false, passed, barriers, state }
    }

    pub(crate) fn cost_in_fences(self, cost_in_fences: usize) -> Self {
        Self { cost_in_fences, ..self }
    }

    /// Makes a system that refuses everything from the beginning, though readers rely on it.
    pub(crate) fn refusing() -> Self {
        Self { refuses: true, ..Self::serving_at(0) }
    }

    /// Makes a system that refuses its barrier, but lets the writer visit all processors. The visit ends at point `at`.
    pub(crate) fn visited_at(at: usize) -> Self {
        Self { refuses: true, visits: true, ..Self::serving_at(at) }
    }

    /// Called by the reader at each point at which the system may interrupt it.
    pub(crate) fn point(&self) {
        // relaxed, here and below: threads of a model run one at a time, and these words are not part of it.
        let (passed, barriers) =
            (self.passed.fetch_add(1, Ordering::Relaxed), self.barriers.load(Ordering::Relaxed));
        if passed >= self.at[barriers.min(1)] {
            self.serve();
        }
    }

    fn serve(&self) {
        // relaxed: as above.
        if self.state.load(Ordering::Relaxed) == Self::ASKED {
            // [AB-1] the interruption: pairs with [AB-2].
            atomic::fence(Ordering::SeqCst);
            // relaxed: as above.
            self.state.store(Self::IDLE, Ordering::Relaxed);
        }
    }

    /// Called by the reader when it ends. The system does not interrupt it any more.
    pub(crate) fn end(&self) {
        // [AB-1] a thread that is switched out executes a barrier: pairs with [AB-2].
        atomic::fence(Ordering::SeqCst);
        // relaxed: as above.
        self.state.store(Self::ENDED, Ordering::Relaxed);
    }

    pub(crate) fn barrier(&self) -> bool {
        // [AB-2] the caller's own barrier: pairs with [AB-1].
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

/// Whether a barrier may be asymmetric on this target and with these features.
pub(crate) const MAY_BE_ASYMMETRIC: bool =
    cfg!(any(all(feature = "std-ext", target_os = "linux"), all(test, hedgerow_loom)));

/// Decides how barriers are made. To be called before a thread's first light barrier.
pub(crate) fn prepare() {
    system::prepare();
}

/// The barriers of one protocol: those of the process, or in a model the substitute for them.
pub(crate) struct Barrier {
    /// The substitute for the operating system's barrier, if the model has one.
    #[cfg(all(test, hedgerow_loom))]
    system: Option<System>,
}

#[cfg_attr(not(all(test, hedgerow_loom)), allow(clippy::unused_self))] // A model has its own barriers.
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

    /// In a model: a point at which the operating system may interrupt a reader.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn point(&self) {
        self.system.iter().for_each(System::point);
    }

    /// In a model: the reader ends.
    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn end(&self) {
        self.system.iter().for_each(System::end);
    }

    /// Returns how barriers are made; `None` if all are fences, for good.
    #[inline(always)]
    fn mode(&self) -> Option<&BarrierMode> {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().map(|system| &system.mode);
        #[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
        return Some(&system::MODE);
        #[cfg(not(any(all(feature = "std-ext", target_os = "linux"), all(test, hedgerow_loom))))]
        None
    }

    /// The reader's barrier, between the store that announces the reader and the loads that it announces. Calls `agree`
    /// after a fence if the system has refused: the reader's slot must then say that its owner fences.
    #[cfg(feature = "alloc")]
    #[allow(clippy::comparison_chain)] // A `match` costs two instructions more.
    #[inline(always)]
    pub(crate) fn light(&self, agree: impl FnOnce()) {
        let seen = self.mode().map_or(BarrierMode::FENCES, BarrierMode::seen);
        // One comparison tells the three cases apart, and the first of them is the fast path.
        if seen == BarrierMode::SYSTEM {
            // [AB-1] for the compiler alone: the writer's [AB-2] interrupts this thread, and so orders its accesses.
            compiler_fence(Ordering::SeqCst);
        } else if seen < BarrierMode::SYSTEM {
            // [AB-1] pairs with [AB-2]: the announcement is seen by the writer's scan, or our loads see its stores.
            atomic::fence(Ordering::SeqCst);
        } else {
            Self::fence_and(agree);
        }
        #[cfg(all(test, hedgerow_loom))]
        self.point();
    }

    /// The rare case of `light`. Not inlined, because `light` is inlined wherever a guard is made.
    #[cfg(feature = "alloc")]
    #[cold]
    #[inline(never)]
    fn fence_and(agree: impl FnOnce()) {
        // [AB-1] pairs with [AB-2]: the announcement is seen by the writer's scan, or our loads see its stores.
        atomic::fence(Ordering::SeqCst);
        agree();
    }

    /// Orders the claim of a slot before the loads of the mode. The owner calls it before its first `light`.
    #[cfg(feature = "alloc")]
    pub(crate) fn begin_reading(&self) {
        if self.mode().is_some() {
            // [AB-3] pairs with the fence of `begin_leaving`: the writer finds the slot, or its owner sees the mode.
            atomic::fence(Ordering::SeqCst);
        }
    }

    /// The writer's barrier, between taking something away from readers and checking which of them may still see it. If
    /// the system refuses its barrier, this calls `all_fence`, which says whether all readers' slots say that they
    /// fence. Returns false if they do not: then nothing is guaranteed, and the caller may try again.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub(crate) fn heavy(&self, all_fence: impl FnOnce() -> bool) -> bool {
        prepare();
        // [AB-2] the writer's fence: pairs with [AB-1] of readers that execute fences. Cheap beside the system's
        // barrier.
        atomic::fence(Ordering::SeqCst);
        let Some(mode) = self.mode() else { return true };
        // [AB-2] the system's barrier: pairs with [AB-1] of readers that execute none.
        if mode.all_fence() || mode.uses_system() && self.system_barrier() {
            return true;
        }
        self.leave(mode, all_fence)
    }

    /// As [`heavy`](Self::heavy), for readers of `sides` that have not agreed to execute fences. They learn of it from
    /// their slots and not from the mode, so the slots cannot replace the system's barrier here.
    #[must_use]
    pub(crate) fn interrupt(&self) -> bool {
        prepare();
        // [AB-2] the writer's fence: pairs with [AB-1] of readers that execute fences.
        atomic::fence(Ordering::SeqCst);
        let Some(mode) = self.mode() else { return true };
        // [AB-2] the system's barrier: pairs with [AB-1] of readers that execute none.
        if self.system_barrier() {
            return true;
        }
        self.leave(mode, || false)
    }

    /// Tells all readers to fence from now on, and checks whether each has done so. Returns false if that is not known.
    fn leave(&self, mode: &BarrierMode, all_fence: impl FnOnce() -> bool) -> bool {
        mode.begin_leaving();
        // The caller's slots say nothing about the readers of other collectors, which share the mode. So they prove
        // this barrier alone, and the next barrier checks them again.
        if all_fence() {
            return true;
        }
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

    /// Runs on every processor, if the system allows it. Returns true if it did.
    fn visit_processors(&self) -> bool {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().is_some_and(|system| system.visits && system.barrier());
        #[cfg(not(all(test, hedgerow_loom)))]
        system::visit_processors()
    }

    /// Returns true if light barriers are for the compiler alone, as far as the caller has seen.
    #[inline(always)]
    pub(crate) fn is_asymmetric(&self) -> bool {
        MAY_BE_ASYMMETRIC && self.mode().is_some_and(BarrierMode::uses_system)
    }

    /// Returns how many fences, of some nanoseconds each, take as long as the system's barrier took lately. That is a
    /// quarter of a microsecond on bare metal, and up to a quarter of a millisecond in virtual machines. At least 64.
    pub(crate) fn cost_in_fences(&self) -> usize {
        #[cfg(all(test, hedgerow_loom))]
        return self.system.as_ref().map_or(1, |system| system.cost_in_fences);
        #[cfg(not(all(test, hedgerow_loom)))]
        (system::cost() / 8).max(64)
    }
}
