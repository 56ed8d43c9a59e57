//! Two sides that take turns: readers look at the one, while the writer changes the other.
//!
//! A reader says in its slot that it looks, and then asks which side is shown ([`Sides::look`]); when it is
//! done it says so ([`Sides::end_read`]). It waits for nobody. The writer changes the side that is hidden,
//! has the sides change places ([`Sides::turn`]), and may touch the one that is hidden now when nobody can be
//! looking at it any more ([`Sides::is_over`]). (Left-right, by Ramalhete and Correia; readers' counters in slots
//! of their own as in Gjengset's crate `left-right`; what slots tell of turns and of fences is ours.)
//!
//! What a slot says stays there when its owner looks away: the last turn that the owner knew of. Three things tell the
//! writer that a reader who is not looking will not look at the hidden side either, the cheapest first:
//! - The reader knew of the turn. A busy one soon does.
//! - It executes a fence in each look. So do all where no barrier is asymmetric ([`barrier`](super::barrier)), and
//!   those who have agreed to.
//! - The operating system had all threads execute a barrier since the turn. That takes from a quarter of a microsecond
//!   to, on some virtual machines, a quarter of a millisecond; so whom it had to be done for is asked to fence in the
//!   looks to come. A reader who has fenced as often as a barrier is worth stops.
//!
//! # Synchronization
//! - `[LR-1]` a look's store to its slot, then a light barrier ([AB-1]) or a fence of its own, then its load of the
//!   state ↔ `[LR-2]` a turn's store to the state, then a fence, or a heavy barrier ([AB-2]), then loads of the slots:
//!   either the writer sees the look, or the look sees the turn; by the fence of those who fence, by the heavy barrier
//!   of everybody. The store to the slot is a release for the sake of `[LR-4]`: what was there before it may never be
//!   seen.
//! - `[LR-3]` release store of the state ↔ a look's acquire load of it: the look sees its side whole.
//! - `[LR-4]` release store when a reader looks away, or says which turn it knows of ↔ acquire load by whoever waits:
//!   what the reader did comes before what is done to the side afterwards. And who has loaded a turn from the state
//!   loads it, or a later one, ever after (coherence).
//! - `[LR-5]` who fences. The writer asks, has the heavy barrier done, and only where the slot *then* tells of nobody
//!   who looks, or knows of the turn, is it agreed: the owner's next look comes after the barrier, finds another state
//!   than it knows, and so reads that it was asked. To end it is the owner's business, between a fence of its own and
//!   the store with which it looks away: a writer that loads the slot's word, and then that its owner fences, has
//!   loaded the word of a look that fenced, and the next one fences too. Of a slot that changes hands the next owner
//!   fences: a release store says so ↔ the writer's acquire load comes after the last owner's looks. Where the system
//!   has come to refuse its barrier, the owner itself agrees, after a fence, when it finds that it was asked, and never
//!   stops: the same pair.

use crate::facade::atomic::{self, AtomicUsize, Ordering};
use crate::sync::barrier::{Barrier, MAY_BE_ASYMMETRIC};
use crate::sync::cache::CachePadded;
use crate::sync::slot::{ASKED, FENCING, LIGHT, Slot};

// The state and the slots' words are of one make. Lowest, in a slot, how many looks there are now, within each
// other; the state has none. Then the number of turns, of a slot those that its owner knew of; odd is the second side.
// Where turns are soon counted round, a slot's is the number of looks, so that none is taken for another one.
const DEPTH_BITS: u32 = if usize::BITS < 64 { 8 } else { 12 };
const DEPTH: usize = (1 << DEPTH_BITS) - 1;
const SWAP: usize = 1 << DEPTH_BITS;
/// In what a reader knows: it fences. The state has it never, so that such a reader does not take it for known.
const FENCES: usize = 1 << (usize::BITS - 1);
const SWAPS: usize = !FENCES & !DEPTH;
// `docs::limits` names these numbers.
const _: () = assert!(SWAPS.count_ones() == if usize::BITS < 64 { 23 } else { 51 });
/// Whether there are readers who do not fence: what slots tell of turns has to be told apart from what they told long
/// ago.
const MAY_BE_LIGHT: bool = MAY_BE_ASYMMETRIC && SideState::IS_UNIQUE;

/// What was shown at a moment: which side, after how many turns; to a reader, also whether it fences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SideState(usize);

impl SideState {
    /// What is not shown until turns have been counted round, which takes a machine of 64 bits too long.
    pub(crate) const NEVER: Self = Self(SWAPS);

    /// Whether an equal one is the same: not where turns are soon counted round.
    pub(crate) const IS_UNIQUE: bool = usize::BITS >= 64 && !cfg!(hedgerow_swaps_wrap);

    #[inline(always)]
    pub(crate) fn read_index(self) -> usize {
        (self.0 / SWAP) & 1
    }

    pub(crate) fn write_index(self) -> usize {
        self.read_index() ^ 1
    }
}

/// What a slot tells when `looks` of those that it tells of have ended.
#[inline(always)]
fn word_after(word: usize, looks: usize) -> usize {
    let counts = !SideState::IS_UNIQUE && word & DEPTH == looks;
    (word - looks).wrapping_add(if counts { SWAP } else { 0 })
}

/// A turn whose hidden side may still be looked at.
pub(crate) struct PendingSwap {
    /// What is shown since.
    state: usize,
    /// The system's barrier is done, or all readers fence: a reader that is not looking now will see the turn.
    barrier_done: bool,
    /// The system refused its barrier: a reader that tells nothing is in the way.
    barrier_refused: bool,
}

/// What a slot tells of its owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReaderStatus {
    /// It will not look at the hidden side any more.
    Done,
    /// It may be looking at it.
    Reading,
    /// It is not looking, but its next look may have begun.
    Unknown,
}

impl PendingSwap {
    /// Stands where there was no turn. All of it is zero.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Fixed tables use it.
    pub(crate) const NONE: Self = Self { state: 0, barrier_done: false, barrier_refused: false };

    fn of(&self, slot: &Slot) -> ReaderStatus {
        // [LR-4] acquire: pairs with the stores of looks.
        let word = slot.word.load(Ordering::Acquire);
        if SideState::IS_UNIQUE && word & SWAPS == self.state {
            return ReaderStatus::Done;
        }
        if word & DEPTH != 0 {
            // relaxed: the writer's own note.
            let goes_on =
                SideState::IS_UNIQUE || slot.awaited.load(Ordering::Relaxed) == word | DEPTH;
            return if goes_on { ReaderStatus::Reading } else { ReaderStatus::Done };
        }
        // [LR-5] loaded after the word; acquire: pairs with `end_all_reads`, whose owner may have looked since.
        let fences = self.barrier_done || slot.fencing.load(Ordering::Acquire) == FENCING;
        if fences { ReaderStatus::Done } else { ReaderStatus::Unknown }
    }

    /// Notes who is looking, right after the turn: whoever begins later is none of those to be waited for. They are
    /// done when their slots tell of another look, or none.
    fn note<'a>(slots: impl Iterator<Item = &'a Slot>) {
        for slot in slots {
            // [LR-4] acquire: pairs with the stores of looks.
            let word = slot.word.load(Ordering::Acquire);
            let awaited = if word & DEPTH == 0 { 0 } else { word | DEPTH };
            // relaxed: the writer's own note.
            slot.awaited.store(awaited, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Sides {
    state: CachePadded<AtomicUsize>,
    pub(super) barrier: Barrier,
}

impl Sides {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self { state: CachePadded::new(AtomicUsize::new(0)), barrier: Barrier::new() }
        }
    }

    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn with_barrier(barrier: Barrier) -> Self {
        Self { barrier, ..Self::new() }
    }

    /// Says in the caller's own slot that it looks, and tells what is shown; `known` is what it was told
    /// before. Looks may lie within each other. What one that does is told, the caller must not take for `known`
    /// afterwards ([`is_outermost_read`](Self::is_outermost_read)). Wait-free.
    #[inline(always)]
    pub(crate) fn begin_read(&self, slot: &Slot, known: SideState) -> SideState {
        // relaxed: only the owner writes to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        if word & DEPTH != 0 {
            return self.begin_nested_read(slot);
        }
        debug_assert!(
            known == SideState::NEVER || !SideState::IS_UNIQUE || (word ^ known.0) & SWAPS == 0,
            "the slot does not tell what its owner knows"
        );
        // [LR-1] release: pairs with [LR-4]'s acquire load, for the look before.
        slot.word.store(if SideState::IS_UNIQUE { known.0 } else { word } + 1, Ordering::Release);
        #[cfg(all(test, hedgerow_loom))]
        self.barrier.point();
        if MAY_BE_LIGHT {
            // [LR-1] the compiler's part: pairs with [LR-2]; whoever fences does so below.
            crate::facade::compiler_fence(Ordering::SeqCst);
        } else {
            // [LR-1] pairs with [LR-2].
            atomic::fence(Ordering::SeqCst);
        }
        // [LR-3] acquire: pairs with the store of `turn`.
        let state = self.state.load(Ordering::Acquire);
        if state == known.0 { known } else { self.begin_read_slow(slot, state) }
    }

    /// The state is not the one that is known, or the reader fences.
    #[inline(never)]
    fn begin_read_slow(&self, slot: &Slot, mut state: usize) -> SideState {
        let mut fences = 0;
        if MAY_BE_LIGHT {
            #[cfg(all(test, hedgerow_loom))]
            self.barrier.point();
            // [LR-5] relaxed: what was asked before a barrier is found in a look after it.
            let fencing = slot.fencing.load(Ordering::Relaxed);
            if fencing != LIGHT {
                // [LR-1] pairs with [LR-2].
                atomic::fence(Ordering::SeqCst);
                // [LR-3] acquire: pairs with the store of `turn`.
                state = self.state.load(Ordering::Acquire);
                let ends = self.has_fenced_enough(slot);
                fences = if ends { 0 } else { FENCES };
                if fencing == ASKED && !self.barrier.is_asymmetric() {
                    let (asked, agreed) = (ASKED, FENCING);
                    // [LR-5] release: pairs with the acquire load of the writer that waits, so the writer comes after
                    // all looks that did not fence. It has no other way to know; relaxed where it has had one.
                    let _ = slot.fencing.compare_exchange(
                        asked,
                        agreed,
                        Ordering::Release,
                        Ordering::Relaxed,
                    );
                }
                if ends {
                    // [LR-5] relaxed: goes before the release store with which this look ends. A swap, so that it comes
                    // after an answer to what this look has read: the writer must not take that for newer.
                    slot.fencing.swap(LIGHT, Ordering::Relaxed);
                }
            }
        }
        if SideState::IS_UNIQUE {
            // [LR-4] release: pairs with the acquire load of whoever waits.
            slot.word.store((state | fences) + 1, Ordering::Release);
        }
        SideState(state | fences)
    }

    /// Whatever comes next, no more than a few times the cheaper way was paid by then.
    fn has_fenced_enough(&self, slot: &Slot) -> bool {
        if !self.barrier.is_asymmetric() {
            return false;
        }
        // relaxed: the owner's own note.
        let often = slot.note.load(Ordering::Relaxed) + 1;
        let enough = often >= self.barrier.cost_in_fences();
        // relaxed: as above.
        slot.note.store(if enough { 0 } else { often }, Ordering::Relaxed);
        enough
    }

    #[cold]
    fn begin_nested_read(&self, slot: &Slot) -> SideState {
        // relaxed: only the owner writes to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        assert!(word & DEPTH != DEPTH, "more guards than can be shared");
        // [LR-4] release: of this look and the one outside the waiter may see this store alone, and has to come
        // after the look before.
        slot.word.store(word + 1, Ordering::Release);
        // [LR-3] acquire: pairs with the store of `turn`.
        SideState(self.state.load(Ordering::Acquire))
    }

    /// Whether the owner of `slot`, who looks, does so within no other look.
    pub(crate) fn is_outermost_read(slot: &Slot) -> bool {
        // relaxed: only the owner writes to its slot's word.
        slot.word.load(Ordering::Relaxed) & DEPTH == 1
    }

    /// The owner of `slot` looks away, from its latest look.
    #[inline(always)]
    pub(crate) fn end_read(slot: &Slot) {
        // relaxed: only the owner writes to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        // [LR-4] release: pairs with the acquire loads of whoever waits.
        slot.word.store(word_after(word, 1), Ordering::Release);
    }

    /// Has a slot that changes hands look away from all that its last owner has not.
    pub(crate) fn end_all_reads(slot: &Slot) {
        // relaxed: only the owner writes to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        // [LR-4] release: pairs with the acquire loads of whoever waits.
        slot.word.store(word_after(word, word & DEPTH), Ordering::Release);
        // [LR-5] release: pairs with the acquire load of whoever waits, who comes after all looks that did not fence.
        // The next owner knows of no turn, and so finds it.
        slot.fencing.store(FENCING, Ordering::Release);
    }

    /// What is shown, for the writer, who alone turns.
    #[inline(always)]
    pub(crate) fn state(&self) -> SideState {
        // relaxed: the writer's own last turn, or one that whoever handed the writing over has made.
        SideState(self.state.load(Ordering::Relaxed))
    }

    /// The sides change places; of one writer at a time, and only when the last turn is over. `slots` are all there
    /// are.
    pub(crate) fn swap<'a>(&self, slots: impl Iterator<Item = &'a Slot>) -> PendingSwap {
        let state = self.state().0.wrapping_add(SWAP) & SWAPS;
        // [LR-2] [LR-3] release: pairs with the acquire loads of looks.
        self.state.store(state, Ordering::Release);
        // [LR-2] pairs with [LR-1].
        atomic::fence(Ordering::SeqCst);
        // Where turns are soon counted round, slots do not tell of them.
        if !SideState::IS_UNIQUE {
            PendingSwap::note(slots);
        }
        PendingSwap { state, barrier_done: !MAY_BE_LIGHT, barrier_refused: false }
    }

    /// Whether nobody can be looking any more at what `turning` has hidden. Where a reader's slot tells nothing of it,
    /// the operating system is asked if `ask_system`. `slots` are all there are.
    pub(crate) fn is_over<'a, I: Iterator<Item = &'a Slot>>(
        &self,
        swap: &mut PendingSwap,
        slots: impl Fn() -> I,
        ask_system: bool,
    ) -> bool {
        let mut looks = false;
        let mut in_doubt = false;
        for slot in slots() {
            match swap.of(slot) {
                ReaderStatus::Done => {}
                ReaderStatus::Reading => looks = true,
                ReaderStatus::Unknown => in_doubt = true,
            }
        }
        if !in_doubt || !ask_system {
            return !in_doubt && !looks;
        }
        self.interrupt_readers(swap, &slots)
            && slots().all(|slot| swap.of(slot) == ReaderStatus::Done)
    }

    /// Has the system do its barrier, for those whose slots tell nothing, and asks them to fence in the looks to come.
    /// False where the system refused.
    #[cold]
    fn interrupt_readers<'a, I: Iterator<Item = &'a Slot>>(
        &self,
        swap: &mut PendingSwap,
        slots: &impl Fn() -> I,
    ) -> bool {
        for slot in slots().filter(|slot| swap.of(slot) == ReaderStatus::Unknown) {
            // [LR-5] relaxed: found after the barrier. By compare-and-swap, which keeps what the owner has agreed to.
            let _ =
                slot.fencing.compare_exchange(LIGHT, ASKED, Ordering::Relaxed, Ordering::Relaxed);
        }
        // [LR-2] [LR-5] pairs with [LR-1], and with the looks that come after it.
        swap.barrier_done = self.barrier.interrupt();
        swap.barrier_refused = !swap.barrier_done;
        if swap.barrier_refused {
            // Readers that look see that they are asked, and agree by themselves.
            return false;
        }
        for slot in slots() {
            // [LR-4] [LR-5] acquire: pairs with the stores of looks.
            let word = slot.word.load(Ordering::Acquire);
            let agreed = word & DEPTH == 0 && word & SWAPS != swap.state;
            let answer = if agreed { FENCING } else { LIGHT };
            // [LR-5] relaxed: told to the writer itself, and to an owner who fences anyway. By compare-and-swap, lest
            // it undo what an owner meant who has changed since.
            let _ =
                slot.fencing.compare_exchange(ASKED, answer, Ordering::Relaxed, Ordering::Relaxed);
        }
        true
    }

    /// The slots whose owners may be looking at what `turning` has hidden, and those of which nothing can be known
    /// until they look again.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models ask whether it is over.
    pub(crate) fn stalled<'a>(
        swap: &PendingSwap,
        slots: impl Iterator<Item = &'a Slot>,
    ) -> impl Iterator<Item = &'a Slot> {
        slots.filter(|slot| match swap.of(slot) {
            ReaderStatus::Reading => true,
            ReaderStatus::Unknown => swap.barrier_refused,
            ReaderStatus::Done => false,
        })
    }
}
