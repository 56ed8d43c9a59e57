//! Shrinking: sparse neighbours are joined, leaves first, then fences.
//!
//! The left one of two leaves takes the right one's entries and range; the right one dies, and is listed no more.
//! Only leaves of one fence are joined, so that a fence's first leaf stays where the route says that the fence
//! begins. Nothing of this has to happen: where it would mean waiting it is left to a later removal.

use super::directory::{FANOUT, Fence};
use super::hints::Scale;
use super::leaf::{BLOCK, Changed, Form, Leaf, LeafHints, Meta, Seen};
use super::rule::Rule;
use super::tree::Tree;
use crate::facade::Word;
use crate::sync::backoff::Backoff;
use core::ptr;

/// Two neighbours as they were read, and the hints of what they are to become.
struct Pair<'a, K, V> {
    left: Seen<'a, K, V>,
    right: Seen<'a, K, V>,
    hints: LeafHints,
    scale: Scale,
    /// The rank of the first key of both.
    low: usize,
    /// Where the right one begins: what ends with it.
    bound: Option<K>,
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// Joins the leaf with a neighbour if both are sparse.
    #[cold]
    #[inline(never)]
    pub(super) fn tidy(&self, leaf: Leaf<'_, K, V>, backoff: &mut Backoff) {
        let look = leaf.begin();
        if look.is_locked() || !look.meta.is_alive() {
            return;
        }
        let Ok(Some(fence)) = self.fence_of(leaf, look, backoff) else { return };
        let joined = self.plan_join(leaf).is_some_and(|pair| self.join(&pair, fence))
            || self
                .left_of(leaf, fence)
                .and_then(|left| self.plan_join(left))
                .is_some_and(|pair| pair.right.0 == leaf && self.join(&pair, fence));
        if joined && fence.count() <= FANOUT / 8 {
            self.join_fence(fence, backoff.may_wait());
        }
    }

    /// The left neighbour of a leaf in its fence, as far as the hints say.
    fn left_of(&self, leaf: Leaf<'_, K, V>, fence: &Fence) -> Option<Leaf<'_, K, V>> {
        let at = (1..fence.count()).find(|&at| fence.leaf(at) == leaf.as_ptr())?;
        // SAFETY: fences of this tree lead to its leaves.
        unsafe { self.leaf_at(fence.leaf(at - 1)) }
    }

    /// The leaf and its right neighbour, if they are to become one.
    fn plan_join<'a>(&'a self, left: Leaf<'a, K, V>) -> Option<Pair<'a, K, V>> {
        let look = left.begin();
        if look.is_locked()
            || !look.meta.is_alive()
            || !look.meta.has_hi()
            || !look.meta.is_listed()
        {
            return None;
        }
        let right = left.next(look).ok()?;
        let right_look = right.begin();
        let count = look.meta.count() + right_look.meta.count();
        if right_look.is_locked()
            || !right_look.meta.is_alive()
            || !right_look.meta.is_listed()
            // Half empty, so that it is not split again right away.
            || count > Form::<K, V>::ENTRIES / 2
        {
            return None;
        }
        self.plan_pair((left, look), (right, right_look)).ok()
    }

    fn plan_pair<'a>(
        &'a self,
        left: Seen<'a, K, V>,
        right: Seen<'a, K, V>,
    ) -> Result<Pair<'a, K, V>, Changed> {
        let here = left.1.meta.count();
        let count = here + right.1.meta.count();
        let rank_at = |at: usize| {
            if at < here {
                left.0.rank_at(left.1, at, &self.ranking)
            } else {
                right.0.rank_at(right.1, at - here, &self.ranking)
            }
        };
        let mut scale = left.0.scale_of(left.1, &self.ranking)?;
        if count > 0 {
            scale = Scale::spanning(scale.base, rank_at(count - 1)?);
        }
        let mut hints = LeafHints::EMPTY;
        for block in 0..count.div_ceil(BLOCK) {
            hints.set(block, scale.hint(rank_at(block * BLOCK)?));
        }
        let low = left.0.lo(left.1)?.map_or(0, |lo| self.sought(&lo).rank);
        let bound = right.0.lo(right.1)?;
        left.0.check(left.1)?;
        right.0.check(right.1)?;
        Ok(Pair { left, right, hints, scale, low, bound })
    }

    /// Joins two leaves that are neighbours in `fence`, if nothing has changed since they were read.
    fn join(&self, pair: &Pair<'_, K, V>, fence: &Fence) -> bool {
        let ((left, look), (right, right_look)) = (pair.left, pair.right);
        // [LF-1] Both are odd before either is written.
        if !left.try_lock(look) {
            return false;
        }
        if !right.try_lock(right_look) {
            left.give_back(look);
            return false;
        }
        if !Self::take_from_list(fence, left.as_ptr(), right.as_ptr()) {
            right.give_back(right_look);
            left.give_back(look);
            return false;
        }
        let (count, more) = (look.meta.count(), right_look.meta.count());
        right.copy_to(0, left, count, more);
        right.copy_end_to(left);
        left.put_hints(&pair.hints);
        if !right_look.meta.has_hi() {
            self.set_tail(left, pair.low);
        }
        let meta = look.meta.with_count(count + more).with_shift(pair.scale.shift);
        left.unlock(look, meta.with_hi(right_look.meta.has_hi()));
        right.unlock(right_look, Meta::DEAD);
        self.arena.give(right);
        if R::OWNS
            && let Some(bound) = pair.bound
        {
            self.ranking.retire_bound(bound);
        }
        true
    }

    /// Lists `right` no more, if it is listed here right behind `left`.
    fn take_from_list(fence: &Fence, left: *mut Word, right: *mut Word) -> bool {
        let Some(editor) = fence.try_lock() else { return false };
        let Some(at) = editor.position(right) else { return false };
        if at == 0 || fence.leaf(at - 1) != left {
            return false;
        }
        editor.remove(at);
        true
    }

    /// Joins a fence that has become sparse with a neighbour.
    #[cold]
    fn join_fence(&self, fence: &Fence, wait: bool) {
        let Some(route) = self.route.edit(wait) else { return };
        let Some(at) = route.position(fence) else { return };
        let (left, right) = (at.checked_sub(1).and_then(|at| route.fence(at)), route.fence(at + 1));
        drop(route);
        let joined = left.is_some_and(|left| self.join_fences(left, fence, wait));
        if !joined && let Some(right) = right {
            self.join_fences(fence, right, wait);
        }
    }

    pub(super) fn join_fences(&self, left: &Fence, right: &Fence, wait: bool) -> bool {
        let Some(first) = left.edit(wait) else { return false };
        let Some(second) = right.edit(wait) else { return false };
        let Some(mut route) = self.route.edit(wait) else { return false };
        let Some(at) = route.position(right).filter(|&at| at > 0) else { return false };
        let are_neighbours = route.fence(at - 1).is_some_and(|fence| ptr::eq(fence, left));
        // Half empty, so that it is not split again right away.
        if !are_neighbours || left.count() + right.count() > FANOUT / 2 {
            return false;
        }
        second.move_to(0, &first);
        first.sum_up();
        route.remove(at);
        second.truncate(0);
        route.put_back(right);
        true
    }
}
