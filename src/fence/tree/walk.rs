//! Walks leaf by leaf, for `iter`, `iter_range`, `retain` and cursors.
//!
//! The ranges of the leaves have no gaps between them. So a walk that goes on at the upper bound of the last leaf meets
//! each key that stays exactly once, even if leaves are split and merged meanwhile.

use super::descent::{FenceTree, SearchProbe};
use super::leaf::{LeafChanged, LeafRef, LeafVersion, VersionedLeaf};
use super::policy::KeyPolicy;
use super::range::{copy_part, unbounded};
use super::search::{CompareKey, SearchKey};
use crate::api::failure::Failure;
use crate::facade::IN_USERS_MODEL;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::ops::Bound;

/// Where a walk goes on.
pub(crate) struct Resume<'a, K, V> {
    /// The walk has yet to return the entries within this lower bound.
    pub(crate) from: Bound<K>,
    /// The leaf that began there, with a version that was read before its left neighbour was validated.
    leaf: Option<VersionedLeaf<'a, K, V>>,
}

impl<K: Copy, V> Clone for Resume<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V> Copy for Resume<'_, K, V> {}

impl<K, V> Resume<'_, K, V> {
    pub(crate) fn new(from: Bound<K>) -> Self {
        Self { from, leaf: None }
    }
}

/// How far a walk from the end has come.
pub(crate) enum BackResume<'a, K, V> {
    Start,
    /// It goes on left of this leaf.
    LeftOf(LeafStart<'a, K, V>),
    End,
}

/// A leaf that had the lower bound `lo` under this version.
pub(crate) struct LeafStart<'a, K, V> {
    lo: K,
    seen: VersionedLeaf<'a, K, V>,
}

impl<K: Copy, V> Clone for BackResume<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V> Copy for BackResume<'_, K, V> {}

impl<K: Copy, V> Clone for LeafStart<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Copy, V> Copy for LeafStart<'_, K, V> {}

/// A leaf, and how many of its first entries a walk from the end has yet to return.
type UpTo<'a, K, V> = (VersionedLeaf<'a, K, V>, usize);

/// A walk's part of one leaf.
pub(crate) struct LeafPart<'a, K, V> {
    pub(crate) leaf: LeafRef<'a, K, V>,
    pub(crate) version: LeafVersion,
    pub(crate) entries: core::ops::Range<usize>,
    /// Where the walk goes on. None at the end.
    pub(crate) next: Option<Resume<'a, K, V>>,
}

impl<K: Copy, V> Clone for LeafPart<'_, K, V> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), ..*self }
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Appends the entries of one leaf, from `place` up to `end`, to `into`. Returns where the walk goes on.
    pub(crate) fn copy_next_leaf<'a>(
        &'a self,
        place: Resume<'a, K, V>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        into: &mut Vec<(K, V)>,
    ) -> Result<Option<Resume<'a, K, V>>, Failure> {
        let _operation = self.scheduled.operation();
        let mut backoff = Backoff::spinning();
        loop {
            let Some(part) = self.part(place, end, &mut backoff)? else { return Ok(None) };
            let Ok(part) = Self::part_of_a_step(part) else { continue };
            if copy_part(part.leaf, part.version, part.entries, into)? {
                return Ok(part.next);
            }
        }
    }

    /// As `copy_next_leaf`, for the start of a walk.
    #[cfg(not(hedgerow_loom))]
    pub(crate) fn copy_first_leaf<'a>(
        &'a self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        into: &mut Vec<(K, V)>,
    ) -> Result<Option<Resume<'a, K, V>>, Failure> {
        let _operation = self.scheduled.operation();
        let mut backoff = Backoff::spinning();
        loop {
            let Some(part) = self.part_from(start, end, &mut backoff)? else { return Ok(None) };
            let Ok(part) = Self::part_of_a_step(part) else { continue };
            if copy_part(part.leaf, part.version, part.entries, into)? {
                return Ok(part.next);
            }
        }
    }

    /// As `copy_next_leaf`, for a walk from the end: appends the entries of the next leaf to the left. `end` is only
    /// used for the first leaf. False when the walk is over.
    pub(crate) fn copy_previous_leaf<'a>(
        &'a self,
        back: &mut BackResume<'a, K, V>,
        (start, end): (Bound<SearchKey<impl CompareKey<K>>>, Bound<SearchKey<impl CompareKey<K>>>),
        into: &mut Vec<(K, V)>,
    ) -> Result<bool, Failure> {
        let _operation = self.scheduled.operation();
        let mut backoff = Backoff::spinning();
        loop {
            let found = match *back {
                BackResume::Start => self.last_up_to(end, &mut backoff)?,
                BackResume::LeftOf(right) => self.part_left_of(right, &mut backoff)?,
                BackResume::End => None,
            };
            let Some((seen, to)) = found else {
                *back = BackResume::End;
                return Ok(false);
            };
            let (leaf, version) = seen;
            let Ok(lo) = leaf.lo(version) else { continue };
            let starts_before = |lo: &K| match start {
                Bound::Included(start) | Bound::Excluded(start) => start.compare(lo).is_lt(),
                Bound::Unbounded => true,
            };
            let next = match lo {
                Some(lo) if starts_before(&lo) => BackResume::LeftOf(LeafStart { lo, seen }),
                _ => BackResume::End,
            };
            let from = match next {
                BackResume::End => self.first_at(leaf, version, start),
                _ => Ok(0),
            };
            let Ok(from) = from else { continue };
            if copy_part(leaf, version, from.min(to)..to, into)? {
                *back = next;
                return Ok(true);
            }
        }
    }

    /// Returns the leaf where a range ends, and how many of its entries come before that end.
    fn last_up_to(
        &self,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<UpTo<'_, K, V>>, Failure> {
        loop {
            let seen = match end {
                Bound::Included(target) => {
                    self.find_leaf(SearchProbe { target, below: false }, backoff)?
                }
                Bound::Excluded(target) => {
                    self.find_leaf(SearchProbe { target, below: true }, backoff)?
                }
                Bound::Unbounded => self.last_leaf(backoff)?,
            };
            let Some((leaf, version)) = seen else { return Ok(None) };
            if let Ok((to, _)) = self.end_at(leaf, version, end) {
                return Ok(Some(((leaf, version), to)));
            }
        }
    }

    /// Returns the leaf left of `right`, and how many of its entries come before the lower bound that `right` had.
    fn part_left_of<'a>(
        &'a self,
        right: LeafStart<'a, K, V>,
        backoff: &mut Backoff,
    ) -> Result<Option<UpTo<'a, K, V>>, Failure> {
        let (leaf, before) = right.seen;
        // If `right` is unchanged, its left neighbour ends where it begins, and no key has to be compared with that. So
        // a walk over unchanged leaves ends, even if the keys' `Ord` is inconsistent.
        if leaf.validate(before)
            && let Some((left, version)) = self.left_neighbour(leaf, &right.lo, backoff)?
            && leaf.validate(before)
        {
            return Ok(Some(((left, version), version.meta.count())));
        }
        self.last_up_to(Bound::Excluded(self.search_key(&right.lo)), backoff)
    }

    /// Returns the walk's part of the next leaf, for the caller to copy.
    pub(crate) fn part<'a>(
        &'a self,
        place: Resume<'a, K, V>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<LeafPart<'a, K, V>>, Failure> {
        if let Some(seen) = Self::remembered_leaf(place)
            && let Ok(part) = self.part_of(seen, unbounded(), end)
        {
            return Ok(Some(part));
        }
        self.part_from(self.bound(place.from.as_ref()), end, backoff)
    }

    /// Returns the first entry of a part, if a walk in a model has a step for each entry; else the part.
    #[inline(always)]
    pub(super) fn part_of_a_step(
        part: LeafPart<'_, K, V>,
    ) -> Result<LeafPart<'_, K, V>, LeafChanged> {
        if !IN_USERS_MODEL || part.entries.len() <= 1 {
            return Ok(part);
        }
        let first = part.entries.start;
        let next = Resume::new(Bound::Excluded(part.leaf.key(part.version, first)?));
        Ok(LeafPart { entries: first..first + 1, next: Some(next), ..part })
    }

    fn part_from<'a>(
        &'a self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<LeafPart<'a, K, V>>, Failure> {
        loop {
            let Some(seen) = self.leaf_from(start, backoff)? else { return Ok(None) };
            if let Ok(part) = self.part_of(seen, start, end) {
                return Ok(Some(part));
            }
        }
    }

    fn part_of<'a>(
        &'a self,
        (leaf, version): VersionedLeaf<'a, K, V>,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<LeafPart<'a, K, V>, LeafChanged> {
        let from = self.first_at(leaf, version, start)?;
        let (to, is_last) = self.end_at(leaf, version, end)?;
        let next = match leaf.hi(version)? {
            Some(hi) if !is_last => {
                let next = leaf.next(version)?;
                // Read before `leaf` is validated, which proves that the next leaf began at `hi` then. As long as that
                // leaf has this version, it still does.
                let seen = (next, next.begin());
                // Fetched while the caller copies the entries of `leaf`.
                next.prefetch();
                for block in 0..2 {
                    next.prefetch_keys(block);
                    next.prefetch_values(block);
                }
                leaf.check(version)?;
                Some(Resume { from: Bound::Included(hi), leaf: Some(seen) })
            }
            _ => None,
        };
        Ok(LeafPart { leaf, version, entries: from.min(to)..to, next })
    }

    /// Returns the leaf that `place` remembers, if it still begins there.
    fn remembered_leaf(place: Resume<'_, K, V>) -> Option<VersionedLeaf<'_, K, V>> {
        let (Some((leaf, before)), Bound::Included(from)) = (place.leaf, place.from) else {
            return None;
        };
        let version = leaf.begin();
        if version.is_locked() || !version.meta.is_live() {
            return None;
        }
        // No key is compared with the bound of an unchanged leaf. So a walk over unchanged leaves ends, even if the
        // keys' `Ord` and `Eq` are inconsistent.
        let unchanged = !before.is_locked() && leaf.validate(before);
        let begins = unchanged || leaf.lo(version).ok()?.is_some_and(|lo| lo == from);
        begins.then_some((leaf, version))
    }
}
