//! Growth: a full leaf is split, the new one listed in its fence, a full fence split in turn.
//!
//! Each is a step of its own. A leaf that is not listed yet is found through its left neighbour, so a step that
//! cannot be done now, for want of memory or because it would mean waiting, is left to the next writer who comes
//! that way.
//!
//! # Synchronization
//! - `[LF-1]` who moves entries from one leaf to another has locked the giver, by `[SL-5]` and the release fence
//!   `[SL-1]` after it, before the receiver is unlocked by `[SL-3]` ↔ `[LF-2]` a reader that finds a moved entry in
//!   the receiver, by `[SL-4]`, and looks at the giver after that, finds it locked or moved on. So nobody takes the
//!   giver's word for what has been changed in the receiver since.
//! - Locks are taken in the order of keys, leaf before fence before route, and of fences none is waited for with a
//!   leaf locked.

use super::descent::{Location, Probe, Tree};
use super::fence::{FANOUT, Fence, FenceEditor, Listing};
use super::hints::Scale;
use super::leaf::{BLOCK, Changed, Leaf, LeafHints, LeafLayout, LeafVersion, Meta, VersionedLeaf};
use super::policy::{KeyPolicy, PendingBound};
use super::root::RootEditor;
use super::search::{CompareKey, SearchKey};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::table::Failure;
use crate::table::memory::AllocError;

/// A map of no more entries counts them in one word.
const SMALL: isize = 4096;

/// A leaf's hints as they are to be, with their scale.
struct HalfPlan {
    hints: LeafHints,
    scale: Scale,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    /// Makes the first leaf, fence and table.
    #[cold]
    #[inline(never)]
    pub(crate) fn init_root(&self, backoff: &mut Backoff) -> Result<(), Failure> {
        let wait = backoff.may_wait();
        let leaf = self.arena.allocate(backoff)?;
        let version = leaf.begin();
        let locked = leaf.try_lock(version);
        assert!(locked, "nobody else knows the leaf");
        leaf.put_hints(&LeafHints::EMPTY);
        leaf.unlock(version, Meta::ALL.listed());
        let begun = self.root.init(leaf.as_ptr(), wait, || {
            self.set_head(leaf);
            self.set_tail(leaf, 0);
        });
        if let Ok(true) = begun {
            return Ok(());
        }
        // Somebody else was first, or there is no memory. In either case nobody has seen the leaf.
        let version = leaf.begin();
        let locked = leaf.try_lock(version);
        assert!(locked, "nobody else knows the leaf");
        leaf.unlock(version, Meta::RETIRED);
        self.arena.release(leaf);
        match begun {
            Ok(_) => backoff.wait().map_err(Failure::from),
            Err(AllocError) => Err(Failure::Alloc),
        }
    }

    /// Splits the full leaf where `key` belongs. Whether or not that comes to pass, the caller looks again.
    #[cold]
    #[inline(never)]
    pub(crate) fn split(
        &self,
        location: &Location<'_, K, V>,
        key: &K,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let (left, version) = (location.leaf, location.version);
        let cut = Self::cut(version, location.place.at);
        let bound = if cut == version.meta.count() { Ok(*key) } else { left.key(version, cut) };
        let Ok(bound) = bound else { return Ok(()) };
        self.split_at((left, version), cut, &bound, backoff)
    }

    /// Gives the entries from `cut` on to a new leaf, which begins with `bound`.
    pub(crate) fn split_at(
        &self,
        (left, version): VersionedLeaf<'_, K, V>,
        cut: usize,
        bound: &K,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let count = version.meta.count();
        let Ok(parts) = self.plan_split((left, version), cut, bound) else { return Ok(()) };
        let bound_rank = self.search_key(bound).rank;
        // A leaf's bound outlives the entry that it comes from.
        let bound = PendingBound::new(&self.ranking, bound)?;
        let right = self.arena.allocate(backoff)?;
        if !left.try_lock(version) {
            self.arena.release(right);
            return backoff.wait().map_err(Failure::from);
        }
        // [LF-1] The giver is odd before the receiver is written.
        let right_version = right.begin();
        let locked = right.try_lock(right_version);
        assert!(locked, "a retired leaf is nobody else's");
        left.copy_to(cut, right, 0, count - cut);
        right.put_lo(bound.key());
        right.put_hints(&parts[1].hints);
        // What lies to the right of the right one is what lay to the right of the left one.
        left.copy_end_to(right);
        let meta = Meta::ALL.with_lo().with_hi(version.meta.has_hi());
        left.put_hi(bound.key());
        bound.stored();
        left.put_next(right);
        left.put_hints(&parts[0].hints);
        if !version.meta.has_hi() {
            self.set_tail(right, bound_rank);
        }
        right.unlock(right_version, meta.with_count(count - cut).with_shift(parts[1].scale.shift));
        let meta = version.meta.with_count(cut).with_hi(true);
        left.unlock(version, meta.with_shift(parts[0].scale.shift));
        self.list_right_of(left, backoff);
        self.len.spread_beyond(SMALL);
        Ok(())
    }

    /// How many entries stay in the left leaf, if an entry is to be put in at `at`: keys that come in order fill
    /// one leaf after the other.
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

    /// The hints of both halves. All ranks are asked for now, with nothing locked.
    fn plan_split(
        &self,
        (leaf, version): VersionedLeaf<'_, K, V>,
        cut: usize,
        bound: &K,
    ) -> Result<[HalfPlan; 2], Changed> {
        let count = version.meta.count();
        let old = leaf.scale_of(version, &self.ranking)?;
        let left = self.plan_half(leaf, version, 0..cut, old)?;
        let base = Scale { base: self.search_key(bound).rank, ..old };
        let right = self.plan_half(leaf, version, cut..count, base)?;
        leaf.check(version)?;
        Ok([left, right])
    }

    /// The hints of a leaf that begins with some of the entries of `leaf`.
    fn plan_half(
        &self,
        leaf: Leaf<'_, K, V>,
        version: LeafVersion,
        entries: core::ops::Range<usize>,
        old: Scale,
    ) -> Result<HalfPlan, Changed> {
        let mut part = HalfPlan { hints: LeafHints::EMPTY, scale: old };
        // A few entries say nothing of how far those to come will spread.
        if entries.len() > 2 * BLOCK {
            part.scale =
                Scale::spanning(old.base, leaf.rank_at(version, entries.end - 1, &self.ranking)?);
        }
        for (block, first) in entries.step_by(BLOCK).enumerate() {
            part.hints.set(block, part.scale.hint(leaf.rank_at(version, first, &self.ranking)?));
        }
        Ok(part)
    }

    /// Lists the leaf of a key, and those before it that are not listed either: one whose left neighbour is not cannot
    /// be. Keys that come in order would have them all stay so.
    #[cold]
    #[inline(never)]
    pub(crate) fn list_up_to(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<(), WouldWait> {
        let probe = Probe { target, below: false };
        let Some(mut left) = self.descend_to_leaf(probe, backoff)? else { return Ok(()) };
        // An order that contradicts itself may lead round.
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

    /// Lists the right neighbour of `left` in the fence where `left` is listed. Where that is not to be done now
    /// it is left to others.
    #[inline(never)]
    pub(crate) fn list_right_of(&self, left: Leaf<'_, K, V>, backoff: &mut Backoff) {
        for _ in 0..2 {
            match self.try_list(left, backoff) {
                Some(full) if self.split_fence(full, backoff.may_wait()) => {}
                _ => return,
            }
        }
    }

    /// As `list_right_of`; returns the fence that has no room.
    fn try_list(&self, left: Leaf<'_, K, V>, backoff: &mut Backoff) -> Option<&Fence> {
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
        let Ok(Some(bound)) = right.lo(right_version) else { return None };
        let low = self.search_key(&bound).rank;
        let Ok(Some(fence)) = self.fence_of(left, version, backoff) else { return None };
        if !left.try_lock(version) {
            return None;
        }
        // With both locked they are neighbours, and neither dies.
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

    /// The fence where the leaf is listed, as far as the hints say.
    pub(crate) fn fence_of(
        &self,
        leaf: Leaf<'_, K, V>,
        version: LeafVersion,
        backoff: &mut Backoff,
    ) -> Result<Option<&Fence>, WouldWait> {
        match leaf.lo(version) {
            Err(Changed) => Ok(None),
            Ok(None) => Ok(self.root.table().and_then(|table| table.fence(0))),
            Ok(Some(lo)) => {
                let probe = Probe { target: self.search_key(&lo), below: false };
                self.fence_for(probe, backoff)
            }
        }
    }

    /// Gives a part of a full fence to a new one; false where that cannot be done now.
    #[cold]
    fn split_fence(&self, full: &Fence, wait: bool) -> bool {
        let Ok(true) = self.root.reserve(wait) else { return false };
        let Some(editor) = full.acquire(wait) else { return false };
        if full.count() < FANOUT {
            // Somebody else has done it.
            return true;
        }
        let Some(mut root) = self.root.acquire(wait) else { return false };
        let is_last = root.position(full).is_some_and(|at| root.fence(at + 1).is_none());
        // Keys that come in order fill one fence after the other.
        let cut = if is_last { FANOUT - FANOUT / 4 } else { FANOUT / 2 };
        move_to_new_fence(&editor, &mut root, cut)
    }

    pub(crate) fn start_fence_at(&self, key: &K) -> Result<(), Failure> {
        let mut backoff = Backoff::spinning();
        if self.head().is_none() {
            self.init_root(&mut backoff)?;
        }
        self.start_leaf_at(key, &mut backoff)?;
        let probe = Probe { target: self.search_key(key), below: false };
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

    /// Sees to it that a leaf begins with `key`, where `Ord` has it so.
    pub(crate) fn start_leaf_at(&self, key: &K, backoff: &mut Backoff) -> Result<(), Failure> {
        let Some(location) = self.seek(self.search_key(key), None, backoff)? else { return Ok(()) };
        let begins = matches!(location.leaf.lo(location.version), Ok(Some(lo)) if lo >= *key);
        if begins {
            return Ok(());
        }
        self.split_at((location.leaf, location.version), location.place.at, key, backoff)
    }
}

/// Gives the leaves from `cut` on to a fence that nobody knows yet; false where there is none, or no way to it.
pub(crate) fn move_to_new_fence(
    editor: &FenceEditor<'_>,
    root: &mut RootEditor<'_>,
    cut: usize,
) -> bool {
    let Some(fresh) = root.take_unused() else { return false };
    let theirs = fresh.lock();
    fresh.counters.reset();
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
