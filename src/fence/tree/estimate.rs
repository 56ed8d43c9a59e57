//! Estimates of how many entries are within bounds, from the number of leaves in between. Fences tell that number, so
//! none of these leaves is read.
//!
//! # Synchronization
//! None beyond that of two searches: the counts of fences are hints, and the answer is an estimate.

use super::descent::{FenceTree, SearchProbe};
use super::fence::Fence;
use super::leaf::LeafRef;
use super::policy::KeyPolicy;
use super::range::Bounds;
use super::search::{CompareKey, SearchKey};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;
use core::ops::Bound;
use core::ptr;

/// The leaf where a range begins or ends.
struct RangeEnd<'a, K, V> {
    leaf: LeafRef<'a, K, V>,
    /// The leaf's lower bound. The first leaf has none.
    lo: Option<K>,
    /// The number of the leaf's entries, and of those before the bound.
    count: usize,
    before: usize,
    /// The number of leaves before this one, as far as the hints say.
    leaves: usize,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Returns an estimate of the number of entries within `bounds`.
    pub(crate) fn approximate_range_len(
        &self,
        (start, end): Bounds<impl CompareKey<K>>,
    ) -> Result<usize, Failure> {
        let _operation = self.scheduled.operation();
        let len = self.len.total();
        let Some(first) = self.find_end(start)? else { return Ok(0) };
        // A range ends where a range would begin that has the same bound, included or excluded the other way.
        let last = match end {
            Bound::Included(target) => self.find_end(Bound::Excluded(target))?,
            Bound::Excluded(target) => self.find_end(Bound::Included(target))?,
            Bound::Unbounded => None,
        };
        let in_first = first.count - first.before;
        let leaves = self.listed_leaves();
        let (next, before) = match last {
            Some(last) if last.leaf == first.leaf => {
                return Ok(last.before.saturating_sub(first.before));
            }
            // The range ends before it begins. Places do not tell: a leaf that is not listed has that of another one.
            Some(last) if last.lo <= first.lo => return Ok(0),
            Some(last) => (last.leaves, last.before),
            None if first.before == 0 && first.lo.is_none() => return Ok(len),
            None => (leaves, 0),
        };
        // Between the two leaves only the number of leaves is known, so each counts for the map's mean.
        let between = next.saturating_sub(first.leaves + 1);
        let mean =
            |leaves_between: usize| len as u128 * leaves_between as u128 / leaves.max(1) as u128;
        Ok((in_first + before).saturating_add(mean(between) as usize).min(len))
    }

    /// Finds the leaf in which a range begins. None in a map that has never had an entry.
    fn find_end(
        &self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<Option<RangeEnd<'_, K, V>>, Failure> {
        let mut backoff = Backoff::spinning();
        loop {
            let Some((leaf, version)) = self.leaf_from(start, &mut backoff)? else {
                return Ok(None);
            };
            let found = self.first_at(leaf, version, start);
            if let Ok(before) = found
                && let Ok(lo) = leaf.lo(version)
                && leaf.validate(version)
            {
                let leaves = self.leaves_before(leaf, start, &mut backoff)?;
                let count = version.meta.count();
                return Ok(Some(RangeEnd { leaf, lo, count, before: before.min(count), leaves }));
            }
            backoff.again()?;
        }
    }

    /// Returns the number of leaves before the one in which a range begins, as far as the hints say.
    fn leaves_before(
        &self,
        leaf: LeafRef<'_, K, V>,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<usize, Failure> {
        let (Bound::Included(target) | Bound::Excluded(target)) = start else { return Ok(0) };
        let probe = SearchProbe { target, below: false };
        let Some(fence) = self.fence_for(probe, backoff)? else { return Ok(0) };
        let place = (0..fence.count()).find(|&at| fence.leaf(at) == leaf.as_ptr());
        // A leaf that is not listed yet was split off the leaf to which the hints lead.
        let place = place.unwrap_or_else(|| fence.pick(target.rank));
        let fences = self.fences().take_while(|other| !ptr::eq(*other, fence));
        Ok(fences.map(Fence::count).sum::<usize>() + place)
    }

    fn listed_leaves(&self) -> usize {
        self.fences().map(Fence::count).sum()
    }

    fn fences(&self) -> impl Iterator<Item = &Fence> {
        let table = self.root.table();
        table.into_iter().flat_map(|table| (0..table.count()).filter_map(move |at| table.fence(at)))
    }
}
