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

use super::directory::{self, FANOUT, Fence, Listing};
use super::hints::Scale;
use super::leaf::{BLOCK, Changed, Form, Leaf, LeafHints, Look, Meta, Seen};
use super::route;
use super::rule::{Kept, Rule};
use super::search::{Sought, Stand};
use super::tree::{Probe, Spot, Tree};
use crate::api::failure::Failure;
use crate::memory::AllocError;
use crate::sync::backoff::{Backoff, WouldWait};

/// A map of no more entries counts them in one word.
const SMALL: isize = 4096;

/// A leaf's hints as they are to be, with their scale.
struct Part {
    hints: LeafHints,
    scale: Scale,
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// Makes the first leaf, fence and table.
    #[cold]
    #[inline(never)]
    pub(super) fn plant(&self, backoff: &mut Backoff) -> Result<(), Failure> {
        let wait = backoff.may_wait();
        let leaf = self.arena.take(backoff)?;
        let look = leaf.begin();
        let locked = leaf.try_lock(look);
        assert!(locked, "nobody else knows the leaf");
        leaf.put_hints(&LeafHints::EMPTY);
        leaf.unlock(look, Meta::ALL.listed());
        let begun = self.route.begin_with(leaf.as_ptr(), wait, || {
            self.set_head(leaf);
            self.set_tail(leaf, 0);
        });
        if let Ok(true) = begun {
            return Ok(());
        }
        // Somebody else was first, or there is no memory. In either case nobody has seen the leaf.
        let look = leaf.begin();
        let locked = leaf.try_lock(look);
        assert!(locked, "nobody else knows the leaf");
        leaf.unlock(look, Meta::DEAD);
        self.arena.give(leaf);
        match begun {
            Ok(_) => backoff.wait().map_err(Failure::from),
            Err(AllocError) => Err(Failure::Alloc),
        }
    }

    /// Splits the full leaf where `key` belongs. Whether or not that comes to pass, the caller looks again.
    #[cold]
    #[inline(never)]
    pub(super) fn split(
        &self,
        spot: &Spot<'_, K, V>,
        key: &K,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let (left, look) = (spot.leaf, spot.look);
        let cut = Self::cut(look, spot.place.at);
        let bound = if cut == look.meta.count() { Ok(*key) } else { left.key(look, cut) };
        let Ok(bound) = bound else { return Ok(()) };
        self.split_at((left, look), cut, &bound, backoff)
    }

    /// Gives the entries from `cut` on to a new leaf, which begins with `bound`.
    pub(super) fn split_at(
        &self,
        (left, look): Seen<'_, K, V>,
        cut: usize,
        bound: &K,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let count = look.meta.count();
        let Ok(parts) = self.plan_split((left, look), cut, bound) else { return Ok(()) };
        let bound_rank = self.sought(bound).rank;
        // A leaf's bound outlives the entry that it comes from.
        let bound = Kept::new(&self.ranking, bound)?;
        let right = self.arena.take(backoff)?;
        if !left.try_lock(look) {
            self.arena.give(right);
            return backoff.wait().map_err(Failure::from);
        }
        // [LF-1] The giver is odd before the receiver is written.
        let right_look = right.begin();
        let locked = right.try_lock(right_look);
        assert!(locked, "a dead leaf is nobody else's");
        left.copy_to(cut, right, 0, count - cut);
        right.put_lo(bound.key());
        right.put_hints(&parts[1].hints);
        // What lies to the right of the right one is what lay to the right of the left one.
        left.copy_end_to(right);
        let meta = Meta::ALL.with_lo().with_hi(look.meta.has_hi());
        left.put_hi(bound.key());
        bound.stored();
        left.put_next(right);
        left.put_hints(&parts[0].hints);
        if !look.meta.has_hi() {
            self.set_tail(right, bound_rank);
        }
        right.unlock(right_look, meta.with_count(count - cut).with_shift(parts[1].scale.shift));
        let meta = look.meta.with_count(cut).with_hi(true);
        left.unlock(look, meta.with_shift(parts[0].scale.shift));
        self.list_right_of(left, backoff);
        self.len.spread_beyond(SMALL);
        Ok(())
    }

    /// How many entries stay in the left leaf, if an entry is to be put in at `at`: keys that come in order fill
    /// one leaf after the other.
    fn cut(look: Look, at: usize) -> usize {
        let count = look.meta.count();
        let few = if Form::<K, V>::BLOCKS > 1 { BLOCK } else { 1 };
        if at == count {
            if look.meta.has_hi() { count - few } else { count }
        } else if at == 0 {
            if look.meta.has_lo() { few } else { 0 }
        } else {
            count / 2
        }
    }

    /// The hints of both halves. All ranks are asked for now, with nothing locked.
    fn plan_split(
        &self,
        (leaf, look): Seen<'_, K, V>,
        cut: usize,
        bound: &K,
    ) -> Result<[Part; 2], Changed> {
        let count = look.meta.count();
        let old = leaf.scale_of(look, &self.ranking)?;
        let left = self.plan_part(leaf, look, 0..cut, old)?;
        let base = Scale { base: self.sought(bound).rank, ..old };
        let right = self.plan_part(leaf, look, cut..count, base)?;
        leaf.check(look)?;
        Ok([left, right])
    }

    /// The hints of a leaf that begins with some of the entries of `leaf`.
    fn plan_part(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        entries: core::ops::Range<usize>,
        old: Scale,
    ) -> Result<Part, Changed> {
        let mut part = Part { hints: LeafHints::EMPTY, scale: old };
        // A few entries say nothing of how far those to come will spread.
        if entries.len() > 2 * BLOCK {
            part.scale =
                Scale::spanning(old.base, leaf.rank_at(look, entries.end - 1, &self.ranking)?);
        }
        for (block, first) in entries.step_by(BLOCK).enumerate() {
            part.hints.set(block, part.scale.hint(leaf.rank_at(look, first, &self.ranking)?));
        }
        Ok(part)
    }

    /// Lists the leaf of a key, and those before it that are not listed either: one whose left neighbour is not cannot
    /// be. Keys that come in order would have them all stay so.
    #[cold]
    #[inline(never)]
    pub(super) fn list_up_to(
        &self,
        sought: Sought<impl Stand<K>>,
        backoff: &mut Backoff,
    ) -> Result<(), WouldWait> {
        let probe = Probe { sought, below: false };
        let Some(mut left) = self.hinted(probe, backoff)? else { return Ok(()) };
        // An order that contradicts itself may lead round.
        for _ in 0..FANOUT {
            self.list_right_of(left, backoff);
            let look = left.begin();
            if look.is_locked() || !look.meta.is_alive() {
                break;
            }
            let (Ok(Some(hi)), Ok(right)) = (left.hi(look), left.next(look)) else { break };
            if sought.compare(&hi).is_lt() {
                break;
            }
            left = right;
        }
        Ok(())
    }

    /// Lists the right neighbour of `left` in the fence where `left` is listed. Where that is not to be done now
    /// it is left to others.
    #[inline(never)]
    pub(super) fn list_right_of(&self, left: Leaf<'_, K, V>, backoff: &mut Backoff) {
        for _ in 0..2 {
            match self.try_list(left, backoff) {
                Some(full) if self.split_fence(full, backoff.may_wait()) => {}
                _ => return,
            }
        }
    }

    /// As `list_right_of`; returns the fence that has no room.
    fn try_list(&self, left: Leaf<'_, K, V>, backoff: &mut Backoff) -> Option<&Fence> {
        let look = left.begin();
        if look.is_locked() || !look.meta.is_alive() || !look.meta.has_hi() {
            return None;
        }
        let Ok(right) = left.next(look) else { return None };
        let right_look = right.begin();
        if right_look.is_locked() || !right_look.meta.is_alive() || right_look.meta.is_listed() {
            return None;
        }
        let Ok(Some(bound)) = right.lo(right_look) else { return None };
        let low = self.sought(&bound).rank;
        let Ok(Some(fence)) = self.fence_of(left, look, backoff) else { return None };
        if !left.try_lock(look) {
            return None;
        }
        // With both locked they are neighbours, and neither dies.
        let mut listing = Listing::Stranger;
        if right.try_lock(right_look) {
            if let Some(editor) = fence.try_lock() {
                listing = editor.insert_after(left.as_ptr(), low, right.as_ptr());
            }
            if listing == Listing::Done {
                right.unlock(right_look, right_look.meta.listed());
            } else {
                right.give_back(right_look);
            }
        }
        left.give_back(look);
        (listing == Listing::Full).then_some(fence)
    }

    /// The fence where the leaf is listed, as far as the hints say.
    pub(super) fn fence_of(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        backoff: &mut Backoff,
    ) -> Result<Option<&Fence>, WouldWait> {
        match leaf.lo(look) {
            Err(Changed) => Ok(None),
            Ok(None) => Ok(self.route.table().and_then(|table| table.fence(0))),
            Ok(Some(lo)) => {
                let probe = Probe { sought: self.sought(&lo), below: false };
                self.fence_for(probe, backoff)
            }
        }
    }

    /// Gives a part of a full fence to a new one; false where that cannot be done now.
    #[cold]
    fn split_fence(&self, full: &Fence, wait: bool) -> bool {
        let Ok(true) = self.route.provide(wait) else { return false };
        let Some(editor) = full.edit(wait) else { return false };
        if full.count() < FANOUT {
            // Somebody else has done it.
            return true;
        }
        let Some(mut route) = self.route.edit(wait) else { return false };
        let is_last = route.position(full).is_some_and(|at| route.fence(at + 1).is_none());
        // Keys that come in order fill one fence after the other.
        let cut = if is_last { FANOUT - FANOUT / 4 } else { FANOUT / 2 };
        give_to_fresh(&editor, &mut route, cut)
    }
}

/// Gives the leaves from `cut` on to a fence that nobody knows yet; false where there is none, or no way to it.
pub(super) fn give_to_fresh(
    editor: &directory::Editor<'_>,
    route: &mut route::Editor<'_>,
    cut: usize,
) -> bool {
    let Some(fresh) = route.take_unused() else { return false };
    let theirs = fresh.lock();
    theirs.forget_tally();
    editor.move_to(cut, &theirs);
    if route.insert_after(editor.fence, fresh.low(0), fresh) {
        editor.truncate(cut);
        editor.sum_up();
        theirs.sum_up();
        return true;
    }
    theirs.truncate(0);
    route.put_back(fresh);
    false
}
