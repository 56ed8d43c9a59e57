//! Two sides that take turns: readers look at the one, while the writer changes the other.
//!
//! A reader says in its slot that it looks, and then asks which side is shown ([`Sides::look`]); when it is
//! done it says so ([`Sides::look_away`]). It waits for nobody. The writer changes the side that is hidden,
//! has the sides change places ([`Sides::turn`]), and may touch the one that is hidden now when everybody
//! who may be looking at it has looked away ([`Sides::is_over`]). (Left-right, by Ramalhete and Correia;
//! readers' counters in slots of their own as in Gjengset's crate `left-right`; the fence that can be
//! switched off is ours.)
//!
//! Where the operating system can have all threads execute a barrier ([`barrier`](super::barrier)), a look executes
//! neither a fence nor a locked instruction, so long as the next turn will ask the system. After a turn the state's
//! `FENCE` bit is set: readers fence, and the next turn need not ask. A reader that has fenced many times takes
//! the bit away.
//!
//! # Synchronization
//! - `[LR-1]` a look's store to its slot, then a light barrier ([AB-1], or a fence where the state asks for
//!   one), then its load of the state ↔ `[LR-2]` a turn's swap of the state, then a heavy barrier ([AB-2], or a
//!   fence where the state *before* asked readers for one), then its loads of the slots: the turn sees the
//!   look, or the look sees the turn. The store is a release for the sake of `[LR-4]`: the idle value before
//!   it may never be seen.
//! - `[LR-3]` release half of the swap ↔ a look's acquire load of the state: the look sees its side whole.
//! - `[LR-4]` release store when a reader looks away ↔ acquire load by whoever waits: what the reader did
//!   comes before what is done to the side afterwards.
//! - `[LR-5]` a reader that takes `FENCE` away does so by compare-and-swap, the turn reads the state it
//!   replaces by a swap: none has looked without a fence of whom the turn does not know.

use crate::facade::atomic::{self, AtomicUsize, Ordering};
use crate::sync::barrier::{Barrier, MAY_BE_ASYMMETRIC};
use crate::sync::cache::CachePadded;
use crate::sync::slot::Slot;

// The state and the slots' words are of one make. Lowest, in a slot, how many looks there are now, within each
// other; 0 is no look, and the state has none. Then the number of turns, of a slot those that its owner knew of when
// it began to look; odd is the second side.
const DEPTH_BITS: u32 = if usize::BITS < 64 { 8 } else { 12 };
const DEPTH: usize = (1 << DEPTH_BITS) - 1;
const TURN: usize = 1 << DEPTH_BITS;
/// In the state: readers have to fence. Never set where no barrier is asymmetric: there all readers fence anyway.
const FENCE: usize = 1 << (usize::BITS - 1);
/// What a turn sets.
const FENCE_IF_ANY: usize = if MAY_BE_ASYMMETRIC { FENCE } else { 0 };

/// What was shown at a moment: which side, after how many turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shown(usize);

impl Shown {
    /// What is not shown until turns have been counted round, which takes a machine of 64 bits too long.
    pub(crate) const NEVER: Self = Self(!FENCE & !DEPTH);

    /// Whether an equal one is the same: not where turns are soon counted round.
    #[cfg_attr(any(hedgerow_loom, not(feature = "alloc")), allow(dead_code))] // For those who keep a view.
    pub(crate) const TELLS: bool = usize::BITS >= 64;

    #[inline(always)]
    pub(crate) fn side(self) -> usize {
        (self.0 / TURN) & 1
    }

    pub(crate) fn hidden(self) -> usize {
        self.side() ^ 1
    }
}

/// A turn whose hidden side may still be looked at.
pub(crate) struct Turning {
    /// Readers of the state before had fences of their own.
    by_fence: bool,
    /// The barrier is done, and who was looking then is noted in the slots.
    noted: bool,
}

pub(crate) struct Sides {
    state: CachePadded<AtomicUsize>,
    pub(super) barrier: Barrier,
}

impl Sides {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                state: CachePadded(AtomicUsize::new(FENCE_IF_ANY)),
                barrier: Barrier::new(),
            }
        }
    }

    #[cfg(all(test, hedgerow_loom))]
    pub(crate) fn with_barrier(barrier: Barrier) -> Self {
        Self { barrier, ..Self::new() }
    }

    /// Says in the caller's own slot that it looks, and tells what is shown; `known` is what it was told
    /// before. Looks may lie within each other; those within do not count. Wait-free.
    ///
    /// The slot's word says no more than what the reader knew: two looks in a row may look like one, so that a
    /// writer waits for both, but from the third on the reader knows of the turn. That spares readers a counter,
    /// each step of which would wait for the last.
    #[inline(always)]
    pub(crate) fn look(&self, slot: &Slot, known: Shown) -> Shown {
        // relaxed: only the owner writes to its slot's word.
        if slot.word.load(Ordering::Relaxed) != 0 {
            return self.look_within(slot);
        }
        // [LR-1] release: pairs with [LR-4]'s acquire load, for the look before.
        slot.word.store(known.0 + 1, Ordering::Release);
        #[cfg(all(test, hedgerow_loom))]
        self.barrier.point();
        if MAY_BE_ASYMMETRIC {
            // [LR-1] the compiler's part: pairs with [LR-2]; whoever needs a fence finds `FENCE` below.
            crate::facade::compiler_fence(Ordering::SeqCst);
        } else {
            // [LR-1] pairs with [LR-2].
            atomic::fence(Ordering::SeqCst);
        }
        // [LR-3] acquire: pairs with the swap of `turn`.
        let state = self.state.load(Ordering::Acquire);
        if state == known.0 { known } else { self.look_closer(slot, known, state) }
    }

    /// The state is not the one that is known, or asks for a fence.
    #[inline(never)]
    fn look_closer(&self, slot: &Slot, known: Shown, state: usize) -> Shown {
        if state & FENCE == 0 {
            return Shown(state);
        }
        // [LR-1] pairs with [LR-2].
        atomic::fence(Ordering::SeqCst);
        // [LR-3] acquire: pairs with the swap of `turn`.
        let state = self.state.load(Ordering::Acquire);
        if self.barrier.is_asymmetric() && state & FENCE != 0 {
            // Since the last turn that this reader knows of.
            let is_new = Shown(state & !FENCE) != known;
            // relaxed: the owner's own note.
            let often = if is_new { 1 } else { slot.note.load(Ordering::Relaxed) + 1 };
            // Whatever comes next, no more than a few times the cheaper way is paid then.
            let enough = often >= self.barrier.worth();
            // relaxed: as above.
            slot.note.store(if enough { 0 } else { often }, Ordering::Relaxed);
            if enough {
                // [LR-5] relaxed: the turn's swap reads it, and it goes on the release sequence of the swap
                // before ([LR-3]). One attempt: whoever came first has done it, or turned.
                let (with, without) = (state, state & !FENCE);
                let _ = self.state.compare_exchange(
                    with,
                    without,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
        Shown(state & !FENCE)
    }

    #[cold]
    fn look_within(&self, slot: &Slot) -> Shown {
        // relaxed: only the owner writes to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        assert!(word & DEPTH != DEPTH, "more guards than can be counted");
        // [LR-4] release: of this look and the one outside the waiter may see this store alone, and has to come
        // after the look before.
        slot.word.store(word + 1, Ordering::Release);
        // [LR-3] acquire: pairs with the swap of `turn`.
        Shown(self.state.load(Ordering::Acquire) & !FENCE)
    }

    /// The owner of `slot` looks away, from its latest look.
    #[inline(always)]
    pub(crate) fn look_away(slot: &Slot) {
        // relaxed: only the owner writes to its slot's word.
        let word = slot.word.load(Ordering::Relaxed);
        if word & DEPTH == 1 {
            // [LR-4] release: pairs with the acquire loads of `is_over`.
            slot.word.store(0, Ordering::Release);
        } else {
            // [LR-4] release: as in `look_within`.
            slot.word.store(word - 1, Ordering::Release);
        }
    }

    /// Has a slot that changes hands look away from all that its last owner has not.
    pub(crate) fn look_away_for_good(slot: &Slot) {
        // [LR-4] release: pairs with the acquire loads of `is_over`.
        slot.word.store(0, Ordering::Release);
    }

    /// What is shown, for the writer, who alone turns.
    #[inline(always)]
    pub(crate) fn shown(&self) -> Shown {
        // relaxed: the writer's own last turn, or one that whoever handed the writing over has made.
        Shown(self.state.load(Ordering::Relaxed) & !FENCE)
    }

    /// The sides change places; of one writer at a time, and only when the last turn is over. Readers fence from
    /// now on, until one of them has done so often.
    pub(crate) fn turn(&self) -> Turning {
        // relaxed: only the writer changes what is told apart here.
        let turned = self.state.load(Ordering::Relaxed).wrapping_add(TURN);
        let next = turned & !FENCE | FENCE_IF_ANY;
        // [LR-2] [LR-3] release: pairs with the acquire loads of looks. [LR-5] a swap.
        let last = self.state.swap(next, Ordering::Release);
        Turning { by_fence: last & FENCE != 0, noted: false }
    }

    /// Whether nobody can be looking any more at what `turning` has hidden. `slots` are all there are once the
    /// barrier is done.
    pub(crate) fn is_over<'a, I: Iterator<Item = &'a Slot>>(
        &self,
        turning: &mut Turning,
        slots: impl Fn() -> I,
    ) -> bool {
        if !turning.noted {
            if turning.by_fence {
                // [LR-2] pairs with [LR-1].
                self.barrier.fence();
            } else if !self.barrier.heavy() {
                return false;
            }
            let mut looking = 0;
            for slot in slots() {
                // [LR-4] acquire: pairs with `look_away` and the next `look`.
                let word = slot.word.load(Ordering::Acquire);
                // No note is left of the last turn, which is over, and to write one takes the reader's line away.
                if word != 0 {
                    // relaxed: the writer's own note.
                    slot.awaited.store(word | DEPTH, Ordering::Relaxed);
                    looking += 1;
                }
            }
            turning.noted = true;
            if looking == 0 {
                return true;
            }
        }
        Self::awaited(slots()).next().is_none()
    }

    /// The slots whose owners have not looked away since they were noted.
    pub(crate) fn awaited<'a>(
        slots: impl Iterator<Item = &'a Slot>,
    ) -> impl Iterator<Item = &'a Slot> {
        slots.filter(|slot| {
            // relaxed: the writer's own note.
            let awaited = slot.awaited.load(Ordering::Relaxed);
            if awaited == 0 {
                return false;
            }
            // [LR-4] acquire: pairs with `look_away` and the next `look`.
            let word = slot.word.load(Ordering::Acquire);
            let still = word != 0 && word | DEPTH == awaited;
            if !still {
                // relaxed: the writer's own note.
                slot.awaited.store(0, Ordering::Relaxed);
            }
            still
        })
    }
}
