//! Walks leaf by leaf: what `iter`, `iter_range`, `retain` and cursors go by.
//!
//! Leaves cover ranges without gaps. So who goes on where the last leaf ended meets a key that stays exactly once,
//! however leaves are split and joined meanwhile.

use super::hints::Scale;
use super::leaf::{BLOCK, Changed, Form, Leaf, LeafHints, Look, Seen};
use super::range::{Bounds, copy_part, unbounded};
use super::rule::Rule;
use super::search::{Sought, Stand};
use super::tree::{Probe, Tree};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::ops::Bound;

/// Where a walk goes on.
pub(crate) struct Place<'a, K, V> {
    /// The entries from here on are still to come.
    pub(crate) from: Bound<K>,
    /// The leaf that began there, and the state that it had before that was known.
    leaf: Option<Seen<'a, K, V>>,
}

impl<K: Copy, V> Clone for Place<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V> Copy for Place<'_, K, V> {}

impl<K, V> Place<'_, K, V> {
    pub(crate) fn new(from: Bound<K>) -> Self {
        Self { from, leaf: None }
    }
}

/// How far a walk to the left has come.
pub(crate) enum Back<'a, K, V> {
    Start,
    /// It goes on left of this leaf.
    LeftOf(Begun<'a, K, V>),
    End,
}

/// A leaf that began at `lo` when it had this state.
pub(crate) struct Begun<'a, K, V> {
    lo: K,
    seen: Seen<'a, K, V>,
}

impl<K: Copy, V> Clone for Back<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V> Copy for Back<'_, K, V> {}

impl<K: Copy, V> Clone for Begun<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V> Copy for Begun<'_, K, V> {}

/// A leaf, and how many of its first entries a walk to the left is to return.
type UpTo<'a, K, V> = (Seen<'a, K, V>, usize);

/// A leaf's part in a walk.
pub(super) struct Part<'a, K, V> {
    pub(super) leaf: Leaf<'a, K, V>,
    pub(super) look: Look,
    pub(super) entries: core::ops::Range<usize>,
    /// Where to go on; None at the end.
    pub(super) next: Option<Place<'a, K, V>>,
}

impl<K: Copy, V> Clone for Part<'_, K, V> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), ..*self }
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// Adds the entries of one leaf, from `place` on and up to `end`, to `into`. Returns where to go on.
    pub(crate) fn snapshot<'a>(
        &'a self,
        place: Place<'a, K, V>,
        end: Bound<Sought<impl Stand<K>>>,
        into: &mut Vec<(K, V)>,
    ) -> Result<Option<Place<'a, K, V>>, Failure> {
        let mut backoff = Backoff::spinning();
        loop {
            let Some(part) = self.part(place, end, &mut backoff)? else { return Ok(None) };
            if copy_part(part.leaf, part.look, part.entries, into)? {
                return Ok(part.next);
            }
        }
    }

    /// As `snapshot`, where a walk begins.
    #[cfg(not(hedgerow_loom))]
    pub(crate) fn snapshot_from<'a>(
        &'a self,
        start: Bound<Sought<impl Stand<K>>>,
        end: Bound<Sought<impl Stand<K>>>,
        into: &mut Vec<(K, V)>,
    ) -> Result<Option<Place<'a, K, V>>, Failure> {
        let mut backoff = Backoff::spinning();
        loop {
            let Some(part) = self.part_from(start, end, &mut backoff)? else { return Ok(None) };
            if copy_part(part.leaf, part.look, part.entries, into)? {
                return Ok(part.next);
            }
        }
    }

    /// As `snapshot`, to the left: adds the next leaf's entries, from `start` on, and up to `end` where the walk
    /// begins. False at the end.
    pub(crate) fn snapshot_back<'a>(
        &'a self,
        back: &mut Back<'a, K, V>,
        (start, end): (Bound<Sought<impl Stand<K>>>, Bound<Sought<impl Stand<K>>>),
        into: &mut Vec<(K, V)>,
    ) -> Result<bool, Failure> {
        let mut backoff = Backoff::spinning();
        loop {
            let found = match *back {
                Back::Start => self.last_up_to(end, &mut backoff)?,
                Back::LeftOf(right) => self.part_left_of(right, &mut backoff)?,
                Back::End => None,
            };
            let Some((seen, to)) = found else {
                *back = Back::End;
                return Ok(false);
            };
            let (leaf, look) = seen;
            let Ok(lo) = leaf.lo(look) else { continue };
            let starts_before = |lo: &K| match start {
                Bound::Included(start) | Bound::Excluded(start) => start.compare(lo).is_lt(),
                Bound::Unbounded => true,
            };
            let next = match lo {
                Some(lo) if starts_before(&lo) => Back::LeftOf(Begun { lo, seen }),
                _ => Back::End,
            };
            let from = match next {
                Back::End => self.first_at(leaf, look, start),
                _ => Ok(0),
            };
            let Ok(from) = from else { continue };
            if copy_part(leaf, look, from.min(to)..to, into)? {
                *back = next;
                return Ok(true);
            }
        }
    }

    /// The leaf where a range ends, and how many of its entries come before that.
    fn last_up_to(
        &self,
        end: Bound<Sought<impl Stand<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<UpTo<'_, K, V>>, Failure> {
        loop {
            let seen = match end {
                Bound::Included(sought) => self.locate(Probe { sought, below: false }, backoff)?,
                Bound::Excluded(sought) => self.locate(Probe { sought, below: true }, backoff)?,
                Bound::Unbounded => self.last_leaf(backoff)?,
            };
            let Some((leaf, look)) = seen else { return Ok(None) };
            if let Ok((to, _)) = self.end_at(leaf, look, end) {
                return Ok(Some(((leaf, look), to)));
            }
        }
    }

    /// The leaf left of where `right` began, and how many of its entries come before that.
    fn part_left_of<'a>(
        &'a self,
        right: Begun<'a, K, V>,
        backoff: &mut Backoff,
    ) -> Result<Option<UpTo<'a, K, V>>, Failure> {
        let (leaf, before) = right.seen;
        // The left neighbour of a leaf that has not changed ends where that leaf begins, and no key is compared to find
        // it. So a walk over unchanged leaves ends, even if the order of keys contradicts itself.
        if leaf.is_as(before)
            && let Some((left, look)) = self.left_of_leaf(leaf, &right.lo, backoff)?
            && leaf.is_as(before)
        {
            return Ok(Some(((left, look), look.meta.count())));
        }
        self.last_up_to(Bound::Excluded(self.sought(&right.lo)), backoff)
    }

    /// The part of one leaf, not yet copied.
    pub(super) fn part<'a>(
        &'a self,
        place: Place<'a, K, V>,
        end: Bound<Sought<impl Stand<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Part<'a, K, V>>, Failure> {
        if let Some(seen) = Self::begins_at(place)
            && let Ok(part) = self.part_of(seen, unbounded(), end)
        {
            return Ok(Some(part));
        }
        self.part_from(self.bound(place.from.as_ref()), end, backoff)
    }

    fn part_from<'a>(
        &'a self,
        start: Bound<Sought<impl Stand<K>>>,
        end: Bound<Sought<impl Stand<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Part<'a, K, V>>, Failure> {
        loop {
            let Some(seen) = self.leaf_from(start, backoff)? else { return Ok(None) };
            if let Ok(part) = self.part_of(seen, start, end) {
                return Ok(Some(part));
            }
        }
    }

    fn part_of<'a>(
        &'a self,
        (leaf, look): Seen<'a, K, V>,
        start: Bound<Sought<impl Stand<K>>>,
        end: Bound<Sought<impl Stand<K>>>,
    ) -> Result<Part<'a, K, V>, Changed> {
        let from = self.first_at(leaf, look, start)?;
        let (to, is_last) = self.end_at(leaf, look, end)?;
        let next = match leaf.hi(look)? {
            Some(hi) if !is_last => {
                let next = leaf.next(look)?;
                // Before the look at `leaf` is validated, which says that the next one begins at `hi`: as long as it
                // has this state, it still does.
                let seen = (next, next.begin());
                // On its way while its left neighbour's entries are looked at.
                next.prefetch();
                for block in 0..2 {
                    next.prefetch_keys(block);
                    next.prefetch_values(block);
                }
                leaf.check(look)?;
                Some(Place { from: Bound::Included(hi), leaf: Some(seen) })
            }
            _ => None,
        };
        Ok(Part { leaf, look, entries: from.min(to)..to, next })
    }

    /// The leaf that the place remembers, if it begins there still.
    fn begins_at(place: Place<'_, K, V>) -> Option<Seen<'_, K, V>> {
        let (Some((leaf, before)), Bound::Included(from)) = (place.leaf, place.from) else {
            return None;
        };
        let look = leaf.begin();
        if look.is_locked() || !look.meta.is_alive() {
            return None;
        }
        // No key is compared in a leaf that has not changed. So a walk over unchanged leaves ends, even if the order
        // and the equality of keys contradict themselves.
        let unchanged = !before.is_locked() && leaf.is_as(before);
        let begins = unchanged || leaf.lo(look).ok()?.is_some_and(|lo| lo == from);
        begins.then_some((leaf, look))
    }

    /// Keeps the entries for which `keep` says true, as it leaves their values. It runs with nothing locked, and
    /// again for a leaf that has changed meanwhile.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, &mut V) -> bool) -> Result<(), Failure> {
        let (mut entries, mut gone) = (Vec::new(), Vec::new());
        let mut backoff = Backoff::spinning();
        let mut place = Place::new(Bound::Unbounded);
        loop {
            entries.clear();
            gone.clear();
            let Some(part) = self.part(place, unbounded(), &mut backoff)? else {
                return Ok(());
            };
            let Part { leaf, look, entries: range, next } = part;
            // A place in the middle of a leaf: the leaf was joined to its left neighbour, which has been done.
            let first = range.start;
            if !copy_part(leaf, look, 0..range.end, &mut entries)? {
                continue;
            }
            if R::OWNS {
                gone.try_reserve(entries.len()).map_err(|_| Failure::Alloc)?;
            }
            let mut at = 0;
            entries.retain_mut(|(key, value)| {
                at += 1;
                let stays = at <= first || keep(key, value);
                if R::OWNS && !stays {
                    gone.push(*key);
                }
                stays
            });
            if R::OWNS && gone.is_empty()
                || self.rewrite(leaf, look, &entries, &mut gone, &mut backoff)
            {
                let Some(next) = next else { return Ok(()) };
                place = next;
            }
        }
    }

    /// Removes all entries, leaf by leaf.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        let mut backoff = Backoff::spinning();
        let mut place = Place::new(Bound::Unbounded);
        loop {
            let Some(part) = self.part(place, unbounded(), &mut backoff)? else {
                return Ok(());
            };
            let Part { leaf, look, next, .. } = part;
            if look.meta.count() == 0
                || self.rewrite(leaf, look, &[], &mut Vec::new(), &mut backoff)
            {
                let Some(next) = next else { return Ok(()) };
                place = next;
            }
        }
    }

    /// Lets the leaf have these of its entries, without those that are gone, if it has not changed since the look.
    fn rewrite(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        entries: &[(K, V)],
        gone: &mut Vec<K>,
        backoff: &mut Backoff,
    ) -> bool {
        let (before, count) = (look.meta.count(), entries.len());
        let Ok(scale) = leaf.scale_of(look, &self.ranking) else { return false };
        let rank = |at: usize| self.sought(&entries[at].0).rank;
        let scale = if count > 0 { Scale::spanning(scale.base, rank(count - 1)) } else { scale };
        let mut hints = LeafHints::EMPTY;
        for (block, first) in (0..count).step_by(BLOCK).enumerate() {
            hints.set(block, scale.hint(rank(first)));
        }
        if !leaf.try_lock(look) {
            return backoff.wait().is_err();
        }
        for (at, (key, value)) in entries.iter().enumerate() {
            leaf.put_entry(at, key, value);
        }
        leaf.put_hints(&hints);
        leaf.unlock(look, look.meta.with_count(count).with_shift(scale.shift));
        self.retire(gone);
        if count < before {
            self.len.add(-(before - count).cast_signed());
            if count <= Form::<K, V>::ENTRIES / 4 {
                self.tidy(leaf, backoff);
            }
        }
        true
    }

    /// Ends entries that were removed, before user code can keep that from being done.
    fn retire(&self, gone: &mut Vec<K>) {
        gone.drain(..).for_each(|key| self.ranking.retire_entry(key));
    }

    /// Removes the entries within `bounds` as of one moment; says how many there were.
    pub(crate) fn remove_range(&self, bounds: Bounds<impl Stand<K>>) -> Result<usize, Failure> {
        let mut backoff = Backoff::spinning();
        let (mut cuts, mut gone) = (Vec::new(), Vec::new());
        loop {
            if self.plan_cuts(bounds, &mut cuts, &mut gone, &mut backoff)?.is_ok()
                && let Some(removed) = self.cut_out(&cuts, &mut gone, &mut backoff)
            {
                return Ok(removed);
            }
            backoff.wait()?;
        }
    }

    fn plan_cuts<'a>(
        &'a self,
        (start, end): Bounds<impl Stand<K>>,
        cuts: &mut Vec<Cut<'a, K, V>>,
        gone: &mut Vec<K>,
        backoff: &mut Backoff,
    ) -> Result<Result<(), Changed>, Failure> {
        cuts.clear();
        gone.clear();
        let Some((mut leaf, mut look)) = self.leaf_from(start, backoff)? else { return Ok(Ok(())) };
        let Ok(mut from) = self.first_at(leaf, look, start) else { return Ok(Err(Changed)) };
        loop {
            let Ok((to, is_last)) = self.end_at(leaf, look, end) else { return Ok(Err(Changed)) };
            let Ok(hints) = self.plan_cut(leaf, look, from.min(to)..to) else {
                return Ok(Err(Changed));
            };
            if R::OWNS {
                gone.try_reserve(to.saturating_sub(from)).map_err(|_| Failure::Alloc)?;
                for at in from..to {
                    let Ok(key) = leaf.key(look, at) else { return Ok(Err(Changed)) };
                    gone.push(key);
                }
            }
            cuts.try_reserve(1).map_err(|_| Failure::Alloc)?;
            cuts.push(Cut { leaf, look, entries: from.min(to)..to, hints });
            if is_last {
                return Ok(Ok(()));
            }
            let Ok(next) = leaf.next(look) else { return Ok(Err(Changed)) };
            (leaf, look, from) = (next, next.begin(), 0);
            while look.is_locked() {
                backoff.wait()?;
                look = leaf.begin();
            }
            if !look.meta.is_alive() {
                return Ok(Err(Changed));
            }
        }
    }

    /// The hints of the leaf without these entries.
    fn plan_cut(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        entries: core::ops::Range<usize>,
    ) -> Result<LeafHints, Changed> {
        let scale = leaf.scale_of(look, &self.ranking)?;
        let mut hints = LeafHints::EMPTY;
        for (block, first) in (0..look.meta.count() - entries.len()).step_by(BLOCK).enumerate() {
            let first = if first < entries.start { first } else { first + entries.len() };
            hints.set(block, scale.hint(leaf.rank_at(look, first, &self.ranking)?));
        }
        leaf.check(look)?;
        Ok(hints)
    }

    /// Locks all leaves, then cuts, then unlocks them; None if one has changed since it was looked at.
    fn cut_out(
        &self,
        cuts: &[Cut<'_, K, V>],
        gone: &mut Vec<K>,
        backoff: &mut Backoff,
    ) -> Option<usize> {
        for (at, cut) in cuts.iter().enumerate() {
            if !cut.leaf.try_lock(cut.look) {
                cuts[..at].iter().for_each(|cut| cut.leaf.give_back(cut.look));
                return None;
            }
        }
        let mut removed = 0;
        for cut in cuts {
            let (count, some) = (cut.look.meta.count(), cut.entries.len());
            if some > 0 {
                cut.leaf.close_gap(cut.entries.start, some, count);
                cut.leaf.put_hints(&cut.hints);
            }
            removed += some;
        }
        for cut in cuts {
            if cut.entries.is_empty() {
                cut.leaf.give_back(cut.look);
            } else {
                let count = cut.look.meta.count() - cut.entries.len();
                cut.leaf.unlock(cut.look, cut.look.meta.with_count(count));
            }
        }
        self.len.add(-removed.cast_signed());
        self.retire(gone);
        for cut in cuts {
            self.tidy(cut.leaf, backoff);
        }
        Some(removed)
    }
}

/// What goes out of one leaf.
struct Cut<'a, K, V> {
    leaf: Leaf<'a, K, V>,
    look: Look,
    entries: core::ops::Range<usize>,
    hints: LeafHints,
}
