//! Ranges as of one moment: copy each leaf's part, look at all leaves once more, and if one has changed begin
//! again; after some failures copy them with all of them locked.
//!
//! # Synchronization
//! - `[RA-1]` a range's second look at each of its leaves, after the last first look, finds none changed: so there
//!   was a moment, between the first looks and the second ones, at which all of them were as they were copied, and
//!   each was the right neighbour of the one before it. The sequentially consistent fence between the looks sees to
//!   it that two ranges do not see two independent writes in different orders.
//! - The moment of a locked range is when its last lock is taken.

use super::descent::{Probe, Tree};
use super::leaf::{Changed, Leaf, LeafLayout, LeafVersion, VersionedLeaf};
use super::policy::KeyPolicy;
use super::read_set::ReadSet;
use super::search::{CompareKey, Place, SearchKey};
use crate::sync::backoff::Backoff;
use crate::table::Failure;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Bound;

/// So often a range is tried without locks.
const TRIES: usize = if cfg!(hedgerow_loom) { 2 } else { 8 };
/// What a range reads, in key order.
pub(crate) type Bounds<S> = (Bound<SearchKey<S>>, Bound<SearchKey<S>>);

/// No bound.
pub(crate) fn unbounded<'q, K>() -> Bound<SearchKey<&'q K>> {
    Bound::Unbounded
}

/// Whether a leaf that ends at `hi` has all that is up to `end`.
fn ends_before<K>(end: Bound<SearchKey<impl CompareKey<K>>>, hi: &K) -> bool {
    match end {
        Bound::Included(end) => end.compare(hi).is_lt(),
        Bound::Excluded(end) => end.compare(hi).is_le(),
        Bound::Unbounded => false,
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    pub(crate) fn bound<'q>(&self, bound: Bound<&'q K>) -> Bound<SearchKey<&'q K>> {
        bound.map(|key| self.search_key(key))
    }

    /// The leaf where a range begins; None in a map that has never had an entry.
    pub(crate) fn leaf_from(
        &self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'_, K, V>>, Failure> {
        if let Bound::Included(target) | Bound::Excluded(target) = start {
            let probe = Probe { target, below: false };
            return Ok(self.find_leaf(probe, backoff)?);
        }
        let Some(head) = self.head() else { return Ok(None) };
        loop {
            let version = head.begin();
            if !version.is_locked() {
                return Ok(Some((head, version)));
            }
            backoff.wait()?;
        }
    }

    /// How many of the leaf's entries come before the start of a range.
    pub(crate) fn first_at(
        &self,
        leaf: Leaf<'_, K, V>,
        version: LeafVersion,
        start: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<usize, Changed> {
        let place = |target| leaf.place(version, target, &self.ranking);
        Ok(match start {
            Bound::Included(target) => place(target)?.at,
            Bound::Excluded(target) => Self::index_after(place(target)?),
            Bound::Unbounded => 0,
        })
    }

    /// How many of the leaf's entries come before the end of a range, and whether the range ends with the leaf.
    pub(crate) fn end_at(
        &self,
        leaf: Leaf<'_, K, V>,
        version: LeafVersion,
        end: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<(usize, bool), Changed> {
        let count = version.meta.count();
        let place = |target| leaf.place(version, target, &self.ranking);
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

    pub(crate) fn index_after(place: Place) -> usize {
        place.at + usize::from(place.found)
    }

    /// Fills `into` with the entries within `bounds`, as of one moment.
    pub(crate) fn range(
        &self,
        bounds: Bounds<impl CompareKey<K>>,
        into: &mut Vec<(K, V)>,
        mut backoff: Backoff,
    ) -> Result<(), Failure> {
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
        let mut leaves = read_set.len() + 1;
        while !self.copy_locked(bounds, into, &mut read_set, leaves, &mut backoff)? {
            leaves *= 2;
        }
        Ok(())
    }

    /// The number of entries within `bounds`, as of one moment.
    pub(crate) fn range_len(
        &self,
        bounds: Bounds<impl CompareKey<K>>,
        mut backoff: Backoff,
    ) -> Result<usize, Failure> {
        let mut read_set = ReadSet::new();
        for _ in 0..TRIES {
            read_set.clear();
            let mut len = 0;
            let count = |leaf: Leaf<'_, K, V>, version, part: core::ops::Range<usize>| {
                len += part.len();
                Ok(leaf.validate(version))
            };
            if self.visit_leaves(bounds, &mut read_set, &mut backoff, count)?
                && read_set.validate_all()
            {
                return Ok(len);
            }
        }
        // Writers come in between again and again: the leaves are locked, as they are for a copy.
        let mut entries = Vec::new();
        self.range(bounds, &mut entries, backoff)?;
        Ok(entries.len())
    }

    /// Shows the range's part of each leaf to `each`, which says whether the leaf is as it was looked at. False if a
    /// leaf changes meanwhile.
    fn visit_leaves<'a>(
        &'a self,
        (start, end): Bounds<impl CompareKey<K>>,
        read_set: &mut ReadSet<'a, K, V>,
        backoff: &mut Backoff,
        mut each: impl FnMut(
            Leaf<'a, K, V>,
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
            if !version.meta.is_live() {
                return Ok(false);
            }
        }
    }

    /// As `visit_leaves`, with up to `leaves` leaves locked; false if the range goes on behind them. No user code runs,
    /// and nothing is allocated, while any of them is locked.
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
            // There is room for it.
            read_set.push(leaf, version)?;
            let count = version.meta.count();
            let spare = &mut into.spare_capacity_mut()[..count];
            copy_raw(leaf, 0, spare);
            // SAFETY: copied under the leaf's lock, and there was room.
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

/// Locks a leaf that cannot die meanwhile, for its left neighbour is locked.
fn lock_next<K: Copy, V: Copy>(leaf: Leaf<'_, K, V>) -> LeafVersion {
    let mut backoff = Backoff::spinning();
    loop {
        let version = leaf.begin();
        if leaf.try_lock(version) {
            return version;
        }
        // This one waits as long as it takes.
        let _ = backoff.wait();
    }
}

#[inline(always)]
pub(crate) fn copy_raw<K: Copy, V: Copy>(
    leaf: Leaf<'_, K, V>,
    from: usize,
    into: &mut [MaybeUninit<(K, V)>],
) {
    for (index, slot) in into.iter_mut().enumerate() {
        let entry = slot.as_mut_ptr();
        // SAFETY: the fields of a slot of ours; what may not be a whole key or value stays in a `MaybeUninit`.
        unsafe {
            (&raw mut (*entry).0).cast::<MaybeUninit<K>>().write(leaf.fetch_key(from + index));
            (&raw mut (*entry).1).cast::<MaybeUninit<V>>().write(leaf.fetch_value(from + index));
        }
    }
}

/// Copies entries to the end of `into`; false if the leaf has changed since the look.
pub(crate) fn copy_part<K: Copy, V: Copy>(
    leaf: Leaf<'_, K, V>,
    version: LeafVersion,
    part: core::ops::Range<usize>,
    into: &mut Vec<(K, V)>,
) -> Result<bool, Failure> {
    let some = part.end.saturating_sub(part.start);
    into.try_reserve(some).map_err(|_| Failure::Alloc)?;
    copy_raw(leaf, part.start, &mut into.spare_capacity_mut()[..some]);
    let whole = leaf.validate(version);
    if whole {
        // SAFETY: the leaf has not changed since it said that these are entries, and there was room.
        unsafe { into.set_len(into.len() + some) };
    }
    Ok(whole)
}
