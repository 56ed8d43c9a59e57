//! Removals of many entries: leaf by leaf, or of a range as of a single point in time.

use super::descent::FenceTree;
use super::hints::Scale;
use super::leaf::{BLOCK, LeafChanged, LeafHints, LeafLayout, LeafRef, LeafVersion};
use super::policy::KeyPolicy;
use super::range::{Bounds, copy_part, unbounded};
use super::search::CompareKey;
use super::walk::{LeafPart, Resume};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::ops::Bound;

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Keeps the entries for which `keep` returns true, with the values as it leaves them. `keep` runs while nothing is
    /// locked, and again for a leaf that has changed before it could be locked.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, &mut V) -> bool) -> Result<(), Failure> {
        let (mut entries, mut removed_keys) = (Vec::new(), Vec::new());
        let mut backoff = Backoff::spinning();
        let mut resume = Resume::new(Bound::Unbounded);
        loop {
            let _operation = self.scheduled.operation();
            entries.clear();
            removed_keys.clear();
            let Some(part) = self.part(resume, unbounded(), &mut backoff)? else {
                return Ok(());
            };
            let LeafPart { leaf, version, entries: range, next } = part;
            // A part that begins in the middle of a leaf: the walk has done the entries before it, and a merge has put
            // them into this leaf since.
            let first = range.start;
            if !copy_part(leaf, version, 0..range.end, &mut entries)? {
                continue;
            }
            if R::OWNS {
                removed_keys.try_reserve(entries.len()).map_err(|_| Failure::Alloc)?;
            }
            let mut at = 0;
            entries.retain_mut(|(key, value)| {
                at += 1;
                let stays = at <= first || keep(key, value);
                if R::OWNS && !stays {
                    removed_keys.push(*key);
                }
                stays
            });
            if R::OWNS && removed_keys.is_empty()
                || self.rewrite(leaf, version, &entries, &mut removed_keys, &mut backoff)
            {
                let Some(next) = next else { return Ok(()) };
                resume = next;
            }
        }
    }

    /// Removes all entries, leaf by leaf.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        let mut backoff = Backoff::spinning();
        let mut resume = Resume::new(Bound::Unbounded);
        loop {
            let _operation = self.scheduled.operation();
            let Some(part) = self.part(resume, unbounded(), &mut backoff)? else {
                return Ok(());
            };
            let LeafPart { leaf, version, next, .. } = part;
            if version.meta.count() == 0
                || self.rewrite(leaf, version, &[], &mut Vec::new(), &mut backoff)
            {
                let Some(next) = next else { return Ok(()) };
                resume = next;
            }
        }
    }

    /// Replaces the leaf's entries by these, and retires the removed keys. False if the leaf has changed.
    fn rewrite(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        entries: &[(K, V)],
        removed_keys: &mut Vec<K>,
        backoff: &mut Backoff,
    ) -> bool {
        let (before, count) = (version.meta.count(), entries.len());
        let Ok(scale) = leaf.scale_of(version, &self.policy) else { return false };
        let rank = |at: usize| self.search_key(&entries[at].0).rank;
        let scale = if count > 0 { Scale::spanning(scale.base, rank(count - 1)) } else { scale };
        let mut hints = LeafHints::EMPTY;
        for (block, first) in (0..count).step_by(BLOCK).enumerate() {
            hints.set(block, scale.hint(rank(first)));
        }
        // The plan is complete, so nothing below calls user code until the leaf is unlocked.
        if !leaf.try_lock(version) {
            return backoff.wait().is_err();
        }
        for (at, (key, value)) in entries.iter().enumerate() {
            leaf.put_entry(at, key, value);
        }
        leaf.put_hints(&hints);
        leaf.unlock(version, version.meta.with_count(count).with_shift(scale.shift));
        self.retire(removed_keys);
        if count < before {
            self.len.add(-(before - count).cast_signed());
            if count <= LeafLayout::<K, V>::ENTRIES / 4 {
                self.merge_if_sparse(leaf, backoff);
            }
        }
        true
    }

    /// Retires removed entries, before any user code runs: if that panicked, they would leak.
    fn retire(&self, removed_keys: &mut Vec<K>) {
        removed_keys.drain(..).for_each(|key| self.policy.retire_entry(key));
    }

    /// Removes the entries within `bounds` as of a single point in time. Returns their number.
    pub(crate) fn remove_range(
        &self,
        bounds: Bounds<impl CompareKey<K>>,
    ) -> Result<usize, Failure> {
        let _operation = self.scheduled.operation();
        let mut backoff = Backoff::spinning();
        let (mut cuts, mut removed_keys) = (Vec::new(), Vec::new());
        loop {
            if self.plan_cuts(bounds, &mut cuts, &mut removed_keys, &mut backoff)?.is_ok()
                && let Some(removed) = self.cut_out(&cuts, &mut removed_keys, &mut backoff)
            {
                return Ok(removed);
            }
            backoff.wait()?;
        }
    }

    fn plan_cuts<'a>(
        &'a self,
        (start, end): Bounds<impl CompareKey<K>>,
        cuts: &mut Vec<LeafRemoval<'a, K, V>>,
        removed_keys: &mut Vec<K>,
        backoff: &mut Backoff,
    ) -> Result<Result<(), LeafChanged>, Failure> {
        cuts.clear();
        removed_keys.clear();
        let Some((mut leaf, mut version)) = self.leaf_from(start, backoff)? else {
            return Ok(Ok(()));
        };
        let Ok(mut from) = self.first_at(leaf, version, start) else { return Ok(Err(LeafChanged)) };
        loop {
            let Ok((to, is_last)) = self.end_at(leaf, version, end) else {
                return Ok(Err(LeafChanged));
            };
            let Ok(hints) = self.plan_cut(leaf, version, from.min(to)..to) else {
                return Ok(Err(LeafChanged));
            };
            if R::OWNS {
                removed_keys.try_reserve(to.saturating_sub(from)).map_err(|_| Failure::Alloc)?;
                for at in from..to {
                    let Ok(key) = leaf.key(version, at) else { return Ok(Err(LeafChanged)) };
                    removed_keys.push(key);
                }
            }
            cuts.try_reserve(1).map_err(|_| Failure::Alloc)?;
            cuts.push(LeafRemoval { leaf, version, entries: from.min(to)..to, hints });
            if is_last {
                return Ok(Ok(()));
            }
            let Ok(next) = leaf.next(version) else { return Ok(Err(LeafChanged)) };
            (leaf, version, from) = (next, next.begin_unlocked(backoff)?, 0);
            if !version.meta.is_live() {
                return Ok(Err(LeafChanged));
            }
        }
    }

    /// Returns the hints of the leaf without these entries. Computes all ranks while nothing is locked.
    fn plan_cut(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        entries: core::ops::Range<usize>,
    ) -> Result<LeafHints, LeafChanged> {
        let scale = leaf.scale_of(version, &self.policy)?;
        let mut hints = LeafHints::EMPTY;
        for (block, first) in (0..version.meta.count() - entries.len()).step_by(BLOCK).enumerate() {
            let first = if first < entries.start { first } else { first + entries.len() };
            hints.set(block, scale.hint(leaf.rank_at(version, first, &self.policy)?));
        }
        leaf.check(version)?;
        Ok(hints)
    }

    /// Locks all leaves, removes the entries, and unlocks the leaves. None if one has changed.
    fn cut_out(
        &self,
        cuts: &[LeafRemoval<'_, K, V>],
        removed_keys: &mut Vec<K>,
        backoff: &mut Backoff,
    ) -> Option<usize> {
        for (at, cut) in cuts.iter().enumerate() {
            if !cut.leaf.try_lock(cut.version) {
                cuts[..at].iter().for_each(|cut| cut.leaf.unlock_unchanged(cut.version));
                return None;
            }
        }
        // All leaves stay locked until all entries are removed. Otherwise a range could see some of them without the
        // others.
        let mut removed = 0;
        for cut in cuts {
            let (count, some) = (cut.version.meta.count(), cut.entries.len());
            if some > 0 {
                cut.leaf.close_gap(cut.entries.start, some, count);
                cut.leaf.put_hints(&cut.hints);
            }
            removed += some;
        }
        for cut in cuts {
            if cut.entries.is_empty() {
                cut.leaf.unlock_unchanged(cut.version);
            } else {
                let count = cut.version.meta.count() - cut.entries.len();
                cut.leaf.unlock(cut.version, cut.version.meta.with_count(count));
            }
        }
        self.len.add(-removed.cast_signed());
        self.retire(removed_keys);
        for cut in cuts {
            self.merge_if_sparse(cut.leaf, backoff);
        }
        Some(removed)
    }
}

/// The entries to remove from one leaf.
struct LeafRemoval<'a, K, V> {
    leaf: LeafRef<'a, K, V>,
    version: LeafVersion,
    entries: core::ops::Range<usize>,
    hints: LeafHints,
}
