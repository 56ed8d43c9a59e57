//! Growth: a full leaf is split, the new leaf is listed in its fence, and a full fence is split too.
//!
//! Each step is independent. A leaf that is not listed yet is found through its left neighbour. So if a step fails,
//! because there is no memory or because it would have to wait, the next writer that comes by tries again.
//!
//! # Synchronization
//! - `[LF-1]` a thread that moves entries from one leaf to another locks the source, by `[SL-5]` and the release fence
//!   `[SL-1]` after it, before it unlocks the destination by `[SL-3]` ↔ `[LF-2]` a reader that finds a moved entry in
//!   the destination, by `[SL-4]`, and then reads the source, finds it locked or changed. So no reader takes an old
//!   value from the source after it has seen a newer one in the destination.
//! - Locks are taken in key order, and leaf before fence before root. A thread that holds a leaf's lock only tries to
//!   lock a fence, and never waits for it.

use super::descent::{FenceTree, LeafLocation, SearchProbe};
use super::fence::{FANOUT, Fence, FenceEditor, Listing};
use super::hints::Scale;
use super::leaf::{
    BLOCK, LeafChanged, LeafHints, LeafLayout, LeafRef, LeafVersion, Meta, VersionedLeaf,
};
use super::policy::{BoundPolicy, KeyPolicy, PendingBound};
use super::root::RootEditor;
use super::search::{CompareKey, SearchKey};
use crate::api::failure::Failure;
use crate::memory::AllocError;
use crate::sync::backoff::{Backoff, WouldWait};

/// Up to this number of entries, one word counts them. Larger maps have a counter for each of several stripes.
const SMALL: isize = 4096;

/// The hints of one half of a split leaf, and their scale.
struct HalfPlan {
    hints: LeafHints,
    scale: Scale,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Makes the first leaf, the first fence and the first root table.
    #[cold]
    #[inline(never)]
    pub(crate) fn init_root(&self, backoff: &mut Backoff) -> Result<(), Failure> {
        let wait = backoff.may_wait();
        let leaf = self.arena.allocate(backoff)?;
        let version = leaf.begin();
        let locked = leaf.try_lock(version);
        assert!(locked, "no other thread has an unpublished leaf");
        leaf.put_hints(&LeafHints::EMPTY);
        leaf.unlock(version, Meta::ALL.listed());
        let begun = self.root.init(leaf.as_ptr(), wait, || {
            self.set_head(leaf);
            self.set_tail(leaf, 0);
        });
        if let Ok(true) = begun {
            return Ok(());
        }
        // Another thread was faster, or there is no memory. Either way this leaf was not published.
        let version = leaf.begin();
        let locked = leaf.try_lock(version);
        assert!(locked, "no other thread has an unpublished leaf");
        leaf.unlock(version, Meta::RETIRED);
        self.arena.release(leaf);
        match begun {
            Ok(_) => backoff.wait().map_err(Failure::from),
            Err(AllocError) => Err(Failure::Alloc),
        }
    }

    /// Splits a full leaf to make room for `key`. May fail because of other writers, so the caller starts again.
    #[cold]
    #[inline(never)]
    pub(crate) fn split(
        &self,
        location: &LeafLocation<'_, K, V>,
        key: &K,
        backoff: &mut Backoff,
    ) -> Result<(), Failure>
    where
        R: BoundPolicy<K>,
    {
        let (left, version) = (location.leaf, location.version);
        let cut = Self::cut(version, location.place.at);
        let bound = if cut == version.meta.count() { Ok(*key) } else { left.key(version, cut) };
        let Ok(bound) = bound else { return Ok(()) };
        self.split_at((left, version), cut, &bound, backoff)
    }

    /// Moves the entries from `cut` on to a new leaf with the lower bound `bound`.
    pub(crate) fn split_at(
        &self,
        (left, version): VersionedLeaf<'_, K, V>,
        cut: usize,
        bound: &K,
        backoff: &mut Backoff,
    ) -> Result<(), Failure>
    where
        R: BoundPolicy<K>,
    {
        let count = version.meta.count();
        // Planned with nothing locked, because ranking is user code.
        let Ok(parts) = self.plan_split((left, version), cut, bound) else { return Ok(()) };
        let bound_rank = self.search_key(bound).rank;
        // The bound stays when the entry that it comes from is removed, so it is a copy. Copying is user code too.
        let bound = PendingBound::new(&self.policy, bound)?;
        let right = self.arena.allocate(backoff)?;
        // Before the new leaf is written: a leaf that goes back to the arena stays retired.
        if !left.try_lock(version) {
            self.arena.release(right);
            return backoff.wait().map_err(Failure::from);
        }
        // [LF-1] The source is locked before the destination is written.
        let right_version = right.begin();
        let locked = right.try_lock(right_version);
        assert!(locked, "no other thread has a retired leaf");
        left.copy_to(cut, right, 0, count - cut);
        right.put_lo(bound.key());
        right.put_hints(&parts[1].hints);
        // The new leaf takes over the upper bound and the right neighbour.
        left.copy_end_to(right);
        let meta = Meta::ALL.with_lo().with_hi(version.meta.has_hi());
        left.put_hi(bound.key());
        bound.stored();
        left.put_next(right);
        left.put_hints(&parts[0].hints);
        if !version.meta.has_hi() {
            self.set_tail(right, bound_rank);
        }
        // The destination first: a reader that reaches it through the source finds it unlocked.
        right.unlock(right_version, meta.with_count(count - cut).with_shift(parts[1].scale.shift));
        let meta = version.meta.with_count(cut).with_hi(true);
        left.unlock(version, meta.with_shift(parts[0].scale.shift));
        self.list_right_of(left, backoff);
        self.len.spread_beyond(SMALL);
        Ok(())
    }

    /// Returns how many entries stay in the left leaf if an insertion at `at` causes the split.
    ///
    /// An insertion at an end is probably one of ascending or descending keys. Then the split leaves nearly all entries
    /// in one leaf, so that such keys fill the leaves.
    fn cut(version: LeafVersion, at: usize) -> usize {
        let count = version.meta.count();
        let kept = if LeafLayout::<K, V>::BLOCKS > 1 { BLOCK } else { 1 };
        if at == count {
            if version.meta.has_hi() { count - kept } else { count }
        } else if at == 0 {
            if version.meta.has_lo() { kept } else { 0 }
        } else {
            count / 2
        }
    }

    /// Returns the hints of both halves. Computes all ranks while nothing is locked.
    fn plan_split(
        &self,
        (leaf, version): VersionedLeaf<'_, K, V>,
        cut: usize,
        bound: &K,
    ) -> Result<[HalfPlan; 2], LeafChanged> {
        let count = version.meta.count();
        let old = leaf.scale_of(version, &self.policy)?;
        let left = self.plan_half(leaf, version, 0..cut, old)?;
        let base = Scale { base: self.search_key(bound).rank, ..old };
        let right = self.plan_half(leaf, version, cut..count, base)?;
        leaf.check(version)?;
        Ok([left, right])
    }

    /// Returns the hints of a leaf that has only these `entries` of `leaf`.
    fn plan_half(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        entries: core::ops::Range<usize>,
        old: Scale,
    ) -> Result<HalfPlan, LeafChanged> {
        let mut part = HalfPlan { hints: LeafHints::EMPTY, scale: old };
        // From a few entries the spread of later ones cannot be estimated, so the old scale stays.
        if entries.len() > 2 * BLOCK {
            part.scale =
                Scale::spanning(old.base, leaf.rank_at(version, entries.end - 1, &self.policy)?);
        }
        for (block, first) in entries.step_by(BLOCK).enumerate() {
            part.hints.set(block, part.scale.hint(leaf.rank_at(version, first, &self.policy)?));
        }
        Ok(part)
    }

    /// Lists the leaf of a key, and the leaves before it that are not listed either.
    ///
    /// A leaf can only be listed behind its left neighbour. So if only the last leaf of a chain were tried, ascending
    /// keys would leave the whole chain unlisted.
    #[cold]
    #[inline(never)]
    pub(crate) fn list_up_to(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<(), WouldWait> {
        let probe = SearchProbe { target, below: false };
        let Some(mut left) = self.descend_to_leaf(probe, backoff)? else { return Ok(()) };
        // Bounded, because inconsistent keys may lead round in a circle.
        for _ in 0..FANOUT {
            self.list_right_of(left, backoff);
            let version = left.begin();
            if version.is_locked() || !version.meta.is_live() {
                break;
            }
            let (Ok(Some(hi)), Ok(right)) = (left.hi(version), left.next(version)) else { break };
            if target.compare(&hi).is_lt() {
                break;
            }
            left = right;
        }
        Ok(())
    }

    /// Lists the right neighbour of `left` in the fence that lists `left`. If that is impossible now, a later writer
    /// does it.
    #[inline(never)]
    pub(crate) fn list_right_of(&self, left: LeafRef<'_, K, V>, backoff: &mut Backoff) {
        // Twice, since the fence may have to be split first.
        for _ in 0..2 {
            match self.try_list(left, backoff) {
                Some(full) if self.split_fence(full, backoff.may_wait()) => {}
                _ => return,
            }
        }
    }

    /// As `list_right_of`, without splitting a full fence; returns that fence.
    fn try_list(&self, left: LeafRef<'_, K, V>, backoff: &mut Backoff) -> Option<&Fence> {
        let version = left.begin();
        if version.is_locked() || !version.meta.is_live() || !version.meta.has_hi() {
            return None;
        }
        let Ok(right) = left.next(version) else { return None };
        let right_version = right.begin();
        if right_version.is_locked()
            || !right_version.meta.is_live()
            || right_version.meta.is_listed()
        {
            return None;
        }
        // Its rank and its fence are looked up with nothing locked, because ranking is user code.
        let Ok(Some(bound)) = right.lo(right_version) else { return None };
        let low = self.search_key(&bound).rank;
        let Ok(Some(fence)) = self.fence_of(left, version, backoff) else { return None };
        if !left.try_lock(version) {
            return None;
        }
        // While both are locked, they stay neighbours and neither is retired. So the fence lists no retired leaf.
        let mut listing = Listing::NotHere;
        if right.try_lock(right_version) {
            if let Some(editor) = fence.try_lock() {
                listing = editor.insert_after(left.as_ptr(), low, right.as_ptr());
            }
            if listing == Listing::Done {
                right.unlock(right_version, right_version.meta.listed());
            } else {
                right.unlock_unchanged(right_version);
            }
        }
        left.unlock_unchanged(version);
        (listing == Listing::Full).then_some(fence)
    }

    /// Returns the fence that lists the leaf, as far as the hints say.
    pub(crate) fn fence_of(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        backoff: &mut Backoff,
    ) -> Result<Option<&Fence>, WouldWait> {
        match leaf.lo(version) {
            Err(LeafChanged) => Ok(None),
            Ok(None) => Ok(self.root.table().and_then(|table| table.fence(0))),
            Ok(Some(lo)) => {
                let probe = SearchProbe { target: self.search_key(&lo), below: false };
                self.fence_for(probe, backoff)
            }
        }
    }

    /// Moves a part of a full fence to a new one. False if that is impossible now.
    #[cold]
    fn split_fence(&self, full: &Fence, wait: bool) -> bool {
        let Ok(true) = self.root.reserve(wait) else { return false };
        let Some(editor) = full.acquire(wait) else { return false };
        if full.count() < FANOUT {
            // Another thread has split it before it was locked.
            return true;
        }
        let Some(mut root) = self.root.acquire(wait) else { return false };
        let is_last = root.position(full).is_some_and(|at| root.fence(at + 1).is_none());
        // Ascending keys fill one fence after the other.
        let cut = if is_last { FANOUT - FANOUT / 4 } else { FANOUT / 2 };
        move_to_new_fence(&editor, &mut root, cut)
    }

    /// Makes a fence begin with `key`. If another thread is faster, there may be none.
    pub(crate) fn start_fence_at(&self, key: &K) -> Result<(), Failure>
    where
        R: BoundPolicy<K>,
    {
        let mut backoff = Backoff::spinning();
        if self.head().is_none() {
            self.init_root(&mut backoff)?;
        }
        self.start_leaf_at(key, &mut backoff)?;
        let probe = SearchProbe { target: self.search_key(key), below: false };
        let Some((leaf, _)) = self.find_leaf(probe, &mut backoff)? else { return Ok(()) };
        let Some(fence) = self.fence_for(probe, &mut backoff)? else { return Ok(()) };
        self.root.reserve(true)?;
        let editor = fence.lock();
        if let Some(at) = editor.position(leaf.as_ptr()).filter(|&at| at > 0)
            && let Some(mut root) = self.root.acquire(true)
        {
            move_to_new_fence(&editor, &mut root, at);
        }
        Ok(())
    }

    /// Makes a leaf begin with `key`, unless `Ord` is inconsistent or another writer is faster.
    pub(crate) fn start_leaf_at(&self, key: &K, backoff: &mut Backoff) -> Result<(), Failure>
    where
        R: BoundPolicy<K>,
    {
        let Some(location) = self.seek(self.search_key(key), None, backoff)? else { return Ok(()) };
        let begins = matches!(location.leaf.lo(location.version), Ok(Some(lo)) if lo >= *key);
        if begins {
            return Ok(());
        }
        self.split_at((location.leaf, location.version), location.place.at, key, backoff)
    }
}

/// Moves the leaves from `cut` on to an unused fence. False if there is none, or if the root has no room for it.
pub(crate) fn move_to_new_fence(
    editor: &FenceEditor<'_>,
    root: &mut RootEditor<'_>,
    cut: usize,
) -> bool {
    let Some(fresh) = root.take_unused() else { return false };
    let theirs = fresh.lock();
    fresh.counters.reset();
    // The new fence is filled before the root leads to it, and the old one truncated only then. So a lookup finds each
    // leaf in one of them at any time.
    editor.copy_to(cut, &theirs);
    if root.insert_after(editor.fence, fresh.low(0), fresh) {
        editor.truncate(cut);
        editor.update_load();
        theirs.update_load();
        return true;
    }
    theirs.truncate(0);
    root.put_back(fresh);
    false
}
