//! A fence: up to 256 leaves that follow each other, found by the ranks that they begin with.
//!
//! What stands here is a hint, changed in place while others search in it. A reader may meet half of a change
//! and come to a neighbour of the right leaf, or to one that has died; the leaf tells it.
//!
//! # Synchronization
//! - `[FN-1]` a writer's release store of a leaf's address ↔ `[FN-2]` a reader's acquire load: who comes to a leaf
//!   finds it allocated, and its state at least as it was when it was listed.
//! - `[FN-3]` a fence's lock: who holds it finds ranks, leaves and count to be of one piece.
//!
//! Ranks and count are relaxed: any old one will do, since they are hints.

use super::load::{Tally, Trace};
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::{Guard, Lock};
use core::hint::select_unpredictable;
use core::ptr;

/// The most leaves in a fence.
pub(crate) const FANOUT: usize = if cfg!(hedgerow_loom) { 4 } else { 256 };

#[repr(C, align(64))]
pub(crate) struct Fence {
    /// Of the first key of each leaf's range; beyond `count` whatever was there.
    lows: [AtomicUsize; FANOUT],
    leaves: [AtomicPtr<Word>; FANOUT],
    /// What is known of the load of each leaf; moves where the leaf does.
    traces: [AtomicUsize; FANOUT],
    pub(super) tally: Tally,
    /// Never 0 where a route leads here.
    count: AtomicUsize,
    lock: Lock<()>,
    /// The fence that was allocated before it, or given back before it; under the lock of the route.
    pub(super) older: AtomicPtr<Fence>,
    pub(super) unused: AtomicPtr<Fence>,
}

/// What came of an attempt to list a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Done,
    /// There is no room.
    Full,
    /// The left neighbour is not here.
    Stranger,
}

impl Fence {
    pub(crate) fn new() -> Self {
        Self {
            lows: core::array::from_fn(|_| AtomicUsize::new(usize::MAX)),
            leaves: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            traces: core::array::from_fn(|_| AtomicUsize::new(Trace::NEW.0)),
            tally: Tally::new(),
            count: AtomicUsize::new(0),
            lock: Lock::new(()),
            older: AtomicPtr::new(ptr::null_mut()),
            unused: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        // relaxed: a hint to readers, and under the lock exact [FN-3].
        self.count.load(Ordering::Relaxed)
    }

    /// The last leaf that begins with `rank` or before it, or the first one.
    #[inline(always)]
    pub(crate) fn pick(&self, rank: usize) -> usize {
        let (mut at, mut half) = (0, FANOUT / 2);
        while half > 0 {
            let middle = at + half;
            debug_assert!(middle < FANOUT);
            // SAFETY: the halves add up to less than `FANOUT`, a power of two.
            // relaxed: a hint.
            let low = unsafe { self.lows.get_unchecked(middle) }.load(Ordering::Relaxed);
            // Half of the branches would be mispredicted.
            at = select_unpredictable(low <= rank, middle, at);
            half /= 2;
        }
        at.min(self.count().wrapping_sub(1).min(FANOUT - 1))
    }

    #[inline(always)]
    pub(crate) fn low(&self, at: usize) -> usize {
        // relaxed: a hint to readers, and under the lock exact [FN-3].
        self.lows[at].load(Ordering::Relaxed)
    }

    /// The leaf at `at`; null if there has never been one.
    #[inline(always)]
    pub(crate) fn leaf(&self, at: usize) -> *mut Word {
        debug_assert!(at < FANOUT);
        // SAFETY: `at < FANOUT`, as `pick` and all others bound it. [FN-2] acquire: pairs with [FN-1].
        unsafe { self.leaves.get_unchecked(at) }.load(Ordering::Acquire)
    }

    pub(super) fn trace(&self, at: usize) -> &AtomicUsize {
        &self.traces[at]
    }

    /// Takes the lock, if it is free. Nobody waits for it with a leaf locked.
    pub(crate) fn try_lock(&self) -> Option<Editor<'_>> {
        // [FN-3]
        Some(Editor { fence: self, _guard: self.lock.try_lock()? })
    }

    pub(crate) fn lock(&self) -> Editor<'_> {
        // [FN-3]
        Editor { fence: self, _guard: self.lock.lock() }
    }

    /// Takes the lock, and waits for it where `wait` is true.
    pub(crate) fn edit(&self, wait: bool) -> Option<Editor<'_>> {
        if wait { Some(self.lock()) } else { self.try_lock() }
    }
}

/// The fence, locked.
pub(crate) struct Editor<'a> {
    pub(crate) fence: &'a Fence,
    _guard: Guard<'a, ()>,
}

impl Editor<'_> {
    fn set(&self, at: usize, low: usize, leaf: *mut Word) {
        // [FN-1] release: pairs with [FN-2].
        self.fence.leaves[at].store(leaf, Ordering::Release);
        // relaxed: a hint.
        self.fence.lows[at].store(low, Ordering::Relaxed);
        self.set_trace(at, Trace::NEW);
    }

    /// As `set`, for a leaf that comes from the right: who meets half of it is led too far left, not right.
    fn set_low_first(&self, at: usize, low: usize, leaf: *mut Word) {
        // relaxed: a hint.
        self.fence.lows[at].store(low, Ordering::Relaxed);
        // [FN-1] release: pairs with [FN-2].
        self.fence.leaves[at].store(leaf, Ordering::Release);
    }

    fn set_count(&self, count: usize) {
        // relaxed: a hint.
        self.fence.count.store(count, Ordering::Relaxed);
    }

    fn copy(&self, from: usize, to: usize) {
        self.set(to, self.fence.low(from), self.fence.leaf(from));
        self.set_trace(to, self.trace(from));
    }

    /// Where `leaf` stands, if it does.
    pub(crate) fn position(&self, leaf: *mut Word) -> Option<usize> {
        // The last ones first: keys mostly come in at the end, if not anywhere.
        (0..self.fence.count()).rev().find(|&at| self.fence.leaf(at) == leaf)
    }

    pub(crate) fn push(&self, low: usize, leaf: *mut Word) {
        let count = self.fence.count();
        self.set(count, low, leaf);
        self.set_count(count + 1);
    }

    /// Lists `leaf`, the right neighbour of `left`.
    pub(crate) fn insert_after(&self, left: *mut Word, low: usize, leaf: *mut Word) -> Listing {
        let Some(at) = self.position(left) else { return Listing::Stranger };
        let count = self.fence.count();
        if count == FANOUT {
            return Listing::Full;
        }
        self.set_count(count + 1);
        // From the end: at any moment each leaf stands here once at least.
        for index in (at + 1..count).rev() {
            self.copy(index, index + 1);
        }
        self.set(at + 1, low, leaf);
        Listing::Done
    }

    /// Takes the leaf at `at` out.
    pub(crate) fn remove(&self, at: usize) {
        let count = self.fence.count();
        for index in at + 1..count {
            self.copy(index, index - 1);
        }
        self.set_count(count - 1);
        self.forget(count - 1);
    }

    /// Lists the leaves from `at` on at the end of another fence, too.
    pub(crate) fn move_to(&self, at: usize, fresh: &Self) {
        let count = self.fence.count();
        for index in at..count {
            self.push_to(index, fresh);
        }
    }

    fn push_to(&self, at: usize, other: &Self) {
        other.push(self.fence.low(at), self.fence.leaf(at));
        other.set_trace(other.fence.count() - 1, self.trace(at));
    }

    /// Hands the first `some` leaves, and not all, to the end of the fence to the left. `lead` is told from which
    /// rank on this fence is right, between their being listed there and their not being listed here any more.
    pub(crate) fn give_left(&self, some: usize, left: &Self, lead: impl FnOnce(usize)) {
        let count = self.fence.count();
        for at in 0..some {
            self.push_to(at, left);
        }
        lead(self.fence.low(some));
        for at in some..count {
            self.set_low_first(at - some, self.fence.low(at), self.fence.leaf(at));
            self.set_trace(at - some, self.trace(at));
        }
        self.truncate(count - some);
    }

    /// Hands the last `some` leaves, and not all, to the front of the fence to the right; `lead` as above.
    pub(crate) fn give_right(&self, some: usize, right: &Self, lead: impl FnOnce(usize)) {
        let (count, there) = (self.fence.count(), right.fence.count());
        // From the end, so that at any moment each leaf stands there once at least.
        for at in (0..there).rev() {
            right.copy(at, at + some);
        }
        right.set_count(there + some);
        for at in (0..some).rev() {
            let from = count - some + at;
            right.set(at, self.fence.low(from), self.fence.leaf(from));
            right.set_trace(at, self.trace(from));
        }
        lead(self.fence.low(count - some));
        self.truncate(count - some);
    }

    /// Drops the leaves from `at` on.
    pub(crate) fn truncate(&self, at: usize) {
        let count = self.fence.count();
        self.set_count(at);
        for index in at..count {
            self.forget(index);
        }
    }

    /// Lets no search end beyond the count. The leaf stays, for those who are on their way.
    fn forget(&self, at: usize) {
        // relaxed: a hint.
        self.fence.lows[at].store(usize::MAX, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    fn leaf(number: usize) -> *mut Word {
        ptr::without_provenance_mut(number * 64 + 64)
    }

    #[test]
    fn leaves_are_found_by_rank() {
        let fence = Fence::new();
        let editor = fence.lock();
        editor.push(0, leaf(0));
        assert_eq!(editor.insert_after(leaf(9), 5, leaf(1)), Listing::Stranger);
        for number in (1..FANOUT).rev() {
            assert_eq!(editor.insert_after(leaf(0), number * 10, leaf(number)), Listing::Done);
        }
        assert_eq!(editor.insert_after(leaf(3), 5, leaf(1)), Listing::Full);
        for rank in 0..FANOUT * 10 + 20 {
            assert_eq!(fence.pick(rank), (rank / 10).min(FANOUT - 1));
            assert_eq!(fence.leaf(fence.pick(rank)), leaf((rank / 10).min(FANOUT - 1)));
        }
        assert_eq!(fence.pick(usize::MAX), FANOUT - 1);
        for _ in 1..FANOUT {
            editor.remove(1);
            assert_eq!(
                fence.pick(15),
                usize::from(fence.count() > 1) * usize::from(fence.low(1) <= 15)
            );
        }
        assert_eq!((fence.count(), fence.pick(usize::MAX), fence.leaf(0)), (1, 0, leaf(0)));
    }

    #[test]
    fn half_of_the_leaves_move() {
        let (left, right) = (Fence::new(), Fence::new());
        for number in 0..10 {
            left.lock().push(number, leaf(number));
        }
        left.lock().move_to(6, &right.lock());
        left.lock().truncate(6);
        assert_eq!((left.count(), right.count()), (6, 4));
        assert_eq!((left.pick(8), right.pick(8)), (5, 2));
        assert_eq!(right.leaf(2), leaf(8));
    }

    #[test]
    fn leaves_are_handed_to_either_side() {
        let (left, right) = (Fence::new(), Fence::new());
        let (l, r) = (left.lock(), right.lock());
        for number in 0..10 {
            let (fence, at) = if number < 6 { (&l, number) } else { (&r, number - 6) };
            fence.push(number, leaf(number));
            fence.set_trace(at, Trace::NEW.after(7, number));
        }
        let mut low = 6;
        let check = |low: usize| {
            assert_eq!((left.count(), right.count()), (low, 10 - low), "each leaf is listed once");
            for number in 0..10 {
                let (fence, first) = if number < low { (&left, 0) } else { (&right, low) };
                let at = fence.pick(number);
                assert_eq!((at, fence.leaf(at)), (number - first, leaf(number)));
                assert!(fence.lock.try_lock().is_none(), "locked all along");
                assert_eq!(if number < low { l.trace(at) } else { r.trace(at) }.heat(), number);
            }
            assert_eq!(left.pick(usize::MAX), low - 1);
            assert_eq!(right.pick(usize::MAX), 9 - low);
        };
        check(low);
        l.give_right(5, &r, |rank| low = rank);
        check(low);
        assert_eq!(low, 1);
        r.give_left(3, &l, |rank| low = rank);
        check(low);
        assert_eq!(low, 4);
    }
}
