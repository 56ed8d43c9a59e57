//! Shrinking: sparse neighbours are merged, leaves first, then fences.
//!
//! The left of two leaves takes over the entries and the range of the right one, which is retired and taken off its
//! fence. Only leaves of the same fence are merged, so that the first leaf of a fence keeps the rank under which the
//! root lists the fence. A merge is never necessary: if it would have to wait, a later removal does it.

use super::descent::FenceTree;
use super::fence::{FANOUT, Fence, FenceEditor};
use super::hints::Scale;
use super::leaf::{BLOCK, LeafChanged, LeafHints, LeafLayout, LeafRef, Meta, VersionedLeaf};
use super::policy::KeyPolicy;
use crate::facade::Word;
use crate::sync::backoff::Backoff;
use core::ptr;

/// Two neighbouring leaves as they were read, and the layout of the left one after the merge.
struct MergePlan<'a, K, V> {
    left: VersionedLeaf<'a, K, V>,
    right: VersionedLeaf<'a, K, V>,
    hints: LeafHints,
    scale: Scale,
    /// The rank of the left one's lower bound.
    low: usize,
    /// The right one's lower bound, which no leaf has after the merge.
    bound: Option<K>,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Merges the leaf with a neighbour if both are sparse.
    #[cold]
    #[inline(never)]
    pub(crate) fn merge_if_sparse(&self, leaf: LeafRef<'_, K, V>, backoff: &mut Backoff) {
        let version = leaf.begin();
        if version.is_locked() || !version.meta.is_live() {
            return;
        }
        let Ok(Some(fence)) = self.fence_of(leaf, version, backoff) else { return };
        let merged = self.plan_merge(leaf).is_some_and(|plan| self.merge(&plan, fence))
            || self
                .listed_left_neighbour(leaf, fence)
                .and_then(|left| self.plan_merge(left))
                .is_some_and(|plan| plan.right.0 == leaf && self.merge(&plan, fence));
        if merged && fence.count() <= FANOUT / 8 {
            self.merge_fence(fence, backoff.may_wait());
        }
    }

    /// Returns the left neighbour of a leaf in its fence, as far as the hints say.
    fn listed_left_neighbour(
        &self,
        leaf: LeafRef<'_, K, V>,
        fence: &Fence,
    ) -> Option<LeafRef<'_, K, V>> {
        let at = (1..fence.count()).find(|&at| fence.leaf(at) == leaf.as_ptr())?;
        // SAFETY: fences of this tree list leaves of its arena, [FN-1] and [FN-2].
        unsafe { self.leaf_at(fence.leaf(at - 1)) }
    }

    /// Plans the merge of a leaf and its right neighbour, if they are sparse enough.
    fn plan_merge<'a>(&'a self, left: LeafRef<'a, K, V>) -> Option<MergePlan<'a, K, V>> {
        let version = left.begin();
        if version.is_locked()
            || !version.meta.is_live()
            || !version.meta.has_hi()
            || !version.meta.is_listed()
        {
            return None;
        }
        let right = left.next(version).ok()?;
        let right_version = right.begin();
        let count = version.meta.count() + right_version.meta.count();
        if right_version.is_locked()
            || !right_version.meta.is_live()
            // A leaf that is not listed cannot be taken off its fence.
            || !right_version.meta.is_listed()
            // At most half full together, so that the leaf is not split again soon.
            || count > LeafLayout::<K, V>::ENTRIES / 2
        {
            return None;
        }
        self.plan_merge_of((left, version), (right, right_version)).ok()
    }

    /// Computes all ranks while nothing is locked, because ranking is user code.
    fn plan_merge_of<'a>(
        &'a self,
        left: VersionedLeaf<'a, K, V>,
        right: VersionedLeaf<'a, K, V>,
    ) -> Result<MergePlan<'a, K, V>, LeafChanged> {
        let here = left.1.meta.count();
        let count = here + right.1.meta.count();
        let rank_at = |at: usize| {
            if at < here {
                left.0.rank_at(left.1, at, &self.policy)
            } else {
                right.0.rank_at(right.1, at - here, &self.policy)
            }
        };
        let mut scale = left.0.scale_of(left.1, &self.policy)?;
        if count > 0 {
            scale = Scale::spanning(scale.base, rank_at(count - 1)?);
        }
        let mut hints = LeafHints::EMPTY;
        for block in 0..count.div_ceil(BLOCK) {
            hints.set(block, scale.hint(rank_at(block * BLOCK)?));
        }
        let low = left.0.lo(left.1)?.map_or(0, |lo| self.search_key(&lo).rank);
        let bound = right.0.lo(right.1)?;
        left.0.check(left.1)?;
        right.0.check(right.1)?;
        Ok(MergePlan { left, right, hints, scale, low, bound })
    }

    /// Merges two leaves that are neighbours in `fence`, if both are unchanged.
    fn merge(&self, plan: &MergePlan<'_, K, V>, fence: &Fence) -> bool {
        let ((left, version), (right, right_version)) = (plan.left, plan.right);
        // [LF-1] Both are locked before either is written.
        if !left.try_lock(version) {
            return false;
        }
        if !right.try_lock(right_version) {
            left.unlock_unchanged(version);
            return false;
        }
        // Before the right one is retired: no fence may list a retired leaf for long, since lookups would restart.
        if !Self::unlist(fence, left.as_ptr(), right.as_ptr()) {
            right.unlock_unchanged(right_version);
            left.unlock_unchanged(version);
            return false;
        }
        let (count, more) = (version.meta.count(), right_version.meta.count());
        right.copy_to(0, left, count, more);
        right.copy_end_to(left);
        left.put_hints(&plan.hints);
        // Before the right one is retired, so that a search for the last leaf finds one that is live.
        if !right_version.meta.has_hi() {
            self.set_tail(left, plan.low);
        }
        let meta = version.meta.with_count(count + more).with_shift(plan.scale.shift);
        left.unlock(version, meta.with_hi(right_version.meta.has_hi()));
        right.unlock(right_version, Meta::RETIRED);
        self.arena.release(right);
        if R::OWNS
            && let Some(bound) = plan.bound
        {
            self.policy.retire_bound(bound);
        }
        true
    }

    /// Takes `right` off the fence if it is listed there right behind `left`.
    fn unlist(fence: &Fence, left: *mut Word, right: *mut Word) -> bool {
        let Some(editor) = fence.try_lock() else { return false };
        let Some(at) = editor.position(right) else { return false };
        // The first leaf of a fence stays: the root lists the fence by it.
        if at == 0 || fence.leaf(at - 1) != left {
            return false;
        }
        editor.remove(at);
        true
    }

    /// Merges a sparse fence with a neighbour.
    #[cold]
    fn merge_fence(&self, fence: &Fence, wait: bool) {
        let Some(root) = self.root.acquire(wait) else { return };
        let Some(at) = root.position(fence) else { return };
        let (left, right) = (at.checked_sub(1).and_then(|at| root.fence(at)), root.fence(at + 1));
        drop(root);
        let merged = left.is_some_and(|left| self.merge_fences(left, fence, wait));
        if !merged && let Some(right) = right {
            self.merge_fences(fence, right, wait);
        }
    }

    /// Moves all leaves of `right` to `left`, if they are neighbours and have few leaves.
    pub(crate) fn merge_fences(&self, left: &Fence, right: &Fence, wait: bool) -> bool {
        let Some((first, second)) = lock_both(left, right, wait) else { return false };
        let Some(mut root) = self.root.acquire(wait) else { return false };
        let Some(at) = root.position(right).filter(|&at| at > 0) else { return false };
        let are_neighbours = root.fence(at - 1).is_some_and(|fence| ptr::eq(fence, left));
        // At most half full together, so that the fence is not split again soon.
        if !are_neighbours || left.count() + right.count() > FANOUT / 2 {
            return false;
        }
        // The leaves are listed on the left before the root drops the right fence, and taken off that one only then. So
        // a lookup finds each leaf in one of them at any time.
        second.copy_to(0, &first);
        first.update_load();
        root.remove(at);
        second.truncate(0);
        root.put_back(right);
        true
    }
}

/// Locks two fences. `None` if one of them is unused by now, or if this would wait for the second one; it waits for the
/// first if `wait` is true.
///
/// The caller found them before, without their locks. Meanwhile another thread may have merged one away, and a third
/// one, which has locked the root, may wait for it to fill it anew. So a thread that has an unused fence waits for
/// nothing. A fence may even have been used again, to the other side of its neighbour, so two threads that waited with
/// one of these two could wait for each other.
fn lock_both<'a>(
    left: &'a Fence,
    right: &'a Fence,
    wait: bool,
) -> Option<(FenceEditor<'a>, FenceEditor<'a>)> {
    let is_used = |editor: &FenceEditor<'_>| editor.fence.count() > 0;
    let first = left.acquire(wait).filter(is_used)?;
    Some((first, right.try_lock().filter(is_used)?))
}
