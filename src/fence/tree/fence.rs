//! A fence: an inner node of the tree, which lists up to 256 neighbouring leaves by the rank of their lower bounds.
//!
//! Everything in a fence is a hint, because writers change it in place while lookups search it. A lookup that meets
//! half of a change lands on a neighbour of the right leaf, or on a retired leaf. It notices that by the leaf's bounds.
//!
//! # Synchronization
//! - `[FN-1]` a writer's release store of a leaf's address ↔ `[FN-2]` a lookup's acquire load: a lookup that loads the
//!   address sees the leaf allocated, and sees its state as it was when the leaf was listed, or newer.
//! - `[FN-3]` a fence's lock: its owner sees ranks, leaves and count that belong together.
//!
//! Ranks and the count are relaxed: they are hints, and any earlier value serves as one.

use super::load::{CONFLICT, FenceCounters, LeafLoad};
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::facade::{IN_A_MODEL, Word};
use crate::sync::hint::{Hint, Statistic};
use core::hint::select_unpredictable;
use core::ptr;

/// Capacity of a fence, in leaves.
pub(crate) const FANOUT: usize = if IN_A_MODEL { 4 } else { 256 };

#[repr(C, align(64))]
pub(crate) struct Fence {
    /// The rank of each leaf's lower bound; `usize::MAX` at and above `count`.
    lows: [Hint<AtomicUsize>; FANOUT],
    leaves: [AtomicPtr<Word>; FANOUT],
    /// The [`LeafLoad`] of each leaf, which moves with the leaf.
    leaf_loads: [Statistic<AtomicUsize>; FANOUT],
    pub(crate) counters: FenceCounters,
    /// Never 0 in a fence that the root leads to.
    count: Hint<AtomicUsize>,
    lock: Lock<()>,
    /// The fence that was allocated before this one; guarded by the root's lock.
    pub(super) older: AtomicPtr<Fence>,
    /// The next fence in the root's list of unused ones; guarded by the root's lock.
    pub(super) unused: AtomicPtr<Fence>,
}

/// The outcome of an attempt to list a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Done,
    Full,
    /// The left neighbour is not listed in this fence.
    NotHere,
}

impl Fence {
    pub(crate) fn new() -> Self {
        Self {
            lows: core::array::from_fn(|_| Hint::<AtomicUsize>::new(usize::MAX)),
            leaves: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            leaf_loads: core::array::from_fn(|_| Statistic::<AtomicUsize>::new(LeafLoad::NEW.0)),
            counters: FenceCounters::new(),
            count: Hint::<AtomicUsize>::new(0),
            lock: Lock::new(()),
            older: AtomicPtr::new(ptr::null_mut()),
            unused: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        // Exact under the lock [FN-3], and a hint to lookups.
        self.count.load()
    }

    /// Returns the index of the last leaf whose rank is at most `rank`, or 0.
    #[inline(always)]
    pub(crate) fn pick(&self, rank: usize) -> usize {
        // A binary search over the whole array, so that the loop has a constant number of steps. It does not need the
        // count: places above it hold the greatest rank.
        let (mut at, mut half) = (0, FANOUT / 2);
        while half > 0 {
            let middle = at + half;
            debug_assert!(middle < FANOUT);
            // SAFETY: the halves add up to less than `FANOUT`, a power of two.
            let low = unsafe { self.lows.get_unchecked(middle) }.load();
            // A branch would be mispredicted half of the time.
            at = select_unpredictable(low <= rank, middle, at);
            half /= 2;
        }
        // A rank of `usize::MAX` ends above the count. So does a search during a change.
        at.min(self.count().wrapping_sub(1).min(FANOUT - 1))
    }

    #[inline(always)]
    pub(crate) fn low(&self, at: usize) -> usize {
        // Exact under the lock [FN-3], and a hint to lookups.
        self.lows[at].load()
    }

    /// Returns the leaf at `at`. Null if no leaf was ever listed there.
    #[inline(always)]
    pub(crate) fn leaf(&self, at: usize) -> *mut Word {
        debug_assert!(at < FANOUT);
        // SAFETY: all callers keep `at` below `FANOUT`, as `pick` does.
        // [FN-2] acquire: pairs with [FN-1] in `set` and `set_low_first`, so the caller sees the leaf's state.
        unsafe { self.leaves.get_unchecked(at) }.load(Ordering::Acquire)
    }

    /// Counts a failed attempt to lock the leaf of a key of this rank.
    pub(crate) fn count_conflict(&self, rank: usize) {
        // If the upper half overflows, the carry is lost.
        self.leaf_loads[self.pick(rank)].add(CONFLICT << LeafLoad::HALF);
        self.counters.add_conflict();
    }

    /// Locks the fence if its lock is free. A thread that holds a leaf's lock uses only this: others wait for a
    /// fence's lock first and lock leaves then.
    pub(crate) fn try_lock(&self) -> Option<FenceEditor<'_>> {
        // [FN-3] locked until the editor is dropped, so no other thread changes ranks, leaves or count.
        Some(FenceEditor { fence: self, _guard: self.lock.try_lock()? })
    }

    pub(crate) fn lock(&self) -> FenceEditor<'_> {
        // [FN-3] locked until the editor is dropped, so no other thread changes ranks, leaves or count.
        FenceEditor { fence: self, _guard: self.lock.lock() }
    }

    /// Locks the fence. Waits for the lock only if `wait` is true.
    pub(crate) fn acquire(&self, wait: bool) -> Option<FenceEditor<'_>> {
        if wait { Some(self.lock()) } else { self.try_lock() }
    }
}

/// A locked fence.
pub(crate) struct FenceEditor<'a> {
    pub(crate) fence: &'a Fence,
    _guard: Guard<'a, ()>,
}

impl FenceEditor<'_> {
    fn set(&self, at: usize, low: usize, leaf: *mut Word) {
        // [FN-1] release: pairs with [FN-2] in `leaf`, so a lookup that loads the address sees the leaf's state.
        self.fence.leaves[at].store(leaf, Ordering::Release);
        self.fence.lows[at].store(low);
        self.set_leaf_load(at, LeafLoad::NEW);
    }

    /// As `set`, for leaves that move to a lower index. A lookup that meets half of this lands on a leaf too far left,
    /// from which it can walk. A leaf too far right would make it restart.
    fn set_low_first(&self, at: usize, low: usize, leaf: *mut Word) {
        self.fence.lows[at].store(low);
        // [FN-1] release: pairs with [FN-2] in `leaf`, so a lookup that loads the address sees the leaf's state.
        self.fence.leaves[at].store(leaf, Ordering::Release);
    }

    fn set_count(&self, count: usize) {
        self.fence.count.store(count);
    }

    fn copy(&self, from: usize, to: usize) {
        self.set(to, self.fence.low(from), self.fence.leaf(from));
        self.set_leaf_load(to, self.leaf_load(from));
    }

    /// Returns the index of `leaf` if it is listed here.
    pub(crate) fn position(&self, leaf: *mut Word) -> Option<usize> {
        // From the end, because keys are mostly inserted at random or in ascending order.
        (0..self.fence.count()).rev().find(|&at| self.fence.leaf(at) == leaf)
    }

    pub(crate) fn push(&self, low: usize, leaf: *mut Word) {
        let count = self.fence.count();
        self.set(count, low, leaf);
        self.set_count(count + 1);
    }

    /// Lists `leaf`, the right neighbour of `left`.
    pub(super) fn insert_after(&self, left: *mut Word, low: usize, leaf: *mut Word) -> Listing {
        let Some(at) = self.position(left) else { return Listing::NotHere };
        let count = self.fence.count();
        if count == FANOUT {
            return Listing::Full;
        }
        self.set_count(count + 1);
        // From the end, so that each leaf is listed at least once at any time: a lookup that finds none for its key
        // would have to walk from the first leaf.
        for index in (at + 1..count).rev() {
            self.copy(index, index + 1);
        }
        self.set(at + 1, low, leaf);
        Listing::Done
    }

    /// Takes the leaf at `at` off the list.
    pub(super) fn remove(&self, at: usize) {
        let count = self.fence.count();
        for index in at + 1..count {
            self.copy(index, index - 1);
        }
        self.set_count(count - 1);
        self.clear_low(count - 1);
    }

    /// Copies the leaves from `at` on to the end of another fence.
    pub(super) fn copy_to(&self, at: usize, destination: &Self) {
        let count = self.fence.count();
        for index in at..count {
            self.push_to(index, destination);
        }
    }

    fn push_to(&self, at: usize, other: &Self) {
        other.push(self.fence.low(at), self.fence.leaf(at));
        other.set_leaf_load(other.fence.count() - 1, self.leaf_load(at));
    }

    /// Moves the first `moved` leaves, and not all, to the end of the fence to the left.
    ///
    /// Calls `set_boundary` with the rank at which this fence begins from then on. At that time the leaves are listed
    /// in both fences, so a lookup finds them by the old boundary and by the new one.
    pub(crate) fn move_left(&self, moved: usize, left: &Self, set_boundary: impl FnOnce(usize)) {
        let count = self.fence.count();
        for at in 0..moved {
            self.push_to(at, left);
        }
        set_boundary(self.fence.low(moved));
        for at in moved..count {
            self.set_low_first(at - moved, self.fence.low(at), self.fence.leaf(at));
            self.set_leaf_load(at - moved, self.leaf_load(at));
        }
        self.truncate(count - moved);
    }

    /// Moves the last `moved` leaves, and not all, to the front of the fence to the right; calls `set_boundary` as
    /// `move_left` does.
    pub(crate) fn move_right(&self, moved: usize, right: &Self, set_boundary: impl FnOnce(usize)) {
        let (count, there) = (self.fence.count(), right.fence.count());
        // From the end, so that each leaf is listed at least once at any time.
        for at in (0..there).rev() {
            right.copy(at, at + moved);
        }
        right.set_count(there + moved);
        for at in (0..moved).rev() {
            let from = count - moved + at;
            right.set(at, self.fence.low(from), self.fence.leaf(from));
            right.set_leaf_load(at, self.leaf_load(from));
        }
        set_boundary(self.fence.low(count - moved));
        self.truncate(count - moved);
    }

    /// Takes the leaves from `at` on off the list.
    pub(super) fn truncate(&self, at: usize) {
        let count = self.fence.count();
        self.set_count(at);
        for index in at..count {
            self.clear_low(index);
        }
    }

    /// Sets the greatest rank, so that no search ends here. The leaf's address stays, for lookups that have read the
    /// old rank already.
    fn clear_low(&self, at: usize) {
        self.fence.lows[at].store(usize::MAX);
    }

    pub(crate) fn leaf_load(&self, at: usize) -> LeafLoad {
        // Only the owner of the lock stores it; writers add conflicts to it at any time.
        LeafLoad(self.fence.leaf_loads[at].load())
    }

    pub(crate) fn set_leaf_load(&self, at: usize, leaf_load: LeafLoad) {
        // A conflict that is counted at the same time is lost.
        self.fence.leaf_loads[at].store(leaf_load.0);
    }

    /// Sets the fence's load to the sum of its leaves' loads, and returns it.
    pub(crate) fn update_load(&self) -> usize {
        let writes = (0..self.fence.count()).map(|at| self.leaf_load(at).recent_writes());
        let load = writes.fold(0, usize::saturating_add);
        self.fence.counters.set_load(load);
        load
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
        assert_eq!(editor.insert_after(leaf(9), 5, leaf(1)), Listing::NotHere);
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
        left.lock().copy_to(6, &right.lock());
        left.lock().truncate(6);
        assert_eq!((left.count(), right.count()), (6, 4));
        assert_eq!((left.pick(8), right.pick(8)), (5, 2));
        assert_eq!(right.leaf(2), leaf(8));
    }

    #[test]
    fn leaves_move_to_either_side() {
        let (left, right) = (Fence::new(), Fence::new());
        let (l, r) = (left.lock(), right.lock());
        for number in 0..10 {
            let (fence, at) = if number < 6 { (&l, number) } else { (&r, number - 6) };
            fence.push(number, leaf(number));
            fence.set_leaf_load(at, LeafLoad::NEW.after(7, number));
        }
        let mut low = 6;
        let check = |low: usize| {
            assert_eq!((left.count(), right.count()), (low, 10 - low), "each leaf is listed once");
            for number in 0..10 {
                let (fence, first) = if number < low { (&left, 0) } else { (&right, low) };
                let at = fence.pick(number);
                assert_eq!((at, fence.leaf(at)), (number - first, leaf(number)));
                assert!(fence.lock.try_lock().is_none(), "locked all along");
                assert_eq!(
                    if number < low { l.leaf_load(at) } else { r.leaf_load(at) }.recent_writes(),
                    number
                );
            }
            assert_eq!(left.pick(usize::MAX), low - 1);
            assert_eq!(right.pick(usize::MAX), 9 - low);
        };
        check(low);
        l.move_right(5, &r, |rank| low = rank);
        check(low);
        assert_eq!(low, 1);
        r.move_left(3, &l, |rank| low = rank);
        check(low);
        assert_eq!(low, 4);
    }
}
