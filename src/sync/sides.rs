//! The two sides of left-right: readers read one, while the writer changes the other.
//!
//! A reader begins a read section ([`Sides::begin_read`]): it announces itself in its slot, and then loads which side
//! is the read side. It never waits. When it is done, it ends the section ([`Sides::end_read`]). The writer changes the
//! write side and swaps the two ([`Sides::swap`]). It may change the new write side when no reader can be in it any
//! more ([`Sides::is_over`]). (Left-right, by Ramalhete and Correia. Readers' counters in slots of their own, as in
//! Gjengset's crate `left-right`. The states of swaps and fences in slots are this crate's.)
//!
//! After a read section the slot keeps the last state that its owner saw. Three things tell the writer that an idle
//! reader will not enter the write side, the cheapest first:
//! - The reader saw the swap. A busy reader soon does.
//! - The reader executes a fence in each read section. All readers do if no barrier is asymmetric
//!   ([`barrier`](super::barrier)); otherwise those do that have agreed to.
//! - The operating system has made all threads execute a barrier since the swap. That takes from a quarter of a
//!   microsecond to a quarter of a millisecond, on some virtual machines. So the writer asks the readers that needed
//!   the barrier to execute fences from then on. A reader stops when its fences have cost as much as a barrier.
//!
//! # Tried and rejected
//! - A bit of the state that made all readers execute fences after each swap, until a reader cleared it. Each publish
//!   cost every reader some fences, and beside a busy reader a barrier or a wait.
//! - Bringing the other side up to date in `publish` itself. It waits for the read sections under way, with one cache
//!   miss for each reader's line. Two threads ran at 0.43 to 0.85 of the speed of the best peer in mixes of 99 to
//!   99.999 % reads. They run at 1.2 to 1.5 of it now.
//!
//! # Synchronization
//! - `[LR-1]` a read section's store to its slot, then a light barrier ([AB-1]) or a fence of its own, then its load of
//!   the state ↔ `[LR-2]` a swap's store of the state, then a fence or a heavy barrier ([AB-2]), at the latest when the
//!   writer first asks whether the swap is over, then loads of the slots: either the writer sees the read section, or
//!   the read section sees the swap. The writer's fence suffices for readers that execute fences, and the heavy barrier
//!   for all. The store to the slot is a release for `[LR-4]`, because the writer may never see the value before it.
//! - `[LR-3]` release store of the state ↔ a read section's acquire load of it: the reader sees its side whole.
//! - `[LR-4]` release store by a reader that ends a read section, or that stores which state it saw ↔ acquire load by
//!   the writer: the reader's reads come before the writer's changes. A thread that has loaded a swap from the state
//!   loads that swap or a later one ever after (coherence).
//! - `[LR-5]` the agreement on fences. The writer asks in the slot, executes the heavy barrier, and loads the slot's
//!   word. It notes the agreement only if the owner was *then* in no read section and had not seen the swap. So the
//!   owner's next read section comes after the barrier, finds a state that it has not seen, and therefore loads the
//!   request. Only the owner ends the agreement, between its own fence and the store that ends the read section. So if
//!   the writer loads the slot's word and then finds that the owner executes fences, that word is from a read section
//!   with a fence, and the next one has a fence too. A slot that changes hands says by a release store that its next
//!   owner executes fences ↔ the writer's acquire load comes after the last owner's read sections. If the system
//!   refuses its barrier, an owner that is asked agrees by itself, after a fence, and never stops: the same pair.

use crate::facade::Scheduled;
use crate::facade::atomic::{self, AtomicUsize, Ordering};
use crate::sync::barrier::{Barrier, MAY_BE_ASYMMETRIC};
use crate::sync::cache::CachePadded;
use crate::sync::slot::{ASKED, FENCING, LIGHT, ReaderSlot};

// The state and the slots' words have one format. The lowest bits of a slot's word are the depth: how many read
// sections its owner is in, nested; the state has none. Above is the number of swaps, in a slot as far as its owner has
// seen them; odd means that the second side is the read side. If swap counts soon wrap around, a slot counts its read
// sections there instead, so that the writer can tell one from another.
const DEPTH_BITS: u32 = if usize::BITS < 64 { 8 } else { 12 };
const DEPTH: usize = (1 << DEPTH_BITS) - 1;
const SWAP: usize = 1 << DEPTH_BITS;
/// Set in the state that a reader has seen while it executes fences. The stored state never has it, so this reader
/// never finds the state that it knows, and always takes the path that executes the fence.
const FENCES: usize = 1 << (usize::BITS - 1);
const SWAPS: usize = !FENCES & !DEPTH;
// `docs::limits` names these numbers.
const _: () = assert!(SWAPS.count_ones() == if usize::BITS < 64 { 23 } else { 51 });
/// Whether there may be readers that execute no fences. Not if swap counts soon wrap around: the swap that the
/// slot of a reader without fences names may be from long ago.
const MAY_BE_LIGHT: bool = MAY_BE_ASYMMETRIC && SideState::IS_UNIQUE;

/// The number of the read side, and of swaps so far. A reader's copy also says whether the reader executes fences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SideState(usize);

impl SideState {
    /// A state that does not occur before swap counts wrap around, which takes too long on a 64-bit machine.
    pub(crate) const NEVER: Self = Self(SWAPS);

    /// Whether equal states are the same one. Not if swap counts soon wrap around.
    pub(crate) const IS_UNIQUE: bool = usize::BITS >= 64 && !cfg!(hedgerow_swaps_wrap);

    #[inline(always)]
    pub(crate) fn read_index(self) -> usize {
        (self.0 / SWAP) & 1
    }

    pub(crate) fn write_index(self) -> usize {
        self.read_index() ^ 1
    }

    /// Returns the number of swaps so far, or `None` if the count soon wraps around.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models count no publishes.
    #[inline(always)]
    pub(crate) fn swaps(self) -> Option<u64> {
        Self::IS_UNIQUE.then_some(((self.0 & SWAPS) / SWAP) as u64)
    }
}

/// Returns a slot's word after `reads` of its read sections have ended.
#[inline(always)]
fn word_after(word: usize, reads: usize) -> usize {
    let counts = !SideState::IS_UNIQUE && word & DEPTH == reads;
    (word - reads).wrapping_add(if counts { SWAP } else { 0 })
}

/// A swap after which readers may still be in the new write side.
pub(crate) struct PendingSwap {
    /// The state since the swap.
    state: usize,
    /// The writer has executed a fence since the swap.
    fenced: bool,
    /// The system's barrier is done, or all readers execute fences: a reader that is idle now will see the swap.
    barrier_done: bool,
    /// The system refused its barrier: a reader of unknown status is in the way.
    barrier_refused: bool,
}

/// The status of a reader, as far as its slot tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReaderStatus {
    /// The owner will not be in the write side.
    Done,
    /// The owner may be in the write side.
    Reading,
    /// The owner is idle, but its next read section may have begun without the writer seeing it.
    Unknown,
}

impl PendingSwap {
    /// Stands for no swap. All of it is zero.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Fixed tables use it.
    pub(crate) const NONE: Self =
        Self { state: 0, fenced: false, barrier_done: false, barrier_refused: false };

    fn of(&self, slot: &ReaderSlot) -> ReaderStatus {
        // [LR-4] acquire: pairs with the stores of read sections, so all reads of that reader come before our changes.
        let word = slot.word.load(Ordering::Acquire);
        if SideState::IS_UNIQUE && word & SWAPS == self.state {
            return ReaderStatus::Done;
        }
        if word & DEPTH != 0 {
            // Without unique states the owner is in the way only if this is the read section that `note` found.
            let goes_on = SideState::IS_UNIQUE || slot.writer_note.load() == word | DEPTH;
            return if goes_on { ReaderStatus::Reading } else { ReaderStatus::Done };
        }
        // [LR-5] loaded after the word. acquire: pairs with `end_all_reads`, since the slot may have changed hands.
        let fences = self.barrier_done || slot.fencing.load(Ordering::Acquire) == FENCING;
        if fences { ReaderStatus::Done } else { ReaderStatus::Unknown }
    }

    /// Executes a fence, once a swap. It comes before the slots are looked at and not with the swap: the store of the
    /// state takes as long as a reader's core takes to give up the line, and the writer can go on in the meantime.
    #[inline(always)]
    fn fence(&mut self) {
        if !self.fenced {
            // [LR-2] pairs with [LR-1] of readers that execute fences: we see their read sections, and the slots that
            // new readers have claimed, or they see the swap.
            atomic::fence(Ordering::SeqCst);
            self.fenced = true;
        }
    }

    /// Notes the read sections that are open right after the swap. The writer waits for these alone: a slot whose word
    /// tells of another read section, or of none, is done.
    fn note<'a>(slots: impl Iterator<Item = &'a ReaderSlot>) {
        for slot in slots {
            // [LR-4] acquire: pairs with the stores of read sections.
            let word = slot.word.load(Ordering::Acquire);
            let awaited = if word & DEPTH == 0 { 0 } else { word | DEPTH };
            slot.writer_note.store(awaited);
        }
    }
}

pub(crate) struct Sides {
    state: CachePadded<AtomicUsize>,
    pub(super) barrier: Barrier,
    /// The steps of readers and of the writer, in a model of a user's program.
    pub(crate) scheduled: Scheduled,
}

impl Sides {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                state: CachePadded::new(AtomicUsize::new(0)),
                barrier: Barrier::new(),
                scheduled: Scheduled::new(),
            }
        }
    }

    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn with_barrier(barrier: Barrier) -> Self {
        Self { barrier, ..Self::new() }
    }

    /// Begins a read section of the owner of `slot`, and returns the state that names its read side. `known` is the
    /// state that the owner's last outermost read section returned. Read sections may be nested; the caller must not
    /// use what a nested one returns as `known` ([`is_outermost_read`](Self::is_outermost_read)). Wait-free.
    #[inline(always)]
    pub(crate) fn begin_read(&self, slot: &ReaderSlot, known: SideState) -> SideState {
        let _operation = self.scheduled.operation();
        // relaxed: only the owner stores to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        if word & DEPTH != 0 {
            return self.begin_nested_read(slot);
        }
        debug_assert!(
            known == SideState::NEVER || !SideState::IS_UNIQUE || (word ^ known.0) & SWAPS == 0,
            "the slot does not tell what its owner knows"
        );
        // [LR-1] release: pairs with the acquire load of [LR-4], so the last read section comes before, even if the
        // writer never sees the store that ended it.
        slot.word.store(if SideState::IS_UNIQUE { known.0 } else { word } + 1, Ordering::Release);
        #[cfg(all(test, hedgerow_loom))]
        self.barrier.point();
        if MAY_BE_LIGHT {
            // [LR-1] for the compiler alone: pairs with [LR-2], the system's barrier. A reader that executes fences
            // does so in `begin_read_slow`.
            crate::facade::compiler_fence(Ordering::SeqCst);
        } else {
            // [LR-1] pairs with [LR-2]: the writer sees the read section, or the load below sees the swap.
            atomic::fence(Ordering::SeqCst);
        }
        // [LR-3] acquire: pairs with the store of `swap`, so the side is seen whole.
        let state = self.state.load(Ordering::Acquire);
        if state == known.0 { known } else { self.begin_read_slow(slot, state) }
    }

    /// Begins a read section that found another state than the owner knew, or whose owner executes fences.
    #[inline(never)]
    fn begin_read_slow(&self, slot: &ReaderSlot, mut state: usize) -> SideState {
        let mut fences = 0;
        if MAY_BE_LIGHT {
            #[cfg(all(test, hedgerow_loom))]
            self.barrier.point();
            // [LR-5] relaxed: a request from before a barrier is seen by read sections after it.
            let fencing = slot.fencing.load(Ordering::Relaxed);
            if fencing != LIGHT {
                // [LR-1] pairs with [LR-2]: the writer sees the read section, or the load below sees the swap.
                atomic::fence(Ordering::SeqCst);
                // [LR-3] acquire: pairs with the store of `swap`. Loaded again, because only this load is behind the
                // fence.
                state = self.state.load(Ordering::Acquire);
                let stops = self.has_fenced_enough(slot);
                fences = if stops { 0 } else { FENCES };
                if fencing == ASKED && !self.barrier.is_asymmetric() {
                    let (asked, agreed) = (ASKED, FENCING);
                    // [LR-5] release: pairs with the writer's acquire load, so the writer comes after all read sections
                    // without a fence. The system has refused, so the writer has no other way to know. relaxed if it
                    // fails: the writer has answered.
                    let _ = slot.fencing.compare_exchange(
                        asked,
                        agreed,
                        Ordering::Release,
                        Ordering::Relaxed,
                    );
                }
                if stops {
                    // [LR-5] relaxed: the release store that ends this read section follows. A swap and
                    // no store, so that it follows the writer's answer to the request that this section has read: the
                    // writer must not find that answer after the owner has stopped.
                    slot.fencing.swap(LIGHT, Ordering::Relaxed);
                }
            }
        }
        if SideState::IS_UNIQUE {
            // [LR-4] release: pairs with the writer's acquire load. It tells the writer that this reader saw the swap.
            slot.word.store((state | fences) + 1, Ordering::Release);
        }
        SideState(state | fences)
    }

    /// Returns true if the owner's fences have cost as much as a barrier. So the owner pays at most a few times the
    /// cost of the cheaper way.
    fn has_fenced_enough(&self, slot: &ReaderSlot) -> bool {
        if !self.barrier.is_asymmetric() {
            return false;
        }
        let often = slot.owner_note.load() + 1;
        let enough = often >= self.barrier.cost_in_fences();
        slot.owner_note.store(if enough { 0 } else { often });
        enough
    }

    #[cold]
    fn begin_nested_read(&self, slot: &ReaderSlot) -> SideState {
        // relaxed: only the owner stores to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        assert!(word & DEPTH != DEPTH, "a ReadHandle has too many guards");
        // [LR-4] release: the writer may see this store and not those of the outer read section. It must still come
        // after the read section before.
        slot.word.store(word + 1, Ordering::Release);
        // [LR-3] acquire: pairs with the store of `swap`, so the side is seen whole.
        SideState(self.state.load(Ordering::Acquire))
    }

    /// Returns true if the owner of `slot` is in exactly one read section.
    pub(crate) fn is_outermost_read(slot: &ReaderSlot) -> bool {
        // relaxed: only the owner stores to its slot's word.
        slot.word.load(Ordering::Relaxed) & DEPTH == 1
    }

    /// Ends the latest read section of the owner of `slot`. The caller has begun an operation of `scheduled`,
    /// unless it has read nothing.
    #[inline(always)]
    pub(crate) fn end_read(slot: &ReaderSlot) {
        // relaxed: only the owner stores to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        // [LR-4] release: pairs with the writer's acquire loads, so our reads come before the writer's changes.
        slot.word.store(word_after(word, 1), Ordering::Release);
    }

    /// Ends all read sections of a slot that changes hands. Its last owner may have forgotten guards.
    pub(crate) fn end_all_reads(slot: &ReaderSlot) {
        // relaxed: only the owner stores to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        // [LR-4] release: pairs with the writer's acquire loads, so our reads come before the writer's changes.
        slot.word.store(word_after(word, word & DEPTH), Ordering::Release);
        // [LR-5] release: pairs with the writer's acquire load, which comes after all read sections without a fence.
        // The next owner knows no state, so its first read section loads this.
        slot.fencing.store(FENCING, Ordering::Release);
    }

    /// Returns the state, for the writer, which alone changes it.
    #[inline(always)]
    pub(crate) fn state(&self) -> SideState {
        // relaxed: the last swap was this writer's, or came before the claim that it took over [SE-2].
        SideState(self.state.load(Ordering::Relaxed))
    }

    /// Swaps the sides. Only one writer at a time may call this, and only when the last swap is over. `slots` are all
    /// slots that exist.
    pub(crate) fn swap<'a>(&self, slots: impl Iterator<Item = &'a ReaderSlot>) -> PendingSwap {
        let _operation = self.scheduled.operation();
        let state = self.state().0.wrapping_add(SWAP) & SWAPS;
        // [LR-2] [LR-3] release: pairs with the acquire loads of read sections, which see the new read side whole.
        self.state.store(state, Ordering::Release);
        let (barrier_done, barrier_refused) = (!MAY_BE_LIGHT, false);
        let mut swap = PendingSwap { state, fenced: false, barrier_done, barrier_refused };
        // If swap counts soon wrap around, slots do not tell which swap their owners saw.
        if !SideState::IS_UNIQUE {
            swap.fence();
            PendingSwap::note(slots);
        }
        swap
    }

    /// Returns true if no reader can be in the new write side any more. If a slot does not tell, and `ask_system` is
    /// set, this asks the operating system for a barrier. `slots` returns all slots that exist.
    pub(crate) fn is_over<'a, I: Iterator<Item = &'a ReaderSlot>>(
        &self,
        swap: &mut PendingSwap,
        slots: impl Fn() -> I,
        ask_system: bool,
    ) -> bool {
        let _operation = self.scheduled.operation();
        swap.fence();
        let mut reading = false;
        let mut in_doubt = false;
        for slot in slots() {
            match swap.of(slot) {
                ReaderStatus::Done => {}
                ReaderStatus::Reading => reading = true,
                ReaderStatus::Unknown => in_doubt = true,
            }
        }
        // The barrier interrupts every core of the process, so it comes only after the cheap answers.
        if !in_doubt || !ask_system {
            return !in_doubt && !reading;
        }
        self.interrupt_readers(swap, &slots)
            && slots().all(|slot| swap.of(slot) == ReaderStatus::Done)
    }

    /// Executes the system's barrier for the readers whose slots do not tell, and asks those readers to execute fences
    /// in later read sections. Returns false if the system refuses.
    #[cold]
    fn interrupt_readers<'a, I: Iterator<Item = &'a ReaderSlot>>(
        &self,
        swap: &mut PendingSwap,
        slots: &impl Fn() -> I,
    ) -> bool {
        for slot in slots().filter(|slot| swap.of(slot) == ReaderStatus::Unknown) {
            // [LR-5] relaxed: read sections after the barrier see it. A compare-and-swap, because the owner may just
            // have agreed by itself: if the system refuses, no other step restores that, and an owner that does not
            // read again would delay all later swaps.
            let _ =
                slot.fencing.compare_exchange(LIGHT, ASKED, Ordering::Relaxed, Ordering::Relaxed);
        }
        // [LR-2] [LR-5] the heavy barrier: pairs with [LR-1], and with the read sections that come after it.
        swap.barrier_done = self.barrier.interrupt();
        swap.barrier_refused = !swap.barrier_done;
        if swap.barrier_refused {
            // The readers see the request in their next read sections, and agree by themselves.
            return false;
        }
        for slot in slots() {
            // [LR-4] [LR-5] acquire: pairs with the stores of read sections.
            let word = slot.word.load(Ordering::Acquire);
            let agreed = word & DEPTH == 0 && word & SWAPS != swap.state;
            let answer = if agreed { FENCING } else { LIGHT };
            // [LR-5] relaxed: for this writer itself, and for an owner that executes fences until it sees this. A
            // compare-and-swap, because a new owner may have changed the word since.
            let _ =
                slot.fencing.compare_exchange(ASKED, answer, Ordering::Relaxed, Ordering::Relaxed);
        }
        true
    }

    /// Returns the slots whose owners may be in the new write side, and the slots that tell nothing until their owners
    /// read again.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models call `is_over`.
    pub(crate) fn stalled<'a>(
        swap: &PendingSwap,
        slots: impl Iterator<Item = &'a ReaderSlot>,
    ) -> impl Iterator<Item = &'a ReaderSlot> {
        // [LR-2] pairs with [LR-1], as in `PendingSwap::fence`: otherwise a reader that has just begun might be missing
        // from the list.
        atomic::fence(Ordering::SeqCst);
        slots.filter(|slot| match swap.of(slot) {
            ReaderStatus::Reading => true,
            ReaderStatus::Unknown => swap.barrier_refused,
            ReaderStatus::Done => false,
        })
    }
}
