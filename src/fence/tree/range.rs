//! Ranges as consistent snapshots.
//!
//! A range is copied leaf by leaf, and then all its leaves are validated together. If one has changed, the copy starts
//! again. After some failures it is made with all leaves locked.
//!
//! # Synchronization
//! A range without locks is consistent by `[RA-1]` ([`read_set`](super::read_set)): it linearizes between the last
//! first read of a leaf and the first validation. A range with locks linearizes when its last lock is taken.

use super::descent::{FenceTree, SearchProbe};
use super::leaf::{LeafChanged, LeafLayout, LeafRef, LeafVersion, VersionedLeaf};
use super::policy::KeyPolicy;
use super::read_set::ReadSet;
use super::search::{CompareKey, LeafPlace, SearchKey};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Bound;

/// Number of attempts without locks.
const TRIES: usize = if cfg!(hedgerow_loom) { 2 } else { 8 };

/// The bounds of a range.
pub(crate) type Bounds<S> = (Bound<SearchKey<S>>, Bound<SearchKey<S>>);

/// A bound that excludes nothing.
pub(crate) fn unbounded<'q, K>() -> Bound<SearchKey<&'q K>> {
    Bound::Unbounded
}

/// Returns whether all keys up to `end` are below `hi`, the upper bound of a leaf.
fn ends_before<K>(end: Bound<SearchKey<impl CompareKey<K>>>, hi: &K) -> bool {
    match end {
        Bound::Included(end) => end.compare(hi).is_lt(),
        Bound::Excluded(end) => end.compare(hi).is_le(),
        Bound::Unbounded => false,
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    pub(crate) fn bound<'q>(&self, bound: Bound<&'q K>) -> Bound<SearchKey<&'q K>> {
        bound.map(|key| self.search_key(key))
    }

    /// Returns the leaf where a range begins. None in a map that has never had an entry.
    pub(crate) fn leaf_from(
        &self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'_, K, V>>, Failure> {
        if let Bound::Included(target) | Bound::Excluded(target) = start {
            let probe = SearchProbe { target, below: false };
            return Ok(self.find_leaf(probe, backoff)?);
        }
        let Some(head) = self.head() else { return Ok(None) };
        Ok(Some((head, head.begin_unlocked(backoff)?)))
    }

    /// Returns the number of the leaf's entries before the start of a range.
    pub(crate) fn first_at(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        start: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<usize, LeafChanged> {
        let place = |target| leaf.place(version, target, &self.policy);
        Ok(match start {
            Bound::Included(target) => place(target)?.at,
            Bound::Excluded(target) => Self::index_after(place(target)?),
            Bound::Unbounded => 0,
        })
    }

    /// Returns the number of the leaf's entries before the end of a range, and whether the range ends in this leaf.
    pub(crate) fn end_at(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        end: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<(usize, bool), LeafChanged> {
        let count = version.meta.count();
        let place = |target| leaf.place(version, target, &self.policy);
        if let Some(hi) = leaf.hi(version)?
            && !ends_before(end, &hi)
        {
            return Ok((count, false));
        }
        let at = match end {
            Bound::Included(target) => Self::index_after(place(target)?),
            Bound::Excluded(target) => place(target)?.at,
            Bound::Unbounded => count,
        };
        Ok((at, true))
    }

    pub(crate) fn index_after(place: LeafPlace) -> usize {
        place.at + usize::from(place.found)
    }

    /// Fills `into` with the entries within `bounds`, as of a single point in time.
    pub(crate) fn range(
        &self,
        bounds: Bounds<impl CompareKey<K>>,
        into: &mut Vec<(K, V)>,
        mut backoff: Backoff,
    ) -> Result<(), Failure> {
        let _operation = self.scheduled.operation();
        let mut read_set = ReadSet::new();
        for _ in 0..TRIES {
            into.clear();
            read_set.clear();
            let copy = |leaf, version, part| copy_part(leaf, version, part, into);
            if self.visit_leaves(bounds, &mut read_set, &mut backoff, copy)?
                && read_set.validate_all()
            {
                return Ok(());
            }
        }
        if !backoff.may_wait() {
            return Err(Failure::Busy);
        }
        // Writers keep changing the leaves, so without locks this might never end. The number of leaves may have
        // changed too: memory for them cannot be allocated under the locks.
        let mut leaves = read_set.len() + 1;
        while !self.copy_locked(bounds, into, &mut read_set, leaves, &mut backoff)? {
            leaves *= 2;
        }
        Ok(())
    }

    /// Returns the number of entries within `bounds`, as of a single point in time.
    pub(crate) fn range_len(
        &self,
        bounds: Bounds<impl CompareKey<K>>,
        mut backoff: Backoff,
    ) -> Result<usize, Failure> {
        let _operation = self.scheduled.operation();
        let mut read_set = ReadSet::new();
        for _ in 0..TRIES {
            read_set.clear();
            let mut len = 0;
            let count = |leaf: LeafRef<'_, K, V>, version, part: core::ops::Range<usize>| {
                len += part.len();
                Ok(leaf.validate(version))
            };
            if self.visit_leaves(bounds, &mut read_set, &mut backoff, count)?
                && read_set.validate_all()
            {
                return Ok(len);
            }
        }
        // Writers keep changing the leaves, so they are locked and copied.
        let mut entries = Vec::new();
        self.range(bounds, &mut entries, backoff)?;
        Ok(entries.len())
    }

    /// Reads the leaves of a range in order, and calls `each` with the range's part of each. `each` returns whether
    /// the leaf is unchanged. Returns false, at once, if one has changed.
    fn visit_leaves<'a>(
        &'a self,
        (start, end): Bounds<impl CompareKey<K>>,
        read_set: &mut ReadSet<'a, K, V>,
        backoff: &mut Backoff,
        mut each: impl FnMut(
            LeafRef<'a, K, V>,
            LeafVersion,
            core::ops::Range<usize>,
        ) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let Some((mut leaf, mut version)) = self.leaf_from(start, backoff)? else {
            return Ok(true);
        };
        let Ok(mut from) = self.first_at(leaf, version, start) else { return Ok(false) };
        loop {
            let Ok((to, is_last)) = self.end_at(leaf, version, end) else { return Ok(false) };
            if !each(leaf, version, from..to)? {
                return Ok(false);
            }
            read_set.push(leaf, version)?;
            if is_last {
                return Ok(true);
            }
            let Ok(next) = leaf.next(version) else { return Ok(false) };
            (leaf, version, from) = (next, next.begin(), 0);
            while version.is_locked() {
                backoff.wait()?;
                version = leaf.begin();
            }
            // Retired after its left neighbour was read.
            if !version.meta.is_live() {
                return Ok(false);
            }
        }
    }

    /// Copies a range with up to `leaves` leaves locked. False if the range has more leaves. Runs no user code and
    /// allocates nothing while a leaf is locked.
    fn copy_locked<'a>(
        &'a self,
        (start, end): Bounds<impl CompareKey<K>>,
        into: &mut Vec<(K, V)>,
        read_set: &mut ReadSet<'a, K, V>,
        leaves: usize,
        backoff: &mut Backoff,
    ) -> Result<bool, Failure> {
        into.clear();
        read_set.clear();
        let entries = leaves.checked_mul(LeafLayout::<K, V>::ENTRIES).ok_or(Failure::Alloc)?;
        into.try_reserve(entries).map_err(|_| Failure::Alloc)?;
        read_set.reserve(leaves)?;
        let (mut leaf, mut version) = loop {
            let Some((leaf, version)) = self.leaf_from(start, backoff)? else { return Ok(true) };
            if leaf.try_lock(version) {
                break (leaf, version);
            }
            backoff.wait()?;
        };
        loop {
            // Does not allocate: memory for it was reserved above.
            read_set.push(leaf, version)?;
            let count = version.meta.count();
            let spare = &mut into.spare_capacity_mut()[..count];
            copy_raw(leaf, 0, spare);
            // SAFETY: initialized by `copy_raw` under the leaf's lock, within the capacity reserved above.
            unsafe { into.set_len(into.len() + count) };
            if read_set.len() == leaves || !version.meta.has_hi() {
                break;
            }
            leaf = leaf.next_locked();
            version = lock_next(leaf);
        }
        let hi = leaf.hi_locked(version);
        read_set.unlock_unchanged();
        if hi.is_some_and(|hi| !ends_before(end, &hi)) {
            return Ok(false);
        }
        // With nothing locked any more, since `Ord` is user code: whole leaves were copied, and their ends are cut off.
        let is_beyond = |key: &K| match end {
            Bound::Included(end) => end.compare(key).is_lt(),
            Bound::Excluded(end) => end.compare(key).is_le(),
            Bound::Unbounded => false,
        };
        into.truncate(into.partition_point(|(key, _)| !is_beyond(key)));
        let is_before = |key: &K| match start {
            Bound::Included(start) => start.compare(key).is_gt(),
            Bound::Excluded(start) => start.compare(key).is_ge(),
            Bound::Unbounded => false,
        };
        into.drain(..into.partition_point(|(key, _)| is_before(key)));
        Ok(true)
    }
}

/// Locks a leaf whose left neighbour the caller has locked, so that it cannot be retired in the meantime.
fn lock_next<K: Copy, V: Copy>(leaf: LeafRef<'_, K, V>) -> LeafVersion {
    let mut backoff = Backoff::spinning();
    loop {
        let version = leaf.begin();
        if leaf.try_lock(version) {
            return version;
        }
        // A spinning backoff always waits. Locks are taken in key order, so this one is released at some time.
        let _ = backoff.wait();
    }
}

/// Copies entries that may be torn; the caller validates the leaf before it reads them.
#[inline(always)]
pub(crate) fn copy_raw<K: Copy, V: Copy>(
    leaf: LeafRef<'_, K, V>,
    from: usize,
    into: &mut [MaybeUninit<(K, V)>],
) {
    for (index, slot) in into.iter_mut().enumerate() {
        let entry = slot.as_mut_ptr();
        // SAFETY: the fields of a slot that the caller borrows. Bytes that may be torn are written as `MaybeUninit`.
        unsafe {
            (&raw mut (*entry).0).cast::<MaybeUninit<K>>().write(leaf.fetch_key(from + index));
            (&raw mut (*entry).1).cast::<MaybeUninit<V>>().write(leaf.fetch_value(from + index));
        }
    }
}

/// Appends entries of a leaf to `into`. False if the leaf has changed since `version`.
pub(crate) fn copy_part<K: Copy, V: Copy>(
    leaf: LeafRef<'_, K, V>,
    version: LeafVersion,
    part: core::ops::Range<usize>,
    into: &mut Vec<(K, V)>,
) -> Result<bool, Failure> {
    let some = part.end.saturating_sub(part.start);
    into.try_reserve(some).map_err(|_| Failure::Alloc)?;
    copy_raw(leaf, part.start, &mut into.spare_capacity_mut()[..some]);
    let whole = leaf.validate(version);
    if whole {
        // SAFETY: unchanged since `version`, which says that these are entries, and within the reserved capacity.
        unsafe { into.set_len(into.len() + some) };
    }
    Ok(whole)
}
